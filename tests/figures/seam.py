"""The raw facts of a history, as the server's figures take them, and their answers in the shape of the specification.

What storage makes out of rows (`Learner.active_products`, counts of quizzes and polls, the latest answer) is made here
the slow way; that storage makes the same is for the test over HTTP.
"""

from __future__ import annotations

import zoneinfo

from actors.figures import activities, attendance, buckets, classes, facts, participation, rates, spans, study
from tests.figures import learning_spec as spec
from tests.figures.facts import Asked, Content, History, LiveClass
from tests.figures.spec_classes import Json, Learner, is_cancelled, is_live
from tests.figures.spec_days import MONTHS, shown

IN_CLASSES = "live_class"


def told(history: History, asked: Asked) -> facts.Learner:
    slow = Learner(history, asked)
    return facts.Learner(
        enrolments=[facts.Enrolment(one.product, one.enrolled_at, one.ended_at) for one in history.enrolments],
        active_products=frozenset(product for product in slow.active_in() if product is not None),
        classes=[_class(slow, live) for live in history.classes],
        presences=_presences(history),
        watched=[(one.start_at, one.end_at) for one in history.segments if one.content and one.verified],
        exams=[facts.ExamOffer(one.id, one.product, one.type, one.start_at, one.duration_s) for one in history.exams],
        sessions=[facts.ExamSession(one.exam_id, one.end_at, one.time_taken_s) for one in history.exam_sessions],
        quizzes=[
            facts.Quiz(one.id, one.where, one.product, one.offered_at)
            for one in history.quizzes
            if one.kind != IN_CLASSES
        ],
        answers=[facts.Answer(*key, correct, at) for key, (at, correct) in slow.answers().items()],
        polls_answered={live.id: slow.polls_answered_in(live) for live in history.classes},
        contents=[_content(history, one) for one in history.contents if one.published and one.has_video],
    )


def _class(slow: Learner, live: LiveClass) -> facts.LiveClass:
    room, end = live.room, live.told
    return facts.LiveClass(
        live.id,
        live.product,
        live.name,
        live.subject,
        None,
        live.start_at if live.in_catalog else None,
        live.end_at if live.in_catalog else None,
        end.start_at if end and end.start_at is not None else room.started_at if room else None,
        end.end_at if end else room.ended_at if room else None,
        is_live(live),
        is_cancelled(live),
        live.required,
        slow.quizzes_of(live),
        slow.polls_of(live),
    )


def _presences(history: History) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for presence in history.presences:
        found.setdefault(presence.class_id, []).append((presence.joined_at, presence.left_at))
    return found


def _content(history: History, content: Content) -> facts.Content:
    credited = [
        one.start_at
        for one in history.segments
        if one.content == (content.kind, content.id) and one.verified and one.start_at < one.end_at
    ]
    first = min(credited, default=None)
    return facts.Content(content.kind, content.id, content.product, content.duration_ms, content.published_at, first)


