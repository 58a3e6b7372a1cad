"""Pictures, archives and forms as mobile SDKs send them, and as they should not be."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from typing import Any

import msgspec

BOUNDARY = "Boundary-6F1C"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
WEBP = b"RIFF\x24\0\0\0WEBPVP8 "


class Member(msgspec.Struct):
    """An entry of an archive; `more` sets fields of its header."""

    name: str
    data: bytes = b""
    more: dict[str, Any] = {}


def tar(members: Iterable[Member], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.size = len(member.data)
            for name, value in member.more.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(member.data))
    return file.getvalue()


def packed(*members: Member, kind: int = tarfile.USTAR_FORMAT) -> bytes:
    return gzip.compress(tar(members, kind), mtime=0)


def frames(count: int, at: int = 1_700_000_000_000, size: int = 0) -> bytes:
    """What an SDK sends: `<first ms>_1_<ms>.jpeg`."""
    return packed(*(Member(f"{at}_1_{at + each}.jpeg", JPEG + bytes(size) + b"%d" % each) for each in range(count)))


def part(name: str, data: bytes, filename: str | None = None, more: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'
    return head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def images(**named: bytes) -> bytes:
    """A form with images by their hashes."""
    return form(*(part("image", data, name) for name, data in named.items()))


def batch(archive: bytes) -> bytes:
    """A form with an archive, as the SDKs write it."""
    return form(part("projectKey", b"app"), part("batch", archive, "7-1700000000000.tar.gz", "Content-Type: gzip\r\n"))
