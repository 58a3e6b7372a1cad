"""The eight answers of learning-api.md from raw facts: slow, obvious, made from the contract alone.

Texts, icons and colours are left out, for they are the theme's; a day's colour is said by its outcome. Labels are
English.
"""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any, Final

from tests.figures.facts import Asked, History, LiveClass
from tests.figures.spec_classes import Json, Learner, is_cancelled, percent, range_of, stretch
from tests.figures.spec_days import day_of, midnight, shown
from tests.figures.spec_study import times

SUMMARY: Final = ("total_offered_classes", "total_attended", "total_late_entry", "total_absent")


class NotFound(Exception):
    """404."""


def named(identity: str) -> int | str:
    """A number where the id is a canonical decimal (reading 15)."""
    return int(identity) if identity.isascii() and identity.isdigit() and str(int(identity)) == identity else identity


def by_id(identity: str) -> tuple[bool, int, str]:
    """Numbers first, by their value."""
    number = named(identity)
    return (False, number, "") if isinstance(number, int) else (True, 0, identity)


def product_name(product: str) -> str:
    return f"Product {product}"


# -- 1 ----------------------------------------------------------------------------------------------------------------


def activities(history: History, asked: Asked) -> Json:
    learner = Learner(history, asked)
    classes = learner.counted()
    attended = [live for live in classes if learner.attended(live)]
    return {
        **range_of(asked),
        "live_class_attendance": {
            "total_classes": len(classes),
            "total_attended": len(attended),
            "attendance_rate": percent(len(attended), len(classes)),
            "histories": [
                {
                    "date": shown_day(day, asked),
                    "total_offered_live_classes": len(of_day),
                    "attended": sum(map(learner.attended, of_day)),
                    "was_late": any(map(learner.late, of_day)),
                }
                for day, of_day in reversed(learner.by_day(classes).items())
            ],
        },
        "assignment": assignment(learner),
        **quiz_figures(learner),
        "class_participation": class_participation(learner),
    }


def assignment(learner: Learner) -> Json:
    offered = [exam for exam in learner.offered_exams() if exam.type == "assignment"]
    finished = {session.exam_id for session in learner.history.exam_sessions}
    practiced = [exam for exam in offered if exam.id in finished]
    return {"total_assignment": len(offered), "practiced_assignment": len(practiced)}


def quiz_figures(learner: Learner) -> Json:
    answers = learner.answers()
    classes = learner.counted()
    elsewhere = {
        (quiz.id, quiz.where)
        for quiz in learner.history.quizzes
        if quiz.kind != "live_class"
        and learner.in_range(quiz.offered_at)
        and quiz.offered_at <= learner.asked.now
        and learner.has_product(quiz.product, quiz.offered_at)
    }
    total = sum(map(learner.quizzes_of, classes)) + len(elsewhere)
    at_classes = {live.id for live in classes}
    verdicts = [correct for key, (_, correct) in answers.items() if key in elsewhere or key[1] in at_classes]
    return {
        "quiz": {"total_quiz_practiced": sum(learner.in_range(at) for at, _ in answers.values())},
        "quiz_correctness": {
            "total_quiz": total,
            "total_participated": len(verdicts),
            "correctness_rate": percent(verdicts.count(True), len(verdicts)),
        },
    }


def class_participation(learner: Learner) -> Json:
    ended = [live for live in learner.counted() if learner.is_ended(live)]
    ratios = [(live, ratio) for live in ended if (ratio := learner.participation(live)) is not None]
    there = [(live, ratio) for live, ratio in ratios if learner.attended(live)]
    mean = sum((ratio for _, ratio in there), Fraction()) / max(1, len(ratios))
    return {
        "total_class": len(ratios),
        "total_attended": len(there),
        "participation_rate": percent(mean),
    }


# -- 3, 4, 5 ----------------------------------------------------------------------------------------------------------


def attendance(history: History, asked: Asked) -> Json:
    learner = Learner(history, asked)
    classes = learner.counted()
    attended, late, absent = counts(learner, classes)
    values = [len(classes), attended, late, absent]
    return {
        **range_of(asked),
        "summary": {
            "attendance_rate": percent(attended, len(classes)),
            "data": [
                {"type": name, "value": value, "progress": percent(value, len(classes))}
                for name, value in zip(SUMMARY, values, strict=True)
            ],
        },
        "products": [
            {
                "title": product_name(product),
                "catalog_product_id": named(product),
                "attendance_rate": rate(learner, [live for live in classes if live.product == product]),
            }
            for product in sorted({live.product for live in classes}, key=by_id)
        ],
    }


def overview(history: History, asked: Asked) -> Json:
    learner = Learner(history, asked)
    earlier = [live for live in learner.offered_ever() if live.required and live.start_at < asked.start]
    rows = []
    in_range = learner.by_day(learner.counted())
    for day, of_day in in_range.items():
        # Rows speak of the range; before the first, whole days are looked at.
        before = [of_other for other, of_other in in_range.items() if other < day]
        before = before or [of_other for other, of_other in learner.by_day(earlier).items() if other < day]
        full = bool(before) and all(map(learner.attended, before[-1]))
        attended, late, absent = counts(learner, of_day)
        rows.append(
            {
                "date": shown_day(day, asked),
                "total_offered": len(of_day),
                "total_attended": attended,
                "total_absent": absent,
                "was_late": late > 0,
                "is_sticky": full and attended == len(of_day),
                "color": outcome(learner, of_day),
            }
        )
    return {**range_of(asked), "overview": rows}


