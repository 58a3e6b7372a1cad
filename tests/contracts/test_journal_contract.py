"""The journal's promises, kept by every store: durable once, in order, fenced, and no longer than needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
import zstandard

from actors.ports import Entry, Fence, LeaseLost, StoreRefused
from storage.journal import FORMAT, EntryCodec
from storage.sql import statements
from tests.support.examples import entries, entry, fence
from tests.support.stores import Node, PostgresStore, Store

TTL_S = 60.0


async def owned(node: Node, *partitions: int, owner: str = "node-1", force: bool = False) -> Fence:
    taken = await node.leases.acquire(owner, f"{owner}:1", partitions, TTL_S, force=force)
    assert taken.keys() == set(partitions)
    return Fence(owner, taken)


async def journaled(node: Node, *partitions: int) -> list[list[Entry]]:
    return [list(batch) async for batch in node.journal.read(partitions)]


async def test_what_was_appended_is_read_in_order(node: Node):
    mine = await owned(node, 0, 1)
    batches = [entries(3, "a"), entries(200, "b"), entries(1, "c")]

    for number, batch in enumerate(batches, 1):
        await node.journal.append(mine, number, batch)

    assert await journaled(node, 0) == batches


async def test_more_batches_than_a_page_are_read_in_order(node: Node):
    mine = await owned(node, 0)
    for number in range(1, 151):
        await node.journal.append(mine, number, [entry(version=number)])

    read = await journaled(node, 0)

    assert [batch[0].version for batch in read] == list(range(1, 151))


async def test_only_batches_that_touch_the_partitions_are_read(node: Node):
    mine = await owned(node, 0, 1, 2)
    await node.journal.append(fence(dict(mine.leases), 0, 1), 1, entries(1, "zero-one"))
    await node.journal.append(fence(dict(mine.leases), 2), 2, entries(1, "two"))

    assert await journaled(node, 1) == [entries(1, "zero-one")]
    assert await journaled(node, 2, 0) == [entries(1, "zero-one"), entries(1, "two")]
    assert await journaled(node, 3) == []


async def test_a_repeated_append_changes_nothing(node: Node):
    mine = await owned(node, 0)

    for _ in range(3):
        await node.journal.append(mine, 1, entries(5))

    assert await journaled(node, 0) == [entries(5)]


async def test_two_owners_count_for_themselves(node: Node):
    mine, theirs = await owned(node, 0, owner="node-1"), await owned(node, 1, owner="node-2")

    await node.journal.append(mine, 1, entries(1, "mine"))
    await node.journal.append(theirs, 1, entries(1, "theirs"))

    assert await journaled(node, 0, 1) == [entries(1, "mine"), entries(1, "theirs")]


async def test_a_number_that_is_another_batch_is_refused_and_not_taken_for_a_repeat(node: Node):
    mine = await owned(node, 0)
    await node.journal.append(mine, 1, entries(1))

    with pytest.raises(StoreRefused, match="another batch"):
        await node.journal.append(mine, 1, entries(2))

    assert await journaled(node, 0) == [entries(1)]


async def test_a_stale_epoch_cannot_append(node: Node):
    mine = await owned(node, 0, 1, 2)
    await owned(node, 1, owner="node-2", force=True)

    with pytest.raises(LeaseLost) as lost:
        await node.journal.append(mine, 1, entries(1))

    assert lost.value.partitions == {1}
    assert await journaled(node, 0, 1, 2) == []


async def test_an_owner_that_gave_up_cannot_append(node: Node):
    mine = await owned(node, 0)
    await node.leases.release(mine)

    with pytest.raises(LeaseLost):
        await node.journal.append(mine, 1, entries(1))

    assert await journaled(node, 0) == []


async def test_an_own_older_epoch_cannot_append(node: Node):
    older = await owned(node, 0)
    newer = await owned(node, 0)

    with pytest.raises(LeaseLost):
        await node.journal.append(older, 1, entries(1))
    await node.journal.append(newer, 1, entries(1))

    assert await journaled(node, 0) == [entries(1)]


async def test_a_partition_that_nobody_ever_owned_cannot_be_written(node: Node):
    with pytest.raises(LeaseLost):
        await node.journal.append(Fence("node-1", {7: 1}), 1, entries(1))


async def test_a_lease_that_ran_out_but_was_not_taken_still_writes(store: Store, node: Node):
    mine = await owned(node, 0)
    await store.expire([0])

    await node.journal.append(mine, 1, entries(1))

    assert await journaled(node, 0) == [entries(1)]


async def test_a_batch_that_was_committed_is_accepted_again_after_the_lease_was_lost(node: Node):
    mine = await owned(node, 0)
    await node.journal.append(mine, 1, entries(1))
    theirs = await owned(node, 0, owner="node-2", force=True)

    await node.journal.append(mine, 1, entries(1))

    assert theirs.leases[0] > mine.leases[0]
    assert await journaled(node, 0) == [entries(1)]


async def test_trim_forgets_the_owners_batches_below_a_number(node: Node):
    mine, theirs = await owned(node, 0, owner="node-1"), await owned(node, 1, owner="node-2")
    for number in range(1, 6):
        await node.journal.append(mine, number, [entry("mine", number)])
        await node.journal.append(theirs, number, [entry("theirs", number)])

    assert await node.journal.trim(mine, 4) == 3
    assert await node.journal.trim(mine, 4) == 0

    assert [batch[0].version for batch in await journaled(node, 0)] == [4, 5]
    assert [batch[0].version for batch in await journaled(node, 1)] == [1, 2, 3, 4, 5]


async def test_an_owner_that_lost_a_lease_can_neither_trim_nor_adopt(node: Node):
    mine = await owned(node, 0)
    await node.journal.append(mine, 1, entries(1))
    await owned(node, 0, owner="node-2", force=True)

    for forget in (node.journal.trim(mine, 9), node.journal.adopt(mine)):
        with pytest.raises(LeaseLost):
            await forget

    assert await journaled(node, 0) == [entries(1)]


async def test_adopt_forgets_what_concerns_only_the_adopted(node: Node):
    former = await owned(node, 0, 1, 2)
    leases = dict(former.leases)
    await node.journal.append(fence(leases, 0), 1, entries(1, "zero"))
    await node.journal.append(fence(leases, 0, 1), 2, entries(1, "zero-one"))
    await node.journal.append(fence(leases, 1, 2), 3, entries(1, "one-two"))
    heir = await owned(node, 0, 1, owner="node-2", force=True)
    await node.journal.append(heir, 1, entries(1, "own"))

    assert await node.journal.adopt(heir) == 2

    assert await journaled(node, 0, 1) == [entries(1, "own")]
    assert await journaled(node, 2) == [entries(1, "one-two")]


async def test_a_batch_is_gone_when_its_last_partition_is_adopted(node: Node):
    former = await owned(node, 0, 1)
    await node.journal.append(former, 1, entries(1))
    first = await owned(node, 0, owner="node-2", force=True)
    second = await owned(node, 1, owner="node-3", force=True)

    assert await node.journal.adopt(first) == 0
    assert await journaled(node, 0) == []
    assert await journaled(node, 1) == [entries(1)]
    assert await node.journal.adopt(second) == 1
    assert await journaled(node, 1) == []


async def test_a_stripped_batch_is_still_known_as_a_repeat(node: Node):
    former = await owned(node, 0, 1)
    await node.journal.append(former, 1, entries(1))
    await node.journal.adopt(await owned(node, 0, owner="node-2", force=True))

    await node.journal.append(former, 1, entries(1))

    assert await journaled(node, 1) == [entries(1)]


@pytest.mark.parametrize("batch", [[], entries(0)], ids=["empty", "none"])
async def test_an_empty_batch_leaves_no_trace(node: Node, batch: Sequence[Entry]):
    mine = await owned(node, 0)

    await node.journal.append(mine, 1, batch)

    assert await journaled(node, 0) == []


async def test_what_cannot_be_stored_is_refused(node: Node):
    mine = await owned(node, 0)

    with pytest.raises(StoreRefused):
        await node.journal.append(mine, 1, [entry("lone \ud800 surrogate")])
    with pytest.raises(StoreRefused):
        await node.journal.append(Fence("nul\0", mine.leases), 1, entries(1))


# -- races, which only a database has -----------------------------------------------------------------------------


async def test_an_append_that_waits_for_a_takeover_fails_when_the_takeover_commits(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await owned(node, 0, 1)
    takeover = other.transaction()
    await takeover.start()
    await other.fetch(statements()["take_leases"], "node-2", "a", [1], TTL_S)

    append = asyncio.create_task(node.journal.append(mine, 1, entries(1)))
    await postgres.until_waiting()
    await takeover.commit()

    with pytest.raises(LeaseLost) as lost:
        await append
    assert lost.value.partitions == {1}
    assert await journaled(node, 0, 1) == []


async def test_an_append_that_waits_for_a_takeover_is_written_when_the_takeover_is_undone(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await owned(node, 0, 1)
    takeover = other.transaction()
    await takeover.start()
    await other.fetch(statements()["take_leases"], "node-2", "a", [1], TTL_S)

    append = asyncio.create_task(node.journal.append(mine, 1, entries(1)))
    await postgres.until_waiting()
    await takeover.rollback()

    await append
    assert await journaled(node, 0) == [entries(1)]


async def test_a_takeover_waits_for_the_append_that_came_first_and_then_reads_it(postgres: PostgresStore):
    node, heir, other = await postgres.node(), await postgres.node(), await postgres.connection()
    mine = await owned(node, 0)
    # A row under the same number that is not committed stops the append after it has taken its fence.
    blocker = other.transaction()
    await blocker.start()
    columns = "owner, number, partitions, epochs, entries, body"
    await other.execute(f"INSERT INTO journal ({columns}) VALUES ('node-1', 1, '{{0}}', '{{0}}', 1, '')")
    append = asyncio.create_task(node.journal.append(mine, 1, entries(1)))
    await postgres.until_waiting()
    takeover = asyncio.create_task(owned(heir, 0, owner="node-2", force=True))
    await postgres.until_waiting(2)

    await blocker.rollback()

    await append
    assert (await takeover).leases[0] > mine.leases[0]
    assert await journaled(heir, 0) == [entries(1)]


async def test_two_heirs_of_one_batch_adopt_it_at_the_same_time(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    await node.journal.append(await owned(node, 0, 1), 1, entries(1))
    first = await owned(node, 0, owner="node-2", force=True)
    second = await owned(node, 1, owner="node-3", force=True)
    adopting = other.transaction()
    await adopting.start()
    await other.execute(statements()["adopt_shared_batches"], first.owner, [0])

    adopt = asyncio.create_task(node.journal.adopt(second))
    await postgres.until_waiting()
    await adopting.commit()

    assert await adopt == 1
    assert await journaled(node, 0, 1) == []


async def test_appends_of_one_node_side_by_side_are_all_written(postgres: PostgresStore):
    node = await postgres.node()
    mine = await owned(node, *range(64))

    await asyncio.gather(*(node.journal.append(mine, number, entries(number)) for number in range(1, 21)))

    assert sorted(len(batch) for batch in await journaled(node, 0)) == list(range(1, 21))


def test_a_batch_that_unpacks_to_more_than_its_bound_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.journal._BODY_BYTES_MAX", 1_000)
    bomb = zstandard.compress(msgspec.msgpack.encode(bytes(1_000_000)))

    with pytest.raises(StoreRefused, match="more than 1000"):
        EntryCodec().decode(FORMAT + bomb)
