"""`multipart/form-data` that is here as a whole: its parts, nothing copied (RFC 2046, 5.1; RFC 7578)."""

from __future__ import annotations

from email.message import Message
from typing import Final

import msgspec

PARTS_MAX: Final = 600
"""As many images as a request may have, and fields."""
HEAD_BYTES: Final = 8 * 1024
BOUNDARY_CHARS: Final = 70

_END: Final = b"\r\n\r\n"
_PLAIN: Final = frozenset({"", "binary", "8bit", "7bit"})


class BadParts(Exception):
    """The body is not multipart as it should be; the message says what is wrong."""


class TooManyParts(Exception):
    """More than may be in one request."""


class Part(msgspec.Struct, frozen=True):
    """One part. `filename`: None where it is a field of a form."""

    name: str
    filename: str | None
    body: memoryview


def boundary_of(content_type: str) -> str | None:
    """The boundary that a `Content-Type` names; None where it is not `multipart/form-data`. Raises BadParts."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        return None
    found = header.get_param("boundary", "")
    boundary = found if isinstance(found, str) else ""  # in RFC 2231's way nobody writes one
    if not 1 <= len(boundary) <= BOUNDARY_CHARS or not boundary.isascii() or boundary.endswith(" "):
        raise BadParts("Content-Type names no boundary")
    return boundary


def parts(data: bytes, boundary: str, *, most: int = PARTS_MAX) -> list[Part]:
    """All parts in their order. Raises BadParts, TooManyParts."""
    view = memoryview(data)
    found: list[Part] = []
    at, begun = _delimiter(data, boundary.encode(), 0)
    while begun:
        if len(found) == most:
            raise TooManyParts(f"more than {most} parts")
        head, start = _head(data, at)
        # An empty body may share its line break with its head: it ends before it begins then.
        end, (at, begun) = _end(data, boundary.encode(), start - 2)
        found.append(_part(head, view[start:end]))
    return found


def _delimiter(data: bytes, boundary: bytes, at: int) -> tuple[int, bool]:
    """Behind the first delimiter, and whether a part follows it. What stands before it means nothing."""
    dashes = b"--" + boundary
    if data.startswith(dashes):
        behind = _behind(data, len(dashes))
        if behind is not None:
            return behind
    return _end(data, boundary, at)[1]


def _end(data: bytes, boundary: bytes, at: int) -> tuple[int, tuple[int, bool]]:
    """Where the delimiter from `at` on begins; what is behind it. A longer line that begins alike is none."""
    delimiter = b"\r\n--" + boundary
    while (found := data.find(delimiter, at)) >= 0:
        behind = _behind(data, found + len(delimiter))
        if behind is not None:
            return found, behind
        at = found + 2
    raise BadParts("the body has no boundary, or ends before its last one")


def _behind(data: bytes, at: int) -> tuple[int, bool] | None:
    if data.startswith(b"--", at):
        return at + 2, False
    line = data.find(b"\r\n", at, at + HEAD_BYTES)
    if line < 0 or data[at:line].strip(b" \t"):
        return None
    return line, True


def _head(data: bytes, at: int) -> tuple[bytes, int]:
    """The head of a part that begins with the line break at `at`, and where its body begins."""
    end = data.find(_END, at, at + HEAD_BYTES)
    if end < 0:
        raise BadParts(f"a part has no head, or one over {HEAD_BYTES} bytes")
    return data[at:end], end + len(_END)


def _part(head: bytes, body: memoryview) -> Part:
    header = Message()
    for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
        key, _, value = line.partition(":")
        key = key.strip().lower()
        if key in ("content-disposition", "content-transfer-encoding") and key not in header:
            header[key] = value.strip()
    if header.get("content-transfer-encoding", "").lower() not in _PLAIN:
        raise BadParts("a part is packed: Content-Transfer-Encoding must be binary or absent")
    try:
        name, filename = header.get_param("name", header="content-disposition"), header.get_filename()
    except ValueError:  # a charset that exists and cannot read it
        raise BadParts("a part has a name that cannot be read") from None
    return Part(_text(name), filename, body)


def _text(found: object) -> str:
    """A parameter of a header: text, or what RFC 2231 makes of it."""
    if isinstance(found, tuple):
        found = found[2]  # pyright: ignore[reportUnknownVariableType]
    return found if isinstance(found, str) else ""
