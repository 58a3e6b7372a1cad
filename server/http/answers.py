"""Answers and refusals: JSON bodies, the error envelope, the headers that each carries.

Every refusal is a `Problem`; the shell turns it into the envelope of learning-api.md, "Common rules".
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import ceil
from typing import Final

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.machines.effects import Effect, Failed, Refused
from protocol.codes import ErrorCode, HttpError
from protocol.rest import ErrorEnvelope
from server.desk import RETRY_AFTER_S, Denied, OtherLearners

JSON_TYPE: Final = "application/json; charset=utf-8"
HEADERS: Final = {
    hdrs.CONTENT_TYPE: JSON_TYPE,
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.SERVER: "rollcall",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer; a handler may have set its own."""

MESSAGE_MAX: Final = 500
"""Characters of a message: what quotes the client's own words stays short."""

encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """A refusal with its status, its code and words for whoever reads them."""

    def __init__(self, status: int, error: HttpError, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers


def invalid(message: str) -> Problem:
    """400; the message names the field."""
    return Problem(400, HttpError.VALIDATION_FAILED, message)


def not_found(message: str) -> Problem:
    """404."""
    return Problem(404, HttpError.NOT_FOUND, message)


def forbidden(message: str) -> Problem:
    """403."""
    return Problem(403, HttpError.FORBIDDEN, message)


def conflict(message: str) -> Problem:
    """409."""
    return Problem(409, HttpError.CONFLICT, message)


def too_large(message: str) -> Problem:
    """413; the message names the limit."""
    return Problem(413, HttpError.TOO_LARGE, message)


def rate_limited(retry_after_s: float) -> Problem:
    """429."""
    message = "too many requests: slow down"
    return Problem(429, HttpError.RATE_LIMITED, message, {hdrs.RETRY_AFTER: _whole(retry_after_s)})


def unavailable(message: str = "storage is away: try again", retry_after_s: float = RETRY_AFTER_S) -> Problem:
    """503: the world's fault; what was sent may have been stored, repeating it is harmless."""
    return Problem(503, HttpError.STORAGE_UNAVAILABLE, message, {hdrs.RETRY_AFTER: _whole(retry_after_s)})


def unauthenticated(reason: str, *, given: bool) -> Problem:
    """401; `given` tells a bad token from none at all (RFC 6750, 3)."""
    challenge = 'Bearer realm="rollcall", error="invalid_token"' if given else 'Bearer realm="rollcall"'
    return Problem(401, HttpError.UNAUTHENTICATED, reason, {hdrs.WWW_AUTHENTICATE: challenge})


def failed(message: str) -> Problem:
    """500: ours."""
    return Problem(500, HttpError.INTERNAL, message)


def _whole(seconds: float) -> str:
    return str(max(1, ceil(seconds)))


_OF_CODE: Final[dict[str, tuple[int, HttpError]]] = {
    ErrorCode.BAD_MESSAGE: (400, HttpError.VALIDATION_FAILED),
    ErrorCode.TOO_OLD: (400, HttpError.VALIDATION_FAILED),
    ErrorCode.UNAUTHENTICATED: (401, HttpError.UNAUTHENTICATED),
    ErrorCode.FORBIDDEN: (403, HttpError.FORBIDDEN),
    ErrorCode.NOT_FOUND: (404, HttpError.NOT_FOUND),
    ErrorCode.UNKNOWN_STREAM: (409, HttpError.CONFLICT),
    ErrorCode.ROOM_ENDED: (409, HttpError.CONFLICT),
    ErrorCode.ROOM_CANCELLED: (409, HttpError.CONFLICT),
    ErrorCode.TOO_LARGE: (413, HttpError.TOO_LARGE),
}
_SAYS_ITS_CODE: Final = frozenset({ErrorCode.TOO_OLD, ErrorCode.ROOM_ENDED, ErrorCode.ROOM_CANCELLED})


def of_denied(denied: Denied) -> Problem:
    """The desk's refusal, as HTTP says it."""
    if isinstance(denied, OtherLearners):
        return conflict(denied.message)
    if denied.code == ErrorCode.RATE_LIMITED:
        return rate_limited(denied.retry_after or 1.0)
    if denied.code == ErrorCode.BUSY:
        return unavailable(denied.message, denied.retry_after or RETRY_AFTER_S)
    return _of_code(denied.code, denied.message)


def of_refused(refused: Refused) -> Problem:
    """A machine's refusal of samples. `forbidden` there is about the session, never about the room."""
    if refused.code == "forbidden":
        return conflict(refused.message)
    return _of_code(refused.code, refused.message)


def refusal_in(effects: list[Effect]) -> Problem | None:
    """Why an actor did not do what it was asked."""
    for effect in effects:
        if type(effect) is Refused:
            return of_refused(effect)
        if type(effect) is Failed:
            return failed(effect.message)
    return None


def _of_code(code: str, message: str) -> Problem:
    status, error = _OF_CODE[code]
    # Clients tell these apart by their code, which the envelope's own codes do not.
    return Problem(status, error, f"{code}: {message}" if code in _SAYS_ITS_CODE else message)


def clipped(message: str) -> str:
    """A message of bounded length that keeps its end, where the field is named."""
    if len(message) <= MESSAGE_MAX:
        return message
    half = MESSAGE_MAX // 2
    return f"{message[:half]} ... {message[-half:]}"


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as JSON."""
    fields = CIMultiDict(HEADERS)
    if headers is not None:
        fields.update(headers)
    return web.Response(body=encode(value), status=status, headers=fields)


def refusal(problem: Problem) -> web.Response:
    """The error envelope."""
    message = clipped(problem.message).encode("utf-8", "replace").decode()
    envelope = ErrorEnvelope(message, problem.error, success=False, status_code=problem.status)
    return json_answer(envelope, problem.status, problem.headers)


def cached_answer(request: web.Request, value: object, vary: str) -> web.Response:
    """`value` as JSON that its reader may keep for 15 s and ask about again (learning-api.md, "caching")."""
    body = encode(value)
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    fields = CIMultiDict(HEADERS)
    fields.update({hdrs.ETAG: etag, hdrs.CACHE_CONTROL: "private, max-age=15", hdrs.VARY: vary})
    if _matches(request.headers.get(hdrs.IF_NONE_MATCH, ""), etag):
        del fields[hdrs.CONTENT_TYPE]
        return web.Response(status=304, headers=fields)
    return web.Response(body=body, headers=fields)


def _matches(wanted: str, etag: str) -> bool:
    tags = (tag.strip().removeprefix("W/") for tag in wanted.split(","))
    return any(tag in ("*", etag) for tag in tags)
