"""The two encodings of one message set: `rollcall.v1.json` (text) and `rollcall.v1.msgpack` (binary).

`decode` raises `BadFrame` (undecodable, or a field is wrong: named) or `UnknownType` (a newer client's message, which
is answered and otherwise ignored). Nothing else leaves it, whatever the bytes.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from protocol import limits
from protocol.client_frames import ClientFrame, Interact, Join
from protocol.server_frames import ServerFrame
from protocol.types import check_metadata

SUBPROTOCOL_JSON: Final = "rollcall.v1.json"
SUBPROTOCOL_MSGPACK: Final = "rollcall.v1.msgpack"

# What msgspec raises on bytes from strangers: found by fuzzing, RecursionError by deep nesting.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)


class BadFrame(Exception):
    """The client's fault. `ref` and `stream` are what could still be read of the message."""

    def __init__(self, message: str, ref: str | int | None = None, stream: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.ref = ref
        self.stream = stream


class UnknownType(BadFrame):
    """A `type` that this server does not know."""


class _Glimpse(msgspec.Struct):
    """What an answer needs of a message that did not decode."""

    type: str | None = None
    ref: Any = None
    stream: Any = None


_TAGS: Final = frozenset(str(frame.__struct_config__.tag) for frame in get_args(ClientFrame))


class Codec:
    """One encoding. Stateless and shared by all connections."""

    def __init__(self, name: str, *, binary: bool) -> None:
        self.name = name
        self.binary = binary
        if binary:
            self._decode = msgspec.msgpack.Decoder(ClientFrame).decode
            self._glimpse = msgspec.msgpack.Decoder(_Glimpse).decode
            self.encode = msgspec.msgpack.Encoder().encode
            self.decode_server = msgspec.msgpack.Decoder(ServerFrame).decode
        else:
            self._decode = msgspec.json.Decoder(ClientFrame).decode
            self._glimpse = msgspec.json.Decoder(_Glimpse).decode
            self.encode = msgspec.json.Encoder().encode
            self.decode_server = msgspec.json.Decoder(ServerFrame).decode

    def decode(self, data: bytes | memoryview) -> ClientFrame:
        """One message from a client."""
        try:
            frame: ClientFrame = self._decode(data)
        except _UNREADABLE as error:
            raise self._explain(data, error) from None
        if type(frame) is Join or type(frame) is Interact:
            self._check_open_values(frame)
        return frame

    def _check_open_values(self, frame: Join | Interact) -> None:
        try:
            if isinstance(frame, Join):
                check_metadata(frame.metadata)
            else:
                check_metadata({"value": frame.value})
        except msgspec.ValidationError as error:
            message = str(error) if isinstance(frame, Join) else str(error).replace("$.metadata", "$.value")
            raise BadFrame(message, frame.ref) from None

    def _explain(self, data: bytes | memoryview, error: Exception) -> BadFrame:
        if isinstance(error, RecursionError):
            return BadFrame("nested too deeply")
        if not isinstance(error, msgspec.ValidationError):
            return BadFrame(f"not {'msgpack' if self.binary else 'JSON'}: {error}")
        try:
            glimpse = self._glimpse(data)
        except _UNREADABLE:
            return BadFrame(str(error))
        ref = glimpse.ref if isinstance(glimpse.ref, str | int) and not isinstance(glimpse.ref, bool) else None
        if isinstance(ref, str) and len(ref) > limits.ID_CHARS:
            ref = None
        stream = glimpse.stream if type(glimpse.stream) is int else None
        if glimpse.type is not None and glimpse.type not in _TAGS:
            return UnknownType(f"unknown type {glimpse.type[:64]!r}", ref, stream)
        return BadFrame(str(error), ref, stream)


JSON: Final = Codec(SUBPROTOCOL_JSON, binary=False)
MSGPACK: Final = Codec(SUBPROTOCOL_MSGPACK, binary=True)
CODECS: Final = {SUBPROTOCOL_JSON: JSON, SUBPROTOCOL_MSGPACK: MSGPACK}
