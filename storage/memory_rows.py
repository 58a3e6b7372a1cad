"""The rows of the store in memory, and who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from actors.machines.rows import (
    AttendanceRow,
    InteractionRow,
    PresenceRow,
    RoomRow,
    Rows,
    SegmentRow,
    SessionRow,
)
from actors.ports import StoredSession, StoreRefused
from storage.memory_outbox import OutboxTable
from storage.outbox_rows import UNTOLD, Message, end_messages, leave_message, told_of
from storage.reading import Rating

if TYPE_CHECKING:
    from storage.memory import Memory

_STARS: Final = range(1, 6)
_ORDERED: Final[dict[type, tuple[tuple[str, str], ...]]] = {
    SessionRow: (("started_at", "ended_at"),),
    PresenceRow: (("joined_at", "left_at"),),
    AttendanceRow: (("first_join", "last_leave"),),
    RoomRow: (("started_at", "ended_at"),),
}
"""Fields of which the second must not lie before the first, as the tables' CHECKs say."""


class MemoryRows:
    """The tables: key -> row."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionRow] = {}
        self.segments: dict[tuple[str, int], SegmentRow] = {}
        self.presences: dict[tuple[str, str, int], PresenceRow] = {}
        self.attendances: dict[tuple[str, str], AttendanceRow] = {}
        self.interactions: dict[tuple[str, str, str, str], InteractionRow] = {}
        self.rooms: dict[str, RoomRow] = {}
        self.ratings: dict[tuple[str, str], Rating] = {}
        self.outbox = OutboxTable()
        self.ends_told: dict[str, int] = {}

    def write(self, rows: Sequence[Rows]) -> None:
        """Write them all, or none: raises StoreRefused before anything has changed."""
        for each in rows:
            _check(each)
        for each in rows:
            self._write(each)

    def _write(self, rows: Rows) -> None:
        for gone in rows.gone:
            key = (gone.room_id, gone.user_id)
            self.attendances.pop(key, None)
            self.presences = {each: row for each, row in self.presences.items() if each[:2] != key}
        for redone in rows.redone:
            new = {
                row.segment.number: row.segment.start_at for row in rows.segments if row.session_id == redone.session_id
            }
            self.segments = {
                key: row
                for key, row in self.segments.items()
                if key[0] != redone.session_id or key[1] < redone.first or new.get(key[1]) == row.segment.start_at
            }
        closed = [row for row in rows.segments if told_of(row) and self._is_news(row)]
        self.sessions.update({row.session_id: row for row in rows.sessions})
        self.segments.update({(row.session_id, row.segment.number): _apart(row) for row in rows.segments})
        self.presences.update({(row.room_id, row.user_id, row.number): row for row in rows.presences})
        self.attendances.update({(row.room_id, row.user_id): row for row in rows.attendances})
        self.interactions.update({(row.room_id, row.user_id, row.kind, row.id): row for row in rows.interactions})
        if rows.room is not None:
            self.rooms[rows.room.room_id] = rows.room
        closed.sort(key=lambda row: (row.segment.start_at, row.session_id, row.segment.number))
        for row in closed:
            self._tell(leave_message(row, UNTOLD))
        end = rows.end
        if end is not None and self.ends_told.get(end.room_id, 0) < end.number:
            self.ends_told[end.room_id] = end.number
            for message in end_messages(end, UNTOLD):
                self._tell(message)

    def _tell(self, message: Message) -> None:
        self.outbox.add(message.room_id, message.event_name, message.exchange, message.routing_key, message.body)

    def _is_news(self, row: SegmentRow) -> bool:
        """Whether it has just become a closed one."""
        known = self.segments.get((row.session_id, row.segment.number))
        return known is None or known != row


class MemorySessions:
    """`SessionReader`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def session(self, session_id: str) -> SessionRow | None:
        async with self._memory.faults.call():
            return self._memory.rows.sessions.get(session_id)

    async def session_with_segments(self, session_id: str) -> StoredSession | None:
        async with self._memory.faults.call():
            row = self._memory.rows.sessions.get(session_id)
            if row is None:
                return None
            found = [each for each in self._memory.rows.segments.values() if each.session_id == session_id]
            return StoredSession(row, sorted(map(_apart, found), key=lambda each: each.segment.number))

    async def open_session(self, user_id: str, kind: str, content_id: str, device_id: str) -> SessionRow | None:
        wanted = (user_id, kind, content_id, device_id, "http", None)
        async with self._memory.faults.call():
            found = [
                row
                for row in self._memory.rows.sessions.values()
                if (row.user_id, row.kind, row.content_id, row.device_id, row.door, row.ended_at) == wanted
            ]
            return max(found, key=lambda row: (row.started_at, row.session_id), default=None)


