"""The learners' dashboards (learning-api.md). Some keys are spelt as existing clients read them."""

from __future__ import annotations

from typing import Final

from protocol.learning import (
    ActivitiesAnswer,
    AttendanceDetailsAnswer,
    DayAnswer,
    InteractionAnswer,
    LiveClassAttendanceAnswer,
    OverviewAnswer,
    TimesAnswer,
)
from protocol.rest import ClassDetailsAnswer, RatingAnswer, RatingBody
from server.openapi.words import (
    LANGUAGE,
    QUERY_ID,
    RANGE,
    STORAGE,
    USER,
    ZONE,
    Answer,
    Body,
    Operation,
    Parameter,
    Refusal,
    bad,
    forbidden,
    path_id,
    unknown,
)

_TAG: Final = "Learning"
_COMMON: Final = (ZONE, USER, LANGUAGE)
_CLASS: Final = Parameter("live_class_id", QUERY_ID, "The class.", required=True)
_NEVER: Final = unknown("Unknown, or never the learner's.")


def _asked(
    name: str,
    path: str,
    summary: str,
    parameters: tuple[Parameter, ...],
    answer: Answer,
    description: str = "",
    *refusals: Refusal,
) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag=_TAG,
        summary=summary,
        description=description,
        parameters=(*parameters, *_COMMON),
        answers=(answer,),
        refusals=(bad(), forbidden("`user_id` is for staff."), *refusals, STORAGE),
        cached=True,
    )


OPERATIONS: Final = (
    _asked(
        "readActivities",
        "/api/v1/learning/activities",
        "Attendance, assignments, quizzes, participation in a range",
        RANGE,
        Answer(200, "Days with an offered class, newest first.", ActivitiesAnswer),
    ),
    _asked(
        "readTimes",
        "/api/v1/learning/times",
        "How long a learner has learnt, by bucket and type",
        (
            *RANGE,
            Parameter("with_details", {"type": "string", "enum": ["true", "false"]}, "Whether `details` are wanted."),
        ),
        Answer(200, "Overlap counts once in the total. Whole seconds.", TimesAnswer),
        "Buckets are days up to 14 days, runs of 7 days up to 92, else months.",
    ),
    _asked(
        "readAttendance",
        "/api/v1/liveclass/attendance",
        "Attendance over all products",
        RANGE,
        Answer(200, "`commentery` means commentary.", LiveClassAttendanceAnswer),
        "The key `commentery` is spelt as existing clients read it: it means commentary.",
    ),
    _asked(
        "readAttendanceOverview",
        "/api/v1/liveclass/attendance-overview",
        "Attendance by day",
        RANGE,
        Answer(200, "Days with an offered class, oldest first.", OverviewAnswer),
    ),
    _asked(
        "readAttendanceDetails",
        "/api/v1/liveclass/attendance/details",
        "Attendance in one product, by subject",
        (*RANGE, Parameter("catalog_product_id", QUERY_ID, "The product.", required=True)),
        Answer(200, "Subjects with an offered class, by name.", AttendanceDetailsAnswer),
        "",
        _NEVER,
    ),
    _asked(
        "readAttendanceDay",
        "/api/v1/liveclass/attendance-overview/{date}",
        "The classes of one day",
        (Parameter("date", {"type": "string", "format": "date"}, "A day of `tz`.", required=True, place="path"),),
        Answer(200, "In the order of `start_at`; optional and coming ones too.", DayAnswer),
    ),
    Operation(
        method="GET",
        path="/api/v1/liveclass/details",
        name="readClassDetails",
        tag=_TAG,
        summary="One learner in one class",
        parameters=(_CLASS, USER, LANGUAGE),
        answers=(Answer(200, "Presence, and the playhead segments up to the last heartbeat.", ClassDetailsAnswer),),
        refusals=(bad(), forbidden("`user_id` is for staff."), _NEVER, STORAGE),
        cached=True,
    ),
    Operation(
        method="GET",
        path="/api/v1/liveclass/interaction",
        name="readInteraction",
        tag=_TAG,
        summary="Quizzes, polls and doubts of one learner in one class",
        description="Spelt as existing clients read them: `total_offered_quizes` means total offered quizzes, "
        "`totola_wrong_answer` total wrong answers, `total_unaswered` total unanswered.",
        parameters=(_CLASS, USER, LANGUAGE),
        answers=(Answer(200, "What was offered while the learner was absent is unanswered.", InteractionAnswer),),
        refusals=(bad(), forbidden("`user_id` is for staff."), _NEVER, STORAGE),
        cached=True,
    ),
    Operation(
        method="PUT",
        path="/api/v1/liveclass/{id}/rating",
        name="rateClass",
        tag=_TAG,
        summary="Rate a class that one attended; twice replaces",
        parameters=(path_id("id", "The class."),),
        body=Body(RatingBody),
        answers=(Answer(200, "The rating as it stands.", RatingAnswer),),
        refusals=(bad(), forbidden("Not attended."), unknown("No such class."), STORAGE),
    ),
)
