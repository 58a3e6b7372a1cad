"""Figures as answers say them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from actors.figures.concurrency import Step
from actors.figures.engagement import Retention, Tally, coverage_of, mean_seconds, rate, share
from actors.figures.viewing import CHECKPOINTS
from actors.figures.watched import EVER, Watched
from actors.machines import ranges
from protocol.engagement import (
    AverageCoverage,
    ConcurrentAnswer,
    ConcurrentStep,
    DropOff,
    MineAnswer,
    RetentionAnswer,
    SummaryAnswer,
    TopItem,
    VideosAnswer,
    ViewerItem,
)
from protocol.rest import public_id, rfc3339
from server.http.engagement.asked import Question
from storage.content_engagement import Subject, Viewer
from storage.engagement import Ranked, Sessions


def summary(question: Question, subject: Subject, made: Tally) -> SummaryAnswer:
    """Reading 14; formulas of the contract."""
    average = coverage_of(made, subject.worked)
    return SummaryAnswer(
        content_kind=question.kind,
        content_id=public_id(question.content_id),
        start_at=question.start_at,
        end_at=question.end_at,
        duration_seconds=subject.duration / 1000 or None,
        views=made.views,
        viewers=made.viewers,
        starts=made.starts,
        completion_rate=rate(made.completed, made.viewers),
        replay_rate=rate(made.replayed, made.viewers),
        drop_off_rate=rate(made.starters - made.completed_starters, made.starters),
        average_view_duration=mean_seconds(made.watch_ms, made.views),
        average_percentage_viewed=rate(made.content_ms, made.views * subject.duration),
        average_coverage=AverageCoverage(average.mean, average.q1, average.median, average.q3),
        watch_seconds=made.watch_ms / 1000,
        content_seconds=made.content_ms / 1000,
    )


def retention(
    question: Question, subject: Subject, made: Retention, buckets: int, views: int, viewers: int
) -> RetentionAnswer:
    """Reading 14."""
    return RetentionAnswer(
        content_kind=question.kind,
        content_id=public_id(question.content_id),
        start_at=question.start_at,
        end_at=question.end_at,
        duration_seconds=subject.duration / 1000 or None,
        views=views,
        viewers=viewers,
        bucket_seconds=mean_seconds(subject.duration, buckets),
        completion_rate=made.completion_rate,
        censored_share=made.censored_share,
        absolute=made.absolute,
        unique=made.unique,
        survival=made.survival,
        exits=made.exits,
        hazard=made.hazard,
        replays=made.replays,
    )


def viewer_of(user_id: str, made: Watched, worked: int) -> Viewer:
    """A learner worked out for a period, as the store keeps them for all time."""
    return Viewer(
        user_id,
        made.views,
        ranges.length_within(made.coverage, 0, worked) if worked else made.covered_ms,
        made.distinct_ms,
        made.content_ms,
        made.watch_ms,
        made.position_ms,
        made.completed_at,
    )


def viewer(made: Viewer, worked: int, until: int = EVER) -> ViewerItem:
    """`until`: the period's end."""
    done = made.completed_at is not None and made.completed_at < until
    return ViewerItem(
        user_id=made.user_id,
        views=made.views,
        coverage=share(made.covered_ms, worked),
        covered_seconds=made.covered_ms / 1000,
        content_seconds=made.content_ms / 1000,
        rewatched_seconds=max(0, made.content_ms - made.distinct_ms) / 1000,
        watch_seconds=made.watch_ms / 1000,
        position=made.position_ms / 1000,
        completed_at=rfc3339(made.completed_at) if done else None,
    )


def mine(kind: str, content_id: str, duration: int, worked: int, made: Watched, completed_at: int | None) -> MineAnswer:
    """Ranges are exact and sum up to what is covered: clipped to what must be watched, where that is known."""
    pieces = zip(made.coverage[::2], made.coverage[1::2], strict=True)
    until = worked or EVER
    return MineAnswer(
        content_kind=kind,
        content_id=public_id(content_id),
        duration_seconds=duration / 1000 or None,
        coverage=share(made.covered_ms, worked),
        ranges=[(low / 1000, min(high, until) / 1000) for low, high in pieces if low < until],
        position=made.position_ms / 1000,
        completed=completed_at is not None,
        completed_at=rfc3339(completed_at),
    )


def top(one: Ranked) -> TopItem:
    """Reading 14."""
    return TopItem(
        content_kind=one.kind,
        content_id=public_id(one.content_id),
        title=one.title,
        viewers=one.viewers,
        views=one.views,
        completion_rate=rate(one.completed, one.viewers),
        drop_off_rate=rate(one.starters - one.completed_starters, one.starters),
        watch_seconds=one.watch_ms / 1000,
    )


def videos(made: Sessions) -> VideosAnswer:
    """Reading 13: rates over sessions."""
    return VideosAnswer(
        total_watch_sessions=made.sessions,
        completed_sessions=made.completed,
        replay_sessions=made.replays,
        unique_video_starts=made.starts,
        users_who_replayed=made.users,
        completion_rate=rate(made.completed, made.sessions),
        replay_rate=rate(made.replays, made.sessions),
        drop_off_by_checkpoint=[
            DropOff(percent, made.known, reached, rate(made.known - reached, made.known))
            for percent, reached in zip(CHECKPOINTS, made.reached, strict=True)
        ],
    )


def concurrent(start: int, end: int, step_s: int, made: Sequence[Step]) -> ConcurrentAnswer:
    """Reading 14."""
    return ConcurrentAnswer(
        start_at=rfc3339(start) or "",
        end_at=rfc3339(end) or "",
        step=step_s,
        steps=[ConcurrentStep(rfc3339(begin) or "", peak, rate(area, length)) for begin, length, peak, area in made],
    )
