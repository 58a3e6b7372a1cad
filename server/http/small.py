"""An answer of a few bytes, made and written in one piece: half of what a response costs, where there are thousands.

Its headers are those of every answer, ready as bytes, and what the shell adds. A connection that must close, or speaks
HTTP/1.0, gets an ordinary response. So does one on which answers pile up, since only that waits until they are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from server.http.answers import HEADERS

UNREAD_BYTES: Final = 64 * 1024
"""Of answers on one connection, on their way to a client that sends requests and does not read."""
_BARE: Final = {name: value for name, value in HEADERS.items() if name != hdrs.CONTENT_TYPE}


def _beginnings(headers: Mapping[str, str]) -> dict[int, str]:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return {status: f"HTTP/1.1 {status} {status.phrase}\r\n{lines}" for status in HTTPStatus}


class Small(web.Response):
    """A body of JSON."""

    _headers_of_all: Mapping[str, str] = HEADERS
    _begin: Mapping[int, str] = _beginnings(HEADERS)

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(body=body, status=status)
        self._small = body

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write it."""
        transport = request.transport
        if (
            transport is None
            or not request.keep_alive
            or request.version != HttpVersion11
            or transport.get_write_buffer_size() > UNREAD_BYTES
        ):
            for name, value in self._headers_of_all.items():
                self.headers.setdefault(name, value)
            return await super().prepare(request)
        added = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        head = f"{self._begin[self.status]}{added}Date: {_date()}\r\nContent-Length: {len(self._small)}\r\n\r\n"
        if transport.is_closing():
            raise ConnectionResetError
        self._keep_alive = True
        self._eof_sent = True
        transport.write(head.encode() + self._small)
        return None


class Empty(Small):
    """200 and nothing else."""

    _headers_of_all = _BARE
    _begin = _beginnings(_BARE)

    def __init__(self) -> None:
        super().__init__(b"")


class _Clock:
    """The header `Date`, made once a second."""

    def __init__(self) -> None:
        self.second = 0
        self.text = ""


_clock: Final = _Clock()


def _date() -> str:
    second = int(time.time())
    if second != _clock.second:
        _clock.second, _clock.text = second, formatdate(second, usegmt=True)
    return _clock.text
