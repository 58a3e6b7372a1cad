"""How many watched at once over long ranges: days that are kept as they are, others counted."""

from __future__ import annotations

from actors.figures.concurrency import CELL_MS, DAY_MS, Step, joined
from storage.crowds import CrowdDays


async def steps(days: CrowdDays, start: int, end: int, step: int) -> list[Step]:
    """As `actors.figures.concurrency.steps`; Unix ms. Raises StoreAway, StoreRefused."""
    if step % CELL_MS or start % CELL_MS:
        return await days.counted(start, end, step)
    kept = await days.kept(start // DAY_MS, -(-end // DAY_MS))
    cells: list[Step] = []
    for low in range(start // DAY_MS * DAY_MS, end, DAY_MS):
        begin, behind = max(low, start), min(low + DAY_MS, end)
        day = kept.get(low // DAY_MS)
        if day is None or behind % CELL_MS:
            cells += await days.counted(begin, behind, CELL_MS)
        else:
            cells += day[(begin - low) // CELL_MS : (behind - low) // CELL_MS]
    per_step = step // CELL_MS
    return [joined(cells[place : place + per_step]) for place in range(0, len(cells), per_step)]
