"""Gzip tar archives from strangers, read as a stream: every bound is checked before what it bounds is taken in.

    packed bytes -> Unpacked (a piece at a time, counted) -> members: header, header, ... -> pieces of a file

`tarfile` reads the headers, a block at a time; the walk from one to the next is ours. The library's own would hold
a header of any size in memory, follow sparse maps, and skip what it does not know.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Generator, Iterator
from typing import Final

import msgspec

PIECE_BYTES: Final = 64 * 1024
UNPACKED_MAX: Final = 64 * 1024 * 1024
ENTRIES_MAX: Final = 500
EXTENSION_BYTES: Final = 16 * 1024
"""Of a header that only carries a longer name; a path has at most 4 KiB anywhere."""
HEADERS_EACH: Final = 4
"""Headers for one entry: its own, and those that extend it."""

_GZIP_WBITS: Final = 31
_BLOCK: Final = tarfile.BLOCKSIZE
_ZEROS: Final = bytes(_BLOCK)
_FILES: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
"""Without sparse files, which are regular ones to the library."""
_NAMES: Final = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME})
_DRIVE: Final = re.compile(r"[A-Za-z]:[/\\]")
_SIZE_DIGITS: Final = 12


class BadArchive(Exception):
    """It is not what it should be; the message says where."""


class TooMuch(Exception):
    """More comes out of it than may; the message names the bound."""


class Limits(msgspec.Struct, frozen=True):
    """Of all that comes out of one request: bytes, and files and directories."""

    unpacked: int = UNPACKED_MAX
    entries: int = ENTRIES_MAX


class Unpacked:
    """The bytes of one gzip member. Raises BadArchive, TooMuch."""

    def __init__(self, packed: memoryview, limit: int) -> None:
        self._packed = packed
        self._limit = limit
        self._at = 0
        self._unpacker = zlib.decompressobj(wbits=_GZIP_WBITS)
        self.count = 0
        """Bytes that came out so far."""

    def read(self, most: int) -> bytes:
        """The next bytes, at most `most`; none at the end."""
        while not self._unpacker.eof:
            feed = self._unpacker.unconsumed_tail or self._feed()
            try:
                found = self._unpacker.decompress(feed, most)
            except zlib.error:
                raise BadArchive("it is not gzip, or broken") from None
            if found:
                self.count += len(found)
                if self.count > self._limit:
                    raise TooMuch(f"more than {self._limit} bytes unpacked")
                return found
            if not feed and not self._unpacker.eof:
                raise BadArchive("it is cut short")
        return b""

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes, all in memory."""
        found = b"".join(self.pieces(size))
        if len(found) < size:
            raise BadArchive("it is cut short")
        return found

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces; fewer where it ends before."""
        left = size
        while left and (piece := self.read(min(left, PIECE_BYTES))):
            left -= len(piece)
            yield piece

    def finish(self) -> None:
        """See that nothing but zeros is left in it, and nothing behind it."""
        while piece := self.read(PIECE_BYTES):
            if piece.count(0) != len(piece):
                raise BadArchive("something stands behind its end")
        if self._unpacker.unused_data or self._at < len(self._packed):
            raise BadArchive("something stands behind it")

    def _feed(self) -> memoryview:
        piece = self._packed[self._at : self._at + PIECE_BYTES]
        self._at += len(piece)
        return piece


def members(archive: Unpacked, limits: Limits) -> Generator[tuple[str, Iterator[bytes]]]:
    """The regular files in it: each one's name as it stands there, and its bytes, to be read before the next is asked.

    Raises BadArchive (what has to be refused whole: an absolute path, a link, a device), TooMuch.
    """
    entries = headers = 0
    longer: dict[str, str] = {}
    while (header := _header(archive)) is not None:
        headers += 1
        if headers > HEADERS_EACH * limits.entries:
            raise TooMuch(f"more than {limits.entries} entries")
        if header.type in _NAMES or header.type == tarfile.XGLTYPE:
            longer |= _extension(archive, header)
            continue
        entries += 1
        if entries > limits.entries:
            raise TooMuch(f"more than {limits.entries} entries")
        name, size = longer.get("path", header.name), _size(longer.get("size"), header.size)
        longer = {}
        _check(header, name)
        if header.type != tarfile.DIRTYPE:
            yield name, _whole(archive, size)
            archive.exactly(-size % _BLOCK)
    archive.finish()


def _header(archive: Unpacked) -> tarfile.TarInfo | None:
    """The next header; None at the end, which is a block of zeros or, as some write it, of nothing."""
    block = b"".join(archive.pieces(_BLOCK))
    if not block or block == _ZEROS:
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError):
        raise BadArchive("it is not tar, or broken") from None


def _check(header: tarfile.TarInfo, name: str) -> None:
    if header.type not in _FILES and header.type != tarfile.DIRTYPE:
        raise BadArchive("an entry is a link, a device or something else that is no file")
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        raise BadArchive("an entry has an absolute path")


def _size(longer: str | None, told: int) -> int:
    if longer is not None and not (longer.isascii() and longer.isdigit() and len(longer) <= _SIZE_DIGITS):
        raise BadArchive("an entry has a size that is no number")
    size = told if longer is None else int(longer)
    if size < 0:
        raise BadArchive("an entry has a size below zero")
    return size


def _whole(archive: Unpacked, size: int) -> Iterator[bytes]:
    begun = archive.count
    yield from archive.pieces(size)
    if archive.count - begun < size:
        raise BadArchive("it is cut short")


def _extension(archive: Unpacked, header: tarfile.TarInfo) -> dict[str, str]:
    """What a header says of the entry behind it: `path`, `size`. Of all entries it may say what it likes."""
    if not 0 <= header.size <= EXTENSION_BYTES:
        raise BadArchive(f"a header has more than {EXTENSION_BYTES} bytes")
    body = archive.exactly(header.size)
    archive.exactly(-header.size % _BLOCK)
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": body.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return _records(body)


def _records(body: bytes) -> dict[str, str]:
    """Lines such as `12 path=a/b` (POSIX pax). Raises BadArchive, also for sparse files."""
    found: dict[str, str] = {}
    while body:
        digits = body[:6].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = body[len(digits) + 1 : length]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if not equals or length > len(body) or not record.endswith(b"\n"):
            raise BadArchive("a header is broken")
        if key.startswith(b"GNU.sparse."):
            raise BadArchive("an entry is a sparse file")
        if key in (b"path", b"size"):
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        body = body[length:]
    return found
