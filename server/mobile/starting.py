"""`start`: a new app session, or the one of the token that its SDK brings along (mobile-ingest.md, reading 7)."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import msgspec
import structlog
from aiohttp import web

from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.mobile import decode_project
from protocol.mobile_rest import START_BYTES, StartAnswer, StartBody
from protocol.types import canonical_id
from server.auth import Claims
from server.http import bodies
from server.http.access import Access
from server.http.answers import json_answer, unavailable
from server.http.asking import check_storage
from server.http.keys import Keys
from server.http.throttle import address_key
from server.mobile.answers import refused
from server.mobile.ids import SessionIds
from server.mobile.sampling import recorded
from server.mobile.sessions import AppSessions, Bearer
from server.mobile.token import Token, Tokens
from storage.keys import WriteKey
from storage.mobile import Allowed, AppSession, MobileStore, Target

IMAGES: Final = 40
TRIES: Final = 5
_TEXT_CHARS: Final = 256
_OFFSET_MAX: Final = 2**53
_DECODER: Final = msgspec.json.Decoder(StartBody)
_NO_CLAIMS: Final = frozenset({"project_key", "project_id", "token", "user_uuid", "timestamp", "do_not_record"})
_NOT_DEVICE: Final = _NO_CLAIMS | {"auth_token", "content", "room"}


log = structlog.get_logger(__name__)


class ImageHashes(Protocol):
    """What images of a project are stored. Raises StoreAway, StoreRefused."""

    async def hashes(self, project: str, limit: int = IMAGES) -> list[str]:
        """The newest ones."""
        ...


class Starts:
    """The handler. One a process."""

    def __init__(
        self,
        system: ActorSystem,
        access: Access,
        keys: Keys,
        store: MobileStore,
        images: ImageHashes,
        sessions: AppSessions,
        tokens: Tokens,
        ids: SessionIds,
        life_ms: int,
        counts: Counter[str],
    ) -> None:
        self._system = system
        self._access = access
        self._keys = keys
        self._store = store
        self._images = images
        self._sessions = sessions
        self._tokens = tokens
        self._ids = ids
        self._life_ms = life_ms
        self._counts = counts

    async def post(self, request: web.Request) -> web.Response:
        """Begin, or resume."""
        received_at = self._system.clock.now()
        body = understood(await bodies.read(request, START_BYTES))
        key = await self._project(body)
        claims = None if body.auth_token is None else await self._access.claims(body.auth_token)
        check_storage(self._system)
        resumed = None if body.token is None else await self._resumed(body, key, claims)
        if resumed is not None:
            self._counts["resumed"] += 1
            return json_answer(await self._answer(key, body.token or "", resumed, _uuid(body.user_uuid)))
        given = _uuid(body.user_uuid)
        who = given or f"{address_key(request.remote)}\0{body.user_device or ''}"
        if not recorded(key.name, who, key.sample_rate):
            self._counts["cancelled"] += 1
            raise refused(403, "cancel")
        bearer = await self._begin(key, body, claims, given or str(uuid4()), received_at)
        self._counts["started" if bearer.session is not None else "unrecorded"] += 1
        return json_answer(await self._answer(key, self._tokens.write(bearer.token), bearer, given))

    async def _project(self, body: StartBody) -> WriteKey:
        if body.project_key is None and body.project_id is None:
            raise refused(403, "no project: projectKey or projectID is needed")
        if body.project_key is not None:
            key = await self._keys.project("mobile", name=body.project_key)
        else:
            number = project_number(body.project_id)
            key = None if number is None else await self._keys.project("mobile", number=number)
        if key is None:
            raise refused(404, "there is no such project, or it is not active")
        self._keys.charge(key, "mobile", 1)
        return key

    async def _resumed(self, body: StartBody, key: WriteKey, claims: Claims | None) -> Bearer | None:
        bearer = await self._sessions.resumable(body.token or "")
        if bearer is None or (bearer.session is None) != (body.do_not_record is True):
            return None
        session = bearer.session
        if session is None:
            return bearer
        if session.project != key.name or (claims is not None and claims.user_id != session.user_id):
            # Another learner's samples are never those of the one before.
            return None
        return bearer

    async def _begin(
        self, key: WriteKey, body: StartBody, claims: Claims | None, user_uuid: str, received_at: int
    ) -> Bearer:
        offset = 0 if body.timestamp is None else received_at - int(body.timestamp)
        expires_at = received_at + self._life_ms
        if body.do_not_record:
            session_id = await self._ids.take(recorded=False)
            return Bearer(Token(session_id, offset, expires_at), None)
        for _ in range(TRIES):
            session = AppSession(
                session_id=await self._ids.take(),
                project=key.name,
                user_uuid=user_uuid,
                user_id=None if claims is None else claims.user_id,
                allowed=None if claims is None else _allowed(claims),
                user_label=None,
                started_at=received_at,
                newest_at=received_at,
                offset=offset,
                target=target_of(body),
            )
            if await self._keep(session, received_at, device_of(body)):
                self._sessions.remember(session)
                return Bearer(Token(session.session_id, offset, expires_at), session)
        raise unavailable("no id is free: try again")

    async def _keep(self, session: AppSession, received_at: int, device: bytes) -> bool:
        try:
            return await self._store.start(session, received_at, device)
        except StoreAway as error:
            raise unavailable() from error
        except StoreRefused as error:
            raise refused(400, f"this cannot be kept: {error}") from error

    async def _answer(self, key: WriteKey, token: str, bearer: Bearer, given: str | None) -> StartAnswer:
        session = bearer.session
        hashes = [] if session is None else await self._hashes(key.name)
        user_uuid = session.user_uuid if session is not None else given or str(uuid4())
        return StartAnswer(token, user_uuid, str(bearer.token.session_id), str(key.number), hashes)

    async def _hashes(self, project: str) -> list[str]:
        try:
            return await self._images.hashes(project, IMAGES)
        except (StoreAway, StoreRefused) as error:
            # A hint, and the session has begun: what is sent again is known by its hash.
            log.warning("mobile.images_unread", reason=str(error))
            return []


def understood(data: bytes) -> StartBody:
    """The body. Raises `Problem` (400), naming the field."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise refused(400, bodies.named(str(error))) from None


