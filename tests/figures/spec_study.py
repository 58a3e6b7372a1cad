"""Time spent learning, second by second (learning-api.md, endpoint 2, readings 1, 6, 11, 12)."""

from __future__ import annotations

from typing import Final

from tests.figures.facts import Asked, Content, History
from tests.figures.spec_classes import Json, Learner, Seconds, percent, range_of, stretch
from tests.figures.spec_days import buckets, days, midnight

TYPES: Final = ("live_class", "video", "exam")


def times(history: History, asked: Asked, *, with_details: bool) -> Json:
    learner = Learner(history, asked)
    studied = studied_in_range(learner)
    offered = offered_seconds(learner)
    total = len(set().union(*studied.values()))
    begun = [day for day in days(asked.start, asked.end, asked.zone) if midnight(day, asked.zone) <= asked.now]
    answer: Json = {
        **range_of(asked),
        "total_learning_duration": total,
        "daily_learning": {"avg_duration": total // max(1, len(begun))},
        "total_offered_learning_duration": sum(offered.values()),
        "histories": [
            bucket(label, stretch(start, end), studied)
            for label, start, end in buckets(asked.start, asked.end, asked.zone)
        ],
    }
    if with_details:
        answer["details"] = [
            {
                "type": kind,
                "total_duration": offered[kind],
                "engaged_duration": len(studied[kind]),
                "progress": min(100.0, percent(len(studied[kind]), offered[kind])),
            }
            for kind in TYPES
        ]
    return answer


def bucket(label: str, span: range, studied: dict[str, Seconds]) -> Json:
    within = {kind: {second for second in seconds if second in span} for kind, seconds in studied.items()}
    return {
        "level": label,
        "total_duration": len(set().union(*within.values())),
        "segments": [{"type": kind, "engaged_duration": len(within[kind])} for kind in TYPES],
    }


def studied_in_range(learner: Learner) -> dict[str, Seconds]:
    """The seconds of each type."""
    history, span = learner.history, stretch(learner.asked.start, learner.asked.end)
    found: dict[str, Seconds] = {kind: set() for kind in TYPES}
    for live in history.classes:
        found["live_class"] |= learner.presence(live)
    for segment in history.segments:
        if segment.content is not None and segment.verified:
            found["video"] |= set(stretch(segment.start_at, segment.end_at))
    for session in history.exam_sessions:
        found["exam"] |= set(stretch(session.end_at - session.time_taken_s * 1000, session.end_at))
    return {kind: {second for second in seconds if second in span} for kind, seconds in found.items()}


def offered_seconds(learner: Learner) -> dict[str, int]:
    """What each type had to offer (reading 12)."""
    videos = [content for content in learner.history.contents if offers(learner, content)]
    return {
        "live_class": sum(len(learner.window(live)) for live in learner.offered()),
        "video": sum((content.duration_ms or 0) // 1000 for content in videos),
        "exam": sum(exam.duration_s for exam in learner.offered_exams()),
    }


def offers(learner: Learner, content: Content) -> bool:
    if not (content.published and content.has_video):
        return False
    watched = [
        segment.start_at
        for segment in learner.history.segments
        if segment.content == (content.kind, content.id) and segment.verified and segment.start_at < segment.end_at
    ]
    moments = [min(watched)] if watched else []
    if content.published_at is not None and content.published_at <= learner.asked.now:
        moments.append(content.published_at)
    return any(learner.in_range(at) and learner.has_product(content.product, at) for at in moments)
