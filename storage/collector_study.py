"""Views that an operator lets count as study time, on their way to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from storage.postgres import Database
from storage.sql import statements


class Claim(msgspec.Struct, frozen=True):
    """Somebody says the learner was in class from `start` to `end`, Unix ms. `known`: there is such a class."""

    number: int
    user_id: str
    room_id: str
    start: int
    end: int
    known: bool


class CollectorStudy:
    """Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle_lessons(self, limit: int) -> None:
        """Make segments of at most so many views of lessons."""
        async with self._database.connection() as connection:
            await connection.execute(statements()["study_lessons"], limit)

    async def classes(self, limit: int) -> list[Claim]:
        """Views of classes, the oldest first."""
        return [Claim(*record) for record in await self._database.fetch("study_classes", limit)]

    async def told(self, claims: Sequence[Claim]) -> None:
        """They need not be told again."""
        await self._database.fetch("study_classes_told", [claim.number for claim in claims])
