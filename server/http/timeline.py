"""How many were there when: presences swept into steps. Pure."""

from __future__ import annotations

from actors.machines import ranges
from protocol.rest import TimelinePoint, rfc3339

POINTS_MAX = 100_000
"""A day in steps of one second, and some."""


def points_of(begin: int, end: int, step_s: int) -> int:
    """How many points a timeline has."""
    step = step_s * 1000
    return max(1, -(-(end - begin // step * step) // step))


def timeline(presences: list[list[int]], begin: int, end: int, step_s: int) -> list[TimelinePoint]:
    """Points at the multiples of `step_s` from the last one at or before `begin` to before `end` (Unix ms).

    `presences` has one set of ranges (`actors.machines.ranges`) a person, clipped here to `[begin, end)`. `count` is
    of those present at the point, `peak` the most at one moment of its step.
    """
    step = step_s * 1000
    edges = _edges(presences, begin, end)
    points: list[TimelinePoint] = []
    count = index = 0
    at = begin // step * step
    for _ in range(points_of(begin, end, step_s)):
        while index < len(edges) and edges[index][0] <= at:
            count += edges[index][1]
            index += 1
        here = peak = count
        while index < len(edges) and edges[index][0] < at + step:
            count += edges[index][1]
            peak = max(peak, count)
            index += 1
        points.append(TimelinePoint(rfc3339(at) or "", here, peak))
        at += step
    return points


def _edges(presences: list[list[int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Comings and goings in order; at one moment those who go are counted first, as ranges are half-open."""
    edges: list[tuple[int, int]] = []
    for one in presences:
        for low, high in ranges.pairs(one):
            start, stop = max(low, begin), min(high, end)
            if start < stop:
                edges += [(start, 1), (stop, -1)]
    edges.sort()
    return edges
