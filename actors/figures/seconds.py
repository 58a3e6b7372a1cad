"""Unions of intervals in whole seconds (learning-api.md, reading 1).

Both ends are floored to the second first. Then buckets add up, presence and absence make the class, and a sum over
types is never below the union. Half-open `(start, end)` in Unix seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter

Pair = tuple[int, int]


def union(intervals: Iterable[Pair]) -> list[Pair]:
    """Unix ms in any order, overlapping, to disjoint whole seconds in order."""
    united: list[Pair] = []
    for start, end in sorted((start // 1000, end // 1000) for start, end in intervals):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        elif end > start:
            united.append((start, end))
    return united


def merged(*unions: list[Pair]) -> list[Pair]:
    """Several unions as one."""
    return union((start * 1000, end * 1000) for one in unions for start, end in one)


def clipped(united: list[Pair], start_ms: int, end_ms: int) -> list[Pair]:
    """What of a union lies in [start, end), Unix ms, floored."""
    low, high = start_ms // 1000, end_ms // 1000
    # From the last piece that begins at or before `low`: those before it are over.
    first = max(0, bisect_right(united, low, key=itemgetter(0)) - 1)
    found: list[Pair] = []
    for start, end in islice(united, first, None):
        if start >= high:
            break
        if end > low:
            found.append((max(start, low), min(end, high)))
    return found


def length(united: Iterable[Pair]) -> int:
    """Seconds in all."""
    return sum(end - start for start, end in united)
