"""`/xapi`: statements in.

write key -> version -> body within its bounds -> every statement read -> stored, all or nothing -> answered
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from actors.ports import StoreAway, StoreRefused
from protocol.codes import HttpError
from protocol.loose import Unfit
from protocol.rest import rfc3339
from protocol.xapi import profile
from protocol.xapi.statements import Statement
from protocol.xapi.values import uuid
from server.http import asking, params
from server.http.answers import Problem, json_answer, unavailable
from server.http.keys import Keys
from server.xapi.reading import Reader, Refused, refused
from storage.gathering import Full, Gathering
from storage.xapi import Clash, Post, PostgresXapi

RIGHT: Final = "xapi"
BATCH_BYTES: Final = 1024 * 1024
"""Posts that are stored together."""
PENDING_BYTES: Final = 64 * 1024 * 1024
"""Of posts that wait for storage; beyond it they are refused with 503."""
PATIENCE_S: Final = 2.0
"""So long a post outlasts a storage that is away."""
_BASIC: Final = "basic "
_CHALLENGE: Final = 'Basic realm="rollcall", charset="UTF-8"'
_UNAUTHENTICATED: Final = 401


class About(msgspec.Struct, frozen=True):
    """What versions are spoken here."""

    version: Sequence[str]


class XapiDoor:
    """The handlers. One a process, made inside the running event loop."""

    def __init__(self, store: PostgresXapi, keys: Keys, now: Callable[[], int]) -> None:
        self._keys = keys
        self._now = now
        self._reader = Reader(now)
        self._writes: Gathering[Post, Clash | None] = Gathering(
            store.write, batch=BATCH_BYTES, limit=PENDING_BYTES, patience_s=PATIENCE_S
        )

    async def about(self, request: web.Request) -> web.Response:
        """`GET /xapi/about`: nobody is asked who they are."""
        return json_answer(About(profile.VERSIONS), headers=self._headers(request))

    async def post(self, request: web.Request) -> web.Response:
        """`POST /xapi/statements`: one, or an array of them."""
        return await self._answered(request, self._post)

    async def put(self, request: web.Request) -> web.Response:
        """`PUT /xapi/statements?statementId=`: one."""
        return await self._answered(request, self._put)

    async def _post(self, request: web.Request) -> web.Response:
        home_pages = await self._checked(request)
        found, size = await self._reader.read(request, home_pages)
        await self._store(found, size)
        return json_answer([each.statement_id for each in found])

    async def _put(self, request: web.Request) -> web.Response:
        home_pages = await self._checked(request)
        try:
            statement_id = uuid(params.single(request, "statementId"))
        except Unfit as error:
            message = f"{error} - at `$.statementId`"
            raise Refused(400, HttpError.VALIDATION_FAILED, None, "statementId", message) from None
        found, size = await self._reader.read(request, home_pages, named=statement_id)
        await self._store(found, size)
        return web.Response(status=204)

    async def _checked(self, request: web.Request) -> Sequence[str]:
        """Whose learners the sender may speak of; empty for anybody's. Raises `Problem`."""
        key = await self._keys.require(request, RIGHT, given=password(request))
        if profile.spoken(request.headers.get(profile.VERSION_HEADER)) is None:
            message = f"{profile.VERSION_HEADER} must be there, and 1.0.x or 2.0.x"
            raise Refused(400, HttpError.VALIDATION_FAILED, None, profile.VERSION_HEADER, message)
        return key.home_pages

    async def _store(self, found: Sequence[Statement], size: int) -> None:
        """Durable on return. Raises `Refused`, `Problem`."""
        kept = [each for each in found if not (each.object_id or "").startswith(profile.OWN_OBJECTS)]
        if not kept:
            return
        try:
            clash = await self._writes.put(Post(kept, self._now()), weight=max(1, size))
        except Full:
            raise unavailable("too many statements wait for storage: try again") from None
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        if clash is not None:
            index = next(place for place, each in enumerate(found) if each is kept[clash.index])
            message = f"the id of statement {index} is known with another content: nothing was stored"
            raise Refused(409, HttpError.CONFLICT, index, "id", message)

    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.Response:
        try:
            response = await handler(request)
        except Problem as problem:
            response = refused(problem)
            if problem.status == _UNAUTHENTICATED:
                response.headers[hdrs.WWW_AUTHENTICATE] = _CHALLENGE
        response.headers.update(self._headers(request))
        return response

    def _headers(self, request: web.Request) -> dict[str, str]:
        """What the standard wants on every answer (xAPI 1.0.3, Communication 2.1.3 and 3.3)."""
        version = profile.spoken(request.headers.get(profile.VERSION_HEADER)) or profile.VERSIONS[0]
        return {profile.VERSION_HEADER: version, profile.THROUGH_HEADER: rfc3339(self._now()) or ""}


def password(request: web.Request) -> str | None:
    """The password of Basic authentication; the name is anybody's."""
    given = request.headers.get(hdrs.AUTHORIZATION, "")
    if not given.lower().startswith(_BASIC):
        return None
    try:
        _, colon, secret = base64.b64decode(given[len(_BASIC) :].strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return secret if colon else None
