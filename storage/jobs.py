"""Recordings and analytics files that are to be fetched, as durable jobs: tables `recordings`, `analytics_artifacts`.

    pending --claimed--> fetching --> ready
       ^  '--waits--------'   '-----> failed

A claim is a lease: an owner that dies in the middle loses it by the store's clock, and whoever claims the job next goes
on where the row says. Every step of an owner that lost its claim changes nothing, and returns False.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

import asyncpg
import msgspec

from storage.postgres import Database

State = Literal["pending", "fetching", "ready", "failed"]
STATES: Final[tuple[State, ...]] = ("pending", "fetching", "ready", "failed")
REASON_CHARS: Final = 500


class MediaTrack(msgspec.Struct, frozen=True):
    """A track of a file: `kind` is `video`, `audio`, `subtitle`, ...; `codec` as ffprobe names it."""

    kind: str
    codec: str


class Figures(msgspec.Struct, frozen=True):
    """What was found in a file that came. `sha256` in hex; `thumbnail_reason` says why there is none."""

    size_bytes: int
    sha256: str
    duration_ms: int | None
    tracks: list[MediaTrack]
    thumbnail: bool
    thumbnail_reason: str | None


class RecordingJob(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `recordings`. Times are Unix ms; `tried_for_s` is the time since the first attempt, at its claim."""

    id: str
    record_id: str
    room_id: str
    sid: str | None
    told_mb: float | None
    reported_at: int
    state: State
    reason: str | None
    attempts: int
    fruitless: int
    """Attempts since the last one that brought something, this one included."""
    first_tried_at: int | None
    next_at: int
    expected_bytes: int | None
    validator: str | None
    figures: Figures | None
    tried_for_s: float


class ArtifactJob(msgspec.Struct, frozen=True):
    """A row of `analytics_artifacts`. `older`: it is known as a `file_id`."""

    artifact_id: str
    room_id: str
    sid: str | None
    older: bool
    attempts: int
    tried_for_s: float


class JobStore(Protocol):
    """Raises StoreAway, StoreRefused."""

    # -- whoever tells ------------------------------------------------------------------------------------------------

    async def recording(
        self, record_id: str, room_id: str, sid: str | None, size_mb: float | None, reported_at: int
    ) -> None:
        """A recording's file is ready to be fetched. Durable on return; told twice is told once. `reported_at` ms."""
        ...

    async def analytics(self, artifact_id: str, room_id: str, sid: str | None, *, older: bool) -> None:
        """A session's analytics are ready to be fetched. Durable on return; told twice is told once."""
        ...

    # -- whoever fetches ----------------------------------------------------------------------------------------------

    async def claim_recordings(self, owner: str, lease_s: float, limit: int) -> Sequence[RecordingJob]:
        """Take up to `limit` that are due, for `lease_s`."""
        ...

    async def claim_artifacts(self, owner: str, lease_s: float, limit: int) -> Sequence[ArtifactJob]:
        """Take up to `limit` that are due, for `lease_s`."""
        ...

    async def prolong(self, owner: str, lease_s: float) -> frozenset[str]:
        """Prolong all claims of `owner`; returns the ids (and artifact ids) that are still its own."""
        ...

    async def release(self, owner: str, *, everybodys: bool = False) -> int:
        """Give all claims back, as if they had not been tried; `everybodys` where no other owner can be alive."""
        ...

    async def begins(self, job_id: str, owner: str, expected_bytes: int | None, validator: str) -> bool:
        """The file begins to come, and this is what its server says of it."""
        ...

    async def examined(self, job_id: str, owner: str, figures: Figures) -> bool:
        """All of the file is here, and this is what it is."""
        ...

    async def starts_over(self, job_id: str, owner: str) -> bool:
        """Forget what was known of the file."""
        ...

    async def ready(self, job_id: str, owner: str) -> bool:
        """The file is in its place."""
        ...

    async def again(self, job_id: str, owner: str, reason: str, wait_s: float, *, progress: bool) -> bool:
        """It did not work: another attempt in `wait_s`. `progress`: something came, so the next wait is a short one."""
        ...

    async def failed(self, job_id: str, owner: str, reason: str) -> bool:
        """It will not work."""
        ...

    async def artifact_ready(self, artifact_id: str, owner: str) -> bool:
        """Its figures are durable."""
        ...

    async def artifact_again(self, artifact_id: str, owner: str, reason: str, wait_s: float) -> bool:
        """It did not work: another attempt in `wait_s`."""
        ...

    async def artifact_failed(self, artifact_id: str, owner: str, reason: str) -> bool:
        """It will not work."""
        ...

    # -- whoever looks ------------------------------------------------------------------------------------------------

    async def of_room(self, room_id: str, limit: int) -> Sequence[RecordingJob]:
        """A room's recordings in the order in which they were told."""
        ...

    async def by_id(self, job_id: str) -> RecordingJob | None:
        """One, by its public id; None also for what is no id."""
        ...

    async def page(self, state: State | None, room_id: str | None, limit: int) -> Sequence[RecordingJob]:
        """The newest, of one state and room or of any."""
        ...

    async def still_open(self, job_ids: Collection[str]) -> frozenset[str]:
        """Which of these are not finished."""
        ...

    async def retry(self, name: str | None) -> int:
        """Let a recording (by id or record id), or with None all that failed, begin anew; returns how many do.

        One that waits is tried at once. What is ready or being fetched is left alone.
        """
        ...

    async def counts(self) -> dict[State, int]:
        """How many recordings there are of each state."""
        ...


