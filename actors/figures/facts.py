"""What is known of one learner, as the figures need it. Times Unix ms, None where unknown."""

from __future__ import annotations

import msgspec

Interval = tuple[int, int]
"""Half-open, Unix ms."""


class Rules(msgspec.Struct, frozen=True):
    """What attended and late mean (learning-api.md, "Common rules")."""

    late_grace_ms: int = 300_000
    attended_min_ms: int = 60_000


class Enrolment(msgspec.Struct, frozen=True):
    """[`start` or ever, `end` or for ever) (reading 4)."""

    product_id: str
    start: int | None
    end: int | None


class LiveClass(msgspec.Struct, frozen=True):
    """One live class as catalog, other systems and the room tell it together.

    `scheduled_*`: the catalog's, else the room's time-table. `room_*`: those of `liveclass.end`, else the room's own.
    `live`: the room runs. `quizzes`, `polls`: how many were offered, counting those known by their ids (reading 10).
    """

    live_class_id: str
    product_id: str | None = None
    name: str | None = None
    subject: str | None = None
    program_id: str | None = None
    scheduled_start: int | None = None
    scheduled_end: int | None = None
    room_start: int | None = None
    room_end: int | None = None
    live: bool = False
    cancelled: bool = False
    required: bool = True
    quizzes: int = 0
    polls: int = 0

    @property
    def start_at(self) -> int | None:
        """What decides the day (reading 2)."""
        return self.room_start if self.scheduled_start is None else self.scheduled_start


class ExamOffer(msgspec.Struct, frozen=True):
    """`exam.start`."""

    exam_id: str
    product_id: str | None
    type: str
    start_at: int
    duration_s: float | None = None


class ExamSession(msgspec.Struct, frozen=True):
    """`session.end`: one the learner finished."""

    exam_id: str
    end_at: int
    time_taken_s: float | None


class Quiz(msgspec.Struct, frozen=True):
    """A quiz that belongs to no live class."""

    quiz_id: str
    identification_id: str
    product_id: str | None
    offered_at: int


class Answer(msgspec.Struct, frozen=True):
    """The learner's latest answer to a quiz; `identification_id` is the class."""

    quiz_id: str
    identification_id: str
    is_correct: bool
    answered_at: int


class Content(msgspec.Struct, frozen=True):
    """A recorded lesson that is published and has a video. `first_at`: its first second credited to the learner."""

    kind: str
    content_id: str
    product_id: str | None
    length_ms: int | None
    published_at: int | None
    first_at: int | None


class Learner(msgspec.Struct, frozen=True):
    """The facts. `classes` may hold more than what was offered; presences overlap and have no order.

    `active_products`: those of any activity, which count where no enrolment ever was known. `watched`: wall time of
    verified segments of recorded lessons. `polls_answered`: by class.
    """

    enrolments: list[Enrolment] = []
    active_products: frozenset[str] = frozenset()
    classes: list[LiveClass] = []
    presences: dict[str, list[Interval]] = {}
    watched: list[Interval] = []
    exams: list[ExamOffer] = []
    sessions: list[ExamSession] = []
    quizzes: list[Quiz] = []
    answers: list[Answer] = []
    polls_answered: dict[str, int] = {}
    contents: list[Content] = []

    def belongs(self, product_id: str | None, at: int) -> bool:
        """Whether the product is the learner's at that moment (reading 4)."""
        if product_id is None:
            return False
        if not self.enrolments:
            return product_id in self.active_products
        return any(one.product_id == product_id and _holds(one, at) for one in self.enrolments)

    def ever(self, product_id: str | None) -> bool:
        """Whether it ever was the learner's: by enrolment or by activity (reading 13)."""
        if product_id is None:
            return False
        return product_id in self.active_products or any(one.product_id == product_id for one in self.enrolments)


def _holds(enrolment: Enrolment, at: int) -> bool:
    start, end = enrolment.start, enrolment.end
    return (start is None or start <= at) and (end is None or at < end)
