"""What other systems tell, typed (events.md, "Consumed"). Times Unix ms, `_s` seconds, None where nothing was said."""

from __future__ import annotations

from typing import Final

import msgspec

LIVE_CLASS: Final = "live_class"
"""The `identification_type` that is a room here."""


class NotOurs(msgspec.Struct, frozen=True):
    """Nothing to take in: an unknown `event_name` (`event` is empty), or about something else than a live class."""

    event: str
    why: str


class ClassOver(msgspec.Struct, frozen=True):
    """`liveclass.end`: the class was offered, and is over."""

    live_class_id: str
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    start_at: int | None
    end_at: int
    duration_s: float | None
    avg_watch_time_s: float | None
    total_comments: int | None
    total_doubts: int | None
    total_doubt_resolved: int | None
    total_quiz: int | None
    total_poll: int | None
    total_participation: int | None
    is_required: bool | None


class QuizOffered(msgspec.Struct, frozen=True):
    """`liveclass.quiz`; `identification_type` need not be a live class."""

    quiz_id: str
    identification_id: str
    identification_type: str
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    modality: str | None
    total_questions: int | None
    duration_s: float | None
    total_marks: float | None
    at: int
    is_required: bool | None


class ExamOffered(msgspec.Struct, frozen=True):
    """`exam.start`: an exam, or an assignment, by `type`."""

    exam_id: str
    type: str
    day: str | None
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    start_at: int
    end_at: int | None
    duration_s: float | None
    total_questions: int | None
    total_marks: float | None
    is_required: bool | None


class ExamTaken(msgspec.Struct, frozen=True):
    """`session.end`: a learner finished an exam."""

    exam_id: str
    user_id: str
    start_at: int | None
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    type: str | None
    time_taken_s: float | None
    total_answers: int | None
    total_correct_answers: int | None
    total_questions: int | None
    total_score: float | None
    end_at: int
    unique_questions_submitted: int | None
    unique_questions_corrected: int | None


class QuizAnswered(msgspec.Struct, frozen=True):
    """`quiz_response`, of a live class."""

    user_id: str
    quiz_id: str
    identification_id: str
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    modality: str | None
    is_correct: bool
    at: int
    quiz_option_id: str | None
    time_taken_s: float | None


class SegmentSeen(msgspec.Struct, frozen=True):
    """`live_class_user_leave`: a playhead segment that another system saw. Playheads ms."""

    user_id: str
    live_class_id: str
    catalog_product_id: str | None
    catalog_sku_id: str | None
    program_id: str | None
    course_id: str | None
    platform: str | None
    media_type: str | None
    media_id: str | None
    playhead_start: int
    playhead_end: int
    duration_s: float | None
    start_at: int | None
    end_at: int | None


class InteractionTold(msgspec.Struct, frozen=True):
    """`liveclass.interaction`; `user_id` None where it is nobody's (a poll that is offered)."""

    live_class_id: str
    user_id: str | None
    kind: str
    id: str | None
    at: int


class ClassBegan(msgspec.Struct, frozen=True):
    """`liveclass.start`."""

    live_class_id: str
    start_at: int


class ClassCancelled(msgspec.Struct, frozen=True):
    """`liveclass.cancel`."""

    live_class_id: str


Inbound = (
    ClassOver
    | QuizOffered
    | ExamOffered
    | ExamTaken
    | QuizAnswered
    | SegmentSeen
    | InteractionTold
    | ClassBegan
    | ClassCancelled
)
