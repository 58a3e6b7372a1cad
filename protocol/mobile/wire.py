"""The values of the mobile format: `uint`, `int`, `string`, `boolean` (mobile-ingest.md, "The format").

A reader takes the bytes and where the value begins, and returns the value and where it ends. It never copies more than
is there: a length is held against the bytes first.
"""

from __future__ import annotations

from typing import Final

UINT_MAX: Final = 2**64 - 1
STRING_BYTES: Final = 10_000_000
_UINT_BYTES: Final = 10
_MORE: Final = 0x80
_LAST_BYTE_MAX: Final = 1
"""A tenth byte holds bit 63 only: more is over 64 bits."""


class Unreadable(Exception):
    """The bytes are no such value; the message is the reason."""


def read_uint(data: bytes, at: int) -> tuple[int, int]:
    """Unsigned LEB128, at most 10 bytes and 64 bits; longer spellings of a small number are read.

    Raises `Unreadable`.
    """
    try:
        byte = data[at]
        if byte < _MORE:  # most numbers: worth a way of their own
            return byte, at + 1
        value = byte & 0x7F
        shift = 7
        for here in range(at + 1, at + _UINT_BYTES):
            byte = data[here]
            if byte < _MORE:
                if shift == 63 and byte > _LAST_BYTE_MAX:  # noqa: PLR2004 - the tenth byte
                    break
                return value | byte << shift, here + 1
            value |= (byte & 0x7F) << shift
            shift += 7
    except IndexError:
        raise Unreadable("cut short within a number") from None
    raise Unreadable("a number over 64 bits")


def _string_at(data: bytes, at: int) -> tuple[int, int]:
    length, start = read_uint(data, at)
    if length > STRING_BYTES:
        raise Unreadable(f"a string of more than {STRING_BYTES} bytes")
    end = start + length
    if end > len(data):
        raise Unreadable("cut short within a string")
    return start, end


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """A length in bytes, then UTF-8. Raises `Unreadable`."""
    start, end = _string_at(data, at)
    try:
        return str(data[start:end], "utf-8"), end
    except UnicodeDecodeError:
        raise Unreadable("a string that is not UTF-8") from None


def read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    """One byte, true only if 1. Raises `Unreadable`."""
    if at >= len(data):
        raise Unreadable("cut short before a boolean")
    return data[at] == 1, at + 1


def skip_uint(data: bytes, at: int) -> int:
    """Where the number ends. Raises `Unreadable`."""
    return read_uint(data, at)[1]


def skip_string(data: bytes, at: int) -> int:
    """Where the string ends, be it text or not. Raises `Unreadable`."""
    return _string_at(data, at)[1]


def skip_boolean(data: bytes, at: int) -> int:
    """Where the boolean ends. Raises `Unreadable`."""
    return read_boolean(data, at)[1]


def write_uint(value: int) -> bytes:
    """The shortest spelling. Raises `ValueError` for what 64 bits do not hold."""
    if not 0 <= value <= UINT_MAX:
        raise ValueError(f"{value} is no number of 64 bits without a sign")
    written = bytearray()
    while value >= _MORE:
        written.append(value & 0x7F | _MORE)
        value >>= 7
    written.append(value)
    return bytes(written)


def write_string(value: str) -> bytes:
    """Raises `ValueError` for more than 10,000,000 bytes (and halves of surrogate pairs)."""
    encoded = value.encode()
    if len(encoded) > STRING_BYTES:
        raise ValueError(f"a string of more than {STRING_BYTES} bytes")
    return write_uint(len(encoded)) + encoded


def write_boolean(value: bool) -> bytes:  # noqa: FBT001 - a value, not a switch
    """One byte."""
    return b"\x01" if value else b"\x00"


def zigzag(value: int) -> int:
    """A signed number as the `uint` that stands for it: 0, -1, 1, -2 are 0, 1, 2, 3."""
    return value << 1 if value >= 0 else ~(value << 1)


def unzigzag(value: int) -> int:
    """The signed number that a `uint` stands for."""
    return ~(value >> 1) if value & 1 else value >> 1
