"""Attendance as CSV: one row a learner, or one a stay; for spreadsheets too.

Cells that a spreadsheet would take for a formula get an apostrophe in front, whoever wrote them: names come from
outside. Lines end as RFC 4180 says.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal

from actors.figures.facts import LiveClass, Rules
from actors.figures.roster import Roster
from actors.machines import attendance
from protocol.rest import rfc3339
from storage.attendance import AttendanceBook, Attended

Rows = Literal["learners", "intervals"]
ROWS: Final[tuple[Rows, ...]] = ("learners", "intervals")
Cell = str | int | float | bool | None
Page = tuple[LiveClass, Roster, list[Attended]]
BOM: Final = "\ufeff"
"""Without it a spreadsheet takes Bangla for Latin."""
SLICE: Final = 25
"""A millisecond of the event loop: players come first."""
_FORMULA: Final = frozenset("=+-@\t\r\n\0")
_WORDS: Final[dict[Cell, str]] = {None: "", True: "true", False: "false"}

_CLASS: Final = ("live_class_id", "class_name", "catalog_product_id", "user_id", "name", "role")
HEADS: Final[dict[Rows, tuple[str, ...]]] = {
    "learners": (
        *_CLASS, "first_join", "last_leave", "presence_seconds", "class_seconds", "percent_of_class", "late_by_seconds",
        "late", "attended", "devices", "sources", "camera_seconds", "microphone_seconds", "screen_seconds",
    ),
    "intervals": (*_CLASS, "joined_at", "left_at", "seconds", "source", "device_id", "disconnect_reason", "open"),
}  # fmt: skip


def guarded(value: str) -> str:
    """A cell's text that no spreadsheet runs. Numbers of ours are never guarded: a negative one is a number."""
    return f"'{value}" if value[:1] in _FORMULA else value


def text(rows: Iterable[Sequence[Cell]]) -> str:
    """Lines of CSV."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(
        [
            guarded(cell) if type(cell) is str else _WORDS[cell] if cell is None or type(cell) is bool else cell
            for cell in row
        ]
        for row in rows
    )
    return file.getvalue()


class AttendanceList:
    """Makes lists piece by piece: what is held are two pages of learners.

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
        return None if cls is None else self._pieces(self._pages(cls), rows, bom=bom)

    def of_product(self, product_id: str, start: int, end: int, rows: Rows, *, bom: bool = False) -> AsyncIterator[str]:
        """The lists of a product's classes that began in [start, end), Unix ms, under one head."""
        return self._pieces(self._pages_of_product(product_id, start, end), rows, bom=bom)

    async def _pages_of_product(self, product_id: str, start: int, end: int) -> AsyncGenerator[Page]:
        async for live_class_id in self._book.classes(product_id, start, end):
            await self._freshen(live_class_id)
            cls = await self._book.live_class(live_class_id)
            if cls is not None:
                async for page in self._pages(cls):
                    yield page

    async def _pages(self, cls: LiveClass) -> AsyncGenerator[Page]:
        made = Roster(cls, self._rules, self._now())
        async for page in self._book.pages(cls.live_class_id):
            yield cls, made, page

    @staticmethod
    async def _pieces(pages: AsyncGenerator[Page], rows: Rows, *, bom: bool) -> AsyncIterator[str]:
        yield (BOM if bom else "") + text([HEADS[rows]])
        async for cls, made, page in _ahead(pages):
            # Slices of a page: players come first.
            for at in range(0, len(page), SLICE):
                some = page[at : at + SLICE]
                if rows == "learners":
                    yield text(_learner(cls, made, each) for each in some)
                else:
                    yield text(row for each in some for row in _stays(cls, each))
                await asyncio.sleep(0)


async def _ahead(pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
    """The same; while one page is written the next one is read."""
    reading = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await reading) is not None:
            reading = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        # Let it end: a question that is broken off costs a connection.
        await asyncio.gather(reading, return_exceptions=True)
        await pages.aclose()


def _learner(cls: LiveClass, made: Roster, each: Attended) -> tuple[Cell, ...]:
    line = made.line(each.stays)
    return (
        *_who(cls, each),
        rfc3339(each.first_join if line.first_join is None else line.first_join),
        rfc3339(each.last_leave if line.last_leave is None else line.last_leave),
        line.present_s,
        line.class_s,
        line.percent,
        line.late_s,
        line.late,
        line.attended,
        " ".join(line.devices),
        " ".join(line.sources),
        each.camera_ms // 1000,
        each.microphone_ms // 1000,
        each.screen_ms // 1000,
    )


def _stays(cls: LiveClass, each: Attended) -> Iterable[tuple[Cell, ...]]:
    for stay in each.stays:
        if stay.left_at > stay.joined_at or stay.open:
            length = attendance.seconds(stay.joined_at, stay.left_at)
            times = (rfc3339(stay.joined_at), rfc3339(stay.left_at), length)
            yield (*_who(cls, each), *times, stay.source, stay.device_id, stay.disconnect_reason, stay.open)


def _who(cls: LiveClass, each: Attended) -> tuple[Cell, ...]:
    return cls.live_class_id, cls.name, cls.product_id, each.user_id, each.name, each.role
