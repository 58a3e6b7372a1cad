"""A machine that raises is rebuilt with nothing lost; an input that raises twice is set aside."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from actors.actor import Actor, Machine
from actors.loader import Loader
from actors.machines.effects import Acked
from actors.machines.events import Departed, Interacted, Left, RoomSampled, Sampled, Started, Tick
from actors.machines.track import PLAYING, Sample
from actors.ports import ROOM, WATCH, Kind
from actors.supervisor import REBUILDS_AT_ONCE, Supervisor
from storage.memory import Lease
from tests.runtime.nodes import RULES, Asker, Node, recovered, replayed, state_of
from tests.runtime.virtual import passes, until

POISON = Started(0, "no session knows this")


class Flaky(list[Sample]):
    """Raises when it is looked at for the first time."""

    looked = False

    def __getitem__(self, index: Any) -> Any:
        if not self.looked:
            self.looked = True
            raise OSError("cosmic ray")
        return super().__getitem__(index)


def flaky(node: Node, seq: int) -> Sampled:
    now = node.clock.now()
    return Sampled(now, Flaky([Sample(seq, now, seq * 1_000, PLAYING)]))


async def test_a_crash_loses_nothing(node: Node):
    actor, _ = node.watch()
    for _ in range(3):
        node.heartbeat(actor)
        await passes(3)
    machine = actor.machine
    asked = node.ask(actor, flaky(node, 9))
    after = node.heartbeat(actor)

    await until(lambda: after.answer)
    assert actor.machine is not machine
    assert asked.answer is not None
    assert isinstance(asked.answer[-1], Acked)
    assert state_of(actor.machine) == state_of(replayed((WATCH, actor.key), node.journaled[WATCH, actor.key]))
    assert not node.memory.quarantine
    assert node.system.counters.crashes == 1


async def test_inputs_that_wait_for_their_commit_are_part_of_what_is_rebuilt(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.stalled = True
    beats = [node.heartbeat(actor) for _ in range(3)]
    asked = node.ask(actor, flaky(node, 9))
    await passes(3)
    assert asked.answer is None
    node.faults.stalled = False

    await until(lambda: asked.answer)
    assert all(each.answer for each in beats)
    assert actor.version == 5


async def test_the_second_crash_sets_the_input_aside(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    asked = node.ask(actor, POISON)
    later = [node.heartbeat(actor) for _ in range(5)]

    await until(lambda: later[-1].answer)
    assert asked.failed
    [item] = node.memory.quarantine
    assert (item.kind, item.key, item.event) == (WATCH, actor.key, POISON)
    assert "KeyError" in item.reason
    assert actor.version == 6
    assert node.system.counters.quarantined == 1


async def test_an_input_that_nobody_asked_about_is_set_aside_too(node: Node):
    actor, _ = node.watch()
    node.system.post(actor, POISON)
    beat = node.heartbeat(actor)
    await until(lambda: beat.answer)
    assert len(node.memory.quarantine) == 1


async def test_mail_that_came_meanwhile_is_delivered_in_order(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.stalled = True
    asked = [node.ask(actor, POISON)]
    for _ in range(10):
        asked.append(node.heartbeat(actor))
        await passes(0.2)
    node.faults.stalled = False
    asked += [node.heartbeat(actor) for _ in range(5)]

    await until(lambda: asked[-1].answer)
    assert [each for each, _ in node.told][1:] == asked
    assert actor.pending == 0


async def test_mail_that_waits_for_a_rebuild_is_bounded(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    node.system.post(actor, POISON)
    await passes(1)
    taken = 0
    for _ in range(RULES.mailbox * 3):
        taken += node.system.post(actor, Tick(), Asker(node.told))
        await asyncio.sleep(0)
    assert taken == RULES.mailbox

    node.faults.away = False
    await until(lambda: len(node.told) == 1 + RULES.mailbox)
    assert node.system.post(actor, Tick())


async def test_an_absent_store_is_waited_for(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    asked = node.ask(actor, POISON)
    beat = node.heartbeat(actor)
    await passes(60)
    assert asked.answer is None
    assert node.system.supervisor.rebuilding == 1
    assert not node.memory.quarantine

    node.faults.away = False
    await until(lambda: asked.failed and beat.answer)
    assert len(node.memory.quarantine) == 1


async def test_others_go_on_meanwhile(node: Node):
    actor, opened = node.watch()
    other, _ = node.watch()
    await until(lambda: opened.answer)
    node.stores.snapshots.load, load = _never, node.stores.snapshots.load  # type: ignore[assignment, method-assign]
    node.system.post(actor, POISON)
    beat = node.heartbeat(other)
    await until(lambda: beat.answer)
    assert node.system.supervisor.rebuilding == 1
    node.stores.snapshots.load = load  # type: ignore[method-assign]


async def _never(*_: object) -> Any:
    raise OSError("a bug in a store")


async def test_it_is_rebuilt_while_others_never_pause(node: Node):
    """Under load the committer is never idle; a rebuild waits for its own inputs only."""
    actor, opened = node.watch()
    busy, _ = node.watch()
    await until(lambda: opened.answer)
    asked = node.ask(actor, POISON)
    for _ in range(2_000):
        node.heartbeat(busy)
        await passes(0.001)
    assert asked.failed


async def test_a_room_goes_on_as_a_new_incarnation(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    epoch = room.room.state.epoch
    asked = node.ask(room, Left())
    beat = node.heartbeat(room, session)

    await until(lambda: asked.failed and beat.answer)
    assert room.room.state.epoch == epoch + 1
    assert node.audience.lost_actors == [room]
    assert await node.room() is room
    await passes(1)
    assert room.room.state.epoch == epoch + 1
    assert state_of(room.machine) == state_of(replayed((ROOM, "r1"), node.journaled[ROOM, "r1"]))


async def test_a_rebuilt_actor_is_checkpointed(node: Node):
    """Its place in the line may have come up while it was away."""
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Interacted(session, "doubt", "d1", None))
    await passes(0.1)
    node.faults.away = True
    node.ask(room, Left())
    await passes(RULES.checkpoint_ms / 1000 * 3)
    node.faults.away = False

    await until(lambda: room.dirty_from is None, RULES.checkpoint_ms / 1000 * 3)
    assert node.memory.rows.interactions.keys() == {("r1", "u1", "doubt_asked", "d1")}
    await passes(3)
    assert not node.memory.batches


async def test_an_ended_session_that_crashes_keeps_its_last_seconds(node: Node):
    actor, _ = node.watch()
    for _ in range(3):
        node.heartbeat(actor)
        await passes(2)
    left = node.ask(actor, Left())
    asked = node.ask(actor, POISON)
    await until(lambda: left.answer and asked.failed)
    await passes(RULES.checkpoint_ms / 1000)
    row = node.memory.rows.sessions[actor.key]
    assert row.ended_at is not None
    assert row.content_ms == 4_000


def _raises(*_: object) -> Any:
    raise ArithmeticError("every time")


class BrokenLoader(Loader):
    """Every machine that it makes raises whatever comes."""

    def machine(self, kind: Kind, key: str, body: bytes | None) -> Machine:
        return self._broken(super().machine(kind, key, body))

    def from_copy(self, kind: Kind, key: str, body: bytes | None) -> Machine:
        return self._broken(super().from_copy(kind, key, body))

    def _broken(self, machine: Machine) -> Machine:
        machine.step = _raises  # type: ignore[assignment, method-assign]
        return machine


async def test_a_deadline_that_crashes_is_not_tried_without_end(node: Node):
    system = node.system
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    system.supervisor._loader = BrokenLoader(RULES.room, RULES.watch, node.stores.quarantine, system.counters)
    actor.machine.step = _raises  # type: ignore[assignment, method-assign]

    await passes(RULES.watch.idle_ms / 1000 + 600)
    assert 2 < system.counters.crashes < 20
    assert {type(item.event) for item in node.memory.quarantine} == {Tick}
    assert system.failed is None


async def test_a_lost_partition_ends_the_rebuild(node: Node):
    actor, opened = node.watch(partition=1)
    await until(lambda: opened.answer)
    node.faults.away = True
    asked = node.ask(actor, POISON)
    await passes(1)
    node.memory.leases[1] = Lease("another", 9, float("inf"))
    node.system.abandon(frozenset({1}))
    node.faults.away = False

    await until(lambda: not node.system.supervisor.rebuilding)
    assert asked.answer is None
    assert not node.system.post(actor, Tick())
    assert node.audience.lost_actors == [actor]


async def test_a_save_under_way_is_told_to_the_machine_it_was_taken_from(node: Node):
    """Its answer comes after the crash: what the rebuilt machine has to write must not be taken for written."""
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Interacted(session, "doubt", "d1", None))
    await until(lambda: not node.system.committer.backlog)
    node.system.checkpointer.hasten(room, node.clock.now())
    save, gate = node.stores.snapshots.save, asyncio.Event()

    async def slow(*arguments: Any) -> None:
        await save(*arguments)
        await gate.wait()

    node.stores.snapshots.save = slow  # type: ignore[assignment, method-assign]
    await until(lambda: (ROOM, "r1") in node.memory.snapshots)
    node.ask(room, Left())
    second = node.ask(room, Interacted(session, "doubt", "d2", None))
    await passes(1)
    gate.set()
    await until(lambda: second.answer)
    await passes(RULES.checkpoint_ms / 1000 + 1)
    assert {key[3] for key in node.memory.rows.interactions} == {"d1", "d2"}


async def test_what_was_rebuilt_outlives_the_next_death(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Left())
    now = node.clock.now()
    beat = node.ask(room, RoomSampled(session, now, [Sample(1, now, 0, PLAYING)]))
    gone = node.ask(room, Departed(session))
    await until(lambda: beat.answer and gone.answer)
    await node.die()
    found = (await recovered(node.memory))[ROOM, "r1"]
    assert state_of(found.machine) == state_of(room.machine)
    assert msgspec.to_builtins(found.version) == room.version


async def test_few_are_rebuilt_at_once_and_the_others_in_their_turn(node: Node, monkeypatch: pytest.MonkeyPatch):
    restoring: list[int] = []
    under_way, restore = 0, Supervisor._restore

    async def counting(supervisor: Supervisor, actor: Actor) -> None:
        nonlocal under_way
        under_way += 1
        restoring.append(under_way)
        await asyncio.sleep(0.01)
        await restore(supervisor, actor)
        under_way -= 1

    monkeypatch.setattr(Supervisor, "_restore", counting)
    actors = [node.watch()[0] for _ in range(3 * REBUILDS_AT_ONCE)]
    await passes(0.1)
    asked = [node.ask(actor, POISON) for actor in actors]
    await until(lambda: all(each.answer for each in asked))

    assert (len(restoring) >= len(actors), max(restoring)) == (True, REBUILDS_AT_ONCE)
