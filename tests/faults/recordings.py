"""A large recording comes through a real server that is disturbed on the way: is the file the same, was memory flat.

    python -m tests.faults.recordings                       # 1 GB, by hand
    python -m tests.faults.recordings --megabytes 4000 --breaks 5 --kills 3

A stand-in of the plugNmeet API serves a video with a long tail. A signed webhook tells of it. The connection is broken
and the server killed -9 in the middle; whatever came must not come again. The file is then read back over HTTP, at full
speed and by slow readers, and compared; its thumbnail is decoded. The server's memory is sampled all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import psutil

from tests.faults.crashes import PROGRAM, Node
from tests.support.plugnmeet_api import KEY, SECRET, File, PlugNMeetStandIn
from tests.support.s3 import KEY as S3_KEY
from tests.support.s3 import SECRET as S3_SECRET
from tests.support.s3 import S3Server, s3_server

SAMPLE_S: Final = 0.02
PATIENCE_S: Final = 600.0
SLOW_READERS: Final = 8
RECORD: Final = "7f867cd7-7956-4a17-af46-6ddd4015a497-1760000700123"
ROOM: Final = "room01"


class Memory:
    """The resident set of a process and its highest, in MiB, sampled."""

    def __init__(self) -> None:
        self.peak = 0.0

    @asynccontextmanager
    async def watched(self, server: Node) -> AsyncIterator[None]:
        sampling = asyncio.create_task(self._sample(server))
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)

    async def _sample(self, server: Node) -> None:
        while True:
            with suppress(psutil.Error, AssertionError):
                self.peak = max(self.peak, resident(server))
            await asyncio.sleep(SAMPLE_S)


def resident(server: Node) -> float:
    """MiB now."""
    return psutil.Process(server.pid).memory_info().rss / 2**20


def video_of(megabytes: int, directory: Path) -> File:
    """A real video of some seconds, and behind it a box of made-up bytes that players pass over."""
    path = directory / "video.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=10:duration=5"]
    command += ["-f", "lavfi", "-i", "sine=duration=5", "-shortest", "-movflags", "+faststart", str(path)]
    subprocess.run(command, check=True, timeout=60)
    size = megabytes * 1_000_000
    video = path.read_bytes()
    # The large form of a box: its size in 64 bits behind the name.
    head = video + struct.pack(">I4sQ", 1, b"free", size - len(video))
    return File(size, head=head)


def api_of(stand_in: PlugNMeetStandIn) -> dict[str, str]:
    """The settings that point to the stand-in."""
    return {"ROLLCALL_PLUGNMEET_URL": stand_in.url, "ROLLCALL_PLUGNMEET_KEYS": f"{KEY}:{SECRET}"}


def webhook(room: str, record: str) -> tuple[bytes, dict[str, str]]:
    """`recording_proceeded`, signed."""
    message = {
        "event": "recording_proceeded",
        "room": {"sid": "7f867cd7-7956-4a17-af46-6ddd4015a497", "room_id": room},
        "recording_info": {"record_id": record, "recorder_msg": "success", "file_path": "../../x", "file_size": 1.0},
        "id": "5f0c1b1e-0000-4000-8000-000000000010",
        "created_at": str(int(time.time())),
    }
    body = json.dumps(message).encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    now = int(time.time())
    claims = {"iss": KEY, "nbf": now, "exp": now + 300, "sha256": digest}
    return body, {"Authorization": jwt.encode(claims, SECRET, "HS256"), "Content-Type": "application/webhook+json"}


class Trial:
    """One recording from its webhook to its last byte."""

    def __init__(self, server: Node, stand_in: PlugNMeetStandIn, file: File, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.stand_in = stand_in
        self.file = file
        self.http = http
        self.memory = Memory()
        self.token = ""

    async def run(self, breaks: int, kills: int) -> dict[str, Any]:
        """Returns the figures."""
        self.token = await asyncio.to_thread(self._staff)
        self.stand_in.recordings[RECORD] = self.file
        body, headers = webhook(ROOM, RECORD)
        before = resident(self.server)
        begun = time.monotonic()
        async with self.memory.watched(self.server):
            for _ in range(2):  # told twice is told once
                url = f"{self.server.url}/webhooks/plugnmeet"
                async with self.http.post(url, data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
            self.stand_in.break_at = [self.file.size // (breaks + kills + 2)] * breaks
            await self._kill(kills)
            recording = await self._ready()
            fetched_s = time.monotonic() - begun
            fetching_peak = self.memory.peak
            same = await self._read_back(recording["id"])
            picture = await self._picture(recording["id"])
        return {
            "megabytes": self.file.size / 1e6,
            "identical": same and recording["sha256"] == self.file.sha256,
            "listed": recording,
            "sent_megabytes": round(self.stand_in.sent / 1e6, 1),
            "ranges": self.stand_in.ranges,
            "seconds_to_ready": round(fetched_s, 1),
            "server_starts": self.server.starts,
            "rss_before_mib": round(before, 1),
            "rss_peak_fetching_mib": round(fetching_peak, 1),
            "rss_peak_serving_mib": round(self.memory.peak, 1),
            "picture": picture,
        }

    def _staff(self) -> str:
        command = [PROGRAM, "token", "--user", "teacher", "--role", "staff"]
        command += ["--data-dir", str(self.server.directory / "data")]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    async def _kill(self, kills: int) -> None:
        for number in range(kills):
            goal = self.file.size * (number + 1) // (kills + 1)
            await self._until(lambda goal=goal: self.stand_in.sent >= goal)
            self.server.kill()
            await asyncio.to_thread(self.server.start)

    async def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.server.log()[-3000:]
            await asyncio.sleep(0.01)

    async def _ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = json.loads(await self._get(f"/api/v1/rooms/{ROOM}/recordings"))["recordings"]
            if found and found[0]["state"] in {"ready", "failed"}:
                assert found[0]["state"] == "ready", found
                assert len(found) == 1
                recording: dict[str, Any] = found[0]
                return recording
            assert time.monotonic() < deadline, (found, self.server.log()[-3000:])
            await asyncio.sleep(0.1)

    async def _get(self, path: str, **headers: str) -> bytes:
        fields = {"Authorization": f"Bearer {self.token}", **headers}
        async with self.http.get(self.server.url + path, headers=fields) as answer:
            assert answer.status in {200, 206}, await answer.text()
            return await answer.read()

    async def _read_back(self, recording_id: str) -> bool:
        """All of it, with slow readers beside it."""
        path = f"/api/v1/recordings/{recording_id}/file"
        fields = {"Authorization": f"Bearer {self.token}"}
        slow = [await self.http.get(self.server.url + path, headers=fields) for _ in range(SLOW_READERS - 1)]
        found = hashlib.sha256()
        async with self.http.get(self.server.url + path, headers=fields) as answer:
            async for chunk in answer.content.iter_any():
                found.update(chunk)
        for reader in slow:
            reader.close()
        middle = self.file.size // 2
        part = await self._get(path, Range=f"bytes={middle}-{middle + 99_999}")
        wanted = b""
        while len(wanted) < 100_000:
            wanted += self.file.read(middle + len(wanted), middle + 100_000)
        return found.hexdigest() == self.file.sha256 and part == wanted

    async def _picture(self, recording_id: str) -> str:
        """What ffprobe says of the thumbnail."""
        jpeg = await self._get(f"/api/v1/recordings/{recording_id}/thumbnail")
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-"]
        done = await asyncio.to_thread(subprocess.run, command, input=jpeg, capture_output=True, timeout=30, check=True)
        return str(done.stdout.decode().strip())


def _bucket(server: S3Server) -> dict[str, str]:
    """The settings that keep recordings in a bucket."""
    server.make_bucket("lessons")
    return {
        "ROLLCALL_RECORDINGS_S3_BUCKET": "lessons/recordings",
        "ROLLCALL_RECORDINGS_S3_ENDPOINT": server.url,
        "ROLLCALL_RECORDINGS_S3_KEY": S3_KEY,
        "ROLLCALL_RECORDINGS_S3_SECRET": S3_SECRET,
    }


async def trial(megabytes: int, breaks: int, kills: int, *, s3: bool = False) -> dict[str, Any]:
    """Act it, with a directory or a bucket to keep it in; returns the figures."""
    with s3_server() if s3 else nullcontext() as store:
        return await _trial(megabytes, breaks, kills, {} if store is None else _bucket(store))


async def _trial(megabytes: int, breaks: int, kills: int, settings: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rollcall-faults-", ignore_cleanup_errors=True) as folder:
        directory = Path(folder)
        file = await asyncio.to_thread(video_of, megabytes, directory)
        async with PlugNMeetStandIn() as stand_in, aiohttp.ClientSession() as http:
            server = Node(directory, **settings, **api_of(stand_in))
            await asyncio.to_thread(server.start)
            try:
                return await Trial(server, stand_in, file, http).run(breaks, kills)
            finally:
                await asyncio.to_thread(server.stop)


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--breaks", type=int, default=2)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--s3", action="store_true", help="keep it in an S3-compatible store (which is in memory)")
    options = parser.parse_args()
    figures = asyncio.run(trial(options.megabytes, options.breaks, options.kills, s3=options.s3))
    print(json.dumps(figures, indent=1))
    return 0 if figures["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
