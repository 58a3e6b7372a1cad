"""What one learner did with one content, out of their sessions and segments (video-engagement.md, "Formulas").

    population   the sessions that began in the period; with no period, all of them
    views        those of the population with at least 3 s of credited watch; taken whole
    facts        `covered_ms`, `content_ms`, `completed_at`: over all segments that ended before the period's end

Where somebody has the facts already (`Past`), only the population's segments are needed.

Only verified segments are given to these functions. Times Unix ms, playheads and durations ms, ranges half-open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec

from actors.machines import ranges

VIEW_MS: Final = 3_000
"""Credited watch that makes a session a view."""
OPEN_MS: Final = 30 * 60 * 1000
"""A session that was not ended is open so long after its last sample."""
BRIDGE_MS: Final = 500
"""Neighbouring segments of a session this far apart are one pass: for curves and drawing, never for coverage."""
TAIL_MS: Final = 30_000
TAIL_PART: Final = 20
REPLAY_MS: Final = 5_000
REPLAY_PART: Final = 100
EVER: Final = 2**62


class Facts(msgspec.Struct, frozen=True):
    """What the catalog says of a content. `duration` (D) None: it does not know, and what clients told is used."""

    duration: int | None = None
    threshold: float = 0.95
    ignore_tail: bool = False


class Period(msgspec.Struct, frozen=True):
    """`[start, end)`."""

    start: int = -EVER
    end: int = EVER


ALWAYS: Final = Period()


class Sitting(msgspec.Struct, frozen=True, gc=False):
    """A watch session of the learner on the content, as far as figures need it.

    `told_ms`: of one that others told (xAPI), what it covers by that, clipped to its length. It has no wall time.
    """

    session_id: str
    started_at: int
    ended_at: int | None
    last_sample_at: int | None
    position: int
    duration: int | None
    told_ms: int | None = None


class Credited(msgspec.Struct, frozen=True, gc=False):
    """A verified segment."""

    session_id: str
    number: int
    start_at: int
    end_at: int
    from_ms: int
    to_ms: int


class Past(msgspec.Struct, frozen=True):
    """A learner's facts as of a moment, as far as they cannot be worked out of each other; `coverage` as in `Watched`.

    `completed_at` may be later.
    """

    told_ms: int | None
    completed_at: int | None
    coverage: list[int]
    content_ms: int
    furthest_ms: int


class Watched(msgspec.Struct):
    """The figures of one learner on one content."""

    views: int = 0
    starts: int = 0
    """Sessions of the population with any sample."""
    told_ms: int | None = None
    """The last length that their client told."""
    coverage: list[int] = []
    """Flat ranges (`actors.machines.ranges`), not clipped."""
    covered_ms: int = 0
    """Of what must be watched: clipped to D, less the tail where it is ignored."""
    distinct_ms: int = 0
    """Clipped to D."""
    content_ms: int = 0
    completed_at: int | None = None
    furthest_ms: int = 0
    watch_ms: int = 0
    """Union of the wall times of the views."""
    view_content_ms: int = 0
    first_from_ms: int | None = None
    """The lowest playhead of the first view."""
    exit_ms: int | None = None
    """Where the latest view ended."""
    open_until: int | None = None
    """From when on no session of the population is open any more."""
    position_ms: int = 0
    passes: list[tuple[int, int]] = []
    """Of the views."""

    @property
    def rewatched_ms(self) -> int:
        """Content played again."""
        return max(0, self.content_ms - self.distinct_ms)


class SessionFigures(msgspec.Struct, frozen=True, gc=False):
    """What the admin's dashboard counts of a session (reading 13).

    `reached`: how many of the checkpoints that are a share of the length; 0..4. `at_end`: the last one.
    """

    session_id: str
    started_at: int
    known: bool
    """Its length is."""
    completed: bool
    replay: bool
    reached: int
    at_end: bool


def tail_ms(duration: int) -> int:
    """min(30 s, 5 %)."""
    return min(TAIL_MS, duration // TAIL_PART)


def worked_ms(duration: int | None, *, ignore_tail: bool) -> int:
    """The part of a content that must be watched to complete it; 0 where its length is not known."""
    if not duration:
        return 0
    return duration - tail_ms(duration) if ignore_tail else duration


@lru_cache(1024)
def needed_ms(length: int, threshold: float) -> int:
    """The least coverage that completes `length` ms: by the threshold's decimal text, so 0.56 of 100 is 56."""
    return -int(-Fraction(str(threshold)) * length // 1)


def starter(first_from_ms: int | None, length: int) -> bool:
    """Whether a first view has a moment in the first min(30 s, 5 %); 30 s while the length (0) is not known."""
    if first_from_ms is None or first_from_ms >= TAIL_MS:
        return False
    return not length or first_from_ms * TAIL_PART < length


def replayed(rewatched_ms: int, length: int) -> bool:
    """Whether so much counts as a replay: max(5 s, 1 %)."""
    return rewatched_ms >= REPLAY_MS and rewatched_ms * REPLAY_PART >= length


def watched(
    sittings: Sequence[Sitting], credited: Sequence[Credited], facts: Facts, period: Period = ALWAYS
) -> Watched:
    """One learner's figures. `sittings` and `credited` are all there are, in any order."""
    told = _told(sittings)
    credited = within(sittings, credited, facts.duration or told)
    made = Watched(told_ms=told)
    _add_facts(made, credited, facts, facts.duration or told, period.end)
    population = [one for one in sittings if period.start <= one.started_at < period.end]
    _add_population(made, population)
    _add_views(made, population, by_session(credited))
    return made


def watched_since(past: Past, population: list[Sitting], credited: Sequence[Credited], facts: Facts) -> Watched:
    """The same, of a learner whose facts are known; `credited`: the segments of `population`, each one's in order."""
    duration = facts.duration or past.told_ms
    made = Watched(
        told_ms=past.told_ms,
        completed_at=past.completed_at,
        coverage=past.coverage,
        content_ms=past.content_ms,
        furthest_ms=past.furthest_ms,
    )
    _measure(made, duration, worked_ms(duration, ignore_tail=facts.ignore_tail))
    _add_population(made, population)
    _add_views(made, population, _grouped(within(population, credited, duration)))
    return made


def within(sittings: Sequence[Sitting], credited: Sequence[Credited], duration: int | None) -> Sequence[Credited]:
    """Segments that others told are kept as told: here they end where the content ends."""
    told = {one.session_id for one in sittings if one.told_ms is not None}
    if not told or not duration:
        return credited
    return [
        msgspec.structs.replace(one, to_ms=min(one.to_ms, duration)) if one.session_id in told else one
        for one in credited
        if one.from_ms < duration or one.session_id not in told
    ]


def by_session(credited: Iterable[Credited]) -> dict[str, list[Credited]]:
    """Segments of each session in the order of wall time."""
    return _grouped(sorted(credited, key=lambda one: (one.start_at, one.number)))


def _grouped(credited: Iterable[Credited]) -> dict[str, list[Credited]]:
    found: dict[str, list[Credited]] = {}
    for one in credited:
        found.setdefault(one.session_id, []).append(one)
    return found


def _told(sittings: Sequence[Sitting]) -> int | None:
    latest = [(_heard(one), one.session_id, one.duration) for one in sittings if one.duration]
    return max(latest)[2] if latest else None


def _heard(sitting: Sitting) -> int:
    return sitting.started_at if sitting.last_sample_at is None else sitting.last_sample_at


def _add_facts(made: Watched, credited: Sequence[Credited], facts: Facts, duration: int | None, until: int) -> None:
    length = worked_ms(duration, ignore_tail=facts.ignore_tail)
    needed = needed_ms(length, facts.threshold) if length else EVER
    limit = len(credited) + 1
    covered = 0
    counted = [one for one in credited if one.end_at < until]
    counted.sort(key=_by_end)
    coverage: list[int] = []
    made.coverage = coverage
    for one in counted:
        low, high = one.from_ms, one.to_ms
        made.content_ms += high - low
        if length and covered < needed:
            # Only as long as it may still complete the content.
            inside, end = min(low, length), min(high, length)
            covered += end - inside - overlap(coverage, inside, end)
            if covered >= needed:
                made.completed_at = one.end_at
        ranges.add(coverage, low, high, limit)
    made.furthest_ms = max((one.to_ms for one in counted), default=0)
    _measure(made, duration, length)


def _measure(made: Watched, duration: int | None, length: int) -> None:
    coverage = made.coverage
    made.covered_ms = ranges.length_within(coverage, 0, length) if length else ranges.length(coverage)
    made.distinct_ms = ranges.length_within(coverage, 0, duration) if duration else made.covered_ms


def _by_end(one: Credited) -> tuple[int, int, str, int]:
    return one.end_at, one.start_at, one.session_id, one.number


def overlap(covered: list[int], low: int, high: int) -> int:
    """Milliseconds of `[low, high)` that lie in flat ranges; the cost is that of the pieces touched."""
    index = bisect_right(covered, low) & ~1
    total = 0
    while index < len(covered) and covered[index] < high:
        total += max(0, min(covered[index + 1], high) - max(covered[index], low))
        index += 2
    return total


def _add_population(made: Watched, population: list[Sitting]) -> None:
    """Puts it in order, too."""
    population.sort(key=lambda one: (one.started_at, one.session_id))
    heard = -EVER
    for one in population:
        if one.last_sample_at is None:
            continue
        made.starts += 1
        if one.last_sample_at >= heard:
            heard, made.position_ms = one.last_sample_at, one.position
        if one.ended_at is None:
            made.open_until = max(made.open_until or -EVER, one.last_sample_at + OPEN_MS)


def _add_views(made: Watched, population: list[Sitting], segments: dict[str, list[Credited]]) -> None:
    wall: list[int] = []
    made.passes = []
    limit = 1 + sum(map(len, segments.values()))
    for sitting in population:
        mine = segments.get(sitting.session_id, [])
        if not _is_view(sitting, mine):
            continue
        made.views += 1
        if made.first_from_ms is None:
            made.first_from_ms = min((one.from_ms for one in mine), default=None)
        for one in mine:
            ranges.add(wall, one.start_at, one.end_at, limit)
            made.view_content_ms += one.to_ms - one.from_ms
        made.passes += passes(mine)
        made.exit_ms = mine[-1].to_ms if mine else sitting.position
    made.watch_ms = ranges.length(wall)


def _is_view(sitting: Sitting, mine: Sequence[Credited]) -> bool:
    if sitting.told_ms is not None:
        return sitting.told_ms >= VIEW_MS
    return sum(one.end_at - one.start_at for one in mine) >= VIEW_MS


def passes(segments: Sequence[Credited]) -> list[tuple[int, int]]:
    """A session's segments, in the order of wall time, with gaps of 0..0.5 s bridged."""
    made: list[tuple[int, int]] = []
    for one in segments:
        if made and 0 <= one.from_ms - made[-1][1] <= BRIDGE_MS:
            made[-1] = (made[-1][0], one.to_ms)
        else:
            made.append((one.from_ms, one.to_ms))
    return made
