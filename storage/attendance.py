"""Who was in a class, page by page: exports read years of it in bounded memory and hold no transaction open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from actors.figures.facts import LiveClass
from actors.machines.rows import PresenceRow
from storage import records
from storage.postgres import Database

LEARNERS_PAGE: Final = 500
"""With their stays some hundreds of KB."""
CLASSES_PAGE: Final = 200


class Attended(msgspec.Struct, frozen=True):
    """Somebody in a class, with all their stays by their beginning; rows may overlap. Times Unix ms."""

    user_id: str
    name: str | None
    role: str
    first_join: int | None
    last_leave: int | None
    camera_ms: int
    microphone_ms: int
    screen_ms: int
    stays: list[PresenceRow] = []


class AttendanceBook:
    """Questions; raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def live_class(self, live_class_id: str) -> LiveClass | None:
        """A class that anybody has told of."""
        record = await self._database.fetchrow("attendance_class", live_class_id)
        if record is None:
            return None
        return LiveClass(*record)

    async def classes(self, product_id: str, start: int, end: int) -> AsyncIterator[str]:
        """Ids of a product's classes that began in [start, end), Unix ms, in the order of time."""
        place = (start, "")
        while True:
            page = await self._database.fetch("attendance_classes", product_id, start, end, *place, CLASSES_PAGE)
            for record in page:
                yield record[0]
            if len(page) < CLASSES_PAGE:
                return
            place = (page[-1][1], page[-1][0])

    async def pages(self, live_class_id: str) -> AsyncIterator[list[Attended]]:
        """Everybody who was there, by id."""
        after = ""
        while True:
            found = await self._database.fetch("attendance_page", live_class_id, after, LEARNERS_PAGE)
            page = [Attended(*record) for record in found]
            stays = {one.user_id: one.stays for one in page}
            if page:
                last = page[-1].user_id
                for record in await self._database.fetch("presences_of_learners", live_class_id, after, last):
                    stay = records.presence(record)
                    # One who came between the two questions waits for the next list.
                    if stay.user_id in stays:
                        stays[stay.user_id].append(stay)
                yield page
            if len(page) < LEARNERS_PAGE:
                return
            after = page[-1].user_id
