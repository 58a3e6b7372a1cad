"""A worker, its store in memory with a clock that is turned by hand, and the stand-in that it fetches from."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.metrics import FetchCounters
from server.plugnmeet.api import PlugNMeetApi
from server.recordings.fetching import Fetcher, Limits, file_name
from server.recordings.media import Tools
from server.recordings.worker import Worker
from storage.files import DirectoryFiles, Files
from storage.jobs import RecordingJob
from storage.memory import Memory
from storage.memory_jobs import MemoryJobs
from tests.support.node import until
from tests.support.plugnmeet_api import KEY, SECRET, File, PlugNMeetStandIn

NO_TOOLS = Tools(None, None)


class Workshop:
    """`life()` is one life of a worker: leaving it is a stop, `crash()` inside it a kill."""

    def __init__(self, folder: Path, stand_in: PlugNMeetStandIn) -> None:
        self.stand_in = stand_in
        self.ahead_s = 0.0
        self.memory = Memory(lambda: (time.time() + self.ahead_s) * 1000)
        self.jobs = MemoryJobs(self.memory)
        self.files: Files = DirectoryFiles(folder / "kept")
        self.kept = folder / "kept"
        self.work = folder / "work"
        self.limits = Limits(max_bytes=10**12, keep_free_bytes=0)
        self.tools = NO_TOOLS
        self.counters = FetchCounters()
        self.analyst: Any = None
        self.lives = 0
        self.owner = ""
        self.sole_owner = True
        self._worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[Worker]:
        self.lives += 1
        self.owner = f"life-{self.lives}"
        api = PlugNMeetApi(self.stand_in.url, KEY, SECRET, timeout_s=5, silence_s=5)
        fetcher = Fetcher(
            self.jobs,
            api,
            self.files,
            self.tools,
            work=self.work,
            owner=self.owner,
            limits=self.limits,
            on_bytes=self._count,
        )
        self._worker = Worker(
            self.jobs,
            fetcher,
            self.analyst(api) if self.analyst else _Nobody(),  # type: ignore[arg-type]
            owner=self.owner,
            work=self.work,
            counters=self.counters,
            sole_owner=self.sole_owner,
            lease_s=0.3,
            poll_s=0.01,
        )
        self._running = asyncio.create_task(self._worker.run())
        try:
            yield self._worker
        finally:
            await self._end()
            if self._worker is not None:
                await self._worker.stop()
            await api.aclose()

    async def crash(self) -> None:
        """What was under way is cut off, and nothing is given back."""
        assert self._worker is not None
        worker, self._worker = self._worker, None
        await self._end()
        for task in [*worker._fetching.values(), *worker._analysing.values()]:
            task.cancel()
        await until(lambda: not worker._fetching and not worker._analysing)

    async def _end(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def _count(self, size: int) -> None:
        self.counters.bytes += size

    async def told(self, record_id: str, file: File | None = None, **more: Any) -> str:
        """A recording is ready; returns its id."""
        if file is not None:
            self.stand_in.recordings[record_id] = file
        await self.jobs.recording(record_id, "room01", "s-1", more.get("size_mb"), 1_760_004_000_000)
        return next(job.id for job in self.jobs.recordings.values() if job.record_id == record_id)

    def job(self, job_id: str) -> RecordingJob:
        return self.jobs.recordings[job_id]

    async def until_state(self, job_id: str, state: str) -> RecordingJob:
        await until(lambda: self.job(job_id).state == state, f"{state}, is {self.job(job_id)}")
        return self.job(job_id)

    def part(self, job_id: str) -> Path:
        return self.work / f"{job_id}.part"

    def assert_kept(self, job_id: str, file: File) -> None:
        """What is kept is what the server has, and the row says so."""
        found, figures = self.kept / file_name(job_id), self.job(job_id).figures
        with found.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        assert sha256 == file.sha256
        assert figures is not None
        assert (figures.size_bytes, figures.sha256) == (file.size, sha256)
        assert not self.part(job_id).exists()


class _Nobody:
    async def analyse(self, job: object) -> None:
        raise AssertionError("no analytics here")


@pytest.fixture
async def stand_in() -> AsyncIterator[PlugNMeetStandIn]:
    async with PlugNMeetStandIn() as started:
        yield started


@pytest.fixture
async def shop(tmp_path: Path, stand_in: PlugNMeetStandIn) -> Workshop:
    return Workshop(tmp_path, stand_in)
