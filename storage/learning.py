"""What the dashboards of learners ask of the store (learning-api.md). Times Unix ms.

Every answer is one statement over indexes that begin with the learner, the product or the class; nothing is decided
here that `actors/figures` could decide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from actors.figures.class_parts import CatalogPart, EventPart, RoomPart, Told
from actors.figures.facts import Answer, Content, Enrolment, ExamOffer, ExamSession, Interval, Quiz
from actors.history import IMPORTED_FROM
from storage.postgres import Database

Ids = Collection[str]


class Presences(msgspec.Struct, frozen=True):
    """By class. `own`: what room actors wrote, and may know better; `foreign`: what an import brought."""

    own: dict[str, list[Interval]]
    foreign: dict[str, list[Interval]]


class PostgresLearning:
    """The questions. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrolments(self, user_id: str) -> list[Enrolment]:
        """All that ever were."""
        return [Enrolment(*record) for record in await self._database.fetch("learner_enrolments", user_id)]

    async def active_products(self, user_id: str, rooms: Ids) -> frozenset[str]:
        """Products in which the learner ever did anything; `rooms` as well, where memory knows the learner in them."""
        found = await self._database.fetch("learner_active_products", user_id, list(rooms))
        return frozenset(record[0] for record in found)

    async def active_in(self, user_id: str, live_class_id: str) -> bool:
        """Whether the learner ever did anything in this class."""
        record = await self._database.fetchrow("learner_active_in_class", user_id, live_class_id)
        return bool(record is not None and record[0])

    async def classes(self, products: Ids, since: int, until: int, ids: Ids = ()) -> list[Told]:
        """Classes of these products that may begin in [since, until), perhaps some more; and those with these ids."""
        found = await self._database.fetch("classes_told", list(products), since, until, list(ids))
        return [_told(record) for record in found]

    async def presences_in_classes(self, user_id: str, ids: Ids) -> Presences:
        """The learner in these classes."""
        return _presences(await self._database.fetch("presences_in_classes", list(ids), user_id, IMPORTED_FROM))

    async def presences_in_time(self, user_id: str, since: int, until: int) -> Presences:
        """The learner's presence that touches [since, until)."""
        return _presences(await self._database.fetch("presences_in_time", user_id, since, until, IMPORTED_FROM))

    async def watched(self, user_id: str, since: int, until: int, newest: Mapping[str, int]) -> list[Interval]:
        """Wall time of recorded lessons that touches [since, until); of these sessions up to a segment's number."""
        found = await self._database.fetch(
            "watched_in_time", user_id, since, until, list(newest), list(newest.values())
        )
        return [(record[0], record[1]) for record in found]

    async def contents(self, user_id: str, products: Ids, since: int, until: int) -> list[Content]:
        """Lessons of these products that were published or first watched in [since, until)."""
        found = await self._database.fetch("contents_offered", user_id, list(products), since, until)
        return [Content(*record) for record in found]

    async def exams(self, products: Ids, since: int, until: int) -> list[ExamOffer]:
        """Exams of these products that begin in [since, until)."""
        found = await self._database.fetch("exams_offered", list(products), since, until)
        return [ExamOffer(*record) for record in found]

    async def exams_finished(self, user_id: str) -> list[ExamSession]:
        """All of one learner."""
        return [ExamSession(*record) for record in await self._database.fetch("exams_finished", user_id)]

    async def quizzes_elsewhere(self, products: Ids, since: int, until: int) -> list[Quiz]:
        """Quizzes of these products in [since, until) that no live class offered."""
        found = await self._database.fetch("quizzes_elsewhere", list(products), since, until)
        return [Quiz(*record) for record in found]

    async def answers(self, user_id: str, since: int, until: int, ids: Ids) -> list[Answer]:
        """Given in [since, until), or to a quiz of these classes."""
        found = await self._database.fetch("learner_answers", user_id, since, until, list(ids))
        return [Answer(*record) for record in found]

    async def polls_answered(self, user_id: str, ids: Ids) -> dict[str, set[str]]:
        """By class."""
        polls: dict[str, set[str]] = {}
        for record in await self._database.fetch("learner_polls", list(ids), user_id):
            polls.setdefault(record[0], set()).add(record[1])
        return polls

    async def doubts(self, user_id: str, live_class_id: str) -> dict[str, bool]:
        """What the learner asked, and whether it is resolved."""
        found = await self._database.fetch("learner_doubts", live_class_id, user_id)
        return {record[0]: record[1] for record in found}

    async def offered(self, ids: Ids) -> dict[str, tuple[set[str], set[str]]]:
        """By class, the quizzes and the polls that are known by their ids; classes without any are not in it."""
        known: dict[str, tuple[set[str], set[str]]] = {}
        for class_id, is_quiz, found in await self._database.fetch("offered_in_classes", list(ids)):
            known.setdefault(class_id, (set(), set()))[0 if is_quiz else 1].add(found)
        return known

    async def product_names(self, ids: Ids) -> Mapping[str, str]:
        """Of those that the catalog knows."""
        return {record[0]: record[1] for record in await self._database.fetch("product_names", list(ids))}

    async def program_name(self, program_id: str) -> str | None:
        """None where the catalog does not know it."""
        record = await self._database.fetchrow("program_name", program_id)
        return None if record is None else record[0]


def _told(record: Any) -> Told:  # noqa: ANN401 - a row, in the order of `classes_told`
    columns = tuple(record)
    catalog, event, room = columns[1:10], columns[10:18], columns[18:]
    return Told(
        columns[0],
        CatalogPart(*catalog[1:]) if catalog[0] else None,
        EventPart(*event[1:]) if event[0] else None,
        RoomPart(*room[1:]) if room[0] else None,
    )


def _presences(records: Collection[Any]) -> Presences:
    found = Presences({}, {})
    for room_id, joined_at, left_at, foreign in records:
        (found.foreign if foreign else found.own).setdefault(room_id, []).append((joined_at, left_at))
    return found
