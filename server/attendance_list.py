"""Attendance as CSV: one row a learner, or one a stay; for spreadsheets too.

Cells that a spreadsheet would take for a formula get an apostrophe in front, whoever wrote them: names come from
outside. Lines end as RFC 4180 says.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal

from actors.figures.facts import LiveClass, Rules
from actors.figures.roster import Roster
from actors.machines import attendance
from protocol.rest import rfc3339
from storage.attendance import AttendanceBook, Attended

Rows = Literal["learners", "intervals"]
ROWS: Final[tuple[Rows, ...]] = ("learners", "intervals")
BOM: Final = "\ufeff"
"""Without it a spreadsheet takes Bangla for Latin."""
SLICE: Final = 25
"""A millisecond of the event loop: players come first."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")

_SAFE: Final = frozenset({int, float})
"""Written as they are."""

_CLASS: Final = ("live_class_id", "class_name", "catalog_product_id", "user_id", "name", "role")
HEADS: Final[dict[Rows, tuple[str, ...]]] = {
    "learners": (
        *_CLASS, "first_join", "last_leave", "presence_seconds", "class_seconds", "percent_of_class", "late_by_seconds",
        "late", "attended", "devices", "sources", "camera_seconds", "microphone_seconds", "screen_seconds",
    ),
    "intervals": (*_CLASS, "joined_at", "left_at", "seconds", "source", "device_id", "disconnect_reason", "open"),
}  # fmt: skip

Cell = str | int | float | bool | None


def guarded(value: Cell) -> str:
    """A cell as text that no spreadsheet runs. Numbers of ours are never guarded: a negative one is a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if value.startswith(_FORMULA) else value


def text(rows: Iterable[Sequence[Cell]]) -> str:
    """Lines of CSV."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(
        [cell if type(cell) in _SAFE else guarded(cell) for cell in row] for row in rows
    )
    return file.getvalue()


class AttendanceList:
    """Makes lists piece by piece: what is held is one page of learners.

    `freshen` has what is in memory of a class written before it is read.
    """

    def __init__(
        self, book: AttendanceBook, rules: Rules, now: Callable[[], int], freshen: Callable[[str], Awaitable[None]]
    ) -> None:
        self._book = book
        self._rules = rules
        self._now = now
        self._freshen = freshen

    async def of_class(self, live_class_id: str, rows: Rows, *, bom: bool = False) -> AsyncIterator[str] | None:
        """The list of one class, with its head; None where nobody has told of it."""
        await self._freshen(live_class_id)
        cls = await self._book.live_class(live_class_id)
        return None if cls is None else self._one(cls, rows, bom=bom)

    async def _one(self, cls: LiveClass, rows: Rows, *, bom: bool) -> AsyncIterator[str]:
        yield self._head(rows, bom=bom)
        async for piece in self._pieces(cls, rows):
            yield piece

    async def of_product(
        self, product_id: str, start: int, end: int, rows: Rows, *, bom: bool = False
    ) -> AsyncIterator[str]:
        """The lists of a product's classes that began in [start, end), Unix ms, under one head."""
        yield self._head(rows, bom=bom)
        async for live_class_id in self._book.classes(product_id, start, end):
            await self._freshen(live_class_id)
            cls = await self._book.live_class(live_class_id)
            if cls is not None:
                async for piece in self._pieces(cls, rows):
                    yield piece

    @staticmethod
    def _head(rows: Rows, *, bom: bool) -> str:
        return (BOM if bom else "") + text([HEADS[rows]])

    async def _pieces(self, cls: LiveClass, rows: Rows) -> AsyncIterator[str]:
        made = Roster(cls, self._rules, self._now())
        async for page in self._book.pages(cls.live_class_id):
            # Slices of a page: players come first.
            for at in range(0, len(page), SLICE):
                some = page[at : at + SLICE]
                if rows == "learners":
                    yield text(_learner(cls, made, each) for each in some)
                else:
                    yield text(row for each in some for row in _stays(cls, each))
                await asyncio.sleep(0)


def _learner(cls: LiveClass, made: Roster, each: Attended) -> tuple[Cell, ...]:
    row, line = each.figures, made.line(each.stays)
    return (
        *_who(cls, each),
        rfc3339(row.first_join if line.first_join is None else line.first_join),
        rfc3339(row.last_leave if line.last_leave is None else line.last_leave),
        line.present_s,
        line.class_s,
        line.percent,
        line.late_s,
        line.late,
        line.attended,
        " ".join(line.devices),
        " ".join(line.sources),
        row.camera_ms // 1000,
        row.microphone_ms // 1000,
        row.screen_ms // 1000,
    )


def _stays(cls: LiveClass, each: Attended) -> Iterable[tuple[Cell, ...]]:
    for stay in each.stays:
        if stay.left_at > stay.joined_at or stay.open:
            length = attendance.seconds(stay.joined_at, stay.left_at)
            times = (rfc3339(stay.joined_at), rfc3339(stay.left_at), length)
            yield (*_who(cls, each), *times, stay.source, stay.device_id, stay.disconnect_reason, stay.open)


def _who(cls: LiveClass, each: Attended) -> tuple[Cell, ...]:
    row = each.figures
    return cls.live_class_id, cls.name, cls.product_id, row.user_id, row.name, row.role
