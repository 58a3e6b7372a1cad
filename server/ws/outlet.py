"""What goes out on one WebSocket, in order, and how it ends (realtime.md, "WebSocket").

The outbox is what the socket has not taken. A reader that falls `OUTBOX_BYTES` behind is closed with 4409; it loses
nothing, for what it was not told is durable or will be sent again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from picows import WSListener, WSMsgType, WSTransport  # pyright: ignore[reportMissingTypeStubs]

from protocol.codec import Codec
from protocol.codes import BYE_CLOSE, ByeReason, CloseCode
from protocol.server_frames import Ack, Bye, Error, ServerFrame
from server.desk import Denied

if TYPE_CHECKING:
    from server.ws.hub import Hub

DROP_AFTER_CLOSE_S: Final = 1.0
CUT_SLOW_AFTER_S: Final = 5.0
SMALL_BYTES: Final = 1_000
"""What goes through picows' own buffer, which keeps the size of the largest frame that it ever held."""
HEADER_ROOM: Final = bytes(14)
"""Where picows writes the frame's header when the buffer is ours."""
TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY


class Outlet(WSListener):
    """The way out of a client's socket."""

    __slots__ = ("_closing", "_slow", "codec", "evidence", "gone", "hub", "transport")

    def __init__(self, hub: Hub, codec: Codec) -> None:
        self.hub = hub
        self.codec = codec
        self.transport: WSTransport | None = None
        self.evidence: int | None = None
        """When the client was last there, where that is not the moment of the close."""
        self.gone = False
        self._closing = False
        self._slow = False

    @property
    def open(self) -> bool:
        """Neither gone nor on its way out."""
        return not (self.gone or self._closing)

    def send(self, frame: ServerFrame) -> None:
        """One frame for this client."""
        self.send_encoded(self.codec.encode(frame))

    def send_encoded(self, data: bytes) -> None:
        """One frame, already encoded."""
        transport = self.transport
        if transport is None or self._closing:
            return
        kind = BINARY if self.codec.binary else TEXT
        if len(data) <= SMALL_BYTES:
            transport.send(kind, data)
        else:
            transport.send_reuse_external_bytearray(kind, bytearray(HEADER_ROOM) + data, len(HEADER_ROOM))
        if self._slow:
            self._check_outbox(transport)

    def ack(self, stream: int, seq: int, interval: int) -> None:
        """Everything up to `seq` is durable."""
        self.hub.counted.acked += 1
        if interval:
            self.send(Ack(stream, seq, interval / 1000))
        elif self.codec.binary:
            self.send_encoded(self.codec.encode(Ack(stream, seq)))
        else:
            self.send_encoded(b'{"type":"ack","stream":%d,"seq":%d}' % (stream, seq))

    def pause_writing(self) -> None:
        """The socket takes no more for now; from here on the outbox is counted."""
        self._slow = True
        if self.transport is not None:
            self._check_outbox(self.transport)

    def resume_writing(self) -> None:
        """The outbox has emptied."""
        self._slow = False

    def _check_outbox(self, transport: WSTransport) -> None:
        if transport.underlying_transport.get_write_buffer_size() > self.hub.limits.outbox_bytes:
            self.hub.counts["too_slow"] += 1
            self.close(CloseCode.TOO_SLOW, "reads too slowly")

    def refuse(self, denied: Denied, ref: str | int | None = None, stream: int | None = None) -> None:
        """An `error` frame."""
        frame = Error(denied.code, denied.message)
        if ref is not None:
            frame = Error(denied.code, denied.message, ref=ref)
        if stream is not None:
            frame = Error(frame.code, frame.message, frame.ref, stream)
        if denied.retry_after is not None:
            frame = Error(frame.code, frame.message, frame.ref, frame.stream, denied.retry_after)
        self.send(frame)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Send the close code behind all that is queued, then read and drop until it had time to arrive."""
        transport = self.transport
        if transport is None or self._closing:
            return
        self._closing = True
        self.evidence = self.hub.clock.now()
        transport.send_close(code.value, reason.encode()[:120])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        if self._slow:
            # Its buffer may never empty: cut it.
            asyncio.get_running_loop().call_later(CUT_SLOW_AFTER_S, _cut, transport)
        else:
            asyncio.get_running_loop().call_later(DROP_AFTER_CLOSE_S, end, transport)

    def bye(self, reason: ByeReason, reconnect_after_ms: int = 0) -> None:
        """Say farewell and close."""
        self.send(Bye(reason, reconnect_after_ms))
        self.close(BYE_CLOSE[reason], reason.value)


def end(transport: WSTransport) -> None:
    """Nothing more is written; what is queued still goes out."""
    transport.underlying_transport.end()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - a `Lingering`


def _cut(transport: WSTransport) -> None:
    if not transport.is_disconnected:
        transport.disconnect(graceful=False)
