"""A request with images becomes one file with all of them, one behind the other, and a list of where each stands.

One file a request: either all of it is kept or nothing, for the price of one write to the store of files. All of this
blocks, and runs in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import IO, Final

import msgspec

from server.mobile import images_archive, images_parts
from server.mobile.images_archive import BadArchive, Limits, TooMuch, Unpacked
from server.mobile.images_parts import BadParts, Part, TooManyParts
from storage.mobile_images import HASH_CHARS, Image, Media

ARCHIVE: Final = "batch"
PROJECT_KEY: Final = "projectKey"
PROJECT_ID: Final = "projectID"
FIELD_BYTES: Final = 256
MOMENT_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_HEAD_BYTES: Final = 12
_SAFE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_STEPS: Final = re.compile(r"[/\\]")
_MOMENT: Final = re.compile(r".*_([0-9]{1,15})\.[A-Za-z]{1,5}", re.ASCII | re.DOTALL)


class Refused(Exception):
    """The request cannot be kept: `status` and words for whoever sent it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Sent(msgspec.Struct, frozen=True):
    """What a request says of its project (None: nothing), and what it brings."""

    project_key: str | None
    project_id: str | None
    parts: list[Part]


def read(data: bytes, boundary: str) -> Sent:
    """The parts of a body. Raises Refused (400, 413)."""
    try:
        found = images_parts.parts(data, boundary)
    except BadParts as error:
        raise Refused(400, str(error)) from None
    except TooManyParts as error:
        raise Refused(413, str(error)) from None
    brought = [part for part in found if part.name == ARCHIVE or part.filename is not None]
    if not brought:
        raise Refused(400, "there is no image in it")
    if sum(part.name == ARCHIVE for part in brought) > 1:
        raise Refused(400, f"there is more than one `{ARCHIVE}`")
    fields = {part.name: part for part in found if part.name != ARCHIVE and part.filename is None}
    return Sent(_field(fields.get(PROJECT_KEY)), _field(fields.get(PROJECT_ID)), brought)


def _field(part: Part | None) -> str | None:
    if part is None:
        return None
    if len(part.body) > FIELD_BYTES:
        raise Refused(400, f"`{part.name}` has more than {FIELD_BYTES} bytes")
    return bytes(part.body).decode("utf-8", "replace")


def write(sent: Sent, file: IO[bytes], limits: Limits) -> list[Image]:
    """Write all images to an empty file; returns where each stands. Raises Refused (400, 413, 415), OSError."""
    bundle = Bundle(file, limits)
    try:
        for part in sent.parts:
            if part.name == ARCHIVE:
                _unpack(bundle, part.body, limits)
            else:
                bundle.add(part.filename or "", [bytes(part.body)], frame=False)
    except BadArchive as error:
        raise Refused(400, f"`{ARCHIVE}`: {error}") from None
    except TooMuch as error:
        raise Refused(413, str(error)) from None
    file.flush()
    return list(bundle.images.values())


def _unpack(bundle: Bundle, packed: memoryview, limits: Limits) -> None:
    left = Limits(limits.unpacked - bundle.bytes, limits.entries - len(bundle.images))
    for name, pieces in images_archive.members(Unpacked(packed, left.unpacked), left):
        bundle.add(name, pieces, frame=True)


class Bundle:
    """Images one behind the other in a file."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._digests: dict[str, bytes] = {}
        self.bytes = 0
        self.images: dict[str, Image] = {}

    def add(self, name: str, pieces: Iterable[bytes], *, frame: bool) -> None:
        """One more. Raises Refused, TooMuch; what it wrote then is of no use."""
        hash_ = safe_name(name)
        if not hash_:
            raise Refused(400, "an image has no name")
        start, head, digest = self.bytes, b"", blake2b(digest_size=16)
        for piece in _counted(pieces, self._limits.unpacked - self.bytes):
            head = head if len(head) >= _HEAD_BYTES else head + piece[:_HEAD_BYTES]
            digest.update(piece)
            self._file.write(piece)
            self.bytes += len(piece)
        media = media_of(head)
        if media is None:
            raise Refused(415, f"{hash_} is neither PNG nor JPEG nor WebP")
        if hash_ not in self.images:
            at = moment_of(name) if frame else None
            self.images[hash_] = Image(hash_, start, self.bytes - start, media, frame, at)
            self._digests[hash_] = digest.digest()
            if len(self.images) > self._limits.entries:
                raise TooMuch(f"more than {self._limits.entries} images")
            return
        if self._digests[hash_] != digest.digest():
            raise Refused(400, f"two images are called {hash_}")
        self._file.seek(start)
        self._file.truncate()
        self.bytes = start


def _counted(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > most:
            raise TooMuch("more than may be in one request")
        yield piece


def safe_name(name: str) -> str:
    """A name that leads nowhere and needs no quoting, and another one for another name; empty where there is none.

    Directories go; what is odd in the rest goes too, and a digest of it stands in its place.
    """
    last = _STEPS.split(name)[-1]
    if not last or _SAFE.fullmatch(last):
        return last
    digest = blake2b(last.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{_ODD.sub('_', last)[: HASH_CHARS - 20].lstrip('.-') or '_'}-{digest}"


def moment_of(name: str) -> int | None:
    """Unix ms in `<name>_<ms>.jpeg`; None where there is none."""
    found = _MOMENT.fullmatch(name)
    return int(found[1]) if found is not None and int(found[1]) <= MOMENT_MAX else None


def media_of(head: bytes) -> Media | None:
    """What begins so; None for what is no image that is taken here."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None
