"""What REST asks of the store beside sessions: rooms, study logs, attendance, ratings, contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from actors.machines.rows import AttendanceRow, PresenceRow, RoomRow, SegmentRow
from storage import records
from storage.postgres import Database


class Rating(msgspec.Struct, frozen=True):
    """`ratings`, key (`live_class_id`, `user_id`). `rated_at` Unix ms."""

    live_class_id: str
    user_id: str
    stars: int
    comment: str | None
    rated_at: int


class Reading(Protocol):
    """Questions, and the two things that REST itself writes. Raises StoreAway, StoreRefused."""

    async def rooms_page(self, state: str | None, after_id: str | None, limit: int) -> Sequence[RoomRow]:
        """At most `limit` rooms by id (code points), those behind `after_id`, in one state or in any."""
        ...

    async def room(self, room_id: str) -> RoomRow | None:
        """One room."""
        ...

    async def segments_of(self, room_id: str, user_id: str) -> Sequence[SegmentRow]:
        """What a learner watched in a class, over all sessions, in the order of time."""
        ...

    async def presences_of(self, room_id: str, user_id: str) -> Sequence[PresenceRow]:
        """When a learner was in a class, by number; rows may overlap."""
        ...

    async def attendance_row(self, room_id: str, user_id: str) -> AttendanceRow | None:
        """A learner's figures in a class."""
        ...

    async def rating(self, live_class_id: str, user_id: str) -> Rating | None:
        """What a learner thought of a class."""
        ...

    async def rate(self, rating: Rating) -> None:
        """Keep it; rating twice replaces."""
        ...


class PostgresReading:
    """`Reading` in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms_page(self, state: str | None, after_id: str | None, limit: int) -> Sequence[RoomRow]:
        found = await self._database.fetch("rooms_page", state, after_id or "", limit)
        return [records.room(record) for record in found]

    async def room(self, room_id: str) -> RoomRow | None:
        record = await self._database.fetchrow("room", room_id)
        return None if record is None else records.room(record)

    async def segments_of(self, room_id: str, user_id: str) -> Sequence[SegmentRow]:
        found = await self._database.fetch("segments_of_learner", room_id, user_id)
        return [records.segment(record) for record in found]

    async def presences_of(self, room_id: str, user_id: str) -> Sequence[PresenceRow]:
        found = await self._database.fetch("presences_of_learner", room_id, user_id)
        return [records.presence(record) for record in found]

    async def attendance_row(self, room_id: str, user_id: str) -> AttendanceRow | None:
        record = await self._database.fetchrow("attendance_row", room_id, user_id)
        return None if record is None else records.attendance(record)

    async def rating(self, live_class_id: str, user_id: str) -> Rating | None:
        record = await self._database.fetchrow("rating", live_class_id, user_id)
        return None if record is None else Rating(*record)

    async def rate(self, rating: Rating) -> None:
        await self._database.fetch("rate", *msgspec.structs.astuple(rating))
