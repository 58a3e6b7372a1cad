"""The store in memory fails on demand, as a database would."""

from __future__ import annotations

import asyncio

import pytest

from actors.ports import Entry, Fence, LeaseLost, StoreAway
from storage.memory import Memory, MemoryJournal, MemoryLeases
from tests.support.examples import entries

TTL_S = 60.0


class Setting:
    """A store with partition 0 taken."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.memory = Memory(clock=lambda: self.now)
        self.leases = MemoryLeases(self.memory)
        self.journal = MemoryJournal(self.memory)

    async def own(self, owner: str = "node-1", *, force: bool = True) -> Fence:
        return Fence(owner, await self.leases.acquire(owner, "a", [0], TTL_S, force=force))

    async def journaled(self) -> list[list[Entry]]:
        return [list(batch) async for batch in self.journal.read([0])]


@pytest.fixture
def setting() -> Setting:
    return Setting()


async def test_away_does_nothing(setting: Setting):
    mine = await setting.own()
    setting.memory.faults.away = True

    with pytest.raises(StoreAway):
        await setting.journal.append(mine, 1, entries(1))

    setting.memory.faults.away = False
    assert await setting.journaled() == []


async def test_a_lost_answer_is_a_batch_written(setting: Setting):
    mine = await setting.own()
    setting.memory.faults.lose_answers = True

    with pytest.raises(StoreAway):
        await setting.journal.append(mine, 1, entries(1))

    setting.memory.faults.lose_answers = False
    await setting.journal.append(mine, 1, entries(1))
    assert await setting.journaled() == [entries(1)]


async def test_a_stalled_call_goes_on_where_the_world_is_then(setting: Setting):
    mine = await setting.own()
    setting.memory.faults.stalled = True
    stalled = asyncio.create_task(setting.journal.append(mine, 1, entries(1)))
    takeover = asyncio.create_task(setting.own("node-2"))
    await asyncio.sleep(0)
    assert setting.memory.faults.waiting == 2

    setting.memory.leases[0].epoch += 1
    setting.memory.faults.stalled = False

    with pytest.raises(LeaseLost):
        await stalled
    assert (await takeover).leases == {0: 3}
    assert setting.memory.faults.waiting == 0


async def test_a_stalled_call_may_be_given_up(setting: Setting):
    mine = await setting.own()
    setting.memory.faults.stalled = True
    stalled = asyncio.create_task(setting.journal.append(mine, 1, entries(1)))
    await asyncio.sleep(0)

    stalled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stalled

    assert setting.memory.faults.waiting == 0
    setting.memory.faults.stalled = False
    assert await setting.journaled() == []


async def test_its_clock_is_the_one_given(setting: Setting):
    await setting.own()
    setting.now += TTL_S * 1000 - 1
    assert (await setting.own("node-2", force=False)).leases == {}

    setting.now += 1

    assert (await setting.own("node-2", force=False)).leases == {0: 2}
