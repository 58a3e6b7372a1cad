"""Answers of the mobile door: `{"error": text}` for every refusal (mobile-ingest.md), whoever refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, web

from protocol.codes import HttpError
from protocol.mobile_rest import Refused
from server.http.answers import Problem, clipped, json_answer
from server.http.shell import Handler

log = structlog.get_logger(__name__)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BAD_REQUEST: Final = 400
_UNAUTHENTICATED: Final = 401


class UnframedProblem(Problem):
    """400: nothing of the batch can be read; the answer tells where it breaks."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(_BAD_REQUEST, HttpError.INVALID_BODY, reason)
        self.offset = offset


def refused(status: int, text: str) -> Problem:
    """A refusal with its status; `answering` makes the answer of it."""
    headers: dict[str, str] = {}
    if status == _UNAUTHENTICATED:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="rollcall mobile"'
    return Problem(status, _CODES.get(status, HttpError.VALIDATION_FAILED), text, headers)


def answering(handler: Answering) -> Handler:
    """The handler, whose refusals leave as this contract says."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except UnframedProblem as problem:
            return json_answer(Refused(clipped(problem.message), problem.offset), problem.status)
        except Problem as problem:
            return json_answer(Refused(clipped(problem.message)), problem.status, problem.headers)

    return answered


_CODES: Final = {
    401: HttpError.UNAUTHENTICATED,
    403: HttpError.FORBIDDEN,
    404: HttpError.NOT_FOUND,
    413: HttpError.TOO_LARGE,
    415: HttpError.UNSUPPORTED_MEDIA_TYPE,
}
