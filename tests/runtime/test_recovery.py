"""Taking over: everything once, the same every time, and history never ends before it began."""

from __future__ import annotations

from typing import Any

from actors.machines.events import Dropped, Left, Posted, Tick
from actors.machines.track import PLAYING, Sample
from actors.ports import ROOM, WATCH, StoreAway
from storage.memory import Memory
from tests.runtime.nodes import EPOCH_S, RULES, Node, recovered, replayed, state_of
from tests.runtime.virtual import passes, until

EVERY_S = RULES.checkpoint_ms / 1000


async def test_the_journal_behind_the_snapshot_is_replayed_once(node: Node):
    actor, _ = node.watch()
    node.heartbeat(actor)
    await passes(EVERY_S + 1)
    assert node.memory.snapshots[WATCH, actor.key].version == 2
    beat = node.heartbeat(actor)
    await until(lambda: beat.answer)
    await node.die()

    successor = await Node(node.memory, alone=True, truth=node.journaled).ready()
    again = successor.system.directory.find(WATCH, actor.key)
    assert again is not None
    assert again.version == 3
    assert successor.system.counters.replayed == 1
    assert state_of(again.machine) == state_of(actor.machine)
    await successor.die()


async def test_what_the_snapshot_holds_is_not_taken_twice(node: Node):
    """Kept batches that a checkpoint covers already: here because the answer to the trim never came."""
    actor, _ = node.watch()
    node.heartbeat(actor)
    await passes(1)
    kept = dict(node.memory.batches)
    await passes(EVERY_S)
    node.memory.batches.update(kept)
    await node.die()

    successor = await Node(node.memory, alone=True).ready()
    assert successor.system.counters.replayed == 0
    await successor.die()


async def test_recovering_twice_gives_the_same(node: Node):
    room = await node.room()
    for user in ("u1", "u2"):
        session, _ = node.join(room, user)
        await passes(3)
        node.heartbeat(room, session)
    actor, _ = node.watch()
    await passes(2)
    node.heartbeat(actor)
    await passes(1)

    once, twice = await recovered(node.memory), await recovered(node.memory)
    assert once.keys() == twice.keys() == {(ROOM, "r1"), (WATCH, actor.key)}
    for key, found in once.items():
        assert state_of(found.machine) == state_of(twice[key].machine)
        assert state_of(found.machine) == state_of(replayed(key, node.journaled[key]))


async def test_the_epoch_rises_with_every_incarnation(memory: Memory):
    epochs = []
    truth: dict[Any, Any] = {}
    for _ in range(4):
        node = await Node(memory, alone=True, truth=truth).ready()
        room = await node.room()
        node.join(room, "u1")
        await passes(0.1)
        epochs.append(room.room.state.epoch)
        truth = node.journaled
        await node.die()
    assert epochs == [1, 2, 3, 4]


