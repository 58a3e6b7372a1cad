"""Quizzes and polls: what was offered, what the learner answered (learning-api.md, endpoints 1, 8, readings 9, 10)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import msgspec

from actors.figures import rates
from actors.figures.classes import Seen
from actors.figures.facts import Answer, Learner, LiveClass
from actors.figures.spans import Span


class Participation(msgspec.Struct, frozen=True):
    """Of the classes that offered any interaction. `rate` is percent."""

    classes: int
    attended: int
    rate: float


class Correctness(msgspec.Struct, frozen=True):
    """Of the quizzes offered. `rate`: correct of answered, percent."""

    offered: int
    answered: int
    rate: float


def share(cls: LiveClass, quizzes_answered: int, polls_answered: int) -> Fraction:
    """Answered of offered, exactly; 0 where nothing was offered."""
    offered = cls.quizzes + cls.polls
    return Fraction(min(quizzes_answered + polls_answered, offered), offered) if offered else Fraction(0)


def participation(learner: Learner, seen: Iterable[Seen]) -> Participation:
    """The mean over required, ended classes with a quiz or a poll; one not attended counts 0, whatever was answered."""
    counted = [one for one in seen if one.ended and one.cls.quizzes + one.cls.polls]
    answered = _answered_by_class(learner.answers)
    shares = [
        share(
            one.cls,
            answered.get(one.cls.live_class_id, 0),
            learner.polls_answered.get(one.cls.live_class_id, 0),
        )
        if one.attended
        else Fraction(0)
        for one in counted
    ]
    return Participation(len(counted), sum(one.attended for one in counted), rates.rounded(rates.mean(shares)))


def practised(learner: Learner, within: Span) -> int:
    """Distinct quizzes answered in the range, offered or not."""
    return sum(within.start <= answer.answered_at < within.end for answer in learner.answers)


def correctness(learner: Learner, seen: Iterable[Seen], within: Span, now: int) -> Correctness:
    """Of quizzes of the classes that count, and of others of the learner's products (reading 9)."""
    classes = {one.cls.live_class_id: one.cls for one in seen}
    others = {
        (quiz.quiz_id, quiz.identification_id)
        for quiz in learner.quizzes
        if within.start <= quiz.offered_at < within.end
        and quiz.offered_at <= now
        and learner.belongs(quiz.product_id, quiz.offered_at)
    }
    answers = [
        answer
        for answer in learner.answers
        if answer.identification_id in classes or (answer.quiz_id, answer.identification_id) in others
    ]
    offered = sum(cls.quizzes for cls in classes.values()) + len(others)
    correct = sum(answer.is_correct for answer in answers)
    return Correctness(offered, len(answers), rates.percent(correct, len(answers)))


def _answered_by_class(answers: Iterable[Answer]) -> dict[str, int]:
    """One answer a quiz and class, as facts hold them."""
    counts: dict[str, int] = {}
    for answer in answers:
        counts[answer.identification_id] = counts.get(answer.identification_id, 0) + 1
    return counts
