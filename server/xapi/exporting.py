"""`GET /api/v1/export/xapi`: our own sessions as statements, a page at a time while they are sent (staff).

Sessions that others told stay with those: whoever collects from several systems would hear of them twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.figures.spans import BadSpan, Span, span
from actors.machines import ranges
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.xapi import writing
from server.config import Settings
from server.http import asking, params
from server.http.access import Access
from server.http.answers import HEADERS, invalid, unavailable
from storage.xapi import PAGE, Exported, PostgresXapi

NDJSON_TYPE: Final = "application/x-ndjson; charset=utf-8"
AT_ONCE: Final = 4
"""Exports that are sent at the same time."""
STALL_S: Final = 30.0
"""A reader who takes nothing for so long has gone."""

log = structlog.get_logger(__name__)


class XapiExport:
    """The handler. One a process."""

    def __init__(self, system: ActorSystem, access: Access, store: PostgresXapi, settings: Settings) -> None:
        self._system = system
        self._access = access
        self._store = store
        self._zone = ZoneInfo(settings.timezone)
        self._home_page = settings.xapi_home_page
        self._sending = 0

    async def get(self, request: web.Request) -> web.StreamResponse:
        """`?start_at&end_at`: sessions that began then and are over, as NDJSON."""
        await self._access.staff(request)
        within = self._span(request)
        if self._sending >= AT_ONCE:
            raise unavailable("too many exports are being read: try again")
        self._sending += 1
        try:
            return await self._send(request, within)
        finally:
            self._sending -= 1

    def _span(self, request: web.Request) -> Span:
        start, end = params.single(request, "start_at"), params.single(request, "end_at")
        try:
            return span(start, end, self._zone, self._system.clock.now())
        except BadSpan as bad:
            raise invalid(f"{bad.why} - at `$.{bad.name}`") from None

    async def _send(self, request: web.Request, within: Span) -> web.StreamResponse:
        pages = statements(self._store, within, self._home_page)
        try:
            # The first page before the answer begins: storage that is away is still a 503 then.
            first = await anext(pages, b"")
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        headers = CIMultiDict(HEADERS)
        headers[hdrs.CONTENT_TYPE] = NDJSON_TYPE
        headers[hdrs.CONTENT_DISPOSITION] = 'attachment; filename="statements.ndjson"'
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            await _write(response, first)
            async for page in pages:
                await _write(response, page)
            await response.write_eof()
        except (StoreAway, StoreRefused, ConnectionError, TimeoutError) as error:
            # The reader sees a body without its end.
            log.warning("export.cut", reason=str(error))
            if request.transport is not None:
                request.transport.abort()
        return response


async def statements(store: PostgresXapi, within: Span, home_page: str) -> AsyncIterator[bytes]:
    """Lines of statements, a page of sessions at a time. Raises StoreAway, StoreRefused."""
    behind: tuple[int, str] | None = None
    while True:
        page = await store.sessions_between(within.start, within.end, behind)
        if page:
            yield b"".join(writing.lines(_told(one), home_page) for one in page)
        if len(page) < PAGE:
            return
        behind = page[-1].started_at, page[-1].session_id


def _told(one: Exported) -> writing.Told:
    covered: list[int] = []
    for start, end in ranges.pairs(one.played):
        ranges.add(covered, start, end, len(one.played))
    length = one.length
    return writing.Told(
        session_id=one.session_id,
        user_id=one.user_id,
        kind=one.kind,
        content_id=one.content_id,
        title=one.title,
        started_at=one.started_at,
        ended_at=one.ended_at,
        position=one.position,
        length=length,
        covered=ranges.length_within(covered, 0, length) if length else ranges.length(covered),
        completed=one.completed,
        played=one.played,
    )


async def _write(response: web.StreamResponse, page: bytes) -> None:
    async with asyncio.timeout(STALL_S):
        await response.write(page)
