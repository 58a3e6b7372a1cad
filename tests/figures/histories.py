"""A learner's facts, drawn at the boundaries of what learning-api.md defines."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st

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
from tests.figures.spec_days import DAY, midnight

SEC: Final = 1000
MIN: Final = 60 * SEC
HOUR: Final = 60 * MIN

ZONES: Final = {
    "Asia/Dhaka": ["2024-02-01", "2024-12-31"],
    "Asia/Kathmandu": ["2024-02-29", "2023-12-31"],
    "Europe/Berlin": ["2024-03-31", "2024-10-27"],
    "America/New_York": ["2024-03-10", "2024-11-03"],
    "America/Sao_Paulo": ["2018-11-04", "2018-02-18"],  # midnight itself is skipped, or comes twice
}
PRODUCTS: Final = ("15", "7", "algebra")
SUBJECTS: Final = ["Physics", "Chemistry"]
CLASS_LENGTHS: Final = [2 * MIN, 6 * MIN, 10 * MIN]
STAYS: Final = [20 * MIN, 60 * SEC, 2 * MIN, 5 * MIN, 59 * SEC, 61 * SEC, 59_999, 60_001, SEC, 0]
ARRIVALS: Final = [0, -10 * MIN, -SEC, SEC, 299 * SEC, 300 * SEC, 300_001, 301 * SEC, 302 * SEC, 330 * SEC]
FRACTIONS: Final = [0, 0, 0, 1, 500, 999]
DRIFTS: Final = [-5 * MIN, -MIN, -SEC, 0, 0, 0, SEC, MIN, 5 * MIN, 6 * MIN]
OF_DAY: Final = [-MIN, -SEC, 0, 0, SEC, 90 * MIN, 10 * HOUR, 10 * HOUR + 5 * MIN, 23 * HOUR]
OFFSETS: Final = [-1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, -33]
RANGE_DAYS: Final = [4, 3, 7, 14, 15, 30, 92, 93, 13, 91, 2, 1, 200]
RULES: Final = [(60, 300), (60, 300), (60, 300), (59, 299), (61, 301), (1, 0)]
"""Attended minimum and late grace, seconds."""
RECORDED: Final = ("lms_lesson", "v1")


@dataclass(frozen=True)
class Drawn:
    history: History
    asked: Asked


@dataclass(frozen=True)
class Calendar:
    zone: str
    day: dt.date

    def moment(self, draw: st.DrawFn) -> int:
        """About a midnight, a change of the clocks or a month's end."""
        day = self.day + DAY * draw(st.sampled_from(OFFSETS))
        return midnight(day, self.zone) + draw(st.sampled_from(OF_DAY))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    zone = draw(st.sampled_from(sorted(ZONES)))
    return Calendar(zone, dt.date.fromisoformat(draw(st.sampled_from(ZONES[zone]))))


@st.composite
def drawn(draw: st.DrawFn, most: int = 5, *, usual_rules: bool = False) -> Drawn:
    """Any learner, with up to so many classes; under the rules of most houses, or of any."""
    calendar = draw(calendars())
    classes = [
        _scheduled(draw, calendar, str(number)) for number in range(1, 1 + draw(st.sampled_from([3, 2, 4, 1, most])))
    ]
    now = _now(draw, calendar, classes)
    classes = [_lived(draw, live, now) for live in classes]
    history = _facts(draw, calendar, tuple(classes), now)
    start, end = _range(draw, calendar)
    rules = (60, 300) if usual_rules else draw(st.sampled_from(RULES))
    return Drawn(history, Asked(start, end, calendar.zone, now, *rules))


def _scheduled(draw: st.DrawFn, calendar: Calendar, identity: str) -> LiveClass:
    start = calendar.moment(draw)
    return LiveClass(
        identity if draw(st.booleans()) else f"c{identity}",
        draw(st.sampled_from(PRODUCTS)),
        start,
        start + draw(st.sampled_from(CLASS_LENGTHS)),
        subject=draw(st.sampled_from(SUBJECTS)),
        required=draw(st.integers(0, 7)) != 3,
        cancelled=draw(st.integers(0, 14)) == 7,
    )


def _now(draw: st.DrawFn, calendar: Calendar, classes: list[LiveClass]) -> int:
    far = midnight(calendar.day + DAY * 40, calendar.zone)
    if draw(st.booleans()):
        return far
    edges = [edge for live in classes for edge in (live.start_at, live.start_at + 90 * SEC, live.end_at, live.end_at)]
    if not edges:
        return calendar.moment(draw)
    return draw(st.sampled_from(edges)) + draw(st.sampled_from([7 * MIN, -1, 0, 0, 0, 1, SEC, 2 * HOUR]))


