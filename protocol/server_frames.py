"""Frames that the server sends over `GET /ws` (realtime.md, "Server to client", readings 1, 11-16).

Times are Unix milliseconds. An absent field is left out (`UNSET`), a known but empty one is `null`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from protocol.codes import ByeReason, ErrorCode


class RoomInfo(msgspec.Struct, frozen=True):
    """The room as `joined` tells it; times are null until known."""

    id: str
    state: Literal["scheduled", "live", "ended", "cancelled"]
    started_at: int | None
    ended_at: int | None
    scheduled_start: int | None
    scheduled_end: int | None


class Member(msgspec.Struct, frozen=True):
    """Somebody who is here now."""

    user_id: str
    name: str | None
    role: str
    sources: list[str]
    devices: list[str]
    joined_at: int
    late: bool
    telephone: bool
    metadata: dict[str, Any] | None = None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a presence diff: somebody came, went, or changed their metadata."""

    user_id: str
    at: int
    name: str | None = None
    metadata: dict[str, Any] | None = None


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="type"):
    """Answer to `hello`."""

    connection_id: str
    server_time: int
    heartbeat_interval: float
    max_samples: int


class MembersPage(msgspec.Struct, frozen=True, tag="members", tag_field="type"):
    """Answer to `presence`: the members at (`epoch`, `seq`), `next` is the cursor of the following page."""

    ref: str | int
    room: str
    epoch: int
    seq: int
    count: int
    members: list[Member]
    next: str | None


class PresenceDiff(msgspec.Struct, frozen=True, tag="presence", tag_field="type"):
    """What changed in a room, at most once a second; `seq` rises by one."""

    room: str
    epoch: int
    seq: int
    count: int
    joins: list[Change]
    leaves: list[Change]
    updates: list[Change]
    truncated: bool


class JoinedPresence(msgspec.Struct, frozen=True):
    """`joined.presence`: the first page of members, or with `joined.recovered` just the diffs missed since `after`."""

    members: list[Member] | UnsetType = UNSET
    next: str | UnsetType | None = UNSET
    diffs: list[PresenceDiff] | UnsetType = UNSET


class Joined(msgspec.Struct, frozen=True, tag="joined", tag_field="type"):
    """Answer to `join`, once the arrival is durable."""

    ref: str | int
    stream: int
    session_id: str | None
    room: RoomInfo
    count: int
    late: bool
    resumed: bool
    last_seq: int
    epoch: int
    seq: int
    presence: JoinedPresence
    recovered: bool


class Watching(msgspec.Struct, frozen=True, tag="watching", tag_field="type"):
    """Answer to `watch`; `position` is where to continue, seconds."""

    ref: str | int
    stream: int
    session_id: str
    resumed: bool
    last_seq: int
    position: float
    coverage: float


class Ack(msgspec.Struct, frozen=True, gc=False, tag="ack", tag_field="type"):
    """Everything up to `seq` is durable; the client may forget it."""

    stream: int
    seq: int
    heartbeat_interval: float | UnsetType = UNSET


class RoomChanged(msgspec.Struct, frozen=True, tag="room", tag_field="type"):
    """A room went live, ended or was cancelled."""

    room: str
    state: Literal["live", "ended", "cancelled"]
    at: int


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="type"):
    """Answer to `interact`, once durable."""

    ref: str | int


class Error(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """A refusal; the connection lives on unless a close code follows."""

    code: ErrorCode
    message: str
    ref: str | int | UnsetType = UNSET
    stream: int | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET


class Bye(msgspec.Struct, frozen=True, tag="bye", tag_field="type"):
    """The socket closes right behind this."""

    reason: ByeReason
    reconnect_after_ms: int


ServerFrame = Welcome | Joined | Watching | Ack | PresenceDiff | MembersPage | RoomChanged | Done | Error | Bye
