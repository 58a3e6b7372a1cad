"""The short form of `recordings.py`: a recording through a real server, broken and killed in the middle."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest

from tests.faults import recordings
from tests.faults.crashes import PROGRAM, Node
from tests.support.node import until
from tests.support.plugnmeet_api import File, PlugNMeetStandIn

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ALLOWED_MIB = 60.0


@pytest.mark.parametrize(("megabytes", "s3"), [(150, False), (40, True)])
async def test_a_recording_survives_a_break_and_a_kill_and_memory_stays_flat(megabytes: int, s3: bool):  # noqa: FBT001
    figures = await recordings.trial(megabytes, breaks=1, kills=1, s3=s3)

    assert figures["identical"]
    assert figures["server_starts"] == 2
    assert figures["listed"]["duration_seconds"] == pytest.approx(5.0, abs=0.2)
    assert figures["picture"] == "mjpeg,640,360"
    assert figures["rss_peak_serving_mib"] - figures["rss_before_mib"] < ALLOWED_MIB
    assert figures["sent_megabytes"] < 1.4 * figures["megabytes"], "what had come is not asked for again"


async def test_a_stop_in_the_middle_takes_seconds_and_the_next_life_goes_on(tmp_path: Path):
    async with PlugNMeetStandIn() as stand_in, aiohttp.ClientSession() as http:
        stand_in.recordings[recordings.RECORD] = file = File(50_000_000)
        stand_in.hold = asyncio.Event()
        server = Node(tmp_path, **recordings.api_of(stand_in))
        await asyncio.to_thread(server.start)
        body, headers = recordings.webhook(recordings.ROOM, recordings.RECORD)
        async with http.post(f"{server.url}/webhooks/plugnmeet", data=body, headers=headers) as answer:
            assert answer.status == 200
        await until(lambda: stand_in.sent >= 1_000_000)

        begun = time.monotonic()
        await asyncio.to_thread(server.stop)
        stopped_s = time.monotonic() - begun
        left = await asyncio.to_thread(listed, tmp_path)
        stand_in.hold = None
        await asyncio.to_thread(server.start)
        await until(lambda: stand_in.sent >= file.size)
        await until(lambda: " ready " in listed(tmp_path))
        await asyncio.to_thread(server.stop)

    assert stopped_s < 8
    assert " pending " in left
    assert stand_in.sent < file.size + 10_000_000


def listed(directory: Path) -> str:
    """What `rollcall recordings list` says: beside a running server, and without one."""
    command = [PROGRAM, "recordings", "list", "--data-dir", str(directory / "data")]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
