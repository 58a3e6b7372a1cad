"""What owners tell of the catalog: stored first, then told to the rooms of its classes, and only then answered.

    write -> stored, all or nothing -> memories forget -> rooms told, durable -> noted in the store -> answered

A room is told not what a body says but what the store has of its class, so whatever comes late changes nothing. What a
crash or an absence of storage leaves untold is told by `run`, and by the owner's own repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import structlog

from actors.directory import NotOwned
from actors.machines.events import Cancelled, RoomEvent, Scheduled
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.catalog import CANCELLED, Entity, LiveClass
from server.catalog.facts import Catalog
from server.feeds.rooms import Round
from storage.catalog import CatalogStore, Untold

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500
"""Rooms that are told together: each is read, journaled, and stays in memory for a while."""
SWEEP_S: Final = 10.0


class _Wanted:
    """Classes that somebody waits to have told; they are stored already."""

    __slots__ = ("ids", "told")

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.told = False


class CatalogWriter:
    """One a process."""

    def __init__(self, store: CatalogStore, catalog: Catalog, system: ActorSystem) -> None:
        self._store = store
        self._catalog = catalog
        self._system = system
        self._waiting: dict[_Wanted, None] = {}
        """At most one each of the bodies that are being taken in."""
        self._turn = asyncio.Lock()

    async def write(self, entities: Collection[Entity]) -> int:
        """Take a body in, all or nothing; returns how many are new.

        Raises StoreAway, StoreRefused, NotOwned: repeating it is harmless, and needed.
        """
        if self._system.busy:
            raise StoreAway("too much waits for the database")
        new = await self._store.write(entities)
        self._catalog.wrote(entities)
        await self._tell(each.live_class_id for each in entities if isinstance(each, LiveClass))
        return new

    async def end_enrolment(self, product_id: str, user_id: str) -> bool:
        """It ends now; whether there is one. Raises StoreAway, StoreRefused."""
        found = await self._store.end_enrolment(product_id, user_id, self._system.clock.now())
        self._catalog.ended(product_id, user_id)
        return found

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell what was left untold, for ever."""
        while True:
            try:
                while await self.sweep() == AT_ONCE:
                    pass
            except (StoreAway, StoreRefused, NotOwned) as error:
                log.warning("catalog.classes_untold", reason=str(error))
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Tell rooms of classes that nobody waits for; returns of how many, at most `AT_ONCE`."""
        async with self._turn:
            return await self._tell_some(await self._store.untold(None, AT_ONCE))

    async def _tell(self, live_class_ids: Iterable[str]) -> None:
        """Return when the rooms of these have what is stored, durably."""
        for some in batched(dict.fromkeys(live_class_ids), AT_ONCE):
            wanted = _Wanted(some)
            self._waiting[wanted] = None
            try:
                async with self._turn:
                    if not wanted.told:
                        await self._tell_wanted(wanted)
            finally:
                self._waiting.pop(wanted, None)

    async def _tell_wanted(self, first: _Wanted) -> None:
        """Tell what one waits for, and what others wait for as far as there is room: they then find it told."""
        together, ids = [first], dict.fromkeys(first.ids)
        for each in self._waiting:
            if len(ids) + len(each.ids) <= AT_ONCE:
                together.append(each)
                ids.update(dict.fromkeys(each.ids))
        await self._tell_some(await self._store.untold(list(ids), AT_ONCE))
        for each in together:
            each.told = True

    async def _tell_some(self, classes: Sequence[Untold]) -> int:
        if not classes:
            return 0
        round_ = Round(self._system)
        await round_.open([each.live_class_id for each in classes])
        now = self._system.clock.now()
        for each in classes:
            for event in events_of(each, now):
                await round_.tell(each.live_class_id, event)
        await round_.settled()
        round_.let_go()
        await self._store.told(classes)
        return len(classes)


def events_of(known: Untold, now: int) -> list[RoomEvent]:
    """What a room is told of its class.

    A class that its owner had cancelled and now has not is to be again; one that others cancelled stays so.
    """
    scheduled = Scheduled(
        known.name,
        known.start_at,
        known.end_at,
        known.catalog_product_id,
        revived=known.status != CANCELLED and known.told_status == CANCELLED,
    )
    if known.status == CANCELLED:
        return [scheduled, Cancelled(min(known.updated_at, now))]
    return [scheduled]


def batched(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """`ids` in lists of at most `size`."""
    left = iter(ids)
    while batch := list(islice(left, size)):
        yield batch