def project_number(given: float | str | None) -> int | None:
    """The number of an encoded project id; None for one that stands for none. Raises `Problem` (400)."""
    try:
        encoded = int(given) if isinstance(given, str) else given
    except ValueError:
        raise refused(400, "Expected a number, or its digits - at `$.projectID`") from None
    if encoded is None or encoded != int(encoded):
        return None
    return decode_project(int(encoded))


def target_of(body: StartBody) -> Target:
    """What samples belong to that do not say so. Raises `Problem` (400) for two answers."""
    if body.content is not None and body.room is not None:
        raise refused(400, "Expected at most one of `content` and `room` - at `$.room`")
    if body.room is not None:
        return Target(room=canonical_id(body.room))
    if body.content is not None:
        return Target(content=(body.content.kind, canonical_id(body.content.id)))
    return Target()


def device_of(body: StartBody) -> bytes:
    """What the start told of the device, as JSON that PostgreSQL holds; nulls left out."""
    told: dict[str, Any] = {
        name: _storable(value)
        for name in StartBody.__struct_fields__
        if name not in _NOT_DEVICE and (value := getattr(body, name)) is not None
    }
    return msgspec.json.encode(told)


def _storable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Without NUL, which PostgreSQL's JSON cannot hold."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_storable(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _allowed(claims: Claims) -> Allowed:
    rooms = None if claims.rooms is None else sorted(claims.rooms)
    contents = None if claims.contents is None else sorted(claims.contents)
    return Allowed(claims.role, claims.name, rooms, contents)


def _uuid(given: str | None) -> str | None:
    """In its usual form; None for what is none."""
    if given is None:
        return None
    try:
        return str(UUID(given))
    except ValueError:
        return None
