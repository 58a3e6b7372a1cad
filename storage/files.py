"""Where files of any size are kept: a port, and a directory that fulfils it (`files_s3.py`: an S3-compatible store).

A name is made of an id by us, never by anybody else. A file is there as a whole or not at all, also after a power cut.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

PIECE_BYTES: Final = 1024 * 1024
"""The most that one reading brings: what a slow reader holds in memory."""
COPY_BYTES: Final = 1024 * 1024

_NAME: Final = re.compile(r"[0-9a-z][0-9a-z.-]{0,99}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

T = TypeVar("T")


class FilesAway(Exception):
    """The store of files cannot do it now; trying again may help. The message says why."""


class FilesFull(FilesAway):
    """There is no room for the file."""


class FileMissing(Exception):
    """There is no file of this name."""


class Files(Protocol):
    """Raises FilesAway."""

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Keep a local file under `name`, durably; the local one is gone then. Replaces what was there."""
        ...

    async def size(self, name: str) -> int | None:
        """Its size in bytes; None where there is none."""
        ...

    async def piece(self, name: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or the first `PIECE_BYTES` of them. Raises FileMissing.

        Nothing stays open between two pieces, so a reader may take as long as it wants.
        """
        ...

    async def remove(self, name: str) -> None:
        """Forget it; one that is not there is forgotten already."""
        ...

    async def check(self) -> None:
        """Return when it looks as if files could be kept here. Changes nothing."""
        ...


def checked(name: str) -> str:
    """A name that leads nowhere else."""
    if not _NAME.fullmatch(name):
        message = f"no name for a file: {name!r}"
        raise ValueError(message)
    return name


def of_os_error(error: OSError) -> FilesAway:
    """The port's error for the operating system's."""
    words = error.strerror or type(error).__name__
    return FilesFull(f"no space left: {words}") if error.errno in _FULL else FilesAway(words)


class DirectoryFiles:
    """`Files` in a directory of this machine, readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, name: str, path: Path, media_type: str) -> None:  # noqa: ARG002 - a directory keeps no types
        await self._do(lambda: self._put(checked(name), path))

    async def size(self, name: str) -> int | None:
        return await self._do(lambda: self._size(checked(name)))

    async def piece(self, name: str, start: int, end: int) -> bytes:
        return await self._do(lambda: self._piece(checked(name), start, min(end - start, PIECE_BYTES)))

    async def remove(self, name: str) -> None:
        await self._do(lambda: (self._directory / checked(name)).unlink(missing_ok=True))

    async def check(self) -> None:
        await self._do(self._look)

    async def _do(self, work: Callable[[], T]) -> T:
        """Off the event loop: a disk may take its time."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise of_os_error(error) from error

    def _make(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _look(self) -> None:
        place = next(each for each in (self._directory, *self._directory.parents) if each.exists())
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{place} is no directory that can be written")

    def _put(self, name: str, path: Path) -> None:
        self._make()
        path.chmod(0o600)
        sync_file(path)
        try:
            path.rename(self._directory / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(name, path)
        sync_directory(self._directory)

    def _copy(self, name: str, path: Path) -> None:
        """From another file system."""
        beside = self._directory / f".{name}.part"
        try:
            with path.open("rb") as source, os.fdopen(_private(beside), "wb") as target:
                shutil.copyfileobj(source, target, COPY_BYTES)
                target.flush()
                os.fsync(target.fileno())
            beside.rename(self._directory / name)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        path.unlink()

    def _size(self, name: str) -> int | None:
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return None

    def _piece(self, name: str, start: int, length: int) -> bytes:
        try:
            descriptor = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FileMissing(name) from error
        try:
            return os.pread(descriptor, length, start)
        finally:
            os.close(descriptor)


def _private(path: Path) -> int:
    """A new file that nobody else may read."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def sync_file(path: Path) -> None:
    """Return when what was written is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names in it are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
