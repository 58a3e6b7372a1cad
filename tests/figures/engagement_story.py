"""A small history that can be worked out by hand, whose answers are the goldens of `goldens/engagement`.

A lesson of 600 s. u1 watches exactly 95 % of it; u2 watches a minute, goes back and leaves at 40 s; u3 is still at it;
u4 looked in for two seconds. `goldens/engagement/*.json` are whole bodies.
"""

from __future__ import annotations

from typing import Final

from tests.figures.engagement_spec import History, Piece, Video, Visit

T0: Final = 1_764_000_000_000
"""2025-11-24T16:00:00Z."""
NOW: Final = T0 + 3_600_000
LESSON: Final = ("lms_lesson", "15")
ABSENT: Final = ("lms_lesson", "16")
"""Known, and nobody has watched it."""

VIDEOS: Final = (
    Video(LESSON, "ভগ্নাংশ", "7", ((0, 600_000),)),
    Video(ABSENT, "দশমিক", "7", ((0, 480_000),)),
)


def _watched(number: int, at: int, start: int, end: int) -> Piece:
    return Piece(number, at, at + end - start, start, end)


VISITS: Final = (
    Visit("s1", "u1", LESSON, T0, T0 + 570_000, T0 + 570_000, 570_000, 600_000, (_watched(1, T0, 0, 570_000),)),
    Visit(
        "s2",
        "u2",
        LESSON,
        T0 + 60_000,
        T0 + 162_500,
        T0 + 162_500,
        40_000,
        None,
        (_watched(1, T0 + 60_000, 0, 60_000), _watched(2, T0 + 122_500, 0, 40_000)),
    ),
    Visit(
        "s3",
        "u3",
        LESSON,
        NOW - 120_500,
        None,
        NOW - 500,
        120_000,
        600_000,
        (_watched(1, NOW - 120_500, 0, 120_000),),
    ),
    Visit("s4", "u4", LESSON, T0, T0 + 2_000, T0 + 2_000, 2_000, None, (_watched(1, T0, 0, 2_000),)),
)
HISTORY: Final = History(VIDEOS, VISITS, NOW)
NOTHING: Final = History(VIDEOS, (), NOW)
