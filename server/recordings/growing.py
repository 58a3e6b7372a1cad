"""A file that grows as it comes, with its hash: written by threads, taken up again where a crash left it.

What is there is hashed again at opening. After a power cut the length of the file is what its file system vouches for:
those that matter (ext4, XFS, btrfs) raise it only after the bytes are on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

HASH_BYTES: Final = 1024 * 1024
HASH_STEP_BYTES: Final = 64 * 1024 * 1024
"""What a thread hashes before it looks up: a stop must not wait for twenty gigabytes."""
SYNC_BYTES: Final = 64 * 1024 * 1024
"""Written to the disk at least so often, so that the last `sync` is short and the kernel's memory stays free."""

T = TypeVar("T")


class GrowingFile:
    """`size` bytes are there, and `sha256` is theirs. Raises OSError."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._unsynced = 0
        self.size = 0

    @classmethod
    async def open(cls, path: Path) -> GrowingFile:
        """Take it up, or begin it."""
        made = cls(await _do(lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)))
        try:
            while await _do(made._hash_on):
                pass
        except BaseException:
            await made.close()
            raise
        return made

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._hash.hexdigest()

    async def append(self, data: bytearray) -> None:
        """Write more."""
        await _do(lambda: self._append(data))

    async def clear(self) -> None:
        """Begin anew."""
        if self.size:
            await _do(lambda: os.ftruncate(self._descriptor, 0))
        self._hash = hashlib.sha256()
        self.size = 0

    async def sync(self) -> None:
        """Return when all of it is on the disk."""
        await _do(lambda: os.fsync(self._descriptor))

    async def close(self) -> None:
        """The end; what was not synced may be lost with the power, not with the process."""
        await _do(lambda: os.close(self._descriptor))

    def _hash_on(self) -> bool:
        """Hash the next step; False at the end."""
        end = self.size + HASH_STEP_BYTES
        while self.size < end:
            piece = os.pread(self._descriptor, HASH_BYTES, self.size)
            if not piece:
                return False
            self._hash.update(piece)
            self.size += len(piece)
        return True

    def _append(self, data: bytearray) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._descriptor, rest)
            # The hash follows the file, also where the disk is full in the middle.
            self._hash.update(rest[:written])
            self.size += written
            self._unsynced += written
            rest = rest[written:]
        if self._unsynced >= SYNC_BYTES:
            os.fdatasync(self._descriptor)
            self._unsynced = 0


async def _do(work: Callable[[], T]) -> T:
    """In a thread, to its end: a cancellation must not close a file that a thread still writes to."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
