"""The facts of one learner, from memory and store, as the figures want them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from actors.figures import classes
from actors.figures.class_parts import Told, live_class
from actors.figures.facts import Interval, Learner, LiveClass
from actors.figures.spans import Span
from actors.system import ActorSystem
from server.http.learning import memory
from server.http.learning.memory import RoomSeen
from storage.learning import PostgresLearning, Presences

replace = msgspec.structs.replace
FEW: Final = 8
"""So many classes are asked for one by one."""


class Loader:
    """One a process. Raises StoreAway, StoreRefused, NotOwned and `Problem` (503)."""

    def __init__(self, system: ActorSystem, store: PostgresLearning) -> None:
        self._system = system
        self.store = store

    async def begin(self, user_id: str) -> Loading:
        """Who it is: where memory sees them now, and the products that are theirs."""
        here = await memory.rooms(self._system, user_id, memory.rooms_with(self._system, user_id))
        enrolments = await self.store.enrolments(user_id)
        loading = Loading(self._system, self.store, user_id, here, Learner(enrolments))
        if not enrolments:
            await loading.add_activity()
        return loading


class Loading:
    """One learner's facts as they are gathered: `learner` grows with each call."""

    def __init__(
        self,
        system: ActorSystem,
        store: PostgresLearning,
        user_id: str,
        here: dict[str, RoomSeen],
        learner: Learner,
    ) -> None:
        self._system = system
        self._store = store
        self.user_id = user_id
        self.here = here
        self.learner = learner
        self._told: dict[str, Told] = {}

    @property
    def products(self) -> list[str]:
        """Of which something may be the learner's at some time."""
        enrolled = {enrolment.product_id for enrolment in self.learner.enrolments}
        return sorted(enrolled or self.learner.active_products)

    @property
    def present(self) -> list[str]:
        """Rooms in memory that know the learner."""
        return [key for key, seen in self.here.items() if seen.presences is not None]

    async def add_activity(self) -> None:
        """Products of any activity, however the learner came to it."""
        active = await self._store.active_products(self.user_id, self.present)
        self.learner = replace(self.learner, active_products=active)

    async def add_classes(self, since: int, until: int, ids: Collection[str] = ()) -> None:
        """Classes of the learner's products that may begin in [since, until), those with these ids, those seen now."""
        found = await self._store.classes(self.products, since, until, [*self.present, *ids])
        self.here |= await memory.rooms(
            self._system, self.user_id, [one.live_class_id for one in found if one.live_class_id not in self.here]
        )
        for one in found:
            seen = self.here.get(one.live_class_id)
            self._told[one.live_class_id] = one if seen is None else replace(one, room=seen.part)
        self.learner = replace(self.learner, classes=[live_class(one) for one in self._told.values() if one.known])

    async def add_presences(self, found: Sequence[LiveClass], now: int) -> None:
        """The learner's presence in these classes, as far as it counts there: inside their times."""
        ids = [cls.live_class_id for cls in found]
        times = [bounds for cls in found if (bounds := classes.interval(cls, now)) is not None]
        if len(ids) <= FEW or not times:
            stored = await self._store.presences_in_classes(self.user_id, ids) if ids else Presences({}, {})
        else:
            # One stretch of one index, where each class would be a search in another.
            since, until = min(begin for begin, _ in times), max(end for _, end in times)
            stored = await self._store.presences_in_time(self.user_id, since, until)
        self._unite(stored, ids)

    async def add_presences_in(self, within: Span) -> list[str]:
        """The learner's presence in a range, in whatever class; returns the classes."""
        found = await self._store.presences_in_time(self.user_id, within.start, within.end)
        ids = sorted({*found.own, *found.foreign, *self.present})
        self._unite(found, ids)
        return ids

    def _unite(self, found: Presences, ids: Iterable[str]) -> None:
        """A room in memory knows its own presences best; what an import brought it does not know."""
        merged: dict[str, list[Interval]] = {}
        for key in ids:
            seen = self.here.get(key)
            own = found.own.get(key, []) if seen is None or seen.presences is None else seen.presences
            merged[key] = [*own, *found.foreign.get(key, [])]
        self.learner = replace(self.learner, presences=self.learner.presences | merged)

    def offered(self, within: Span, now: int) -> list[LiveClass]:
        """Of the classes so far."""
        return classes.offered(self.learner, within, now)

    async def add_offers(self, ids: Collection[str]) -> None:
        """How many quizzes and polls these classes offered, counting those known by their ids."""
        known = await self._store.offered(ids) if ids else {}
        for key in ids:
            for row in self.here[key].unwritten if key in self.here else ():
                _add_known(known.setdefault(key, (set(), set())), row.kind, row.id)
        self.learner = replace(
            self.learner,
            classes=[live_class(one, *map(len, known.get(key, ()))) for key, one in self._told.items() if one.known],
        )

    async def add_answers(self, within: Span, ids: Collection[str]) -> None:
        """Answers given in the range or in these classes; polls answered in these classes."""
        answers = await self._store.answers(self.user_id, within.start, within.end, ids)
        polls = await self._store.polls_answered(self.user_id, ids)
        for key in ids:
            for row in self.here[key].unwritten if key in self.here else ():
                if row.kind == "poll_response" and row.user_id == self.user_id:
                    polls.setdefault(key, set()).add(row.id)
        counts = {key: len(answered) for key, answered in polls.items()}
        self.learner = replace(self.learner, answers=answers, polls_answered=counts)

    async def add_quizzes_elsewhere(self, within: Span) -> list[str]:
        """Quizzes of the learner's products that no live class offered; returns what they belong to."""
        quizzes = await self._store.quizzes_elsewhere(self.products, within.start, within.end)
        self.learner = replace(self.learner, quizzes=quizzes)
        return [quiz.identification_id for quiz in quizzes]

    async def add_exams(self, within: Span) -> None:
        """Exams that begin in the range, and all that the learner finished."""
        exams = await self._store.exams(self.products, within.start, within.end)
        self.learner = replace(self.learner, exams=exams, sessions=await self._store.exams_finished(self.user_id))

    async def add_lessons(self, within: Span) -> None:
        """Recorded lessons: when the learner watched any, and which were offered."""
        growing, newest = await memory.watched(self._system, self.user_id)
        stored = await self._store.watched(self.user_id, within.start, within.end, newest)
        contents = await self._store.contents(self.user_id, self.products, within.start, within.end)
        self.learner = replace(self.learner, watched=[*stored, *growing], contents=contents)


def _add_known(known: tuple[set[str], set[str]], kind: str, key: str) -> None:
    if kind == "quiz_response":
        known[0].add(key)
    elif kind in ("poll_offered", "poll_response"):
        known[1].add(key)
