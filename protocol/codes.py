"""Close codes, error codes and farewell reasons: what each means and what the client should do.

Source: realtime.md, "WebSocket" and readings 8, 10, 13.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class CloseCode(IntEnum):
    """Why the server closed a WebSocket."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    DRAINING = 1012
    BAD_MESSAGE = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    HELLO_TIMEOUT = 4408
    TOO_SLOW = 4409
    TOO_MANY_MESSAGES = 4429


CLOSE_CODES: Final[dict[CloseCode, tuple[str, str]]] = {
    CloseCode.NORMAL: ("done, or replaced by a newer connection", "do not reconnect by itself"),
    CloseCode.PROTOCOL_ERROR: ("the peer broke the WebSocket protocol", "fix the client"),
    CloseCode.TOO_BIG: ("a frame over the limit", "send smaller batches; kept samples are still owed"),
    CloseCode.INTERNAL_ERROR: ("a fault of the server", "reconnect with back-off and resend what is unacknowledged"),
    CloseCode.DRAINING: ("the server is leaving", "reconnect after the time told in `bye`"),
    CloseCode.BAD_MESSAGE: ("messages that cannot be read", "fix the client; do not reconnect at once"),
    CloseCode.UNAUTHENTICATED: ("no, expired or forged token", "get a new token, then reconnect"),
    CloseCode.FORBIDDEN: ("not allowed here", "do not reconnect"),
    CloseCode.HELLO_TIMEOUT: ("no `hello` in time", "reconnect and say `hello` first"),
    CloseCode.TOO_SLOW: ("the reader fell behind its outbox", "reconnect and resend what is unacknowledged"),
    CloseCode.TOO_MANY_MESSAGES: ("over the message rate", "reconnect with back-off and send fewer messages"),
}


class ErrorCode(StrEnum):
    """`error.code` in frames."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNKNOWN_STREAM = "unknown_stream"
    ROOM_ENDED = "room_ended"
    ROOM_CANCELLED = "room_cancelled"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_LARGE = "too_large"
    TOO_OLD = "too_old"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"


ERROR_CODES: Final[dict[ErrorCode, tuple[str, str]]] = {
    ErrorCode.BAD_MESSAGE: ("undecodable, or a field is wrong; the message names it", "fix the client"),
    ErrorCode.UNKNOWN_TYPE: ("a message type this server does not know", "ignore: the server is older"),
    ErrorCode.UNAUTHENTICATED: ("the token is missing, forged or expired", "get a new token"),
    ErrorCode.FORBIDDEN: ("this learner may not do that", "do not retry"),
    ErrorCode.NOT_FOUND: ("no such room, content or session", "do not retry; begin without `session_id`"),
    ErrorCode.UNKNOWN_STREAM: ("the stream is closed or never was", "join or watch again, resend what is kept"),
    ErrorCode.ROOM_ENDED: ("the class is over", "send kept samples with their `session_id` only"),
    ErrorCode.ROOM_CANCELLED: ("the class was cancelled", "do not retry"),
    ErrorCode.TOO_MANY_STREAMS: ("the connection holds all the streams it may", "leave one first"),
    ErrorCode.TOO_MANY_CONNECTIONS: ("too many connections from this address", "retry after `retry_after`"),
    ErrorCode.TOO_LARGE: ("over a size limit; the message names it", "send less at once"),
    ErrorCode.TOO_OLD: ("a sample is over 24 hours old; the message names it", "forget that sample"),
    ErrorCode.RATE_LIMITED: ("too much, too fast", "retry after `retry_after` seconds"),
    ErrorCode.BUSY: ("cannot be stored now", "keep the samples, retry after `retry_after` seconds"),
}


class ByeReason(StrEnum):
    """`bye.reason`: the socket closes right behind it."""

    DRAINING = "draining"
    REPLACED = "replaced"
    ENDED = "ended"
    KICKED = "kicked"


BYE_CLOSE: Final[dict[ByeReason, CloseCode]] = {
    ByeReason.DRAINING: CloseCode.DRAINING,
    ByeReason.REPLACED: CloseCode.NORMAL,
    ByeReason.ENDED: CloseCode.NORMAL,
    ByeReason.KICKED: CloseCode.FORBIDDEN,
}


class HttpError(StrEnum):
    """`error` in the envelope of every `/api/v1` refusal (learning-api.md, reading 14)."""

    VALIDATION_FAILED = "VALIDATION_FAILED"
    INVALID_BODY = "INVALID_BODY"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    CONFLICT = "CONFLICT"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    RATE_LIMITED = "RATE_LIMITED"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    # Of the simple video heartbeat (video-engagement.md).
    VIDEO_CONTENT_NOT_FOUND = "VIDEO_CONTENT_NOT_FOUND"
    CONTENT_HAS_NO_VIDEO = "CONTENT_HAS_NO_VIDEO"
    LESSON_NOT_PUBLISHED = "LESSON_NOT_PUBLISHED"
    NOT_ENROLLED = "NOT_ENROLLED"
    LMS_PREREQUISITE_NOT_MET = "LMS_PREREQUISITE_NOT_MET"
