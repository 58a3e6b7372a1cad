"""The WebSocket door: one connection after the other, until it is told to stop.

    offline --restore--> connecting --welcome--> serving --drop--> waiting --(back-off, bye, retry)--> connecting
       ^------------------------------cut-------------'

While serving, every stream is asked for (`join`, `watch`, with its `session_id` where it has one), then sends what is
unsent: a single fresh sample as `heartbeat`, more as `heartbeats`. A drop makes everything unacknowledged unsent again.

| close code | what this client does |
| --- | --- |
| 1000 (`bye` replaced, ended), 4403 (kicked), 4400 | stops for good, with `Closed` or `Refused` |
| 1012 (`bye` draining) | comes back after `reconnect_after_ms`, stretched by up to a quarter |
| 4401 | asks for a fresh token once, then stops with `Unauthenticated` |
| 1009 | sends batches of half the size |
| 4429 | speaks at half the speed |
| 4408, 4409, 1011, others, none | comes back with back-off |
"""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ssl import SSLContext
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHeader,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from protocol.client.backoff import SOCKET_RETRY, Backoff, stretched
from protocol.client.context import Context
from protocol.client.errors import Closed, Unauthenticated, refusal
from protocol.client.facts import Dropped
from protocol.client.hearing import Hearing
from protocol.client.pace import Pace
from protocol.client.speaking import Speaking
from protocol.client_frames import ClientInfo
from protocol.codes import CloseCode, ErrorCode

OPEN_TIMEOUT_S: Final = 10.0
WELCOME_TIMEOUT_S: Final = 10.0
_UNREACHABLE: Final = (OSError, WebSocketException, TimeoutError, msgspec.DecodeError)
_PASSING: Final = frozenset({408, 425, 429})
_FINAL: Final[dict[int, tuple[str, str]]] = {
    CloseCode.BAD_MESSAGE: (ErrorCode.BAD_MESSAGE, "the server could not read this client"),
    CloseCode.FORBIDDEN: (ErrorCode.FORBIDDEN, "not allowed here"),
}