class PostgresJobs:
    """`JobStore` in PostgreSQL. All waits and leases are by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recording(
        self, record_id: str, room_id: str, sid: str | None, size_mb: float | None, reported_at: int
    ) -> None:
        await self._database.fetch("put_recording", record_id, room_id, sid, size_mb, reported_at)

    async def analytics(self, artifact_id: str, room_id: str, sid: str | None, *, older: bool) -> None:
        await self._database.fetch("put_artifact", artifact_id, room_id, sid, older)

    async def claim_recordings(self, owner: str, lease_s: float, limit: int) -> Sequence[RecordingJob]:
        return [_job(row) for row in await self._database.fetch("claim_recordings", owner, lease_s, limit)]

    async def claim_artifacts(self, owner: str, lease_s: float, limit: int) -> Sequence[ArtifactJob]:
        rows = await self._database.fetch("claim_artifacts", owner, lease_s, limit)
        return [ArtifactJob(**dict(row.items())) for row in rows]

    async def prolong(self, owner: str, lease_s: float) -> frozenset[str]:
        return frozenset(row["key"] for row in await self._database.fetch("prolong_jobs", owner, lease_s))

    async def release(self, owner: str, *, everybodys: bool = False) -> int:
        recordings = await self._database.fetch("release_recordings", owner, everybodys)
        return len(recordings) + len(await self._database.fetch("release_artifacts", owner, everybodys))

    async def begins(self, job_id: str, owner: str, expected_bytes: int | None, validator: str) -> bool:
        return bool(await self._database.fetch("recording_begins", UUID(job_id), owner, expected_bytes, validator))

    async def examined(self, job_id: str, owner: str, figures: Figures) -> bool:
        found = await self._database.fetch(
            "recording_examined",
            UUID(job_id),
            owner,
            figures.size_bytes,
            figures.sha256,
            figures.duration_ms,
            msgspec.json.encode(figures.tracks).decode(),
            figures.thumbnail,
            plain_reason(figures.thumbnail_reason),
        )
        return bool(found)

    async def starts_over(self, job_id: str, owner: str) -> bool:
        return bool(await self._database.fetch("recording_starts_over", UUID(job_id), owner))

    async def ready(self, job_id: str, owner: str) -> bool:
        return bool(await self._database.fetch("recording_ready", UUID(job_id), owner))

    async def again(self, job_id: str, owner: str, reason: str, wait_s: float, *, progress: bool) -> bool:
        words = plain_reason(reason)
        return bool(await self._database.fetch("recording_again", UUID(job_id), owner, words, wait_s, progress))

    async def failed(self, job_id: str, owner: str, reason: str) -> bool:
        return bool(await self._database.fetch("recording_failed", UUID(job_id), owner, plain_reason(reason)))

    async def artifact_ready(self, artifact_id: str, owner: str) -> bool:
        return bool(await self._database.fetch("artifact_ready", artifact_id, owner))

    async def artifact_again(self, artifact_id: str, owner: str, reason: str, wait_s: float) -> bool:
        return bool(await self._database.fetch("artifact_again", artifact_id, owner, plain_reason(reason), wait_s))

    async def artifact_failed(self, artifact_id: str, owner: str, reason: str) -> bool:
        return bool(await self._database.fetch("artifact_failed", artifact_id, owner, plain_reason(reason)))

    async def of_room(self, room_id: str, limit: int) -> Sequence[RecordingJob]:
        return [_job(row) for row in await self._database.fetch("recordings_of_room", room_id, limit)]

    async def by_id(self, job_id: str) -> RecordingJob | None:
        identity = uuid_of(job_id)
        row = None if identity is None else await self._database.fetchrow("recording", identity)
        return None if row is None else _job(row)

    async def page(self, state: State | None, room_id: str | None, limit: int) -> Sequence[RecordingJob]:
        return [_job(row) for row in await self._database.fetch("recordings_page", state, room_id, limit)]

    async def still_open(self, job_ids: Collection[str]) -> frozenset[str]:
        rows = await self._database.fetch("open_recordings", [UUID(job_id) for job_id in job_ids])
        return frozenset(str(row["id"]) for row in rows)

    async def retry(self, name: str | None) -> int:
        return len(await self._database.fetch("retry_recordings", name or "", name is None))

    async def counts(self) -> dict[State, int]:
        found: dict[State, int] = dict.fromkeys(STATES, 0)
        for row in await self._database.fetch("count_recordings"):
            found[row["state"]] = row["count"]
        return found


def uuid_of(text: str) -> UUID | None:
    """An id as it is written by us; None for anything else."""
    try:
        identity = UUID(text)
    except ValueError:
        return None
    return identity if str(identity) == text else None


def plain_reason(reason: str | None) -> str | None:
    """Whatever somebody said, as a short text that can be stored."""
    if reason is None:
        return None
    words = reason.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return words[:REASON_CHARS]


_TRACKS: Final = msgspec.json.Decoder(list[MediaTrack])


def _job(row: asyncpg.Record) -> RecordingJob:
    figures = None
    if row["sha256"] is not None:
        figures = Figures(
            size_bytes=row["size_bytes"],
            sha256=row["sha256"],
            duration_ms=row["duration_ms"],
            tracks=_TRACKS.decode(row["tracks"] or "[]"),
            thumbnail=row["thumbnail"],
            thumbnail_reason=row["thumbnail_reason"],
        )
    return RecordingJob(
        id=str(row["id"]),
        record_id=row["record_id"],
        room_id=row["room_id"],
        sid=row["sid"],
        told_mb=row["told_mb"],
        reported_at=row["reported_at"],
        state=row["state"],
        reason=row["reason"],
        attempts=row["attempts"],
        fruitless=row["fruitless"],
        first_tried_at=row["first_tried_at"],
        next_at=row["next_at"],
        expected_bytes=row["expected_bytes"],
        validator=row["validator"],
        figures=figures,
        tried_for_s=row["tried_for_s"],
    )
