"""One port for WebSocket and HTTP: the first bytes of a connection decide (docs/decisions/0003).

    GET /ws[ ?]...   picows, which costs half of what aiohttp does per message
    anything else    aiohttp

picows' `WSProtocol` and the way it takes its first bytes are not public API: everything that rests on them is in this
file, and the version is pinned to the minor. A client that does not send its first bytes in time is closed.

picows closes a socket 10 ms after it has told why; if the client is still sending, the kernel then resets the
connection and what was told is lost. So it is given a `Lingering` transport, which reads and drops for a second first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, cast
from urllib.parse import urlsplit

from picows import (  # pyright: ignore[reportMissingTypeStubs]
    WSAutoPingStrategy,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

from protocol.codec import CODECS, JSON, Codec

FIRST_BYTES_S: Final = 5.0
UPGRADE_S: Final = 5.0
READ_BUFFER_BYTES: Final = 2048
PATH: Final = b"GET /ws"
LINGER_S: Final = 1.0
DROP_BYTES: Final = 65_536

# An adapter is shared as it is; a plain logger would make picows create one per connection (15 KB each).
_QUIET: Final = logging.LoggerAdapter(logging.getLogger("picows.server"), {})

ListenerFactory = Callable[[Codec, str | None, str], WSListener]


class Upgrades:
    """Decides over upgrade requests."""

    def __init__(self, make: ListenerFactory, *, allowed_origins: frozenset[str], frame_bytes: int) -> None:
        self._make = make
        self._allowed_origins = allowed_origins
        self._frame_bytes = frame_bytes

    def protocol(self, address: str) -> asyncio.BufferedProtocol:
        """A picows protocol for one connection."""

        def listener(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return self._answer(request, address)

        protocol = WSProtocol(  # pyright: ignore[reportUnknownVariableType]
            None,
            None,
            False,  # noqa: FBT003 - positional in picows: is_client_side
            listener,
            _QUIET,
            True,  # noqa: FBT003 - disconnect_on_exception
            UPGRADE_S,
            False,  # noqa: FBT003 - enable_auto_ping: a task per connection; the hub pings
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # noqa: FBT003 - enable_auto_pong: a ping is evidence of presence, so we must see it
            self._frame_bytes,
            None,
            READ_BUFFER_BYTES,
        )
        return cast("asyncio.BufferedProtocol", protocol)

    def _answer(self, request: WSUpgradeRequest, address: str) -> WSUpgradeResponseWithListener:
        headers = request.headers
        if any(member.lower() == "upgrade" for member in _listed(headers.getall("Connection", ()))):
            # picows knows no list here, and Firefox sends `keep-alive, Upgrade`.
            headers["Connection"] = "Upgrade"
        if not self._origin_allowed(headers.get("Origin"), headers.get("Host")):
            return _refuse(403, b"this origin may not open a WebSocket here")
        if not headers.get("Sec-WebSocket-Version", "").isascii():
            # picows would repeat it in its refusal, and fail to encode that.
            return _refuse(400, b"Sec-WebSocket-Version must be 13")
        offered = _listed(headers.getall("Sec-WebSocket-Protocol", ()))
        codec = next((CODECS[name] for name in offered if name in CODECS), None)
        if offered and codec is None:
            return _refuse(400, b"unknown subprotocol: use rollcall.v1.json or rollcall.v1.msgpack")
        extra = {"Sec-WebSocket-Protocol": codec.name} if codec is not None else None
        response = WSUpgradeResponse.create_101_response(extra)
        listener = self._make(codec or JSON, _bearer(headers.get("Authorization")), address)
        return WSUpgradeResponseWithListener(response, listener)

    def _origin_allowed(self, origin: str | None, host: str | None) -> bool:
        """Browsers name their page: ours (same host) and the allow-list may; programs name none."""
        if origin is None or origin in self._allowed_origins or "*" in self._allowed_origins:
            return True
        try:
            netloc = urlsplit(origin).netloc
        except ValueError:
            return False
        return bool(netloc) and netloc == host


def _listed(lines: Iterable[str]) -> list[str]:
    """The members of a comma-separated header, which may stand on several lines."""
    return [member.strip() for line in lines for member in line.split(",") if member.strip()]


def _refuse(status: int, reason: bytes) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, reason), None)


def _bearer(header: str | None) -> str | None:
    if header is None or header[:7].lower() != "bearer ":
        return None
    return header[7:].strip() or None


class FirstBytes(asyncio.Protocol):
    """Looks at the first bytes and hands the connection on."""

    __slots__ = ("_buffer", "_http", "_timer", "_transport", "_upgrades")

    def __init__(self, upgrades: Upgrades, http: Callable[[], Any]) -> None:
        self._upgrades = upgrades
        self._http = http
        self._buffer = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(FIRST_BYTES_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It left before it said anything."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """The first bytes, or some more of them."""
        self._buffer += data
        head = self._buffer[: len(PATH) + 1]
        if len(head) <= len(PATH) and PATH.startswith(head):
            return
        if self._timer is not None:
            self._timer.cancel()
        socketlike = head[:-1] == PATH and head[-1:] in (b" ", b"?")
        self._hand_over(self._upgrade() if socketlike else self._http())

    def _upgrade(self) -> asyncio.BufferedProtocol:
        peer: tuple[str, int] | str | None = self._transport.get_extra_info("peername")
        return self._upgrades.protocol(peer[0] if isinstance(peer, tuple) else "")

    def _hand_over(self, protocol: Any) -> None:  # noqa: ANN401 - a buffered or a streaming protocol
        transport, data = self._transport, self._buffer
        self._buffer = b""
        # uvloop chooses the way of reading when reading begins, so it begins anew.
        transport.pause_reading()
        transport.set_protocol(protocol)
        if isinstance(protocol, asyncio.BufferedProtocol):
            protocol.connection_made(Lingering(transport))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            _feed(transport, protocol, data)
        else:
            protocol.connection_made(transport)
            protocol.data_received(data)
        if not transport.is_closing():
            transport.resume_reading()


def _feed(transport: asyncio.Transport, protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give a buffered protocol bytes that were read before it, while it takes any."""
    view = memoryview(data)
    while view and transport.get_protocol() is protocol and not transport.is_closing():
        buffer = memoryview(protocol.get_buffer(len(view)))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        protocol.buffer_updated(size)
        view = view[size:]


class Lingering:
    """A transport whose `close` reads and drops for a second; `end` closes as soon as all is written."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close once the client has, or after `LINGER_S`."""
        transport = self._transport
        protocol: Any = transport.get_protocol()
        if transport.is_closing() or isinstance(protocol, _Dropping):
            return
        transport.set_protocol(_Dropping(transport, protocol))
        if not protocol.transport.is_close_frame_sent:
            # An HTTP answer ends here. A close frame must not be followed by an end at once: proxies pass that on, and
            # reset a client which is still sending.
            transport.write_eof()

    def end(self) -> None:
        """Close behind what is queued."""
        self._transport.close()


class _Dropping(asyncio.BufferedProtocol):
    """Reads for a protocol that has nothing more to hear."""

    __slots__ = ("_protocol", "_timer")

    _bin: Final = bytearray(DROP_BYTES)
    """Shared by all: nobody reads it."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.close)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        return self._bin

    def buffer_updated(self, nbytes: int) -> None:
        """Dropped."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._protocol.connection_lost(exc)
