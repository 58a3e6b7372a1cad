"""What a learner has watched before: asked once when a simple session begins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from actors.machines.rows import Rows, SegmentRow, SessionRow
from actors.ports import Checkpoint, Fence
from storage.memory_watched import MemoryWatched
from storage.postgres import Database
from storage.watched import Before, PostgresWatched, WatchedBefore
from tests.support.examples import T0, segment, session, snapshot
from tests.support.stores import MemoryStore, Node, PostgresStore, Store


@pytest.fixture
async def watched(store: Store) -> AsyncIterator[WatchedBefore]:
    if isinstance(store, MemoryStore):
        yield MemoryWatched(store.memory)
        return
    assert isinstance(store, PostgresStore)
    database = Database(store.dsn)
    await database.open()
    yield PostgresWatched(database)
    await database.close()


async def put(node: Node, sessions: list[SessionRow], segments: list[SegmentRow]) -> None:
    mine = Fence("node-1", await node.leases.acquire("node-1", "a", [0], 60, force=True))
    rows = Rows(sessions=sessions, segments=segments)
    await node.snapshots.save(mine, [Checkpoint(snapshot("a1"), rows)])


def played(start: int, end: int, number: int = 1, session_id: str = "s1", **more: object) -> SegmentRow:
    """Seconds of the playhead; its wall clock runs alike."""
    begun = T0 + start * 1000
    where = {"start_position": start * 1000, "end_position": end * 1000} | more
    return segment(session_id, number, start_at=begun, end_at=begun + (end - start) * 1000, **where)


async def test_who_never_watched_has_covered_nothing(watched: WatchedBefore):
    assert await watched.before("u1", "video", "c1") == Before([], completed=False)
    assert not await watched.completed("u1", "video", "c1")


async def test_all_sessions_count_together_and_what_is_unverified_does_not(node: Node, watched: WatchedBefore):
    segments = [
        played(0, 10),
        played(5, 20, 1, "s2"),
        played(100, 130, 2, "s2", open=True),
        played(300, 330, 3, "s2", verified=False),
    ]
    await put(node, [session(), session("s2")], segments)

    assert (await watched.before("u1", "video", "c1")).covered == [0, 20_000, 100_000, 130_000]
    assert (await watched.before("u2", "video", "c1")).covered == []
    assert (await watched.before("u1", "video", "c2")).covered == []


async def test_completed_is_told_with_it_and_apart(node: Node, watched: WatchedBefore):
    done = session(duration=100_000, covered_ms=100_000, coverage=1.0, completed=True)
    await put(node, [done], [played(0, 100)])

    assert await watched.before("u1", "video", "c1") == Before([0, 100_000], completed=True)
    assert await watched.completed("u1", "video", "c1")
    assert not await watched.completed("u2", "video", "c1")


async def test_whatever_a_client_claims_can_be_written(node: Node, watched: WatchedBefore):
    claimed = session(duration=999_999_999_999, position=999_999_999_999)
    far = played(0, 10, 2, start_position=999_999_000_000, end_position=999_999_010_000)
    await put(node, [claimed], [played(0, 10), far])

    assert (await watched.before("u1", "video", "c1")).covered[:2] == [0, 10_000]
