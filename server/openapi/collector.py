"""The event collector: what others say happened, and what staff read of it."""

from __future__ import annotations

from typing import Any, Final

from protocol import collector, limits
from protocol.analytics import ApiCallsAnswer, EngagementAnswer, ViewsAnswer
from protocol.collector import Kept, KeptBatch
from server.openapi.words import (
    QUERY_ID,
    RANGE,
    STORAGE,
    ZONE,
    Answer,
    Body,
    Operation,
    Parameter,
    Schema,
    Security,
    bad,
    forbidden,
)

_TAG: Final = "Events"
_RIGHT: Final = forbidden("The key is revoked or expired, or has no right to `collect`.")
_STAFF: Final = forbidden("For staff and admin.")
_BEACON: Final = ("text/plain",)
"""What a beacon sends without asking first."""

_STORABLE: Final = "^[^\\u0000]*$"
_WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": limits.ID_CHARS, "pattern": _STORABLE}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": limits.INT_MAX}
_NOTHING: Final[Schema] = {"type": "null"}
_CONTENT: Final[Schema] = {**_WORD, "maxLength": collector.CONTENT_CHARS}
_IDENTITY: Final[Schema] = {"anyOf": [{**_WORD, "minLength": 0}, _NUMBER, _NOTHING]}
_ANY: Final[Schema] = {"type": ["string", "null"], "pattern": _STORABLE}
_TIME: Final[Schema] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {
            "type": "integer",
            "minimum": collector.TIME_FROM_MS,
            "exclusiveMaximum": collector.TIME_TO_MS,
            "description": "Epoch ms.",
        },
        {
            "type": "number",
            "minimum": collector.TIME_FROM_MS // 1000,
            "exclusiveMaximum": collector.TIME_TO_MS // 1000,
            "description": "Epoch seconds.",
        },
        {"enum": ["", None]},
    ],
    "description": "When it happened, 2000 to 2099; default: when it came. Digits may also be text.",
}
_EVENT_ID: Final[Schema] = {
    "anyOf": [{**_ANY, "maxLength": collector.EVENT_ID_CHARS}, _NUMBER],
    "description": "Sent again under the same id within 30 days it is one event.",
}
_METADATA: Final[Schema] = {"type": ["object", "null"], "description": "At most 16 KiB; unknown fields become `extra`."}
_COMMON: Final[dict[str, Any]] = {
    "metadata": _METADATA,
    "timestamp": _TIME,
    "eventId": _EVENT_ID,
    "writeKey": {
        "description": "Text, for those that cannot set `X-Write-Key`, beside which nobody looks at it; never stored."
    },
}


def _typed(tag: str, event: Schema) -> Schema:
    """An event as it stands in a batch."""
    properties = {"type": {"const": tag}, **event["properties"]}
    return {"type": "object", "required": ["type", *event["required"]], "properties": properties}


_VIEW: Final[Schema] = {
    "type": "object",
    "required": ["app", "contentId", "contentType"],
    "properties": {
        "app": _WORD,
        "contentId": {"anyOf": [_CONTENT, _NUMBER], "description": "`METHOD:/path` for API calls."},
        "contentType": _WORD,
        "userId": _IDENTITY,
        "sessionId": _IDENTITY,
        "duration": {"type": ["number", "null"], "minimum": 0, "maximum": collector.DURATION_MAX_S},
        "ipAddress": {**_ANY, "description": "Kept as its /24 or /48."},
        "deviceType": {"type": ["string", "null"], "enum": ["desktop", "mobile", "tablet", "tv", None]},
        "referrer": _ANY,
        "url": _ANY,
        "userAgent": _ANY,
        "country": _ANY,
        **_COMMON,
    },
}
_ENGAGEMENT: Final[Schema] = {
    "type": "object",
    "required": ["userId", "metricType", "targetId", "targetType"],
    "properties": {
        "userId": {"anyOf": [_WORD, _NUMBER]},
        "metricType": {**_WORD, "maxLength": 64, "description": "`like`, `share`, ..."},
        "targetId": {"anyOf": [_CONTENT, _NUMBER]},
        "targetType": _WORD,
        "app": {**_ANY, "maxLength": limits.ID_CHARS},
        **_COMMON,
    },
}
_BATCH: Final[Schema] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": {
            "type": "array",
            "maxItems": collector.EVENTS_MAX,
            "items": {
                "anyOf": [
                    _typed("view", _VIEW),
                    _typed("engagement", _ENGAGEMENT),
                    {"description": "Anything else is named in `rejected`, and the others are kept."},
                ]
            },
        },
        "writeKey": _COMMON["writeKey"],
    },
}


def _track(name: str, path: str, summary: str, body: Schema, answer: Answer, description: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/analytics/track/{path}",
        name=name,
        tag=_TAG,
        summary=summary,
        description=description,
        security=Security.WRITE_KEY,
        body=Body(body, also=_BEACON),
        answers=(answer,),
        refusals=(bad(), _RIGHT, STORAGE),
    )


def _read(name: str, path: str, summary: str, parameters: tuple[Parameter, ...], answer: Answer) -> Operation:
    return Operation(
        method="GET",
        path=f"/api/v1/analytics/{path}",
        name=name,
        tag=_TAG,
        summary=summary,
        parameters=(*parameters, *RANGE, ZONE),
        answers=(answer,),
        refusals=(bad(), _STAFF, STORAGE),
    )


_ONE: Final = Answer(202, "Durable; `accepted` 0 and `duplicate` where the id is known.", Kept)
_LIMIT: Final = f"At most {collector.EVENT_BYTES // 1024} KiB."
_APP: Final = Parameter("app", QUERY_ID, "Only of this app.")
_STEP: Final = Parameter(
    "step",
    {"type": "integer", "minimum": 1, "maximum": 2_678_400},
    "Seconds, from the range's start on; at most 2,000 steps. Default: an hour, or more where the range is long.",
)


def _content(name: str, description: str) -> Parameter:
    return Parameter(name, _CONTENT, description)


OPERATIONS: Final = (
    _track("trackView", "view", "Something was seen or called", _VIEW, _ONE, _LIMIT),
    _track("trackEngagement", "engagement", "Somebody did something to something", _ENGAGEMENT, _ONE, _LIMIT),
    _track(
        "trackBatch",
        "batch",
        "Up to 1,000 events",
        _BATCH,
        Answer(202, "Good ones are durable, bad ones named by their place.", KeptBatch),
        f"Each as in `view` or `engagement`, with its `type`. At most {collector.BATCH_BYTES // 1024 // 1024} MiB.",
    ),
    _read(
        "readViews",
        "views",
        "Views, users and durations by step",
        (
            _APP,
            Parameter("content_type", QUERY_ID, "Only of this type."),
            _content("content_id", "Only of this content."),
            _STEP,
        ),
        Answer(200, "Every step of the range.", ViewsAnswer),
    ),
    _read(
        "readEngagement",
        "engagement",
        "Engagement by step and type",
        (
            Parameter("metric_type", QUERY_ID, "Only of this type."),
            _APP,
            Parameter("target_type", QUERY_ID, "Only with targets of this type."),
            _content("target_id", "Only with this target."),
            _STEP,
        ),
        Answer(200, "Steps and types that have any; at most 20,000.", EngagementAnswer),
    ),
    _read(
        "readApiCalls",
        "api-calls",
        "API calls by what was called",
        (
            _APP,
            _content("content_id", "Only this `METHOD:/path`."),
            Parameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Items, most called first."
            ),
        ),
        Answer(200, "Rates in percent of calls whose status is known.", ApiCallsAnswer),
    ),
)
