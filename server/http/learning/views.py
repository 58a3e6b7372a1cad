"""Figures as the answers of endpoints 1 to 6. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from actors.figures import attendance, buckets, classes, rates
from actors.figures.activities import Activities
from actors.figures.attendance import Counts, Day
from actors.figures.classes import Seen
from actors.figures.spans import Span
from actors.figures.study import TYPES, Slice, Times
from protocol import learning as answers
from protocol.rest import public_id, rfc3339
from server.http.learning.words import Words

asdict = msgspec.structs.asdict


def when(at: int) -> str:
    """A time of which there is one."""
    return rfc3339(at) or ""


def activities(found: Activities, within: Span, words: Words) -> answers.ActivitiesAnswer:
    """Endpoint 1."""
    counts = found.counts
    return answers.ActivitiesAnswer(
        title=words.text("activities_title"),
        start_at=when(within.start),
        end_at=when(within.end),
        commentary=words.commentary(counts.rate, counts.offered),
        live_class_attendance=answers.ClassAttendanceCard(
            **asdict(words.card("live_class_attendance")),
            total_classes=counts.offered,
            total_attended=counts.attended,
            attendance_rate=counts.rate,
            histories=[_history(day, words) for day in found.days],
        ),
        assignment=answers.AssignmentCard(
            **asdict(words.card("assignment")),
            total_assignment=found.assignments,
            practiced_assignment=found.assignments_done,
        ),
        quiz=answers.QuizCard(**asdict(words.card("quiz")), total_quiz_practiced=found.quizzes_practised),
        quiz_correctness=answers.QuizCorrectnessCard(
            **asdict(words.card("quiz_correctness")),
            total_quiz=found.correctness.offered,
            total_participated=found.correctness.answered,
            correctness_rate=found.correctness.rate,
        ),
        class_participation=answers.ClassParticipationCard(
            **asdict(words.card("class_participation")),
            total_class=found.participation.classes,
            total_attended=found.participation.attended,
            participation_rate=found.participation.rate,
        ),
    )


def _history(day: Day, words: Words) -> answers.ClassHistory:
    return answers.ClassHistory(
        date=when(day.start),
        total_offered_live_classes=day.counts.offered,
        attended=day.counts.attended,
        background_color=words.theme.color(f"day_{day.outcome}"),
        was_late=day.counts.late > 0,
    )


def times(found: Times, within: Span, words: Words, *, with_details: bool) -> answers.TimesAnswer:
    """Endpoint 2."""
    months = words.months()
    answer = answers.TimesAnswer(
        title=words.text("times_title"),
        start_at=when(within.start),
        end_at=when(within.end),
        total_learning_duration=found.total_s,
        daily_learning=answers.DailyLearning(found.average_s, words.text("daily_learning_text")),
        total_offered_learning_duration=found.offered_s,
        histories=[_slice(one, months) for one in found.slices],
        colors={name: words.theme.color(f"type_{name}") for name in TYPES},
    )
    if not with_details:
        return answer
    return msgspec.structs.replace(answer, details=[_detail(name, found, words) for name in TYPES])


def _slice(one: Slice, months: list[str]) -> answers.LearningHistory:
    segments = [answers.LearningSegment(name, one.by_type[name]) for name in TYPES]
    return answers.LearningHistory(buckets.label(one.bucket, months), one.total_s, segments)


def _detail(name: str, found: Times, words: Words) -> answers.LearningDetail:
    offered, engaged = found.offered[name], found.engaged[name]
    key = f"type_{name}"
    progress = rates.percent(min(engaged, offered), offered)
    return answers.LearningDetail(words.text(key), words.theme.icon(key), name, offered, engaged, progress)


def live_class_attendance(
    seen: list[Seen], names: Mapping[str, str], within: Span, words: Words
) -> answers.LiveClassAttendanceAnswer:
    """Endpoint 3."""
    counts = attendance.summary(seen)
    return answers.LiveClassAttendanceAnswer(
        title=words.text("attendance_title"),
        start_at=when(within.start),
        end_at=when(within.end),
        commentery=words.commentary(counts.rate, counts.offered),
        summary=answers.AttendanceSummary(counts.rate, words.text("attendance_summary_text"), _data(counts)),
        products=[
            answers.ProductAttendance(names.get(key, key), public_id(key), those.rate)
            for key, those in attendance.by_product(seen)
        ],
    )


def _data(counts: Counts) -> list[answers.AttendanceDatum]:
    values = {
        "total_offered_classes": counts.offered,
        "total_attended": counts.attended,
        "total_late_entry": counts.late,
        "total_absent": counts.absent,
    }
    return [
        answers.AttendanceDatum(name, value, rates.percent(value, counts.offered)) for name, value in values.items()
    ]


def overview(days: Iterable[Day], within: Span, words: Words) -> answers.OverviewAnswer:
    """Endpoint 4."""
    rows = [
        answers.OverviewDay(
            date=when(day.start),
            total_offered=day.counts.offered,
            total_attended=day.counts.attended,
            total_absent=day.counts.absent,
            was_late=day.counts.late > 0,
            is_sticky=day.is_sticky,
            color=words.theme.color(f"day_{day.outcome}"),
        )
        for day in days
    ]
    return answers.OverviewAnswer(when(within.start), when(within.end), rows)


def modules(
    product_id: str, seen: Iterable[Seen], within: Span, title: str, words: Words
) -> answers.AttendanceDetailsAnswer:
    """Endpoint 5."""
    return answers.AttendanceDetailsAnswer(
        title=title,
        catalog_product_id=public_id(product_id),
        start_at=when(within.start),
        end_at=when(within.end),
        modules=[
            answers.ModuleAttendance(
                name or words.text("module_unnamed"),
                counts.rate,
                counts.offered,
                counts.attended,
                counts.late,
                counts.absent,
            )
            for name, counts in attendance.by_subject(seen)
        ],
    )


def day_classes(start: int, seen: Iterable[Seen], names: Mapping[str, str]) -> answers.DayAnswer:
    """Endpoint 6."""
    return answers.DayAnswer(when(start), [_day_class(one, names) for one in seen])


def _day_class(seen: Seen, names: Mapping[str, str]) -> answers.DayClass:
    cls = seen.cls
    product_id = cls.product_id or ""
    return answers.DayClass(
        product=answers.ProductName(public_id(product_id), names.get(product_id, product_id)),
        live_class_name=cls.live_class_id if cls.name is None else cls.name,
        start_at=when(cls.start_at or 0),
        end_at=rfc3339(classes.shown_end(cls)),
        is_absent=seen.absent,
        was_late=seen.late,
    )
