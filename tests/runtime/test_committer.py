"""Group commit: an answer leaves when all that it rests on is durable, in order, and never before."""

from __future__ import annotations

import asyncio

from actors import committer as committing
from actors.machines.effects import Effect, Refused
from actors.machines.events import Left, Started, Tick
from actors.ports import WATCH
from storage.memory import Lease, Memory
from tests.runtime.nodes import PARTITIONS, Asker, Node, recovered
from tests.runtime.virtual import passes, until


def batches(node: Node) -> list[tuple[int, int]]:
    """(number, entries) of this node's batches that are kept."""
    codec = node.stores.journal._codec  # type: ignore[attr-defined]
    owner = node.system.leases.owner
    return [(each.number, len(codec.decode(each.body))) for each in node.memory.batches.values() if each.owner == owner]


async def test_an_answer_waits_until_it_is_durable(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.stalled = True
    beat = node.heartbeat(actor)
    await passes(30)

    assert beat.answer is None
    assert (await recovered(node.memory))[WATCH, actor.key].version == 1
    node.faults.stalled = False
    await until(lambda: beat.answer)
    assert (await recovered(node.memory))[WATCH, actor.key].version == 2


async def test_a_lost_answer_is_not_taken_for_a_commit_nor_for_a_loss(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.lose_answers = True
    beat = node.heartbeat(actor)
    await passes(3)
    assert beat.answer is None

    node.faults.lose_answers = False
    await until(lambda: beat.answer)
    assert batches(node) == [(1, 1), (2, 1)]


async def test_everything_taken_in_during_a_commit_is_one_batch(node: Node):
    node.faults.stalled = True
    actor, _ = node.watch()
    await until(lambda: node.faults.waiting)
    asked = []
    for _ in range(100):
        asked.append(node.heartbeat(actor))
        await passes(0.001)
    writers = [task for task in asyncio.all_tasks() if task.get_name() == "Committer.run"]
    assert len(writers) == 1

    node.faults.stalled = False
    await until(lambda: asked[-1].answer)
    assert batches(node) == [(1, 1), (2, 100)]


async def test_answers_keep_their_order_also_those_without_an_entry(node: Node):
    actor, _ = node.watch()
    asked = []
    for turn in range(60):
        asked.append(node.heartbeat(actor) if turn % 3 else node.ask(actor, Tick()))
        if turn == 30:
            await asyncio.sleep(0)
    await until(lambda: all(each.answer is not None for each in asked))
    assert [each for each, _ in node.told][-60:] == asked


async def test_an_answer_without_an_entry_waits_for_what_it_may_tell(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    node.heartbeat(actor)
    await passes(1)
    looks = node.ask(actor, Tick())
    await passes(5)
    assert looks.answer is None

    node.faults.away = False
    await until(lambda: looks.answer is not None)


async def test_with_nothing_under_way_it_leaves_at_once(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    await passes(0.1)
    node.faults.away = True
    looks = node.ask(actor, Tick())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert looks.answer == []


async def test_an_absent_store_costs_nothing_but_time(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    asked = []
    for _ in range(40):
        asked.append(node.heartbeat(actor))
        await passes(1.5)
    assert node.system.committer.away_since is not None
    assert not any(each.answer for each in asked)

    node.faults.away = False
    await until(lambda: all(each.answer for each in asked))
    assert node.system.committer.away_since is None
    assert (await recovered(node.memory))[WATCH, actor.key].version == 41


async def test_full_at_the_bound_and_free_behind_it(node: Node):
    actors = [node.watch()[0] for _ in range(10)]
    committer, limit = node.system.committer, node.system.rules.journal_pending
    await until(lambda: not committer.backlog)
    node.faults.away = True
    while committer.backlog < limit - 1:
        for actor in actors:
            if committer.backlog + node.system.scheduler.depth < limit - 1:
                node.heartbeat(actor)
        await asyncio.sleep(0)
    assert not committer.full
    assert not node.system.busy
    last = node.heartbeat(actors[0])
    await asyncio.sleep(0)
    assert committer.full
    assert node.system.busy

    node.faults.away = False
    await until(lambda: last.answer)
    assert not committer.full


async def test_answers_without_entries_are_bounded_too(node: Node):
    """Repeats make no entries; their senders go on while the store is away."""
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    node.heartbeat(actor)
    for _ in range(node.system.rules.journal_pending):
        node.ask(actor, Tick())
        await asyncio.sleep(0)
    assert node.system.committer.full
    assert node.system.committer.backlog == 1


async def test_a_lost_lease_drops_its_own_and_nothing_else(node: Node):
    actors = [node.watch(partition=partition)[0] for partition in range(PARTITIONS)]
    await until(lambda: len(node.told) == PARTITIONS)
    node.faults.stalled = True
    first = [node.heartbeat(actor) for actor in actors]
    await until(lambda: node.faults.waiting)
    second = [node.heartbeat(actor) for actor in actors]
    looks = [node.ask(actor, Tick()) for actor in actors]
    await asyncio.sleep(0)
    node.memory.leases[2] = Lease("another", 9, float("inf"))
    node.faults.stalled = False

    await until(
        lambda: all(each[partition].answer is not None for each in (first, second, looks) for partition in (0, 1, 3))
    )
    await passes(5)
    assert first[2].answer is second[2].answer is looks[2].answer is None
    assert node.audience.lost_actors == [actors[2]]
    found = await recovered(node.memory)
    assert [found[WATCH, actor.key].version for actor in actors] == [3, 3, 1, 3]


async def test_what_is_left_of_a_batch_after_a_loss_has_a_number_of_its_own(node: Node):
    """The first attempt may have been stored: under its number there must never be another content."""
    here, _ = node.watch(partition=0)
    there, _ = node.watch(partition=1)
    await until(lambda: len(node.told) == 2)
    node.faults.lose_answers = True
    stays, goes = node.heartbeat(here), node.heartbeat(there)
    await until(lambda: len(batches(node)) == 2)
    node.faults.away = True
    node.faults.lose_answers = False
    await passes(0.3)
    node.memory.leases[1] = Lease("another", 9, float("inf"))
    node.system.abandon(frozenset({1}))
    node.faults.away = False

    await until(lambda: stays.answer)
    await passes(3)
    assert goes.answer is None
    assert (await recovered(node.memory))[WATCH, here.key].version == 2


async def test_inputs_of_a_former_life_are_not_written_in_the_next(node: Node):
    """Lost while a batch was retried, and taken again: the batch belongs to the epoch before."""
    actor, opened = node.watch(partition=1)
    await until(lambda: opened.answer)
    node.faults.away = True
    lost = node.heartbeat(actor)
    await passes(0.5)
    node.memory.leases[1] = Lease(epoch=node.memory.leases[1].epoch + 1)
    node.system.abandon(frozenset({1}))
    node.faults.away = False
    await until(lambda: node.system.ready)
    again = node.system.directory.find(WATCH, actor.key)
    assert again is not None
    assert again is not actor
    beat = Asker()
    node.lost_some = True
    node.system.post(again, Left(), beat)

    await until(lambda: beat.answer)
    await passes(3)
    assert lost.answer is None
    found = await recovered(node.memory)
    assert (WATCH, actor.key) not in found or found[WATCH, actor.key].watch.ended


async def test_a_batch_too_large_for_a_row_is_split_in_order(memory: Memory):
    node = await Node(memory).ready()
    node.system.scheduler._mailbox_limit = 10**6
    node.faults.stalled = True
    actor, opened = node.watch()
    await until(lambda: node.faults.waiting)
    count = committing.BATCH_MAX * 2 + 500
    asked = [node.heartbeat(actor) for _ in range(count)]
    await until(lambda: not node.system.scheduler.depth)
    node.faults.stalled = False

    await until(lambda: asked[-1].answer)
    assert [each for each, _ in node.told] == [opened, *asked]
    sizes = [size for _, size in batches(node)]
    assert sum(sizes) == count + 1
    assert max(sizes) <= committing.BATCH_MAX
    await node.die()


async def test_a_single_turn_larger_than_a_row_is_split_too(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    committer = node.system.committer
    asker = Asker(node.told)
    many = committing.BATCH_MAX + 10
    for version in range(2, many + 2):
        committer.inputs.append((actor, version, node.clock.now(), Left()))
    committer.replies.append((actor, asker, []))
    committer.kick()

    await until(lambda: asker.answer is not None)
    assert [size for _, size in batches(node)] == [1, committing.BATCH_MAX, 10]


async def test_answers_of_a_full_batch_do_not_wait_for_the_next(node: Node):
    """Else nobody would be answered while more comes in than goes out."""
    node.system.scheduler._mailbox_limit = 10**6
    node.faults.stalled = True
    actor, _ = node.watch()
    await until(lambda: node.faults.waiting)
    asked = [node.heartbeat(actor) for _ in range(committing.BATCH_MAX * 3)]
    await until(lambda: not node.system.scheduler.depth)
    answered_behind: list[int] = []
    append = node.stores.journal.append

    async def counted(*arguments: object) -> None:
        answered_behind.append(sum(each.answer is not None for each in asked))
        await append(*arguments)  # type: ignore[arg-type]

    node.stores.journal.append = counted  # type: ignore[assignment, method-assign]
    node.faults.stalled = False
    await until(lambda: asked[-1].answer)
    assert answered_behind == sorted(set(answered_behind))


class _Broken(Asker):
    def release(self, effects: list[Effect]) -> None:
        raise OSError("the socket is gone")


async def test_a_socket_that_fails_hurts_only_itself(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    before = node.heartbeat(actor)
    node.system.post(actor, Tick(), _Broken())
    after = node.heartbeat(actor)

    await until(lambda: before.answer and after.answer)
    assert node.system.counters.released_with_error == 1


async def test_settled_does_not_wait_for_what_comes_later(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.heartbeat(actor)
    await asyncio.sleep(0)
    settled = asyncio.create_task(node.system.committer.settled())
    while not settled.done():
        node.heartbeat(actor)
        await passes(0.001)
        assert node.system.committer._replies_ahead < 100


async def test_settled_means_durable(node: Node):
    actor, opened = node.watch()
    await until(lambda: opened.answer)
    node.faults.away = True
    beat = node.heartbeat(actor)
    await asyncio.sleep(0)
    settled = asyncio.create_task(node.system.committer.settled())
    await passes(5)
    assert not settled.done()
    node.faults.away = False
    await until(settled.done)
    assert beat.answer


async def test_a_refusal_is_an_answer(node: Node):
    room = await node.room()
    asked = node.ask(room, Started(0, "rest"))
    session, _ = node.join(room, "u1", resume="unknown")
    refused = node.told
    await until(lambda: asked.answer)
    await until(lambda: any(isinstance(effects[0], Refused) for _, effects in refused))
    assert session not in room.room.state.sessions
