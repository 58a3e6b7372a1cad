"""Figures of one learner in one class (realtime.md, "Lateness"; learning-api.md, readings 1, 2).

The class interval is W = [max(scheduled start, room start), room end); only presence inside it counts.
"""

from __future__ import annotations

import msgspec

from actors.machines import ranges


class ClassTimes(msgspec.Struct, frozen=True):
    """What bounds a class, Unix ms; None where unknown."""

    scheduled_start: int | None
    scheduled_end: int | None
    started_at: int | None
    ended_at: int | None

    def begin(self) -> int | None:
        """Start of W; None while the class has not begun."""
        if self.started_at is None:
            return None
        return self.started_at if self.scheduled_start is None else max(self.scheduled_start, self.started_at)

    def end(self, now: int) -> int:
        """End of W so far: the room's end, else its scheduled end, else (or where it overruns) now."""
        if self.ended_at is not None:
            return self.ended_at
        return now if self.scheduled_end is None else max(now, self.scheduled_end)


def seconds(start: int, end: int) -> int:
    """Whole seconds between two instants, both floored first (learning-api.md, reading 1)."""
    return max(0, end // 1000 - start // 1000)


def presence_ms(presences: list[int], times: ClassTimes, now: int) -> int:
    """Milliseconds of presence inside W."""
    begin = times.begin()
    return 0 if begin is None else ranges.length_within(presences, begin, times.end(now))


def presence_seconds(presences: list[int], times: ClassTimes, now: int) -> int:
    """Whole seconds of presence inside W: each edge is floored, so that presence + absence = class exactly."""
    begin = times.begin()
    if begin is None:
        return 0
    end = times.end(now)
    return sum(seconds(max(low, begin), min(high, end)) for low, high in ranges.pairs(presences))


def arrival(presences: list[int], times: ClassTimes) -> int | None:
    """When the learner came to the class: the start, for whoever was there before; None where they never came.

    Presence that was over before the class began is no arrival.
    """
    begin = times.begin()
    for low, high in ranges.pairs(presences):
        if begin is None or high > begin:
            if times.ended_at is not None and low >= times.ended_at:
                return None
            return low if times.scheduled_start is None else max(low, times.scheduled_start)
    return None


def late_ms(arrived: int | None, times: ClassTimes) -> int:
    """How late, milliseconds; 0 without a schedule."""
    if arrived is None or times.scheduled_start is None:
        return 0
    return max(0, arrived - times.scheduled_start)


def is_late(arrived: int | None, times: ClassTimes, grace_ms: int) -> bool:
    """Strictly over the grace (reading 18)."""
    return late_ms(arrived, times) > grace_ms
