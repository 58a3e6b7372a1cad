"""What PostgreSQL writes on standard error: a file that it appends to by itself, kept from growing without end.

A file and not a pipe: PostgreSQL must not stand still because its parent does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LOG_BYTES_MAX: Final = 4 * 1024 * 1024
KEPT_BYTES: Final = 1024 * 1024
_TAIL_BYTES: Final = 8192
_TELLING: Final = ("PANIC:", "FATAL:", "ERROR:")
_TOLD_LINES: Final = 3


class LogFile:
    """`postgres.log`, and `postgres.log.1` with the end of what was cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = 0

    def open(self) -> int:
        """Return a descriptor for a child to append to; `complaint` speaks of what is written from now on."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._from = os.fstat(handle).st_size
        return handle

    def trim(self, most: int = LOG_BYTES_MAX, kept: int = KEPT_BYTES) -> bool:
        """Empty the file when it is over `most` bytes, keeping its last `kept` beside it. True when it did.

        The writer appends, so it goes on at the new end. Lines written during the copy may be lost.
        """
        try:
            if self._path.stat().st_size <= most:
                return False
            with self._path.open("rb") as file:
                file.seek(-kept, os.SEEK_END)
                tail = file.read(kept)
        except FileNotFoundError:
            return False
        self._path.with_name(f"{self._path.name}.1").write_bytes(tail)
        os.truncate(self._path, 0)
        self._from = 0
        return True

    def complaint(self) -> str:
        """Return the last words of the current run that tell why it failed; empty when there are none."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._from, size - _TAIL_BYTES))
                lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        telling = [line for line in lines if any(word in line for word in _TELLING)] or [line for line in lines if line]
        return "; ".join(telling[-_TOLD_LINES:])
