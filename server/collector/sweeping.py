"""Lets go what the collector need not know any more, gently: small batches with pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from storage.collector_upkeep import CollectorUpkeep

log = structlog.get_logger(__name__)

EVERY_S: Final = 600.0
PAUSE_S: Final = 0.1
"""Between two batches: players come first."""
DAY_MS: Final = 24 * 3600 * 1000
IDS_MS: Final = 31 * DAY_MS
"""An `eventId` is unique for 30 days at least (collector.md, reading 1)."""
WRITES_MS: Final = 3600 * 1000
"""Far longer than anything can hang between a server and its database."""


class CollectorSweeper:
    """One a process. `days`: how long events are kept; 0 for ever. `now` Unix ms."""

    def __init__(self, store: CollectorUpkeep, days: int, now: Callable[[], int], *, pause_s: float = PAUSE_S) -> None:
        self._store = store
        self._days = days
        self._now = now
        self._pause_s = pause_s

    async def run(self) -> None:
        """Never ends."""
        while True:
            try:
                await self.sweep()
            except (StoreAway, StoreRefused) as error:
                log.warning("collector.waiting", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """All that is too old now; returns how many rows, or pieces of a hypertable."""
        now = self._now()
        gone = await self._all(self._store.drop_ids, now - IDS_MS)
        gone += await self._all(self._store.drop_writes, now - WRITES_MS)
        if self._days:
            gone += await self._all(self._store.drop_events, now - self._days * DAY_MS)
        return gone

    async def _all(self, drop: Callable[[int], Awaitable[int]], before: int) -> int:
        gone = 0
        while dropped := await drop(before):
            gone += dropped
            await asyncio.sleep(self._pause_s)
        return gone
