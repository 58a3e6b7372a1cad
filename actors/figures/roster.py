"""The learners of one class, as lines of an attendance list."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.figures import classes, rates
from actors.figures.facts import LiveClass, Rules
from actors.machines import attendance, ranges
from actors.machines.rows import PresenceRow

PIECES_MAX = 1_000_000


class Line(msgspec.Struct, frozen=True):
    """`first_join`, `last_leave` Unix ms; `percent` of the class; `late_s` by how much after the start they came."""

    first_join: int | None
    last_leave: int | None
    present_s: int
    class_s: int
    percent: float
    late_s: int
    late: bool
    attended: bool
    devices: list[str]
    sources: list[str]


class Roster:
    """Makes the lines of one class by the dashboards' own rules (learning-api.md, readings 1 and 2); `now` Unix ms."""

    def __init__(self, cls: LiveClass, rules: Rules, now: int) -> None:
        self._rules = rules
        self._times = classes.interval(cls, now)
        self._length_s = 0 if self._times is None else attendance.seconds(*self._times)
        begin = None if self._times is None else self._times[0]
        self._counted = attendance.ClassTimes(cls.scheduled_start, cls.scheduled_end, begin, cls.room_end)
        self._bounds = attendance.ClassTimes(cls.scheduled_start, cls.scheduled_end, cls.room_start, cls.room_end)
        self._begin_alike = self._counted.begin() == self._bounds.begin()

    def line(self, stays: Sequence[PresenceRow]) -> Line:
        """Of one learner, out of all their stays."""
        united: list[int] = []
        for stay in stays:
            ranges.add(united, stay.joined_at, stay.left_at, PIECES_MAX)
        present_s = self._present_s(united)
        attended = self._times is not None and present_s * 1000 >= self._rules.attended_min_ms
        arrived = attendance.arrival(united, self._bounds)
        return Line(
            first_join=min([stay.joined_at for stay in stays], default=None),
            last_leave=max([stay.left_at for stay in stays], default=None),
            present_s=present_s,
            class_s=self._length_s,
            percent=min(100.0, rates.percent(present_s, self._length_s)),
            late_s=attendance.late_ms(arrived, self._bounds) // 1000,
            late=attended and self._late(united, arrived),
            attended=attended,
            devices=_words([stay.device_id for stay in stays]),
            sources=_words([stay.source for stay in stays]),
        )

    def _present_s(self, united: list[int]) -> int:
        """Whole seconds inside the class; pieces do not overlap, so that their floored ends do not either."""
        if self._times is None:
            return 0
        begin, end = self._times
        total = 0
        for low, high in ranges.pairs(united):
            total += attendance.seconds(max(low, begin), min(high, end))
        return total

    def _late(self, united: list[int], arrived: int | None) -> bool:
        """`arrived` by the room's times: the same by the class's, where both begin at once."""
        bounds = self._counted
        counted = arrived if self._begin_alike else attendance.arrival(united, bounds)
        return attendance.is_late(counted, bounds, self._rules.late_grace_ms)


def _words(lists: Sequence[str]) -> list[str]:
    """Each once; a stay that several held names them with commas between."""
    found = set(",".join(lists).split(","))
    found.discard("")
    return sorted(found)
