"""Fetches one recording, from "it is ready" to "it is here" (plugnmeet.md, "Recording flow").

Each step may be the last before a crash, and is found again by the next attempt:

    info, token           nothing to find again
    download              `<id>.part` in the work folder: its length is where the rest begins, if the file is the same
    examine               figures in the row, thumbnail in its place
    keep                  the file in its place, which the figures vouch for
    ready                 the row
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from server.plugnmeet.api import ApiAway, Download, PlugNMeetApi, RangeRefused, TokenRefused
from server.recordings import media
from server.recordings.growing import GrowingFile
from server.recordings.media import Tools
from storage.files import Files
from storage.jobs import Figures, JobStore, MediaTrack, RecordingJob

WRITE_BYTES: Final = 1024 * 1024
"""What is collected before a thread writes and hashes it."""
LOOK_AT_SPACE_EVERY: Final = 64
KEEP_FREE_BYTES: Final = 256 * 1024 * 1024
"""Never taken from the disk: the database may live on it."""
TOKENS: Final = 3
"""New tokens in one attempt."""
JPEG: Final = "image/jpeg"


class GiveUp(Exception):
    """It will not work, however often it is tried; the message says why."""


class Again(Exception):
    """It did not work this time; the message says why."""


class ClaimLost(Exception):
    """Somebody else has the job now."""


class Limits(msgspec.Struct, frozen=True):
    """What an operator allows."""

    max_bytes: int
    keep_free_bytes: int = KEEP_FREE_BYTES
    program_s: float = media.TIMEOUT_S


def file_name(job_id: str) -> str:
    """Under which a recording is kept: made of our id, and of nothing that anybody sent."""
    return f"{job_id}.mp4"


def thumbnail_name(job_id: str) -> str:
    """Under which its thumbnail is kept."""
    return f"{job_id}.jpg"


def media_type(tracks: list[MediaTrack]) -> str:
    """As what it is served."""
    kinds = {track.kind for track in tracks}
    return "video/mp4" if "video" in kinds else "audio/mp4" if "audio" in kinds else "application/octet-stream"


class Fetcher:
    """Does what there is to do for one job after another. One a process."""

    def __init__(
        self,
        jobs: JobStore,
        api: PlugNMeetApi,
        files: Files,
        tools: Tools,
        *,
        work: Path,
        owner: str,
        limits: Limits,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._jobs = jobs
        self._api = api
        self._files = files
        self._tools = tools
        self._work = work
        self._owner = owner
        self._limits = limits
        self._on_bytes = on_bytes
        self.started_over: set[str] = set()
        """Jobs whose server sent again what was here: bytes that come from it are no progress."""

    def part(self, job_id: str) -> Path:
        """Where the file grows."""
        return self._work / f"{job_id}.part"

    async def fetch(self, job: RecordingJob) -> None:
        """Bring it home. Raises GiveUp, Again, ClaimLost; ApiAway, ApiRefused, FilesAway, StoreAway, OSError."""
        figures = job.figures
        if figures is None:
            size, sha256 = await self._download(job)
            figures = await self._examine(job, size, sha256)
            self._held(held=await self._jobs.examined(job.id, self._owner, figures))
        await self._keep(job, figures)
        self._held(held=await self._jobs.ready(job.id, self._owner))

    def _held(self, *, held: bool) -> None:
        if not held:
            raise ClaimLost

    # -- download -----------------------------------------------------------------------------------------------------

    async def _download(self, job: RecordingJob) -> tuple[int, str]:
        """All of the file into the work folder; returns its size and SHA-256."""
        self._check_told(job.told_mb)
        body = await GrowingFile.open(self.part(job.id))
        try:
            if not (job.expected_bytes and body.size == job.expected_bytes):
                info = await self._api.recording_info(job.record_id)
                self._check_told(info.get("file_size"))
                await self._stream_by_token(job, body)
            await body.sync()
        finally:
            await body.close()
        if body.size == 0:
            raise Again("the file is empty")
        return body.size, body.sha256

    async def _stream_by_token(self, job: RecordingJob, body: GrowingFile) -> None:
        for _ in range(TOKENS):
            token = await self._api.recording_token(job.record_id)
            try:
                await self._stream(job, body, token)
            except TokenRefused:
                continue
            return
        raise Again("every token for the download was refused")

    async def _stream(self, job: RecordingJob, body: GrowingFile, token: str) -> None:
        try:
            async with self._api.download(
                "recording", token, start=body.size, validator=job.validator or ""
            ) as download:
                await self._accept(job, body, download)
                await self._take(body, download)
        except RangeRefused as refused:
            if refused.size != body.size:
                await self._start_over(job, body)

    async def _accept(self, job: RecordingJob, body: GrowingFile, download: Download) -> None:
        """Raises unless what comes goes on where the body ends, fits, and is wanted."""
        if download.start == 0:
            if body.size:
                self.started_over.add(job.id)
            await body.clear()
            self._held(held=await self._jobs.begins(job.id, self._owner, download.size, download.validator))
        elif _other(job.validator, download.validator) or _other(job.expected_bytes, download.size):
            await self._start_over(job, body)
        if download.size is not None:
            self._check_size(download.size)
            await self._check_space(download.size - body.size)

    async def _start_over(self, job: RecordingJob, body: GrowingFile) -> None:
        await body.clear()
        self._held(held=await self._jobs.starts_over(job.id, self._owner))
        raise Again("the file on the server is another one now: from the beginning")

    async def _take(self, body: GrowingFile, download: Download) -> None:
        waiting, flushes = bytearray(), 0
        try:
            async for chunk in download.chunks:
                waiting += chunk
                if len(waiting) < WRITE_BYTES:
                    continue
                self._check_size(body.size + len(waiting))
                if flushes % LOOK_AT_SPACE_EVERY == 0:
                    await self._check_space(len(waiting))
                flushes += 1
                waiting = await self._flush(body, waiting)
        except ApiAway:
            # What came is not asked for a second time.
            await self._flush(body, waiting)
            raise
        self._check_size(body.size + len(waiting))
        await self._flush(body, waiting)
        if download.size is not None and body.size != download.size:
            raise Again(f"the file has {download.size} bytes, and {body.size} came")

    async def _flush(self, body: GrowingFile, waiting: bytearray) -> bytearray:
        await body.append(waiting)
        self._on_bytes(len(waiting))
        return bytearray()

    def _check_told(self, megabytes: object) -> None:
        """The size as somebody told it, in MB of 10^6 or 2^20 and rounded: refused where it is too large either way."""
        if isinstance(megabytes, int | float) and (megabytes - 0.01) * 1e6 > self._limits.max_bytes:
            raise GiveUp(f"too large: {megabytes:g} MB, ROLLCALL_RECORDING_MAX_BYTES is {self._limits.max_bytes}")

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise GiveUp(f"too large: {size} bytes or more, ROLLCALL_RECORDING_MAX_BYTES is {self._limits.max_bytes}")

    async def _check_space(self, wanted: int) -> None:
        free = (await asyncio.to_thread(shutil.disk_usage, self._work)).free
        if free - wanted < self._limits.keep_free_bytes:
            raise Again(f"no space left: {wanted} bytes are to come, {free} are free")

    # -- examine and keep ---------------------------------------------------------------------------------------------

    async def _examine(self, job: RecordingJob, size: int, sha256: str) -> Figures:
        path, picture = self.part(job.id), self._work / thumbnail_name(job.id)
        found = await media.look(self._tools, path, self._limits.program_s)
        why_none = await media.take_picture(self._tools, path, found, picture, self._limits.program_s)
        if why_none is None:
            await self._files.put(thumbnail_name(job.id), picture, JPEG)
        return Figures(size, sha256, found.duration_ms, found.tracks, why_none is None, why_none)

    async def _keep(self, job: RecordingJob, figures: Figures) -> None:
        part, name = self.part(job.id), file_name(job.id)
        if await asyncio.to_thread(_size, part) == figures.size_bytes:
            await self._files.put(name, part, media_type(figures.tracks))
        elif await self._files.size(name) != figures.size_bytes:
            self._held(held=await self._jobs.starts_over(job.id, self._owner))
            raise Again("the file got lost before it was kept: from the beginning")


def _other(known: object, told: object) -> bool:
    """Whether two words about one file contradict each other; nothing said is no contradiction."""
    return bool(known) and bool(told) and known != told


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
