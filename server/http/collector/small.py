"""An answer of a few bytes, made and written in one piece: half of what a response costs, where there are thousands.

Its headers are those of every answer, ready as bytes, and what the shell adds. A connection that must close, or speaks
HTTP/1.0, gets an ordinary response.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from server.http.answers import HEADERS

STATUS: Final = 202
_LINES: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())


class Small(web.Response):
    """202 with a body of JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body=body, status=STATUS)
        self._small = body

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write it."""
        transport = request.transport
        if not request.keep_alive or request.version != HttpVersion11 or transport is None:
            for name, value in HEADERS.items():
                self.headers.setdefault(name, value)
            return await super().prepare(request)
        added = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        head = f"HTTP/1.1 202 Accepted\r\n{_LINES}{added}Date: {_date()}\r\nContent-Length: {len(self._small)}\r\n\r\n"
        if transport.is_closing():
            raise ConnectionResetError
        self._keep_alive = True
        self._eof_sent = True
        transport.write(head.encode() + self._small)
        return None


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
