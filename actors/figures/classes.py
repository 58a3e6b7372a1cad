"""One learner and live classes: which were offered, and what became of each (learning-api.md, readings 2, 3, 4, 7).

The class interval is W = [max(scheduled start, room start), room end). A room that has not ended has its scheduled
end, or now where it overruns. Presence counts inside W only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from actors.figures import seconds
from actors.figures.facts import Interval, Learner, LiveClass, Rules
from actors.figures.spans import Span
from actors.machines import attendance, ranges

PIECES_MAX = 1_000_000
"""Presence pieces of one learner in one class; what the store gives is bounded long before."""


class Seen(msgspec.Struct, frozen=True):
    """A learner in a class. `length_s` is |W|; `absent` is never said of a class that may still be attended."""

    cls: LiveClass
    length_s: int
    present_s: int
    attended: bool
    late: bool
    ended: bool

    @property
    def absent(self) -> bool:
        """Over, and not attended."""
        return self.ended and not self.attended


def interval(cls: LiveClass, now: int) -> Interval | None:
    """W so far; None while nobody knows when the class begins."""
    starts = [at for at in (cls.scheduled_start, cls.room_start) if at is not None]
    if not starts:
        return None
    begin = max(starts)
    return begin, max(begin, _end(cls, begin, now))


def _end(cls: LiveClass, begin: int, now: int) -> int:
    if cls.room_end is not None:
        return cls.room_end
    if cls.live:
        return now if cls.scheduled_end is None else max(now, cls.scheduled_end)
    return begin if cls.scheduled_end is None else cls.scheduled_end


def ended(cls: LiveClass, now: int) -> bool:
    """The room has ended, or the scheduled end has passed and the room is not live."""
    if cls.room_end is not None:
        return True
    return not cls.live and cls.scheduled_end is not None and cls.scheduled_end <= now


def seen(cls: LiveClass, presences: Iterable[Interval], rules: Rules, now: int) -> Seen:
    """What became of the class for this learner."""
    times = interval(cls, now)
    pieces = list(presences)
    if times is None:
        return Seen(cls, 0, 0, attended=False, late=False, ended=ended(cls, now))
    present_s = seconds.length(inside(times, pieces))
    attended = present_s * 1000 >= rules.attended_min_ms
    return Seen(
        cls,
        length_s=attendance.seconds(*times),
        present_s=present_s,
        attended=attended,
        late=attended and _late(cls, times, pieces, rules),
        ended=ended(cls, now),
    )


def inside(times: Interval, presences: Iterable[Interval]) -> list[seconds.Pair]:
    """Presence clipped to W, as a union of whole seconds."""
    return seconds.clipped(seconds.union(presences), *times)


def _late(cls: LiveClass, times: Interval, presences: Sequence[Interval], rules: Rules) -> bool:
    """By instants, not by whole seconds: as the room itself says it."""
    united: list[int] = []
    for start, end in presences:
        ranges.add(united, start, end, PIECES_MAX)
    bounds = attendance.ClassTimes(cls.scheduled_start, cls.scheduled_end, times[0], cls.room_end)
    return attendance.is_late(attendance.arrival(united, bounds), bounds, rules.late_grace_ms)


def offered(learner: Learner, within: Span, now: int) -> list[LiveClass]:
    """Not cancelled, of the learner's products at its start, begun in the range and not in the future; by start."""
    found = [
        (start, cls.live_class_id, cls)
        for cls in learner.classes
        if (start := cls.start_at) is not None
        and not cls.cancelled
        and within.start <= start < within.end
        and start <= now
        and learner.belongs(cls.product_id, start)
    ]
    return [entry[2] for entry in sorted(found, key=lambda entry: entry[:2])]


def required(learner: Learner, within: Span, rules: Rules, now: int) -> list[Seen]:
    """What became of those offered that count (reading 3); by start."""
    return [
        seen(cls, learner.presences.get(cls.live_class_id, ()), rules, now)
        for cls in offered(learner, within, now)
        if cls.required
    ]


def of_day(learner: Learner, within: Span) -> list[LiveClass]:
    """Every class of the learner's products in the range that is not cancelled, coming ones too (reading 13)."""
    return offered(learner, within, within.end)


def shown_end(cls: LiveClass) -> int | None:
    """When the class ends by its schedule; without one when it ended, and None while nobody knows."""
    return cls.room_end if cls.scheduled_end is None else cls.scheduled_end
