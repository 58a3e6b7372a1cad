"""All figures of a learner's first page (learning-api.md, endpoint 1)."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

import msgspec

from actors.figures import attendance, classes, participation
from actors.figures.attendance import Counts, Day
from actors.figures.facts import Learner, Rules
from actors.figures.participation import Correctness, Participation
from actors.figures.spans import Span

ASSIGNMENT: Final = "assignment"


class Activities(msgspec.Struct, frozen=True):
    """`days` newest first."""

    counts: Counts
    days: list[Day]
    assignments: int
    assignments_done: int
    quizzes_practised: int
    correctness: Correctness
    participation: Participation


def activities(learner: Learner, within: Span, zone: tzinfo, rules: Rules, now: int) -> Activities:
    """All of endpoint 1."""
    seen = classes.required(learner, within, rules, now)
    offered = _assignments(learner, within, now)
    return Activities(
        counts=attendance.summary(seen),
        days=attendance.days(seen, zone)[::-1],
        assignments=len(offered),
        assignments_done=len(offered & {session.exam_id for session in learner.sessions}),
        quizzes_practised=participation.practised(learner, within),
        correctness=participation.correctness(learner, seen, within, now),
        participation=participation.participation(learner, seen),
    )


def _assignments(learner: Learner, within: Span, now: int) -> set[str]:
    return {
        exam.exam_id
        for exam in learner.exams
        if exam.type == ASSIGNMENT
        and within.start <= exam.start_at < within.end
        and exam.start_at <= now
        and learner.belongs(exam.product_id, exam.start_at)
    }
