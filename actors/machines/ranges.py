"""Sets of half-open ranges `[a, b)` of integer milliseconds, as one flat sorted list `[a0, b0, a1, b1, ...]`.

Flat lists of small integers cost a third of a list of pairs and go into a snapshot as they are. Ranges are disjoint
and never touch: neighbours that meet are one range.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

RANGES_MAX: Final = 4096
"""More pieces than a day of the shortest possible ones leaves behind; beyond it `add` refuses new ones."""


def add(ranges: list[int], start: int, end: int, limit: int = RANGES_MAX) -> bool:
    """Unite `[start, end)` into `ranges`; empty ranges change nothing.

    Returns False, and changes nothing, where the range would be piece number `limit` + 1.
    """
    if end <= start:
        return True
    # An even index is a gap's end: everything touched lies between the two cuts.
    low = bisect_left(ranges, start)
    high = bisect_right(ranges, end)
    if low & 1:
        low -= 1
        start = ranges[low]
    if high & 1:
        end = ranges[high]
        high += 1
    if low == high and len(ranges) >= 2 * limit:
        return False
    ranges[low:high] = [start, end]
    return True


def covers(ranges: list[int], start: int, end: int) -> bool:
    """Whether all of `[start, end)` lies in one of them."""
    after = bisect_right(ranges, start)
    return bool(after & 1) and end <= ranges[after]


def length(ranges: list[int]) -> int:
    """Milliseconds in all."""
    return sum(ranges[1::2]) - sum(ranges[::2])


def length_within(ranges: list[int], start: int, end: int) -> int:
    """Milliseconds that lie in `[start, end)`."""
    total = 0
    for index in range(0, len(ranges), 2):
        overlap = min(ranges[index + 1], end) - max(ranges[index], start)
        if overlap > 0:
            total += overlap
    return total


def pairs(ranges: list[int]) -> list[tuple[int, int]]:
    """The same as a list of `(start, end)`."""
    return list(zip(ranges[::2], ranges[1::2], strict=True))
