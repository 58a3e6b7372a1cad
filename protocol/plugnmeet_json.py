"""JSON as plugNmeet's integrations write it: with what some writers leave, and with JSON inside strings."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_BOM: Final = b"\xef\xbb\xbf"

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode; where it is no JSON, once more without a BOM and halves of surrogate pairs.

    Raises `msgspec.ValidationError` for JSON of another shape; other `msgspec.DecodeError`, `ValueError` (text that is
    not UTF-8), `RecursionError` for what is none.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, ValueError):
        mended = _ESCAPE.sub(_lone_to_nul, data.removeprefix(_BOM))
        if mended == data:
            raise
        return decoder.decode(mended)


def _lone_to_nul(escape: re.Match[bytes]) -> bytes:
    # What cannot be stored either, so that it is left out of a name and refused in an id, like any other.
    return b"\\u0000" if escape[1] else escape[0]


def inside(value: object, decoder: msgspec.json.Decoder[S], kind: type[S]) -> S | None:
    """Metadata: JSON inside a string, or as it is; None for "", or anything that it should not be."""
    try:
        if isinstance(value, str):
            return decoded(decoder, value.encode()) if value else None
        return msgspec.convert(value, kind) if isinstance(value, dict) else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
