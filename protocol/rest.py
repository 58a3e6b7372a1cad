"""Bodies and answers of the HTTP doors (realtime.md; learning-api.md, endpoint 7 and "Common rules").

Times are RFC 3339 text in UTC with milliseconds (`rfc3339`), durations and playheads are seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.sample import Sample
from protocol.types import Content, Id, LooseId, Token, UnixMs


def rfc3339(unix_ms: int | None) -> str | None:
    """`2024-02-07T00:00:00.000Z`; None stays None."""
    if unix_ms is None:
        return None
    minute, rest = divmod(unix_ms, 60_000)
    return f"{_minute(minute)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _minute(unix_minute: int) -> str:
    """Answers of one moment, and lists of a class, speak of few minutes: writing one costs five times as much."""
    day, minute = divmod(unix_minute, 24 * 60)
    return f"{_day(day)}T{minute // 60:02d}:{minute % 60:02d}"


@lru_cache(maxsize=4096)
def _day(day: int) -> str:
    """Of the days since 1970-01-01; a learner's year has few of them and all their minutes."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d").rjust(10, "0")


Moment = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """Every refusal under `/api/v1`."""

    message: str
    error: str
    success: bool
    status_code: int


class HeartbeatsBody(msgspec.Struct, frozen=True):
    """`POST /api/v1/heartbeats`: exactly one of `room` and `content`."""

    sent_at: UnixMs
    samples: Annotated[list[Sample], Meta(max_length=limits.HTTP_SAMPLES)]
    room: LooseId | None = None
    content: Content | None = None
    session_id: Id | None = None
    device_id: Id | None = None
    leave: bool | None = None
    token: Token | None = None


class HeartbeatsAnswer(msgspec.Struct, frozen=True):
    """Sent once the samples are durable."""

    session_id: str
    last_seq: int
    heartbeat_interval: float
    coverage: float | UnsetType = UNSET
    late: bool | UnsetType = UNSET


class RoomBody(msgspec.Struct, frozen=True):
    """`PUT /api/v1/rooms/{id}`: what the time-table knows. Without `product_id` the room keeps its; null clears it."""

    name: Annotated[str, Meta(max_length=limits.NAME_CHARS, pattern=r"\A[^\x00]*\Z")] | None = None
    scheduled_start: Moment | None = None
    scheduled_end: Moment | None = None
    product_id: LooseId | UnsetType | None = UNSET


class RoomAnswer(msgspec.Struct, frozen=True):
    """A room for dashboards. `attended` counts learners present for at least the attended minimum."""

    id: str
    state: str
    started_at: str | None
    ended_at: str | None
    scheduled_start: str | None
    scheduled_end: str | None
    name: str | None
    product_id: str | None
    count: int
    peak: int
    attended: int
    recording: bool
    """The conference is being recorded now."""
    streaming: bool
    """It is being streamed to elsewhere (RTMP) now."""
    recording_failure: str | None
    """Why the latest recording that failed did."""


class RoomsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms`, newest activity first is not promised: ordered by id."""

    rooms: list[RoomAnswer]
    next: str | None


class MemberAnswer(msgspec.Struct, frozen=True):
    """Somebody who is here now."""

    user_id: str
    name: str | None
    role: str
    sources: list[str]
    devices: list[str]
    joined_at: str
    late: bool
    telephone: bool


class PresenceAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms/{id}/presence`."""

    count: int
    members: list[MemberAnswer]
    next: str | None


class TimelinePoint(msgspec.Struct, frozen=True):
    """Learners present at `at`, and the most at one moment of the step that begins there."""

    at: str
    count: int
    peak: int


class TimelineAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms/{id}/timeline`."""

    step: int
    points: list[TimelinePoint]


class IntervalAnswer(msgspec.Struct, frozen=True):
    """A stay of a participant. `left_at` None: it goes on."""

    joined_at: str
    left_at: str | None
    source: str
    """`websocket`, `http`, `plugnmeet`, `amqp`; several, by commas, where one stay had several."""
    device_id: str
    disconnect_reason: str | None


class ParticipantAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms/{id}/participants/{user_id}`. Durations are whole seconds."""

    user_id: str
    name: str | None
    role: str
    intervals: list[IntervalAnswer]
    presence_seconds: int
    late: bool
    camera_seconds: int
    microphone_seconds: int
    screen_seconds: int
    talk_seconds: int
    hand_raises: int
    polls_answered: int
    disconnect_reasons: dict[str, int]
    """How often each was told."""
    telephone: bool


class SegmentAnswer(msgspec.Struct, frozen=True):
    """A stretch of media played without a jump."""

    start_timestamp: str
    end_timestamp: str
    playhead_start_at: float
    playhead_end_at: float
    duration: float
    rate: float
    visible_share: float
    offline: bool
    verified: bool


class ContentAnswer(msgspec.Struct, frozen=True):
    """The content of a session."""

    kind: str
    id: str


class SessionAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/sessions/{session_id}`."""

    session_id: str
    user_id: str
    content: ContentAnswer | None
    room: str | None
    started_at: str
    ended_at: str | None
    last_seq: int
    position: float
    duration: float | None
    watch_seconds: float
    content_seconds: float
    covered_seconds: float
    coverage: float | None
    completed: bool
    segments: list[SegmentAnswer]


class RatingBody(msgspec.Struct, frozen=True):
    """`PUT /api/v1/liveclass/{id}/rating`."""

    stars: Annotated[int, Meta(ge=1, le=5)]
    comment: Annotated[str, Meta(max_length=4000, pattern=r"\A[^\x00]*\Z")] | None = None


class RatingAnswer(msgspec.Struct, frozen=True):
    """The rating as it stands now."""

    live_class_id: int | str
    stars: int
    comment: str | None
    rating_status: str


class ProgramAnswer(msgspec.Struct, frozen=True):
    """The program a class belongs to; empty until a catalog tells."""

    id: int | str | None
    name: str


class LiveClassAnswer(msgspec.Struct, frozen=True):
    """The class itself."""

    live_class_id: int | str
    name: str
    start_at: str | None
    end_at: str | None
    program: ProgramAnswer
    rating_status: str


class AttendanceAnswer(msgspec.Struct, frozen=True):
    """Whole seconds; presence + absence = class."""

    was_present: bool
    was_late: bool
    total_live_class_duration: int
    total_presence_duration: int
    total_absence_duration: int


class StudyLogAnswer(msgspec.Struct, frozen=True):
    """A playhead segment, playheads floored to whole seconds."""

    start_timestamp: str
    end_timestamp: str
    playhead_start_at: int
    playhead_end_at: int
    duration: int


class ClassDetails(msgspec.Struct, frozen=True):
    """Inner part of endpoint 7."""

    title: str
    live_class: LiveClassAnswer
    attendance: AttendanceAnswer
    study_logs: list[StudyLogAnswer]


class ClassDetailsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/liveclass/details`."""

    class_details: ClassDetails


def public_id(value: str) -> int | str:
    """A number where the id is a canonical decimal that JSON clients hold exactly, else the text."""
    if value.isascii() and value.isdigit() and (value == "0" or value[0] != "0") and int(value) <= limits.INT_MAX:
        return int(value)
    return value


Json = dict[str, Any]


class RecordingAnswer(msgspec.Struct, frozen=True):
    """One recording of a class. `reason` says why it failed, or did so at the last attempt."""

    id: str
    record_id: str
    state: Literal["pending", "fetching", "ready", "failed"]
    reason: str | None
    size_bytes: int | None
    sha256: str | None
    duration_seconds: float | None
    thumbnail: bool


class RecordingsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms/{id}/recordings`: in the order in which they were told, 1,000 at the most."""

    recordings: list[RecordingAnswer]
