"""The handlers of endpoints 1 to 6: a learner over a range, or on a day (learning-api.md)."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from actors.figures import activities, attendance, classes, spans, study
from actors.figures.classes import Seen
from actors.figures.facts import Rules
from actors.figures.spans import Span
from actors.system import ActorSystem
from server.http import params
from server.http.access import Access
from server.http.answers import invalid, not_found
from server.http.learning import asked, views
from server.http.learning.asked import Asked
from server.http.learning.loading import Loader, Loading
from server.http.learning.words import Words
from server.theme import Theme

DAY_MS: Final = 86_400_000
LOOK_BACK: Final = (31, 366, 36_600)
"""Days in which the last earlier day with an offered class is looked for, one after the other (reading 8)."""
FLAGS: Final = ("true", "false")


class Ground(msgspec.Struct, frozen=True):
    """What the handlers of dashboards stand on. `timezone`: the server's."""

    system: ActorSystem
    access: Access
    loader: Loader
    theme: Theme
    rules: Rules
    timezone: str

    async def ask(self, request: web.Request) -> tuple[Asked, Words]:
        """Who asks what, and the words of the answer. Raises `Problem`."""
        claims = await self.access.anybody(request)
        question = asked.asked(request, claims, self.timezone, self.system.clock.now())
        return question, Words(self.theme, question.language)


class Pages:
    """One a process."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def activities(self, request: web.Request) -> web.Response:
        """`GET /learning/activities`."""
        question, words = await self._ground.ask(request)
        within = asked.span(request, question)
        with asked.stored():
            loading = await self._attended(question, within)
            ids = [cls.live_class_id for cls in loading.offered(within, question.now)]
            await loading.add_offers(ids)
            elsewhere = await loading.add_quizzes_elsewhere(within)
            await loading.add_answers(within, [*ids, *elsewhere])
            await loading.add_exams(within)
        found = activities.activities(loading.learner, within, question.zone, self._ground.rules, question.now)
        return asked.answer(request, views.activities(found, within, words))

    async def times(self, request: web.Request) -> web.Response:
        """`GET /learning/times`."""
        question, words = await self._ground.ask(request)
        within = asked.span(request, question)
        with_details = params.choice(request, "with_details", FLAGS) == "true"
        with asked.stored():
            loading = await self._ground.loader.begin(question.user_id)
            await loading.add_classes(within.start, within.end, await loading.add_presences_in(within))
            await loading.add_lessons(within)
            await loading.add_exams(within)
        found = study.times(loading.learner, within, question.zone, question.now)
        return asked.answer(request, views.times(found, within, words, with_details=with_details))

    async def attendance(self, request: web.Request) -> web.Response:
        """`GET /liveclass/attendance`."""
        question, words = await self._ground.ask(request)
        within = asked.span(request, question)
        with asked.stored():
            seen = self._seen(await self._attended(question, within), question, within)
            names = await self._names(seen)
        return asked.answer(request, views.live_class_attendance(seen, names, within, words))

    async def overview(self, request: web.Request) -> web.Response:
        """`GET /liveclass/attendance-overview`."""
        question, words = await self._ground.ask(request)
        within = asked.span(request, question)
        with asked.stored():
            loading = await self._attended(question, within)
            seen = self._seen(loading, question, within)
            full_before = bool(seen) and await self._full_before(loading, question, seen[0])
        days = attendance.days(seen, question.zone, full_before=full_before)
        return asked.answer(request, views.overview(days, within, words))

    async def details(self, request: web.Request) -> web.Response:
        """`GET /liveclass/attendance/details?catalog_product_id`."""
        question, words = await self._ground.ask(request)
        product_id = params.query_id(request, "catalog_product_id")
        if product_id is None:
            raise invalid("Missing - at `$.catalog_product_id`")
        within = asked.span(request, question)
        with asked.stored():
            loading = await self._attended(question, within)
            if not loading.learner.ever(product_id):
                await loading.add_activity()
            if not loading.learner.ever(product_id):
                raise not_found("no such product, or never this learner's")
            names = await self._ground.loader.store.product_names([product_id])
        seen = [one for one in self._seen(loading, question, within) if one.cls.product_id == product_id]
        title = names.get(product_id, product_id)
        return asked.answer(request, views.modules(product_id, seen, within, title, words))

    async def day(self, request: web.Request) -> web.Response:
        """`GET /liveclass/attendance-overview/{date}`."""
        question, _ = await self._ground.ask(request)
        with asked.naming():
            day = spans.day(request.match_info["date"], question.zone)
        within = Span(day.start, day.end)
        with asked.stored():
            loading = await self._ground.loader.begin(question.user_id)
            await loading.add_classes(within.start, within.end)
            found = classes.of_day(loading.learner, within)
            await loading.add_presences(found, question.now)
            presences = loading.learner.presences
            seen = [
                classes.seen(cls, presences.get(cls.live_class_id, ()), self._ground.rules, question.now)
                for cls in found
            ]
            names = await self._names(seen)
        return asked.answer(request, views.day_classes(day.start, seen, names))

    # -- facts --------------------------------------------------------------------------------------------------------

    async def _attended(self, question: Asked, within: Span) -> Loading:
        """The classes of a range, and the learner's presence in those that were offered."""
        loading = await self._ground.loader.begin(question.user_id)
        await loading.add_classes(within.start, within.end)
        await loading.add_presences(loading.offered(within, question.now), question.now)
        return loading

    def _seen(self, loading: Loading, question: Asked, within: Span) -> list[Seen]:
        return classes.required(loading.learner, within, self._ground.rules, question.now)

    async def _names(self, seen: list[Seen]) -> dict[str, str]:
        ids = {one.cls.product_id for one in seen if one.cls.product_id is not None}
        return dict(await self._ground.loader.store.product_names(ids)) if ids else {}

    async def _full_before(self, loading: Loading, question: Asked, first: Seen) -> bool:
        """Whether the last day with an offered class before that of `first` was attended in full."""
        zone = question.zone
        until = spans.midnight(spans.day_of(first.cls.start_at or 0, zone), zone)
        for back in LOOK_BACK:
            since = max(0, until - back * DAY_MS)
            await loading.add_classes(since, until)
            before = [cls for cls in loading.offered(Span(since, until), question.now) if cls.required]
            if before:
                last = spans.midnight(spans.day_of(before[-1].start_at or 0, zone), zone)
                await loading.add_presences([cls for cls in before if (cls.start_at or 0) >= last], question.now)
                return attendance.days(self._seen(loading, question, Span(last, until)), zone)[-1].full
        return False
