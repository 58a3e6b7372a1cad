"""A recording comes home: whole, once, and whatever happens on the way."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from server.recordings.fetching import Limits, media_type
from server.recordings.worker import wait_s
from storage.files import FilesAway
from storage.jobs import MediaTrack
from tests.edge.recordings.conftest import Workshop
from tests.support.node import until
from tests.support.plugnmeet_api import File

MB = 1_000_000


async def test_a_recording_is_fetched_kept_and_ready(shop: Workshop):
    file = File(5 * MB)
    job_id = await shop.told("r-1", file)

    async with shop.life():
        job = await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert job.figures is not None
    assert job.figures.thumbnail_reason == "ffmpeg is not installed"
    await until(lambda: shop.counters.attempts == {"ready": 1})
    assert shop.counters.bytes == file.size
    assert [path.name for path in shop.kept.iterdir()] == [f"{job_id}.mp4"], "named by our id alone"


async def test_a_redirect_is_followed(shop: Workshop):
    shop.stand_in.redirects = True
    job_id = await shop.told("r-1", file := File(MB))

    async with shop.life():
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


async def test_two_come_at_a_time(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    ids = [await shop.told(f"r-{number}", File(2 * MB)) for number in range(4)]

    async with shop.life():
        await until(lambda: shop.stand_in.sent > 0 and shop.stand_in.asked["/download/recording"] == 2)
        assert [shop.job(job_id).state for job_id in ids].count("fetching") == 2
        shop.stand_in.hold.set()
        for job_id in ids:
            await shop.until_state(job_id, "ready")

    assert shop.stand_in.asked["/download/recording"] == 4


# -- what goes wrong on the way ---------------------------------------------------------------------------------------


async def test_a_broken_connection_goes_on_where_it_broke(shop: Workshop):
    shop.stand_in.break_at = [2 * MB, MB]
    job_id = await shop.told("r-1", file := File(5 * MB))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        assert shop.job(job_id).fruitless == 0, "something came: no longer wait than the shortest"
        shop.ahead_s += 1
        await until(lambda: len(shop.stand_in.ranges) == 1)
        await until(lambda: shop.job(job_id).state != "fetching")
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.sent == file.size, "no byte twice"
    await until(lambda: shop.counters.attempts == {"again": 2, "ready": 1})


async def test_a_server_without_ranges_starts_over(shop: Workshop):
    shop.stand_in.honours_range = False
    shop.stand_in.break_at = [2 * MB]
    job_id = await shop.told("r-1", file := File(5 * MB))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


def _waits_after(shop: Workshop, job_id: str, attempts: int) -> bool:
    """Whether so many attempts were made (or more: a slow machine is overtaken by the next one) and none goes on."""
    return shop.job(job_id).state == "pending" and shop.job(job_id).attempts >= attempts


async def test_a_server_that_always_starts_over_is_not_asked_every_second(shop: Workshop):
    shop.stand_in.honours_range = False
    shop.stand_in.break_at = [2 * MB, 3 * MB, 4 * MB]
    job_id = await shop.told("r-1", File(5 * MB))

    async with shop.life():
        for attempt in (1, 2, 3):
            await until(lambda least=attempt: _waits_after(shop, job_id, least))  # type: ignore[misc]
            assert shop.job(job_id).fruitless == shop.job(job_id).attempts - 1
            shop.ahead_s += 300
        await shop.until_state(job_id, "ready")


async def test_a_file_that_became_another_starts_over(shop: Workshop):
    shop.stand_in.break_at = [2 * MB]
    job_id = await shop.told("r-1", File(5 * MB))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        shop.stand_in.recordings["r-1"] = other = File(4 * MB, seed=b"another")
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, other)


async def test_a_file_of_unknown_length_comes_whole(shop: Workshop):
    shop.stand_in.says_length = False
    job_id = await shop.told("r-1", file := File(3 * MB))

    async with shop.life():
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


async def test_a_refused_token_is_a_new_token(shop: Workshop):
    shop.stand_in.refuse_tokens = 2
    job_id = await shop.told("r-1", File(MB))

    async with shop.life():
        job = await shop.until_state(job_id, "ready")

    assert job.attempts == 1
    assert shop.stand_in.asked["/auth/recording/getDownloadToken"] == 3


async def test_tokens_that_are_all_refused_are_another_attempt(shop: Workshop):
    shop.stand_in.refuse_tokens = 3
    job_id = await shop.told("r-1", File(MB))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason == "every token for the download was refused")
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")


@pytest.mark.parametrize("status", [0, 401, 500])
async def test_an_api_out_of_order_is_asked_again(shop: Workshop, status: int):
    shop.stand_in.fail = [status]
    job_id = await shop.told("r-1", File(MB))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")

    assert shop.job(job_id).reason is None


def test_waits_double_up_to_five_minutes():
    assert [wait_s(attempt) for attempt in (0, 1, 2, 3, 8, 9, 10, 10_000)] == [1, 1, 2, 4, 128, 256, 300, 300]


async def test_after_a_day_it_is_given_up_and_says_why(shop: Workshop):
    job_id = await shop.told("r-1")

    async with shop.life():
        await until(lambda: shop.job(job_id).reason == "recording not found")
        assert shop.job(job_id).state == "pending"
        shop.ahead_s += 24 * 3600
        job = await shop.until_state(job_id, "failed")

    assert job.reason == "recording not found"
    assert job.attempts == 2
    await until(lambda: shop.counters.attempts == {"again": 1, "failed": 1})


async def test_a_recording_given_up_comes_when_it_is_tried_again(shop: Workshop):
    job_id = await shop.told("r-1")
    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        shop.ahead_s += 24 * 3600
        await shop.until_state(job_id, "failed")
        shop.stand_in.recordings["r-1"] = File(MB)

        assert await shop.jobs.retry("r-1") == 1
        await shop.until_state(job_id, "ready")


@pytest.mark.parametrize("says_length", [True, False])
async def test_too_large_is_final(shop: Workshop, monkeypatch: pytest.MonkeyPatch, says_length):
    shop.limits = Limits(max_bytes=3 * MB, keep_free_bytes=0)
    shop.stand_in.says_length = says_length
    job_id = await shop.told("r-1", file := File(60 * MB))
    info = shop.stand_in._recording_info({"record_id": "r-1"})
    info["recording_info"]["file_size"] = 1
    monkeypatch.setattr(shop.stand_in, "_recording_info", lambda _asked: info)

    async with shop.life():
        job = await shop.until_state(job_id, "failed")
        await until(lambda: not shop.part(job_id).exists())

    assert job.reason is not None
    assert "ROLLCALL_RECORDING_MAX_BYTES" in job.reason
    assert shop.stand_in.sent < file.size


async def test_too_large_as_told_is_not_even_asked_for(shop: Workshop):
    shop.limits = Limits(max_bytes=3 * MB, keep_free_bytes=0)
    told = await shop.told("r-1", File(5 * MB), size_mb=5.0)
    asked = await shop.told("r-2", File(5 * MB))
    small = await shop.told("r-3", File(3 * MB), size_mb=3.0)

    async with shop.life():
        await shop.until_state(told, "failed")
        await shop.until_state(asked, "failed")
        await shop.until_state(small, "ready")

    assert shop.stand_in.asked["/download/recording"] == 1
    assert shop.stand_in.asked["/auth/recording/info"] == 2


async def test_a_disk_without_room_is_not_filled(shop: Workshop):
    shop.limits = Limits(max_bytes=10**12, keep_free_bytes=10**15)
    job_id = await shop.told("r-1", File(MB))

    async with shop.life():
        await until(lambda: (shop.job(job_id).reason or "").startswith("no space left"))

    assert shop.job(job_id).state == "pending"
    assert shop.part(job_id).stat().st_size == 0


async def test_a_disk_that_is_full_in_the_middle_is_tried_again(shop: Workshop, monkeypatch: pytest.MonkeyPatch):
    job_id = await shop.told("r-1", file := File(3 * MB))
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if os.fstat(descriptor).st_size > MB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: MB // 2])

    async with shop.life():
        monkeypatch.setattr(os, "write", full)
        await until(lambda: "No space left" in (shop.job(job_id).reason or ""))
        monkeypatch.setattr(os, "write", write)
        shop.ahead_s += 300
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


async def test_an_empty_file_is_not_taken_for_a_recording(shop: Workshop):
    job_id = await shop.told("r-1", File(0))

    async with shop.life():
        await until(lambda: shop.job(job_id).reason == "the file is empty")
        assert shop.job(job_id).state == "pending"


class _Broken:
    """A store of files that is away for some calls."""

    def __init__(self, shop: Workshop, times: int) -> None:
        self._files = shop.files
        self.times = times

    async def put(self, name: str, path: Path, media_type: str) -> None:
        if self.times:
            self.times -= 1
            raise FilesAway("the bucket is away")
        await self._files.put(name, path, media_type)

    async def size(self, name: str) -> int | None:
        return await self._files.size(name)


async def test_a_store_of_files_that_is_away_does_not_cost_the_download(shop: Workshop):
    shop.files = _Broken(shop, 2)  # type: ignore[assignment]
    job_id = await shop.told("r-1", file := File(2 * MB))

    async with shop.life():
        for attempt in (1, 2):
            await until(lambda least=attempt: _waits_after(shop, job_id, least))  # type: ignore[misc]
            assert shop.job(job_id).reason == "the bucket is away"
            shop.ahead_s += 300
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.asked["/download/recording"] == 1


async def test_a_database_that_is_away_at_the_end_costs_nothing(shop: Workshop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.recordings.worker.WAIT_FIRST_S", 0.01)
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", file := File(2 * MB))

    async with shop.life():
        await until(lambda: shop.stand_in.sent >= MB)
        shop.memory.faults.away = True
        shop.stand_in.hold.set()
        await until(lambda: shop.counters.attempts["lost"] == 1)
        shop.memory.faults.away = False
        shop.ahead_s += 60
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    # The claim may be lost before the last byte came: then the next attempt goes on there.
    assert shop.stand_in.sent < file.size + MB


async def test_a_claim_that_is_lost_ends_the_work(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", File(2 * MB))

    async with shop.life() as worker:
        await until(lambda: shop.stand_in.sent >= MB)
        shop.jobs.claims[job_id].owner = "another node"
        shop.jobs.claims[job_id].until = float("inf")
        await until(lambda: not worker._fetching)
        shop.stand_in.hold.set()

    assert shop.jobs.claims[job_id].owner == "another node"


# -- crashes ----------------------------------------------------------------------------------------------------------


async def test_a_crash_in_the_download_goes_on_where_the_file_ends(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", file := File(5 * MB))
    async with shop.life():
        await until(lambda: shop.part(job_id).exists() and shop.part(job_id).stat().st_size >= MB)
        await shop.crash()
    there = shop.part(job_id).stat().st_size
    assert shop.job(job_id).state == "fetching"
    shop.stand_in.hold = None

    async with shop.life():
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.ranges == [f"bytes={there}-"]


@pytest.mark.parametrize("step", ["begins", "examined", "ready"])
@pytest.mark.parametrize("done", [False, True])
async def test_a_crash_around_any_step_is_made_good(shop: Workshop, monkeypatch: pytest.MonkeyPatch, step, done):
    job_id = await shop.told("r-1", file := File(2 * MB))
    real, reached, never = getattr(shop.jobs, step), asyncio.Event(), asyncio.Event()

    async def stuck(*arguments: object) -> bool:
        if done:
            await real(*arguments)
        reached.set()
        await never.wait()
        return True

    async with shop.life():
        monkeypatch.setattr(shop.jobs, step, stuck)
        await reached.wait()
        await shop.crash()
        monkeypatch.setattr(shop.jobs, step, real)
    async with shop.life():
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.asked["/download/recording"] == 1 + (step == "begins")


@pytest.mark.parametrize("done", [False, True])
async def test_a_crash_around_the_keeping_is_made_good(shop: Workshop, monkeypatch: pytest.MonkeyPatch, done):
    job_id = await shop.told("r-1", file := File(2 * MB))
    real, reached, never = shop.files.put, asyncio.Event(), asyncio.Event()

    async def stuck(name: str, path: Path, media_type: str) -> None:
        if done:
            await real(name, path, media_type)
        reached.set()
        await never.wait()

    async with shop.life():
        monkeypatch.setattr(shop.files, "put", stuck)
        await reached.wait()
        await shop.crash()
        monkeypatch.setattr(shop.files, "put", real)
    async with shop.life():
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.asked["/download/recording"] == 1


async def test_a_file_lost_between_two_lives_is_fetched_anew(shop: Workshop, monkeypatch: pytest.MonkeyPatch):
    job_id = await shop.told("r-1", file := File(2 * MB))
    reached, never, put = asyncio.Event(), asyncio.Event(), shop.files.put

    async def stuck(*_arguments: object) -> None:
        reached.set()
        await never.wait()

    async with shop.life():
        monkeypatch.setattr(shop.files, "put", stuck)
        await reached.wait()
        await shop.crash()
        monkeypatch.setattr(shop.files, "put", put)
    shop.part(job_id).unlink()
    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)
        shop.ahead_s += 300
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


async def test_another_node_waits_for_the_claim_to_run_out(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", file := File(2 * MB))
    async with shop.life():
        await until(lambda: shop.stand_in.sent >= MB)
        await shop.crash()
    shop.stand_in.hold = None
    shop.sole_owner = False

    async with shop.life():
        await until(lambda: shop.lives == 2)
        shop.ahead_s += 1
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)


async def test_a_stop_gives_the_jobs_back_at_once(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", File(2 * MB))

    async with shop.life():
        await until(lambda: shop.stand_in.sent >= MB)

    assert (shop.job(job_id).state, shop.job(job_id).attempts) == ("pending", 0)
    assert shop.jobs.claims == {}
    shop.stand_in.hold.set()


async def test_nothing_stays_in_the_work_folder_that_nobody_goes_on_with(shop: Workshop):
    job_id = await shop.told("r-1")
    shop.work.mkdir()
    (shop.work / "11111111-1111-4111-8111-111111111111.part").write_bytes(b"x")
    (shop.work / "a stranger's file").write_bytes(b"x")
    (shop.work / f"{job_id}.jpg").write_bytes(b"x")

    async with shop.life():
        await until(lambda: shop.job(job_id).reason is not None)

    left = {path.name for path in shop.work.iterdir()} - {f"{job_id}.part"}
    assert left == {"a stranger's file", f"{job_id}.jpg"}


async def test_a_crash_of_ours_is_on_the_record_and_the_others_go_on(shop: Workshop, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_arguments: object) -> bool:
        raise KeyError("a mistake")

    bad = await shop.told("r-1", File(MB))
    async with shop.life():
        monkeypatch.setattr(shop.jobs, "examined", broken)
        await until(lambda: shop.job(bad).reason == "something went wrong here: KeyError")
        monkeypatch.undo()
        good = await shop.told("r-2", File(MB))
        await shop.until_state(good, "ready")


@pytest.mark.parametrize(
    ("kinds", "served_as"),
    [(["video", "audio"], "video/mp4"), (["audio"], "audio/mp4"), ([], "application/octet-stream")],
)
def test_a_recording_is_served_as_what_it_is(kinds: list[str], served_as: str):
    assert media_type([MediaTrack(kind, "x") for kind in kinds]) == served_as
