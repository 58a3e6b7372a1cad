"""Lets detail go that is older than `ROLLCALL_RETENTION_DAYS`, gently: small batches with pauses, once an hour.

Figures stay: attendance, sessions, engagement. What is gone is when within a class or a lesson somebody was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from storage.retention import DAY_MS, DETAIL, RAW, Retention

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
AGAIN_S: Final = 60.0
PAUSE_S: Final = 0.1
"""Between two batches: players come first."""


class Sweeper:
    """One a process. `days`: how much is kept; 0 for ever."""

    def __init__(self, store: Retention, days: int, now: Callable[[], int], *, pause_s: float = PAUSE_S) -> None:
        self._store = store
        self._days = days
        self._now = now
        self._pause_s = pause_s

    async def run(self) -> None:
        """Never ends; does nothing where all is kept."""
        while True:
            wait = EVERY_S
            if self._days:
                try:
                    gone = await self.sweep()
                    if gone:
                        log.info("retention.swept", rows=gone)
                except (StoreAway, StoreRefused) as error:
                    log.warning("retention.waiting", reason=str(error))
                    wait = AGAIN_S
            await asyncio.sleep(wait)

    async def sweep(self) -> int:
        """All that is too old now; returns how many rows (a piece of a hypertable counts as one)."""
        before = self._now() - self._days * DAY_MS
        gone = await self._store.drop_chunks(before)
        for table in DETAIL:
            gone += await self._sweep_detail(table, before)
        for table in RAW:
            while dropped := await self._store.drop_raw(table, before):
                gone += dropped
                await asyncio.sleep(self._pause_s)
        return gone

    async def _sweep_detail(self, table: str, before: int) -> int:
        gone = 0
        start = await self._store.oldest_day(table, before)
        while start is not None and start < before:
            end = min(start + DAY_MS, before)
            while dropped := await self._store.drop_detail(table, start, end, before):
                gone += dropped
                await asyncio.sleep(self._pause_s)
            start = end
        return gone
