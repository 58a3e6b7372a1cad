"""What every engagement answer is, slowly and obviously: out of all sessions and segments, anew for each question.

From video-engagement.md ("Formulas", "Analytics", readings 1 to 17) and from nothing else. Lengths of sets are measured
by cutting the line at every edge there is and asking for each piece who covers it; shares are Fractions, rounded once.
Times Unix ms, playheads and lengths ms. Answers are what `data` holds in the JSON.

Where the contract leaves a choice, the choice stands beside the line that makes it ("Choice").
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import floor
from typing import Any, Final

MINUTE_MS: Final = 60_000
IDLE_MS: Final = 30 * MINUTE_MS
VIEW_MS: Final = 3_000
BRIDGE_MS: Final = 500
VERSION_MS: Final = 1_000
STARTED_MS: Final = 30_000
TAIL_MS: Final = 30_000
REPLAYED_MS: Final = 5_000
CHECKPOINTS: Final = (25, 50, 75, 90, 100)

Key = tuple[str, str]
"""A content's kind and id."""
Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A stored segment."""

    number: int
    start_at: int
    end_at: int
    start: int
    end: int
    verified: bool = True


@dataclass(frozen=True)
class Visit:
    """A stored session of a content."""

    session_id: str
    user_id: str
    video: Key
    started_at: int
    ended_at: int | None
    last_sample_at: int | None
    position: int
    told: int | None
    pieces: tuple[Piece, ...] = ()

    @property
    def credited(self) -> tuple[Piece, ...]:
        """In wall-clock order."""
        return tuple(sorted((each for each in self.pieces if each.verified), key=lambda each: each.number))

    @property
    def is_view(self) -> bool:
        """Reading 6."""
        return sum(each.end_at - each.start_at for each in self.credited) >= VIEW_MS

    @property
    def heard_at(self) -> int:
        """The last sample, or the beginning."""
        return self.started_at if self.last_sample_at is None else self.last_sample_at

    def is_open(self, now: int) -> bool:
        """Reading 8. Choice: one that never had a sample is not open."""
        return self.ended_at is None and self.last_sample_at is not None and now - self.last_sample_at < IDLE_MS


@dataclass(frozen=True)
class Video:
    """A content as the catalog has it. `lengths`: each D with the instant from which the catalog told it."""

    key: Key
    title: str | None = None
    course_id: str | None = None
    lengths: tuple[tuple[int, int], ...] = ()
    threshold: str = "0.95"
    ignore_tail: bool = False


@dataclass(frozen=True)
class History:
    """All there is, at `now`."""

    videos: tuple[Video, ...]
    visits: tuple[Visit, ...]
    now: int


@dataclass(frozen=True)
class Range:
    """`[start, end)`; None: everything."""

    start: int | None = None
    end: int | None = None

    def holds(self, at: int) -> bool:
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)

    def before_end(self, at: int) -> bool:
        return self.end is None or at < self.end


EVERYTHING: Final = Range()


# -- measuring --------------------------------------------------------------------------------------------------------


def size(spans: Collection[Span], low: int | None = None, high: int | None = None) -> int:
    """How much of the line lies in one of `spans` or more, within `[low, high)`."""
    return sum(b - a for a, b in pieces_of_line(spans, low, high))


def pieces_of_line(spans: Collection[Span], low: int | None = None, high: int | None = None) -> list[Span]:
    """The elementary pieces that lie in one of `spans`."""
    edges = sorted({edge for span in spans for edge in span} | {edge for edge in (low, high) if edge is not None})
    return [
        (a, b)
        for a, b in pairwise(edges)
        if (low is None or a >= low) and (high is None or b <= high) and any(s <= a and b <= e for s, e in spans)
    ]


def united(spans: Collection[Span], low: int | None = None, high: int | None = None) -> list[Span]:
    """The same as few ranges that do not touch."""
    ranges: list[Span] = []
    for a, b in pieces_of_line(spans, low, high):
        if ranges and ranges[-1][1] == a:
            ranges[-1] = (ranges[-1][0], b)
        else:
            ranges.append((a, b))
    return ranges


def common(spans: Collection[Span], others: Collection[Span]) -> int:
    """How much of the line lies in both."""
    return size(spans) + size(others) - size([*spans, *others])


def playheads(pieces: Iterable[Piece]) -> list[Span]:
    return [(each.start, each.end) for each in pieces]


def walls(pieces: Iterable[Piece]) -> list[Span]:
    return [(each.start_at, each.end_at) for each in pieces]


def share(part: Fraction | int, whole: Fraction | int) -> Fraction:
    """Reading 1: a quotient by 0 is 0."""
    return Fraction(part) / whole if whole else Fraction(0)


def rate(value: Fraction) -> float:
    """Reading 1: half-up to 4 decimals."""
    return floor(value * 10_000 + Fraction(1, 2)) / 10_000


def seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def instant(ms: int | None) -> str | None:
    """`2024-02-07T00:00:00.000Z`."""
    if ms is None:
        return None
    whole = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def shown(found: str) -> int | str:
    """An id that is a canonical decimal is a number (learning-api.md, reading 15)."""
    return int(found) if found.isascii() and found.isdigit() and (found == "0" or found[0] != "0") else found


def percentile(ordered: Sequence[Fraction], at: Fraction) -> Fraction:
    """`percentile_cont` (reading 11)."""
    if not ordered:
        return Fraction(0)
    place = at * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


# -- one content ------------------------------------------------------------------------------------------------------


def length_of(video: Video) -> int | None:
    """The catalog's latest D; 0 is no length."""
    return (video.lengths[-1][1] or None) if video.lengths else None


