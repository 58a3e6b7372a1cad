"""One learner in one class, as lines of an attendance list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def line(cls: LiveClass, stays: Sequence[PresenceRow], rules: Rules, now: int) -> Line:
    """The learner's figures by the dashboards' own rules (learning-api.md, readings 1 and 2)."""
    pieces = [(stay.joined_at, stay.left_at) for stay in stays]
    found = classes.seen(cls, pieces, rules, now)
    return Line(
        first_join=min((start for start, _ in pieces), default=None),
        last_leave=max((end for _, end in pieces), default=None),
        present_s=found.present_s,
        class_s=found.length_s,
        percent=min(100.0, rates.percent(found.present_s, found.length_s)),
        late_s=_late_s(cls, pieces),
        late=found.late,
        attended=found.attended,
        devices=_words(stay.device_id for stay in stays),
        sources=_words(stay.source for stay in stays),
    )


def _late_s(cls: LiveClass, pieces: Sequence[tuple[int, int]]) -> int:
    united: list[int] = []
    for start, end in pieces:
        ranges.add(united, start, end, PIECES_MAX)
    bounds = attendance.ClassTimes(cls.scheduled_start, cls.scheduled_end, cls.room_start, cls.room_end)
    return attendance.late_ms(attendance.arrival(united, bounds), bounds) // 1000


def _words(lists: Iterable[str]) -> list[str]:
    """Each once; a stay that several held names them with commas between."""
    found: set[str] = set()
    for each in lists:
        found.update(word for word in each.split(",") if word)
    return sorted(found)
