"""A track: the samples of one session, folded into playhead segments (realtime.md, "Semantics").

For neighbours P then S, with dw = wall and dp = playhead between them:

    P not playing                                     nothing; S may start the next segment
    dw > 3.5 x interval                               silence: the segment ends at P
    0 <= dp <= rate x dw + max(1 s, 10 %)             the segment grows from P to S
    anything else                                     a jump: the segment ends at P, the next starts at S

A pair that would lift the credited content over `3 s + 1.05 x highest rate x elapsed` (video-engagement.md, "Credit
limit") goes, as a whole, into a segment of its own that is kept as unverified and counts in nothing.

All times and playheads are integer milliseconds.
"""

from __future__ import annotations

from math import floor
from typing import Final

import msgspec

from actors.machines import ranges
from actors.machines.clock import ClientClock

PLAYING: Final = 0
PAUSED: Final = 1
BUFFERING: Final = 2
SEEKING: Final = 3
ENDED: Final = 4
STATES: Final = {"playing": PLAYING, "paused": PAUSED, "buffering": BUFFERING, "seeking": SEEKING, "ended": ENDED}

SLACK_MS: Final = 1_000
SLACK_SHARE: Final = 0.1
SHORTEST_MS: Final = 500
OFFLINE_MS: Final = 60_000
OLDEST_MS: Final = 24 * 3600 * 1000
BUCKET_MS: Final = 3_000
BUCKET_RATE: Final = 1.05


def silence_ms(interval: int) -> int:
    """How long no sample may come before it is silence: 3.5 heartbeat intervals."""
    return interval * 7 // 2


class Sample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sample in the units of the machines: milliseconds."""

    seq: int
    at: int
    position: int
    state: int
    rate: float = 1.0
    visible: bool = True
    duration: int | None = None


class Segment(msgspec.Struct, array_like=True):
    """A stretch played without a jump; `number` is its key within the session."""

    number: int
    start_at: int
    end_at: int
    start_position: int
    end_position: int
    rate_ms: float
    """Sum of rate x wall, whose quotient by the wall is the mean rate."""
    visible_ms: int
    rate: float
    """The rate at its start: the mean of a segment without wall time."""
    verified: bool
    offline: bool = False
    continued: bool = False

    @property
    def wall_ms(self) -> int:
        """Watch time."""
        return self.end_at - self.start_at

    @property
    def content_ms(self) -> int:
        """Playhead distance."""
        return self.end_position - self.start_position

    @property
    def mean_rate(self) -> float:
        """Mean over wall time."""
        wall = self.wall_ms
        return round(self.rate_ms / wall, 4) if wall else self.rate

    @property
    def visible_share(self) -> float:
        """Share of wall time in the foreground, 0..1."""
        wall = self.wall_ms
        return round(self.visible_ms / wall, 4) if wall else 1.0

    @property
    def counts(self) -> bool:
        """Long enough to be kept; what goes on from one that a class's end closed is, however short."""
        return self.content_ms >= SHORTEST_MS or (self.continued and self.content_ms > 0)


class TooOld(Exception):
    """A sample over 24 hours old; `index` is its place in the batch."""

    def __init__(self, index: int) -> None:
        super().__init__(f"samples[{index}].at is over 24 hours old")
        self.index = index


