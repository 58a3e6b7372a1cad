"""How many watch at once (video-engagement.md, reading 12). Pure; times Unix ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Step(NamedTuple):
    """From `start_at` to the next one's: the most at one instant, and the time-weighted mean times the length."""

    start_at: int
    length: int
    peak: int
    area: int


def steps(edges: Sequence[tuple[int, int]], start: int, end: int, step: int) -> list[Step]:
    """`edges`: (time, change of the count) in order of time, one a time, within `[start, end)`; the last may be cut."""
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
