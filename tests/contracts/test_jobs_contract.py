"""Jobs: told once, claimed by one, never lost with whoever had them in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.ports import StoreAway, StoreRefused
from storage.jobs import Figures, JobStore, MediaTrack, PostgresJobs, RecordingJob
from storage.memory_jobs import MemoryJobs
from tests.support.examples import T0
from tests.support.stores import MemoryStore, PostgresStore, Store

LEASE_S = 60.0
FIGURES = Figures(
    size_bytes=1234,
    sha256="ab" * 32,
    duration_ms=61_000,
    tracks=[MediaTrack("video", "h264"), MediaTrack("audio", "aac")],
    thumbnail=False,
    thumbnail_reason="no video \0 \ud800",
)


class Nodes:
    """Two nodes on one store."""

    def __init__(self, store: Store, one: JobStore, other: JobStore) -> None:
        self.store = store
        self.one = one
        self.other = other

    async def expire(self) -> None:
        """All claims run out, and all waits are over."""
        if isinstance(self.one, MemoryJobs):
            for claim in self.one.claims.values():
                claim.until = 0
            for job_id in self.one.recordings:
                self.one._set(job_id, next_at=0)
            return
        assert isinstance(self.store, PostgresStore)
        connection = await self.store.connection()
        await connection.execute("UPDATE recordings SET lease_until = now() WHERE state = 'fetching'")
        await connection.execute("UPDATE analytics_artifacts SET lease_until = now() WHERE state = 'fetching'")
        await connection.execute("UPDATE recordings SET next_at = now() WHERE state = 'pending'")


@pytest.fixture
async def nodes(store: Store) -> AsyncIterator[Nodes]:
    if isinstance(store, MemoryStore):
        jobs = MemoryJobs(store.memory)
        yield Nodes(store, jobs, jobs)
    else:
        assert isinstance(store, PostgresStore)
        yield Nodes(store, PostgresJobs(await store.database()), PostgresJobs(await store.database()))


async def told(jobs: JobStore, *record_ids: str, room: str = "room01") -> None:
    for index, record_id in enumerate(record_ids):
        await jobs.recording(record_id, room, "s-1", 12.5, T0 + index)


async def claimed(jobs: JobStore, owner: str = "node-1", limit: int = 1) -> RecordingJob:
    (job, *_) = await jobs.claim_recordings(owner, LEASE_S, limit)
    return job


async def test_a_recording_told_twice_is_told_once(nodes: Nodes):
    await told(nodes.one, "r-1")
    await nodes.other.recording("r-1", "another", None, None, T0 + 5)

    (job,) = await nodes.one.page(None, None, 10)

    assert (job.record_id, job.room_id, job.sid, job.told_mb, job.reported_at) == ("r-1", "room01", "s-1", 12.5, T0)
    assert (job.state, job.attempts, job.first_tried_at, job.figures) == ("pending", 0, None, None)


async def test_a_claim_is_for_one(nodes: Nodes):
    await told(nodes.one, "r-1", "r-2", "r-3")

    first, second = await asyncio.gather(
        nodes.one.claim_recordings("node-1", LEASE_S, 2), nodes.other.claim_recordings("node-2", LEASE_S, 2)
    )
    rest = [] if len(first) + len(second) == 3 else await nodes.one.claim_recordings("node-3", LEASE_S, 2)

    assert sorted(job.record_id for job in [*first, *second, *rest]) == ["r-1", "r-2", "r-3"]
    assert len(first) <= 2 >= len(second)
    assert await nodes.one.claim_recordings("node-3", LEASE_S, 2) == []


async def test_a_claim_says_what_it_is_and_how_long_it_was_tried(nodes: Nodes):
    await told(nodes.one, "r-1")

    job = await claimed(nodes.one)

    assert (job.state, job.attempts, job.fruitless) == ("fetching", 1, 1)
    assert 0 <= job.tried_for_s < 5


async def test_what_a_dead_node_had_in_hand_is_claimed_by_another(nodes: Nodes):
    await told(nodes.one, "r-1")
    await nodes.one.analytics("a-1", "room01", "s-1", older=False)
    job = await claimed(nodes.one)
    await nodes.one.claim_artifacts("node-1", LEASE_S, 1)
    await nodes.expire()

    again = await claimed(nodes.other, "node-2")
    artifacts = await nodes.other.claim_artifacts("node-2", LEASE_S, 1)

    assert (again.id, again.attempts) == (job.id, 2)
    assert [artifact.artifact_id for artifact in artifacts] == ["a-1"]


async def test_a_claim_that_is_prolonged_does_not_run_out(nodes: Nodes):
    await told(nodes.one, "r-1")
    await nodes.one.analytics("a-1", "room01", None, older=True)
    job = await claimed(nodes.one)
    await nodes.one.claim_artifacts("node-1", LEASE_S, 1)
    await nodes.expire()

    assert await nodes.one.prolong("node-1", LEASE_S) == {job.id, "a-1"}
    assert await nodes.other.claim_recordings("node-2", LEASE_S, 1) == []
    assert await nodes.other.prolong("node-2", LEASE_S) == frozenset()


async def test_whoever_lost_the_claim_changes_nothing(nodes: Nodes):
    await told(nodes.one, "r-1")
    job = await claimed(nodes.one)
    await nodes.expire()
    await claimed(nodes.other, "node-2")

    assert not await nodes.one.begins(job.id, "node-1", 5, "v")
    assert not await nodes.one.examined(job.id, "node-1", FIGURES)
    assert not await nodes.one.ready(job.id, "node-1")
    assert not await nodes.one.again(job.id, "node-1", "x", 1, progress=True)
    assert not await nodes.one.failed(job.id, "node-1", "x")
    assert not await nodes.one.starts_over(job.id, "node-1")
    kept = await nodes.one.by_id(job.id)
    assert kept is not None
    assert (kept.state, kept.figures, kept.reason) == ("fetching", None, None)


async def test_what_was_found_outlives_whoever_found_it(nodes: Nodes):
    await told(nodes.one, "r-1")
    job = await claimed(nodes.one)
    assert await nodes.one.begins(job.id, "node-1", 1234, '"v"')
    assert await nodes.one.examined(job.id, "node-1", FIGURES)
    await nodes.expire()

    again = await claimed(nodes.other, "node-2")

    assert (again.expected_bytes, again.validator) == (1234, '"v"')
    assert again.figures is not None
    assert again.figures.tracks == FIGURES.tracks
    assert (again.figures.sha256, again.figures.duration_ms) == (FIGURES.sha256, 61_000)
    assert again.figures.thumbnail_reason == "no video \\0 \\ud800"
    assert await nodes.other.starts_over(job.id, "node-2")
    anew = await nodes.other.by_id(job.id)
    assert anew is not None
    assert (anew.expected_bytes, anew.validator, anew.figures) == (None, None, None)


async def test_a_job_ends_ready(nodes: Nodes):
    await told(nodes.one, "r-1")
    job = await claimed(nodes.one)
    await nodes.one.examined(job.id, "node-1", FIGURES)

    assert await nodes.one.ready(job.id, "node-1")
    assert not await nodes.one.ready(job.id, "node-1")
    done = await nodes.one.by_id(job.id)
    assert done is not None
    assert done.state == "ready"
    assert await nodes.one.counts() == {"pending": 0, "fetching": 0, "ready": 1, "failed": 0}
    assert await nodes.one.still_open([job.id]) == frozenset()


async def test_a_failed_attempt_waits_and_says_why(nodes: Nodes):
    await told(nodes.one, "r-1")
    job = await claimed(nodes.one)

    assert await nodes.one.again(job.id, "node-1", "away\0", 300, progress=False)
    assert await nodes.one.claim_recordings("node-1", LEASE_S, 1) == []
    waiting = await nodes.one.by_id(job.id)
    assert waiting is not None
    assert (waiting.state, waiting.reason, waiting.fruitless) == ("pending", "away\\0", 1)
    assert await nodes.one.still_open([job.id]) == {job.id}


async def test_an_attempt_that_brought_something_begins_the_waits_anew(nodes: Nodes):
    await told(nodes.one, "r-1")
    for expected in (1, 2):
        job = await claimed(nodes.one)
        assert job.fruitless == expected
        await nodes.one.again(job.id, "node-1", "away", 0, progress=False)
    job = await claimed(nodes.one)
    await nodes.one.again(job.id, "node-1", "broke", 0, progress=True)

    job = await claimed(nodes.one)
    assert (job.attempts, job.fruitless) == (4, 1)


async def test_an_owner_that_leaves_gives_back_what_it_has_as_if_untried(nodes: Nodes):
    await told(nodes.one, "r-1", "r-2")
    await nodes.one.analytics("a-1", "room01", "s-1", older=False)
    await nodes.one.claim_recordings("node-1", LEASE_S, 1)
    await nodes.one.claim_artifacts("node-1", LEASE_S, 1)
    await nodes.other.claim_recordings("node-2", LEASE_S, 1)

    assert await nodes.one.release("node-1") == 2
    again = await claimed(nodes.other, "node-2")
    assert again.attempts == 1
    assert await nodes.one.release("node-3", everybodys=True) == 2


async def test_a_recording_given_up_can_be_tried_again(nodes: Nodes):
    await told(nodes.one, "r-1", "r-2", "r-3")
    one = await claimed(nodes.one)
    await nodes.one.failed(one.id, "node-1", "too large")
    two = await claimed(nodes.one)
    await nodes.one.again(two.id, "node-1", "away", 300, progress=False)
    failed = await nodes.one.by_id(one.id)
    assert failed is not None
    assert (failed.state, failed.reason) == ("failed", "too large")

    assert await nodes.one.retry(None) == 1
    assert await nodes.one.retry(None) == 0
    assert await nodes.one.retry(two.id) == 1
    assert await nodes.one.retry("r-2") == 1
    assert await nodes.one.retry("r-9") == 0
    found = await nodes.one.claim_recordings("node-1", LEASE_S, 5)
    assert {job.record_id: job.attempts for job in found} == {"r-1": 1, "r-2": 1, "r-3": 1}
    assert await nodes.one.retry("r-1") == 0


async def test_the_recordings_of_a_room_are_listed_in_their_order(nodes: Nodes):
    await told(nodes.one, "r-1", "r-2")
    await told(nodes.one, "r-3", room="room02")

    assert [job.record_id for job in await nodes.one.of_room("room01", 10)] == ["r-1", "r-2"]
    assert [job.record_id for job in await nodes.one.of_room("room01", 1)] == ["r-1"]
    assert [job.record_id for job in await nodes.one.page(None, "room01", 10)] == ["r-2", "r-1"]
    assert await nodes.one.page("failed", None, 10) == []


@pytest.mark.parametrize("name", ["", "x", "r-1", "{00000000-0000-4000-8000-000000000000}"])
async def test_what_is_no_id_names_no_recording(nodes: Nodes, name: str):
    await told(nodes.one, "r-1")

    assert await nodes.one.by_id(name) is None


async def test_analytics_are_told_once_and_end(nodes: Nodes):
    await nodes.one.analytics("a-1", "room01", "s-1", older=False)
    await nodes.other.analytics("a-1", "room01", "s-1", older=True)

    (job,) = await nodes.one.claim_artifacts("node-1", LEASE_S, 2)
    assert (job.older, job.attempts) == (False, 1)
    assert await nodes.one.artifact_again("a-1", "node-1", "away", 0)
    (job,) = await nodes.one.claim_artifacts("node-1", LEASE_S, 2)
    assert job.attempts == 2
    assert await nodes.one.artifact_ready("a-1", "node-1")
    assert not await nodes.one.artifact_failed("a-1", "node-1", "x")
    assert await nodes.one.claim_artifacts("node-1", LEASE_S, 2) == []


async def test_analytics_that_will_not_come_are_given_up(nodes: Nodes):
    await nodes.one.analytics("a-1", "room01", "s-1", older=False)
    await nodes.one.claim_artifacts("node-1", LEASE_S, 2)

    assert await nodes.one.artifact_failed("a-1", "node-1", "no JSON")
    await nodes.one.analytics("a-1", "room01", "s-1", older=False)
    assert await nodes.one.claim_artifacts("node-1", LEASE_S, 2) == []


async def test_an_id_that_cannot_be_stored_is_refused(nodes: Nodes):
    with pytest.raises(StoreRefused):
        await nodes.one.recording("r\0", "room01", None, None, T0)
    with pytest.raises(StoreRefused):
        await nodes.one.analytics("a", "room\ud800", None, older=False)


async def test_jobs_of_a_store_that_is_away_are_refused():
    store = MemoryStore()
    store.memory.faults.away = True

    with pytest.raises(StoreAway):
        await MemoryJobs(store.memory).recording("r-1", "room01", None, None, T0)
