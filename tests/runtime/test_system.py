"""One node's life: ready with all partitions, on through an outage, gone without a trace."""

from __future__ import annotations

import asyncio
import threading

import msgspec

from actors.directory import NotOwned
from actors.leases import Leases, Watchdog
from actors.machines.events import Incarnated, Joined, Tick
from actors.ports import ROOM, WATCH, StoreAway
from storage.memory import Lease, Memory, MemoryLeases
from tests.runtime.nodes import PARTITIONS, RULES, Asker, Node, recovered
from tests.runtime.virtual import passes, until


async def test_ready_means_all_partitions(memory: Memory):
    memory.leases[2] = Lease("another", 7, float("inf"))
    node = Node(memory)
    await node.system.start()
    await passes(30)
    assert not node.system.ready
    assert node.system.leases.held.keys() == {0, 1, 3}

    memory.leases[2].owner = None
    await until(lambda: node.system.ready, 1)
    assert node.system.leases.held[2] == 8
    await node.die()


async def test_a_store_that_is_not_there_yet_is_waited_for(memory: Memory):
    node = Node(memory)
    node.faults.away = True
    await node.system.start()
    await passes(60)
    assert not node.system.ready
    assert node.system.failed is None
    node.faults.away = False
    await until(lambda: node.system.ready, 3)
    await node.die()


