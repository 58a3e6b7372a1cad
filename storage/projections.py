"""Writing the rows of a checkpoint: columns by `unnest`, a thousand rows a statement.

Within a statement keys are unique (the last row of a key wins) and sorted, and tables are written in one order, so that
two checkpoints cannot wait for each other. The columns of a statement stand in the order of the struct's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from actors.machines.rows import InteractionRow, PresenceRow, Rows, SegmentRow
from storage import engaging, outbox_rows
from storage.postgres import Connection
from storage.sql import statements

BATCH_ROWS: Final = 1_000
"""Some 5 ms of the event loop to encode, some 20 ms of the server to write."""
_MOVED_MS: Final = 2 * 24 * 3600 * 1000
"""How far the beginning of an open presence can move: samples are at most 24 hours old (realtime.md, "Time")."""

Values = tuple[Any, ...]


async def write(connection: Connection, rows: Sequence[Rows], rules: engaging.Rules | None = None) -> None:
    """Write the rows of several actors, and what follows from them. Raises the driver's errors."""
    gone = [row for each in rows for row in each.gone]
    if gone:
        await connection.execute(
            statements()["forget_members"], [row.room_id for row in gone], [row.user_id for row in gone]
        )
    await _write(connection, "save_sessions", 1, (_values(row) for each in rows for row in each.sessions))
    await _drop_redone(connection, rows)
    closed = await _write(connection, "save_segments", 2, (_segment(row) for each in rows for row in each.segments))
    watched = {
        (row.kind, row.content_id, row.user_id)
        for each in rows
        for row in each.sessions
        if row.kind is not None and row.content_id is not None
    }
    await engaging.refresh(connection, watched, rules or engaging.Rules())
    await _write(connection, "save_presences", 3, (_values(row) for each in rows for row in each.presences), _reach)
    await _write(connection, "save_attendances", 2, (_values(row) for each in rows for row in each.attendances))
    await _write(connection, "save_interactions", 4, (_interaction(row) for each in rows for row in each.interactions))
    await _write(connection, "save_rooms", 1, (_values(each.room) for each in rows if each.room is not None))
    await outbox_rows.write(connection, rows, [(record["session_id"], record["number"]) for record in closed])


async def _drop_redone(connection: Connection, rows: Sequence[Rows]) -> None:
    """Segments that were worked out anew and are no more; the others are written over."""
    redone = {row.session_id: row for each in rows for row in each.redone}
    if not redone:
        return
    stays = [row for each in rows for row in each.segments if row.session_id in redone]
    await connection.execute(
        statements()["drop_redone_segments"],
        [row.session_id for row in redone.values()],
        [row.user_id for row in redone.values()],
        [row.first for row in redone.values()],
        [row.session_id for row in stays],
        [row.segment.number for row in stays],
        [row.segment.start_at for row in stays],
        min((row.started_at for each in rows for row in each.sessions if row.session_id in redone), default=0),
    )


async def _write(
    connection: Connection,
    name: str,
    key_columns: int,
    rows: Iterable[Values],
    scalars: Callable[[Sequence[Sequence[Any]]], Values] | None = None,
) -> list[asyncpg.Record]:
    """Returns what the statement returns."""
    latest = {row[:key_columns]: row for row in rows}
    ordered = [latest[key] for key in sorted(latest)]
    returned: list[asyncpg.Record] = []
    for start in range(0, len(ordered), BATCH_ROWS):
        columns = list(zip(*ordered[start : start + BATCH_ROWS], strict=True))
        returned += await connection.fetch(statements()[name], *columns, *(scalars(columns) if scalars else ()))
    return returned


def _reach(columns: Sequence[Sequence[Any]]) -> Values:
    """Where rows of these presences may lie that began elsewhere when they were last written."""
    joined_at = columns[PresenceRow.__struct_fields__.index("joined_at")]
    return min(joined_at) - _MOVED_MS, max(joined_at) + _MOVED_MS


def _values(row: msgspec.Struct) -> Values:
    return msgspec.structs.astuple(row)


def _segment(row: SegmentRow) -> Values:
    segment = row.segment
    return (
        row.session_id,
        segment.number,
        row.user_id,
        row.kind,
        row.content_id,
        row.room_id,
        segment.start_at,
        segment.end_at,
        segment.start_position,
        segment.end_position,
        segment.rate,
        segment.rate_ms,
        segment.visible_ms,
        segment.verified,
        segment.offline,
        row.open,
    )


def _interaction(row: InteractionRow) -> Values:
    value = None if row.value is None else row.value.decode()
    return row.room_id, row.user_id, row.kind, row.id, value, row.at
