"""Leases: one owner a partition, an epoch that only rises, terms by the store's own clock."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from actors.ports import Fence, StoreAway
from storage.sql import statements
from tests.support.examples import entries
from tests.support.stores import Node, PostgresStore, Store

TTL_S = 60.0


async def acquire(node: Node, owner: str, *partitions: int, ttl_s: float = TTL_S, force: bool = False) -> Fence:
    return Fence(owner, await node.leases.acquire(owner, f"{owner}:1", partitions, ttl_s, force=force))


async def test_free_partitions_are_taken(node: Node):
    mine = await acquire(node, "node-1", 2, 0, 1)

    assert mine.leases.keys() == {0, 1, 2}
    assert all(epoch >= 1 for epoch in mine.leases.values())


async def test_what_another_holds_is_not_taken(node: Node):
    await acquire(node, "node-1", 0, 1)

    assert (await acquire(node, "node-2", 0, 1, 2)).leases.keys() == {2}


async def test_what_ran_out_is_taken_with_a_higher_epoch(store: Store, node: Node):
    former = await acquire(node, "node-1", 0, 1)
    await store.expire([1])

    heir = await acquire(node, "node-2", 0, 1)

    assert heir.leases == {1: former.leases[1] + 1}


async def test_a_term_runs_out_by_itself(node: Node):
    await acquire(node, "node-1", 0, ttl_s=0)

    assert (await acquire(node, "node-2", 0)).leases.keys() == {0}


async def test_force_takes_everything(node: Node):
    former = await acquire(node, "node-1", 0, 1)

    heir = await acquire(node, "node-2", 0, 1, force=True)

    assert heir.leases == {partition: epoch + 1 for partition, epoch in former.leases.items()}


async def test_taking_ones_own_again_raises_the_epoch(node: Node):
    before = await acquire(node, "node-1", 0)

    assert (await acquire(node, "node-1", 0)).leases == {0: before.leases[0] + 1}


async def test_taking_nothing_takes_nothing(node: Node):
    assert (await acquire(node, "node-1")).leases == {}


async def test_renewing_keeps_others_out(store: Store, node: Node):
    mine = await acquire(node, "node-1", 0, ttl_s=0)

    assert await node.leases.renew(mine, TTL_S) == {0}

    assert (await acquire(node, "node-2", 0)).leases == {}


async def test_renewing_returns_what_is_still_ours(store: Store, node: Node):
    mine = await acquire(node, "node-1", 0, 1, 2)
    await acquire(node, "node-2", 1, force=True)
    await store.expire([2])

    assert await node.leases.renew(mine, TTL_S) == {0, 2}


async def test_an_older_epoch_of_the_same_owner_is_not_renewed(node: Node):
    older = await acquire(node, "node-1", 0)
    await acquire(node, "node-1", 0)

    assert await node.leases.renew(older, TTL_S) == frozenset()


async def test_what_was_released_is_free_at_once_and_fenced_off(node: Node):
    mine = await acquire(node, "node-1", 0, 1)

    await node.leases.release(Fence("node-1", {0: mine.leases[0]}))

    assert await node.leases.renew(mine, TTL_S) == {1}
    assert (await acquire(node, "node-2", 0, 1)).leases == {0: mine.leases[0] + 1}


async def test_releasing_what_another_has_taken_leaves_it_there(node: Node):
    mine = await acquire(node, "node-1", 0)
    heir = await acquire(node, "node-2", 0, force=True)

    await node.leases.release(mine)

    assert await node.leases.renew(heir, TTL_S) == {0}


async def test_two_nodes_that_reach_for_the_same_get_each_partition_once(postgres: PostgresStore):
    nodes = [await postgres.node() for _ in range(4)]
    wanted = list(range(64))
    order = [wanted, wanted[::-1], wanted[32:] + wanted[:32], wanted]

    got = await asyncio.gather(
        *(acquire(node, f"node-{place}", *order[place]) for place, node in enumerate(nodes)), return_exceptions=False
    )

    assert sorted(partition for fence in got for partition in fence.leases) == wanted


async def test_the_takeover_of_an_expired_lease_sees_a_renewal_that_came_first(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await acquire(node, "node-1", 0, ttl_s=0)
    renewal = other.transaction()
    await renewal.start()
    await other.fetch(statements()["renew_leases"], "node-1", [0], [mine.leases[0]], TTL_S)

    takeover = asyncio.create_task(acquire(node, "node-2", 0))
    await postgres.until_waiting()
    await renewal.commit()

    assert (await takeover).leases == {}


async def test_a_renewal_that_comes_after_a_takeover_finds_it_lost(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await acquire(node, "node-1", 0)
    takeover = other.transaction()
    await takeover.start()
    await other.fetch(statements()["take_leases"], "node-2", "a", [0], TTL_S)

    renewal = asyncio.create_task(node.leases.renew(mine, TTL_S))
    await postgres.until_waiting()
    await takeover.commit()

    assert await renewal == frozenset()


async def test_renewing_waits_for_no_checkpoint(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await acquire(node, "node-1", 0)
    async with other.transaction():
        await other.fetch(statements()["hold_leases"], "node-1", [0], [mine.leases[0]])

        assert await node.leases.renew(mine, TTL_S) == {0}


async def test_no_append_waits_for_a_renewal(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await acquire(node, "node-1", 0)
    async with other.transaction():
        await other.fetch(statements()["renew_leases"], "node-1", [0], [mine.leases[0]], TTL_S)

        await node.journal.append(mine, 1, entries(1))


@pytest.mark.slow
async def test_a_takeover_that_waits_for_a_writer_gives_up_soon(postgres: PostgresStore):
    node, other = await postgres.node(), await postgres.connection()
    mine = await acquire(node, "node-1", 0)
    async with other.transaction():
        await other.fetch(statements()["hold_leases"], "node-1", [0], [mine.leases[0]])

        with pytest.raises(StoreAway, match="lock timeout"):
            await acquire(node, "node-2", 0, force=True)

    assert await node.leases.renew(mine, TTL_S) == {0}


@pytest.mark.slow
async def test_a_process_that_stands_still_in_a_checkpoint_loses_its_hold_before_its_lease(postgres: PostgresStore):
    database, heir = await postgres.database(), await postgres.node()
    mine = await acquire(heir, "node-1", 0)
    begun = time.monotonic()

    async def stand_still() -> None:
        async with database.transaction() as connection:
            await connection.fetch(statements()["hold_leases"], "node-1", [0], [mine.leases[0]])
            while True:
                with contextlib.suppress(StoreAway):
                    await acquire(heir, "node-2", 0, force=True)
                    return
                assert time.monotonic() - begun < 5

    with pytest.raises(StoreAway):
        await stand_still()
    assert time.monotonic() - begun < 4
