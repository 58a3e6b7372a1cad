"""A learner's player, as a client of the server: what it sampled arrives, once, whatever the network does.

    async with Player(url, token, random=Random(7)) as player:
        stream = await player.join("room1")
        stream.sample(0.0, "playing")
        await stream.acknowledged()
        await stream.leave()

Samples are numbered per stream and kept until they are acknowledged, in a bounded buffer (`BufferFull`). Losing the
connection loses nothing: the player connects again (jittered back-off, or when the server said so), resumes its
sessions and sends what is owed. `cut`, `restore`, `use_http`, `use_socket` and `vanish` are the ways in which a network
and a learner behave. Clock and random source are arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

import aiohttp

from load_tests.backoff import Backoff
from load_tests.facts import Counters, Fact
from load_tests.http_door import HttpDoor
from load_tests.kept import BufferFull, Kept
from load_tests.socket_door import SocketDoor
from load_tests.stream import (
    ContentTarget,
    Context,
    PlayerStream,
    Refused,
    RoomTarget,
    Stopped,
    unix_ms,
)
from protocol.codec import JSON, MSGPACK
from protocol.types import Content, Metadata

__all__ = ["Backoff", "BufferFull", "Counters", "Fact", "Player", "PlayerStream", "Refused", "Stopped"]

Encoding = Literal["json", "msgpack"]
KEPT_SAMPLES: Final = 10_000
"""Samples kept per stream: over a day at one every ten seconds, which is as old as a sample may be."""


def _ignore(_fact: Fact) -> None:
    pass


class Player:
    """One learner on one device. Enter it as an async context; leaving that closes the socket without a `leave`."""

    def __init__(  # noqa: PLR0913 - all but the first two have defaults
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        random: Random,
        clock: Callable[[], int] = unix_ms,
        device_id: str | None = None,
        encoding: Encoding = "json",
        token_in_header: bool = False,
        keep: int = KEPT_SAMPLES,
        backoff: Backoff | None = None,
        http: aiohttp.ClientSession | None = None,
        by_http: bool = False,
        counters: Counters | None = None,
        tell: Callable[[Fact], None] = _ignore,
    ) -> None:
        """`url` is the server's (http, https, ws, wss); `clock` gives unix ms and may be wrong; `tell` hears facts."""
        base = url.rstrip("/")
        self._context = Context(
            base_url="http" + base[2:] if base.startswith("ws") else base,
            token=token if callable(token) else lambda: token,
            codec=JSON if encoding == "json" else MSGPACK,
            device_id=device_id,
            clock=clock,
            random=random,
            backoff=backoff or Backoff(),
            counters=counters or Counters(),
            tell=tell,
        )
        self._keep = keep
        self._token_in_header = token_in_header
        self._by_http = by_http
        self._given_http = http
        self._own_http: aiohttp.ClientSession | None = None
        self._online = True
        self._refs = 0
        self._socket: SocketDoor | None = None
        self._http: HttpDoor | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the door; connecting goes on in the background."""
        if self._given_http is None:
            self._own_http = aiohttp.ClientSession()
        self._http = HttpDoor(self._context, self._given_http or self._own_http)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._socket = SocketDoor(self._context, token_in_header=self._token_in_header, to_http=self._send_by_http)
        self._http.serve_all(wanted=self._by_http)
        if not self._by_http:
            self._socket.restore()
        self._tasks = [asyncio.create_task(self._socket.run()), asyncio.create_task(self._http.run())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; what is still kept is lost with the player."""
        await self.close()

    async def close(self) -> None:
        """Hang up politely without leaving any stream; idempotent."""
        if self._socket is not None:
            await self._socket.hang_up()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        crashed = [task for task in self._tasks if not task.cancelled() and task.exception() is not None]
        self._tasks = []
        for stream in self._context.streams.values():
            if not stream.has_failed():
                stream.fail(Stopped("the player was closed"))
        if self._own_http is not None:
            await self._own_http.close()
        for task in crashed:
            task.result()

    # Streams.

    async def join(self, room: str, *, metadata: Metadata | None = None, session_id: str | None = None) -> PlayerStream:
        """Take part in a live class. Waits until the server holds the stream. Raises `Refused`, `Stopped`."""
        return await self._opened(self.open(RoomTarget(room, metadata), session_id))

    async def watch(
        self, kind: str, content_id: str, *, duration: float | None = None, session_id: str | None = None
    ) -> PlayerStream:
        """Begin or resume a watch session. Raises `Refused`, `Stopped`."""
        return await self._opened(self.open(ContentTarget(Content(kind, content_id), duration), session_id))

    def open(self, target: RoomTarget | ContentTarget, session_id: str | None = None) -> PlayerStream:
        """A stream at once, before the server knows of it: its samples are kept until it does."""
        self._refs += 1
        stream = PlayerStream(self._refs, target, self._context, Kept(self._keep), session_id)
        stream.by_http = self._by_http
        stream.nudge = self._nudge
        if self._socket is not None and self._socket.stopped is not None:
            stream.fail(self._socket.stopped)
        self._context.streams[stream.ref] = stream
        self._nudge()
        return stream

    async def _opened(self, stream: PlayerStream) -> PlayerStream:
        if not stream.by_http:  # over HTTP the first samples open the session
            try:
                await stream.held()
            except BaseException:
                self._context.streams.pop(stream.ref, None)
                raise
        return stream

    # The network and its moods.

    def cut(self) -> None:
        """The network is gone: both doors, abruptly."""
        self._online = False
        self._doors()[0].cut()
        self._doors()[1].cut()

    def restore(self) -> None:
        """The network is back: connect at once, resume, send what is owed."""
        self._online = True
        socket, http = self._doors()
        http.restore()
        if not self._by_http:
            socket.restore()

    def use_http(self) -> None:
        """No WebSocket gets through any more: drop it and post instead, in the same sessions."""
        socket, http = self._doors()
        self._by_http = True
        socket.cut()
        for stream in self._context.streams.values():
            stream.by_http = True
            stream.kept.rewind()
        http.serve_all(wanted=True)

    def use_socket(self) -> None:
        """Back to the WebSocket, in the same sessions."""
        socket, http = self._doors()
        self._by_http = False
        http.serve_all(wanted=False)
        for stream in self._context.streams.values():
            stream.by_http = stream.room_over
            stream.kept.rewind()
        if self._online:
            socket.restore()

    def vanish(self) -> None:
        """Go for ever without a word."""
        self.cut()
        for task in self._tasks:
            task.cancel()

    def _doors(self) -> tuple[SocketDoor, HttpDoor]:
        if self._socket is None or self._http is None:
            message = "the player is entered with `async with` first"
            raise Stopped(message)
        return self._socket, self._http

    def _nudge(self) -> None:
        socket, http = self._doors()
        socket.nudge()
        http.nudge()

    def _send_by_http(self, stream: PlayerStream) -> None:
        stream.by_http = True
        self._doors()[1].nudge()
