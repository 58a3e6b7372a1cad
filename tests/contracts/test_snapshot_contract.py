"""Checkpoints: all or nothing, never backwards, fenced, and the rows as they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from actors.machines.rows import Rows, SegmentRow
from actors.ports import ROOM, WATCH, Checkpoint, Fence, LeaseLost, Snapshot, StoreRefused
from storage.sql import statements
from tests.support.examples import T0, attendance, checkpoint, interaction, presence, room, segment, session, snapshot
from tests.support.stores import Node, PostgresStore

TTL_S = 60.0


async def owned(node: Node, *partitions: int, owner: str = "node-1") -> Fence:
    return Fence(owner, await node.leases.acquire(owner, f"{owner}:1", partitions, TTL_S, force=True))


async def awake(node: Node, *partitions: int) -> list[Snapshot]:
    return [each async for page in node.snapshots.awake(partitions) for each in page]


# -- snapshots ----------------------------------------------------------------------------------------------------


async def test_what_was_saved_is_loaded(node: Node):
    mine = await owned(node, 0, 3)
    saved = [
        snapshot("r1", 5, 0),
        snapshot("ঘর", 0, 3, wake_at=None),
        snapshot("s1", 2**40, 3, kind=WATCH, body=b"", wake_at=2**62),
    ]

    await node.snapshots.save(mine, [Checkpoint(each, Rows()) for each in saved])

    assert await node.snapshots.load(ROOM, ["r1", "ঘর", "s1", "unknown"]) == {"r1": saved[0], "ঘর": saved[1]}
    assert await node.snapshots.load(WATCH, ["s1"]) == {"s1": saved[2]}
    assert await node.snapshots.load(WATCH, []) == {}


async def test_a_newer_snapshot_replaces(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(version=1)])
    newer = snapshot(version=2, body=b"newer", wake_at=None)

    await node.snapshots.save(mine, [Checkpoint(newer, Rows())])

    assert await node.snapshots.load(ROOM, ["r1"]) == {"r1": newer}


async def test_an_older_snapshot_and_its_rows_are_passed_over(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(Rows(room=room(peak=9)), version=9)])

    await node.snapshots.save(mine, [checkpoint(Rows(room=room(peak=3)), version=3), checkpoint(key="r2")])

    assert (await node.snapshots.load(ROOM, ["r1"]))["r1"].version == 9
    assert (await node.snapshots.load(ROOM, ["r2"]))["r2"].version == 1
    assert await node.reading.room("r1") == room(peak=9)


async def test_the_same_version_may_bring_newer_figures(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(Rows(attendances=[attendance(presence_ms=1)]))])

    await node.snapshots.save(mine, [checkpoint(Rows(attendances=[attendance(presence_ms=2)]))])

    assert await node.reading.attendance_row("r1", "u1") == attendance(presence_ms=2)


async def test_an_actor_that_is_over_leaves_its_rows_and_no_snapshot(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(key="s1", kind=WATCH)])
    last = Rows(sessions=[session(ended_at=T0 + 60_000)])

    await node.snapshots.save(mine, [checkpoint(last, key="s1", kind=WATCH, version=2, body=None, wake_at=None)])

    assert await node.snapshots.load(WATCH, ["s1"]) == {}
    assert await node.sessions.session("s1") == last.sessions[0]


async def test_an_actor_that_ends_before_its_first_checkpoint_leaves_its_rows(node: Node):
    mine = await owned(node, 0)

    await node.snapshots.save(
        mine, [checkpoint(Rows(sessions=[session()]), key="s1", kind=WATCH, body=None), checkpoint(key="r1")]
    )

    assert await node.sessions.session("s1") == session()
    assert (await node.snapshots.load(ROOM, ["r1"])).keys() == {"r1"}


async def test_an_end_that_is_older_than_the_snapshot_removes_nothing(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(Rows(room=room()), version=9)])

    await node.snapshots.save(mine, [checkpoint(Rows(room=room(name="old")), version=8, body=None)])

    assert (await node.snapshots.load(ROOM, ["r1"]))["r1"].version == 9
    assert await node.reading.room("r1") == room()


async def test_two_checkpoints_of_one_actor_in_one_save_count_by_version(node: Node):
    mine = await owned(node, 0)
    older, newer = room(peak=1), room(peak=2)

    await node.snapshots.save(
        mine, [checkpoint(Rows(room=newer), version=2), checkpoint(Rows(room=older, presences=[presence()]), version=1)]
    )

    assert (await node.snapshots.load(ROOM, ["r1"]))["r1"].version == 2
    assert await node.reading.room("r1") == newer
    assert await node.reading.presences_of("r1", "u1") == [presence()]


async def test_only_those_that_want_to_be_woken_are_awake(node: Node):
    mine = await owned(node, 0, 1, 2)
    sleeper = snapshot("sleeper", 1, 0, wake_at=None)
    waking = [snapshot(f"r{number:04}", 1, number % 2, wake_at=T0 + number) for number in range(1_203)]
    elsewhere = snapshot("elsewhere", 1, 2)

    await node.snapshots.save(mine, [Checkpoint(each, Rows()) for each in [sleeper, *waking, elsewhere]])

    found = await awake(node, 1, 0)
    assert len(found) == len(waking)
    assert {each.key: each for each in found} == {each.key: each for each in waking}
    assert await awake(node, 5) == []


async def test_one_that_falls_asleep_is_awake_no_more(node: Node):
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(version=1)])

    await node.snapshots.save(mine, [checkpoint(version=2, wake_at=None)])

    assert await awake(node, 0) == []


# -- all or nothing, and fenced -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        Rows(presences=[presence(left_at=T0 - 1)]),
        Rows(sessions=[session("s9", ended_at=T0 - 1)]),
        Rows(segments=[segment("s9", end_at=T0 - 1)]),
        Rows(segments=[segment("s9", end_position=-1)]),
        Rows(attendances=[attendance("u9", name="nul\0")]),
        Rows(attendances=[attendance("u9", name="\udc00")]),
        Rows(room=room("r9", ended_at=T0)),
    ],
    ids=["presence", "session", "wall", "playhead", "nul", "surrogate", "room"],
)
async def test_one_bad_row_keeps_all_out(node: Node, bad: Rows):
    mine = await owned(node, 0)
    good = Rows(sessions=[session()], room=room())

    with pytest.raises(StoreRefused):
        await node.snapshots.save(mine, [checkpoint(good, key="r1"), checkpoint(bad, key="r9")])

    assert await node.snapshots.load(ROOM, ["r1", "r9"]) == {}
    assert await node.sessions.session("s1") is None
    assert await node.reading.room("r1") is None


async def test_a_store_that_refused_goes_on(node: Node):
    mine = await owned(node, 0)
    for _ in range(10):
        with pytest.raises(StoreRefused):
            await node.snapshots.save(mine, [checkpoint(key="nul\0")])

    await node.snapshots.save(mine, [checkpoint()])

    assert (await node.snapshots.load(ROOM, ["r1"])).keys() == {"r1"}


async def test_a_stale_epoch_cannot_save(node: Node):
    mine = await owned(node, 0, 1)
    await owned(node, 1, owner="node-2")

    with pytest.raises(LeaseLost) as lost:
        await node.snapshots.save(mine, [checkpoint(Rows(room=room()), partition=0)])

    assert lost.value.partitions == {1}
    assert await node.snapshots.load(ROOM, ["r1"]) == {}


async def test_an_own_older_epoch_cannot_save(node: Node):
    older = await owned(node, 0)
    await owned(node, 0)

    with pytest.raises(LeaseLost):
        await node.snapshots.save(older, [checkpoint(Rows(room=room()))])

    assert await node.reading.room("r1") is None


async def test_an_owner_that_gave_up_cannot_save(node: Node):
    mine = await owned(node, 0)
    await node.leases.release(mine)

    with pytest.raises(LeaseLost):
        await node.snapshots.save(mine, [checkpoint(Rows(room=room()))])

    assert await node.reading.room("r1") is None


async def test_a_fence_that_does_not_cover_a_partition_is_refused(node: Node):
    mine = await owned(node, 0)

    with pytest.raises(StoreRefused, match="1"):
        await node.snapshots.save(mine, [checkpoint(partition=0), checkpoint(key="r2", partition=1)])


async def test_saving_nothing_is_nothing(node: Node):
    await node.snapshots.save(await owned(node, 0), [])


# -- rows ---------------------------------------------------------------------------------------------------------


async def test_every_row_comes_back_as_it_was(node: Node):
    mine = await owned(node, 0)
    rows = Rows(
        sessions=[session(), session("s2", kind=None, content_id=None, room_id="r1", door="websocket", duration=None)],
        segments=[segment("s2", room_id="r1", kind=None, content_id=None, offline=True, verified=False)],
        presences=[presence(), presence(number=2, joined_at=T0 + 1, left_at=T0 + 1, source="websocket,http")],
        attendances=[attendance(), attendance("u2", name=None, first_join=None, last_leave=None)],
        interactions=[interaction(), interaction(id="i2", value=None)],
        room=room(scheduled_start=T0 + 9, scheduled_end=T0),
    )

    await node.snapshots.save(mine, [checkpoint(rows)])

    assert [await node.sessions.session(key) for key in ("s1", "s2")] == rows.sessions
    assert await node.reading.segments_of("r1", "u1") == rows.segments
    assert await node.reading.presences_of("r1", "u1") == rows.presences
    assert [await node.reading.attendance_row("r1", key) for key in ("u1", "u2")] == rows.attendances
    assert await node.reading.room("r1") == rows.room


async def test_a_repeated_save_changes_nothing(node: Node):
    mine = await owned(node, 0)
    rows = Rows(
        sessions=[session()],
        segments=[segment(number=number) for number in (1, 2)],
        presences=[presence(open=True)],
        attendances=[attendance()],
        interactions=[interaction()],
        room=room(),
    )

    for _ in range(3):
        await node.snapshots.save(mine, [checkpoint(rows)])

    stored = await node.sessions.session_with_segments("s1")
    assert stored is not None
    assert stored.segments == rows.segments
    assert await node.reading.presences_of("r1", "u1") == rows.presences


async def test_a_growing_segment_is_one_row(node: Node):
    mine = await owned(node, 0)
    for end in (1_000, 2_000, 2_000, 9_000):
        grown = segment(end_at=T0 + end, end_position=end, open=end < 9_000)
        rows = Rows(sessions=[session()], segments=[grown])
        await node.snapshots.save(mine, [checkpoint(rows, version=end)])

    stored = await node.sessions.session_with_segments("s1")
    assert stored is not None
    assert stored.segments == [segment(end_at=T0 + 9_000, end_position=9_000)]


async def test_a_growing_presence_is_one_row(node: Node):
    mine = await owned(node, 0)
    for end in (0, 1_000, 60_000):
        await node.snapshots.save(mine, [checkpoint(Rows(presences=[presence(left_at=T0 + end, open=True)]))])

    await node.snapshots.save(mine, [checkpoint(Rows(presences=[presence(left_at=T0 + 61_000)]))])

    assert await node.reading.presences_of("r1", "u1") == [presence(left_at=T0 + 61_000)]


@pytest.mark.parametrize("moves", [[0, -1], [0, -35_000], [0, -24 * 3_600_000], [0, -5, 5, -7, -7]], ids=str)
async def test_a_presence_whose_beginning_moves_leaves_no_twin(node: Node, moves: Sequence[int]):
    mine = await owned(node, 0)
    others = [presence(number=2, joined_at=T0 + 90_000, left_at=T0 + 99_000), presence("u2")]
    await node.snapshots.save(mine, [checkpoint(Rows(presences=others))])

    for move in moves:
        moved = presence(joined_at=T0 + move, open=move != moves[-1])
        await node.snapshots.save(mine, [checkpoint(Rows(presences=[moved]))])

    assert await node.reading.presences_of("r1", "u1") == [presence(joined_at=T0 + moves[-1]), others[0]]
    assert await node.reading.presences_of("r1", "u2") == [others[1]]


async def test_ten_thousand_rows_in_one_save(node: Node):
    mine = await owned(node, *range(64))
    checkpoints = [
        checkpoint(
            Rows(sessions=[session(f"s{key:04}")], segments=[segment(f"s{key:04}", number) for number in range(1, 10)]),
            key=f"s{key:04}",
            kind=WATCH,
            partition=key % 64,
        )
        for key in range(1_000)
    ]

    await node.snapshots.save(mine, checkpoints)

    assert len(await awake(node, *range(64))) == 1_000
    for key in ("s0000", "s0999"):
        stored = await node.sessions.session_with_segments(key)
        assert stored is not None
        assert stored.row == session(key)
        assert stored.segments == [segment(key, number) for number in range(1, 10)]


async def test_what_is_read_does_not_grow_with_what_was_written(node: Node):
    mine = await owned(node, 0)
    growing: SegmentRow = segment()
    await node.snapshots.save(mine, [checkpoint(Rows(sessions=[session()], segments=[growing]))])

    growing.segment.end_at += 5

    stored = await node.sessions.session_with_segments("s1")
    assert stored is not None
    assert stored.segments == [segment()]


# -- what only the tables show ------------------------------------------------------------------------------------


async def test_an_interaction_is_kept_as_it_was_sent(postgres: PostgresStore):
    node, connection = await postgres.node(), await postgres.connection()
    sent = interaction()

    for value in (b'"first"', sent.value):
        again = msgspec.structs.replace(sent, value=value)
        await node.snapshots.save(await owned(node, 0), [checkpoint(Rows(interactions=[again]))])

    rows = await connection.fetch("SELECT value::text FROM interactions")
    assert [row["value"].encode() for row in rows] == [sent.value]


async def test_a_repeated_save_writes_no_row_again(postgres: PostgresStore):
    node, connection = await postgres.node(), await postgres.connection()
    mine = await owned(node, 0)
    rows = Rows([session()], [segment()], [presence()], [attendance()], [interaction()], room())
    places: list[list[object]] = []

    for _ in range(2):
        await node.snapshots.save(mine, [checkpoint(rows)])
        tables = ("watch_sessions", "study_logs", "presence_intervals", "attendance", "interactions", "rooms")
        places.append([await connection.fetchval(f"SELECT ctid::text || xmin FROM {table}") for table in tables])

    assert places[0] == places[1]


async def test_times_are_stored_as_instants(postgres: PostgresStore):
    node, connection = await postgres.node(), await postgres.connection()

    await node.snapshots.save(await owned(node, 0), [checkpoint(Rows(room=room(started_at=T0 + 1)))])

    text = await connection.fetchval("SELECT (started_at AT TIME ZONE 'UTC')::text FROM rooms")
    assert text == "2025-11-24 16:00:00.001"


async def test_the_epoch_is_kept_with_the_snapshot(postgres: PostgresStore):
    node, connection = await postgres.node(), await postgres.connection()
    await owned(node, 0, 1)
    mine = await owned(node, 1)

    await node.snapshots.save(mine, [checkpoint(partition=1)])

    assert await connection.fetchval("SELECT epoch FROM actors") == mine.leases[1] == 2


async def test_a_save_that_waits_for_a_takeover_fails_when_the_takeover_commits(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await owned(node, 0, 1)
    takeover = other.transaction()
    await takeover.start()
    await other.fetch(statements()["take_leases"], "node-2", "a", [1], TTL_S)

    save = asyncio.create_task(node.snapshots.save(mine, [checkpoint(Rows(room=room()))]))
    await postgres.until_waiting()
    await takeover.commit()

    with pytest.raises(LeaseLost) as lost:
        await save
    assert lost.value.partitions == {1}
    assert await node.reading.room("r1") is None


async def test_a_takeover_waits_for_the_save_that_came_first_and_then_loads_it(postgres: PostgresStore):
    node, heir, other = await postgres.node(), await postgres.node(), await postgres.connection()
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(version=1)])
    blocker = other.transaction()
    await blocker.start()
    await other.fetch("SELECT FROM actors FOR UPDATE")
    save = asyncio.create_task(node.snapshots.save(mine, [checkpoint(version=2)]))
    await postgres.until_waiting()
    takeover = asyncio.create_task(owned(heir, 0, owner="node-2"))
    await postgres.until_waiting(2)

    await blocker.rollback()

    await save
    assert (await takeover).leases[0] > mine.leases[0]
    assert (await heir.snapshots.load(ROOM, ["r1"]))["r1"].version == 2


async def test_saves_side_by_side_do_not_wait_for_each_other_in_a_circle(postgres: PostgresStore):
    node = await postgres.node()
    mine = await owned(node, 0)
    keys = [f"r{number:03}" for number in range(200)]

    await asyncio.gather(
        *(
            node.snapshots.save(
                mine,
                [
                    checkpoint(Rows(room=room(key, peak=version), presences=[presence(key)]), key=key, version=version)
                    for key in (keys if version % 2 else reversed(keys))
                ],
            )
            for version in range(1, 9)
        )
    )

    found = await node.snapshots.load(ROOM, keys)
    assert {each.version for each in found.values()} == {8}
    assert await node.reading.room("r199") == room("r199", peak=8)


@pytest.mark.slow
async def test_a_deadlock_is_tried_again(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await owned(node, 0)
    await node.snapshots.save(mine, [checkpoint(key=key, version=1) for key in ("a", "b")])
    await other.execute("SET deadlock_timeout = '10s'")  # the other side finds it first
    circle = other.transaction()
    await circle.start()
    await other.fetch("SELECT FROM actors WHERE key = 'b' FOR UPDATE")

    save = asyncio.create_task(node.snapshots.save(mine, [checkpoint(key=key, version=2) for key in ("b", "a")]))
    await postgres.until_waiting()
    closing = asyncio.create_task(other.fetch("SELECT FROM actors WHERE key = 'a' FOR UPDATE"))
    await closing
    await circle.commit()

    await save
    assert {each.version for each in (await node.snapshots.load(ROOM, ["a", "b"])).values()} == {2}
