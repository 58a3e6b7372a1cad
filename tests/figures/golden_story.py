"""A week of a learner in Dhaka, and of one of whom nothing is known; the goldens are their pages, made by hand."""

from __future__ import annotations

import datetime as dt
from typing import Final

from tests.figures.facts import (
    Answer,
    Asked,
    ClassEnd,
    Content,
    Enrolment,
    Exam,
    ExamSession,
    History,
    Interaction,
    LiveClass,
    Presence,
    Quiz,
    Room,
    Segment,
)

ZONE: Final = "Asia/Dhaka"
PRODUCTS: Final = ("15", "7", "algebra")


def at(text: str) -> int:
    """`06T04:06:00` of February 2024, UTC, as Unix ms; `01-30T04:00:00` of another month."""
    month = "" if text[2] == "-" else "02-"
    return int(dt.datetime.fromisoformat(f"2024-{month}{text}+00:00").timestamp()) * 1000


NOW: Final = at("07T12:00:00")
ASKED: Final = Asked(at("01-31T18:00:00"), at("07T18:00:00"), ZONE, NOW)


def _class(identity: str, product: str, subject: str, start: str, end: str, **more: object) -> LiveClass:
    room = Room("ended", at(start), at(end))
    return LiveClass(identity, product, at(start), at(end), subject, **({"room": room} | more))  # type: ignore[arg-type]


_WATCHED_S: Final = 54 * 60
_TOLD: Final = ClassEnd(at("06T05:00:00"), at("06T04:00:00"), total_quiz=3, total_poll=2)

FULL: Final = History(
    products=PRODUCTS,
    classes=(
        _class("100", "15", "Optics", "01-30T04:00:00", "01-30T05:00:00"),
        _class("101", "15", "Optics", "05T04:00:00", "05T05:00:00"),
        _class("102", "15", "Waves", "06T04:00:00", "06T05:00:00", told=_TOLD),
        _class("103", "algebra", "Sets", "06T06:00:00", "06T06:30:00"),
        _class("104", "15", "Waves", "07T11:30:00", "07T12:30:00", room=Room("live", at("07T11:30:00"))),
        _class("105", "15", "Optics", "04T04:00:00", "04T04:30:00", required=False),
        _class("106", "15", "Waves", "07T14:00:00", "07T15:00:00", room=None),
    ),
    presences=(
        Presence("100", at("01-30T04:00:00"), at("01-30T05:00:00")),
        Presence("101", at("05T03:58:00"), at("05T05:00:00")),
        Presence("101", at("05T04:30:00"), at("05T05:02:00"), "http", "laptop"),
        Presence("102", at("06T04:06:00"), at("06T05:00:00")),
        Presence("104", at("07T11:30:30"), NOW),
    ),
    enrolments=(Enrolment("15"), Enrolment("algebra")),
    contents=(Content("lms_lesson", "v1", "15", published_at=at("02T00:00:00"), duration_ms=1_200_000),),
    segments=(
        Segment(at("06T04:50:00"), at("06T05:10:00"), content=("lms_lesson", "v1"), playhead_end_ms=1_200_000),
        Segment(
            at("06T04:06:00"),
            at("06T05:00:00"),
            class_id="102",
            playhead_start_ms=12_500,
            playhead_end_ms=12_500 + _WATCHED_S * 1000,
        ),
    ),
    exams=(
        Exam("e1", "assignment", "algebra", at("03T04:00:00"), 1800),
        Exam("e2", "assignment", "15", at("05T05:00:00"), 600),
    ),
    exam_sessions=(ExamSession("e1", at("03T04:25:00"), 1200),),
    quizzes=(
        Quiz("q1", "102", at("06T04:20:00"), product="15"),
        Quiz("q2", "102", at("06T04:30:00"), product="15"),
        Quiz("q1", "103", at("06T06:10:00"), product="algebra"),
    ),
    answers=(
        Answer("q1", "102", correct=False, at=at("06T04:20:30")),
        Answer("q1", "102", correct=True, at=at("06T04:20:40")),
        Answer("q2", "102", correct=False, at=at("06T04:31:00")),
    ),
    interactions=(
        Interaction("102", "poll_offered", "p1", at("06T04:40:00"), mine=False),
        Interaction("102", "poll_response", "p1", at("06T04:40:10")),
        Interaction("102", "doubt_asked", "d1", at("06T04:41:00")),
        Interaction("102", "doubt_asked", "d2", at("06T04:42:00")),
        Interaction("102", "doubt_resolved", "d1", at("06T04:50:00"), mine=False),
    ),
    rated=frozenset({"102"}),
)

EMPTY: Final = History(
    products=PRODUCTS,
    classes=(_class("201", "7", "Optics", "08T04:00:00", "08T05:00:00", room=None),),
    enrolments=(Enrolment("7"),),
)
