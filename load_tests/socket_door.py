"""The WebSocket door of a player: one connection after the other, until it is told to stop.

    offline --restore--> connecting --welcome--> serving --drop--> waiting --(back-off, bye, retry)--> connecting
       ^------------------------------cut-------------'

While serving, every stream is asked for (`join`, `watch`, with its `session_id` where it has one), then sends what is
unsent: a single fresh sample as `heartbeat`, more as `heartbeats`. A drop makes everything unacknowledged unsent again.
"""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from load_tests.backoff import stretched
from load_tests.facts import Asked, Dropped
from load_tests.hearing import Hearing
from load_tests.stream import ContentTarget, Context, PlayerStream, Refused, Stopped
from protocol import limits
from protocol.client_frames import ClientFrame, Heartbeat, Heartbeats, Hello, Join, Leave, Watch
from protocol.codes import CloseCode, ErrorCode
from protocol.sample import Sample

OPEN_TIMEOUT_S: Final = 10.0
WELCOME_TIMEOUT_S: Final = 10.0
FRESH_MS: Final = 5
"""A sample older than this does not go as `heartbeat`, whose `at` is read as the time of sending."""
ACK_PATIENCE_S: Final = 15.0
"""Unacknowledged for so long, samples are sent again: a message between two nodes may be lost on its way."""
_FRAME_ROOM: Final = limits.FRAME_BYTES - 1024
_UNREACHABLE: Final = (OSError, WebSocketException, TimeoutError)
_FINAL: Final[dict[int, str]] = {
    CloseCode.BAD_MESSAGE: "the server could not read this client",
    CloseCode.FORBIDDEN: "not allowed here",
}


