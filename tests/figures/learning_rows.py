"""A history as rows of the tables that the dashboards read.

Plain INSERTs, so that no rule of the server has a hand in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

import asyncpg

from tests.figures.facts import History, LiveClass
from tests.figures.learning_spec import product_name

LEARNER: Final = "asha"
OTHER: Final = "bela"
NOBODY: Final = ""
TABLES: Final = (
    "products",
    "programs",
    "catalog_classes",
    "enrolments",
    "contents",
    "rooms",
    "classes",
    "presence_intervals",
    "attendance",
    "watch_sessions",
    "study_logs",
    "interactions",
    "quizzes",
    "quiz_responses",
    "exams",
    "exam_sessions",
    "ratings",
)
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def utc(at_ms: int | None) -> dt.datetime | None:
    return None if at_ms is None else EPOCH + dt.timedelta(milliseconds=at_ms)


async def write(connection: asyncpg.Connection, history: History) -> None:
    """Put it in place of whatever was there."""
    async with connection.transaction():
        for table in TABLES:
            await connection.execute(f"DELETE FROM {table}")
        for table, rows in [*_catalog(history), *_classes(history), *_study(history), *_interactions(history)]:
            await _insert(connection, table, rows)


async def _insert(connection: asyncpg.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


Rows = Iterable[dict[str, Any]]


def _catalog(history: History) -> list[tuple[str, Rows]]:
    return [
        (
            "products",
            [{"product_id": one, "name": product_name(one), "updated_at": EPOCH} for one in history.products],
        ),
        ("programs", [{"program_id": "3", "name": "Program 3", "updated_at": EPOCH}]),
        ("catalog_classes", [_catalog_class(live) for live in history.classes if live.in_catalog]),
        (
            "enrolments",
            (
                {
                    "product_id": one.product,
                    "user_id": LEARNER,
                    "enrolled_at": utc(one.enrolled_at),
                    "ended_at": utc(one.ended_at),
                    "updated_at": EPOCH,
                }
                for one in history.enrolments
            ),
        ),
        (
            "contents",
            (
                {
                    "kind": one.kind,
                    "content_id": one.id,
                    "title": f"Lesson {one.id}",
                    "duration_ms": one.duration_ms,
                    "catalog_product_id": one.product,
                    "has_video": one.has_video,
                    "published": one.published,
                    "published_at": utc(one.published_at),
                    "updated_at": EPOCH,
                }
                for one in history.contents
            ),
        ),
        (
            "ratings",
            (
                {"live_class_id": one, "user_id": LEARNER, "stars": 5, "rated_at": EPOCH}
                for one in sorted(history.rated)
            ),
        ),
    ]


def _catalog_class(live: LiveClass) -> dict[str, Any]:
    return {
        "live_class_id": live.id,
        "name": live.name,
        "catalog_product_id": live.product,
        "program_id": "3",
        "subject": live.subject,
        "start_at": utc(live.start_at),
        "end_at": utc(live.end_at),
        "is_required": live.required,
        "status": "cancelled" if live.cancelled else "scheduled",
        "updated_at": EPOCH,
        "room_told": True,
    }


def _classes(history: History) -> list[tuple[str, Rows]]:
    return [
        (
            "rooms",
            (
                {
                    "room_id": live.id,
                    "state": live.room.state,
                    "started_at": utc(live.room.started_at),
                    "ended_at": utc(live.room.ended_at),
                    "peak": 0,
                    "attended": 0,
                }
                for live in history.classes
                if live.room
            ),
        ),
        (
            "classes",
            (
                {
                    "live_class_id": live.id,
                    "catalog_product_id": live.product,
                    "start_at": utc(live.told.start_at),
                    "end_at": utc(live.told.end_at),
                    "total_quiz": live.told.total_quiz,
                    "total_poll": live.told.total_poll,
                    "is_required": live.required or live.in_catalog,
                    "room_told": True,
                }
                for live in history.classes
                if live.told
            ),
        ),
        (
            "presence_intervals",
            (
                {
                    "room_id": one.class_id,
                    "user_id": LEARNER,
                    "number": number,
                    "joined_at": utc(one.joined_at),
                    "left_at": utc(one.left_at),
                    "source": one.source,
                    "device_id": one.device,
                    "open": False,
                }
                for number, one in enumerate(history.presences, 1)
            ),
        ),
    ]


def _study(history: History) -> list[tuple[str, Rows]]:
    sessions, segments = [], []
    for number, one in enumerate(history.segments):
        kind, content_id = one.content or (None, None)
        whose = {
            "session_id": f"s{number}",
            "user_id": LEARNER,
            "kind": kind,
            "content_id": content_id,
            "room_id": one.class_id,
        }
        sessions.append(
            whose
            | {"device_id": "phone", "door": "http", "started_at": utc(one.start_at), "ended_at": utc(one.end_at)}
            | dict.fromkeys(["last_seq", "position_ms", "watch_ms", "content_ms", "covered_ms"], 0)
            | {"coverage": 0.0, "completed": False}
        )
        segments.append(
            whose
            | {
                "number": 1,
                "start_timestamp": utc(one.start_at),
                "end_timestamp": utc(one.end_at),
                "playhead_start_ms": one.playhead_start_ms,
                "playhead_end_ms": one.playhead_end_ms,
                "rate": 1.0,
                "rate_ms": 0.0,
                "visible_ms": 0,
                "verified": one.verified,
                "offline": False,
                "open": False,
            }
        )
    return [("watch_sessions", sessions), ("study_logs", segments), *_exams(history)]


def _exams(history: History) -> list[tuple[str, Rows]]:
    return [
        (
            "exams",
            (
                {
                    "exam_id": one.id,
                    "type": one.type,
                    "catalog_product_id": one.product,
                    "start_at": utc(one.start_at),
                    "duration_s": one.duration_s,
                }
                for one in history.exams
            ),
        ),
        (
            "exam_sessions",
            (
                {
                    "exam_id": one.exam_id,
                    "user_id": LEARNER,
                    "start_at": utc(one.end_at - one.time_taken_s * 1000),
                    "time_taken_s": one.time_taken_s,
                    "end_at": utc(one.end_at),
                }
                for one in history.exam_sessions
            ),
        ),
    ]


def _interactions(history: History) -> list[tuple[str, Rows]]:
    latest: dict[tuple[str, str, str], dict[str, Any]] = {}
    products = {(one.id, one.where): one.product for one in history.quizzes}
    for one in sorted(history.answers, key=lambda one: one.at):
        user = LEARNER if one.mine else OTHER
        latest[user, one.quiz, one.where] = {
            "user_id": user,
            "quiz_id": one.quiz,
            "identification_id": one.where,
            "catalog_product_id": products.get((one.quiz, one.where)),
            "is_correct": one.correct,
            "answered_at": utc(one.at),
        }
    return [
        (
            "quizzes",
            (
                {
                    "quiz_id": one.id,
                    "identification_id": one.where,
                    "identification_type": one.kind,
                    "catalog_product_id": one.product,
                    "offered_at": utc(one.offered_at),
                }
                for one in history.quizzes
            ),
        ),
        ("quiz_responses", latest.values()),
        (
            "interactions",
            (
                {
                    "room_id": one.class_id,
                    "user_id": LEARNER if one.mine else NOBODY if one.kind == "poll_offered" else OTHER,
                    "kind": one.kind,
                    "id": one.id,
                    "at": utc(one.at),
                }
                for one in history.interactions
            ),
        ),
    ]
