"""Reading snapshots: a few questions to the store at a time, each for everything that was wanted meanwhile.

One actor is read at once; five hundred that are wanted together cost a handful of questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import islice
from typing import Final, Protocol

from actors.ports import Kind, Snapshot, StoreRefused

QUESTIONS_MAX: Final = 4
AT_ONCE: Final = 250
"""Snapshots a question: a large room is some hundred kilobytes."""


class Shelf(Protocol):
    """What is needed of the store (`actors.ports.SnapshotStore`)."""

    async def load(self, kind: Kind, keys: Collection[str]) -> dict[str, Snapshot]: ...


class Loads:
    """One a node."""

    def __init__(self, store: Shelf) -> None:
        self._store = store
        self._wanted: dict[tuple[Kind, str], asyncio.Future[Snapshot | None]] = {}
        self._readers: set[asyncio.Task[None]] = set()

    async def load(self, kind: Kind, key: str) -> Snapshot | None:
        """The snapshot, where there is one. Raises `StoreAway`, `StoreRefused`."""
        wanted = self._wanted.get((kind, key))
        if wanted is None:
            wanted = self._wanted[kind, key] = asyncio.get_running_loop().create_future()
            if len(self._readers) < QUESTIONS_MAX:
                reader = asyncio.create_task(self._read_all(), name="load actors")
                self._readers.add(reader)
                reader.add_done_callback(self._readers.discard)
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(wanted)

    async def _read_all(self) -> None:
        while self._wanted:
            kind = next(iter(self._wanted))[0]
            keys = list(islice((key for each, key in self._wanted if each == kind), AT_ONCE))
            await self._read(kind, {key: self._wanted.pop((kind, key)) for key in keys})

    async def _read(self, kind: Kind, wanted: dict[str, asyncio.Future[Snapshot | None]]) -> None:
        try:
            found = await self._store.load(kind, list(wanted))
        except StoreRefused as error:
            if len(wanted) == 1:
                _fail(wanted, error)
                return
            # One of them cannot be asked for; the others can.
            for key, future in wanted.items():
                await self._read(kind, {key: future})
            return
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            _fail(wanted, error)
            return
        for key, future in wanted.items():
            if not future.done():
                future.set_result(found.get(key))


def _fail(wanted: dict[str, asyncio.Future[Snapshot | None]], error: Exception) -> None:
    for future in wanted.values():
        if not future.done():
            future.set_exception(error)
            # Whoever waited may have gone; that nobody reads it is no fault.
            future.exception()