class MemoryReading:
    """`Reading`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def rooms_page(self, state: str | None, after_id: str | None, limit: int) -> Sequence[RoomRow]:
        async with self._memory.faults.call():
            rooms = self._memory.rows.rooms
            found = [rooms[key] for key in sorted(rooms) if key > (after_id or "")]
            return [row for row in found if state is None or row.state == state][:limit]

    async def room(self, room_id: str) -> RoomRow | None:
        async with self._memory.faults.call():
            return self._memory.rows.rooms.get(room_id)

    async def segments_of(self, room_id: str, user_id: str) -> Sequence[SegmentRow]:
        async with self._memory.faults.call():
            found = [
                _apart(row)
                for row in self._memory.rows.segments.values()
                if (row.room_id, row.user_id) == (room_id, user_id)
            ]
            return sorted(found, key=lambda row: (row.segment.start_at, row.session_id, row.segment.number))

    async def presences_of(self, room_id: str, user_id: str) -> Sequence[PresenceRow]:
        async with self._memory.faults.call():
            found = [
                row for row in self._memory.rows.presences.values() if (row.room_id, row.user_id) == (room_id, user_id)
            ]
            return sorted(found, key=lambda row: row.number)

    async def attendance_row(self, room_id: str, user_id: str) -> AttendanceRow | None:
        async with self._memory.faults.call():
            return self._memory.rows.attendances.get((room_id, user_id))

    async def rating(self, live_class_id: str, user_id: str) -> Rating | None:
        async with self._memory.faults.call():
            return self._memory.rows.ratings.get((live_class_id, user_id))

    async def rate(self, rating: Rating) -> None:
        _check_row(rating)
        if rating.stars not in _STARS:
            raise StoreRefused("stars are 1 to 5")
        async with self._memory.faults.call():
            self._memory.rows.ratings[rating.live_class_id, rating.user_id] = rating


def check_text(text: str) -> None:
    """Raise StoreRefused for what PostgreSQL's `text` cannot hold."""
    if "\0" in text:
        raise StoreRefused("NUL in a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StoreRefused(str(error)) from error


def _check(rows: Rows) -> None:
    single: list[msgspec.Struct] = [row for row in (rows.room, rows.end) if row is not None]
    for row in (*rows.sessions, *rows.presences, *rows.attendances, *rows.interactions, *rows.gone, *single):
        _check_row(row)
    for segment in rows.segments:
        _check_row(segment)
        if segment.segment.wall_ms < 0 or segment.segment.content_ms < 0:
            raise StoreRefused(f"a segment of {segment.session_id} ends before it starts")


def _check_row(row: msgspec.Struct) -> None:
    for value in msgspec.structs.astuple(row):
        if isinstance(value, str):
            check_text(value)
    for first, second in _ORDERED.get(type(row), ()):
        begin, end = getattr(row, first), getattr(row, second)
        if begin is not None and end is not None and end < begin:
            raise StoreRefused(f"{type(row).__name__}: {second} lies before {first}")


def _apart(row: SegmentRow) -> SegmentRow:
    """A copy that does not grow with the original: segments are the machines' own, and mutable."""
    return msgspec.structs.replace(row, segment=msgspec.structs.replace(row.segment))