async def test_a_second_one_waits_and_takes_over_at_once(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    second = Node(node.memory, truth=node.journaled)
    await second.system.start()
    await passes(60)
    assert not second.system.ready

    assert await node.system.drain(5)
    await until(lambda: second.system.ready, 0.5)
    again = second.system.directory.find(WATCH, actor.key)
    assert again is not None
    beat = second.heartbeat(again)
    await until(lambda: beat.answer)
    await second.die()


async def test_a_dead_one_is_succeeded_when_its_lease_is_over(node: Node):
    await node.die()
    second = Node(node.memory)
    await second.system.start()
    await until(lambda: second.system.ready, RULES.lease_ttl_s + 1)
    await second.die()


async def test_a_sole_owner_waits_for_nobody(node: Node):
    await node.die()
    second = Node(node.memory, alone=True)
    await second.system.start()
    await until(lambda: second.system.ready, 0.1)
    await second.die()


async def test_force_is_for_the_first_time_only(memory: Memory):
    first = await Node(memory, alone=True).ready()
    second = await Node(memory, alone=True).ready()
    await passes(60)
    assert second.system.ready
    assert not first.system.ready
    assert not first.system.leases.held
    await first.die()
    await second.die()


async def test_a_lost_lease_ends_its_actors(node: Node):
    actor, _ = node.watch(partition=1)
    room_id = next(f"r{n}" for n in range(99) if node.system.directory.partition(ROOM, f"r{n}") == 1)
    room = await node.room(room_id)
    stays, _ = node.watch(partition=0)
    await until(lambda: len(node.told) == 2)
    node.memory.leases[1] = Lease("another", 9, float("inf"))
    late = node.heartbeat(actor)

    await until(lambda: len(node.audience.lost_actors) == 2, RULES.lease_renew_s + 1)
    assert set(node.audience.lost_actors) == {actor, room}
    assert node.system.directory.find(WATCH, actor.key) is None
    assert not node.system.ready
    await passes(20)
    assert late.answer is None
    assert not node.system.post(actor, Tick())
    for ask in (lambda: node.system.watch(actor.key), lambda: node.room(room_id)):
        try:
            await ask()
        except NotOwned:
            continue
        raise AssertionError("not refused")
    beat = node.heartbeat(stays)
    await until(lambda: beat.answer)
    assert node.system.counters.leases_lost == 1


async def test_what_is_lost_and_regained_is_rebuilt(node: Node):
    actor, _ = node.watch(partition=1)
    beat = node.heartbeat(actor)
    await until(lambda: beat.answer)
    epoch = node.system.leases.held[1]
    node.memory.leases[1] = Lease(epoch=epoch)

    await until(lambda: node.system.leases.held.get(1) != epoch, 3)
    await until(lambda: node.system.ready, 3)
    again = node.system.directory.find(WATCH, actor.key)
    assert again is not None
    assert again is not actor
    assert again.version == 2
    assert node.system.leases.held[1] == epoch + 1


async def test_the_journal_of_what_was_lost_is_not_trimmed(node: Node):
    """Its next owner needs it; here that is another, who has not come yet."""
    actor, _ = node.watch(partition=1)
    stays, _ = node.watch(partition=0)
    beat = node.heartbeat(actor)
    await until(lambda: beat.answer)
    node.memory.leases[1] = Lease("another", 9, float("inf"))
    for _ in range(20):
        node.heartbeat(stays)
        await passes(1)
    assert (await recovered(node.memory))[WATCH, actor.key].version == 2


async def test_an_outage_longer_than_the_lease_changes_nothing(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    held = dict(node.system.leases.held)
    node.faults.away = True
    asked = []
    for _ in range(20):
        asked.append(node.heartbeat(actor))
        await passes(RULES.lease_ttl_s / 5)
    assert not any(each.answer for each in asked)
    assert node.system.ready

    node.faults.away = False
    await until(lambda: all(each.answer for each in asked))
    await passes(RULES.lease_renew_s * 2)
    assert node.system.leases.held == held
    assert not node.audience.lost_actors


async def test_a_store_that_stands_still_changes_nothing_either(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.stalled = True
    beat = node.heartbeat(actor)
    await passes(60)
    node.faults.stalled = False
    await until(lambda: beat.answer)
    assert not node.audience.lost_actors
    assert node.system.ready


async def test_memory_is_bounded_through_an_outage(node: Node):
    actors = [node.watch()[0] for _ in range(20)]
    await until(lambda: len(node.told) == 20)
    node.faults.away = True
    refused = 0
    for _ in range(200):
        for actor in actors:
            if node.system.busy:
                refused += 1
            else:
                node.heartbeat(actor)
        await passes(0.5)
    committer, checkpointer = node.system.committer, node.system.checkpointer
    assert refused
    assert committer.backlog <= RULES.journal_pending + len(actors)
    assert len(checkpointer._due) <= 4 * len(actors)
    assert len(checkpointer._oldest) <= 4 * len(actors)
    assert node.system.interval_ms == RULES.heartbeat_ms * 3

    node.faults.away = False
    await until(lambda: not committer.backlog)
    await passes(2)
    assert node.system.interval_ms == RULES.heartbeat_ms
    assert not node.system.busy


async def test_drain_writes_everything(node: Node):
    room = await node.room()
    session, _ = node.join(room, "u1")
    actor, _ = node.watch()
    beats = [node.heartbeat(actor), node.heartbeat(room, session)]
    assert await node.system.drain(5)

    assert all(each.answer for each in beats)
    assert node.memory.rows.sessions.keys() == {session, actor.key}
    assert {lease.owner for lease in node.memory.leases.values()} == {None}
    successor = await Node(node.memory, truth=node.journaled).ready()
    assert successor.system.counters.replayed == 0
    await until(lambda: not node.memory.batches)
    await successor.die()


async def test_a_draining_node_is_busy(node: Node):
    node.faults.stalled = True
    actor, _ = node.watch()
    leaving = asyncio.create_task(node.system.drain(2))
    await passes(0.1)
    assert node.system.busy
    assert node.system.draining
    assert not node.system.ready
    await passes(2)
    node.faults.stalled = False
    assert not await leaving
    assert actor.version == 1


async def test_drain_does_not_outstay_its_time(node: Node):
    node.watch()
    node.faults.away = True
    begun = asyncio.get_running_loop().time()
    assert not await node.system.drain(3)
    assert asyncio.get_running_loop().time() - begun < 4


async def test_drain_gives_up_also_what_is_still_being_rebuilt(memory: Memory):
    node = Node(memory)
    node.stores.journal.read = _endless  # type: ignore[assignment, method-assign]
    await node.system.start()
    await passes(1)
    await node.system.drain(1)
    assert {lease.owner for lease in memory.leases.values()} == {None}


async def _endless(*_: object):
    await asyncio.Event().wait()
    yield []


async def test_no_mail_comes_before_the_incarnation(node: Node):
    """Many ask for a room that is being loaded; whoever finds it first must not be taken for a dead connection."""
    room = await node.room()
    await passes(RULES.checkpoint_ms / 1000 + 1)
    node.system.directory.drop(room)
    seen: list[type] = []
    run = node.system.scheduler.run

    def noted(actor, event, reply, now):
        seen.append(type(event))
        run(actor, event, reply, now)

    node.system.scheduler.run = noted  # type: ignore[method-assign]

    async def joins(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        node.join(await node.room(), f"u{number}")

    await asyncio.gather(*(joins(number) for number in range(12)))
    await until(lambda: len(seen) == 13)
    assert seen == [Incarnated] + [Joined] * 12
    assert (await node.room()).room.present == 12


async def test_what_was_read_under_an_epoch_is_not_used_under_the_next(node: Node):
    room = await node.room()
    await passes(RULES.checkpoint_ms / 1000 + 1)
    node.system.directory.drop(room)
    node.faults.stalled = True
    asking = asyncio.create_task(node.room())
    await until(lambda: node.faults.waiting)
    node.system.directory.owned[room.partition] += 1
    node.faults.stalled = False
    await until(asking.done)
    assert isinstance(asking.exception(), NotOwned)
    node.system.directory.owned[room.partition] -= 1


async def test_an_impatient_asker_does_not_take_the_room_from_the_others(node: Node):
    node.faults.stalled = True
    first, second = asyncio.create_task(node.room()), asyncio.create_task(node.room())
    await until(lambda: node.faults.waiting)
    first.cancel()
    await passes(0.1)
    node.faults.stalled = False
    assert (await second).key == "r1"


async def test_an_absent_store_is_told_to_whoever_asks(node: Node):
    node.faults.away = True
    try:
        await node.room()
    except StoreAway:
        return
    raise AssertionError("not told")


async def test_whoever_has_nothing_to_do_is_forgotten(node: Node):
    room = await node.room("quiet")
    await passes(RULES.actor_idle_ms / 1000 + 20)
    assert node.system.directory.find(ROOM, "quiet") is None
    assert not node.system.post(room, Tick())
    again = await node.room("quiet")
    assert again.version == 1
    await until(lambda: again.version == 2)


async def test_whoever_was_just_loaded_is_not_forgotten(node: Node):
    """Between being loaded and the first mail it has nothing to do."""
    actor = node.system.new_watch()
    node.system._retire()
    assert node.system.directory.find(WATCH, actor.key) is actor
    assert node.system.post(actor, Tick())


async def test_an_unreadable_snapshot_is_a_refusal_and_no_end(node: Node):
    room = await node.room()
    await passes(RULES.checkpoint_ms / 1000 + 1)
    await node.die()
    snapshot = node.memory.snapshots[ROOM, "r1"]
    node.memory.snapshots[ROOM, "r1"] = msgspec.structs.replace(snapshot, body=b"\x09what", wake_at=0)

    second = Node(node.memory, alone=True, truth=node.journaled)
    await second.system.start()
    await passes(20)
    assert not second.system.ready
    assert second.system.failed is None
    node.memory.snapshots[ROOM, "r1"] = snapshot
    await until(lambda: second.system.ready, 3)
    assert (await second.room()).version >= room.version
    await second.die()


async def test_of_several_sessions_under_one_key_the_newest_is_found(node: Node):
    key = ("u1", "video", "c1", "d1")
    actors, asked = [], []
    for _ in range(3):
        actor, opened = node.watch(door="http", partition=0)
        actors.append(actor)
        asked.append(opened)
        await passes(0.1)
    await until(lambda: all(each.answer for each in asked))
    await node.die()
    successor = await Node(node.memory, alone=True, truth=node.journaled).ready()
    assert successor.system.directory.keyed == {key: actors[-1].key}
    await successor.die()


async def test_nothing_fails_in_a_long_quiet_life(node: Node):
    await passes(3 * 3600)
    assert node.system.failed is None
    assert node.system.ready
    asker = Asker()
    node.system.post(await node.room(), Tick(), asker)
    await until(lambda: asker.answer is not None)


async def test_the_watchdog_tells_when_a_term_ran_out(memory: Memory):
    """In real time, on its own thread: the loop stands still meanwhile."""
    leases = Leases(MemoryLeases(memory), owner="me", address="here", partitions=PARTITIONS, ttl_s=0.05, force=False)
    told: list[bool] = []
    heard = threading.Event()

    def note(lapsed: bool) -> None:  # noqa: FBT001 - a callback's one argument
        told.append(lapsed)
        heard.set()

    watchdog = Watchdog(leases, note, every_s=0.005)
    leases.held.update(await leases.take_missing())
    watchdog.start()
    assert heard.wait(2.0)
    assert told == [True]
    heard.clear()
    leases._ttl_s = 60
    assert await leases.renew() == frozenset()
    assert heard.wait(2.0)
    assert told == [True, False]
    watchdog.stop()
