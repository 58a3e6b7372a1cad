"""Engagement of all viewers of a content: rates, curves, exits, hazard, quartiles (video-engagement.md, "Formulas").

Whatever is counted here is a whole number of viewers, plays or milliseconds; a quotient is taken once, at the end, in
whole numbers. A quotient by 0 is 0.0.

Curves are kept per second and drawn as n buckets: drawn bucket k shows the second in which its middle lies; a second
counts for a pass when the pass holds the second's middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Final

import msgspec

from actors.figures.watched import Watched, replayed, starter
from actors.machines import ranges

SECOND_MS: Final = 1_000
HALF_MS: Final = 500
SECONDS_MAX: Final = 200_000
"""Where curves end: no content is longer than two days, and what a forger names must not grow them."""

Curve = dict[int, int]
"""Changes by second: +1 where a pass begins, -1 where it ends."""


def rate(part: int, whole: int) -> float:
    """Part / whole, half-up to 4 decimals."""
    return (2 * part * 10_000 + whole) // (2 * whole) / 10_000 if whole else 0.0


def mean_seconds(total_ms: int, count: int) -> float:
    """Total / count in seconds, half-up to the millisecond."""
    return (2 * total_ms + count) // (2 * count) / 1000 if count else 0.0


def share(covered_ms: int, length: int) -> float:
    """Coverage as it is shown: at most 1, floored to 3 decimals."""
    return min(covered_ms, length) * 1000 // length / 1000 if length else 0.0


def median(told: Sequence[int]) -> int | None:
    """Of the lengths that learners' clients told; the mean of the middle two, floored."""
    if not told:
        return None
    ordered = sorted(told)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def quartiles(values: Sequence[int]) -> tuple[int, ...]:
    """`percentile_cont` of 0.25, 0.5 and 0.75, each times four: whole numbers stay whole."""
    if not values:
        return (0, 0, 0)
    ordered = sorted(values)
    made: list[int] = []
    for quarter in (1, 2, 3):
        index, rest = divmod((len(ordered) - 1) * quarter, 4)
        low = ordered[index]
        high = ordered[min(index + 1, len(ordered) - 1)]
        made.append(4 * low + rest * (high - low))
    return tuple(made)


class Coverage(msgspec.Struct, frozen=True):
    """Over viewers, fractions half-up to 4 decimals."""

    mean: float
    q1: float
    median: float
    q3: float


class Tally(msgspec.Struct):
    """Sums over the viewers of a content. `quartiles4`: those of `covered_ms`, times four."""

    views: int = 0
    viewers: int = 0
    starts: int = 0
    completed: int = 0
    replayed: int = 0
    starters: int = 0
    completed_starters: int = 0
    watch_ms: int = 0
    content_ms: int = 0
    covered_ms: int = 0
    quartiles4: tuple[int, ...] = (0, 0, 0)


class Kept(msgspec.Struct):
    """Sums over some viewers, without those of coverage; and what each of them covered."""

    sums: Tally = msgspec.field(default_factory=Tally)
    covered: list[int] = []


def tally(learners: Iterable[Watched], duration: int, worked: int, until: int, kept: Kept | None = None) -> Tally:
    """Sum learners, and those that are `kept` already; who completed at `until` or later has not completed.

    `worked` as `watched.worked_ms`.
    """
    made, covered = (Tally(), []) if kept is None else (kept.sums, kept.covered)
    for one in learners:
        made.starts += one.starts
        if not one.views:
            continue
        done = one.completed_at is not None and one.completed_at < until
        began = starter(one.first_from_ms, duration)
        made.views += one.views
        made.viewers += 1
        made.completed += done
        made.replayed += replayed(one.rewatched_ms, duration)
        made.starters += began
        made.completed_starters += began and done
        made.watch_ms += one.watch_ms
        made.content_ms += one.view_content_ms
        covered.append(ranges.length_within(one.coverage, 0, worked))
    made.covered_ms = sum(covered)
    made.quartiles4 = quartiles(covered)
    return made


def coverage_of(made: Tally, worked: int) -> Coverage:
    """`average_coverage` (reading 11)."""
    q1, middle, q3 = (rate(value, 4 * worked) for value in made.quartiles4)
    return Coverage(rate(made.covered_ms, worked * made.viewers), q1, middle, q3)


# -- curves ------------------------------------------------------------------------------------------------------------


