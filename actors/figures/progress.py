"""How far a learner is in a content, beside what one session of theirs did (video-engagement.md, readings 3 and 16).

    prior       what earlier sessions had covered when this one began
    own         what this session covers
    elsewhere   what other sessions of the learner cover that ran at the same time

`covered` is the length of their union; `replayed` is what this session played of what `prior` or itself had covered
before. Coverage is `actors.machines.ranges`.
"""

from __future__ import annotations

import msgspec

from actors.machines import ranges
from actors.machines.track import Track


class Progress(msgspec.Struct, frozen=True, gc=False):
    """Milliseconds. `covered` is the learner's, within the length; 0 while that is not known."""

    watched: int
    replayed: int
    furthest: int
    covered: int


def percent(covered: int, length: int) -> float:
    """`covered` of `length`, 0..100, half-up to 2 decimals; 0.0 while the length is not known."""
    return min(10_000, (covered * 20_000 + length) // (2 * length)) / 100 if length else 0.0


def coverage(track: Track) -> list[int]:
    """All that a session covers, what is being played included. Not to be changed by whoever gets it."""
    open_segment = track.credit_open()
    if open_segment is None:
        return track.coverage
    covered = track.coverage.copy()
    ranges.add(covered, open_segment.start_position, open_segment.end_position)
    return covered


def _united(first: list[int], other: list[int]) -> list[int]:
    covered = first.copy()
    for index in range(0, len(other), 2):
        ranges.add(covered, other[index], other[index + 1])
    return covered


def progress(track: Track, prior: list[int], elsewhere: list[int] | None, length: int) -> Progress:
    """The session's own figures and what the learner covers of `length` (see `actors.figures.watched.worked_ms`)."""
    own, content, watched = track.coverage, track.content_ms, track.watch_ms
    open_segment = track.credit_open()
    if open_segment is not None:
        content += open_segment.content_ms
        watched += open_segment.wall_ms
        own = own.copy()
        ranges.add(own, open_segment.start_position, open_segment.end_position)
    covered = _united(prior, own) if prior else own
    replayed = content - ranges.length(covered) + (ranges.length(prior) if prior else 0)
    if elsewhere:
        covered = _united(covered, elsewhere)
    within = ranges.length_within(covered, 0, length) if length else 0
    return Progress(watched, replayed, own[-1] if own else 0, within)
