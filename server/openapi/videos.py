"""Video engagement: what dashboards read, for staff; a learner reads their own."""

from __future__ import annotations

from typing import Final

from protocol.engagement import (
    ConcurrentAnswer,
    DashboardAnswer,
    Data,
    MineAnswer,
    RetentionAnswer,
    SummaryAnswer,
    TopAnswer,
    ViewersAnswer,
)
from server.openapi.words import (
    CONTENT,
    CURSOR,
    MOMENT,
    RANGE,
    STORAGE,
    USER,
    ZONE,
    Answer,
    Operation,
    Parameter,
    bad,
    forbidden,
    unknown,
)

_TAG: Final = "Video engagement"
_PERIOD: Final = (*RANGE, ZONE)
_LIMIT: Final = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, "Items of a page.")
_STAFF: Final = forbidden("For staff and admin.")
_CONTENT: Final = unknown("No such content.")


def _asked(
    name: str,
    path: str,
    summary: str,
    parameters: tuple[Parameter, ...],
    answer: Answer,
    description: str = "",
    *,
    content: bool = True,
) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag=_TAG,
        summary=summary,
        description=description,
        parameters=parameters,
        answers=(answer,),
        refusals=(bad(), _STAFF, *((_CONTENT,) if content else ()), STORAGE),
        cached=True,
    )


_BASE: Final = "/api/v1/videos/engagement"

OPERATIONS: Final = (
    _asked(
        "readVideoSummary",
        f"{_BASE}/summary",
        "One content: views, viewers, completion, replay, drop-off, coverage",
        (*CONTENT, *_PERIOD),
        Answer(200, "Rates are fractions 0..1; without a range: everything.", Data[SummaryAnswer]),
    ),
    _asked(
        "readVideoRetention",
        f"{_BASE}/retention",
        "Where viewers are: three curves, exits, hazard, replays",
        (
            *CONTENT,
            *_PERIOD,
            Parameter(
                "buckets", {"type": "integer", "minimum": 10, "maximum": 1000, "default": 100}, "Points a curve."
            ),
        ),
        Answer(200, "Lists of as many numbers as buckets.", Data[RetentionAnswer]),
        "`absolute` = plays / views, may exceed 1; `unique` = viewers / viewers; `survival` = share whose furthest "
        "verified position is there or beyond.",
    ),
    _asked(
        "listTopVideos",
        f"{_BASE}/top",
        "Contents ranked",
        (
            Parameter(
                "sort",
                {"type": "string", "enum": ["viewers", "completion", "drop_off", "watch_time"]},
                "By what, descending; ties by kind and id.",
            ),
            Parameter(
                "course_id", {"type": "string", "minLength": 1, "maxLength": 128}, "Only contents of the course."
            ),
            _LIMIT,
            CURSOR,
        ),
        Answer(200, "A page.", Data[TopAnswer]),
        content=False,
    ),
    _asked(
        "listVideoViewers",
        f"{_BASE}/viewers",
        "One content, learner by learner",
        (*CONTENT, *_PERIOD, _LIMIT, CURSOR),
        Answer(200, "A page by `user_id`; with `Accept: text/csv` all rows.", Data[ViewersAnswer], also=("text/csv",)),
    ),
    Operation(
        method="GET",
        path=f"{_BASE}/me",
        name="readOwnVideo",
        tag=_TAG,
        summary="One's own: what is covered, where to continue",
        parameters=(*CONTENT, USER),
        answers=(Answer(200, "Memory and store merged.", Data[MineAnswer]),),
        refusals=(bad(), forbidden("`user_id` is for staff."), _CONTENT, STORAGE),
        cached=True,
    ),
    _asked(
        "readConcurrent",
        "/api/v1/videos/concurrent",
        "People watching at once",
        (
            *_PERIOD,
            Parameter("step", {"type": "integer", "minimum": 10, "maximum": 86400}, "Seconds; at most 2,000 steps."),
        ),
        Answer(200, "Peak and time-weighted mean of each step.", Data[ConcurrentAnswer]),
        content=False,
    ),
    _asked(
        "readDashboard",
        "/api/v1/analytics/dashboard",
        "What the admin's page reads",
        (
            Parameter("year", {"type": "integer", "minimum": 1970, "maximum": 9990}, "A year of the server's zone."),
            Parameter("month", {"type": "integer", "minimum": 1, "maximum": 12}, "Of `year`, which must be given."),
            Parameter("from", MOMENT, "RFC 3339 date-time or date; with `to`, and without `year`."),
            Parameter("to", MOMENT, "RFC 3339 date-time or date, exclusive; a date includes that day."),
        ),
        Answer(200, "Fractions 0..1 over sessions that began in the period.", Data[DashboardAnswer]),
        content=False,
    ),
)
