"""Many callers, few writes (`storage.gathering`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from actors.ports import StoreAway, StoreRefused
from storage.gathering import LINGER_S, Full, Gathering


class Shelf:
    """What was written, batch by batch; a write takes 10 ms, and fails while it is away or an item is not wanted."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.away_until = 0.0
        self.unwanted = -1

    async def write(self, items: Sequence[int]) -> Sequence[str]:
        await asyncio.sleep(0.01)
        if asyncio.get_running_loop().time() < self.away_until:
            raise StoreAway
        if self.unwanted in items:
            raise StoreRefused("one does not fit")
        self.batches.append(list(items))
        return [f"row {item}" for item in items]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def gathering(shelf: Shelf) -> Gathering[int, str]:
    return Gathering(shelf.write, batch=5, limit=20, patience_s=2.0)


async def test_each_caller_gets_its_own_result(gathering: Gathering[int, str]) -> None:
    assert await asyncio.gather(*map(gathering.put, range(3))) == ["row 0", "row 1", "row 2"]


async def test_what_comes_in_during_a_write_is_written_together(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    first = asyncio.create_task(gathering.put(0))
    await asyncio.sleep(0.005)
    await asyncio.gather(first, *map(gathering.put, range(1, 5)))
    assert shelf.batches == [[0], [1, 2, 3, 4]]


async def test_a_batch_weighs_at_most_what_it_may_and_one_heavy_item_goes_alone(
    shelf: Shelf, gathering: Gathering[int, str]
) -> None:
    await asyncio.gather(gathering.put(0, 3), gathering.put(1, 3), gathering.put(2, 9), gathering.put(3, 1))
    assert shelf.batches == [[0], [1], [2], [3]]


async def test_after_a_busy_batch_the_next_one_waits_to_fill(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*map(gathering.put, range(5)))
    began = loop.time()
    await gathering.put(5)
    assert loop.time() - began == pytest.approx(0.01 + LINGER_S)
    assert shelf.batches == [[0, 1, 2, 3, 4], [5]]


async def test_full_refuses_at_once_and_keeps_nothing_of_it(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    waiting = [asyncio.create_task(gathering.put(number, 5)) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await gathering.put(4)
    await asyncio.gather(*waiting)
    assert (gathering.weight, sorted(chain.from_iterable(shelf.batches))) == (0, [0, 1, 2, 3])
    assert await gathering.put(5) == "row 5"


async def test_a_storage_that_comes_back_in_time_is_not_noticed(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    shelf.away_until = asyncio.get_running_loop().time() + 1.5
    assert await gathering.put(1) == "row 1"
    assert shelf.batches == [[1]]


async def test_patience_ends_and_the_next_item_has_its_own(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    loop = asyncio.get_running_loop()
    shelf.away_until = loop.time() + 3.0
    early = asyncio.create_task(gathering.put(1))
    await asyncio.sleep(1.5)
    late = asyncio.create_task(gathering.put(2))
    with pytest.raises(StoreAway):
        await early
    assert await late == "row 2"
    assert loop.time() < shelf.away_until + 0.5
    assert (shelf.batches, gathering.weight) == ([[2]], 0)


async def test_who_gives_up_does_not_make_others_of_the_batch_give_up(
    shelf: Shelf, gathering: Gathering[int, str]
) -> None:
    loop = asyncio.get_running_loop()
    shelf.away_until = loop.time() + 3.0
    early = [asyncio.create_task(gathering.put(1))]
    await asyncio.sleep(0.3)
    early.append(asyncio.create_task(gathering.put(2)))
    await asyncio.sleep(1.5)
    late = asyncio.create_task(gathering.put(3))
    results = await asyncio.gather(*early, late, return_exceptions=True)
    assert [type(result) for result in results] == [StoreAway, StoreAway, str]


async def test_what_does_not_fit_takes_no_others_along(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    shelf.unwanted = 1
    results = await asyncio.gather(*map(gathering.put, range(3)), return_exceptions=True)
    assert results[0] == "row 0"
    assert isinstance(results[1], StoreRefused)
    assert results[2] == "row 2"


async def test_a_fault_of_ours_reaches_the_callers_and_later_items_are_written() -> None:
    async def write(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        return [1 // item for item in items]

    gathering = Gathering(write, batch=5, limit=20, patience_s=2.0)
    with pytest.raises(ZeroDivisionError):
        await gathering.put(0)
    assert await gathering.put(1) == 1


async def test_a_caller_that_gives_up_leaves_the_others_alone(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    impatient = asyncio.create_task(gathering.put(1))
    patient = asyncio.create_task(gathering.put(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "row 2"
    assert shelf.batches == [[1, 2]]


async def test_a_storage_that_says_nothing_does_not_keep_callers_and_what_it_has_not_begun_is_let_go() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    hanging: asyncio.Future[None] = loop.create_future()
    written: list[int] = []

    async def write(items: Sequence[int]) -> Sequence[int]:
        written.extend(items)
        if not hanging.done():
            await hanging
        return items

    gathering = Gathering(write, batch=5, limit=20, patience_s=2.0, told_after_s=3.0)
    early = asyncio.create_task(gathering.put(1))
    await asyncio.sleep(1)
    late = [asyncio.create_task(gathering.put(number)) for number in (2, 3)]
    gone = asyncio.create_task(gathering.put(4))
    await asyncio.sleep(1)
    gone.cancel()
    with pytest.raises(StoreAway):
        await early
    assert loop.time() - began == pytest.approx(3.0)
    assert [type(each) for each in await asyncio.gather(*late, return_exceptions=True)] == [StoreAway] * 2
    assert loop.time() - began == pytest.approx(4.0, abs=0.26)

    patient = asyncio.create_task(gathering.put(5))
    await asyncio.sleep(0.1)
    hanging.set_result(None)
    assert await patient == 5
    await gathering.settle()
    assert (written, gathering.weight) == ([1, 4, 5], 0)


async def test_when_all_have_been_told_nothing_is_left_to_write() -> None:
    hanging: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def write(_items: Sequence[int]) -> Sequence[int]:
        await hanging
        raise StoreAway

    gathering = Gathering(write, batch=1, limit=20, patience_s=1.0, told_after_s=1.0)
    told = await asyncio.gather(*map(gathering.put, range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [StoreAway] * 3
    assert gathering.weight == 3
    hanging.set_result(None)
    await gathering.settle()
    assert gathering.weight == 0


async def test_settle_waits_for_all_that_was_put_in(shelf: Shelf, gathering: Gathering[int, str]) -> None:
    tasks = [asyncio.create_task(gathering.put(number)) for number in range(7)]
    await asyncio.sleep(0)
    await gathering.settle()
    assert shelf.batches == [[0, 1, 2, 3, 4], [5, 6]]
    await asyncio.gather(*tasks)
