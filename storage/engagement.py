"""Reading engagement: sums where they are kept, rows of the learners concerned where a period asks for them.

Every question is answered out of one moment of the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import asyncpg
import msgspec

from actors.figures.watched import Credited, Sitting
from storage.content_engagement import Asking, Subject
from storage.crowds import CrowdDays
from storage.engaging import Rules, Version, rows_of, versions_of
from storage.postgres import Database
from storage.sql import statements

_REACHED: Final = slice(5, 10)


class Ranked(msgspec.Struct, frozen=True):
    """A content among others; `rank` is the measure that it was sorted by."""

    kind: str
    content_id: str
    title: str | None
    viewers: int
    views: int
    completed: int
    starters: int
    completed_starters: int
    watch_ms: int
    rank: float


class Sessions(msgspec.Struct, frozen=True):
    """Counts of sessions for the admin's dashboard; `reached` by checkpoint."""

    sessions: int
    known: int
    completed: int
    replays: int
    starts: int
    reached: list[int]
    users: int


class WholeDays(NamedTuple):
    """Days `[first, behind)` of the server's zone, counted from 1970-01-01, and when they begin and end, Unix ms."""

    first: int
    behind: int
    start: int
    end: int


class Stored(msgspec.Struct, frozen=True):
    """A learner on a content: all sessions and credited segments. `completed_at` of the latest version, kept."""

    versions: list[Version]
    sittings: list[Sitting]
    credited: list[Credited]
    completed_at: int | None
    known: bool
    """There is such a content."""


class PostgresEngagement:
    """All questions. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database, rules: Rules | None = None) -> None:
        self._database = database
        self._rules = rules or Rules()
        self.crowds = CrowdDays(database)

    async def completed(self, user_id: str, kind: str, content_id: str) -> bool:
        """Whether the learner has ever completed the content, as of the last checkpoint."""
        row = await self._database.fetchrow("learner_completed", user_id, kind, content_id)
        return row is not None and bool(row[0])

    @asynccontextmanager
    async def about(self, kind: str, content_id: str) -> AsyncGenerator[Asking | None]:
        """Ask about a content; None where there is none."""
        async with self._database.transaction("begin_reading") as connection:
            row = await connection.fetchrow(statements()["engagement_known"], kind, content_id)
            if row is None or not row[0]:
                yield None
                return
            versions = await versions_of(connection, [(kind, content_id)], self._rules)
            yield Asking(connection, Subject(kind, content_id, versions[kind, content_id]), self._rules)

    async def stored(self, user_id: str, kind: str, content_id: str) -> Stored:
        """What the store has of one learner on one content, for whoever knows more of it."""
        async with self._database.transaction("begin_reading") as connection:
            known = await connection.fetchrow(statements()["engagement_known"], kind, content_id)
            versions = (await versions_of(connection, [(kind, content_id)], self._rules))[kind, content_id]
            pair = (kind, content_id, user_id)
            sittings, credited = await rows_of(connection, [pair])
            row = await connection.fetchrow(
                statements()["engagement_learner"], kind, content_id, user_id, versions[-1].number
            )
        return Stored(
            versions,
            sittings.get(pair, []),
            credited.get(pair, []),
            None if row is None else row[0],
            known is not None and bool(known[0]),
        )

    async def top(
        self, sort: str, course_id: str | None, after: tuple[float, str, str] | None, limit: int
    ) -> list[Ranked]:
        """Contents with a view by a measure, the most first."""
        rank, kind, content_id = after or (None, None, None)
        found = await self._database.fetch("engagement_top", sort, course_id, rank, kind, content_id, limit)
        return [Ranked(*row) for row in found]

    async def days(self, first: int, behind: int) -> Sessions:
        """Sessions that began on whole days of the server's zone, counted from 1970-01-01."""
        async with self._database.transaction("begin_reading") as connection:
            row = await connection.fetchrow(statements()["engagement_days"], first, behind)
            users = await connection.fetchrow(statements()["engagement_replayers"], first, behind)
        assert row is not None
        assert users is not None
        return _sessions(row, users[0])

    async def between(self, start: int, end: int, whole: WholeDays | None = None) -> Sessions:
        """Sessions that began in any period, Unix ms; `whole` are the days that lie in it, where there are any."""
        days = whole or WholeDays(0, 0, end, end)
        row = await self._database.fetchrow("engagement_between", start, end, *days)
        assert row is not None
        return _sessions(row, row["users"])


def _sessions(row: asyncpg.Record, users: int) -> Sessions:
    sessions, known, completed, replays, starts, *_ = row
    return Sessions(sessions, known, completed, replays, starts, list(row[_REACHED]), users)
