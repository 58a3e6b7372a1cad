"""Bodies: read within their bounds, unpacked within their bounds, decoded with errors that name the field."""

from __future__ import annotations

import asyncio
import re
import zlib
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
from aiohttp import hdrs, web

from protocol import limits
from protocol.codes import HttpError
from server.http.answers import Problem, invalid, too_large, unavailable

READ_S: Final = 30.0
"""A body that has not come by then is given up."""
HELD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bodies that are being read, or whose samples wait for their commit. Beyond it posts are refused with 503."""

BESIDE_BYTES: Final = 16 * 1024
"""What may become so much more when it is unpacked is unpacked beside the event loop, where it is over this."""

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WBITS: Final = 31  # a gzip wrapper is demanded, zlib's own is refused
_MISSING: Final = re.compile(r"^Object missing required field `([^`]*)`(?: - at `([^`]*)`)?$")

T = TypeVar("T")


class Held:
    """How much is being held for those who wait, in bytes. One a process."""

    def __init__(self, limit: int = HELD_BYTES_MAX) -> None:
        self.bytes = 0
        self._limit = limit

    def hold(self, request: web.Request, limit: int = limits.HTTP_BODY_BYTES) -> Holding:
        """Make room for a request's body until its answer is sent. Raises `Problem`: 413, or 503 when there is none."""
        length = request.content_length
        if length is None:
            length = limit if request.can_read_body else 0
        if length > limit:
            raise _over(limit)
        return Holding(self, length)

    def grow(self, by: int) -> None:
        """Hold so many bytes more, or less. Raises `Problem` (503) over the limit, and has then changed nothing."""
        if by > 0 and self.bytes + by > self._limit:
            raise unavailable("too many requests wait for storage: keep the samples and try again")
        self.bytes += by


class Holding:
    """One request's share."""

    __slots__ = ("_held", "_size")

    def __init__(self, held: Held, size: int) -> None:
        self._held = held
        self._size = size

    def resize(self, size: int) -> None:
        """The body is here, unpacked: so much it is. Raises `Problem` (503)."""
        self._held.grow(size - self._size)
        self._size = size

    def __enter__(self) -> Self:
        self._held.grow(self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.bytes -= self._size


async def read(request: web.Request, limit: int = limits.HTTP_BODY_BYTES, unpacked: int | None = None) -> bytes:
    """The body, unpacked: at most `limit` bytes, or `limit` on the wire where `unpacked` bounds what comes out of it.

    Raises `Problem`: 400 broken, 408 too slow, 413 over a limit, 415 another encoding.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding and coding not in _GZIP and coding != "identity":
        message = "Content-Encoding must be gzip or absent"
        raise Problem(415, HttpError.UNSUPPORTED_MEDIA_TYPE, message, {hdrs.ACCEPT_ENCODING: "gzip"})
    if (request.content_length or 0) > limit:
        raise _over(limit)
    data = await _received(request, limit)
    if coding in _GZIP and unpacked is None:
        return gunzip(data, limit)
    if len(data) > limit:
        raise _over(limit)
    if coding not in _GZIP or unpacked is None:
        return data
    if len(data) <= BESIDE_BYTES:
        return gunzip(data, unpacked)
    return await asyncio.to_thread(gunzip, data, unpacked)


async def _received(request: web.Request, limit: int) -> bytes:
    try:
        if request.content.is_eof():
            # It came with its head, as small bodies do: a third of the price of `read`.
            return request.content.read_nowait()
        async with asyncio.timeout(READ_S):
            return await request.read()
    except TimeoutError:
        message = f"the body did not come within {READ_S:.0f} s"
        raise Problem(408, HttpError.REQUEST_TIMEOUT, message, {hdrs.CONNECTION: "close"}) from None
    except web.HTTPRequestEntityTooLarge:
        raise _over(min(limit, limits.HTTP_BODY_BYTES)) from None
    except web.RequestPayloadError:
        raise invalid("the body's transfer coding is broken - at `$`") from None


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack one gzip member, stopping as soon as more than `limit` bytes come out of it."""
    unpacker = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error:
        raise invalid("the body is not gzip, or broken - at `$`") from None
    if len(unpacked) > limit:
        raise _over(limit)
    if not unpacker.eof:
        raise invalid("the gzip body is cut short - at `$`")
    if unpacker.unused_data:
        raise invalid("something stands behind the gzip body - at `$`")
    return unpacked


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """A body by its type. Raises `Problem` (400) naming the field as `$.samples[3].position`."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid(named(str(error))) from None
    except RecursionError:
        raise invalid("nested too deeply - at `$`") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise invalid(f"not JSON: {error} - at `$`") from None


def named(message: str) -> str:
    """The decoder's words, with the field at the end also where it is missing or the whole."""
    missing = _MISSING.match(message)
    if missing is not None:
        return f"Missing - at `{missing[2] or '$'}.{missing[1]}`"
    return message if " - at `$" in message else f"{message} - at `$`"


def _over(limit: int) -> Problem:
    return too_large(f"the body is over {limit} bytes")
