"""The simple video heartbeat: body and answer (video-engagement.md, "The simple heartbeat", reading 16).

Times are RFC 3339 text in UTC with milliseconds, seconds are numbers with the precision of a millisecond.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol import limits
from protocol.types import Id, LooseId, Rate, Seconds

Stamp = Annotated[float, Meta(ge=0, le=limits.INT_MAX)]
"""Unix ms, or seconds; only compared with others of the same client."""

Moment = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]

Length = Annotated[float, Meta(gt=0, le=limits.POSITION_SECONDS_MAX)]


class VideoHeartbeatBody(msgspec.Struct, frozen=True):
    """`POST /api/v1/videos/engagement/heartbeat`; `null` means absent."""

    content_kind: Id
    content_id: LooseId
    position_seconds: Seconds
    duration_seconds: Length | None = None
    ended: bool | None = None
    playback_rate: Rate | None = None
    state: Literal["playing", "paused"] | None = None
    session_id: Id | None = None
    client_timestamp: Stamp | Moment | None = None


class VideoHeartbeat(msgspec.Struct, frozen=True):
    """The session as it stands behind this heartbeat, and how far its learner is in the content."""

    session_id: str
    content_kind: str
    content_id: int | str
    started_at: str
    last_heartbeat_at: str
    ended_at: str | None
    position_seconds: float
    max_position_seconds: float
    watched_seconds: float
    duration_seconds: float | None
    completion_percent: float
    completed: bool
    replayed_seconds: float
    heartbeat_interval_seconds: float


class VideoHeartbeatAnswer(msgspec.Struct, frozen=True):
    """Sent once the heartbeat is durable."""

    message: str
    success: bool
    status_code: int
    data: VideoHeartbeat
