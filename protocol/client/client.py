"""The client: one user on one device, over one connection or by posts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from random import Random
from ssl import SSLContext
from types import TracebackType
from typing import Final, Literal, Self, TypeVar, overload

import aiohttp

from protocol.client.backoff import SOCKET_RETRY, Backoff
from protocol.client.clock import steady_clock
from protocol.client.context import ContentTarget, Context, RoomTarget
from protocol.client.errors import Closed, RollcallError, Unacknowledged
from protocol.client.facts import Counters, DoorChanged, Fact
from protocol.client.http_door import HttpDoor
from protocol.client.kept import Kept
from protocol.client.requests import Requests
from protocol.client.room import RoomStream
from protocol.client.socket_door import SocketDoor
from protocol.client.stream import Stream
from protocol.client.tokens import TokenProvider, Tokens
from protocol.client_frames import ClientInfo
from protocol.codec import JSON, MSGPACK
from protocol.types import Content, Metadata, canonical_id, check_metadata

AnyStream = TypeVar("AnyStream", bound=Stream)
Encoding = Literal["json", "msgpack"]
Transport = Literal["auto", "websocket", "http"]

BUFFER_SIZE: Final = 10_000
"""Samples kept per stream: over a day at one every ten seconds, which is as old as a sample may be."""
CLOSE_TIMEOUT_S: Final = 10.0
SOCKET_ATTEMPTS: Final = 3
CLIENT: Final = ClientInfo(name="rollcall-python", version="1")


def _ignore(_fact: Fact) -> None:
    pass


class Client:
    """One user on one device. Enter it as an async context: leaving that waits for the server, see `close`."""

    def __init__(  # noqa: PLR0913 - all but the first two have defaults
        self,
        url: str,
        token: str | TokenProvider,
        *,
        device_id: str | None = None,
        transport: Transport = "auto",
        encoding: Encoding = "json",
        token_in_header: bool = False,
        buffer_size: int = BUFFER_SIZE,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        socket_attempts: int = SOCKET_ATTEMPTS,
        socket_retry: Backoff = SOCKET_RETRY,
        backoff: Backoff | None = None,
        http: aiohttp.ClientSession | None = None,
        trust_env: bool = False,
        ssl: SSLContext | None = None,
        counters: Counters | None = None,
        listener: Callable[[Fact], None] = _ignore,
        clock: Callable[[], int] | None = None,
        random: Random | None = None,
    ) -> None:
        """Nothing is connected yet.

        `url`: the server's (http, https, ws, wss). `token`: a JWT, or a function, plain or async, that gives one; it is
        asked again when the server refuses a token and before one expires. `device_id` tells a user's devices apart:
        keep it the same on the same device; made up where it is left out.

        `transport` `auto`: the WebSocket; after `socket_attempts` failures in a row, or at once where something in
        between refuses upgrades, posts over HTTP, provided that those are answered; meanwhile the WebSocket is tried
        again at `socket_retry`. `buffer_size`: samples kept per stream until the server has them, then `BufferFull`.

        `ssl`: the certificates to trust, else the system's. `trust_env`: proxies of the environment are used. `http`: a
        session to post with, which must bring both of its own. `listener` hears `Fact`s as they happen, `counters`
        counts. `clock` gives Unix ms; it may be wrong, but should run evenly. `random` spreads the waits.
        """
        base = url.rstrip("/")
        self._context = Context(
            base_url="http" + base[2:] if base.startswith("ws") else base,
            tokens=Tokens(token),
            codec=JSON if encoding == "json" else MSGPACK,
            device_id=device_id or uuid.uuid4().hex,
            clock=clock or steady_clock(),
            random=random or Random(),  # noqa: S311 - spreads waits, guards nothing
            backoff=backoff or Backoff(),
            counters=counters or Counters(),
            listener=listener,
            requests=Requests(),
            nudge=self._nudge,
            all_by_http=transport == "http",
        )
        self._transport: Transport = transport
        self._buffer_size = buffer_size
        self._close_timeout_s = close_timeout_s
        self._socket_attempts = socket_attempts
        self._socket_retry = socket_retry
        self._token_in_header = token_in_header
        self._trust_env = trust_env
        self._ssl = ssl
        self._given_http = http
        self._own_http: aiohttp.ClientSession | None = None
        self._refs = 0
        self._socket: SocketDoor | None = None
        self._http: HttpDoor | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """`connect`."""
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """`close`; behind an exception its own stands, and what was not acknowledged is not raised on top of it."""
        try:
            await self.close()
        except Unacknowledged:
            if error is None:
                raise

    async def connect(self) -> None:
        """Open it: connecting goes on in the background, and a server that is away is waited for.

        For those who cannot say `async with`; then `close` is theirs to call. A client is opened once: raises `Closed`.
        """
        if self._socket is not None:
            raise Closed("a client is opened once: make another")
        if self._given_http is None:
            connector = None if self._ssl is None else aiohttp.TCPConnector(ssl=self._ssl)
            self._own_http = aiohttp.ClientSession(connector=connector, trust_env=self._trust_env)
        session = self._given_http or self._own_http
        assert session is not None
        self._http = HttpDoor(self._context, session, on_lost=self._http_lost, on_rejected=self._stop)
        self._socket = SocketDoor(
            self._context,
            CLIENT,
            token_in_header=self._token_in_header,
            trust_env=self._trust_env,
            ssl=self._ssl,
            retry=self._socket_retry,
            on_welcome=self._to_socket,
            on_failure=self._socket_failed if self._transport == "auto" else None,
        )
        if self._transport != "http":
            self._socket.restore()
        self._tasks = [asyncio.create_task(self._socket.run()), asyncio.create_task(self._http.run())]

    async def close(self, *, timeout_s: float | None = None, leave: bool = True) -> None:
        """Wait until everything is acknowledged, leave every stream, hang up. Idempotent.

        `leave=False` only hangs up: the server keeps users in their rooms for its grace (20 s), and a program that
        starts again may go on with the sessions by their `session_id`. Raises `Unacknowledged` where `timeout_s`
        (the client's `close_timeout_s`) was not enough, once everything is closed.
        """
        if not self._tasks:
            return
        open_streams = [stream for stream in self._context.streams.values() if not stream.has_failed()]
        try:
            async with asyncio.timeout(self._close_timeout_s if timeout_s is None else timeout_s):
                await asyncio.gather(*(_settle(stream, leave=leave) for stream in open_streams))
        except TimeoutError:
            pass  # told below, where samples are owed
        finally:
            await self.abort()
        owed = sum(stream.unacknowledged for stream in open_streams)
        if owed:
            raise Unacknowledged(owed)

    async def abort(self) -> None:
        """Hang up at once. What is not acknowledged is lost with the client, and the streams are not left."""
        if self._socket is not None:
            await self._socket.hang_up()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        crashed = [task for task in self._tasks if not task.cancelled() and task.exception() is not None]
        self._tasks = []
        for stream in list(self._context.streams.values()):
            if not stream.has_failed():
                stream.fail(Closed("the client was closed"))
        if self._own_http is not None:
            await self._own_http.close()
        for task in crashed:
            task.result()

    # Streams.

    async def join(
        self, room: str | int, *, metadata: Metadata | None = None, session_id: str | None = None
    ) -> RoomStream:
        """Take part in a live class; returns once the server holds the stream (by HTTP: once the server answers).

        `session_id` goes on with a session of a former life of this program. Raises `Refused` (`Forbidden`, `NotFound`,
        `RoomCancelled`), `Closed`, `ValueError` where this client is in the room already, `msgspec.ValidationError`
        for metadata over 1 KiB.
        """
        check_metadata(metadata)
        return await self._opened(self.open(RoomTarget(canonical_id(room), metadata), session_id))

    async def observe(self, room: str | int) -> RoomStream:
        """See a room without being in it (staff): its `presence`. Needs the WebSocket. Raises as `join`."""
        if self._transport == "http":
            message = "observing needs the WebSocket"
            raise ValueError(message)
        return await self._opened(self.open(RoomTarget(canonical_id(room), observe=True)))

    async def watch(
        self, kind: str, content_id: str | int, *, duration: float | None = None, session_id: str | None = None
    ) -> Stream:
        """Begin a watch session, or go on with `session_id`. `duration` of the media in seconds. Raises as `join`."""
        content = Content(kind, canonical_id(content_id))
        return await self._opened(self.open(ContentTarget(content, duration), session_id))

    @overload
    def open(self, target: RoomTarget, session_id: str | None = None) -> RoomStream: ...

    @overload
    def open(self, target: ContentTarget, session_id: str | None = None) -> Stream: ...

    def open(self, target: RoomTarget | ContentTarget, session_id: str | None = None) -> Stream:
        """A stream at once, before the server knows of it: its samples are kept until it does. Raises `ValueError`."""
        socket, _ = self._doors()
        if not self._tasks:
            raise Closed("the client was closed")
        if any(_place(one.target) == _place(target) for one in self._context.streams.values()):
            message = f"this client is there already: {target}"
            raise ValueError(message)
        self._refs += 1
        kept = Kept(self._buffer_size)
        stream = (
            RoomStream(self._refs, target, self._context, kept, session_id)
            if isinstance(target, RoomTarget)
            else Stream(self._refs, target, self._context, kept, session_id)
        )
        self._context.streams[stream.ref] = stream
        if socket.stopped is not None:
            stream.fail(socket.stopped)
        self._nudge()
        return stream

    async def _opened(self, stream: AnyStream) -> AnyStream:
        try:
            await stream.reached(lambda: stream.number is not None or stream.by_http)
        except BaseException:
            self._context.streams.pop(stream.ref, None)
            raise
        return stream

    # The two doors.

    @property
    def transport(self) -> Literal["websocket", "http"] | None:
        """What carries samples now; None while neither is known to work."""
        if self._socket is not None and self._socket.connected:
            return "websocket"
        return "http" if self._context.all_by_http and self._context.http_works else None

    async def _socket_failed(self, failures: int, blocked: bool) -> None:  # noqa: FBT001 - called by the door alone
        _, http = self._doors()
        enough = blocked or failures >= self._socket_attempts
        if enough and not self._context.all_by_http and await http.probe():
            self._go_by(http=True)

    def _http_lost(self) -> None:
        self._doors()[0].poke()

    def _to_socket(self) -> None:
        if self._context.all_by_http:
            self._go_by(http=False)

    def _go_by(self, *, http: bool) -> None:
        self._context.all_by_http = http
        for stream in self._context.streams.values():
            stream.kept.rewind()
            stream.changed()
        self._context.listener(DoorChanged(http))
        self._nudge()

    def _stop(self, error: Exception) -> None:
        self._doors()[0].stop(error)

    def _doors(self) -> tuple[SocketDoor, HttpDoor]:
        if self._socket is None or self._http is None:
            message = "the client is opened first, with `async with` or `connect`"
            raise Closed(message)
        return self._socket, self._http

    def _nudge(self) -> None:
        if self._socket is not None and self._http is not None:
            self._socket.nudge()
            self._http.nudge()


def _place(target: RoomTarget | ContentTarget) -> tuple[str, str]:
    if isinstance(target, RoomTarget):
        return "room", target.room
    return f"content {target.content.kind}", canonical_id(target.content.id)


async def _settle(stream: Stream, *, leave: bool) -> None:
    """Everything acknowledged, and left. One that is refused meanwhile is over as well."""
    with suppress(RollcallError):
        await stream.acknowledged()
        if leave:
            await stream.leave()
