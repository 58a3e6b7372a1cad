"""What has to be credited, from what was acted: realtime.md's pair rules over the samples in order. Pure.

The rules themselves are those of the simulated class (`load_tests/simulate/truth.py`), which share nothing with the
server. What is of mobile alone: who is credited (mobile-ingest.md, readings 1, 3 and 6).
"""

from __future__ import annotations

from typing import Final

import msgspec

from load_tests.simulate.record import Told
from load_tests.simulate.truth import Segment, segments

INTERVAL_S: Final = 10.0
"""The server's heartbeat interval, of which 3.5 are silence."""
VIEW_MS: Final = 3000


class Watched(msgspec.Struct):
    """What one learner did with one content. Chunks are samples that the server was told in their order."""

    user_id: str
    content_id: str
    duration_s: int
    credited: bool = True
    chunks: list[list[Told]] = []

    def segments(self) -> list[Segment]:
        """All that was played."""
        return [piece for chunk in self.chunks for piece in segments(chunk, INTERVAL_S)]


class Credit(msgspec.Struct, frozen=True):
    """What answers must say; ms. `wall` is the sum of wall time, `watch` its union, `ranges` that of the media."""

    wall: int
    watch: int
    content: int
    ranges: list[tuple[int, int]]
    pieces: int
    views: bool

    @property
    def covered(self) -> int:
        return sum(end - begin for begin, end in self.ranges)


def credit(watched: Watched) -> Credit:
    """What a learner gets for what they did: nothing where nobody is to be credited."""
    pieces = watched.segments() if watched.credited else []
    limit = watched.duration_s * 1000
    return Credit(
        wall=sum(one.end - one.start for one in pieces),
        watch=sum(end - begin for begin, end in united([(one.start, one.end) for one in pieces])),
        content=sum(one.played for one in pieces),
        ranges=united([(one.playhead_start, min(one.playhead_end, limit)) for one in pieces]),
        pieces=len(pieces),
        views=sum(one.end - one.start for one in pieces) >= VIEW_MS,  # no act is near it
    )


def united(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union, in order; touching ones are one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > begin:
            found.append((begin, end))
    return found