class Figures:
    """The server's figures of one learner, asked as `learning_spec` is."""

    def __init__(self, history: History, asked: Asked) -> None:
        self.learner = told(history, asked)
        self.asked = asked
        self.zone = zoneinfo.ZoneInfo(asked.zone)
        self.span = spans.Span(asked.start, asked.end)
        self.rules = facts.Rules(asked.late_grace_s * 1000, asked.attended_min_s * 1000)

    def activities(self) -> Json:
        found = activities.activities(self.learner, self.span, self.zone, self.rules, self.asked.now)
        return {
            **spec.range_of(self.asked),
            "live_class_attendance": {
                "total_classes": found.counts.offered,
                "total_attended": found.counts.attended,
                "attendance_rate": found.counts.rate,
                "histories": [
                    {
                        "date": shown(day.start),
                        "total_offered_live_classes": day.counts.offered,
                        "attended": day.counts.attended,
                        "was_late": day.counts.late > 0,
                    }
                    for day in found.days
                ],
            },
            "assignment": {
                "total_assignment": found.assignments,
                "practiced_assignment": found.assignments_done,
            },
            "quiz": {"total_quiz_practiced": found.quizzes_practised},
            "quiz_correctness": {
                "total_quiz": found.correctness.offered,
                "total_participated": found.correctness.answered,
                "correctness_rate": found.correctness.rate,
            },
            "class_participation": {
                "total_class": found.participation.classes,
                "total_attended": found.participation.attended,
                "participation_rate": found.participation.rate,
            },
        }

    def times(self) -> Json:
        found = study.times(self.learner, self.span, self.zone, self.asked.now)
        return {
            **spec.range_of(self.asked),
            "total_learning_duration": found.total_s,
            "daily_learning": {"avg_duration": found.average_s},
            "total_offered_learning_duration": found.offered_s,
            "histories": [
                {
                    "level": buckets.label(one.bucket, MONTHS),
                    "total_duration": one.total_s,
                    "segments": [{"type": kind, "engaged_duration": one.by_type[kind]} for kind in study.TYPES],
                }
                for one in found.slices
            ],
            "details": [
                {
                    "type": kind,
                    "total_duration": found.offered[kind],
                    "engaged_duration": found.engaged[kind],
                    "progress": min(100.0, rates.percent(found.engaged[kind], found.offered[kind])),
                }
                for kind in study.TYPES
            ],
        }

    def seen(self) -> list[classes.Seen]:
        return classes.required(self.learner, self.span, self.rules, self.asked.now)

    def one(self, class_id: str) -> classes.Seen:
        live = next(live for live in self.learner.classes if live.live_class_id == class_id)
        return classes.seen(live, self.learner.presences.get(class_id, ()), self.rules, self.asked.now)

    def attendance(self) -> Json:
        seen = self.seen()
        counts = attendance.summary(seen)
        values = [counts.offered, counts.attended, counts.late, counts.absent]
        return {
            **spec.range_of(self.asked),
            "summary": {
                "attendance_rate": counts.rate,
                "data": [
                    {"type": name, "value": value, "progress": rates.percent(value, counts.offered)}
                    for name, value in zip(spec.SUMMARY, values, strict=True)
                ],
            },
            "products": [
                {
                    "title": spec.product_name(product),
                    "catalog_product_id": spec.named(product),
                    "attendance_rate": of_product.rate,
                }
                for product, of_product in attendance.by_product(seen)
            ],
        }

    def overview(self) -> Json:
        seen = self.seen()
        return {
            **spec.range_of(self.asked),
            "overview": [
                {
                    "date": shown(day.start),
                    "total_offered": day.counts.offered,
                    "total_attended": day.counts.attended,
                    "total_absent": day.counts.absent,
                    "was_late": day.counts.late > 0,
                    "is_sticky": day.is_sticky,
                    "color": day.outcome,
                }
                for day in attendance.days(seen, self.zone, full_before=self._full_before(seen))
            ],
        }

    def _full_before(self, seen: list[classes.Seen]) -> bool:
        if not seen or seen[0].cls.start_at is None:
            return False
        first = spans.midnight(spans.day_of(seen[0].cls.start_at, self.zone), self.zone)
        earlier = classes.required(self.learner, spans.Span(0, first), self.rules, self.asked.now)
        days = attendance.days(earlier, self.zone)
        return bool(days) and days[-1].full

    def details(self, product: str) -> Json:
        seen = [one for one in self.seen() if one.cls.product_id == product]
        return {
            "catalog_product_id": spec.named(product),
            **spec.range_of(self.asked),
            "modules": [
                {
                    "name": subject,
                    "attendance_rate": counts.rate,
                    "total_live_class": counts.offered,
                    "total_attended": counts.attended,
                    "total_late_entry": counts.late,
                    "total_absent": counts.absent,
                }
                for subject, counts in attendance.by_subject(seen)
            ],
        }

    def class_attendance(self, class_id: str) -> Json:
        """Of endpoint 7."""
        seen = self.one(class_id)
        return {
            "was_present": seen.attended,
            "was_late": seen.late,
            "total_live_class_duration": seen.length_s,
            "total_presence_duration": seen.present_s,
            "total_absence_duration": seen.length_s - seen.present_s,
        }

    def class_participation_rate(self, class_id: str) -> float:
        """Of endpoint 8."""
        live = self.one(class_id).cls
        answered = sum(answer.identification_id == class_id for answer in self.learner.answers)
        return rates.rounded(participation.share(live, answered, self.learner.polls_answered[class_id]))