def _lived(draw: st.DrawFn, live: LiveClass, now: int) -> LiveClass:
    """What became of a class by now: never started, running, over, told of by others, cancelled."""
    if live.cancelled:
        return live
    started = live.start_at + draw(st.sampled_from(DRIFTS)) + draw(st.sampled_from(FRACTIONS))
    ended = max(started, live.end_at + draw(st.sampled_from(DRIFTS)) + draw(st.sampled_from(FRACTIONS)))
    room = told = None
    if draw(st.integers(0, 14)) == 7:
        return replace(live, room=Room(draw(st.sampled_from(["scheduled", "cancelled"]))))
    if started <= now and draw(st.integers(0, 4)):
        over = ended <= now and (ended + 2 * HOUR < now or draw(st.integers(0, 3)) > 0)
        room = Room("ended", started, ended) if over else Room("live", started)
    if ended <= now and (room is None or room.state == "ended") and draw(st.integers(0, 2)) == 0:
        told = _told(draw, started, ended, now)
        if told.start_at is not None and draw(st.integers(0, 2)) == 0:
            live = replace(live, start_at=told.start_at, end_at=told.end_at, subject="", in_catalog=False)
    return replace(live, room=room, told=told)


def _told(draw: st.DrawFn, started: int, ended: int, now: int) -> ClassEnd:
    start = draw(st.sampled_from([None, started, started + draw(st.sampled_from(DRIFTS))]))
    end = min(now, ended + draw(st.sampled_from([0, 0, SEC, MIN, -SEC])))
    count = st.sampled_from([None, None, 0, 1, 3])
    return ClassEnd(max(end, start or end), start if start is None or start <= now else None, draw(count), draw(count))


def _facts(draw: st.DrawFn, calendar: Calendar, classes: tuple[LiveClass, ...], now: int) -> History:
    begun = [live for live in classes if live.told or (live.room and live.room.started_at is not None)]
    diligent = draw(st.booleans())  # streaks need whole days
    presences = [found for live in begun for found in _presences(draw, live, now, diligent=diligent)]
    contents = _contents(draw, calendar)
    quizzes, answers = _quizzes(draw, calendar, begun, now)
    exams, sessions = _exams(draw, calendar, presences, now)
    enrolments = _enrolments(draw, classes)
    segments = _segments(draw, calendar, contents, presences, now)
    if not enrolments:
        segments = [replace(segment, verified=True) for segment in segments]
    return History(
        products=PRODUCTS,
        classes=classes,
        presences=tuple(presences),
        enrolments=tuple(enrolments),
        contents=tuple(contents),
        segments=tuple(segments),
        exams=tuple(exams),
        exam_sessions=tuple(sessions),
        quizzes=tuple(quizzes),
        answers=tuple(answers),
        interactions=tuple(_interactions(draw, begun, now)),
        rated=frozenset(presence.class_id for presence in presences[:1]),
    )


def _until(now: int, start: int, end: int) -> tuple[int, int] | None:
    """Cut at now; None where it had not begun."""
    return (start, min(end, now)) if start <= now else None


def _presences(draw: st.DrawFn, live: LiveClass, now: int, *, diligent: bool) -> list[Presence]:
    found = []
    whole = _until(now, live.start_at - MIN, live.end_at + HOUR)
    if diligent and whole:
        found.append(Presence(live.id, *whole, "websocket", "the usual one"))
    for number in range(draw(st.sampled_from([1, 1, 2, 3, 0]))):
        base = draw(st.sampled_from([live.start_at, live.start_at, live.start_at, live.end_at]))
        joined = base + draw(st.sampled_from(ARRIVALS)) + draw(st.sampled_from(FRACTIONS))
        span = _until(now, joined, joined + draw(st.sampled_from(STAYS)) + draw(st.sampled_from(FRACTIONS)))
        if span:
            source = draw(st.sampled_from(["websocket", "http", "plugnmeet", "amqp"]))
            found.append(Presence(live.id, *span, source, f"device {number}"))
    return found


def _enrolments(draw: st.DrawFn, classes: tuple[LiveClass, ...]) -> list[Enrolment]:
    whose = draw(st.sampled_from(["all", "some", "all", "none", "some"]))
    if whose == "none":
        return []
    if whose == "all":
        return [Enrolment(product) for product in PRODUCTS]
    starts = [live.start_at for live in classes] or [0]
    found = []
    for product in PRODUCTS:
        if draw(st.integers(0, 2)) == 0:
            continue
        edges = st.sampled_from(starts).flatmap(lambda at: st.sampled_from([at - 1, at, at, at + 1]))
        since = draw(st.none() | edges)
        until = draw(st.none() | edges)
        if since is None or until is None or since <= until:
            found.append(Enrolment(product, since, until))
    return found


def _contents(draw: st.DrawFn, calendar: Calendar) -> list[Content]:
    found = []
    for identity in ["v1", "22"][: draw(st.integers(0, 2))]:
        at = draw(st.none() | st.just(calendar.moment(draw)))
        found.append(
            Content(
                RECORDED[0],
                identity,
                draw(st.sampled_from(PRODUCTS)),
                published=draw(st.integers(0, 3)) > 0,
                published_at=at,
                has_video=draw(st.integers(0, 5)) > 0,
                duration_ms=draw(st.sampled_from([None, 1, 999, 1000, 90_500, 600_000])),
            )
        )
    return found


