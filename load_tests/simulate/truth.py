"""What the answers have to be, from what was acted: realtime.md's rules, said as simply as they can be.

Nothing here is shared with the server. Milliseconds are integers, so that sums are exact.

A moment of presence is known only within a border `[lo, hi]`: from when it was acted to when the server must have
seen it. Where a rule turns on something that lies inside a border (a gap as long as the grace, a server that was away),
every reading of it is an alternative, and one of them has to fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Final

import msgspec

from load_tests.simulate.record import Class, Learner, Outage, Told, Track

SILENCE_INTERVALS: Final = 3.5
SEGMENT_MIN_MS: Final = 500

PRESENCE_BORDER_MS: Final = 500
"""Slack at either end of a presence (1.0 s a presence): a server that is busy with a class sees a socket close late."""
GRACE_BORDER_MS: Final = 1500
"""A gap this near to the grace may be read either way: both of its ends have their slack, and timers are late."""
AMBIGUOUS_MAX: Final = 8
"""Alternatives are 2 to the number of ambiguous gaps; beyond this all of them are either bridged or not."""


class Border(msgspec.Struct, frozen=True):
    """A moment, as well as it can be known; unix ms."""

    lo: int
    hi: int


class Span(msgspec.Struct, frozen=True):
    """Presence from one border to the other. `reach` is how long its source holds the learner after it."""

    begin: Border
    end: Border
    reach: int
    lost: bool = False
    """Whether the server had a part in its end."""


class Segment(msgspec.Struct):
    """A stretch played without a jump; playhead in ms. `rate` and `visible_share` where they are beyond dispute."""

    start: int
    end: int
    playhead_start: int
    playhead_end: int
    rates: set[float] = msgspec.field(default_factory=set)
    seen_ms: int = 0
    steady: bool = True

    @property
    def played(self) -> int:
        return self.playhead_end - self.playhead_start


def milliseconds(seconds: float) -> int:
    """A position on the wire has three decimals."""
    return round(seconds * 1000)


# -- segments: four rules for neighbours -----------------------------------------------------------------------------


def segments(samples: list[Told], interval_s: float) -> list[Segment]:
    """The pair rules of realtime.md, "Segments", over samples in order."""
    found: list[Segment] = []
    current: Segment | None = None
    for before, after in pairwise(samples):
        if not is_continuous(before, after, interval_s):
            current = None
            continue
        if current is None:
            current = Segment(before.at, before.at, milliseconds(before.position), milliseconds(before.position))
            found.append(current)
        wall = after.at - before.at
        played = milliseconds(after.position) - milliseconds(before.position)
        current.end = after.at
        current.playhead_end = milliseconds(after.position)
        current.rates.add(before.rate)
        current.seen_ms += wall if before.visible else 0
        if abs(played - before.rate * wall) > 2:
            current.steady = False
    return [one for one in found if one.played >= SEGMENT_MIN_MS]


def joined(pieces: list[Segment]) -> list[Segment]:
    """Pieces that touch, in time and in the media, are one stretch."""
    found: list[Segment] = []
    for one in pieces:
        last = found[-1] if found else None
        if last is None or (last.end, last.playhead_end) != (one.start, one.playhead_start):
            found.append(one)
            continue
        found[-1] = msgspec.structs.replace(
            last,
            end=one.end,
            playhead_end=one.playhead_end,
            rates=last.rates | one.rates,
            seen_ms=last.seen_ms + one.seen_ms,
            steady=last.steady and one.steady,
        )
    return found


def is_continuous(before: Told, after: Told, interval_s: float) -> bool:
    """Whether what lies between two neighbours was played."""
    wall = (after.at - before.at) / 1000
    played = (milliseconds(after.position) - milliseconds(before.position)) / 1000
    if before.state != "playing":
        return False
    if wall > SILENCE_INTERVALS * interval_s:
        return False
    due = before.rate * wall
    return 0 <= played <= due + max(1.0, due * 0.1)


def covered_ms(pieces: list[Segment], duration: float | None) -> int:
    """Length of the union of what was played, inside the content where its length is known."""
    limit = milliseconds(duration) if duration is not None else None
    total = reached = 0
    for piece in sorted(pieces, key=lambda one: one.playhead_start):
        end = piece.playhead_end if limit is None else min(piece.playhead_end, limit)
        total += max(0, end - max(piece.playhead_start, reached))
        reached = max(reached, end)
    return total


# -- presence --------------------------------------------------------------------------------------------------------


class Rules(msgspec.Struct, frozen=True):
    """The server's settings."""

    grace_s: float = 20.0
    late_grace_s: float = 300.0
    attended_min_s: float = 60.0
    tolerate_restarts: bool = False


