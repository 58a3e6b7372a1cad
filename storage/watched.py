"""What a learner has watched of a content in sessions that are stored: asked once when a simple session begins."""

from __future__ import annotations

from itertools import chain
from typing import Protocol

import msgspec

from actors.machines.ranges import RANGES_MAX
from storage.postgres import Database


class Before(msgspec.Struct, frozen=True):
    """What all stored sessions cover together, as `actors.machines.ranges`, and whether that has completed it."""

    covered: list[int]
    completed: bool


class WatchedBefore(Protocol):
    """Questions about one learner and one content, as of the last checkpoint. Raises StoreAway, StoreRefused."""

    async def before(self, user_id: str, kind: str, content_id: str) -> Before:
        """Of the content's latest version; at most `RANGES_MAX` pieces, the longest."""
        ...

    async def completed(self, user_id: str, kind: str, content_id: str) -> bool:
        """Whether the learner has ever completed the content."""
        ...


class PostgresWatched:
    """`WatchedBefore` in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def before(self, user_id: str, kind: str, content_id: str) -> Before:
        """As the port says."""
        found = await self._database.fetch("covered_before", user_id, kind, content_id, RANGES_MAX)
        pieces = sorted((each["start_ms"], each["end_ms"]) for each in found if each["start_ms"] is not None)
        return Before(list(chain.from_iterable(pieces)), any(each["completed"] for each in found))

    async def completed(self, user_id: str, kind: str, content_id: str) -> bool:
        """As the port says."""
        record = await self._database.fetchrow("learner_completed", user_id, kind, content_id)
        return record is not None and bool(record[0])
