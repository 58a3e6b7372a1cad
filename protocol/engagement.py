"""Answers about video engagement (video-engagement.md, reading 14), each inside `{"data": ...}`.

Rates are fractions 0..1, half-up to 4 decimals; coverage is floored to 3. Durations and playheads are seconds with
milliseconds, times RFC 3339 text in UTC. None where it is not known or not asked for.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Data(msgspec.Struct, Generic[T], frozen=True):
    """The envelope."""

    data: T


class AverageCoverage(msgspec.Struct, frozen=True):
    """Over viewers; quartiles are interpolated (`percentile_cont`)."""

    mean: float
    q1: float
    median: float
    q3: float


class SummaryAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/engagement/summary`. `average_view_duration` in seconds."""

    content_kind: str
    content_id: int | str
    start_at: str | None
    end_at: str | None
    duration_seconds: float | None
    views: int
    viewers: int
    starts: int
    completion_rate: float
    replay_rate: float
    drop_off_rate: float
    average_view_duration: float
    average_percentage_viewed: float
    average_coverage: AverageCoverage
    watch_seconds: float
    content_seconds: float


class RetentionAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/engagement/retention`: lists of as many numbers as buckets were asked for."""

    content_kind: str
    content_id: int | str
    start_at: str | None
    end_at: str | None
    duration_seconds: float | None
    views: int
    viewers: int
    bucket_seconds: float
    completion_rate: float
    censored_share: float
    absolute: list[float]
    unique: list[float]
    survival: list[float]
    exits: list[float]
    hazard: list[float]
    replays: list[int]


class TopItem(msgspec.Struct, frozen=True):
    """A content among others. `title` None where the catalog has not named it."""

    content_kind: str
    content_id: int | str
    title: str | None
    viewers: int
    views: int
    completion_rate: float
    drop_off_rate: float
    watch_seconds: float


class TopAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/engagement/top`."""

    items: list[TopItem]
    next_cursor: str | None


class ViewerItem(msgspec.Struct, frozen=True):
    """A learner who viewed; the same names head the columns of the CSV."""

    user_id: str
    views: int
    coverage: float
    covered_seconds: float
    content_seconds: float
    rewatched_seconds: float
    watch_seconds: float
    position: float
    completed_at: str | None


class ViewersAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/engagement/viewers`, by `user_id`."""

    items: list[ViewerItem]
    next_cursor: str | None


class MineAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/engagement/me`: `ranges` of what was watched, in seconds; `position` is where to continue."""

    content_kind: str
    content_id: int | str
    duration_seconds: float | None
    coverage: float
    ranges: list[tuple[float, float]]
    position: float
    completed: bool
    completed_at: str | None


class ConcurrentStep(msgspec.Struct, frozen=True):
    """`peak`: the most learners at one instant; `mean`: weighted by time."""

    start_at: str
    peak: int
    mean: float


class ConcurrentAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/videos/concurrent`. `step` in seconds; the last step is cut at `end_at`."""

    start_at: str
    end_at: str
    step: int
    steps: list[ConcurrentStep]


class DropOff(msgspec.Struct, frozen=True):
    """One checkpoint: of `total_sessions` whose length is known, those that did not reach it."""

    checkpoint_percent: int
    total_sessions: int
    viewers_reached: int
    drop_off_rate: float


class VideosAnswer(msgspec.Struct, frozen=True):
    """What the admin's page reads of videos."""

    total_watch_sessions: int
    completed_sessions: int
    replay_sessions: int
    unique_video_starts: int
    users_who_replayed: int
    completion_rate: float
    replay_rate: float
    drop_off_by_checkpoint: list[DropOff]


class DashboardAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/analytics/dashboard`."""

    videos: VideosAnswer
