"""`POST /api/v1/heartbeats`: samples from players that cannot hold a socket, and beacons of those that leave.

    body -> claims -> desk (which room or session) -> actor's mailbox -> journal -> 200

A refused request stores nothing: what can be refused is refused before the first event is posted, or by the one event
that carries the samples. A 503 may come after the samples were stored; the client repeats them, which changes nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from actors.machines.track import Sample
from actors.system import ActorSystem
from protocol import limits
from protocol.rest import HeartbeatsAnswer, HeartbeatsBody
from protocol.types import canonical_id
from server.auth import Claims
from server.desk import Denied, Desk, samples_of
from server.http import bodies
from server.http.access import Access, bearer
from server.http.answers import Problem, encode, invalid, of_denied, too_large, unavailable
from server.http.asking import WRITE_S, check_storage, in_time
from server.http.posting import RoomPost, WatchPost
from server.http.small import Small
from server.metrics import EdgeCounters

TRIES: Final = 2

_DECODER: Final = msgspec.json.Decoder(HeartbeatsBody)
_TOO_MANY: Final = "Expected `array` of length <= "


class _OnlyToken(msgspec.Struct):
    token: str | None = None


_TOKEN_DECODER: Final = msgspec.json.Decoder(_OnlyToken)


class Heartbeats:
    """The handler. One a process."""

    def __init__(self, system: ActorSystem, desk: Desk, access: Access, counters: EdgeCounters) -> None:
        self._system = system
        self._desk = desk
        self._access = access
        self._samples = counters.samples("http")
        self._held = bodies.Held()

    async def post(self, request: web.Request) -> web.Response:
        """Take a batch in; answers when it is durable."""
        check_storage(self._system)
        token = bearer(request)
        claims = None if token is None else await self._access.claims(token)
        with self._held.hold(request) as holding:
            data = await bodies.read(request)
            holding.resize(len(data))
            claims, body = await self._understand(data, claims)
            count = len(body.samples)
            self._samples.taken += count
            try:
                answer = await self._take(claims, body)
            except Denied as denied:
                self._samples.refused += count
                raise of_denied(denied) from None
            except Problem:
                self._samples.refused += count
                raise
            self._samples.acked += count
        return Small(encode(answer))

    async def _understand(self, data: bytes, claims: Claims | None) -> tuple[Claims, HeartbeatsBody]:
        """The body and whose it is; a stranger is told nothing about fields."""
        try:
            body = bodies.decode(_DECODER, data)
        except Problem as problem:
            if claims is None:
                await self._access.claims(_token_in(data))
            if problem.message.startswith(_TOO_MANY) and problem.message.endswith("`$.samples`"):
                raise too_large(f"more than {limits.HTTP_SAMPLES} samples - at `$.samples`") from None
            raise
        return claims or await self._access.claims(body.token), body

    async def _take(self, claims: Claims, body: HeartbeatsBody) -> HeartbeatsAnswer:
        if (body.room is None) == (body.content is None):
            raise invalid("Expected exactly one of `room` and `content` - at `$.room`")
        if not body.samples and not body.leave:
            raise invalid("Expected at least one sample, or `leave` - at `$.samples`")
        samples = samples_of(body.samples)
        if body.room is not None:
            return await self._take_for_room(claims, canonical_id(body.room), body, samples)
        return await self._take_for_content(claims, body, samples)

    async def _take_for_room(
        self, claims: Claims, room_id: str, body: HeartbeatsBody, samples: list[Sample]
    ) -> HeartbeatsAnswer:
        desk = self._desk
        actor = await desk.room(claims, room_id)
        session_id = body.session_id
        if session_id is not None:
            session_id = await desk.resumable(actor, session_id, claims.user_id)
        event = desk.posted(
            actor, claims, session_id, body.device_id or "", body.sent_at, samples, leave=body.leave is True
        )
        post = RoomPost()
        post.send(self._system, actor, event)
        return await in_time(post.future, WRITE_S)

    async def _take_for_content(self, claims: Claims, body: HeartbeatsBody, samples: list[Sample]) -> HeartbeatsAnswer:
        content = body.content
        assert content is not None
        for _ in range(TRIES):
            actor, opened = await self._desk.watch_over_http(
                claims,
                content.kind,
                canonical_id(content.id),
                body.session_id,
                body.device_id or "",
                body.sent_at,
                samples,
            )
            post = WatchPost(self._system, leave=body.leave is True)
            post.send(actor, opened, body.sent_at, samples)
            try:
                return await in_time(post.future, WRITE_S)
            except Problem:
                if not post.session_over:
                    raise
        raise unavailable("the session is coming and going: keep the samples and try again")


def _token_in(data: bytes) -> str | None:
    """The token of a body that is wrong elsewhere."""
    try:
        return _TOKEN_DECODER.decode(data).token
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
