"""Attendance as CSV over HTTP, streamed: `/rooms/{id}/attendance.csv` and `/export/attendance.csv` (staff)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.figures.facts import Rules
from actors.figures.spans import BadSpan, Span, span
from actors.ports import ROOM, LeaseLost, StoreAway, StoreRefused
from actors.system import ActorSystem
from server.attendance_list import ROWS, AttendanceList, Rows
from server.config import Settings
from server.http import asking, params
from server.http.access import Access
from server.http.answers import HEADERS, invalid, not_found
from storage.attendance import AttendanceBook

CSV_TYPE: Final = "text/csv; charset=utf-8"
_FLAGS: Final = ("0", "1")


class Exports:
    """The handlers. One a process."""

    def __init__(self, system: ActorSystem, access: Access, book: AttendanceBook, settings: Settings) -> None:
        self._system = system
        self._access = access
        self._zone = ZoneInfo(settings.timezone)
        rules = Rules(round(settings.late_grace_s * 1000), round(settings.attended_min_s * 1000))
        self._list = AttendanceList(book, rules, system.clock.now, self._freshen)

    async def of_class(self, request: web.Request) -> web.Response:
        """`GET /rooms/{id}/attendance.csv?rows&bom`."""
        await self._access.staff(request)
        room_id = params.path_id(request)
        rows, bom = _rows(request), _bom(request)
        try:
            pieces = await self._list.of_class(room_id, rows, bom=bom)
        except (StoreAway, StoreRefused, LeaseLost) as error:
            raise asking.away(error) from error
        if pieces is None:
            raise not_found("no such room")
        return _csv(pieces, f"attendance-{room_id}")

    async def of_product(self, request: web.Request) -> web.Response:
        """`GET /export/attendance.csv?catalog_product_id&start_at&end_at&rows&bom`."""
        await self._access.staff(request)
        product_id = params.query_id(request, "catalog_product_id")
        if product_id is None:
            raise invalid("Expected the id of a product - at `$.catalog_product_id`")
        rows, bom, within = _rows(request), _bom(request), self._span(request)
        pieces = self._list.of_product(product_id, within.start, within.end, rows, bom=bom)
        try:
            # The first two pieces before the answer begins: storage that is away is still a 503 then.
            head = [piece async for piece in _first(pieces, 2)]
        except (StoreAway, StoreRefused, LeaseLost) as error:
            raise asking.away(error) from error
        return _csv(_again(head, pieces), f"attendance-product-{product_id}")

    def _span(self, request: web.Request) -> Span:
        start, end = params.single(request, "start_at"), params.single(request, "end_at")
        try:
            return span(start, end, self._zone, self._system.clock.now())
        except BadSpan as bad:
            raise invalid(f"{bad.why} - at `$.{bad.name}`") from None

    async def _freshen(self, room_id: str) -> None:
        """What memory has of a class is written first, so that the list is as of now."""
        actor = self._system.directory.find(ROOM, room_id)
        if actor is not None and actor.dirty_from is not None:
            await self._system.committer.settled()
            await self._system.checkpointer.write_now(actor)


async def _first(pieces: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        try:
            yield await anext(pieces)
        except StopAsyncIteration:
            return


async def _again(head: list[str], rest: AsyncIterator[str]) -> AsyncIterator[str]:
    for piece in head:
        yield piece
    async for piece in rest:
        yield piece


async def _bytes(pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece.encode()


def _csv(pieces: AsyncIterator[str], name: str) -> web.Response:
    fields = CIMultiDict(HEADERS)
    fields[hdrs.CONTENT_TYPE] = CSV_TYPE
    safe = re.sub(r"[^0-9A-Za-z._-]", "_", name)
    fields[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{safe}.csv"'
    return web.Response(body=_bytes(pieces), headers=fields)


def _rows(request: web.Request) -> Rows:
    return "intervals" if params.choice(request, "rows", ROWS) == "intervals" else "learners"


def _bom(request: web.Request) -> bool:
    return params.choice(request, "bom", _FLAGS) == "1"
