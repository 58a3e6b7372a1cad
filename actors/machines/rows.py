"""What a checkpoint writes beside the snapshot: rows, keyed so that writing twice changes nothing."""

from __future__ import annotations

import msgspec

from actors.machines.track import Segment


class SessionRow(msgspec.Struct, frozen=True):
    """`watch_sessions`, key `session_id`. Times Unix ms, playheads and durations ms."""

    session_id: str
    user_id: str
    kind: str | None
    content_id: str | None
    room_id: str | None
    device_id: str
    door: str
    started_at: int
    ended_at: int | None
    last_sample_at: int | None
    last_seq: int
    first_seq_at: int | None
    position: int
    duration: int | None
    watch_ms: int
    content_ms: int
    covered_ms: int
    coverage: float
    completed: bool


class SegmentRow(msgspec.Struct, frozen=True):
    """`study_logs`, key (`session_id`, `segment.number`)."""

    session_id: str
    user_id: str
    kind: str | None
    content_id: str | None
    room_id: str | None
    segment: Segment
    open: bool
    """Still growing: a later checkpoint writes it again."""


class PresenceRow(msgspec.Struct, frozen=True):
    """`presence_intervals`, key (`room_id`, `user_id`, `number`). Rows of one learner may overlap: read their union."""

    room_id: str
    user_id: str
    number: int
    joined_at: int
    left_at: int
    source: str
    device_id: str
    open: bool
    disconnect_reason: str | None = None


class AttendanceRow(msgspec.Struct, frozen=True):
    """`attendance`, key (`room_id`, `user_id`): the figures of one learner in one class so far."""

    room_id: str
    user_id: str
    name: str | None
    role: str
    first_join: int | None
    last_leave: int | None
    presence_ms: int
    late_ms: int
    late: bool
    attended: bool
    camera_ms: int = 0
    microphone_ms: int = 0
    screen_ms: int = 0
    talk_ms: int = 0
    hand_raises: int = 0
    polls_answered: int = 0
    telephone: bool = False


class RoomRow(msgspec.Struct, frozen=True):
    """`rooms`, key `room_id`."""

    room_id: str
    name: str | None
    product_id: str | None
    state: str
    scheduled_start: int | None
    scheduled_end: int | None
    started_at: int | None
    ended_at: int | None
    peak: int
    attended: int
    recording: bool = False
    streaming: bool = False
    recording_failure: str | None = None
    """Why a recording did not begin, or did not end well: the latest."""


class InteractionRow(msgspec.Struct, frozen=True):
    """`interactions`, key (`room_id`, `user_id`, `kind`, `id`)."""

    room_id: str
    user_id: str
    kind: str
    id: str
    value: bytes | None
    at: int


class GoneRow(msgspec.Struct, frozen=True):
    """All rows of (`room_id`, `user_id`) in `presence_intervals` and `attendance` go: that identity is another user."""

    room_id: str
    user_id: str


class RedoneRow(msgspec.Struct, frozen=True):
    """A session's segments from number `first` on were worked out anew: rows that are not among the new ones go.

    `fold` counts how often that happened so far.
    """

    session_id: str
    user_id: str
    first: int
    fold: int


class EndRow(msgspec.Struct, frozen=True):
    """The class is over, and others are told: once for each `number` of a room. Times Unix ms."""

    room_id: str
    number: int
    full: bool
    """With all figures; not where the system that publishes them told us of the end (events.md)."""
    start_at: int | None
    end_at: int
    avg_watch_s: int
    product_id: str | None


class Rows(msgspec.Struct, frozen=True):
    """One actor's rows of one checkpoint."""

    sessions: list[SessionRow] = []
    segments: list[SegmentRow] = []
    presences: list[PresenceRow] = []
    attendances: list[AttendanceRow] = []
    interactions: list[InteractionRow] = []
    room: RoomRow | None = None
    gone: list[GoneRow] = []
    end: EndRow | None = None
    redone: list[RedoneRow] = []
