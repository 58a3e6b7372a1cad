"""What others are told of a checkpoint: rows of the outbox, written with the facts (events.md, "Published").

A closed segment of a class is told once: when its row becomes a closed one. The end of a class is told once for each
time that it was over: `rooms.ends_told` remembers which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.machines.rows import EndRow, Rows, SegmentRow
from protocol.events_out import ClassEnd, UserLeave, encode_class_end, encode_class_end_short, encode_user_leave
from storage.postgres import Connection
from storage.sql import statements

CLASSES: Final = "classes"
ACTIVITY: Final = "activity"
LIVECLASS: Final = "liveclass"
"""Which exchange; the settings name them."""
LEAVE: Final = "live_class_user_leave"
END: Final = "liveclass.end"
LEAVE_KEY: Final = "live_class_user.activity"
BATCH_ROWS: Final = 1_000


class Message(msgspec.Struct, frozen=True):
    """A row of `outbox` before it has an id."""

    room_id: str
    event_name: str
    exchange: str
    routing_key: str
    body: bytes


class ClassFacts(msgspec.Struct, frozen=True):
    """What the owner of a class told of it; the totals are what is known here and there."""

    catalog_product_id: str | None = None
    catalog_sku_id: str | None = None
    program_id: str | None = None
    course_id: str | None = None
    platform: str | None = None
    is_required: bool = True
    total_comments: int = 0
    total_doubts: int = 0
    total_doubt_resolved: int = 0
    total_quiz: int = 0
    total_poll: int = 0
    total_participation: int = 0


UNTOLD: Final = ClassFacts()


def leave_message(row: SegmentRow, facts: ClassFacts) -> Message:
    """A closed segment of a class."""
    segment = row.segment
    body = encode_user_leave(
        UserLeave(
            auth_user_id=row.user_id,
            live_class_id=row.room_id or "",
            catalog_product_id=facts.catalog_product_id,
            catalog_sku_id=facts.catalog_sku_id,
            program_id=facts.program_id,
            course_id=facts.course_id,
            platform=facts.platform,
            playhead_start_ms=segment.start_position,
            playhead_end_ms=segment.end_position,
            start_at=segment.start_at,
            end_at=segment.end_at,
        )
    )
    return Message(row.room_id or "", LEAVE, ACTIVITY, LEAVE_KEY, body)


def end_messages(row: EndRow, facts: ClassFacts) -> list[Message]:
    """A class that is over: in full where the figures are ours to tell, and in short."""
    end = ClassEnd(
        live_class_id=row.room_id,
        catalog_product_id=facts.catalog_product_id or row.product_id,
        catalog_sku_id=facts.catalog_sku_id,
        program_id=facts.program_id,
        course_id=facts.course_id,
        platform=facts.platform,
        start_at=row.start_at,
        end_at=row.end_at,
        avg_watch_time_s=row.avg_watch_s,
        total_comments=facts.total_comments,
        total_doubts=facts.total_doubts,
        total_doubt_resolved=facts.total_doubt_resolved,
        total_quiz=facts.total_quiz,
        total_poll=facts.total_poll,
        total_participation=facts.total_participation,
        is_required=facts.is_required,
    )
    short = Message(row.room_id, END, LIVECLASS, END, encode_class_end_short(end))
    return [Message(row.room_id, END, CLASSES, END, encode_class_end(end)), short] if row.full else [short]


def told_of(row: SegmentRow) -> bool:
    """Whether others hear of this segment when it is closed."""
    return row.room_id is not None and not row.open and row.segment.verified


async def write(connection: Connection, rows: Sequence[Rows], closed: Sequence[tuple[str, int]]) -> None:
    """Write to the outbox what these rows tell; `closed` are the keys of segments that have just become closed ones.

    In the transaction of the rows, behind them. Raises the driver's errors.
    """
    known = {(row.session_id, row.segment.number): row for each in rows for row in each.segments}
    leaves = [row for key in closed if told_of(row := known[key])]
    ends = await _ends(connection, [each.end for each in rows if each.end is not None])
    if not leaves and not ends:
        return
    facts = await _facts(connection, sorted({row.room_id or "" for row in leaves} | {row.room_id for row in ends}))
    messages = [leave_message(row, facts.get(row.room_id or "", UNTOLD)) for row in leaves]
    for end in ends:
        messages += end_messages(end, facts.get(end.room_id, UNTOLD))
    for start in range(0, len(messages), BATCH_ROWS):
        columns = zip(*(msgspec.structs.astuple(each) for each in messages[start : start + BATCH_ROWS]), strict=True)
        await connection.execute(statements()["put_into_outbox"], *(list(column) for column in columns))


async def _ends(connection: Connection, ends: list[EndRow]) -> list[EndRow]:
    """Those that were not told yet."""
    if not ends:
        return []
    told = await connection.fetch(
        statements()["tell_ends"], [end.room_id for end in ends], [end.number for end in ends]
    )
    untold = {record["room_id"] for record in told}
    return [end for end in ends if end.room_id in untold]


async def _facts(connection: Connection, room_ids: list[str]) -> Mapping[str, ClassFacts]:
    records: list[Any] = await connection.fetch(statements()["facts_to_tell"], room_ids)
    return {
        record["room_id"]: ClassFacts(*(record[name] for name in ClassFacts.__struct_fields__)) for record in records
    }
