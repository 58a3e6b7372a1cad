"""The admin dashboard's figures of single sessions (video-engagement.md, reading 13). Pure; times and playheads ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.figures.watched import (
    Credited,
    Facts,
    SessionFigures,
    Sitting,
    by_session,
    needed_ms,
    overlap,
    replayed,
    within,
    worked_ms,
)
from actors.machines import ranges

CHECKPOINTS: Final = (25, 50, 75, 90, 100)
END_MS: Final = 1_000
"""So much before the end counts as the end."""


def reached(furthest_ms: int, duration: int) -> tuple[int, bool]:
    """How many shares of the length a furthest playhead reaches, and whether its end: under 10 s that comes earlier."""
    shares = sum(1 for percent in CHECKPOINTS[:-1] if furthest_ms * 100 >= percent * duration)
    return shares, furthest_ms >= duration - END_MS


def sessions(
    sittings: Sequence[Sitting], credited: Sequence[Credited], facts: Facts, told: int | None, completed_at: int | None
) -> list[SessionFigures]:
    """The sessions with a sample, of one learner on one content; `told`, `completed_at` as in `Watched`."""
    duration = facts.duration or told or 0
    credited = within(sittings, credited, duration)
    again = _again(credited)
    segments = by_session(credited)
    made: list[SessionFigures] = []
    for one in sittings:
        if one.last_sample_at is None:
            continue
        mine = segments.get(one.session_id, [])
        shares, at_end = reached(max(each.to_ms for each in mine), duration) if mine and duration else (0, False)
        before = completed_at is not None and completed_at < one.started_at
        made.append(
            SessionFigures(
                one.session_id,
                one.started_at,
                known=duration > 0,
                completed=_completed(mine, duration, facts),
                replay=duration > 0 and (before or replayed(again.get(one.session_id, 0), duration)),
                reached=shares,
                at_end=at_end,
            )
        )
    return made


def _completed(mine: Sequence[Credited], duration: int, facts: Facts) -> bool:
    length = worked_ms(duration, ignore_tail=facts.ignore_tail)
    covered: list[int] = []
    for one in mine:
        ranges.add(covered, one.from_ms, one.to_ms, len(mine))
    return length > 0 and ranges.length_within(covered, 0, length) >= needed_ms(length, facts.threshold)


def _again(credited: Sequence[Credited]) -> dict[str, int]:
    """What each session played of what was covered before, by itself or by another."""
    covered: list[int] = []
    found: dict[str, int] = {}
    for one in sorted(credited, key=lambda one: (one.start_at, one.session_id, one.number)):
        found[one.session_id] = found.get(one.session_id, 0) + overlap(covered, one.from_ms, one.to_ms)
        ranges.add(covered, one.from_ms, one.to_ms, len(credited))
    return found
