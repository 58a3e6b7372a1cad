"""Bodies of statements: one or an array, within bounds, each statement read or the first bad one named.

Large ones are read beside the event loop, on which players wait.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from protocol.codes import HttpError
from protocol.xapi import profile
from protocol.xapi.statements import BadStatement, Statement, read
from server.http import bodies
from server.http.answers import Problem, clipped, invalid, json_answer, refusal, too_large, unavailable

APART_BYTES: Final = 64 * 1024
AT_ONCE: Final = 4
"""Large bodies that are decoded at the same time; others wait."""
IN_HAND_MAX: Final = 64
"""Posts whose bodies come or wait to be decoded."""
PLACED: Final = frozenset({400, 403, 409})
"""Statuses of what a statement may be at fault for."""
_PIECE: Final = 64 * 1024
_ARRAY: Final = b"["

_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class StatementRefusal(msgspec.Struct, frozen=True):
    """The envelope of every refusal, with the place.

    `index` counts from 0; None where no statement is at fault. `field` is empty for the whole of it.
    """

    message: str
    error: str
    success: bool
    status_code: int
    index: int | None
    field: str


class Refused(Problem):
    """What cannot be taken, and so nothing is: which statement, and which of its fields."""

    def __init__(self, status: int, error: HttpError, index: int | None, field: str, message: str) -> None:
        super().__init__(status, error, message)
        self.index = index
        self.field = field


def refused(problem: Problem) -> web.Response:
    """The answer to a request that is not taken: the place too, where the status is one of those that may have one."""
    if problem.status not in PLACED:
        return refusal(problem)
    index, field = (problem.index, problem.field) if isinstance(problem, Refused) else (None, "")
    message = clipped(problem.message).encode("utf-8", "replace").decode()
    told = StatementRefusal(message, problem.error, success=False, status_code=problem.status, index=index, field=field)
    return json_answer(told, problem.status, problem.headers)


class Reader:
    """One a process. `now` Unix ms. Beyond `in_hand` posts, or `held_bytes` of them, one more is refused with 503."""

    def __init__(
        self, now: Callable[[], int], *, in_hand: int = IN_HAND_MAX, held_bytes: int = bodies.HELD_BYTES_MAX
    ) -> None:
        self._now = now
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._held = bodies.Held(held_bytes)
        self._in_hand_max = in_hand
        self._in_hand = 0

    async def read(
        self, request: web.Request, home_pages: Collection[str], named: str | None = None
    ) -> tuple[list[Statement], int]:
        """The statements of a body, each with an id, and their size; one only where it is `named` elsewhere.

        Raises `Refused`, `Problem`.
        """
        packed = _is_packed(request)
        if self._in_hand >= self._in_hand_max:
            raise unavailable("too many statements are being read: try again")
        self._in_hand += 1
        try:
            with bodies.Holding(self._held, 0) as holding:
                data = await _received(request, holding)
                work = (data, packed, self._now(), home_pages, named)
                if len(data) <= APART_BYTES and not packed:
                    found = _understood(*work)
                else:
                    async with self._turns:
                        found = await asyncio.to_thread(_understood, *work)
        finally:
            self._in_hand -= 1
        return found, sum(len(each.body) for each in found)


def _is_packed(request: web.Request) -> bool:
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        message = "Content-Encoding must be gzip or absent"
        raise Problem(415, HttpError.UNSUPPORTED_MEDIA_TYPE, message, {hdrs.ACCEPT_ENCODING: "gzip"})
    if request.content_type.startswith("multipart/"):
        raise Problem(415, HttpError.UNSUPPORTED_MEDIA_TYPE, "statements with attachments are not taken: send JSON")
    return coding in ("gzip", "x-gzip")


async def _received(request: web.Request, holding: bodies.Holding) -> bytes:
    if (request.content_length or 0) > profile.BODY_BYTES:
        raise _over()
    data = bytearray()
    try:
        async with asyncio.timeout(bodies.READ_S):
            while piece := await request.content.read(_PIECE):
                if len(data) + len(piece) > profile.BODY_BYTES:
                    raise _over()
                holding.resize(len(data) + len(piece))
                data += piece
    except TimeoutError:
        message = f"the body did not come within {bodies.READ_S:.0f} s"
        raise Problem(408, HttpError.REQUEST_TIMEOUT, message, {hdrs.CONNECTION: "close"}) from None
    except web.RequestPayloadError:
        raise invalid("the body's transfer coding is broken - at `$`") from None
    return bytes(data)


def _over() -> Problem:
    return too_large(f"the body is over {profile.BODY_BYTES} bytes")


def _understood(
    data: bytes,
    packed: bool,  # noqa: FBT001 - arguments of a thread
    now: int,
    home_pages: Collection[str],
    named: str | None,
) -> list[Statement]:
    if packed:
        data = bodies.gunzip(data, profile.BODY_BYTES)
    is_array = named is None and data.lstrip()[:1] == _ARRAY
    pieces: Sequence[bytes | memoryview] = _array(data) if is_array else [data]
    return [_statement(index, piece, now, home_pages, named) for index, piece in enumerate(pieces)]


def _array(data: bytes) -> list[memoryview]:
    try:
        items = _items(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise _bad(0, "", f"not JSON: {error}") from None
    if len(items) > profile.STATEMENTS_MAX:
        raise too_large(f"more than {profile.STATEMENTS_MAX} statements")
    return [memoryview(item) for item in items]


def _statement(
    index: int, piece: bytes | memoryview, now: int, home_pages: Collection[str], named: str | None
) -> Statement:
    try:
        found = read(piece, now)
    except BadStatement as bad:
        raise _bad(index, bad.field, bad.message) from None
    if home_pages and found.home_page not in home_pages:
        field = "actor.mbox" if found.home_page == "mailto:" else "actor.account.homePage"
        message = f"this key may not speak of learners of {found.home_page or 'no home page'}"
        raise Refused(403, HttpError.FORBIDDEN, index, field, message)
    if found.statement_id is None:
        return msgspec.structs.replace(found, statement_id=named or str(uuid.uuid4()))
    if named is not None and found.statement_id != named:
        raise _bad(index, "id", "another id than `statementId`")
    return found


def _bad(index: int, field: str, message: str) -> Refused:
    where = f"statement {index}{f', `{field}`' if field else ''}"
    return Refused(400, HttpError.VALIDATION_FAILED, index, field, f"{message} - at {where}")
