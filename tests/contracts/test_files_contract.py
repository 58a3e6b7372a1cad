"""Files: there as a whole or not at all, read piece by piece; in a directory and in an S3-compatible store."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.files import PIECE_BYTES, DirectoryFiles, FileMissing, Files, FilesAway, FilesFull
from storage.files_s3 import S3Files
from tests.support.s3 import KEY, SECRET, S3Server, s3_server

NAME = "0190a1b2-0000-4000-8000-000000000001.mp4"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("lessons")
        yield server


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.slow)])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Files]:
    if request.param == "directory":
        yield DirectoryFiles(tmp_path / "kept")
        return
    yield in_bucket(request.getfixturevalue("s3"), f"lessons/{request.node.name.partition('[')[0]}/deep")


def in_bucket(server: S3Server, place: str) -> S3Files:
    return S3Files(place, region="us-east-1", endpoint=server.url, key=KEY, secret=SECRET)


def made(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(content)
    return path


async def test_a_file_is_kept_and_the_local_one_is_gone(kept: Files, tmp_path: Path):
    local = made(tmp_path, b"0123456789")

    await kept.put(NAME, local, "video/mp4")

    assert not local.exists()
    assert await kept.size(NAME) == 10
    assert await kept.piece(NAME, 0, 10) == b"0123456789"
    assert await kept.piece(NAME, 3, 5) == b"34"


async def test_a_file_is_replaced(kept: Files, tmp_path: Path):
    await kept.put(NAME, made(tmp_path, b"old and longer"), "video/mp4")
    await kept.put(NAME, made(tmp_path, b"new"), "video/mp4")

    assert await kept.size(NAME) == 3
    assert await kept.piece(NAME, 0, 3) == b"new"


async def test_a_piece_is_never_larger_than_its_bound(kept: Files, tmp_path: Path):
    content = os.urandom(2 * PIECE_BYTES + 17)
    await kept.put(NAME, made(tmp_path, content), "video/mp4")

    first = await kept.piece(NAME, 5, len(content))

    assert first == content[5 : 5 + PIECE_BYTES]
    assert await kept.piece(NAME, 2 * PIECE_BYTES, len(content)) == content[2 * PIECE_BYTES :]


async def test_a_file_of_several_parts_comes_back_as_it_was(kept: Files, tmp_path: Path):
    content = os.urandom(20_000_000)
    await kept.put(NAME, made(tmp_path, content), "video/mp4")

    back = b"".join([await kept.piece(NAME, at, len(content)) for at in range(0, len(content), PIECE_BYTES)])

    assert await kept.size(NAME) == len(content)
    assert back == content


async def test_what_is_not_there_is_missing(kept: Files):
    assert await kept.size(NAME) is None
    with pytest.raises(FileMissing):
        await kept.piece(NAME, 0, 1)
    await kept.remove(NAME)


async def test_a_file_is_forgotten(kept: Files, tmp_path: Path):
    await kept.put(NAME, made(tmp_path, b"x"), "image/jpeg")
    await kept.remove(NAME)

    assert await kept.size(NAME) is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "A.mp4", "x\0", "x" * 101])
async def test_a_name_leads_nowhere_else(kept: Files, tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="no name"):
        await kept.put(name, made(tmp_path, b"x"), "video/mp4")
    with pytest.raises(ValueError, match="no name"):
        await kept.piece(name, 0, 1)


async def test_a_place_is_checked_before_it_is_needed(kept: Files):
    await kept.check()


# -- a directory ------------------------------------------------------------------------------------------------------


async def test_nobody_else_can_read_a_kept_file(tmp_path: Path):
    kept = DirectoryFiles(tmp_path / "deep" / "kept")
    await kept.put(NAME, made(tmp_path, b"x"), "video/mp4")

    assert (tmp_path / "deep/kept" / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deep/kept").stat().st_mode & 0o777 == 0o700


async def test_a_file_from_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept, local = DirectoryFiles(tmp_path / "kept"), made(tmp_path, b"0123456789")
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self == local:
            raise OSError(errno.EXDEV, "another file system")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    await kept.put(NAME, local, "video/mp4")

    assert not local.exists()
    assert await kept.piece(NAME, 0, 10) == b"0123456789"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [NAME]


async def test_a_full_disk_is_said_and_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept, local = DirectoryFiles(tmp_path / "kept"), made(tmp_path, b"0123456789")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def across(*_arguments: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "rename", across)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(FilesFull):
        await kept.put(NAME, local, "video/mp4")

    assert local.exists()
    assert list((tmp_path / "kept").iterdir()) == []


async def test_a_place_that_cannot_be_made_is_away(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")

    nowhere = DirectoryFiles(tmp_path / "file" / "kept")

    with pytest.raises(FilesAway, match="no directory"):
        await nowhere.check()
    with pytest.raises(FilesAway):
        await nowhere.put(NAME, made(tmp_path, b"x"), "video/mp4")


# -- a bucket ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_bucket_that_is_not_there_is_away(s3: S3Server, tmp_path: Path):
    local = made(tmp_path, b"x")

    with pytest.raises(FilesAway):
        await in_bucket(s3, "nowhere").put(NAME, local, "video/mp4")

    assert local.exists()


@pytest.mark.slow
async def test_a_store_that_nobody_serves_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.files_s3.RETRIES", 0)
    nobody = S3Files("lessons", region="us-east-1", endpoint="http://127.0.0.1:9", key=KEY, secret=SECRET)

    with pytest.raises(FilesAway):
        await nobody.put(NAME, made(tmp_path, b"x"), "video/mp4")
    with pytest.raises(FilesAway):
        await nobody.size(NAME)