def _segments(
    draw: st.DrawFn, calendar: Calendar, contents: list[Content], presences: list[Presence], now: int
) -> list[Segment]:
    found = []
    for content in contents:
        for _ in range(draw(st.integers(0, 3))):
            start = calendar.moment(draw) + draw(st.sampled_from(FRACTIONS))
            near: bool = draw(st.booleans())
            if presences and near:
                start = draw(st.sampled_from(presences)).joined_at + draw(st.sampled_from([-SEC, 0, 1, 30 * SEC]))
            span = _until(now, start, start + draw(st.sampled_from(STAYS)) + draw(st.sampled_from(FRACTIONS)))
            if span:
                credited = draw(st.integers(0, 5)) > 0
                found.append(Segment(*span, content=(content.kind, content.id), verified=credited))
    for presence in presences:
        if draw(st.booleans()) and presence.left_at > presence.joined_at:
            head = draw(st.sampled_from([0, 1, 999, 12_500]))
            watched = presence.left_at - presence.joined_at
            span = (presence.joined_at, presence.left_at)
            found.append(
                Segment(*span, class_id=presence.class_id, playhead_start_ms=head, playhead_end_ms=head + watched)
            )
    return list({(found_one.start_at, found_one.end_at, found_one.content): found_one for found_one in found}.values())


def _quizzes(draw: st.DrawFn, calendar: Calendar, begun: list[LiveClass], now: int) -> tuple[list[Quiz], list[Answer]]:
    quizzes, answers = [], []
    for live in begun:
        for identity in ["q1", "q2", "3"][: draw(st.integers(0, 3))]:
            offered = min(now, live.start_at + draw(st.sampled_from(ARRIVALS)))
            if draw(st.integers(0, 3)):
                quizzes.append(Quiz(identity, live.id, offered, product=live.product))
            answers += _answers(draw, identity, live.id, min(now, live.start_at + 30 * SEC))
    for identity in ["q1", "q9"][: draw(st.integers(0, 2))]:
        offered = calendar.moment(draw)
        if offered <= now:
            where = f"lesson {identity}"
            quizzes.append(Quiz(identity, where, offered, "lesson", draw(st.sampled_from(PRODUCTS))))
            answers += _answers(draw, identity, where, min(now, offered + SEC))
    return quizzes, answers


def _answers(draw: st.DrawFn, quiz: str, where: str, at: int) -> list[Answer]:
    """The later an answer, the more it counts; those before the last may be any."""
    found = []
    for number in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        when = at - number * draw(st.sampled_from([1, SEC, 24 * HOUR]))
        found.append(Answer(quiz, where, draw(st.booleans()), when, mine=draw(st.integers(0, 3)) > 0))
    return list({(answer.at, answer.mine): answer for answer in found}.values())


def _interactions(draw: st.DrawFn, begun: list[LiveClass], now: int) -> list[Interaction]:
    found = set()
    for live in begun:
        for _ in range(draw(st.integers(0, 5))):
            kind = draw(
                st.sampled_from(["poll_offered", "poll_response", "doubt_asked", "doubt_resolved", "quiz_response"])
            )
            mine = kind not in {"poll_offered", "doubt_resolved"} and draw(st.booleans())
            identity = draw(st.sampled_from(["1", "2", "p3"]))
            found.add(Interaction(live.id, kind, identity, min(now, live.start_at + MIN), mine=mine))
    return sorted(found, key=repr)


def _exams(
    draw: st.DrawFn, calendar: Calendar, presences: list[Presence], now: int
) -> tuple[list[Exam], list[ExamSession]]:
    exams, sessions = [], []
    for identity in ["e1", "2"][: draw(st.integers(0, 2))]:
        kind = draw(st.sampled_from(["assignment", "assignment", "exam"]))
        start = calendar.moment(draw)
        exams.append(Exam(identity, kind, draw(st.sampled_from(PRODUCTS)), start, draw(st.sampled_from([0, 60, 1800]))))
        for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
            end = calendar.moment(draw) + draw(st.sampled_from(FRACTIONS))
            near: bool = draw(st.booleans())
            if presences and near:
                end = draw(st.sampled_from(presences)).left_at
            if end <= now:
                sessions.append(ExamSession(identity, end, draw(st.sampled_from([0, 1, 59, 600, 1800]))))
    by_key = {(session.exam_id, session.end_at - session.time_taken_s * SEC): session for session in sessions}
    return exams, list(by_key.values())


def _range(draw: st.DrawFn, calendar: Calendar) -> tuple[int, int]:
    """Mostly days; sometimes from one moment to another."""
    start_day = calendar.day + DAY * draw(st.sampled_from([-1, -1, -2, -2, 0, -6, -33]))
    start = midnight(start_day, calendar.zone)
    end = midnight(start_day + DAY * draw(st.sampled_from(RANGE_DAYS)), calendar.zone)
    if draw(st.integers(0, 3)) == 0:
        start, end = sorted((calendar.moment(draw), end))
        end += SEC * (start == end)
    return start, end
