"""Heartbeats over HTTP, and what became of them."""

from __future__ import annotations

from typing import Final

from protocol.codes import HttpError
from protocol.rest import (
    HeartbeatsAnswer,
    HeartbeatsBody,
    SessionAnswer,
)
from protocol.video import VideoHeartbeatAnswer, VideoHeartbeatBody
from server.openapi.words import (
    STORAGE,
    Answer,
    Body,
    Operation,
    Refusal,
    Security,
    bad,
    conflict,
    forbidden,
    path_id,
    unknown,
)

_TAG: Final = "Heartbeats"
_BEACON: Final = ("text/plain", "application/octet-stream")

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/heartbeats",
        name="postHeartbeats",
        tag=_TAG,
        summary="Samples of players without a socket",
        description="Any content type, gzip too; a beacon carries its `token` in the body. `seq` rises within the "
        "samples. A refused request stores nothing; one that got a 503 may have been stored, repeating it is harmless.",
        security=Security.BEARER_OR_BODY,
        body=Body(
            HeartbeatsBody,
            "Exactly one of `room` and `content`; at least one sample, or `leave`. Up to 1 MiB and 5,000 samples.",
            also=_BEACON,
            narrowed={
                "anyOf": [
                    {"properties": {"samples": {"minItems": 1}}},
                    {"properties": {"leave": {"const": True}}, "required": ["leave"]},
                ],
                "oneOf": [
                    {
                        "properties": {"room": {"not": {"type": "null"}}, "content": {"type": "null"}},
                        "required": ["room"],
                    },
                    {
                        "properties": {"content": {"not": {"type": "null"}}, "room": {"type": "null"}},
                        "required": ["content"],
                    },
                ],
            },
        ),
        answers=(Answer(200, "The samples are durable.", HeartbeatsAnswer),),
        refusals=(
            bad("`message` names the first bad sample by index and field."),
            forbidden("The token names other rooms or contents."),
            unknown("No such room or content, or `session_id` is not known."),
            conflict("`session_id` is another learner's, or the class is over or cancelled."),
            STORAGE,
        ),
    ),
    Operation(
        method="POST",
        path="/api/v1/videos/engagement/heartbeat",
        name="postVideoHeartbeat",
        tag=_TAG,
        summary="The simple video heartbeat: where the playhead is, now",
        description="Its time is its reception. One learner and content have one open session through this door; a new "
        "one begins after 30 minutes without a heartbeat, or when the last one was `ended`. Send `client_timestamp`, "
        "the same one again on a retry: repeats and what was overtaken on its way are told by it. `watched_seconds`, "
        "`max_position_seconds` and `replayed_seconds` are the session's, `completion_percent` and `completed` the "
        "learner's, over all sessions.",
        body=Body(VideoHeartbeatBody, "`state` is `playing` unless said otherwise.", also=_BEACON),
        answers=(Answer(200, "The heartbeat is durable.", VideoHeartbeatAnswer),),
        refusals=(
            Refusal(
                400,
                (HttpError.INVALID_BODY, HttpError.VALIDATION_FAILED, HttpError.CONTENT_HAS_NO_VIDEO),
                "No JSON; a field is missing or impossible (`message` names it); the content has no video.",
            ),
            Refusal(
                403,
                (
                    HttpError.LESSON_NOT_PUBLISHED,
                    HttpError.NOT_ENROLLED,
                    HttpError.LMS_PREREQUISITE_NOT_MET,
                    HttpError.FORBIDDEN,
                ),
                "Not published, not enrolled in its product, something must be completed first (`message` names it), "
                "or the token names other contents. Staff pass the first three.",
            ),
            Refusal(
                404,
                (HttpError.VIDEO_CONTENT_NOT_FOUND, HttpError.NOT_FOUND),
                "No such content; or `session_id` is not known.",
            ),
            conflict("`session_id` is another learner's."),
            STORAGE,
        ),
    ),
    Operation(
        method="GET",
        path="/api/v1/sessions/{id}",
        name="readSession",
        tag=_TAG,
        summary="What one session watched",
        parameters=(path_id("id", "The session's id."),),
        answers=(Answer(200, "Memory and store merged; segments in wall-clock order.", SessionAnswer),),
        refusals=(bad(), forbidden("Another learner's."), unknown("No such session."), STORAGE),
    ),
)
