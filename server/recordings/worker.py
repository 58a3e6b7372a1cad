"""Fetches what is to be fetched: claims jobs, two at a time of each kind, and writes down how each attempt ended.

An attempt that failed is followed by another after 1 s, 2 s, 4 s, ... up to 5 minutes, until a day after the first
(plugnmeet.md, reading 14). A claim is prolonged as long as its work goes on; that of a process that died runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from actors.ports import StoreAway, StoreRefused
from server.metrics import FetchCounters
from server.plugnmeet.api import ApiAway, ApiRefused
from server.recordings.analytics import Analyst
from server.recordings.fetching import Again, ClaimLost, Fetcher, GiveUp
from storage.files import FilesAway
from storage.jobs import STATES, ArtifactJob, JobStore, RecordingJob, uuid_of

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
LEASE_S: Final = 30.0
POLL_S: Final = 2.0
"""How long a job that another process wrote down may go unnoticed."""
COUNT_EVERY_S: Final = 15.0
GIVE_UP_S: Final = 24 * 3600.0
WAIT_FIRST_S: Final = 1.0
WAIT_MOST_S: Final = 300.0
STOP_S: Final = 5.0
"""Claims that could not be given back in this time run out by themselves."""

_EXPECTED: Final = (Again, ApiAway, ApiRefused, FilesAway, OSError)


def wait_s(fruitless: int) -> float:
    """How long to wait after so many attempts that brought nothing."""
    return min(WAIT_MOST_S, WAIT_FIRST_S * 2.0 ** min(max(0, fruitless - 1), 30))


class Worker:
    """One a process; `run` until cancelled, then `stop`. Without a `fetcher` it only counts."""

    def __init__(
        self,
        jobs: JobStore,
        fetcher: Fetcher | None,
        analyst: Analyst | None,
        *,
        owner: str,
        work: Path,
        counters: FetchCounters,
        sole_owner: bool,
        lease_s: float = LEASE_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._jobs = jobs
        self._fetcher = fetcher
        self._analyst = analyst
        self._owner = owner
        self._work = work
        self._counters = counters
        self._sole_owner = sole_owner
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._analysing: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._claimed = False

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever."""
        if self._fetcher is None:
            await self._for_ever(self._count, COUNT_EVERY_S)
        await self._until_done(self._prepare)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._for_ever(self._claim, self._poll_s))
            group.create_task(self._for_ever(self._prolong, self._lease_s / 3))
            group.create_task(self._for_ever(self._count, COUNT_EVERY_S))

    async def stop(self) -> None:
        """End what is under way, and give it back to be taken up by whoever comes next."""
        self._stopping = True
        tasks = [*self._fetching.values(), *self._analysing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._claimed:
            return
        try:
            async with asyncio.timeout(STOP_S):
                await self._jobs.release(self._owner)
        except (StoreAway, StoreRefused, TimeoutError) as error:
            log.warning("recordings.not_released", reason=str(error) or "no answer in time")

    async def _for_ever(self, work: Callable[[], Awaitable[None]], pause_s: float) -> NoReturn:
        while True:
            await self._until_done(work)
            running = [*self._fetching.values(), *self._analysing.values()]
            # A slot that becomes free is filled at once.
            if running and work == self._claim:
                await asyncio.wait(running, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(pause_s)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        wait = WAIT_FIRST_S
        while True:
            try:
                await work()
            except (StoreAway, StoreRefused, OSError) as error:
                log.warning("recordings.waiting", reason=str(error), retry_s=wait)
                await asyncio.sleep(wait)
                wait = min(WAIT_MOST_S / 10, wait * 2)
                continue
            return

    # -- now and then -------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """Before the first claim: a work folder without what nobody will go on with."""
        if self._sole_owner:
            # Nobody else can be alive: what a former life had in hand need not run out first.
            await self._jobs.release(self._owner, everybodys=True)
        found = await asyncio.to_thread(_unfinished, self._work)
        kept = await self._jobs.still_open(list(found))
        gone = [path for job_id, paths in found.items() if job_id not in kept for path in paths]
        await asyncio.to_thread(_clear, gone)

    async def _claim(self) -> None:
        assert self._fetcher is not None
        assert self._analyst is not None
        self._claimed = True
        free = AT_ONCE - len(self._fetching)
        if free > 0:
            for job in await self._jobs.claim_recordings(self._owner, self._lease_s, free):
                self._begin(self._fetching, job.id, self._recording(job))
        free = AT_ONCE - len(self._analysing)
        if free > 0:
            for artifact in await self._jobs.claim_artifacts(self._owner, self._lease_s, free):
                self._begin(self._analysing, artifact.artifact_id, self._artifact(artifact))

    def _begin(self, running: dict[str, asyncio.Task[None]], key: str, work: Coroutine[Any, Any, None]) -> None:
        # In hand already: the loop stood still for longer than a lease, and nobody else came. It is ours as before.
        if key in running or self._stopping:
            work.close()
            return
        task = running[key] = asyncio.create_task(work, name=f"job {key}")
        task.add_done_callback(lambda _task: running.pop(key, None))

    async def _prolong(self) -> None:
        running = self._fetching | self._analysing
        if not running:
            return
        kept = await self._jobs.prolong(self._owner, self._lease_s)
        for key in running.keys() - kept:
            running[key].cancel()

    async def _count(self) -> None:
        counts = await self._jobs.counts()
        self._counters.recordings = {state: counts[state] for state in STATES}

    # -- one attempt --------------------------------------------------------------------------------------------------

    async def _recording(self, job: RecordingJob) -> None:
        fetcher = self._fetcher
        assert fetcher is not None
        part = fetcher.part(job.id)
        before = await asyncio.to_thread(_size, part)

        async def again(reason: str, wait: float) -> bool:
            progress = await asyncio.to_thread(_size, part) > before and job.id not in fetcher.started_over
            return await self._jobs.again(
                job.id, self._owner, reason, WAIT_FIRST_S if progress else wait, progress=progress
            )

        async def failed(reason: str) -> bool:
            held = await self._jobs.failed(job.id, self._owner, reason)
            if held:
                await asyncio.to_thread(_clear, [part])
            return held

        about = log.bind(recording=job.id, room=job.room_id, record=job.record_id, attempt=job.attempts)
        how = await self._attempt(
            fetcher.fetch(job), about, wait_s(job.fruitless), GIVE_UP_S - job.tried_for_s, again=again, failed=failed
        )
        fetcher.started_over.discard(job.id)
        self._counters.attempts[how] += 1

    async def _artifact(self, job: ArtifactJob) -> None:
        analyst, key = self._analyst, job.artifact_id
        assert analyst is not None

        async def work() -> None:
            await analyst.analyse(job)
            if not await self._jobs.artifact_ready(key, self._owner):
                raise ClaimLost

        about = log.bind(artifact=key, room=job.room_id, attempt=job.attempts)
        how = await self._attempt(
            work(),
            about,
            wait_s(job.attempts),
            GIVE_UP_S - job.tried_for_s,
            again=lambda reason, wait: self._jobs.artifact_again(key, self._owner, reason, wait),
            failed=lambda reason: self._jobs.artifact_failed(key, self._owner, reason),
        )
        self._counters.analytics[how] += 1

    async def _attempt(
        self,
        work: Coroutine[Any, Any, None],
        about: structlog.typing.FilteringBoundLogger,
        wait: float,
        left_s: float,
        *,
        again: Callable[[str, float], Awaitable[bool]],
        failed: Callable[[str], Awaitable[bool]],
    ) -> str:
        """Do it, and write down how it ended: `ready`, `again`, `failed`, or `lost` (nothing could be written down)."""
        begun = asyncio.get_running_loop().time()
        final = False
        try:
            await work
        except GiveUp as error:
            reason, final = str(error), True
        except _EXPECTED as error:
            reason = str(error) or type(error).__name__
        except (ClaimLost, StoreAway, StoreRefused) as error:
            # The claim runs out, and the next attempt finds what this one did.
            about.warning("job.lost", reason=str(error) or "another node has it")
            return "lost"
        except Exception as error:  # noqa: BLE001 - logged, and on the record; the others go on
            about.exception("job.crashed")
            reason = f"something went wrong here: {type(error).__name__}"
        else:
            about.info("job.ready")
            return "ready"
        spent_s = asyncio.get_running_loop().time() - begun
        return await self._end(about, reason, wait, final=final or left_s - spent_s <= 0, again=again, failed=failed)

    async def _end(
        self,
        about: structlog.typing.FilteringBoundLogger,
        reason: str,
        wait: float,
        *,
        final: bool,
        again: Callable[[str, float], Awaitable[bool]],
        failed: Callable[[str], Awaitable[bool]],
    ) -> str:
        try:
            if final:
                await failed(reason)
                about.error("job.failed", reason=reason)
                return "failed"
            await again(reason, wait)
        except (StoreAway, StoreRefused) as error:
            about.warning("job.lost", reason=str(error))
            return "lost"
        about.warning("job.again", reason=reason)
        return "again"


def _unfinished(work: Path) -> dict[str, list[Path]]:
    """What lies in the work folder, by the job that it is of. Makes the folder where there is none."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    found: dict[str, list[Path]] = {}
    for path in work.iterdir():
        if uuid_of(path.stem) is not None:
            found.setdefault(path.stem, []).append(path)
    return found


def _clear(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            # The next start tries again.
            log.warning("recordings.left_over", path=str(path), reason=error.strerror)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
