"""Answers of the learning dashboards (learning-api.md): field names to the letter, misspellings included.

Endpoint 7 is in `protocol.rest`. Times are RFC 3339 text in UTC with milliseconds; a field that means a day holds the
instant at which it begins in the chosen zone. Durations are whole seconds, rates percent 0..100 with two decimals.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

PublicId = int | str
"""A number where the id is a canonical decimal."""

Percent = Annotated[float, Meta(ge=0, le=100, description="Percent, half-up to two decimals; 0 where there is none.")]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[int, Meta(ge=0, description="Whole seconds.")]
Color = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]


class Commentary(msgspec.Struct, frozen=True):
    """What to say of an attendance rate."""

    message: str
    background_color: Color
    icon: str


# -- 1. /learning/activities ------------------------------------------------------------------------------------------


class ClassHistory(msgspec.Struct, frozen=True):
    """A day with an offered class."""

    date: str
    total_offered_live_classes: Count
    attended: Count
    background_color: Color
    was_late: bool


class ClassAttendanceCard(msgspec.Struct, frozen=True):
    """Live classes; the days newest first."""

    title: str
    icon: str
    background_color: Color
    total_classes: Count
    total_attended: Count
    attendance_rate: Percent
    histories: list[ClassHistory]


class AssignmentCard(msgspec.Struct, frozen=True):
    """Assignments offered in the range, and how many of them the learner has finished."""

    title: str
    icon: str
    background_color: Color
    total_assignment: Count
    practiced_assignment: Count


class QuizCard(msgspec.Struct, frozen=True):
    """Distinct quizzes answered in the range."""

    title: str
    icon: str
    background_color: Color
    total_quiz_practiced: Count


class QuizCorrectnessCard(msgspec.Struct, frozen=True):
    """Quizzes offered, distinct ones of them answered, and correct of answered."""

    title: str
    icon: str
    background_color: Color
    total_quiz: Count
    total_participated: Count
    correctness_rate: Percent


class ClassParticipationCard(msgspec.Struct, frozen=True):
    """Over the offered, ended classes that offered a quiz or a poll."""

    title: str
    icon: str
    background_color: Color
    total_class: Count
    total_attended: Count
    participation_rate: Percent


class ActivitiesAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/learning/activities`."""

    title: str
    start_at: str
    end_at: str
    commentary: Commentary
    live_class_attendance: ClassAttendanceCard
    assignment: AssignmentCard
    quiz: QuizCard
    quiz_correctness: QuizCorrectnessCard
    class_participation: ClassParticipationCard


# -- 2. /learning/times -----------------------------------------------------------------------------------------------


class DailyLearning(msgspec.Struct, frozen=True):
    """Over the days of the range that have begun."""

    avg_duration: Seconds
    text: str


class LearningSegment(msgspec.Struct, frozen=True):
    """The union of one type within a bucket."""

    type: str
    engaged_duration: Seconds


class LearningHistory(msgspec.Struct, frozen=True):
    """A bucket. `total_duration` is the union over all types, never more than the sum of the segments."""

    level: Annotated[str, Meta(description="Label of the bucket, such as `Jan 1-7`.")]
    total_duration: Seconds
    segments: list[LearningSegment]


class LearningDetail(msgspec.Struct, frozen=True):
    """One type: offered, engaged, and engaged of offered."""

    title: str
    icon: str
    type: str
    total_duration: Seconds
    engaged_duration: Seconds
    progress: Percent


class TimesAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/learning/times`. `details` only with `with_details=true`."""

    title: str
    start_at: str
    end_at: str
    total_learning_duration: Seconds
    daily_learning: DailyLearning
    total_offered_learning_duration: Seconds
    histories: list[LearningHistory]
    colors: dict[str, Color]
    details: list[LearningDetail] | UnsetType = UNSET


# -- 3. /liveclass/attendance -----------------------------------------------------------------------------------------


class AttendanceDatum(msgspec.Struct, frozen=True):
    """One count, and its share of the classes offered."""

    type: str
    value: Count
    progress: Percent


class AttendanceSummary(msgspec.Struct, frozen=True):
    """`data` in the order of the contract."""

    attendance_rate: Percent
    text: str
    data: list[AttendanceDatum]


class ProductAttendance(msgspec.Struct, frozen=True):
    """A product with an offered class."""

    title: str
    catalog_product_id: PublicId
    attendance_rate: Percent


class LiveClassAttendanceAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/attendance`."""

    title: str
    start_at: str
    end_at: str
    commentery: Annotated[Commentary, Meta(description="The commentary.")]
    summary: AttendanceSummary
    products: list[ProductAttendance]


# -- 4. /liveclass/attendance-overview --------------------------------------------------------------------------------


class OverviewDay(msgspec.Struct, frozen=True):
    """A day with an offered class. `is_sticky`: it and the one before were attended in full."""

    date: str
    total_offered: Count
    total_attended: Count
    total_absent: Count
    was_late: bool
    is_sticky: bool
    color: Color


class OverviewAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/attendance-overview`: oldest first."""

    start_at: str
    end_at: str
    overview: list[OverviewDay]


# -- 5. /liveclass/attendance/details ---------------------------------------------------------------------------------


class ModuleAttendance(msgspec.Struct, frozen=True):
    """The classes of one subject."""

    name: str
    attendance_rate: Percent
    total_live_class: Count
    total_attended: Count
    total_late_entry: Count
    total_absent: Count


class AttendanceDetailsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/attendance/details`: subjects by name."""

    title: str
    catalog_product_id: PublicId
    start_at: str
    end_at: str
    modules: list[ModuleAttendance]


# -- 6. /liveclass/attendance-overview/{date} -------------------------------------------------------------------------


class ProductName(msgspec.Struct, frozen=True):
    """A product."""

    id: PublicId
    name: str


class DayClass(msgspec.Struct, frozen=True):
    """A class of the day, optional and coming ones too."""

    product: ProductName
    live_class_name: str
    start_at: str
    end_at: str | None
    is_absent: bool
    was_late: bool


class DayAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/attendance-overview/{date}`: in the order of `start_at`."""

    date: str
    live_classes: list[DayClass]


# -- 8. /liveclass/interaction ----------------------------------------------------------------------------------------


class InteractionAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/interaction`."""

    title: str
    class_participation_text: str
    class_participation_rate: Percent
    total_offered_quizes: Annotated[int, Meta(ge=0, description="Quizzes offered.")]
    total_correct_answer: Count
    totola_wrong_answer: Annotated[int, Meta(ge=0, description="Wrong answers in total.")]
    total_unaswered: Annotated[int, Meta(ge=0, description="Quizzes left unanswered.")]
    total_offered_polls: Count
    total_responded_polls: Count
    total_unresponded_polls: Count
    total_doubt_asked: Count
    total_doubt_resolved: Count
    total_doubt_unresolved: Count
