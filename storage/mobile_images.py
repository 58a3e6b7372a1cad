"""Images of mobile sessions (mobile-ingest.md, "images"): tables `mobile_images`, `mobile_image_files`.

    grows --> bytes are put away --> keep (the images are there) --> doomed --> swept (bytes, then the row)
      '-----------------------------------------------------------------^ fails, or takes over an hour

One file in the store of files holds the images of one request, one behind the other. Whatever dies between two steps
leaves a file that the sweep finds, and no image that is half there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from storage.postgres import Database
from storage.sql import statements

HASHES: Final = 40
IMAGES_MAX: Final = 20_000
"""Of one session: a frame a second for five and a half hours."""
BYTES_MAX: Final = 4 * 1024**3
"""Of one session."""
PAGE: Final = 100
HASH_CHARS: Final = 128

Media = Literal["image/png", "image/jpeg", "image/webp"]


class Image(msgspec.Struct, frozen=True):
    """An image within a file: `size` bytes from `start` on. `at`: Unix ms by the client's clock; frames only."""

    hash: str
    start: int
    size: int
    media: Media
    frame: bool
    at: int | None


class StoredImage(msgspec.Struct, frozen=True):
    """One that is there: in which file, and since when (Unix ms)."""

    image: Image
    file: str
    stored_at: int


class SessionGone(Exception):
    """The session was erased, and nothing is kept of it."""


class MobileImages:
    """Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database, *, images_max: int = IMAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._database = database
        self._images_max = images_max
        self._bytes_max = bytes_max

    async def hashes(self, project: str, limit: int = HASHES) -> list[str]:
        """Hashes of a project's images, the newest first, each once; frames are none."""
        found = await self._database.fetch("mobile_image_hashes", project, limit)
        return list(dict.fromkeys(record[0] for record in found))

    # -- storing ------------------------------------------------------------------------------------------------------

    async def known(self, session_id: int, hashes: Collection[str]) -> frozenset[str]:
        """Those of the hashes that the session has."""
        found = await self._database.fetch("mobile_images_known", session_id, list(hashes))
        return frozenset(record[0] for record in found)

    async def grows(self, file: str, session_id: int, images: int, size: int) -> bool:
        """A file is about to be put away; False where the session has all the images or bytes that it may have.

        Raises SessionGone.
        """
        request, bounds = (file, session_id, images, size), (self._images_max, self._bytes_max)
        async with self._database.transaction() as connection:
            if await connection.fetchrow(statements()["mobile_images_turn"], session_id) is None:
                raise SessionGone
            return await connection.fetchrow(statements()["mobile_image_file_grows"], *request, *bounds) is not None

    async def keep(self, file: str, session_id: int, project: str, images: Sequence[Image]) -> bool:
        """Its bytes are put away: the images are there from now on. False: it took too long, and they were swept.

        Raises SessionGone.
        """
        columns = [[getattr(image, name) for image in images] for name in Image.__struct_fields__]
        async with self._database.transaction() as connection:
            if await connection.fetchrow(statements()["mobile_image_file_kept"], file) is None:
                return False
            if await connection.fetchrow(statements()["mobile_session_held"], session_id) is None:
                raise SessionGone
            await connection.execute(statements()["keep_mobile_images"], session_id, project, file, *columns)
            await connection.execute(statements()["doom_mobile_image_file"], file)
        return True

    async def doom(self, file: str) -> None:
        """It will not be kept."""
        await self._database.fetch("doom_mobile_image_file", file)

    # -- sweeping -----------------------------------------------------------------------------------------------------

    async def doomed(self, forgotten_s: float, limit: int) -> list[str]:
        """Files whose bytes are to be removed; those that have grown for over `forgotten_s` are among them."""
        await self._database.fetch("doom_forgotten_mobile_image_files", forgotten_s)
        return [str(record[0]) for record in await self._database.fetch("doomed_mobile_image_files", limit)]

    async def gone(self, files: Sequence[str]) -> None:
        """Their bytes are removed."""
        await self._database.fetch("mobile_image_files_gone", files)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def page(self, session_id: int, after: str, limit: int) -> list[StoredImage]:
        """At most `limit` images of a session behind the hash `after`, by hash."""
        found = await self._database.fetch("mobile_images_page", session_id, after, limit)
        return [_stored(record) for record in found]

    async def image(self, session_id: int, hash_: str) -> StoredImage | None:
        """One of a session's images."""
        record = await self._database.fetchrow("mobile_image", session_id, hash_)
        return None if record is None else _stored(record)

    async def of_learner(self, user_id: str) -> AsyncIterator[tuple[int, StoredImage]]:
        """All images of a learner's sessions, each with its session."""
        place = (-1, "")
        while page := await self._database.fetch("mobile_images_of_learner", user_id, *place, PAGE):
            for record in page:
                place = (record["session_id"], record["hash"])
                yield record["session_id"], _stored(record)


def file_name(file: str) -> str:
    """A file's name in the store of files."""
    return f"mobile-images-{UUID(file)}"


def _stored(record: asyncpg.Record) -> StoredImage:
    image = Image(record["hash"], record["start"], record["size_bytes"], record["media"], record["frame"], record["at"])
    return StoredImage(image, str(record["file"]), record["stored_at"])
