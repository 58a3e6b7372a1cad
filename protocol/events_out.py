"""The events that this server publishes, as bytes (events.md, "Published by this server", more readings 5).

Every listed key is there; what is not known is `""`. Ids are numbers where they are canonical decimals, times RFC 3339
with milliseconds and `Z`, durations and playheads seconds: whole ones as integers.
"""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.events_in import LIVE_CLASS
from protocol.rest import public_id, rfc3339

UNKNOWN: Final = ""

Value = str | int | float | bool

_encode: Final = msgspec.json.Encoder().encode


class ClassEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A class that is over, and its figures. Times Unix ms; None: not known."""

    live_class_id: str
    catalog_product_id: str | None = None
    catalog_sku_id: str | None = None
    program_id: str | None = None
    course_id: str | None = None
    platform: str | None = None
    start_at: int | None = None
    end_at: int
    avg_watch_time_s: int | None = None
    """Mean presence within the class of those present, floored."""
    total_comments: int | None = None
    total_doubts: int | None = None
    total_doubt_resolved: int | None = None
    total_quiz: int | None = None
    total_poll: int | None = None
    total_participation: int | None = None
    is_required: bool = True


class UserLeave(msgspec.Struct, frozen=True, kw_only=True):
    """A closed playhead segment of a learner in a live class. Times Unix ms, playheads ms."""

    auth_user_id: str
    live_class_id: str
    catalog_product_id: str | None = None
    catalog_sku_id: str | None = None
    program_id: str | None = None
    course_id: str | None = None
    platform: str | None = None
    playhead_start_ms: int
    playhead_end_ms: int
    start_at: int
    end_at: int


def encode_class_end(end: ClassEnd) -> bytes:
    """`liveclass.end`, the full form."""
    return _event(
        "liveclass.end",
        {
            "live_class_id": public_id(end.live_class_id),
            **_catalog(end),
            "start_at": rfc3339(end.start_at) or UNKNOWN,
            "end_at": rfc3339(end.end_at) or UNKNOWN,
            "duration": _length(end),
            "avg_watch_time": _known(end.avg_watch_time_s),
            "total_comments": _known(end.total_comments),
            "total_doubts": _known(end.total_doubts),
            "total_doubt_resolved": _known(end.total_doubt_resolved),
            "total_quiz": _known(end.total_quiz),
            "total_poll": _known(end.total_poll),
            "total_participation": _known(end.total_participation),
            "is_required": end.is_required,
        },
    )


def encode_class_end_short(end: ClassEnd) -> bytes:
    """`liveclass.end` for the user activity service: exactly six keys."""
    return _event(
        "liveclass.end",
        {
            "live_class_id": public_id(end.live_class_id),
            "platform": end.platform or UNKNOWN,
            "start_at": rfc3339(end.start_at) or UNKNOWN,
            "end_at": rfc3339(end.end_at) or UNKNOWN,
            "duration": _length(end),
            "is_required": end.is_required,
        },
    )


def encode_user_leave(leave: UserLeave) -> bytes:
    """`live_class_user_leave`."""
    class_id = public_id(leave.live_class_id)
    return _event(
        "live_class_user_leave",
        {
            "auth_user_id": public_id(leave.auth_user_id),
            **_catalog(leave),
            "identification_id": class_id,
            "identification_type": LIVE_CLASS,
            "media_type": LIVE_CLASS,
            "media_id": class_id,
            "playhead_start_at": _seconds(leave.playhead_start_ms),
            "playhead_end_at": _seconds(leave.playhead_end_ms),
            "duration": _seconds(leave.playhead_end_ms - leave.playhead_start_ms),
            "start_timestamp": rfc3339(leave.start_at) or UNKNOWN,
            "end_timestamp": rfc3339(leave.end_at) or UNKNOWN,
        },
    )


def _event(name: str, payload: dict[str, Value]) -> bytes:
    return _encode({"event_name": name, "data": {"payload": payload}})


def _catalog(said: ClassEnd | UserLeave) -> dict[str, Value]:
    return {
        "catalog_product_id": _id(said.catalog_product_id),
        "catalog_sku_id": _id(said.catalog_sku_id),
        "program_id": _id(said.program_id),
        "course_id": _id(said.course_id),
        "platform": said.platform or UNKNOWN,
    }


def _id(value: str | None) -> int | str:
    return UNKNOWN if value is None else public_id(value)


def _known(value: int | None) -> Value:
    return UNKNOWN if value is None else value


def _length(end: ClassEnd) -> Value:
    """Whole seconds, both ends floored first, as everywhere (learning-api.md, reading 1)."""
    return UNKNOWN if end.start_at is None else end.end_at // 1000 - end.start_at // 1000


def _seconds(ms: int) -> int | float:
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
