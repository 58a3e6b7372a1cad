"""Files in an S3-compatible store: streamed up in parts, read by range, a few megabytes of memory for any size."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from storage.files import PIECE_BYTES, FileMissing, FilesAway, checked, of_os_error

if TYPE_CHECKING:
    from obstore.store import S3Config  # the library has it for type checkers only

PART_BYTES: Final = 8 * 1024 * 1024
"""A store takes 10,000 parts of a file: 80 GB."""
PARTS_AT_ONCE: Final = 2
RETRIES: Final = 3
RETRY_FOR: Final = timedelta(seconds=20)
REQUEST_FOR: Final = timedelta(seconds=60)
"""One part or one piece: a slow line needs its time, a dead one must not hold a job for ever."""
WORDS: Final = 300


class S3Files:
    """`Files` in a bucket. `place` is `bucket` or `bucket/prefix`.

    Without `key` the credentials are those that the machine has (environment, instance role).
    """

    def __init__(
        self, place: str, *, region: str, endpoint: str | None = None, key: str | None = None, secret: str | None = None
    ) -> None:
        bucket, _, prefix = place.strip("/").partition("/")
        options: S3Config = {"region": region}
        if endpoint is not None:
            options["endpoint"] = endpoint
        if key is not None and secret is not None:
            options["access_key_id"] = key
            options["secret_access_key"] = secret
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            config=options,
            client_options={
                "allow_http": endpoint is not None and endpoint.startswith("http://"),
                "timeout": REQUEST_FOR,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_FOR},
        )

    async def put(self, name: str, path: Path, media_type: str) -> None:
        try:
            with _translated():
                await obstore.put_async(
                    self._store,
                    checked(name),
                    path,
                    attributes={"Content-Type": media_type},
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except FileMissing as error:
            raise FilesAway(f"not there: {error}") from error
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as error:
            raise of_os_error(error) from error

    async def size(self, name: str) -> int | None:
        try:
            with _translated():
                return (await obstore.head_async(self._store, checked(name)))["size"]
        except FileMissing:
            return None

    async def piece(self, name: str, start: int, end: int) -> bytes:
        with _translated():
            end = min(end, start + PIECE_BYTES)
            return bytes(await obstore.get_range_async(self._store, checked(name), start=start, end=end))

    async def remove(self, name: str) -> None:
        try:
            with _translated():
                await obstore.delete_async(self._store, checked(name))
        except FileMissing:
            return

    async def check(self) -> None:
        await self.size("check")


@contextmanager
def _translated() -> Generator[None]:
    """Raise the port's errors instead of the library's."""
    try:
        yield
    except FileNotFoundError as error:  # what the library raises for a missing object or bucket
        raise FileMissing(_words(error)) from error
    except BaseError as error:
        raise FilesAway(_words(error)) from error
    except OSError as error:
        raise of_os_error(error) from error


def _words(error: Exception) -> str:
    """One line. The library names the bucket and the object, never the key."""
    return " ".join(str(error).split())[:WORDS]
