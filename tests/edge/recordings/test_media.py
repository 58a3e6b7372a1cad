"""What a file is, and a picture of it: with the real programs on real files, and with programs that misbehave."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from pathlib import Path

import psutil
import pytest

from server.recordings import child, media
from server.recordings.child import ProgramTimeout, run
from server.recordings.media import Media, Tools, look, moment, take_picture
from storage.jobs import MediaTrack
from tests.edge.recordings.conftest import Workshop
from tests.support.node import until
from tests.support.plugnmeet_api import File

SYSTEM = "system"
WHEEL = "wheel"
COLOURS = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration={s}"]
TONE = ["-f", "lavfi", "-i", "sine=frequency=440:duration={s}"]


def made(path: Path, *inputs: list[str], seconds: float = 3.0) -> Path:
    """A real file of so many seconds."""
    command = ["ffmpeg", "-v", "error", "-y"]
    for given in inputs:
        command += [each.format(s=seconds) for each in given]
    subprocess.run([*command, "-shortest", str(path)], check=True, timeout=60)
    return path


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Width and height as the JPEG's frame header says."""
    assert jpeg.startswith(b"\xff\xd8")
    assert jpeg.endswith(b"\xff\xd9")
    at = 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[at : at + 4])
        if 0xFFC0 <= marker <= 0xFFC3:
            height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
            return width, height
        at += 2 + length


def decoding(picture: Path) -> bytes:
    """What a decoder complains of."""
    command = ["ffmpeg", "-v", "error", "-i", str(picture), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, timeout=30, check=True).stderr


@pytest.fixture(params=[SYSTEM, WHEEL])
def tools(request: pytest.FixtureRequest) -> Tools:
    """The system's programs, and the one of the wheel without ffprobe."""
    found = media.find_tools() if request.param == SYSTEM else Tools(media._of_the_wheel(), None)
    if found.ffmpeg is None or (request.param == SYSTEM and found.ffprobe is None):
        pytest.skip("ffmpeg is not installed")
    return found


# -- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_video_has_its_length_its_tracks_and_a_picture(tools: Tools, tmp_path: Path):
    path, picture = made(tmp_path / "a.mp4", COLOURS, TONE), tmp_path / "a.jpg"

    found = await look(tools, path)
    assert await take_picture(tools, path, found, picture) is None

    assert found.duration_ms == pytest.approx(3000, abs=100)
    assert found.tracks == [MediaTrack("video", "h264"), MediaTrack("audio", "aac")]
    assert size_of(picture.read_bytes()) == (640, 360)
    assert decoding(picture) == b""


@pytest.mark.slow
async def test_a_file_shorter_than_a_second_has_a_picture_too(tools: Tools, tmp_path: Path):
    path, picture = made(tmp_path / "a.mp4", COLOURS, seconds=0.5), tmp_path / "a.jpg"

    found = await look(tools, path)

    assert await take_picture(tools, path, found, picture) is None
    assert size_of(picture.read_bytes())[0] == 640


@pytest.mark.slow
async def test_a_recording_of_sound_has_no_picture_and_says_so(tools: Tools, tmp_path: Path):
    path, picture = made(tmp_path / "a.m4a", TONE), tmp_path / "a.jpg"

    found = await look(tools, path)

    assert found.duration_ms == pytest.approx(3000, abs=100)
    assert [track.kind for track in found.tracks] == ["audio"]
    assert await take_picture(tools, path, found, picture) == "the recording has no video"
    assert not picture.exists()


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"garbage " * 10_000, b"\0\0\0\x18ftypmp42" + b"\0" * 5000])
async def test_a_broken_file_is_said_to_be_one(tools: Tools, tmp_path: Path, content: bytes):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)

    found = await look(tools, path)
    why = await take_picture(tools, path, found, tmp_path / "a.jpg")

    assert found.trouble
    assert why == found.trouble
    assert str(tmp_path) not in why


