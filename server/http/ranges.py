"""Parts of a file over HTTP (RFC 9110, 13 and 14): one range, `If-Range`, `If-None-Match`."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from protocol.codes import HttpError
from server.http.answers import Problem

PARTIAL: Final = 206
UNSATISFIABLE: Final = 416
_RANGE: Final = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.IGNORECASE)


def wanted(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """The bytes asked for, from the first up to behind the last; None for all of them.

    What is no single range is passed over, as the RFC allows. Raises `Problem` (416) where the file has none of them.
    """
    found = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, ""))
    if found is None or request.headers.get(hdrs.IF_RANGE, etag) != etag:
        return None
    if found[3] is not None:
        start, end = max(0, size - int(found[3])), size
    else:
        start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
        if found[2] and end <= start:
            return None
    if start >= size or (found[3] is not None and int(found[3]) == 0):
        message = f"the file has {size} bytes"
        raise Problem(UNSATISFIABLE, HttpError.VALIDATION_FAILED, message, {hdrs.CONTENT_RANGE: f"bytes */{size}"})
    return start, min(end, size)


def is_known(request: web.Request, etag: str) -> bool:
    """Whether the client has this very file already."""
    given = request.headers.get(hdrs.IF_NONE_MATCH, "")
    return any(tag.strip().removeprefix("W/") in {"*", etag} for tag in given.split(","))


def say(headers: CIMultiDict[str], part: tuple[int, int] | None, size: int, etag: str) -> int:
    """Put into the headers what is sent; returns the status."""
    headers[hdrs.ETAG] = etag
    headers[hdrs.ACCEPT_RANGES] = "bytes"
    headers[hdrs.CACHE_CONTROL] = "private, no-cache"
    if part is None:
        headers[hdrs.CONTENT_LENGTH] = str(size)
        return 200
    headers[hdrs.CONTENT_LENGTH] = str(part[1] - part[0])
    headers[hdrs.CONTENT_RANGE] = f"bytes {part[0]}-{part[1] - 1}/{size}"
    return PARTIAL
