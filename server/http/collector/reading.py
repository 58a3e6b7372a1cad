"""`GET /api/v1/analytics/...`: what staff read of collected events (collector.md, "Reading")."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from actors.figures.spans import Span
from actors.system import ActorSystem
from protocol import collector
from protocol.analytics import ApiCalls, ApiCallsAnswer, EngagementAnswer, EngagementStep, ViewsAnswer, ViewsStep
from protocol.rest import rfc3339
from server.http import params
from server.http.access import Access
from server.http.answers import invalid, json_answer
from server.http.learning import asked
from storage.collected import PostgresCollected, Views

STEP_S: Final = 3_600
STEP_MAX_S: Final = 31 * 86_400
STEPS_MAX: Final = 2_000
ITEMS_MAX: Final = 20_000
CALLS: Final = 100
CALLS_MAX: Final = 1_000
_NO_VIEWS: Final = Views(0, 0, 0, None, None, None)


class Analytics:
    """The handlers. One a process. `timezone` is the server's."""

    def __init__(self, system: ActorSystem, access: Access, collected: PostgresCollected, timezone: str) -> None:
        self._system = system
        self._access = access
        self._collected = collected
        self._timezone = timezone

    async def views(self, request: web.Request) -> web.Response:
        """`GET /analytics/views`: every step of the range."""
        span = await self._span(request)
        step = _step(request, span)
        filters = (_text(request, "app"), _text(request, "content_type"), _content(request, "content_id"))
        with asked.stored():
            found = await self._collected.views(span.start, span.end, step, *filters)
        by_start = {each.at: each for each in found}
        starts = range(span.start, span.end, 1000 * step)
        return json_answer(ViewsAnswer([_views(at, by_start.get(at, _NO_VIEWS)) for at in starts], step))

    async def engagement(self, request: web.Request) -> web.Response:
        """`GET /analytics/engagement`: steps and types that have any."""
        span = await self._span(request)
        step = _step(request, span)
        words = (_text(request, "metric_type"), _text(request, "app"), _text(request, "target_type"))
        filters = (*words, _content(request, "target_id"), ITEMS_MAX + 1)
        with asked.stored():
            found = await self._collected.engagement(span.start, span.end, step, *filters)
        if len(found) > ITEMS_MAX:
            raise invalid(f"Expected a longer step, or a `metric_type`: at most {ITEMS_MAX} items - at `$.step`")
        items = [EngagementStep(rfc3339(each.at) or "", each.metric_type, each.count, each.users) for each in found]
        return json_answer(EngagementAnswer(items, step))

    async def api_calls(self, request: web.Request) -> web.Response:
        """`GET /analytics/api-calls`: by what was called."""
        span = await self._span(request)
        filters = (_text(request, "app"), _content(request, "content_id"))
        limit = params.whole(request, "limit", CALLS, 1, CALLS_MAX)
        with asked.stored():
            found = await self._collected.calls(span.start, span.end, *filters, limit=limit)
        items = [
            ApiCalls(
                each.content_id,
                each.count,
                round(100 * each.errors / each.known, 3) if each.known else None,
                *map(_rounded, (each.p50, each.p95, each.p99)),
            )
            for each in found
        ]
        return json_answer(ApiCallsAnswer(items))

    async def _span(self, request: web.Request) -> Span:
        claims = await self._access.staff(request)
        return asked.span(request, asked.asked(request, claims, self._timezone, self._system.clock.now()))


def _step(request: web.Request, span: Span) -> int:
    """In seconds. Raises `Problem` (400) where the range would have too many."""
    length = span.end - span.start
    default = STEP_S * max(1, -(-length // (STEPS_MAX * STEP_S * 1000)))
    step = params.whole(request, "step", default, 1, STEP_MAX_S)
    if length > step * 1000 * STEPS_MAX:
        raise invalid(f"Expected a longer step: a range has at most {STEPS_MAX} - at `$.step`")
    return step


def _text(request: web.Request, name: str) -> str | None:
    return params.query_id(request, name)


def _content(request: web.Request, name: str) -> str | None:
    return params.query_id(request, name, collector.CONTENT_CHARS)


def _views(at: int, found: Views) -> ViewsStep:
    figures = map(_rounded, (found.mean, found.p50, found.p95))
    return ViewsStep(rfc3339(at) or "", found.views, found.users, *figures)


def _rounded(seconds: float | None) -> float | None:
    """To the microsecond: beyond it there is only the order of summing."""
    return None if seconds is None else round(seconds, 6)
