"""Histories of watching whose every number may stand on an edge of video-engagement.md.

A view of 2,999, 3,000 or 3,001 ms; coverage of exactly the threshold and a millisecond less; gaps of 0.5 s; exactly
max(5 s, 1 %) seen again; exits at the end; last samples 29:59.999, 30:00 and 30:00.001 ago; lengths unknown, odd, told
by clients only; sessions of one learner side by side; what is not verified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Final

from hypothesis import strategies as st

from tests.figures.engagement_spec import IDLE_MS, History, Key, Piece, Range, Video, Visit, length_of

NOW: Final = 1_764_000_000_000
LESSON: Final[Key] = ("lms_lesson", "15")
OTHER: Final[Key] = ("exam_prep_video", "a b/গ")
LEARNERS: Final = ("u1", "u2", "u3", "শিক্ষার্থী")
LENGTHS: Final = (600_000, 20_000, 100_000, 10_007, 333_333, 1_000_001, 500_000, 5_000)
THRESHOLDS: Final = ("0.95", "0.95", "0.56", "1.0", "0.5")
BUCKETS: Final = (10, 99, 100, 1_000)
AGO: Final = (0, 1, IDLE_MS - 1, IDLE_MS - 1, IDLE_MS, IDLE_MS + 1, 3_600_000, 3_605_000, 3_700_000, 90_000_000)
"""How long before `NOW` a session had its last sample."""

Draw = Callable[..., int]


def needed_ms(video: Video, length: int) -> int:
    """The least coverage that completes."""
    tail = min(30_000, length // 20) if video.ignore_tail else 0
    return ceil(Fraction(video.threshold) * (length - tail))


@st.composite
def videos(draw: st.DrawFn, key: Key = LESSON) -> Video:
    length = draw(st.sampled_from((None, *LENGTHS)))
    return Video(
        key,
        title=draw(st.sampled_from((None, "ভগ্নাংশ"))),
        course_id=draw(st.sampled_from((None, "c1", "c2"))),
        lengths=() if length is None else ((0, length),),
        threshold=draw(st.sampled_from(THRESHOLDS)),
        ignore_tail=draw(st.booleans()),
    )


def _starts(length: int, last: int) -> st.SearchStrategy[int]:
    """Where a segment may begin: at edges of the content, and around the end of the one before it."""
    edges = (0, 0, 1, 29_999, 30_000, length // 20, -(-length // 20), length // 2, length - 1_000, length)
    around = tuple(last + gap for gap in (0, 1, 499, 500, 501, -1, -500, -5_000, -last))
    return st.sampled_from([each for each in (*edges, *around) if 0 <= each <= length])


def _playheads(video: Video, length: int) -> st.SearchStrategy[int]:
    """How far it may run."""
    needed = needed_ms(video, length)
    edges = (500, 3_000, 4_999, 5_000, 5_001, length // 100, -(-length // 100), length // 4, length // 2)
    return st.sampled_from([*edges, needed - 1, needed, needed - length // 2, length - 1_000, length, 10_000])


def _wall(played: int) -> st.SearchStrategy[int]:
    return st.sampled_from((played, played, 2 * played, played // 2, 0, 1, 1_499, 1_500, 2_999, 3_000, 3_001))


@st.composite
def pieces(draw: st.DrawFn, video: Video, length: int) -> tuple[Piece, ...]:
    """Of one session, whose clock begins at 0."""
    found: list[Piece] = []
    at, last = 0, 0
    for number in range(1, draw(st.integers(0, 4)) + 1):
        start = draw(_starts(length, last))
        end = max(start + 1, min(start + draw(_playheads(video, length)), length + 700))
        at += draw(st.sampled_from((0, 1, 500, 10_000)))
        found.append(
            Piece(number, at, at + draw(_wall(end - start)), start, end, draw(st.sampled_from((True,) * 4 + (False,))))
        )
        at, last = found[-1].end_at, end
    return tuple(found)


@st.composite
def visits(draw: st.DrawFn, session_id: str, video: Video) -> Visit:
    known = video.lengths[-1][1] if video.lengths else None
    length = known or draw(st.sampled_from(LENGTHS))
    played = draw(pieces(video, length))
    last = NOW - draw(st.sampled_from(AGO))
    before = draw(st.sampled_from((0, 1, 2_000)))
    shift = last - (played[-1].end_at if played else 0) - draw(st.sampled_from((0, 7)))
    moved = tuple(
        Piece(each.number, each.start_at + shift, each.end_at + shift, each.start, each.end, each.verified)
        for each in played
    )
    sampled = bool(played) or draw(st.booleans())
    ended = draw(st.sampled_from((None, None, 0, 1_500)))
    return Visit(
        session_id,
        draw(st.sampled_from((*LEARNERS[:1] * 3, *LEARNERS))),
        video.key,
        started_at=shift - before,
        ended_at=None if ended is None else min(last + ended, max(NOW, last)),
        last_sample_at=last if sampled else None,
        position=draw(st.sampled_from((0, length, moved[-1].end if moved else 0))),
        told=draw(st.sampled_from((None, length, length, length + 1, 60_000))),
        pieces=moved,
    )


@st.composite
def histories(draw: st.DrawFn, *, most: int = 6, contents: int = 2) -> History:
    """Sessions of up to four learners on one content or two, at `NOW`."""
    known = [draw(videos(key)) for key in (LESSON, OTHER)[: draw(st.integers(1, contents))]]
    count = draw(st.integers(0, most))
    sat = [draw(visits(f"s{number}", draw(st.sampled_from(known)))) for number in range(count)]
    return History(tuple(known), tuple(sat), NOW)


@st.composite
def ranges(draw: st.DrawFn, history: History) -> Range:
    """None, or one that begins where a session does and ends where a segment or a session does, or 1 ms beside it."""
    if draw(st.booleans()):
        return Range()
    beside = st.sampled_from((0, 0, 1, -1))
    begins = {NOW - 86_400_000, *(visit.started_at for visit in history.visits)}
    ends = {NOW + 1, *(piece.end_at for visit in history.visits for piece in visit.pieces)}
    start = draw(st.sampled_from((min(begins), *sorted(begins)))) + draw(beside)
    end = draw(st.sampled_from(sorted(ends | begins))) + draw(beside)
    return Range(start, max(end, start + 1))


def steady(history: History) -> History:
    """The same where each client tells one length: who completed by one that was told before stays completed."""
    told: dict[tuple[str, Key], int] = {}
    for visit in history.visits:
        if visit.told is not None:
            told.setdefault((visit.user_id, visit.video), visit.told)
    visits = tuple(
        replace(each, told=None if each.told is None else told[each.user_id, each.video]) for each in history.visits
    )
    return replace(history, visits=visits)


@st.composite
def catalogued_twice(draw: st.DrawFn) -> History:
    """The catalog tells another length half-way; no session lies across that moment."""
    history = steady(draw(histories(contents=1)))
    video = history.videos[0]
    first = length_of(video) or 600_000
    second = first + draw(st.sampled_from((0, 1, 999, 1_000, 1_001, -1_000, -1_001, 60_000)))
    moment = NOW - draw(st.sampled_from((3_602_000, 1_700_000, 100)))
    changed = replace(video, lengths=((0, first), (moment, second)))
    whole = [each for each in history.visits if (each.ended_at or NOW) < moment or each.started_at >= moment]
    return replace(history, videos=(changed,), visits=tuple(whole))
