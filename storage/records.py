"""Records of the driver to rows of the actors: statements name their columns in the order of the struct's fields."""

from __future__ import annotations

import asyncpg

from actors.machines.rows import AttendanceRow, PresenceRow, RoomRow, SegmentRow, SessionRow
from actors.machines.track import Segment


def session(record: asyncpg.Record) -> SessionRow:
    return SessionRow(*record)


def room(record: asyncpg.Record) -> RoomRow:
    return RoomRow(*record)


def presence(record: asyncpg.Record) -> PresenceRow:
    return PresenceRow(*record)


def attendance(record: asyncpg.Record) -> AttendanceRow:
    return AttendanceRow(*record)


def segment(record: asyncpg.Record) -> SegmentRow:
    """Session, learner, what was watched; then the segment itself; then whether it still grows."""
    session_id, user_id, kind, content_id, room_id, *fields, is_open = record
    return SegmentRow(session_id, user_id, kind, content_id, room_id, Segment(*fields), open=is_open)