@pytest.mark.slow
async def test_half_a_file_is_kept_without_a_picture_or_with_one(tools: Tools, tmp_path: Path):
    whole = made(tmp_path / "a.mp4", COLOURS, TONE).read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(whole[: len(whole) // 2])

    found = await look(tools, half)

    assert await take_picture(tools, half, found, tmp_path / "a.jpg")


@pytest.mark.slow
async def test_a_playlist_does_not_open_other_files_of_this_machine(tools: Tools, tmp_path: Path):
    made(tmp_path / "secret.ts", COLOURS)
    playlist = tmp_path / "a.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:3,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n")
    script = tmp_path / "b.mp4"
    script.write_text(f"ffconcat version 1.0\nfile '{tmp_path}/secret.ts'\n")

    for path in (playlist, script):
        found = await look(tools, path)
        assert found.trouble
        assert found.tracks == []


@pytest.mark.slow
async def test_a_recording_comes_with_its_picture(shop: Workshop, tmp_path: Path):
    shop.tools = media.find_tools()
    video = made(tmp_path / "a.mp4", COLOURS, TONE)
    job_id = await shop.told("r-1", file := File(content=video.read_bytes()))

    async with shop.life():
        job = await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert job.figures is not None
    assert (job.figures.thumbnail, job.figures.thumbnail_reason) == (True, None)
    assert size_of((shop.kept / f"{job_id}.jpg").read_bytes()) == (640, 360)
    assert list(shop.work.iterdir()) == []


# -- programs that misbehave ------------------------------------------------------------------------------------------


def script(tmp_path: Path, text: str, name: str = "ffmpeg") -> Path:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def alive(tmp_path: Path) -> list[int]:
    """The processes whose number was written into `pids`."""
    numbers = (tmp_path / "pids").read_text().split()
    return [
        int(each)
        for each in numbers
        if psutil.pid_exists(int(each)) and psutil.Process(int(each)).status() != psutil.STATUS_ZOMBIE
    ]


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path):
    hanging = script(tmp_path, f"sleep 1000 & echo $! $$ > {tmp_path}/pids; wait")

    with pytest.raises(ProgramTimeout, match="did not end"):
        await run(hanging, [], 0.4)

    await until(lambda: not alive(tmp_path))


async def test_a_program_is_killed_when_nobody_waits_for_it_any_more(tmp_path: Path):
    hanging = script(tmp_path, f"sleep 1000 & echo $! $$ > {tmp_path}/pids; wait")
    task = asyncio.create_task(run(hanging, [], 60))
    await until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await until(lambda: not alive(tmp_path))


async def test_a_program_that_will_not_stop_talking_is_not_kept_in_memory(tmp_path: Path):
    talking = script(tmp_path, "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; exit 3")

    outcome = await run(talking, [], 30)

    assert outcome.code == 3
    assert len(outcome.output) == len(outcome.errors) == child.OUTPUT_BYTES


async def test_a_program_reads_nothing_is_nice_and_is_the_leader_of_its_group(tmp_path: Path):
    asking = script(tmp_path, "cat; sleep 0.2; ps -o nice=,pgid=,pid= -p $$; echo ${HOME:-nothing}")

    nice, group, pid, home = (await run(asking, [], 30)).output.split()

    assert int(nice) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10) or int(nice) == child.NICE
    assert group == pid
    assert home == b"nothing", "no setting of ours is told"


async def test_a_hanging_program_costs_the_picture_and_not_the_recording(shop: Workshop, tmp_path: Path):
    shop.tools = Tools(script(tmp_path, "sleep 1000"), script(tmp_path, "sleep 1000", "ffprobe"))
    shop.limits = type(shop.limits)(max_bytes=10**9, keep_free_bytes=0, program_s=0.2)
    job_id = await shop.told("r-1", File(1000))

    async with shop.life():
        job = await shop.until_state(job_id, "ready")

    assert job.figures is not None
    assert job.figures.thumbnail_reason == "ffprobe did not end within 0.2 s"


@pytest.mark.parametrize("said", ["exit 1", "echo no JSON", "echo '{\"streams\": 5}'", "kill -9 $$"])
async def test_a_program_that_fails_costs_the_picture_only(tmp_path: Path, said: str):
    found = await look(Tools(None, script(tmp_path, said, "ffprobe")), tmp_path / "a.mp4")

    assert found.trouble
    assert found.tracks == []


async def test_a_program_that_cannot_be_started_is_said(tmp_path: Path):
    found = await look(Tools(None, tmp_path / "nowhere"), tmp_path / "a.mp4")

    assert found.trouble


async def test_a_picture_that_is_none_is_cleared_away(tmp_path: Path):
    target = tmp_path / "a.jpg"
    lying = script(tmp_path, f"echo no picture > {target}")

    why = await take_picture(Tools(lying, None), tmp_path / "a.mp4", Media(picture=True), target)

    assert why == "ffmpeg found no picture"
    assert not target.exists()


def test_the_picture_is_taken_at_a_second_or_a_tenth_of_a_short_file():
    assert [moment(each) for each in (None, 5000, 1000, 999, 500, 0)] == [1.0, 1.0, 1.0, 0.0999, 0.05, 0.0]
