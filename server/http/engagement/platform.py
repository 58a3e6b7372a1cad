"""What staff ask about all contents: the best of them, people at once, and the admin's dashboard."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from actors.figures import spans
from actors.figures.concurrency import CELL_MS
from actors.figures.spans import BadSpan, Span
from actors.system import ActorSystem
from protocol.engagement import DashboardAnswer, Data, TopAnswer
from server.http import params
from server.http.access import Access
from server.http.answers import invalid
from server.http.engagement import crowds, views
from server.http.learning import asked
from storage.engagement import PostgresEngagement, Ranked, Sessions, WholeDays

SORTS: Final = ("viewers", "completion", "drop_off", "watch_time")
LIMIT: Final = 50
LIMIT_MAX: Final = 200
STEP_S: Final = 3_600
STEP_MIN_S: Final = 10
STEP_MAX_S: Final = 86_400
STEPS_MAX: Final = 2_000
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 9990
EVERY_DAY: Final = (0, 2**31 - 1)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class Behind(msgspec.Struct, array_like=True, frozen=True):
    """The last of a page of `top`."""

    rank: float
    kind: str
    content_id: str


_BEHIND: Final = msgspec.json.Decoder(Behind)


class PlatformEngagement:
    """The handlers. One a process. `zone` is the server's, whose days the dashboard counts."""

    def __init__(self, system: ActorSystem, access: Access, engagement: PostgresEngagement, zone: ZoneInfo) -> None:
        self._system = system
        self._access = access
        self._engagement = engagement
        self._zone = zone

    async def top(self, request: web.Request) -> web.Response:
        """Contents by a measure, the most first."""
        await self._access.staff(request)
        sort = params.choice(request, "sort", SORTS) or SORTS[0]
        course_id = params.query_id(request, "course_id")
        limit = params.whole(request, "limit", LIMIT, 1, LIMIT_MAX)
        behind = _behind(params.cursor(request))
        with asked.stored():
            found = await self._engagement.top(sort, course_id, behind, limit + 1)
        following = _cursor(found[limit - 1]) if len(found) > limit else None
        return asked.answer(request, Data(TopAnswer([views.top(one) for one in found[:limit]], following)))

    async def concurrent(self, request: web.Request) -> web.Response:
        """People watching at once."""
        claims = await self._access.staff(request)
        question = asked.asked(request, claims, self._zone.key, self._system.clock.now())
        span = asked.span(request, question)
        length = span.end - span.start
        default = max(STEP_S, -(-length // (STEPS_MAX * CELL_MS)) * CELL_MS // 1000)
        step = params.whole(request, "step", default, STEP_MIN_S, STEP_MAX_S)
        if length > step * 1000 * STEPS_MAX:
            raise invalid(f"Expected a longer step: a range has at most {STEPS_MAX} - at `$.step`")
        with asked.stored():
            made = await crowds.steps(self._engagement.crowds, span.start, span.end, step * 1000)
        return asked.answer(request, Data(views.concurrent(span.start, span.end, step, made)))

    async def dashboard(self, request: web.Request) -> web.Response:
        """Sessions of everything, a year, a month, or a range."""
        await self._access.staff(request)
        with asked.naming():
            span = self._period(request)
        with asked.stored():
            found = await self._sessions(span)
        return asked.answer(request, Data(DashboardAnswer(views.videos(found))))

    async def _sessions(self, span: Span | None) -> Sessions:
        if span is None:
            return await self._engagement.days(*EVERY_DAY)
        days = _whole_days(span, self._zone)
        if days is not None and (days.start, days.end) == (span.start, span.end):
            return await self._engagement.days(days.first, days.behind)
        return await self._engagement.between(span.start, span.end, days)

    def _period(self, request: web.Request) -> Span | None:
        """`year`, `year` and `month`, `from` and `to`, or nothing. Raises `Problem`, `BadSpan`."""
        given = {name: params.single(request, name) for name in ("year", "month", "from", "to")}
        named = {name for name, value in given.items() if value is not None}
        if not named:
            return None
        if named == {"from", "to"}:
            return _between(given["from"], given["to"], self._zone, self._system.clock.now())
        if "from" in named or "to" in named:
            raise invalid("Expected `from` and `to`, and nothing else - at `$.from`")
        if "year" not in named:
            raise invalid("Expected `year` with it - at `$.month`")
        year = params.whole(request, "year", YEAR_MIN, YEAR_MIN, YEAR_MAX)
        month = params.whole(request, "month", 1, 1, 12)
        begin = date(year, month, 1)
        whole = timedelta(days=31 if "month" in named else 366)
        end = (begin + whole).replace(day=1)
        return Span(spans.midnight(begin, self._zone), spans.midnight(end, self._zone))


def _whole_days(span: Span, zone: ZoneInfo) -> WholeDays | None:
    first, behind = spans.day_of(span.start, zone), spans.day_of(span.end, zone)
    if spans.midnight(first, zone) < span.start:
        first += timedelta(days=1)
    start, end = spans.midnight(first, zone), spans.midnight(behind, zone)
    return (
        WholeDays(first.toordinal() - _EPOCH_DAY, behind.toordinal() - _EPOCH_DAY, start, end) if start < end else None
    )


def _between(start: str | None, end: str | None, zone: ZoneInfo, now: int) -> Span:
    try:
        return spans.span(start, end, zone, now)
    except BadSpan as error:
        raise BadSpan({"start_at": "from", "end_at": "to"}[error.name], error.why) from None


def _behind(cursor: str) -> tuple[float, str, str] | None:
    if not cursor:
        return None
    try:
        found = _BEHIND.decode(cursor)
    except (msgspec.MsgspecError, UnicodeError):
        raise invalid("Expected the `next_cursor` of an earlier answer - at `$.cursor`") from None
    return msgspec.structs.astuple(found)


def _cursor(last: Ranked) -> str:
    return msgspec.json.encode(Behind(last.rank, last.kind, last.content_id)).decode()
