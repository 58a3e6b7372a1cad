"""The snapshot of a room, and what an operator may set of its rules."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from actors.machines.attendance import ClassTimes
from actors.machines.conference import Conference
from actors.machines.presence import Member
from actors.machines.rows import GoneRow, InteractionRow
from actors.machines.watch import IDLE_MS, WatchState

Status = Literal["scheduled", "live", "ended", "cancelled"]

BY_CONFERENCE: Final = "plugnmeet"
BY_IDLENESS: Final = "idle"
BY_EVENT: Final = "amqp"
"""Who ended a class, beside `api`: also the sources of `Started` and `Finished`."""


class RoomRules(msgspec.Struct, frozen=True):
    """What an operator may set."""

    grace_ms: int = 20_000
    late_grace_ms: int = 300_000
    attended_min_ms: int = 60_000
    completion_threshold: float = 0.95
    idle_ms: int = IDLE_MS


class EndDue(msgspec.Struct, frozen=True, array_like=True):
    """The class was over for the `number`th time, and others are to be told of it."""

    number: int
    full: bool


class RoomState(msgspec.Struct, array_like=True):
    """The snapshot of a room."""

    status: Status = "scheduled"
    name: str | None = None
    product_id: str | None = None
    scheduled_start: int | None = None
    scheduled_end: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    peak: int = 0
    epoch: int = 0
    empty_since: int | None = None
    members: dict[str, Member] = {}
    sessions: dict[str, WatchState] = {}
    interactions: int = 0
    unwritten: list[InteractionRow] = []
    last_leave: int = 0
    conference: Conference = msgspec.field(default_factory=Conference)
    ended_by: str = ""
    """`plugnmeet`, `idle`, `amqp`, `api`: who ended the class, the first time since it was live."""
    reopened_at: int | None = None
    """When somebody said that the class begins; a session that was over before does not end it."""
    times_told: bool = False
    """The system that owns the class told its times (`liveclass.end`): they stand."""
    ends: int = 0
    """How often the class was over."""
    end: EndDue | None = None
    """The end that is to be told."""
    gone: list[GoneRow] = []

    def times(self) -> ClassTimes:
        """What bounds the class."""
        return ClassTimes(self.scheduled_start, self.scheduled_end, self.started_at, self.ended_at)