def versions_of(video: Video) -> list[list[tuple[int, int]]]:
    """The catalog's D's, cut where one differs by more than a second from the one before it."""
    versions: list[list[tuple[int, int]]] = []
    for since, length in video.lengths:
        if versions and abs(length - versions[-1][-1][1]) <= VERSION_MS:
            versions[-1].append((since, length))
        else:
            versions.append([(since, length)])
    return versions


def version_at(video: Video, at: int) -> int:
    """Which version is in force. Choice: the first one reaches back for ever, and a session is of that of its start."""
    began = [index for index, version in enumerate(versions_of(video)) if index and version[0][0] <= at]
    return began[-1] if began else 0


class Content:
    """Everything of one version of a content: the latest unless said otherwise (reading 4)."""

    def __init__(self, history: History, key: Key, version: int | None = None) -> None:
        self.now = history.now
        self.video = next((each for each in history.videos if each.key == key), Video(key))
        versions = versions_of(self.video) or [[]]
        self.version = len(versions) - 1 if version is None else version
        self.lengths = versions[self.version]
        self.catalogued = self.lengths[-1][1] or None if self.lengths else None
        self.visits = sorted(
            (
                each
                for each in history.visits
                if each.video == key and version_at(self.video, each.started_at) == self.version
            ),
            key=lambda each: (each.started_at, each.session_id),
        )
        self.length = self.catalogued or self._told_by_all()

    def of(self, user: str) -> list[Visit]:
        return [each for each in self.visits if each.user_id == user]

    def _told_by_all(self) -> int | None:
        """Reading 4: the median of what each learner's client told last. Choice: of two middles the mean, floored."""
        told = sorted(
            Fraction(length)
            for length in (self.told_by(user) for user in {each.user_id for each in self.visits})
            if length is not None
        )
        return floor(percentile(told, Fraction(1, 2))) if told else None

    def told_by(self, user: str) -> int | None:
        """The length that this learner's client told last. Choice: last is by the latest sample."""
        told = [each for each in self.of(user) if each.told]
        latest = max(told, key=lambda each: (each.heard_at, each.session_id), default=None)
        return None if latest is None else latest.told

    def own_length(self, user: str) -> int | None:
        """D for this learner's own completion (reading 4)."""
        return self.catalogued or self.told_by(user)

    def counted(self, length: int) -> int:
        """Of a length, what coverage is measured in (reading 3). Choice: the tail is whole ms, floored."""
        return length - min(TAIL_MS, length // 20) if self.video.ignore_tail else length

    def facts(self, user: str, asked: Range) -> list[Piece]:
        """Reading 5: all credited segments of this learner that end before the range does."""
        return [piece for visit in self.of(user) for piece in visit.credited if asked.before_end(piece.end_at)]

    def covered(self, pieces: Collection[Piece], length: int | None) -> int:
        return size(playheads(pieces), 0, None if length is None else self.counted(length))

    def coverage(self, pieces: Collection[Piece], length: int | None) -> Fraction:
        """Exact, 0..1; 0 while the length is unknown."""
        return share(self.covered(pieces, length), self.counted(length)) if length else Fraction(0)

    def completed_at(self, user: str) -> int | None:
        """Wall end of the segment that crossed the threshold.

        Choice: of a version it is by its latest D; what was completed by an earlier one, and is not by that, stays.
        """
        told = self.told_by(user)
        lengths = self.lengths if self.catalogued else [(0, told)] if told else []
        for index, (_, length) in reversed(list(enumerate(lengths))):
            until = lengths[index + 1][0] if index + 1 < len(lengths) else None
            at = self._crossing(self.facts(user, Range(None, until)), length)
            if at is not None:
                return at
        return None

    def _crossing(self, pieces: list[Piece], length: int) -> int | None:
        needed = Fraction(self.video.threshold) * self.counted(length)
        for at in sorted({each.end_at for each in pieces}):
            if self.covered([each for each in pieces if each.end_at <= at], length) >= needed:
                return at
        return None

    def rewatched(self, user: str, asked: Range) -> int:
        """Content - covered.

        Choice: an ignored tail is covered too, or watching it once would be a replay; and where the catalog has no D it
        is the learner's own, since with the median whatever lies behind it would be one.
        """
        pieces = self.facts(user, asked)
        return sum(each.end - each.start for each in pieces) - size(playheads(pieces), 0, self.own_length(user))

    def replayed(self, user: str, asked: Range) -> bool:
        """`rewatched >= max(5 s, 1 % of D)`."""
        return self.rewatched(user, asked) >= max(Fraction(REPLAYED_MS), Fraction(self.length or 0, 100))


class Asked:
    """A content in a range: whose figures the answers are made of."""

    def __init__(self, content: Content, asked: Range) -> None:
        self.content = content
        self.range = asked
        self.sessions = [each for each in content.visits if asked.holds(each.started_at)]
        self.views = [each for each in self.sessions if each.is_view]
        self.viewers = sorted({each.user_id for each in self.views})
        self.completers = [user for user in self.viewers if self._completed(user)]
        self.censored = [user for user in self.viewers if user not in self.completers and self._watching(user)]
        self.gone = [user for user in self.viewers if user not in self.completers and user not in self.censored]

    def views_of(self, user: str) -> list[Visit]:
        return [each for each in self.views if each.user_id == user]

    def _completed(self, user: str) -> bool:
        at = self.content.completed_at(user)
        return at is not None and self.range.before_end(at)

    def _watching(self, user: str) -> bool:
        """A session still open (reading 8). Choice: a session of the range, a view or not."""
        return any(each.user_id == user and each.is_open(self.content.now) for each in self.sessions)

    def last_position(self, user: str) -> int:
        """End of the last credited segment of the latest view."""
        return self.views_of(user)[-1].credited[-1].end

    def furthest(self, user: str) -> int:
        """Choice: a learner's fact (reading 5), so of all segments that ended before the range does."""
        return max((piece.end for piece in self.content.facts(user, self.range)), default=0)

    def completion(self) -> Fraction:
        return share(len(self.completers), len(self.viewers))

    def drop_off(self) -> Fraction:
        """Reading 10. Choice: with no starters nobody dropped off."""
        length = self.content.length
        window = min(Fraction(STARTED_MS), Fraction(length, 20)) if length else Fraction(STARTED_MS)
        starters = [
            user
            for user in self.viewers
            if any(each.start < window and each.start < each.end for each in self.views_of(user)[0].credited)
        ]
        return share(sum(user not in self.completers for user in starters), len(starters))

    def watch_ms(self, users: Iterable[str] | None = None) -> int:
        """Readings 2: within a learner seconds count once."""
        return sum(
            size(walls(piece for view in self.views_of(user) for piece in view.credited))
            for user in (self.viewers if users is None else users)
        )

    def content_ms(self) -> int:
        return sum(piece.end - piece.start for view in self.views for piece in view.credited)


# -- answers ----------------------------------------------------------------------------------------------------------


def _head(asked: Asked) -> dict[str, Any]:
    kind, content_id = asked.content.video.key
    return {
        "content_kind": kind,
        "content_id": shown(content_id),
        "start_at": instant(asked.range.start),
        "end_at": instant(asked.range.end),
        "duration_seconds": seconds(asked.content.length),
    }


def summary(history: History, key: Key, asked_range: Range = EVERYTHING) -> dict[str, Any]:
    """`GET /api/v1/videos/engagement/summary`."""
    asked = Asked(Content(history, key), asked_range)
    content, views, viewers = asked.content, asked.views, asked.viewers
    coverages = sorted(content.coverage(content.facts(user, asked_range), content.length) for user in viewers)
    return _head(asked) | {
        "views": len(views),
        "viewers": len(viewers),
        "starts": sum(each.last_sample_at is not None for each in asked.sessions),
        "completion_rate": rate(asked.completion()),
        "replay_rate": rate(share(sum(content.replayed(user, asked_range) for user in viewers), len(viewers))),
        "drop_off_rate": rate(asked.drop_off()),
        "average_view_duration": floor(share(asked.watch_ms(), len(views)) + Fraction(1, 2)) / 1000,
        "average_percentage_viewed": rate(share(asked.content_ms(), len(views) * (content.length or 0))),
        "average_coverage": {
            "mean": rate(share(sum(coverages, Fraction(0)), len(coverages))),
            "q1": rate(percentile(coverages, Fraction(1, 4))),
            "median": rate(percentile(coverages, Fraction(1, 2))),
            "q3": rate(percentile(coverages, Fraction(3, 4))),
        },
        "watch_seconds": seconds(asked.watch_ms()),
        "content_seconds": seconds(asked.content_ms()),
    }


def passes(visit: Visit) -> list[Span]:
    """Reading 7: neighbouring segments are one play where the gap is 0..0.5 s."""
    found: list[Span] = []
    for piece in visit.credited:
        if found and 0 <= piece.start - found[-1][1] <= BRIDGE_MS:
            found[-1] = (found[-1][0], piece.end)
        else:
            found.append((piece.start, piece.end))
    return found


def middle(bucket: int, buckets: int, length: int) -> Fraction:
    """Where a drawn bucket has its value (reading 7)."""
    return Fraction((2 * bucket + 1) * length, 2 * buckets)


def kept(at: Fraction, length: int) -> int:
    """Where the 1 s bucket that holds `at` has its own: at its midpoint. The last bucket's lies inside the content."""
    return min(floor(at / 1000), _last_second(length)) * 1000 + 500


@cache
def _last_second(length: int) -> int:
    return max((second for second in range(length // 1000 + 1) if second * 1000 + 500 < length), default=0)


def curves(asked: Asked, buckets: int) -> dict[str, list[Any]]:
    """Exact shares; all 0 while the length is unknown."""
    length = asked.content.length
    names = ("absolute", "unique", "survival", "exits", "hazard")
    drawn: dict[str, list[Any]] = {name: [Fraction(0)] * buckets for name in names} | {"replays": [0] * buckets}
    if not length:
        return drawn
    viewers = len(asked.viewers)
    played = [(view.user_id, span) for view in asked.views for span in passes(view)]
    ends = [min(floor(Fraction(asked.last_position(user) * buckets, length)), buckets - 1) for user in asked.gone]
    places = [length if user in asked.completers else asked.last_position(user) for user in asked.viewers]
    for bucket in range(buckets):
        at = middle(bucket, buckets, length)
        second = kept(at, length)
        here = [user for user, (start, end) in played if start <= second < end]
        drawn["absolute"][bucket] = share(len(here), len(asked.views))
        drawn["unique"][bucket] = share(len(set(here)), viewers)
        drawn["replays"][bucket] = len(here) - len(set(here))
        drawn["survival"][bucket] = share(sum(asked.furthest(user) >= at for user in asked.viewers), viewers)
        drawn["exits"][bucket] = share(ends.count(bucket), viewers)
        at_risk = sum(place >= Fraction(bucket * length, buckets) for place in places)
        drawn["hazard"][bucket] = share(ends.count(bucket), at_risk)
    return drawn


def retention(history: History, key: Key, buckets: int = 100, asked_range: Range = EVERYTHING) -> dict[str, Any]:
    """`GET /api/v1/videos/engagement/retention`."""
    asked = Asked(Content(history, key), asked_range)
    length = asked.content.length
    drawn = curves(asked, buckets)
    return (
        _head(asked)
        | {
            "views": len(asked.views),
            "viewers": len(asked.viewers),
            "bucket_seconds": floor(Fraction(length or 0, buckets) + Fraction(1, 2)) / 1000,
            "completion_rate": rate(asked.completion()),
            "censored_share": rate(share(len(asked.censored), len(asked.viewers))),
        }
        | {name: values if name == "replays" else [rate(each) for each in values] for name, values in drawn.items()}
    )


SORTS: Final[dict[str, Callable[[Asked], Fraction | int]]] = {
    "viewers": lambda asked: len(asked.viewers),
    "completion": lambda asked: asked.completion(),
    "drop_off": lambda asked: asked.drop_off(),
    "watch_time": lambda asked: asked.watch_ms(),
}


def top(
    history: History, sort: str, asked_range: Range = EVERYTHING, course_id: str | None = None
) -> list[dict[str, Any]]:
    """All `items` of `GET /api/v1/videos/engagement/top`. Choice: contents with a view in the range."""
    keys = {each.video for each in history.visits}
    ranked = [Asked(Content(history, key), asked_range) for key in keys]
    ranked = [each for each in ranked if each.views and course_id in {None, each.content.video.course_id}]
    ranked.sort(key=lambda each: (-SORTS[sort](each), each.content.video.key))
    return [
        {
            "content_kind": asked.content.video.key[0],
            "content_id": shown(asked.content.video.key[1]),
            "title": asked.content.video.title,
            "viewers": len(asked.viewers),
            "views": len(asked.views),
            "completion_rate": rate(asked.completion()),
            "drop_off_rate": rate(asked.drop_off()),
            "watch_seconds": seconds(asked.watch_ms()),
        }
        for asked in ranked
    ]


def viewers(history: History, key: Key, asked_range: Range = EVERYTHING) -> list[dict[str, Any]]:
    """All `items` of `GET /api/v1/videos/engagement/viewers`."""
    asked = Asked(Content(history, key), asked_range)
    return [_viewer(asked, user) for user in asked.viewers]


def _viewer(asked: Asked, user: str) -> dict[str, Any]:
    content = asked.content
    pieces = content.facts(user, asked.range)
    return {
        "user_id": user,
        "views": len(asked.views_of(user)),
        "coverage": floor(content.coverage(pieces, content.length) * 1000) / 1000,
        "covered_seconds": seconds(content.covered(pieces, content.length)),
        "content_seconds": seconds(sum(each.end - each.start for each in pieces)),
        "rewatched_seconds": seconds(content.rewatched(user, asked.range)),
        "watch_seconds": seconds(asked.watch_ms([user])),
        "position": seconds(resting([each for each in asked.sessions if each.user_id == user])),
        "completed_at": instant(content.completed_at(user)) if user in asked.completers else None,
    }


def resting(visits: Iterable[Visit]) -> int:
    """Where to continue. Choice: where the playhead stood at the latest sample of all."""
    sampled = [each for each in visits if each.last_sample_at is not None]
    latest = max(sampled, key=lambda each: (each.heard_at, each.started_at, each.session_id), default=None)
    return 0 if latest is None else latest.position


def me(history: History, key: Key, user: str) -> dict[str, Any]:
    """`GET /api/v1/videos/engagement/me`."""
    content = Content(history, key)
    pieces = content.facts(user, EVERYTHING)
    length = content.own_length(user)
    at = content.completed_at(user)
    return {
        "content_kind": key[0],
        "content_id": shown(key[1]),
        "duration_seconds": seconds(length),
        "coverage": floor(content.coverage(pieces, length) * 1000) / 1000,
        "ranges": [
            [a / 1000, b / 1000] for a, b in united(playheads(pieces), 0, content.counted(length) if length else None)
        ],
        "position": seconds(resting(content.of(user))),
        "completed": at is not None,
        "completed_at": instant(at),
    }


def concurrent(history: History, start: int, end: int, step_s: int) -> dict[str, Any]:
    """`GET /api/v1/videos/concurrent` (reading 12)."""
    step = step_s * 1000
    learners = {each.user_id for each in history.visits}
    watched = [
        united(walls(piece for visit in history.visits if visit.user_id == user for piece in visit.credited))
        for user in sorted(learners)
    ]
    steps: list[dict[str, Any]] = []
    for low in range(start, end, step):
        high = min(low + step, end)
        edges = sorted(
            {low, high} | {edge for spans in watched for span in spans for edge in span if low < edge < high}
        )
        counts = [
            (b - a, sum(any(s <= a and b <= e for s, e in spans) for spans in watched)) for a, b in pairwise(edges)
        ]
        mean = Fraction(sum(width * count for width, count in counts), high - low)
        steps.append({"start_at": instant(low), "peak": max(count for _, count in counts), "mean": rate(mean)})
    return {"start_at": instant(start), "end_at": instant(end), "step": step_s, "steps": steps}


# -- the admin page ---------------------------------------------------------------------------------------------------


def replayed_of(content: Content, visit: Visit) -> int:
    """Of a session's content, what this learner had covered before, by this or earlier sessions (reading 16).

    Choice: segments come in the order in which they began.
    """
    ordered = sorted(
        (
            (piece.start_at, each.session_id, piece.number, piece)
            for each in content.of(visit.user_id)
            for piece in each.credited
        ),
        key=lambda row: row[:3],
    )
    total = 0
    for index, (_, session_id, _, piece) in enumerate(ordered):
        if session_id == visit.session_id:
            total += common([(piece.start, piece.end)], playheads(row[3] for row in ordered[:index]))
    return total


@dataclass(frozen=True)
class Sat:
    """A session as the admin page sees it."""

    visit: Visit
    completed: bool
    replay: bool
    reached: frozenset[int]


def sat(content: Content, visit: Visit, length: int) -> Sat:
    """Reading 13."""
    at = content.completed_at(visit.user_id)
    furthest = max((each.end for each in visit.credited), default=0)
    return Sat(
        visit,
        completed=content.coverage(visit.credited, length) >= Fraction(content.video.threshold),
        replay=(at is not None and at < visit.started_at)
        or replayed_of(content, visit) >= max(Fraction(REPLAYED_MS), Fraction(length, 100)),
        reached=frozenset(
            percent
            for percent in CHECKPOINTS
            if visit.credited and furthest >= (length - 1000 if percent == 100 else Fraction(percent * length, 100))
        ),
    )


def dashboard(history: History, asked_range: Range = EVERYTHING) -> dict[str, Any]:
    """`GET /api/v1/analytics/dashboard`."""
    asked = [each for each in history.visits if asked_range.holds(each.started_at) and each.last_sample_at is not None]
    seen: list[Sat] = []
    for visit in asked:
        video = next((each for each in history.videos if each.key == visit.video), Video(visit.video))
        content = Content(history, visit.video, version_at(video, visit.started_at))
        length = content.own_length(visit.user_id)
        if length:
            seen.append(sat(content, visit, length))
    completed = sum(each.completed for each in seen)
    replays = [each.visit for each in seen if each.replay]
    return {
        "videos": {
            "total_watch_sessions": len(asked),
            "completed_sessions": completed,
            "replay_sessions": len(replays),
            "unique_video_starts": len({(each.visit.user_id, each.visit.video) for each in seen}),
            "users_who_replayed": len({each.user_id for each in replays}),
            "completion_rate": rate(share(completed, len(asked))),
            "replay_rate": rate(share(len(replays), len(asked))),
            "drop_off_by_checkpoint": [_checkpoint(percent, seen) for percent in CHECKPOINTS],
        }
    }


def _checkpoint(percent: int, seen: list[Sat]) -> dict[str, Any]:
    """Choice: of the sessions whose content has a length."""
    reached = sum(percent in each.reached for each in seen)
    return {
        "checkpoint_percent": percent,
        "total_sessions": len(seen),
        "viewers_reached": reached,
        "drop_off_rate": rate(share(len(seen) - reached, len(seen))),
    }
