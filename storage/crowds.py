"""How many watched at once: counted out of segments, and kept for days that are over.

A kept day is counted once, in the background, and again when an import, a late one or an erasure touches it: a trigger
tells it in the transaction that changes what the day is made of (0023_reads.sql); who counted before that does not
write. Retention touches nothing: figures stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from actors.figures import concurrency
from actors.figures.concurrency import CELL_MS, DAY_MS, Step
from storage.postgres import Database


class CrowdDays:
    """Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counted(self, start: int, end: int, step: int) -> list[Step]:
        """Out of the segments of `[start, end)`, Unix ms; as `actors.figures.concurrency.steps`."""
        found = await self._database.fetchrow("crowd_marks", start, end)
        assert found is not None
        return await asyncio.to_thread(_count, found["marks"], start, end, step)

    async def kept(self, first: int, behind: int) -> Mapping[int, list[Step]]:
        """Days `[first, behind)` since 1970-01-01 that are kept, in steps of `CELL_MS`."""
        return {
            day: [
                Step(day * DAY_MS + place * CELL_MS, CELL_MS, peak, area)
                for place, (peak, area) in enumerate(zip(peaks, areas, strict=True))
            ]
            for day, peaks, areas in await self._database.fetch("crowd_days", first, behind)
        }

    async def keep_next(self) -> bool:
        """Count one more day that is over; False where all are."""
        found = await self._database.fetchrow("crowd_days_next")
        if found is None:
            return False
        day = found["day"]
        cells = await self.counted(day * DAY_MS, (day + 1) * DAY_MS, CELL_MS)
        peaks, areas = [cell.peak for cell in cells], [cell.area for cell in cells]
        await self._database.fetch("crowd_days_write", day, found["version"], peaks, areas)
        return True


def _count(marks: Sequence[int], start: int, end: int, step: int) -> list[Step]:
    return concurrency.steps(concurrency.edges(marks), start, end, step)
