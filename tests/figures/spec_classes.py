"""What is offered, attended, late, absent, answered: the definitions of learning-api.md, one by one.

Over sets of seconds: nothing here is fast, and nothing is shared with the server.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.figures.facts import Asked, Exam, History, Interaction, LiveClass
from tests.figures.spec_days import day_of, shown

Seconds = set[int]
Json = dict[str, Any]


def percent(value: int | Fraction, of: int = 1) -> float:
    """Half-up to two decimals; 0.0 of nothing."""
    if of == 0:
        return 0.0
    return math.floor(Fraction(value) / of * 10_000 + Fraction(1, 2)) / 100


def stretch(start_ms: int, end_ms: int) -> range:
    """Whole seconds: both ends floored first (reading 1)."""
    return range(start_ms // 1000, end_ms // 1000)


@dataclass(frozen=True)
class Learner:
    """One learner's history under one question."""

    history: History
    asked: Asked

    # -- products ------------------------------------------------------------------------------------------------------

    def active_in(self) -> set[str | None]:
        """Products in which anything was recorded: a presence, a segment, an answer, an exam, at any time."""
        history = self.history
        classes = {known.id: known.product for known in history.classes}
        contents = {(known.kind, known.id): known.product for known in history.contents}
        exams = {known.id: known.product for known in history.exams}
        quizzes = {(known.id, known.where): known.product for known in history.quizzes}
        found: set[str | None] = {classes.get(presence.class_id) for presence in history.presences}
        for segment in history.segments:
            found.add(contents.get(segment.content) if segment.content else classes.get(segment.class_id or ""))
        for answer in history.answers:
            if answer.mine:
                found.add(classes.get(answer.where, quizzes.get((answer.quiz, answer.where))))
        found |= {exams.get(session.exam_id) for session in history.exam_sessions}
        return found

    def has_product(self, product: str | None, at: int) -> bool:
        """Enrolled at that moment; whoever never had an enrolment has the products they were active in."""
        if not self.history.enrolments:
            return product is not None and product in self.active_in()
        return any(
            enrolment.product == product
            and (enrolment.enrolled_at is None or enrolment.enrolled_at <= at)
            and (enrolment.ended_at is None or at < enrolment.ended_at)
            for enrolment in self.history.enrolments
        )

    def ever_had(self, product: str) -> bool:
        enrolled = any(enrolment.product == product for enrolment in self.history.enrolments)
        return enrolled or product in self.active_in()

    def in_range(self, at: int) -> bool:
        return self.asked.start <= at < self.asked.end

    # -- one class -----------------------------------------------------------------------------------------------------

    def is_ended(self, live: LiveClass) -> bool:
        """The room has ended, or the scheduled end has passed and the room is not live (reading 2)."""
        if live.told is not None or (live.room is not None and live.room.state == "ended"):
            return True
        return live.end_at <= self.asked.now and not is_live(live)

    def bounds(self, live: LiveClass) -> tuple[int, int]:
        """W (reading 2)."""
        room, told = live.room, live.told
        started, ended = (room.started_at, room.ended_at) if room else (None, None)
        if told:
            started, ended = started if told.start_at is None else told.start_at, told.end_at
        begin = live.start_at if started is None else max(live.start_at, started)
        if ended is None:
            ended = max(live.end_at, self.asked.now) if is_live(live) else live.end_at
        return begin, max(begin, ended)

    def window(self, live: LiveClass) -> range:
        """W in whole seconds."""
        return stretch(*self.bounds(live))

    def presence(self, live: LiveClass) -> Seconds:
        """Seconds of the class during which any device, any source held the learner there."""
        window = self.window(live)
        found: Seconds = set()
        for presence in self.history.presences:
            if presence.class_id == live.id:
                found |= set(stretch(presence.joined_at, presence.left_at))
        return {second for second in found if second in window}

    def attended(self, live: LiveClass) -> bool:
        return len(self.presence(live)) >= self.asked.attended_min_s

    def late(self, live: LiveClass) -> bool:
        """Attended, and arrived over the grace behind the scheduled start.

        Lengths are whole seconds, but this compares two moments, as `joined.late` does. Whoever was waiting when the
        class began came when their waiting did, not when the class began.
        """
        if not self.attended(live) or not live.in_catalog:
            return False  # without a schedule nobody is late (realtime.md, reading 18)
        begin, end = self.bounds(live)
        mine = [(at.joined_at, at.left_at) for at in self.history.presences if at.class_id == live.id]
        stays = [(joined, left) for joined, left in mine if joined < left]
        arrival = min(joined for joined, left in stays if joined < end and left > begin)
        while before := [joined for joined, left in stays if joined < arrival <= left]:
            arrival = min(before)
        return arrival > live.start_at + self.asked.late_grace_s * 1000

    def absent(self, live: LiveClass) -> bool:
        return self.is_ended(live) and not self.attended(live)

    # -- many classes --------------------------------------------------------------------------------------------------

    def offered_ever(self) -> list[LiveClass]:
        """Offered up to now, in or out of the range, optional ones too."""
        return [
            live
            for live in self.history.classes
            if not is_cancelled(live)
            and live.start_at <= self.asked.now
            and self.has_product(live.product, live.start_at)
        ]

    def offered(self) -> list[LiveClass]:
        """In the range, optional ones too."""
        return [live for live in self.offered_ever() if self.in_range(live.start_at)]

    def counted(self) -> list[LiveClass]:
        """In the range, without those that are not required (reading 3)."""
        return [live for live in self.offered() if live.required]

    def offered_exams(self) -> list[Exam]:
        """Exams of every type that began in the range, up to now."""
        return [
            exam
            for exam in self.history.exams
            if self.in_range(exam.start_at)
            and exam.start_at <= self.asked.now
            and self.has_product(exam.product, exam.start_at)
        ]

    def by_day(self, classes: list[LiveClass]) -> dict[dt.date, list[LiveClass]]:
        found: dict[dt.date, list[LiveClass]] = {}
        for live in sorted(classes, key=lambda live: live.start_at):
            found.setdefault(day_of(live.start_at, self.asked.zone), []).append(live)
        return found

    # -- quizzes and polls ---------------------------------------------------------------------------------------------

    def answers(self) -> dict[tuple[str, str], tuple[int, bool]]:
        """This learner's answers: of several to one quiz the latest counts."""
        found: dict[tuple[str, str], tuple[int, bool]] = {}
        for answer in sorted(self.history.answers, key=lambda answer: answer.at):
            if answer.mine:
                found[answer.quiz, answer.where] = (answer.at, answer.correct)
        return found

    def quizzes_of(self, live: LiveClass) -> int:
        """Offered in a class: told when it ended, or known one by one; any learner's answer proves its quiz."""
        known = {quiz.id for quiz in self.history.quizzes if quiz.where == live.id}
        known |= {answer.quiz for answer in self.history.answers if answer.where == live.id}
        known |= {said.id for said in self._said(live, {"quiz_response"})}
        return max(len(known), (live.told and live.told.total_quiz) or 0)

    def polls_of(self, live: LiveClass) -> int:
        known = {said.id for said in self._said(live, {"poll_offered", "poll_response"})}
        return max(len(known), (live.told and live.told.total_poll) or 0)

    def answered_in(self, live: LiveClass) -> tuple[int, int]:
        """(right, wrong) answers in a class."""
        verdicts = [correct for (_, where), (_, correct) in self.answers().items() if where == live.id]
        return verdicts.count(True), verdicts.count(False)

    def polls_answered_in(self, live: LiveClass) -> int:
        return len({said.id for said in self._said(live, {"poll_response"}) if said.mine})

    def doubts_of(self, live: LiveClass) -> tuple[int, int]:
        """(asked, resolved) of this learner; whoever resolved it."""
        asked = {said.id for said in self._said(live, {"doubt_asked"}) if said.mine}
        resolved = {said.id for said in self._said(live, {"doubt_resolved"})}
        return len(asked), len(asked & resolved)

    def _said(self, live: LiveClass, kinds: set[str]) -> list[Interaction]:
        return [said for said in self.history.interactions if said.class_id == live.id and said.kind in kinds]

    def participation(self, live: LiveClass) -> Fraction | None:
        """Answered of offered; None where nothing was offered."""
        offered = self.quizzes_of(live) + self.polls_of(live)
        if offered == 0:
            return None
        return Fraction(sum(self.answered_in(live)) + self.polls_answered_in(live), offered)


def is_live(live: LiveClass) -> bool:
    return live.told is None and live.room is not None and live.room.state == "live"


def is_cancelled(live: LiveClass) -> bool:
    return live.cancelled or (live.room is not None and live.room.state == "cancelled")


def range_of(asked: Asked) -> Json:
    return {"start_at": shown(asked.start), "end_at": shown(asked.end)}
