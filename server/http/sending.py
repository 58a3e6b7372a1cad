"""Files of any size to readers of any speed: a piece at a time, and no next one before the last has gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import web
from multidict import CIMultiDict

from server.http.answers import not_found, rate_limited, unavailable
from storage.files import FileMissing, Files, FilesAway

log = structlog.get_logger(__name__)

PIECE_BYTES: Final = 512 * 1024
STALL_S: Final = 60.0
"""A reader that takes nothing for so long is cut off."""
AT_ONCE: Final = 128
"""Readers at once: with a piece each, and as much in their sockets, 128 MiB."""
AT_ONCE_EACH: Final = 8


class Sender:
    """One a process."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._sending: dict[int, web.Request] = {}
        self._users: Counter[str] = Counter()

    async def send(
        self,
        request: web.Request,
        user_id: str,
        name: str,
        part: tuple[int, int],
        status: int,
        headers: CIMultiDict[str],
    ) -> web.StreamResponse:
        """The bytes of a kept file. Raises `Problem`: 503, 404, 429."""
        response = web.StreamResponse(status=status, headers=headers)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        with self._place(request, user_id):
            at, end = part
            piece = await self._first(name, at, end)
            await response.prepare(request)
            while piece:
                if not await self._write(request, response, piece):
                    return response
                at += len(piece)
                piece = await self._next(request, name, at, end)
            if at == end:
                await response.write_eof()
            else:
                _cut(request)
        return response

    async def close(self, _app: web.Application) -> None:
        """Cut off whoever still reads: they go on by `Range`, elsewhere or later."""
        for request in list(self._sending.values()):
            _cut(request)

    @contextmanager
    def _place(self, request: web.Request, user_id: str) -> Generator[None]:
        if self._users[user_id] >= AT_ONCE_EACH:
            raise rate_limited(1.0)
        if len(self._sending) >= AT_ONCE:
            raise unavailable("too many files are being read: try again")
        self._sending[id(request)] = request
        self._users[user_id] += 1
        try:
            yield
        finally:
            del self._sending[id(request)]
            self._users[user_id] -= 1
            if not self._users[user_id]:
                del self._users[user_id]

    async def _first(self, name: str, at: int, end: int) -> bytes:
        """As long as nothing was said, what goes wrong can be told."""
        try:
            return await self._files.piece(name, at, min(end, at + PIECE_BYTES))
        except FileMissing:
            log.error("file.missing", name=name)  # noqa: TRY400 - the name says it all
            raise not_found("the file is gone from where it was kept") from None
        except FilesAway as error:
            log.warning("file.away", name=name, reason=str(error))
            raise unavailable("the store of files is away: try again") from error

    async def _next(self, request: web.Request, name: str, at: int, end: int) -> bytes:
        if at >= end:
            return b""
        try:
            return await self._files.piece(name, at, min(end, at + PIECE_BYTES))
        except (FileMissing, FilesAway) as error:
            # The client sees a body that is too short, and comes back for the rest.
            log.warning("file.away", name=name, reason=str(error))
            _cut(request)
            return b""

    async def _write(self, request: web.Request, response: web.StreamResponse, piece: bytes) -> bool:
        """False where the reader has gone, or takes nothing."""
        try:
            async with asyncio.timeout(STALL_S):
                await response.write(piece)
        except (ConnectionError, TimeoutError):
            _cut(request)
            return False
        return True


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
