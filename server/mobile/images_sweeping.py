"""Removes the bytes of images that nobody may see any more: of erased learners, of old sessions, of broken requests."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from actors.ports import StoreAway, StoreRefused
from protocol.rest import rfc3339
from storage.files import FileMissing, Files, FilesAway
from storage.learners import Held
from storage.mobile_images import MobileImages, StoredImage, file_name

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0
FORGOTTEN_S: Final = 3600.0
"""A request that has not ended by then never will: it has minutes."""
AT_ONCE: Final = 100
_WORK: Final = Path("work", "mobile-images")


class ImageSweeper:
    """One a process; on several nodes they do no harm to each other."""

    def __init__(self, images: MobileImages, files: Files, work: Path, *, forgotten_s: float = FORGOTTEN_S) -> None:
        self._images = images
        self._files = files
        self._work = work
        self._forgotten_s = forgotten_s

    async def run(self) -> None:
        """Never ends."""
        while True:
            try:
                gone = await self.sweep()
                if gone:
                    log.info("mobile_images.swept", files=gone)
            except (StoreAway, StoreRefused) as error:
                log.warning("mobile_images.waiting", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """All that is doomed now; returns how many files. Raises StoreAway, also where the store of files is away."""
        await asyncio.to_thread(self._clear_work)
        count = 0
        while doomed := await self._images.doomed(self._forgotten_s, AT_ONCE):
            for file in doomed:
                try:
                    await self._files.remove(file_name(file))
                except FilesAway as error:
                    raise StoreAway(f"the store of files: {error}") from error
            await self._images.gone(doomed)
            count += len(doomed)
        return count

    def _clear_work(self) -> None:
        """What a process that died had unpacked. Its name is nobody's: it is in no store yet."""
        before = time.time() - self._forgotten_s
        try:
            for path in self._work.iterdir():
                if path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreAway(f"{self._work}: {error.strerror}") from error


def work_of(data_dir: Path) -> Path:
    """Where requests are unpacked."""
    return (data_dir / _WORK).absolute()


async def exported(images: MobileImages, files: Files, user_id: str) -> AsyncIterator[Held]:
    """A learner's images, each with its bytes, null where they are gone. Raises StoreAway, StoreRefused."""
    async for session_id, stored in images.of_learner(user_id):
        try:
            found = await bytes_of(files, stored)
        except FilesAway as error:
            raise StoreAway(f"the store of files: {error}") from error
        image = stored.image
        told = {
            "session_id": str(session_id),
            "hash": image.hash,
            "media": image.media,
            "frame": image.frame,
            "at": rfc3339(image.at),
            "stored_at": rfc3339(stored.stored_at),
            "base64": found and b64encode(found).decode(),
        }
        yield Held("mobile_images", msgspec.Raw(msgspec.json.encode(told)))


async def bytes_of(files: Files, stored: StoredImage) -> bytes | None:
    """An image, in memory: a few hundred KB each; None where its file is gone. Raises FilesAway."""
    return b"".join([piece async for piece in _pieces(files, stored)]) or None


async def _pieces(files: Files, stored: StoredImage) -> AsyncIterator[bytes]:
    at, end = stored.image.start, stored.image.start + stored.image.size
    while at < end:
        try:
            piece = await files.piece(file_name(stored.file), at, end)
        except FileMissing:
            return
        if not piece:
            return
        at += len(piece)
        yield piece
