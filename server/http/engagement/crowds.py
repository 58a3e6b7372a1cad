"""How many watched at once over long ranges: whole days are counted once and remembered in quarters of an hour.

A day that ended over a day ago changes no more: older samples are refused (realtime.md, "Time"). What an import or an
erasure changes in it is seen when its memory is an hour old.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from actors.figures.concurrency import Step, steps
from storage.engagement import PostgresEngagement

CELL_MS: Final = 900_000
"""A divisor of every zone's offset."""
DAY_MS: Final = 86_400_000
SETTLED_MS: Final = 25 * 3_600_000
"""Beyond the oldest sample that is taken, and the checkpoint behind it."""
REMEMBERED_MS: Final = 3_600_000
DAYS_MAX: Final = 800
"""Remembered days: some 10 KB each."""


class _Day(msgspec.Struct, frozen=True):
    cells: list[Step]
    counted_at: int


class Crowds:
    """Answers, and a bounded memory of days. One a process."""

    def __init__(self, engagement: PostgresEngagement, days: int = DAYS_MAX) -> None:
        self._engagement = engagement
        self._days: OrderedDict[int, _Day] = OrderedDict()
        self._limit = days

    async def steps(self, start: int, end: int, step: int, now: int) -> list[Step]:
        """As `actors.figures.concurrency.steps`; Unix ms. Raises StoreAway, StoreRefused."""
        if step % CELL_MS or start % CELL_MS:
            return await self._counted(start, end, step)
        cells: list[Step] = []
        for day in range(start // DAY_MS * DAY_MS, end, DAY_MS):
            cells += await self._cells(day, max(day, start), min(day + DAY_MS, end), now)
        per_step = step // CELL_MS
        return [joined(cells[place : place + per_step]) for place in range(0, len(cells), per_step)]

    async def _cells(self, day: int, low: int, high: int, now: int) -> Sequence[Step]:
        whole = high - low == DAY_MS and high + SETTLED_MS < now
        known = self._days.get(day) if whole else None
        if known is not None and now - known.counted_at < REMEMBERED_MS:
            self._days.move_to_end(day)
            return known.cells
        cells = await self._counted(low, high, CELL_MS)
        if whole:
            self._days[day] = _Day(cells, now)
            self._days.move_to_end(day)
            if len(self._days) > self._limit:
                self._days.popitem(last=False)
        return cells

    async def _counted(self, start: int, end: int, step: int) -> list[Step]:
        edges = await self._engagement.edges(start, end)
        return await asyncio.to_thread(steps, edges, start, end, step)


def joined(cells: Sequence[Step]) -> Step:
    """Neighbouring steps as one."""
    return Step(
        cells[0].start_at,
        sum(cell.length for cell in cells),
        max(cell.peak for cell in cells),
        sum(cell.area for cell in cells),
    )
