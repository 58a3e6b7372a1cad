"""Time spent learning: unions within a type and over all (learning-api.md, endpoint 2, readings 1, 11, 12)."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

import msgspec

from actors.figures import classes, seconds, spans
from actors.figures.buckets import Bucket, buckets
from actors.figures.facts import Content, ExamSession, Learner
from actors.figures.seconds import Pair
from actors.figures.spans import Span

TYPES: Final = ("live_class", "video", "exam")
"""In the order of every answer."""


class Slice(msgspec.Struct, frozen=True):
    """A bucket and the seconds learnt in it, in all and by type."""

    bucket: Bucket
    total_s: int
    by_type: dict[str, int]


class Times(msgspec.Struct, frozen=True):
    """Whole seconds. `offered`, `engaged`: by type."""

    total_s: int
    average_s: int
    offered: dict[str, int]
    engaged: dict[str, int]
    slices: list[Slice]

    @property
    def offered_s(self) -> int:
        """Of all types."""
        return sum(self.offered.values())


def times(learner: Learner, within: Span, zone: tzinfo, now: int) -> Times:
    """All of endpoint 2."""
    by_type = {name: seconds.clipped(found, within.start, within.end) for name, found in _learnt(learner, now).items()}
    together = seconds.merged(*by_type.values())
    total = seconds.length(together)
    begun = sum(spans.midnight(one.day, zone) <= now for one in spans.days(within, zone))
    return Times(
        total_s=total,
        average_s=total // begun if begun else 0,
        offered=_offered(learner, within, now),
        engaged={name: seconds.length(found) for name, found in by_type.items()},
        slices=[_slice(bucket, together, by_type) for bucket in buckets(within, zone)],
    )


def _learnt(learner: Learner, now: int) -> dict[str, list[Pair]]:
    present: list[Pair] = []
    for cls in learner.classes:
        found = learner.presences.get(cls.live_class_id)
        bounds = classes.interval(cls, now) if found else None
        if found and bounds is not None:
            present += classes.inside(bounds, found)
    return {
        "live_class": seconds.merged(present),
        "video": seconds.union(learner.watched),
        "exam": seconds.union(_taken(session) for session in learner.sessions),
    }


def _taken(session: ExamSession) -> tuple[int, int]:
    """[end - time taken, end) (reading 11)."""
    taken_ms = round((session.time_taken_s or 0) * 1000)
    return session.end_at - taken_ms, session.end_at


def _slice(bucket: Bucket, together: list[Pair], by_type: dict[str, list[Pair]]) -> Slice:
    return Slice(
        bucket,
        seconds.length(seconds.clipped(together, bucket.start, bucket.end)),
        {name: seconds.length(seconds.clipped(found, bucket.start, bucket.end)) for name, found in by_type.items()},
    )


def _offered(learner: Learner, within: Span, now: int) -> dict[str, int]:
    """Reading 12: optional classes too."""
    bounds = (classes.interval(cls, now) for cls in classes.offered(learner, within, now))
    exams = (
        exam
        for exam in learner.exams
        if within.start <= exam.start_at < within.end
        and exam.start_at <= now
        and learner.belongs(exam.product_id, exam.start_at)
    )
    return {
        "live_class": sum(found[1] // 1000 - found[0] // 1000 for found in bounds if found is not None),
        "video": sum((one.length_ms or 0) // 1000 for one in learner.contents if _counts(learner, one, within, now)),
        "exam": sum(int(exam.duration_s or 0) for exam in exams),
    }


def _counts(learner: Learner, content: Content, within: Span, now: int) -> bool:
    """Published, or first watched by this learner, in the range and while its product was theirs."""
    moments = [at for at in (content.published_at, content.first_at) if at is not None and at <= now]
    return any(within.start <= at < within.end and learner.belongs(content.product_id, at) for at in moments)