def add_passes(curve: Curve, passes: Iterable[tuple[int, int]]) -> None:
    """Count each pass at the seconds whose middle it holds."""
    for low, high in passes:
        first = min((low + HALF_MS - 1) // SECOND_MS, SECONDS_MAX)
        behind = min((high + HALF_MS - 1) // SECOND_MS, SECONDS_MAX)
        if first < behind:
            curve[first] = curve.get(first, 0) + 1
            curve[behind] = curve.get(behind, 0) - 1


def union(passes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Passes of one learner, each moment once."""
    united: list[int] = []
    for low, high in passes:
        ranges.add(united, low, high, len(passes))
    return ranges.pairs(united)


def curves(passes: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """One learner's (second, plays, viewers), by second: what their passes change in a content's curves."""
    plays: Curve = {}
    viewers: Curve = {}
    add_passes(plays, passes)
    add_passes(viewers, union(passes))
    seconds = sorted(plays.keys() | viewers.keys())
    made = [(second, plays.get(second, 0), viewers.get(second, 0)) for second in seconds]
    return [point for point in made if point[1] or point[2]]


def drawn(curve: Mapping[int, int], duration: int, buckets: int) -> list[int]:
    """The curve's value in each of `buckets` drawn buckets."""
    last = max(0, (duration - HALF_MS - 1) // SECOND_MS)
    heights = list(accumulate(curve.get(second, 0) for second in range(min(last, SECONDS_MAX) + 1)))
    seconds = ((2 * bucket + 1) * duration // (2 * buckets * SECOND_MS) for bucket in range(buckets))
    return [heights[min(second, len(heights) - 1)] for second in seconds]


# -- where viewers stopped ---------------------------------------------------------------------------------------------


class Ends(msgspec.Struct):
    """How far viewers came, in n drawn buckets.

    `reached[j]`: viewers whose furthest playhead lies at or behind exactly j middles, 0..n. `exits[b]`, `last[b]`:
    those who stopped in bucket b for good, and those whose last position lies there (completers: the end).
    """

    reached: list[int]
    exits: list[int]
    last: list[int]
    completed: int = 0
    censored: int = 0

    @classmethod
    def none(cls, buckets: int) -> Ends:
        """Nobody yet."""
        return cls([0] * (buckets + 1), [0] * buckets, [0] * buckets)

    def placeless(self) -> Ends:
        """Where nobody can say how far anybody came: how many completed, and how many are still there."""
        none = Ends.none(len(self.exits))
        none.completed, none.censored = self.completed, self.censored
        return none

    def add(self, other: Ends) -> None:
        """Others of the same content."""
        for mine, theirs in ((self.reached, other.reached), (self.exits, other.exits), (self.last, other.last)):
            mine[:] = map(add, mine, theirs)
        self.completed += other.completed
        self.censored += other.censored


def bucket_of(position: int, duration: int, buckets: int) -> int:
    """floor(p n / D), at most n - 1 (reading 8)."""
    return min(buckets - 1, position * buckets // duration)


def middles_up_to(position: int, duration: int, buckets: int) -> int:
    """How many middles (2k + 1) D / 2n lie at or before a playhead."""
    return min(buckets, (2 * buckets * position + duration) // (2 * duration))


def ends(learners: Iterable[Watched], duration: int, buckets: int, until: int, now: int) -> Ends:
    """Sum viewers; who is where can only be said where the length is known."""
    made = Ends.none(buckets)
    length = duration or 1
    for one in learners:
        if not one.views:
            continue
        made.reached[middles_up_to(one.furthest_ms, length, buckets)] += 1
        if one.completed_at is not None and one.completed_at < until:
            made.completed += 1
            made.last[-1] += 1
            continue
        bucket = bucket_of(one.exit_ms or 0, length, buckets)
        made.last[bucket] += 1
        if one.open_until is not None and now < one.open_until:
            made.censored += 1
        else:
            made.exits[bucket] += 1
    return made if duration else made.placeless()


class Retention(msgspec.Struct, frozen=True):
    """Lists of n; fractions half-up to 4 decimals, `replays` plays."""

    completion_rate: float
    censored_share: float
    absolute: list[float]
    unique: list[float]
    survival: list[float]
    exits: list[float]
    hazard: list[float]
    replays: list[int]


def retention(stops: Ends, plays: Sequence[int], seen: Sequence[int], views: int, viewers: int) -> Retention:
    """The named curves out of counts; `plays`, `seen` as `drawn`."""
    survivors = list(accumulate(reversed(stops.reached[1:])))[::-1]
    at_risk = list(accumulate(reversed(stops.last)))[::-1]
    return Retention(
        rate(stops.completed, viewers),
        rate(stops.censored, viewers),
        [rate(count, views) for count in plays],
        [rate(count, viewers) for count in seen],
        [rate(count, viewers) for count in survivors],
        [rate(count, viewers) for count in stops.exits],
        [rate(*pair) for pair in zip(stops.exits, at_risk, strict=True)],
        [both - once for both, once in zip(plays, seen, strict=True)],
    )