def track_spans(track: Track, accepted: list[list[Told]], rules: Rules) -> list[Span]:
    """What one stream proves: its connections, and neighbouring samples without silence between them.

    `accepted` are the samples that the server has, per session.
    """
    silence = round(SILENCE_INTERVALS * track.interval_s * 1000)
    grace = round(rules.grace_s * 1000)
    spans: list[Span] = []
    for number, hold in enumerate(track.holds):
        lost = hold.ending == "lost"
        reach = grace if hold.ending in {"cut", "lost"} else 0
        if number + 1 < len(track.holds):
            # The stream's next connection takes the place of this one, whose grace is over with that: when the next
            # one is left on purpose, nothing holds the learner any more.
            back = track.holds[number + 1].held - hold.until
            reach = min(reach, max(0, back) + 2 * GRACE_BORDER_MS)
        # A server that is killed remembers what was durable: a leave or a drop in its last moments is not, and the
        # stream then ends at its last heartbeat.
        early = round(track.interval_s * 1000) if rules.tolerate_restarts else 0
        spans.append(
            Span(
                Border(hold.asked, hold.held),
                Border(hold.until - early, hold.until),
                reach,
                lost,
            )
        )
    for samples in accepted:
        for before, after in pairwise(samples):
            if after.at - before.at <= silence:
                spans.append(Span(Border(before.at, before.at), Border(after.at, after.at), 0))
        gone = track.left_at is not None and samples == accepted[-1]
        for index, one in enumerate(samples):
            if one.by_http:
                last = gone and index == len(samples) - 1
                spans.append(Span(Border(one.at, one.at), Border(one.at, one.at), 0 if last else silence))
    return spans


def united(spans: list[Span], outages: list[Outage], choice: tuple[bool, ...]) -> list[Span]:
    """The union of spans, where a gap within the reach of what came before is no gap.

    `choice` decides the ambiguous gaps in order: True bridges.
    """
    decide = iter(choice)
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.begin.lo, one.end.lo)):
        if merged and _joins(merged[-1], span, outages, decide):
            merged[-1] = _grown(merged[-1], span)
        else:
            merged.append(span)
    return merged


def _joins(first: Span, second: Span, outages: list[Outage], decide: Iterator[bool]) -> bool:
    verdict = gap_verdict(first, second, outages)
    if verdict is None:
        return next(decide, True)
    return verdict


def gap_verdict(first: Span, second: Span, outages: list[Outage]) -> bool | None:
    """Whether two spans are one presence; None where it cannot be known."""
    least = second.begin.lo - first.end.hi
    most = second.begin.hi - first.end.lo
    if least <= 0 or most <= first.reach - GRACE_BORDER_MS:
        return True
    away = any(
        outage.begin - GRACE_BORDER_MS <= second.begin.hi
        and (not outage.end or outage.end + first.reach + GRACE_BORDER_MS >= first.end.lo)
        for outage in outages
    )
    if first.reach and (away or least < first.reach + GRACE_BORDER_MS):
        return None
    return False


def _grown(first: Span, second: Span) -> Span:
    """Both, as one. The later end tells how long the learner is held after it."""
    begin = Border(first.begin.lo, min(first.begin.hi, second.begin.hi))
    end = Border(max(first.end.lo, second.end.lo), max(first.end.hi, second.end.hi))
    held_until = max(first.end.hi + first.reach, second.end.hi + second.reach)
    lost = first.lost if first.end.hi > second.end.hi else second.lost
    return Span(begin, end, max(0, held_until - end.hi), lost)


def alternatives(spans: list[Span], outages: list[Outage]) -> list[list[Span]]:
    """Every reading of a learner's presence."""
    sure = united(spans, outages, (True,) * len(spans))
    undecided = _ambiguous(spans, outages)
    if not undecided:
        return [sure]
    if undecided > AMBIGUOUS_MAX:
        return [sure, united(spans, outages, (False,) * len(spans))]
    readings = (united(spans, outages, choice) for choice in product((True, False), repeat=undecided))
    different: list[list[Span]] = []
    for reading in readings:
        if reading not in different:
            different.append(reading)
    return different


