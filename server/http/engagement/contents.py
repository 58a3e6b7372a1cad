"""`/api/v1/videos/engagement/`: what staff ask about one content."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import hdrs, web

from actors.figures import engagement
from actors.figures.engagement import Ends, Tally
from actors.system import ActorSystem
from protocol.engagement import Data, ViewersAnswer
from server.auth import Claims
from server.http import params
from server.http.access import Access
from server.http.answers import cached_answer, not_found
from server.http.engagement import table, views
from server.http.engagement.asked import Question, question
from server.http.learning import asked
from storage.content_engagement import Asking, Curves
from storage.engagement import PostgresEngagement

BUCKETS: Final = 100
BUCKETS_MIN: Final = 10
BUCKETS_MAX: Final = 1_000
LIMIT: Final = 50
LIMIT_MAX: Final = 200


class ContentEngagement:
    """The handlers. One a process."""

    def __init__(self, system: ActorSystem, access: Access, engagement: PostgresEngagement, timezone: str) -> None:
        self._system = system
        self._access = access
        self._engagement = engagement
        self._timezone = timezone
        self._tables = table.Tables(engagement)

    async def summary(self, request: web.Request) -> web.Response:
        """Counts, rates and averages."""
        asks = await self._question(request)
        async with self._about(asks) as content:
            if await content.is_all(asks.period, asks.now):
                made = await content.totals()
            else:
                made = await self._tally(content, asks)
        return asked.answer(request, Data(views.summary(asks, content.subject, made)))

    async def retention(self, request: web.Request) -> web.Response:
        """Curves, exits, hazard."""
        asks = await self._question(request)
        buckets = params.whole(request, "buckets", BUCKETS, BUCKETS_MIN, BUCKETS_MAX)
        async with self._about(asks) as content:
            if await content.is_all(asks.period, asks.now):
                tally = await content.totals(covered=False)
                curves = await content.curves()
                ends = await content.ends(buckets, asks.now)
            else:
                tally, curves, ends = await self._worked_out(content, asks, buckets)
        duration = content.subject.duration
        plays, seen = (
            engagement.drawn(curve, duration, buckets) if duration else [0] * buckets
            for curve in (curves.plays, curves.viewers)
        )
        made = engagement.retention(ends, plays, seen, tally.views, tally.viewers)
        return asked.answer(
            request, Data(views.retention(asks, content.subject, made, buckets, tally.views, tally.viewers))
        )

    async def viewers(self, request: web.Request) -> web.StreamResponse:
        """Learners by id: a page of JSON, or all of them as CSV."""
        asks = await self._question(request)
        cursor = params.cursor(request)
        limit = params.whole(request, "limit", LIMIT, 1, LIMIT_MAX)
        if table.wants_csv(request):
            return await self._tables.send(request, asks)
        async with self._about(asks) as content:
            found = await table.page(content, asks, cursor, limit + 1)
        worked = content.subject.worked
        items = [views.viewer(one, worked, asks.period.end) for one in found[:limit]]
        following = items[-1].user_id if len(found) > limit else None
        return cached_answer(request, Data(ViewersAnswer(items, following)), f"{asked.VARY}, {hdrs.ACCEPT}")

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _question(self, request: web.Request) -> Question:
        claims: Claims = await self._access.staff(request)
        return question(request, claims, self._timezone, self._system.clock.now())

    @asynccontextmanager
    async def _about(self, asks: Question) -> AsyncGenerator[Asking]:
        with asked.stored():
            async with self._engagement.about(asks.kind, asks.content_id) as content:
                if content is None:
                    raise not_found("no such content")
                yield content

    async def _tally(self, content: Asking, asks: Question) -> Tally:
        kept = await content.kept(asks.period)
        others = [made async for page in content.others(asks.period) for made in page]
        subject = content.subject
        return engagement.tally(others, subject.duration, subject.worked, asks.period.end, kept)

    async def _worked_out(self, content: Asking, asks: Question, buckets: int) -> tuple[Tally, Curves, Ends]:
        subject, period = content.subject, asks.period
        tally = (await content.kept(period, covered=False)).sums
        curves = await content.curves(period)
        ends = await content.ends(buckets, asks.now, period)
        async for page in content.others(period):
            those = [made for made in page if made.views]
            tally.views += sum(made.views for made in those)
            tally.viewers += len(those)
            for made in those:
                engagement.add_passes(curves.plays, made.passes)
                engagement.add_passes(curves.viewers, engagement.union(made.passes))
            ends.add(engagement.ends(those, subject.duration, buckets, period.end, asks.now))
        return tally, curves, ends
