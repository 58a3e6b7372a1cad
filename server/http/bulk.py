"""Bodies of many lines: streamed, unpacked and cut into lines as they come, within bounds of bytes, lines and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import hdrs, web

from protocol.codes import HttpError
from server.http.answers import Problem, invalid, too_large, unavailable

LINES_MAX: Final = 50_000
BYTES_MAX: Final = 64 * 1024 * 1024
"""Unpacked."""
LINE_BYTES: Final = 64 * 1024
READ_S: Final = 60.0
"""A body that has not come by then is given up."""
WAITING_MAX: Final = 8
"""Bodies that wait for their turn: none of them is read, so they cost a connection each."""
TURN_S: Final = 60.0
_PIECE: Final = 64 * 1024
_GZIP_WBITS: Final = 31


class Bulks:
    """One bulk at a time: each may hold a hundred megabytes while it is read."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for one's turn. Raises `Problem` (503) where too many wait, or for too long."""
        if self._waiting >= WAITING_MAX:
            raise unavailable("too many bulks are being taken in: try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(TURN_S):
                await self._lock.acquire()
        except TimeoutError:
            raise unavailable("another bulk takes long: try again") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()


class TooManyLines(Exception):
    """The body has more lines than are taken in at once."""

    def __init__(self, number: int, most: int) -> None:
        super().__init__(f"more than {most} lines")
        self.number = number


class Lines:
    """The lines of a body with their numbers, from 1; empty ones are counted and left out. To be read once.

    Raises `TooManyLines`, and `Problem`: 400 broken, 408 too slow, 413 over a bound of bytes, 415 another encoding.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._number = 0
        self._count = 0
        self._bytes = 0

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        if (self._request.content_length or 0) > BYTES_MAX:
            raise too_large(f"the body is over {BYTES_MAX} bytes")
        rest = b""
        async for piece in self._unpacked():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if self._counts(line):
                    yield self._number, line
            if len(rest) > LINE_BYTES:
                raise too_large(f"line {self._number + 1} is over {LINE_BYTES} bytes")
            # A piece is some 5 ms of work; the players' turn.
            await asyncio.sleep(0)
        if self._counts(rest):
            yield self._number, rest

    def _counts(self, line: bytes) -> bool:
        """Count a line; whether anything stands in it."""
        self._number += 1
        if len(line) > LINE_BYTES:
            raise too_large(f"line {self._number} is over {LINE_BYTES} bytes")
        if not line.strip():
            return False
        self._count += 1
        if self._count > LINES_MAX:
            raise TooManyLines(self._number, LINES_MAX)
        return True

    async def _unpacked(self) -> AsyncIterator[bytes]:
        unpacker = _Unpacker() if _is_gzip(self._request) else _AsItIs()
        async for piece in self._received():
            for part in unpacker.unpack(piece):
                self._bytes += len(part)
                if self._bytes > BYTES_MAX:
                    raise too_large(f"the body is over {BYTES_MAX} bytes")
                yield part
        unpacker.check_end()

    async def _received(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_S
        content = self._request.content
        try:
            while True:
                async with asyncio.timeout_at(until):
                    piece = await content.read(_PIECE)
                if not piece:
                    return
                yield piece
        except TimeoutError:
            message = f"the body did not come within {READ_S:.0f} s"
            raise Problem(408, HttpError.REQUEST_TIMEOUT, message, {hdrs.CONNECTION: "close"}) from None
        except web.RequestPayloadError:
            raise invalid("the body's transfer coding is broken - at `$`") from None


def _is_gzip(request: web.Request) -> bool:
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding in ("", "identity"):
        return False
    if coding not in ("gzip", "x-gzip"):
        message = "Content-Encoding must be gzip or absent"
        raise Problem(415, HttpError.UNSUPPORTED_MEDIA_TYPE, message, {hdrs.ACCEPT_ENCODING: "gzip"})
    return True


class _Unpacker:
    """One gzip member, a piece at a time: what is small and unpacks to gigabytes is never in memory."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=_GZIP_WBITS)

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        member = self._member
        try:
            while piece:
                if member.eof:
                    raise invalid("something stands behind the gzip body - at `$`")
                part = member.decompress(piece, _PIECE)
                piece = member.unconsumed_tail or member.unused_data
                if part:
                    yield part
        except zlib.error:
            raise invalid("the body is not gzip, or broken - at `$`") from None

    def check_end(self) -> None:
        if not self._member.eof:
            raise invalid("the gzip body is cut short - at `$`")


class _AsItIs:
    """No packing."""

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        yield piece

    def check_end(self) -> None:
        """Nothing to check: the transfer has its own end."""