def outcome(learner: Learner, of_day: list[LiveClass]) -> str:
    attended = sum(map(learner.attended, of_day))
    if attended:
        return "all" if attended == len(of_day) else "some"
    return "none" if any(map(learner.is_ended, of_day)) else "upcoming"


def details(history: History, asked: Asked, product: str) -> Json:
    learner = Learner(history, asked)
    if product not in history.products or not learner.ever_had(product):
        raise NotFound
    classes = [live for live in learner.counted() if live.product == product]
    modules = []
    for subject in sorted({live.subject for live in classes}):
        of_subject = [live for live in classes if live.subject == subject]
        attended, late, absent = counts(learner, of_subject)
        modules.append(
            {
                "name": subject,
                "attendance_rate": percent(attended, len(of_subject)),
                "total_live_class": len(of_subject),
                "total_attended": attended,
                "total_late_entry": late,
                "total_absent": absent,
            }
        )
    return {"catalog_product_id": named(product), **range_of(asked), "modules": modules}


def counts(learner: Learner, classes: list[LiveClass]) -> tuple[int, int, int]:
    """How many of them were attended, came to late, missed."""
    return sum(map(learner.attended, classes)), sum(map(learner.late, classes)), sum(map(learner.absent, classes))


def rate(learner: Learner, classes: list[LiveClass]) -> float:
    return percent(sum(map(learner.attended, classes)), len(classes))


# -- 6, 7, 8 ----------------------------------------------------------------------------------------------------------


def day_of_classes(history: History, asked: Asked, day: dt.date) -> Json:
    learner = Learner(history, asked)
    classes = [
        live
        for live in history.classes
        if day_of(live.start_at, asked.zone) == day
        and not is_cancelled(live)
        and learner.has_product(live.product, live.start_at)
    ]
    return {
        "date": shown_day(day, asked),
        "live_classes": [
            {
                "product": {"id": named(live.product), "name": product_name(live.product)},
                "live_class_name": live.name,
                "start_at": shown(live.start_at),
                "end_at": shown(live.end_at),
                "is_absent": learner.absent(live),
                "was_late": learner.late(live),
            }
            for live in sorted(classes, key=lambda live: (live.start_at, by_id(live.id)))
        ],
    }


def found(learner: Learner, class_id: str) -> LiveClass:
    for live in learner.history.classes:
        if live.id == class_id and learner.ever_had(live.product):
            return live
    raise NotFound


def class_details(history: History, asked: Asked, class_id: str) -> Json:
    learner = Learner(history, asked)
    live = found(learner, class_id)
    window, presence = learner.window(live), learner.presence(live)
    segments = [segment for segment in history.segments if segment.class_id == live.id and segment.verified]
    return {
        "class_details": {
            "live_class": {
                "live_class_id": named(live.id),
                "name": live.name,
                "start_at": shown(live.start_at),
                "end_at": shown(live.end_at),
                "rating_status": "done" if live.id in history.rated else "pending",
            },
            "attendance": {
                "was_present": learner.attended(live),
                "was_late": learner.late(live),
                "total_live_class_duration": len(window),
                "total_presence_duration": len(presence),
                "total_absence_duration": len(window) - len(presence),
            },
            "study_logs": [
                {
                    "start_timestamp": shown(segment.start_at),
                    "end_timestamp": shown(segment.end_at),
                    "playhead_start_at": segment.playhead_start_ms // 1000,
                    "playhead_end_at": segment.playhead_end_ms // 1000,
                    "duration": len(stretch(segment.playhead_start_ms, segment.playhead_end_ms)),
                }
                for segment in sorted(segments, key=lambda segment: (segment.start_at, segment.end_at))
            ],
        }
    }


def interaction(history: History, asked: Asked, class_id: str) -> Json:
    learner = Learner(history, asked)
    live = found(learner, class_id)
    quizzes, polls = learner.quizzes_of(live), learner.polls_of(live)
    right, wrong = learner.answered_in(live)
    responded = learner.polls_answered_in(live)
    doubts, resolved = learner.doubts_of(live)
    return {
        "class_participation_rate": percent(learner.participation(live) or 0),
        "total_offered_quizes": quizzes,
        "total_correct_answer": right,
        "totola_wrong_answer": wrong,
        "total_unaswered": quizzes - right - wrong,
        "total_offered_polls": polls,
        "total_responded_polls": responded,
        "total_unresponded_polls": polls - responded,
        "total_doubt_asked": doubts,
        "total_doubt_resolved": resolved,
        "total_doubt_unresolved": doubts - resolved,
    }


# -- all --------------------------------------------------------------------------------------------------------------


def shown_day(day: Any, asked: Asked) -> str:
    return shown(midnight(day, asked.zone))


__all__ = [
    "NotFound",
    "activities",
    "attendance",
    "class_details",
    "day_of_classes",
    "details",
    "interaction",
    "overview",
    "range_of",
    "times",
]
