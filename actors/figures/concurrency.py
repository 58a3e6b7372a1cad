"""How many watch at once (video-engagement.md, reading 12). Pure; times Unix ms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

CELL_MS: Final = 900_000
"""A divisor of every zone's offset: days are kept in such steps."""
DAY_MS: Final = 86_400_000


class Step(NamedTuple):
    """From `start_at` to the next one's: the most at one instant, and the time-weighted mean times the length."""

    start_at: int
    length: int
    peak: int
    area: int


def edges(marks: Iterable[int]) -> list[tuple[int, int]]:
    """(time, change of the count) out of marks in order: twice the time, and one more for who comes."""
    return [(mark >> 1, 1 if mark & 1 else -1) for mark in marks]


def joined(cells: Sequence[Step]) -> Step:
    """Neighbouring steps as one."""
    return Step(
        cells[0].start_at,
        sum(cell.length for cell in cells),
        max(cell.peak for cell in cells),
        sum(cell.area for cell in cells),
    )


def steps(edges: Sequence[tuple[int, int]], start: int, end: int, step: int) -> list[Step]:
    """`edges`: (time, change of the count) in order of time, within `[start, end)`; the last step may be cut."""
    made: list[Step] = []
    count = index = 0
    for begin in range(start, end, step):
        stop = min(begin + step, end)
        at, peak, area = begin, 0, 0
        while index < len(edges) and edges[index][0] < stop:
            moment, change = edges[index]
            if moment > at:
                peak = max(peak, count)
                area += count * (moment - at)
                at = moment
            count += change
            index += 1
        made.append(Step(begin, stop - begin, max(peak, count), area + count * (stop - at)))
    return made
