"""The jobs of the store in memory (`storage/jobs.py` has the port). Same promises, the store's own clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import uuid4

import msgspec

from storage.jobs import STATES, ArtifactJob, Figures, RecordingJob, State, plain_reason
from storage.memory import Memory
from storage.memory_rows import check_text


class _Claim(msgspec.Struct):
    """Who has a job in hand, and until when (Unix ms)."""

    owner: str
    until: float


class _Artifact(msgspec.Struct):
    artifact_id: str
    room_id: str
    sid: str | None
    older: bool
    state: State
    next_at: float
    attempts: int = 0
    first_tried_at: float | None = None
    reason: str | None = None


class MemoryJobs:
    """`JobStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.recordings: dict[str, RecordingJob] = {}
        self.artifacts: dict[str, _Artifact] = {}
        self.claims: dict[str, _Claim] = {}

    # -- whoever tells ------------------------------------------------------------------------------------------------

    async def recording(
        self, record_id: str, room_id: str, sid: str | None, size_mb: float | None, reported_at: int
    ) -> None:
        for text in (record_id, room_id, sid or ""):
            check_text(text)
        async with self._memory.faults.call():
            if any(job.record_id == record_id for job in self.recordings.values()):
                return
            made = RecordingJob(
                id=str(uuid4()),
                record_id=record_id,
                room_id=room_id,
                sid=sid,
                told_mb=size_mb,
                reported_at=reported_at,
                state="pending",
                reason=None,
                attempts=0,
                fruitless=0,
                first_tried_at=None,
                next_at=self._now(),
                expected_bytes=None,
                validator=None,
                figures=None,
                tried_for_s=0.0,
            )
            self.recordings[made.id] = made

    async def analytics(self, artifact_id: str, room_id: str, sid: str | None, *, older: bool) -> None:
        for text in (artifact_id, room_id, sid or ""):
            check_text(text)
        async with self._memory.faults.call():
            made = _Artifact(artifact_id, room_id, sid, older, "pending", self._now())
            self.artifacts.setdefault(artifact_id, made)

    # -- whoever fetches ----------------------------------------------------------------------------------------------

    async def claim_recordings(self, owner: str, lease_s: float, limit: int) -> Sequence[RecordingJob]:
        async with self._memory.faults.call():
            due = [job for job in self.recordings.values() if self._is_due(job.id, job.state, job.next_at)]
            due.sort(key=lambda job: (job.next_at, job.id))
            return [self._claimed(job, owner, lease_s) for job in due[:limit]]

    def _claimed(self, job: RecordingJob, owner: str, lease_s: float) -> RecordingJob:
        now = self._now()
        first = now if job.first_tried_at is None else job.first_tried_at
        self.claims[job.id] = _Claim(owner, now + lease_s * 1000)
        made = msgspec.structs.replace(
            job,
            state="fetching",
            attempts=job.attempts + 1,
            fruitless=job.fruitless + 1,
            first_tried_at=first,
            tried_for_s=(now - first) / 1000,
        )
        self.recordings[job.id] = made
        return made

    async def claim_artifacts(self, owner: str, lease_s: float, limit: int) -> Sequence[ArtifactJob]:
        async with self._memory.faults.call():
            due = [job for job in self.artifacts.values() if self._is_due(job.artifact_id, job.state, job.next_at)]
            due.sort(key=lambda job: (job.next_at, job.artifact_id))
            now = self._now()
            taken: list[ArtifactJob] = []
            for job in due[:limit]:
                job.state, job.attempts = "fetching", job.attempts + 1
                job.first_tried_at = now if job.first_tried_at is None else job.first_tried_at
                self.claims[job.artifact_id] = _Claim(owner, now + lease_s * 1000)
                tried_for_s = (now - job.first_tried_at) / 1000
                taken.append(ArtifactJob(job.artifact_id, job.room_id, job.sid, job.older, job.attempts, tried_for_s))
            return taken

    async def prolong(self, owner: str, lease_s: float) -> frozenset[str]:
        async with self._memory.faults.call():
            ours = {key: claim for key, claim in self.claims.items() if claim.owner == owner}
            for claim in ours.values():
                claim.until = self._now() + lease_s * 1000
            return frozenset(ours)

    async def release(self, owner: str, *, everybodys: bool = False) -> int:
        async with self._memory.faults.call():
            mine = [key for key, claim in self.claims.items() if everybodys or claim.owner == owner]
            for key in mine:
                self._give_back(key)
            return len(mine)

    def _give_back(self, key: str) -> None:
        del self.claims[key]
        job = self.recordings.get(key)
        if job is None:
            artifact = self.artifacts[key]
            artifact.state, artifact.next_at, artifact.attempts = "pending", self._now(), artifact.attempts - 1
            return
        fruitless = max(0, job.fruitless - 1)
        self._set(key, state="pending", next_at=self._now(), attempts=job.attempts - 1, fruitless=fruitless)

    async def begins(self, job_id: str, owner: str, expected_bytes: int | None, validator: str) -> bool:
        return await self._step(job_id, owner, expected_bytes=expected_bytes, validator=validator)

    async def examined(self, job_id: str, owner: str, figures: Figures) -> bool:
        reason = plain_reason(figures.thumbnail_reason)
        return await self._step(job_id, owner, figures=msgspec.structs.replace(figures, thumbnail_reason=reason))

    async def starts_over(self, job_id: str, owner: str) -> bool:
        return await self._step(job_id, owner, expected_bytes=None, validator=None, figures=None)

    async def ready(self, job_id: str, owner: str) -> bool:
        return await self._step(job_id, owner, over=True, state="ready", reason=None)

    async def again(self, job_id: str, owner: str, reason: str, wait_s: float, *, progress: bool) -> bool:
        next_at = self._now() + round(wait_s * 1000)
        changes: dict[str, object] = {"fruitless": 0} if progress else {}
        changes |= {"state": "pending", "reason": plain_reason(reason), "next_at": next_at}
        return await self._step(job_id, owner, over=True, **changes)

    async def failed(self, job_id: str, owner: str, reason: str) -> bool:
        return await self._step(job_id, owner, over=True, state="failed", reason=plain_reason(reason))

    async def artifact_ready(self, artifact_id: str, owner: str) -> bool:
        return await self._end_artifact(artifact_id, owner, "ready", None, 0.0)

    async def artifact_again(self, artifact_id: str, owner: str, reason: str, wait_s: float) -> bool:
        return await self._end_artifact(artifact_id, owner, "pending", reason, wait_s)

    async def artifact_failed(self, artifact_id: str, owner: str, reason: str) -> bool:
        return await self._end_artifact(artifact_id, owner, "failed", reason, 0.0)

    async def _end_artifact(
        self, artifact_id: str, owner: str, state: State, reason: str | None, wait_s: float
    ) -> bool:
        async with self._memory.faults.call():
            if not self._holds(artifact_id, owner):
                return False
            del self.claims[artifact_id]
            artifact = self.artifacts[artifact_id]
            artifact.state, artifact.reason = state, plain_reason(reason)
            artifact.next_at = self._now() + wait_s * 1000
            return True

    async def _step(self, job_id: str, owner: str, *, over: bool = False, **changes: object) -> bool:
        async with self._memory.faults.call():
            if not self._holds(job_id, owner):
                return False
            if over:
                del self.claims[job_id]
            self._set(job_id, **changes)
            return True

    # -- whoever looks ------------------------------------------------------------------------------------------------

    async def of_room(self, room_id: str, limit: int) -> Sequence[RecordingJob]:
        async with self._memory.faults.call():
            found = [_seen(job) for job in self.recordings.values() if job.room_id == room_id]
            return sorted(found, key=lambda job: (job.reported_at, job.id))[:limit]

    async def by_id(self, job_id: str) -> RecordingJob | None:
        async with self._memory.faults.call():
            job = self.recordings.get(job_id)
            return None if job is None else _seen(job)

    async def page(self, state: State | None, room_id: str | None, limit: int) -> Sequence[RecordingJob]:
        async with self._memory.faults.call():
            found = [
                _seen(job)
                for job in self.recordings.values()
                if state in (None, job.state) and room_id in (None, job.room_id)
            ]
            return sorted(found, key=lambda job: (-job.reported_at, job.id))[:limit]

    async def still_open(self, job_ids: Collection[str]) -> frozenset[str]:
        async with self._memory.faults.call():
            found = [self.recordings[job_id] for job_id in job_ids if job_id in self.recordings]
            return frozenset(job.id for job in found if job.state in _OPEN)

    async def retry(self, name: str | None) -> int:
        async with self._memory.faults.call():
            chosen = [
                job.id
                for job in self.recordings.values()
                if (job.state == "failed" if name is None else name in (job.id, job.record_id))
                and job.state in {"failed", "pending"}
            ]
            for key in chosen:
                self._set(key, state="pending", next_at=self._now(), first_tried_at=None, attempts=0, fruitless=0)
            return len(chosen)

    async def counts(self) -> dict[State, int]:
        async with self._memory.faults.call():
            states = [job.state for job in self.recordings.values()]
            return {state: states.count(state) for state in STATES}

    # -- within -------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return round(self._memory.clock())

    def _holds(self, key: str, owner: str) -> bool:
        return key in self.claims and self.claims[key].owner == owner

    def _is_due(self, key: str, state: State, next_at: float) -> bool:
        if state == "fetching":
            return self.claims[key].until <= self._now()
        return state == "pending" and next_at <= self._now()

    def _set(self, job_id: str, **changes: object) -> None:
        self.recordings[job_id] = msgspec.structs.replace(self.recordings[job_id], **changes)


_OPEN: Final = frozenset({"pending", "fetching"})


def _seen(job: RecordingJob) -> RecordingJob:
    return msgspec.structs.replace(job, tried_for_s=0.0)
