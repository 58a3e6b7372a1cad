"""What is put away leaves memory, at once and without the collector; what was brought for a word goes soon."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Collection
from typing import Any

import pytest

from actors.loads import AT_ONCE, QUESTIONS_MAX, Loads
from actors.machines.room import Room
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import WatchRules, WatchSession
from actors.ports import ROOM, WATCH, Kind, Snapshot, StoreAway, StoreRefused


@pytest.mark.parametrize(
    "machine",
    [lambda: Room("r1", RoomState(), RoomRules()), lambda: WatchSession("s1", None, WatchRules())],
    ids=["room", "watch session"],
)
def test_a_machine_that_is_put_away_is_gone(machine: Any):
    gc.disable()
    try:
        made = machine()
        gone = weakref.ref(made)
        made.part()
        del made
        assert gone() is None
    finally:
        gc.enable()


class Shelf:
    """Snapshots, read when the test lets it; counts the questions."""

    def __init__(self) -> None:
        self.questions: list[tuple[Kind, int]] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, kind: Kind, keys: Collection[str]) -> dict[str, Snapshot]:
        self.questions.append((kind, len(keys)))
        await self.open.wait()
        if "bad" in keys:
            raise StoreRefused("bad")
        if self.error is not None:
            raise self.error
        return {key: Snapshot(kind, key, 0, 1, b"") for key in keys if key != "none"}


async def test_snapshots_that_are_wanted_together_are_read_together():
    shelf = Shelf()
    shelf.open.clear()
    loads = Loads(shelf)
    wanted = [asyncio.ensure_future(loads.load(ROOM, f"r{number}")) for number in range(2 * AT_ONCE)]
    wanted += [asyncio.ensure_future(loads.load(WATCH, f"s{number}")) for number in range(5)]
    await asyncio.sleep(0)
    shelf.open.set()
    found = await asyncio.gather(*wanted)

    assert [each.key if each else None for each in found[:2]] == ["r0", "r1"]
    assert all(found)
    assert sum(count for _, count in shelf.questions) == 2 * AT_ONCE + 5
    assert len(shelf.questions) <= QUESTIONS_MAX + 3
    assert max(count for _, count in shelf.questions) <= AT_ONCE


async def test_what_is_not_there_is_none_and_a_key_is_read_once_at_a_time():
    shelf = Shelf()
    loads = Loads(shelf)

    assert await asyncio.gather(*(loads.load(ROOM, "none") for _ in range(5))) == [None] * 5
    assert shelf.questions == [(ROOM, 1)]


async def test_one_that_cannot_be_asked_for_does_not_take_the_others_along():
    loads = Loads(Shelf())

    found = await asyncio.gather(*(loads.load(ROOM, key) for key in ("a", "bad", "b")), return_exceptions=True)

    assert isinstance(found[1], StoreRefused)
    assert isinstance(found[0], Snapshot)
    assert isinstance(found[2], Snapshot)


async def test_a_store_that_is_away_is_told_to_all_and_asked_again():
    shelf = Shelf()
    shelf.error = StoreAway("away")
    loads = Loads(shelf)
    found = await asyncio.gather(*(loads.load(ROOM, key) for key in "ab"), return_exceptions=True)
    shelf.error = None

    assert [type(each) for each in found] == [StoreAway, StoreAway]
    assert await loads.load(ROOM, "a") is not None
