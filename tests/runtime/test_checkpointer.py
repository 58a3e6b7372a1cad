"""Checkpoints: all are written in time, nobody's trouble is another's, the journal keeps what is not covered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors import checkpointer as checkpointing
from actors.actor import Status
from actors.machines.effects import SessionEnded
from actors.machines.events import Departed, Interacted, Left, Started
from actors.ports import ROOM, WATCH, Checkpoint, Fence, StoreAway
from storage.memory import Memory
from tests.runtime.nodes import RULES, Node, recovered, replayed, state_of
from tests.runtime.virtual import passes, until

EVERY_S = RULES.checkpoint_ms / 1000


async def test_whoever_changed_is_written_within_the_interval(node: Node):
    actors = [node.watch()[0] for _ in range(30)]
    await passes(EVERY_S + 0.1)
    assert {(WATCH, actor.key) for actor in actors} <= node.memory.snapshots.keys()
    assert {actor.dirty_from for actor in actors} == {None}


async def test_writes_are_staggered(node: Node):
    for _ in range(60):
        node.watch()
    seen: list[int] = []
    for _ in range(10):
        await passes(EVERY_S / 20)
        seen.append(len(node.memory.snapshots))
    assert seen[:9] == [0] * 9
    await passes(EVERY_S / 4)
    assert 0 < len(node.memory.snapshots) < 60


async def test_what_is_worth_reading_is_written_soon(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.ask(actor, Left())
    await passes(1.2)
    assert node.memory.rows.sessions[actor.key].ended_at is not None


async def test_a_hundred_partings_are_not_a_hundred_checkpoints(node: Node):
    room = await node.room()
    sessions = [node.join(room, f"u{number}")[0] for number in range(40)]
    await passes(EVERY_S + 1)
    before = node.system.counters.checkpoints
    for session in sessions:
        node.ask(room, Departed(session))
        await passes(0.05)
    await passes(2)
    assert node.system.counters.checkpoints - before <= 4
    assert len(node.system.checkpointer._due) < 10


async def test_the_journal_keeps_what_no_checkpoint_covers(node: Node):
    _, asked = node.watch()
    await until(lambda: asked.answer)
    beats = []
    for _ in range(20):
        second, _ = node.watch()
        beats.append(node.heartbeat(second))
        await passes(0.4)
        history = {key: len(inputs) for key, inputs in node.journaled.items()}
        found = await recovered(node.memory)
        assert all(found[key].version == length for key, length in history.items() if length and key in found)
        assert len(found) == len(history)


async def test_the_journal_is_trimmed(node: Node):
    actor, _ = node.watch()
    for _ in range(30):
        node.heartbeat(actor)
        await passes(0.5)
    assert len(node.memory.batches) < 15
    await passes(EVERY_S + 1)
    assert not node.memory.batches


async def test_a_failed_save_gives_everything_back(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Interacted(session, "doubt", "d1", b"1"))
    await passes(0.1)
    node.faults.away = True
    await passes(EVERY_S * 2)
    assert node.system.counters.checkpoint_failures
    assert room.dirty_from is not None
    assert room.saving_from is None

    node.faults.away = False
    await until(lambda: room.dirty_from is None)
    rows = node.memory.rows
    assert rows.sessions.keys() == {session}
    assert rows.attendances.keys() == {("r1", "u1")}
    assert rows.interactions.keys() == {("r1", "u1", "doubt_asked", "d1")}


async def test_a_failed_save_of_one_who_goes_on_keeps_the_older_batch(node: Node):
    """Dirty again while the save is under way: the older number counts until a save succeeds."""
    other, _ = node.watch()
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    await until(lambda: other.dirty_from is None and actor.dirty_from is None, EVERY_S + 1)
    node.heartbeat(other)
    await passes(0.3)
    node.heartbeat(actor)
    await passes(0.3)
    oldest, own = other.dirty_from, actor.dirty_from
    assert oldest is not None
    assert own is not None
    assert oldest < own
    node.faults.stalled = True
    node.system.checkpointer.hasten(actor, node.clock.now())
    await until(lambda: actor.saving_from is not None)
    node.heartbeat(actor)
    await until(lambda: actor.dirty_from is not None)
    node.faults.away = True
    node.faults.stalled = False

    await until(lambda: actor.saving_from is None)
    assert actor.dirty_from == own
    assert node.system.checkpointer.low_water() == oldest


async def test_a_refused_actor_does_not_block_the_others(node: Node):
    room = await node.room()
    bad = "no\0where"
    node.ask(room, Interacted(node.join(room, "u1")[0], "doubt", bad, b"1"))
    actors = [node.watch()[0] for _ in range(5)]
    await passes(EVERY_S + 3)

    assert all(node.memory.snapshots[WATCH, actor.key].version == 1 for actor in actors)
    assert (ROOM, "r1") not in node.memory.snapshots
    assert (await recovered(node.memory))[ROOM, "r1"].version == room.version
    beat = node.heartbeat(actors[0])
    await until(lambda: beat.answer)


async def test_a_machine_that_cannot_be_written_does_not_block_the_others(node: Node):
    room = await node.room()
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    sound, room.machine.rows = room.machine.rows, None  # type: ignore[assignment, method-assign]
    await passes(EVERY_S + 1)
    assert (WATCH, actor.key) in node.memory.snapshots
    assert room.dirty_from is not None
    assert node.system.failed is None

    room.machine.rows = sound  # type: ignore[method-assign]
    await until(lambda: (ROOM, "r1") in node.memory.snapshots, 60)


async def test_an_ended_session_leaves_memory_and_store(node: Node):
    actor, _ = node.watch(door="http")
    node.system.directory.keyed["u1", "video", "c1", "d1"] = actor.key
    node.heartbeat(actor)
    await passes(EVERY_S + 1)
    assert (WATCH, actor.key) in node.memory.snapshots
    node.ask(actor, Left())
    await passes(EVERY_S + 1)

    assert (WATCH, actor.key) not in node.memory.snapshots
    assert node.system.directory.find(WATCH, actor.key) is None
    assert not node.system.directory.keyed
    assert actor.status is Status.RETIRED
    assert not node.memory.batches
    assert node.memory.rows.sessions[actor.key].ended_at is not None


async def test_an_ended_session_keeps_its_snapshot_until_its_inputs_are_durable(node: Node):
    """Its rows must not be ahead of a journal that has nothing to hold them against."""
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    await passes(EVERY_S + 1)
    node.stores.journal.append, append = _never, node.stores.journal.append  # type: ignore[assignment, method-assign]
    node.heartbeat(actor)
    node.ask(actor, Left())
    await passes(EVERY_S + 3)
    assert (WATCH, actor.key) in node.memory.snapshots

    node.stores.journal.append = append  # type: ignore[method-assign]


async def _never(*_: object) -> None:
    raise StoreAway("not now")


async def test_a_gap_left_by_a_dead_owner_does_not_bring_a_session_back(memory: Memory):
    """First life: a snapshot ahead of the journal. Second: the end. Third and fourth: nothing is undone."""
    first = await Node(memory).ready()
    actor, opened = first.watch()
    await until(lambda: opened.answer)
    first.stores.journal.append = _never  # type: ignore[assignment, method-assign]
    first.heartbeat(actor)
    await passes(9)
    first.heartbeat(actor)
    await until(lambda: actor.version == 3 and actor.dirty_from is None)
    assert memory.snapshots[WATCH, actor.key].version == 3
    await first.die()
    second = await Node(memory, alone=True, truth=first.journaled).ready()
    again = second.system.directory.find(WATCH, actor.key)
    assert again is not None
    left = second.ask(again, Left())
    await until(lambda: left.answer)
    row = replayed((WATCH, actor.key), second.journaled[WATCH, actor.key]).rows().sessions[0]
    assert row.content_ms == 9_000
    await second.die()

    third = await Node(memory, alone=True).ready()
    await until(lambda: memory.rows.sessions[actor.key].ended_at, 20)
    await third.die()
    fourth = await Node(memory, alone=True).ready()
    await passes(40 * 60)
    assert memory.rows.sessions[actor.key] == row
    assert (WATCH, actor.key) not in memory.snapshots
    assert not memory.batches
    await fourth.die()


async def test_a_snapshot_may_run_ahead_of_the_journal(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.stores.journal.append = _never  # type: ignore[assignment, method-assign]
    beat = node.heartbeat(actor)
    await passes(EVERY_S + 1)

    assert beat.answer is None
    found = (await recovered(node.memory))[WATCH, actor.key]
    assert found.version == 2
    assert state_of(found.machine) == state_of(actor.machine)


async def test_a_half_stepped_machine_is_never_written(node: Node):
    """Crashed between the choice and the taking of a checkpoint: it is written when it runs again."""
    actors = [node.watch()[0] for _ in range(30)]
    await until(lambda: len(node.told) == 30)
    victim = actors[-1]
    victim.status = Status.REBUILDING
    await node.system.checkpointer._save(actors)
    assert (WATCH, victim.key) not in node.memory.snapshots
    assert victim.dirty_from is not None
    victim.status = Status.RUNNING
    node.system.scheduler.resume(victim)
    await until(lambda: victim.dirty_from is None)
    assert (WATCH, victim.key) in node.memory.snapshots


async def test_a_heap_of_the_same_is_not_kept(node: Node):
    actor, _ = node.watch()
    await passes(0.1)
    node.faults.away = True
    for _ in range(500):
        node.system.checkpointer.hasten(actor, node.clock.now() + 500)
    assert len(node.system.checkpointer._due) < 5


async def test_marks_behind_a_stuck_one_are_not_kept(node: Node):
    room = await node.room()
    node.ask(room, Interacted(node.join(room, "u1")[0], "doubt", "no\0where", b"1"))
    actor, _ = node.watch()
    checkpointer = node.system.checkpointer
    for _ in range(checkpointing.QUEUED_MIN + 50):
        actor.dirty_from = None
        checkpointer.mark(actor, node.clock.now())
    assert len(checkpointer._oldest) < checkpointing.QUEUED_MIN
    assert checkpointer.low_water() == 1


async def test_who_was_written_early_and_put_away_is_not_kept_until_its_turn_would_have_been(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checkpointing, "QUEUED_MIN", 10)
    checkpointer = node.system.checkpointer
    checkpointer._due_limit = 10
    for _ in range(50):
        actor, _ = node.watch()
        await passes(0.05)
        checkpointer.hasten(actor, node.clock.now())
        await passes(0.05)
        assert actor.dirty_from is None

    assert checkpointer.dirty == 0
    assert len(checkpointer._due) <= 10


async def test_writing_all_waits_for_a_save_under_way(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.stalled = True
    node.system.checkpointer.hasten(actor, node.clock.now())
    await until(lambda: actor.saving_from is not None)
    assert not await node.system.checkpointer.write_all(1.0)
    node.faults.stalled = False
    assert await node.system.checkpointer.write_all(5.0)
    assert (WATCH, actor.key) in node.memory.snapshots


async def test_writing_all_ends_also_where_an_actor_is_refused(node: Node):
    room = await node.room()
    node.ask(room, Interacted(node.join(room, "u1")[0], "doubt", "no\0where", b"1"))
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    assert not await node.system.checkpointer.write_all(3.0)
    assert (WATCH, actor.key) in node.memory.snapshots


async def test_the_audience_hears_of_an_end_once_it_is_durable(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.faults.away = True
    node.ask(room, Departed(session))
    node.ask(room, Started(node.clock.now(), "rest"))
    await passes(3)
    ended = SessionEnded(session)
    assert not any(ended in effects for _, effects in node.audience.told)
    node.faults.away = False
    await until(lambda: any(ended in effects for _, effects in node.audience.told))


@pytest.mark.parametrize("bound", ["BATCH_ACTORS", "BATCH_ROWS"])
async def test_a_checkpoint_takes_no_more_than_its_bound_and_the_next_one_the_rest(
    node: Node, monkeypatch: pytest.MonkeyPatch, bound: str
):
    monkeypatch.setattr(checkpointing, bound, 3)
    sizes: list[int] = []
    store = node.system.checkpointer._store
    save = store.save

    async def counting(fence: Fence, checkpoints: Sequence[Checkpoint]) -> None:
        sizes.append(len(checkpoints))
        await save(fence, checkpoints)

    monkeypatch.setattr(store, "save", counting)
    actors = [node.watch()[0] for _ in range(8)]
    await passes(0.1)
    assert await node.system.checkpointer.write_all(5.0)

    assert sizes == [3, 3, 2]
    assert {actor.dirty_from for actor in actors} == {None}
