"""Images of mobile sessions: there when their bytes are, once in a session, gone with it; nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from actors.ports import StoreAway
from server.mobile.images_sweeping import ImageSweeper, bytes_of
from storage.files import DirectoryFiles
from storage.mobile_images import Image, MobileImages, SessionGone, file_name
from tests.support.stores import PostgresStore

pytestmark = pytest.mark.slow

T0 = 1_764_000_000_000
SESSION = """
INSERT INTO mobile_sessions
       (session_id, project, user_uuid, user_id, started_at, active_at, newest_at, alive_at, clock_offset_ms, device)
VALUES ($1, $2, 'phone', $3, now(), now(), now(), now(), 0, '{}')
"""


class Shelf:
    """Images with their files, and a hand in the database."""

    def __init__(self, images: MobileImages, files: DirectoryFiles, tmp: Path, database: asyncpg.Connection) -> None:
        self.images = images
        self.files = files
        self.tmp = tmp
        self.database = database
        self.sweeper = ImageSweeper(images, files, tmp / "work")

    async def session(self, session_id: int, project: str = "app", user_id: str | None = None) -> None:
        await self.database.execute(SESSION, session_id, project, user_id)

    async def put(self, file: str, data: bytes) -> None:
        path = self.tmp / file
        path.write_bytes(data)
        await self.files.put(file_name(file), path, "application/octet-stream")

    async def add(self, session_id: int, *hashes: str, project: str = "app", frame: bool = False) -> str:
        """A request with these images, each of four bytes."""
        file = str(uuid4())
        assert await self.images.grows(file, session_id, len(hashes), 4 * len(hashes))
        await self.put(file, b"".join(each.encode().ljust(4, b".")[:4] for each in hashes))
        found = [Image(each, 4 * place, 4, "image/png", frame, None) for place, each in enumerate(hashes)]
        assert await self.images.keep(file, session_id, project, found)
        return file

    async def states(self) -> dict[str, str]:
        return {
            str(file): state
            for file, state in await self.database.fetch("SELECT file, state FROM mobile_image_files ORDER BY since")
        }

    def kept(self) -> set[str]:
        folder = self.tmp / "kept"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
async def shelf(postgres: PostgresStore, tmp_path: Path) -> Shelf:
    images = MobileImages(await postgres.database(), images_max=5, bytes_max=30)
    made = Shelf(images, DirectoryFiles(tmp_path / "kept"), tmp_path, await postgres.connection())
    await made.session(7, user_id="27")
    return made


async def hashes(shelf: Shelf, session_id: int = 7) -> list[str]:
    return [each.image.hash for each in await shelf.images.page(session_id, "", 100)]


async def test_images_come_back_as_they_were_kept(shelf: Shelf):
    file = str(uuid4())
    told = [
        Image("a1", 0, 3, "image/png", frame=False, at=None),
        Image("1_1_9.jpeg", 3, 5, "image/jpeg", frame=True, at=T0),
        Image("w", 8, 2, "image/webp", frame=False, at=None),
    ]
    await shelf.images.grows(file, 7, 3, 10)
    await shelf.put(file, b"pngjpeg.ww")
    assert await shelf.images.keep(file, 7, "app", told)

    found = await shelf.images.page(7, "", 100)

    assert [each.image for each in found] == [told[1], told[0], told[2]]
    assert [await bytes_of(shelf.files, each) for each in found] == [b"jpeg.", b"png", b"ww"]
    assert await shelf.images.image(7, "a1") == found[1]
    assert await shelf.images.image(7, "a2") is None
    assert await shelf.images.image(8, "a1") is None


async def test_pages_follow_each_other(shelf: Shelf):
    await shelf.add(7, "a", "b", "c")

    assert [each.image.hash for each in await shelf.images.page(7, "a", 1)] == ["b"]
    assert [each.image.hash for each in await shelf.images.page(7, "c", 1)] == []


async def test_what_a_session_has_is_known(shelf: Shelf):
    await shelf.add(7, "a", "b")

    assert await shelf.images.known(7, ["a", "c"]) == {"a"}
    assert await shelf.images.known(8, ["a"]) == set()


async def test_an_image_is_kept_once_in_a_session_and_once_in_each(shelf: Shelf):
    await shelf.session(8)
    first = await shelf.add(7, "a")
    other = await shelf.add(8, "a")
    again = await shelf.add(7, "a")
    both = await shelf.add(7, "a", "b")

    assert await hashes(shelf) == ["a", "b"]
    assert await shelf.states() == {first: "kept", other: "kept", again: "doomed", both: "kept"}


async def test_hashes_of_a_project_are_the_newest_without_frames(shelf: Shelf):
    await shelf.session(8)
    await shelf.session(9, "other")
    await shelf.add(7, "old", "1_1_2.jpeg", frame=True)
    await shelf.add(7, "a")
    await shelf.add(8, "b")
    await shelf.add(9, "c", project="other")
    await shelf.add(8, "d")

    assert await shelf.images.hashes("app") == ["d", "b", "a"]
    assert await shelf.images.hashes("app", 2) == ["d", "b"]
    assert await shelf.images.hashes("nobody") == []


async def test_a_session_that_is_full_takes_no_more(shelf: Shelf):
    await shelf.add(7, "a", "b", "c", "d")

    assert not await shelf.images.grows(str(uuid4()), 7, 2, 1)
    assert not await shelf.images.grows(str(uuid4()), 7, 1, 15)
    assert await shelf.images.grows(str(uuid4()), 7, 1, 14)


async def test_what_grows_counts_and_what_is_doomed_does_not(shelf: Shelf):
    file = str(uuid4())
    assert await shelf.images.grows(file, 7, 5, 30)
    assert not await shelf.images.grows(str(uuid4()), 7, 1, 1)

    await shelf.images.doom(file)

    assert await shelf.images.grows(str(uuid4()), 7, 5, 30)


# -- ends -------------------------------------------------------------------------------------------------------------


async def test_nothing_is_seen_before_it_is_kept_and_a_crash_in_between_is_cleaned_up(shelf: Shelf):
    file = str(uuid4())
    await shelf.images.grows(file, 7, 1, 4)
    await shelf.put(file, b"aaaa")

    assert await hashes(shelf) == []
    assert await shelf.sweeper.sweep() == 0
    assert shelf.kept() == {file_name(file)}

    await shelf.database.execute("UPDATE mobile_image_files SET since = since - interval '2 hours'")
    assert await shelf.sweeper.sweep() == 1
    assert shelf.kept() == set()
    assert await shelf.states() == {}


async def test_a_request_that_comes_to_its_end_too_late_keeps_nothing(shelf: Shelf):
    file = str(uuid4())
    await shelf.images.grows(file, 7, 1, 4)
    await shelf.images.doomed(0.0, 10)

    assert not await shelf.images.keep(file, 7, "app", [Image("a", 0, 4, "image/png", frame=False, at=None)])
    assert await hashes(shelf) == []


async def test_images_go_with_their_session(shelf: Shelf):
    await shelf.session(8)
    await shelf.add(7, "a", "b")
    stays = await shelf.add(8, "a")

    await shelf.database.execute("DELETE FROM mobile_sessions WHERE session_id = 7")

    assert await hashes(shelf) == []
    assert await shelf.sweeper.sweep() == 1
    assert shelf.kept() == {file_name(stays)}


async def test_nothing_is_kept_for_a_session_that_is_gone(shelf: Shelf):
    file = str(uuid4())
    await shelf.images.grows(file, 7, 1, 4)
    await shelf.database.execute("DELETE FROM mobile_sessions")

    with pytest.raises(SessionGone):
        await shelf.images.keep(file, 7, "app", [Image("a", 0, 4, "image/png", frame=False, at=None)])

    assert await shelf.states() == {file: "growing"}


async def test_an_erasure_waits_for_what_is_being_kept_and_takes_it_along(postgres: PostgresStore, shelf: Shelf):
    other = await postgres.connection()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM mobile_sessions WHERE session_id = 7 FOR KEY SHARE")
    erasing = asyncio.create_task(shelf.database.execute("DELETE FROM mobile_sessions"))
    await postgres.until_waiting()

    await shelf.add(7, "a")
    await transaction.commit()
    await erasing

    assert await hashes(shelf) == []
    assert await shelf.sweeper.sweep() == 1


async def test_a_file_with_an_image_left_stays(shelf: Shelf):
    file = await shelf.add(7, "a", "b")

    await shelf.database.execute("DELETE FROM mobile_images WHERE hash = 'a'")
    assert await shelf.states() == {file: "kept"}

    await shelf.database.execute("DELETE FROM mobile_images WHERE hash = 'b'")
    assert await shelf.states() == {file: "doomed"}


async def test_where_the_store_of_files_is_away_a_doomed_file_stays_known(shelf: Shelf, tmp_path: Path):
    file = await shelf.add(7, "a")
    await shelf.database.execute("DELETE FROM mobile_sessions")
    shelf.tmp.joinpath("kept").rename(tmp_path / "elsewhere")
    (tmp_path / "kept").write_bytes(b"no directory")

    with pytest.raises(StoreAway, match="store of files"):
        await shelf.sweeper.sweep()
    assert await shelf.states() == {file: "doomed"}

    (tmp_path / "kept").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "kept")
    assert await shelf.sweeper.sweep() == 1


async def test_a_learners_images_are_found_by_their_sessions(shelf: Shelf):
    await shelf.session(8, user_id="28")
    await shelf.session(9, user_id="27")
    await shelf.add(9, "c")
    await shelf.add(7, "b", "a")
    await shelf.add(8, "a")

    found = [(session_id, each.image.hash) async for session_id, each in shelf.images.of_learner("27")]

    assert found == [(7, "a"), (7, "b"), (9, "c")]


async def test_images_of_nobodys_session_that_names_a_learner_go_with_them(shelf: Shelf):
    await shelf.session(8)
    await shelf.session(9, user_id="28")
    await shelf.database.execute("UPDATE mobile_sessions SET user_label = '27' WHERE session_id IN (8, 9)")
    await shelf.add(8, "a")
    await shelf.add(9, "a")

    assert [session_id async for session_id, _ in shelf.images.of_learner("27")] == [8]


async def test_what_a_dead_process_had_unpacked_goes(shelf: Shelf, tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "left").write_bytes(b"x")
    (work / "fresh").write_bytes(b"x")
    swept = ImageSweeper(shelf.images, shelf.files, work, forgotten_s=60)
    os.utime(work / "left", (0, 0))
    await swept.sweep()

    assert [path.name for path in work.iterdir()] == ["fresh"]