def _ambiguous(spans: list[Span], outages: list[Outage]) -> int:
    """How many gaps there are to decide when none of them is bridged."""
    loose = united(spans, outages, (False,) * len(spans))
    return sum(1 for first, second in pairwise(loose) if gap_verdict(first, second, outages) is None)


def learner_spans(learner: Learner, accepted: dict[tuple[int, str], list[list[Told]]], rules: Rules) -> list[Span]:
    """All proofs of a learner's presence in the room. `accepted` by (device number, track name)."""
    spans: list[Span] = []
    for number, device in enumerate(learner.devices):
        track = device.tracks.get("room")
        if track is not None:
            spans += track_spans(track, accepted.get((number, "room"), []), rules)
    return spans


# -- the class -------------------------------------------------------------------------------------------------------


class ClassTruth(msgspec.Struct, frozen=True):
    """The class interval W: [max(scheduled start, first join), end)."""

    started: Border
    begin: Border
    end: Border


def class_truth(record: Class) -> ClassTruth:
    """From the first join anybody made to the end that was asked for."""
    holds = [
        hold
        for learner in record.learners.values()
        for device in learner.devices
        for name, track in device.tracks.items()
        if name == "room"
        for hold in track.holds
    ]
    started = Border(min(hold.asked for hold in holds), min(hold.held for hold in holds))
    scheduled = record.scheduled_start - round(record.clock_offset_ms)
    begin = Border(max(started.lo, scheduled), max(started.hi, scheduled))
    return ClassTruth(started, begin, Border(record.end_asked, record.end_told))


def clipped(reading: list[Span], times: ClassTruth) -> list[Span]:
    """Presence inside W."""
    inside: list[Span] = []
    for span in reading:
        begin = Border(max(span.begin.lo, times.begin.lo), max(span.begin.hi, times.begin.hi))
        end = Border(min(span.end.lo, times.end.lo), min(span.end.hi, times.end.hi))
        if end.hi > begin.lo:
            inside.append(msgspec.structs.replace(span, begin=begin, end=end))
    return inside


def whole_seconds(reading: list[Span], offset_ms: float) -> Border:
    """Least and most whole seconds that a reading allows: both ends are floored (learning-api.md, reading 1)."""
    low = high = 0
    for span in reading:
        low += max(0, _floor(span.end.lo, offset_ms, -1) - _floor(span.begin.hi, offset_ms, 1))
        high += max(0, _floor(span.end.hi, offset_ms, 1) - _floor(span.begin.lo, offset_ms, -1))
    return Border(low, high)


def _floor(at: int, offset_ms: float, direction: int) -> int:
    return int(at + offset_ms + direction * PRESENCE_BORDER_MS) // 1000


def exact_seconds(reading: list[Span]) -> float:
    """The middle of what a reading allows, for people to look at."""
    return sum(span.end.lo + span.end.hi - span.begin.lo - span.begin.hi for span in reading) / 2000


def least_and_most_seconds(readings: list[list[Span]]) -> tuple[float, float]:
    """What all readings allow: the shortest and the longest presence. A border may be uncertain by a whole outage."""
    least = min(sum(max(0, span.end.lo - span.begin.hi) for span in reading) for reading in readings)
    most = max(sum(span.end.hi - span.begin.lo for span in reading) for reading in readings)
    return least / 1000, most / 1000


def to_the_end(reading: list[Span], times: ClassTruth) -> list[Span]:
    """The same where the last presence is still held by samples when the class ends, and so may end with it."""
    if not reading or reading[-1].end.hi + reading[-1].reach < times.end.lo:
        return reading
    last = reading[-1]
    return [*reading[:-1], msgspec.structs.replace(last, end=times.end)]


def lateness(reading: list[Span], record: Class, rules: Rules) -> bool | None:
    """Whether a learner came late; None where the border lies within what is known, or nobody came."""
    if not reading:
        return None
    border = record.scheduled_start - round(record.clock_offset_ms) + round(rules.late_grace_s * 1000)
    begin = reading[0].begin
    if begin.hi + PRESENCE_BORDER_MS <= border:
        return False
    if begin.lo - PRESENCE_BORDER_MS > border:
        return True
    return None