class Track(msgspec.Struct, array_like=True):
    """State of a session's playhead. `closed` waits for the next checkpoint."""

    interval: int
    """The largest heartbeat interval told to this session."""
    clock: ClientClock
    told: int = 0
    """The heartbeat interval last told."""
    last_seq: int = 0
    first_seq_at: int = -1
    """`at` of the sample with seq 1, which tells a new session from a repeat (reading 4)."""
    started_at: int = -1
    at: int = -1
    position: int = 0
    state: int = PAUSED
    rate: float = 1.0
    visible: bool = True
    duration: int | None = None
    highest_rate: float = 0.0
    credited: int = 0
    number: int = 0
    open: Segment | None = None
    closed: list[Segment] = []
    coverage: list[int] = []
    watch_ms: int = 0
    content_ms: int = 0
    was_cut: bool = False
    """The last segment was closed by the class's end, while it was played."""

    # -- taking samples in ------------------------------------------------------------------------------------------

    def tell(self, interval: int) -> int:
        """Note the heartbeat interval that goes out with an answer; 0 where the client knows it already."""
        if not interval or interval == self.told:
            return 0
        self.told = interval
        if interval > self.interval:
            self.interval = interval
        return interval

    def fold(
        self,
        sent_at: int,
        samples: list[Sample],
        now: int,
        until: int | None = None,
        proofs: list[int] | None = None,
    ) -> bool:
        """Take a message's samples; those at or below `last_seq` are repeats and are passed over.

        `until` (a room's end) ends all credit: samples placed after it move the playhead and earn nothing. `proofs`
        collects the ranges between samples without silence. Returns whether anything was new. Raises `TooOld`, and
        has then changed nothing.
        """
        if samples[-1].seq <= self.last_seq:
            return False
        offset, doubts = self.clock.judge(sent_at, now)
        oldest = now - OLDEST_MS - offset
        # A batch need not rise in `at`: the client's clock may have been set back within it.
        if samples[0].at < oldest or len(samples) > 1:
            self._refuse_old(samples, oldest)
        self.clock.offset = offset
        if doubts or self.clock.doubts:
            self.clock.doubts = doubts
        for sample in samples:
            if sample.seq > self.last_seq:
                at = sample.at + offset
                if at > now:
                    at = now
                if at < self.at:
                    at = self.at
                if proofs is not None and self.started_at >= 0 and (at - self.at) * 2 <= self.interval * 7:
                    ranges.add(proofs, self.at, at)
                self._take(sample, at, now, until)
        return True

    def put(self, sample: Sample, heard: int, until: int | None, proofs: list[int] | None = None) -> None:
        """Take one sample whose time is server time already and which comes behind the last one; as `fold` does.

        `heard` is when it was received.
        """
        at = sample.at if sample.at > self.at else self.at
        if proofs is not None and self.started_at >= 0 and (at - self.at) * 2 <= self.interval * 7:
            ranges.add(proofs, self.at, at)
        self._take(sample, at, heard, until)

    def receive(self, position: int, state: int, rate: float, duration: int | None, now: int) -> None:
        """Take in what is true now, by a client that numbers nothing and whose clock is not asked."""
        at = now if now > self.at else self.at
        self._take(Sample(self.last_seq + 1, now, position, state, rate, duration=duration), at, now, None)

    def _refuse_old(self, samples: list[Sample], oldest: int) -> None:
        for index, sample in enumerate(samples):
            if sample.seq > self.last_seq and sample.at < oldest:
                raise TooOld(index)

    def _take(self, sample: Sample, at: int, now: int, until: int | None) -> None:
        if self.started_at < 0:
            self.started_at = at
        elif self.state == PLAYING:
            self._pair(sample, at, now, until)
        if sample.state != PLAYING and self.open is not None:
            self.close()
        if sample.seq == 1:
            self.first_seq_at = sample.at
        self.last_seq = sample.seq
        self.at = at
        self.position = sample.position
        self.state = sample.state
        self.rate = sample.rate
        self.visible = sample.visible
        if sample.duration is not None:
            self.duration = sample.duration

    def _pair(self, sample: Sample, at: int, now: int, until: int | None) -> None:
        continued = self.was_cut
        if continued:
            self.was_cut = False
        wall = at - self.at
        played = sample.position - self.position
        if wall * 2 > self.interval * 7 or played < 0 or (until is not None and at > until):
            self.close()
            return
        rate = self.rate
        expected = rate * wall
        slack = expected * SLACK_SHARE
        if played > expected + (slack if slack > SLACK_MS else SLACK_MS):
            self.close()
            return
        if rate > self.highest_rate:
            self.highest_rate = rate
        limit = BUCKET_MS + BUCKET_RATE * self.highest_rate * (now - self.started_at)
        verified = self.credited + played <= limit
        if verified:
            self.credited += played
        segment = self.open
        if segment is None or segment.verified != verified:
            self.close()
            self.number += 1
            segment = self.open = Segment(
                self.number,
                self.at,
                at,
                self.position,
                sample.position,
                0.0,
                0,
                rate,
                verified,
                continued=continued,
            )
        else:
            segment.end_at = at
            segment.end_position = sample.position
        segment.rate_ms += expected
        if self.visible:
            segment.visible_ms += wall
        if now - at > OFFLINE_MS:
            segment.offline = True

    def close(self) -> None:
        """End the open segment where it stands; one under half a second of playhead is dropped."""
        segment = self.open
        if segment is None:
            return
        self.open = None
        if not segment.counts:
            return
        self.closed.append(segment)
        if segment.verified:
            self.watch_ms += segment.wall_ms
            self.content_ms += segment.content_ms
            ranges.add(self.coverage, segment.start_position, segment.end_position)

    def cut(self) -> None:
        """The class is over: the open segment stands at its last sample (events.md, more readings 6).

        Samples that were kept offline may go on from there. One that is too short to be kept waits for them.
        """
        if self.open is not None and self.open.counts:
            self.close()
            self.was_cut = True

    # -- reading ----------------------------------------------------------------------------------------------------

    def credit_open(self) -> Segment | None:
        """The open segment, where it already counts."""
        segment = self.open
        return segment if segment is not None and segment.verified and segment.counts else None

    def covered_ms(self) -> int:
        """Distinct content watched, clipped to the length where it is known."""
        covered = self.coverage
        segment = self.credit_open()
        if segment is not None:
            covered = covered.copy()
            ranges.add(covered, segment.start_position, segment.end_position)
        if self.duration:
            return ranges.length_within(covered, 0, self.duration)
        return ranges.length(covered)

    def coverage_share(self) -> float:
        """Covered / length, floored to 3 decimals; 0 while the length is unknown."""
        if not self.duration:
            return 0.0
        return floor(min(1.0, self.covered_ms() / self.duration) * 1000) / 1000

    def completed(self, threshold: float) -> bool:
        """Whether this session alone has covered its content."""
        return bool(self.duration) and self.covered_ms() >= threshold * (self.duration or 0)

    def open_copy(self) -> Segment | None:
        """The open segment as it stands, apart from the one that goes on growing."""
        segment = self.open
        return msgspec.structs.replace(segment) if segment is not None and segment.counts else None

    def forget(self, numbers: set[int]) -> None:
        """Those closed segments are in the store."""
        self.closed = [segment for segment in self.closed if segment.number not in numbers]