class SocketDoor:
    """Holds the connection of one client."""

    def __init__(
        self,
        context: Context,
        client: ClientInfo,
        *,
        token_in_header: bool = False,
        trust_env: bool = False,
        ssl: SSLContext | None = None,
        retry: Backoff = SOCKET_RETRY,
        on_welcome: Callable[[], None] = lambda: None,
        on_failure: Callable[[int, bool], Awaitable[None]] | None = None,
    ) -> None:
        """`on_failure(failures, blocked)`: no connection, so often in a row; something in between refuses upgrades."""
        self._context = context
        self._client = client
        self._token_in_header = token_in_header
        self._trust_env = trust_env
        self._tls: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
        self._retry = retry
        self._on_welcome = on_welcome
        self._on_failure = on_failure
        self._wanted = asyncio.Event()
        self._poke = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._speaking: Speaking | None = None
        self._hearing = self._new_hearing()
        self._pace = Pace(asyncio.get_running_loop().time())
        self._cut_by_us = False
        self._blocked = False
        self._token = ""
        self.stopped: Exception | None = None

    # What the client asks of it.

    @property
    def connected(self) -> bool:
        """Whether a connection serves."""
        return self._socket is not None and self._hearing.welcomed

    def restore(self) -> None:
        """The network is there: connect."""
        self._wanted.set()
        self._poke.set()

    def poke(self) -> None:
        """Wait no longer, where it waits."""
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

    def stop(self, error: Exception) -> None:
        """It is of no use any more: hang up, and fail every stream."""
        self.stopped = self.stopped or error
        self._wanted.clear()
        self._poke.set()
        if self._socket is not None:
            self._cut_by_us = True
            self._socket.transport.abort()
        for stream in list(self._context.streams.values()):
            stream.fail(self.stopped)

    def nudge(self) -> None:
        """There may be something to send."""
        if self._speaking is not None:
            self._speaking.nudge()

    async def run(self) -> None:
        """Hold a connection whenever one is wanted, until the server says that it is of no use."""
        try:
            await self._run()
        except Exception as error:
            self.stop(error)
            raise
        if self.stopped is not None:
            self.stop(self.stopped)

    def _new_hearing(self) -> Hearing:
        return Hearing(self._context, on_welcome=self._welcomed)

    def _welcomed(self) -> None:
        if self._speaking is not None:
            self._speaking.welcomed()
        self._on_welcome()

    async def _run(self) -> None:
        failures = 0
        while self.stopped is None:
            await self._wanted.wait()
            self._poke.clear()
            self._cut_by_us = self._blocked = False
            self._hearing = self._new_hearing()
            await self._try()
            self._after_drop()
            if self._hearing.welcomed:
                self._poke.clear()  # it was about this connection
            failures = 1 if self._hearing.welcomed else failures + 1
            if not self._hearing.welcomed and self._on_failure is not None and self._wanted.is_set():
                await self._on_failure(failures, self._blocked)
            if self._wanted.is_set() and self.stopped is None:
                await self._pause(failures)

    async def _try(self) -> None:
        try:
            await self._connection(self._hearing)
        except InvalidStatus as error:
            status = error.response.status_code
            self._blocked = status < 500 and status not in _PASSING  # noqa: PLR2004 - what a server calls its own fault
            self._hearing.hint_s = _retry_after(error)
        except InvalidURI as error:
            self.stopped = error
        except (InvalidUpgrade, InvalidHeader):
            self._blocked = True
        except _UNREACHABLE:
            pass

    # One connection.

    async def _connection(self, hearing: Hearing) -> None:
        self._token = await self._context.tokens.current()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token_in_header else None
        url = "ws" + self._context.base_url.removeprefix("http") + "/ws"
        socket = await connect(
            url,
            subprotocols=[Subprotocol(self._context.codec.name)],
            additional_headers=headers,
            compression=None,
            proxy=True if self._trust_env else None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=2.0,
            max_size=4 * 1024 * 1024,
            user_agent_header=f"{self._client.name}/{self._client.version}",
            **self._tls,
        )
        if not self._wanted.is_set():  # cut while connecting
            socket.transport.abort()
            return
        self._socket = socket
        self._context.counters.connections += 1
        self._pace.begin(asyncio.get_running_loop().time())
        speaking = self._speaking = Speaking(self._context, socket, hearing, self._pace, self._token)
        sender = asyncio.create_task(speaking.speak(self._client, token_in_header=self._token_in_header))
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
            socket.transport.abort()
            await asyncio.wait({sender})  # not `await sender`: its cancellation must not be taken for ours
        if not sender.cancelled():
            sender.result()

    def _after_drop(self) -> None:
        """Everything in flight may be lost."""
        if self._socket is None:
            return
        if self._speaking is not None:
            self._token, self._speaking.mute = self._speaking.token, True
        self._socket = self._speaking = None
        self._context.counters.drops += 1
        self._context.listener(Dropped(self._cut_by_us))
        for stream in self._context.streams.values():
            if stream.number is not None or stream.asked:
                stream.lost()

    def _closed_with(self, code: int | None, hearing: Hearing) -> None:
        if code == CloseCode.UNAUTHENTICATED:
            token = self._token if self._speaking is None else self._speaking.token
            if not self._context.tokens.refused(token):
                self.stopped = Unauthenticated(ErrorCode.UNAUTHENTICATED, "the server refuses the token")
        elif code == CloseCode.TOO_BIG:
            for stream in self._context.streams.values():
                stream.batch_most = max(1, stream.batch_most // 2)
        elif code == CloseCode.TOO_MANY_MESSAGES:
            self._pace.slow_down()
        elif code in _FINAL:
            self.stopped = refusal(*_FINAL[code])
        elif code == CloseCode.NORMAL and not self._cut_by_us:
            self.stopped = Closed(f"closed by the server ({hearing.bye.reason if hearing.bye else 'no reason told'})")

    async def _pause(self, failures: int) -> None:
        random = self._context.random
        told = self._hearing
        if told.bye is not None:
            wait = stretched(told.bye.reconnect_after_ms / 1000, random)
        elif told.hint_s is not None:
            wait = stretched(told.hint_s, random)
        elif self._context.all_by_http and self._context.http_works:
            wait = self._retry.delay_s(failures, random)
        else:
            wait = self._context.backoff.delay_s(failures, random)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._poke.wait()


def _retry_after(error: InvalidStatus) -> float | None:
    text = error.response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