class SocketDoor:
    """Holds the connection of one player."""

    def __init__(self, context: Context, *, token_in_header: bool, to_http: Callable[[PlayerStream], None]) -> None:
        self._context = context
        self._token_in_header = token_in_header
        self._to_http = to_http
        self._wanted = asyncio.Event()
        self._poke = asyncio.Event()
        self._work = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._hearing = Hearing(context, to_http=to_http, wake_sender=self._work.set)
        self._rejected = 0
        self._cut_by_us = False
        self._patience: dict[int, float] = {}
        self.stopped: Exception | None = None

    # What the player asks of it.

    def restore(self) -> None:
        """The network is there: connect."""
        self._wanted.set()
        self._poke.set()

    def cut(self) -> None:
        """The network is gone: reset the connection without a word, and stay away."""
        self._wanted.clear()
        if self._socket is None:
            return
        self._cut_by_us = True
        transport = self._socket.transport
        raw = transport.get_extra_info("socket")
        if raw is not None:  # RST instead of FIN: what a lost network looks like once the peer notices
            with suppress(OSError):  # the server may have closed it already
                raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        self._after_drop()

    async def hang_up(self) -> None:
        """Close politely, and stay away."""
        self._wanted.clear()
        self._poke.set()
        if self._socket is not None:
            self._cut_by_us = True
            await self._socket.close()

    def nudge(self) -> None:
        """There may be something to send."""
        self._work.set()

    async def run(self) -> None:
        """Hold a connection whenever one is wanted, until the server says that it is of no use."""
        try:
            await self._run()
        except Exception as error:
            self.stopped = error
            raise
        finally:
            if self.stopped is not None:
                for stream in self._context.streams.values():
                    stream.fail(self.stopped)

    async def _run(self) -> None:
        failures = 0
        while self.stopped is None:
            await self._wanted.wait()
            self._poke.clear()
            self._cut_by_us = False
            self._hearing = Hearing(self._context, to_http=self._to_http, wake_sender=self._work.set)
            try:
                await self._connection(self._hearing)
            except InvalidStatus as error:
                self._hearing.hint_s = _retry_after(error)
            except InvalidURI as error:
                self.stopped = error
            except _UNREACHABLE:
                pass
            self._after_drop()
            failures = 1 if self._hearing.welcomed else failures + 1
            if self._wanted.is_set() and self.stopped is None:
                await self._pause(failures)

    # One connection.

    async def _connection(self, hearing: Hearing) -> None:
        headers = {"Authorization": f"Bearer {self._context.token()}"} if self._token_in_header else None
        url = "ws" + self._context.base_url.removeprefix("http") + "/ws"
        socket = await connect(
            url,
            subprotocols=[Subprotocol(self._context.codec.name)],
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2.0,
            max_size=4 * 1024 * 1024,
            user_agent_header="rollcall-player",
        )
        if not self._wanted.is_set():  # cut while connecting
            socket.transport.abort()
            return
        self._socket = socket
        self._context.counters.connections += 1
        sender = asyncio.create_task(self._send_all(socket, hearing))
        sender.add_done_callback(lambda _: socket.transport.abort())  # one without the other is no connection
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S) as limit:
                while True:
                    hearing.hear(await socket.recv(decode=False))
                    if hearing.welcomed and limit.when() is not None:
                        limit.reschedule(None)
        except ConnectionClosed:
            self._closed_with(socket.close_code, hearing)
        finally:
            sender.cancel()
            await asyncio.wait({sender})  # not `await sender`: its cancellation must not be taken for ours
        if not sender.cancelled():
            sender.result()

    def _after_drop(self) -> None:
        """Everything in flight may be lost."""
        if self._socket is None:
            return
        self._socket = None
        self._context.counters.drops += 1
        self._context.tell(Dropped(self._cut_by_us))
        for stream in self._context.streams.values():
            if stream.number is not None or stream.asked:
                stream.lost()

    def _closed_with(self, code: int | None, hearing: Hearing) -> None:
        if hearing.welcomed:
            self._rejected = 0
        if code == CloseCode.UNAUTHENTICATED:  # one fresh token is worth a try
            self._rejected += 1
            if self._rejected > 1:
                self.stopped = Refused(ErrorCode.UNAUTHENTICATED, "the server refuses the token")
        elif code == CloseCode.TOO_BIG:
            for stream in self._context.streams.values():
                stream.batch_most = max(1, stream.batch_most // 2)
        elif code in _FINAL:
            self.stopped = Refused(str(code), _FINAL[code])
        elif code == CloseCode.NORMAL and not self._cut_by_us:
            self.stopped = Stopped(f"closed by the server ({hearing.bye.reason if hearing.bye else 'no reason told'})")

    async def _pause(self, failures: int) -> None:
        random = self._context.random
        told = self._hearing
        if told.bye is not None:
            wait = stretched(told.bye.reconnect_after_ms / 1000, random)
        elif told.hint_s is not None:
            wait = stretched(told.hint_s, random)
        else:
            wait = self._context.backoff.delay_s(failures, random)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._poke.wait()

    # Sending.

    async def _say(self, socket: ClientConnection, frame: ClientFrame) -> None:
        codec = self._context.codec
        await socket.send(codec.encode(frame), text=not codec.binary)

    async def _send_all(self, socket: ClientConnection, hearing: Hearing) -> None:
        context = self._context
        token = None if self._token_in_header else context.token()
        with suppress(*_UNREACHABLE):  # the reader sees the end of the connection too, and deals with it
            await self._say(socket, Hello(token=token, device_id=context.device_id))
            while True:
                self._work.clear()
                if hearing.welcomed:
                    for stream in list(context.streams.values()):
                        await self._serve(socket, stream)
                with suppress(TimeoutError):
                    async with asyncio.timeout(ACK_PATIENCE_S / 4):
                        await self._work.wait()

    async def _serve(self, socket: ClientConnection, stream: PlayerStream) -> None:
        now = asyncio.get_running_loop().time()
        if socket is not self._socket:  # cut: what is said now is lost, and must not count as said
            return
        if stream.has_failed() or stream.by_http or now < stream.not_before:
            return
        if stream.number is None:
            if not stream.asked:
                stream.asked = True
                self._context.tell(Asked(stream.ref))
                await self._say(socket, _request(stream))
            return
        self._lose_patience(stream, now)
        while stream.kept.unsent_count and stream.is_open(now):
            frame, batch = self._batch(stream, stream.number)
            stream.was_sent(batch, asyncio.get_running_loop().time())
            await self._say(socket, frame)
        if stream.leaving and not stream.kept and stream.is_open(now):
            await self._say(socket, Leave(stream=stream.number))
            self._context.streams.pop(stream.ref, None)
            stream.gone()

    def _batch(self, stream: PlayerStream, number: int) -> tuple[ClientFrame, list[Sample]]:
        batch = stream.kept.unsent(min(stream.batch_most, limits.SAMPLES_PER_FRAME))
        now_ms = self._context.clock()
        if len(batch) == 1 and 0 <= now_ms - batch[0].at <= FRESH_MS:
            fields: dict[str, Any] = msgspec.structs.asdict(batch[0])
            return Heartbeat(stream=number, **fields), batch
        while True:
            frame = Heartbeats(stream=number, sent_at=now_ms, samples=batch)
            if len(batch) == 1 or len(self._context.codec.encode(frame)) <= _FRAME_ROOM:
                return frame, batch
            batch = batch[: len(batch) // 2]

    def _lose_patience(self, stream: PlayerStream, now: float) -> None:
        oldest = stream.oldest_in_flight()
        if oldest is None:
            self._patience.pop(stream.ref, None)
            return
        patience = self._patience.get(stream.ref, ACK_PATIENCE_S)
        if now - oldest > patience:
            self._patience[stream.ref] = patience * 2
            stream.kept.rewind()


def _request(stream: PlayerStream) -> ClientFrame:
    target = stream.target
    if isinstance(target, ContentTarget):
        return Watch(ref=stream.ref, content=target.content, session_id=stream.session_id, duration=target.duration)
    return Join(ref=stream.ref, room=target.room, metadata=target.metadata, session_id=stream.session_id)


def _retry_after(error: InvalidHandshake) -> float | None:
    if not isinstance(error, InvalidStatus):
        return None
    text = error.response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
