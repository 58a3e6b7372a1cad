"""Viewers, a page at a time: as JSON, or all of them as CSV while they are read.

No page is read before the one before is sent: a slow reader costs a buffer, and no connection to the database.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable
from typing import Final

import structlog
from aiohttp import hdrs, web
from msgspec.structs import astuple
from multidict import CIMultiDict

from actors.ports import StoreAway, StoreRefused
from protocol.engagement import ViewerItem
from server.http import asking
from server.http.answers import HEADERS, Problem, not_found, unavailable
from server.http.engagement import views
from server.http.engagement.asked import Question
from storage.content_engagement import Asking, Viewer
from storage.engagement import PostgresEngagement

CSV_TYPE: Final = "text/csv; charset=utf-8"
ROWS: Final = 500
"""A piece of the table."""
AT_ONCE: Final = 8
"""Tables that are sent at the same time."""
STALL_S: Final = 30.0
"""A reader who takes nothing for so long has gone."""

log = structlog.get_logger(__name__)


def wants_csv(request: web.Request) -> bool:
    """Whether `Accept` names CSV, and does not refuse it (`q=0`)."""
    for part in request.headers.get(hdrs.ACCEPT, "").lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() == "text/csv":
            return parameters.replace(" ", "").rstrip("0").rstrip(".") != "q="
    return False


async def page(content: Asking, asks: Question, behind: str, limit: int) -> list[Viewer]:
    """Viewers by id, those behind `behind`."""
    if await content.is_all(asks.period, asks.now):
        return await content.viewers(behind, limit)
    found: list[Viewer] = []
    async for learners in content.learners(asks.period, behind):
        found += [views.viewer_of(user_id, made, content.subject.worked) for user_id, made in learners if made.views]
        if len(found) >= limit:
            break
    return found[:limit]


class Tables:
    """Sends tables. One a process."""

    def __init__(self, engagement: PostgresEngagement, *, at_once: int = AT_ONCE, stall_s: float = STALL_S) -> None:
        self._engagement = engagement
        self._at_once = at_once
        self._stall_s = stall_s
        self._sending = 0

    async def send(self, request: web.Request, asks: Question) -> web.StreamResponse:
        """All rows. Raises `Problem` as long as nothing was sent: 404, 503."""
        if self._sending >= self._at_once:
            raise unavailable("too many tables are being read: try again")
        self._sending += 1
        try:
            return await self._send(request, asks)
        finally:
            self._sending -= 1

    async def _send(self, request: web.Request, asks: Question) -> web.StreamResponse:
        items = await self._page(asks, "")
        headers = CIMultiDict(HEADERS)
        headers[hdrs.CONTENT_TYPE] = CSV_TYPE
        headers[hdrs.CONTENT_DISPOSITION] = 'attachment; filename="viewers.csv"'
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            await self._write(response, [ViewerItem.__struct_fields__])
            while items:
                await self._write(response, map(astuple, items))
                items = await self._page(asks, items[-1].user_id) if len(items) == ROWS else []
            await response.write_eof()
        except (Problem, ConnectionError, TimeoutError) as error:
            # The reader sees a body without its end.
            log.warning("table.cut", reason=str(error))
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _page(self, asks: Question, behind: str) -> list[ViewerItem]:
        try:
            async with self._engagement.about(asks.kind, asks.content_id) as content:
                if content is None:
                    raise not_found("no such content")
                found = await page(content, asks, behind, ROWS)
                worked = content.subject.worked
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        return [views.viewer(one, worked, asks.period.end) for one in found]

    async def _write(self, response: web.StreamResponse, rows: Iterable[tuple[object, ...]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        async with asyncio.timeout(self._stall_s):
            await response.write(text.getvalue().encode("utf-8", "replace"))
