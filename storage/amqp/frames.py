"""Between the socket and the driver: message properties that the driver cannot read are left out.

The driver decodes the properties of a message before anybody sees it, and ends the connection over one that does not
fit: a timestamp in microseconds (the year 55840), a name that is not UTF-8. The broker would deliver that message again
to the next connection, and so for ever: one loose producer would stop the queue (events.md: a bad message never blocks
it). So whole frames are taken from the socket here, and a content header is written anew without such properties.

The body is never touched. What a frame is: AMQP 0-9-1, 2.3.5 and 2.3.5.2.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp import constants, decode
from yarl import URL

_HEAD: Final = struct.Struct(">BHI")
_CONTENT: Final = struct.Struct(">HHQH")
_SIZE: Final = struct.Struct(">I")
_KINDS: Final = (constants.FRAME_METHOD, constants.FRAME_HEADER, constants.FRAME_BODY, constants.FRAME_HEARTBEAT)
_CONTINUED: Final = 1
"""The flag that more flags follow: no property has one there."""
_TOO_DEEP: Final = 2_000
"""Bytes of the table of headers. Longer ones may be nested deeper than the driver can follow, and nobody needs them."""
UNREADABLE: Final = (ValueError, OverflowError, OSError, TypeError, KeyError, IndexError, struct.error, RecursionError)


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise ValueError("ends behind the frame")
    return end


def _short(data: bytes, at: int) -> int:
    """Return the end of a short string, as all of these return where theirs is. Raises one of UNREADABLE."""
    end = _within(data, at + 1 + data[at])
    data[at + 1 : end].decode()
    return end


def _octet(data: bytes, at: int) -> int:
    return _within(data, at + 1)


def _table(data: bytes, at: int) -> int:
    end = _within(data, at + 4 + int(_SIZE.unpack_from(data, at)[0]))
    if end - at > _TOO_DEEP:
        raise ValueError("too long to be followed")
    decode.field_table(data[at:end])
    return end


def _timestamp(data: bytes, at: int) -> int:
    end = _within(data, at + 8)
    decode.timestamp(data[at:end])
    return end


_PROPERTIES: Final[tuple[Callable[[bytes, int], int], ...]] = (
    _short,  # content type, the highest bit
    _short,  # content encoding
    _table,  # headers
    _octet,  # delivery mode
    _octet,  # priority
    _short,  # correlation id
    _short,  # reply to
    _short,  # expiration
    _short,  # message id
    _timestamp,
    _short,  # type
    _short,  # user id
    _short,  # app id
    _short,  # cluster id
)
"""How to read each property, in their order: bit 15 downwards."""


def readable(payload: bytes) -> bytes:
    """Return a content header's payload without the properties that cannot be read; the same object where all can."""
    channel_class, weight, body_size, flags = _CONTENT.unpack_from(payload)
    if flags & _CONTINUED:
        return _CONTENT.pack(channel_class, weight, body_size, 0)
    at, kept, left, bit = _CONTENT.size, list[bytes](), flags, 1 << 16
    for read in _PROPERTIES:
        bit >>= 1
        if not flags & bit:
            continue
        try:
            end = read(payload, at)
        except UNREADABLE:
            left &= ~bit
            end = _end(read, payload, at)
        else:
            kept.append(payload[at:end])
        at = end
    return payload if left == flags else _CONTENT.pack(channel_class, weight, body_size, left) + b"".join(kept)


def _end(read: Callable[[bytes, int], int], payload: bytes, at: int) -> int:
    """Where a property ends that could not be read; beyond the payload where that cannot be told."""
    if read is _timestamp:
        return at + 8
    if read is _table:
        return at + 4 + (int(_SIZE.unpack_from(payload, at)[0]) if at + 4 <= len(payload) else 0)
    return at + 1 + (payload[at] if at < len(payload) else 0)


class Reader:
    """What the driver reads from: whole frames of the socket's stream, content headers made readable.

    Stands in for `asyncio.StreamReader` as far as the driver uses one.
    """

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._ready = b""
        self._at = 0

    def at_eof(self) -> bool:
        return self._at == len(self._ready) and self._stream.at_eof()

    async def read(self, count: int = -1) -> bytes:
        """All that is left, as after a frame that is none."""
        ready, self._ready, self._at = self._ready[self._at :], b"", 0
        return ready or await self._stream.read(count)

    async def readexactly(self, count: int) -> bytes:
        """Raises asyncio.IncompleteReadError, as the stream does."""
        at = self._at
        if at == len(self._ready):
            await self._next_frame()
            at = 0
        end = at + count
        if end > len(self._ready):
            # The driver asks for parts of one frame; across two it is out of step, and the stream itself shall say so.
            missing = await self._stream.readexactly(end - len(self._ready))
            self._ready += missing
        self._at = end
        return self._ready[at:end]

    async def _next_frame(self) -> None:
        stream = self._stream
        head = await stream.readexactly(_HEAD.size)
        self._at = 0
        kind, channel, size = _HEAD.unpack(head)
        if kind not in _KINDS:
            self._ready = head  # the protocol header of a broker that speaks another version
            return
        rest = await stream.readexactly(size + 1)
        if kind == constants.FRAME_HEADER:
            payload = rest[:-1]
            better = readable(payload)
            if better is not payload:
                head, rest = _HEAD.pack(kind, channel, len(better)), better + rest[-1:]
        self._ready = head + rest


class Transport(TransportFactory):
    """Opens the connection as the driver would, with a `Reader` before its stream."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: ANN401
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return Reader(reader), writer  # type: ignore[return-value] # pyright: ignore[reportReturnType]