async def test_lost_connections_have_their_grace_from_ready(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.heartbeat(room, session)
    await passes(1)
    await node.die()
    await passes(300)

    successor = await Node(node.memory, alone=True, truth=node.journaled).ready()
    again = successor.system.directory.find(ROOM, "r1")
    assert again is not None
    await passes(RULES.room.grace_ms / 1000 - 1)
    assert again.room.present == 1
    back, joined = successor.join(again, "u1", resume=session)
    await passes(10)
    assert again.room.present == 1
    assert len(again.room.state.members["u1"].presences(successor.clock.now())) == 2
    successor.ask(again, Dropped(session, successor.clock.now()))
    await passes(30)
    assert again.room.present == 0
    assert back not in again.room.state.sessions
    await successor.die()


async def test_grace_does_not_run_while_a_partition_is_missing(memory: Memory):
    """Half the partitions are another's: whoever was connected cannot come back yet."""
    first = await Node(memory).ready()
    room = await first.room()
    _, joined = first.join(room, "u1")
    await until(lambda: joined.answer)
    await first.system.drain(5)
    blocked = (room.partition + 1) % RULES.partitions
    lease = memory.leases[blocked]
    lease.owner, lease.expires_at = "another", float("inf")

    second = Node(memory, truth=first.journaled)
    await second.system.start()
    await passes(60)
    assert not second.system.ready
    lease.owner = None
    await second.system.until_ready()
    await passes(15)
    again = second.system.directory.find(ROOM, "r1")
    assert again is not None
    assert again.room.present == 1
    await second.die()
    await first.die()


async def test_deadlines_that_passed_meanwhile_run(node: Node):
    actor, _ = node.watch()
    node.heartbeat(actor)
    await passes(EVERY_S + 1)
    heard = actor.watch.state
    assert heard is not None
    await node.die()
    assert not node.memory.batches
    await passes(60 * 60)

    successor = await Node(node.memory, alone=True, truth=node.journaled).ready()
    await passes(3)
    assert node.memory.rows.sessions[actor.key].ended_at == heard.track.at
    assert successor.system.directory.find(WATCH, actor.key) is None
    await successor.die()


async def test_who_wants_nothing_is_not_woken(node: Node):
    actor, _ = node.watch()
    await passes(EVERY_S + 1)
    room = await node.room("quiet")
    await passes(EVERY_S + 1)
    assert node.memory.snapshots[ROOM, "quiet"].wake_at is None
    await node.die()

    successor = await Node(node.memory, alone=True, truth=node.journaled).ready()
    assert successor.system.directory.find(ROOM, "quiet") is None
    assert successor.system.directory.find(WATCH, actor.key) is not None
    again = await successor.room("quiet")
    assert again.version == room.version
    await successor.die()


async def test_history_goes_on_from_its_newest_input(memory: Memory):
    """The wall clock was set back by half a minute while nobody was there."""
    node = Node(memory)
    node.clock._offset += 30
    await node.ready()
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    newest = node.journaled[WATCH, actor.key][-1][1]
    await node.die()

    successor = await Node(memory, alone=True, truth=node.journaled).ready()
    assert 0 <= successor.clock.now() - newest < 1_000
    await successor.die()


async def test_a_session_that_ended_is_over_for_a_replay_too(node: Node):
    """The snapshot was written with the ended session, and an input behind it names it: it must find it over."""
    room = await node.room()
    now = node.clock.now()

    def posted(session: str | None, seq: int, *, leave: bool) -> Posted:
        fresh = node.system.new_session_id(room.partition)
        sample = Sample(seq, node.clock.now(), seq * 1_000, PLAYING)
        return Posted("u1", "learner", None, "d1", session, fresh, now, [sample], leave, 10_000)

    first = posted(None, 1, leave=True)
    asked = node.ask(room, first)
    await until(lambda: asked.answer)
    node.stores.snapshots.save, save = _and_loses_the_answer(node), node.stores.snapshots.save  # type: ignore[method-assign]
    await until(lambda: (ROOM, "r1") in node.memory.snapshots)
    again = node.ask(room, posted(first.fresh_id, 2, leave=False))
    await until(lambda: again.answer)
    node.stores.snapshots.save = save  # type: ignore[method-assign]

    found = (await recovered(node.memory))[ROOM, "r1"]
    assert found.version == room.version
    assert state_of(found.machine) == state_of(room.machine)


def _and_loses_the_answer(node: Node):
    save = node.stores.snapshots.save

    async def saved(*arguments: object) -> None:
        await save(*arguments)  # type: ignore[arg-type]
        raise StoreAway("the answer got lost")

    return saved


async def test_one_who_was_set_aside_in_a_replay_does_not_stop_the_others(node: Node):
    actor, opened = node.watch()
    other, _ = node.watch()
    await until(lambda: opened.answer)
    node.system.committer.inputs.append((actor, 2, node.clock.now(), Dropped("nonsense", 0)))
    node.system.committer.inputs.append((actor, 3, node.clock.now(), Left()))
    node.system.committer.kick()
    await node.system.committer.settled()
    await node.die()

    found = await recovered(node.memory)
    assert found[WATCH, actor.key].watch.ended
    assert found[WATCH, other.key].version == 1
    assert [item.event for item in node.memory.quarantine] == [Dropped("nonsense", 0)]


async def test_nothing_is_known_of_the_future(node: Node):
    assert await recovered(node.memory) == {}
    assert node.clock.now() > EPOCH_S * 1000
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    looked = node.ask(actor, Tick())
    await until(lambda: looked.answer is not None)
    assert (await recovered(node.memory))[WATCH, actor.key].version == 1
