"""Reading engagement: sums where they are kept, rows of the learners concerned where a period asks for them.

Every question is answered out of one moment of the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec

from actors.figures.engagement import Curve, Ends, Tally
from actors.figures.watched import EVER, Credited, Period, Sitting, Watched, watched, worked_ms
from storage.engaging import Pair, Rules, Version, rows_of, split, versions_of
from storage.postgres import Connection, Database
from storage.sql import statements

PAGE: Final = 250
"""Learners whose rows are worked out at once: some 10 ms of the event loop."""
_COMPLETED: Final = 0
_CENSORED: Final = 1
_EXIT: Final = 2
"""Outcomes of `engagement_ends`."""
_REACHED: Final = slice(5, 10)


class Subject(msgspec.Struct, frozen=True):
    """A content in its latest version. `duration` (D) 0: neither the catalog nor any client told it."""

    kind: str
    content_id: str
    versions: list[Version]

    @property
    def latest(self) -> Version:
        """The version that figures speak of."""
        return self.versions[-1]

    @property
    def duration(self) -> int:
        """D: the catalog's, else the median of what clients told."""
        return self.latest.facts.duration or self.latest.told_ms or 0

    @property
    def told(self) -> int | None:
        """The clients' median, where it stands for D: a learner's own D is another then."""
        return self.latest.told_ms if self.latest.facts.duration is None else None

    @property
    def worked(self) -> int:
        """What must be watched."""
        return worked_ms(self.duration, ignore_tail=self.latest.facts.ignore_tail)


class Viewer(msgspec.Struct, frozen=True):
    """A learner's row. Milliseconds; `completed_at` Unix ms."""

    user_id: str
    views: int
    covered_ms: int
    distinct_ms: int
    content_ms: int
    watch_ms: int
    position_ms: int
    completed_at: int | None


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


class Stored(msgspec.Struct, frozen=True):
    """A learner on a content: all sessions and credited segments. `completed_at` of the latest version, kept."""

    versions: list[Version]
    sittings: list[Sitting]
    credited: list[Credited]
    completed_at: int | None
    known: bool
    """There is such a content."""


class Curves(msgspec.Struct):
    """Differences by second."""

    plays: Curve
    viewers: Curve


class Asking:
    """Questions about one content out of one moment."""

    def __init__(self, connection: Connection, subject: Subject) -> None:
        self._connection = connection
        self.subject = subject
        self._key = (subject.kind, subject.content_id, subject.latest.number)

    async def is_all(self, period: Period, now: int) -> bool:
        """Whether the period leaves nothing out: then the kept sums answer."""
        if period.end <= now:
            return False
        if period.start == -EVER:
            return True
        row = await self._connection.fetchrow(statements()["engagement_is_before"], *self._key[:2], period.start)
        return row is not None and not row[0]

    # -- out of what is kept ------------------------------------------------------------------------------------------

    async def totals(self, *, covered: bool = True) -> Tally:
        """Sums over all viewers; with `covered` those of coverage too, for which every viewer's row is read."""
        row = await self._connection.fetchrow(statements()["engagement_totals"], *self._key)
        if row is None:
            return Tally()
        made = Tally(*row)
        worked = self.subject.worked
        if covered and worked and made.viewers:
            found = await self._connection.fetchrow(
                statements()["engagement_coverage"], *self._key, worked, self.subject.told
            )
            assert found is not None
            made.covered_ms = found["covered_ms"]
            made.quartiles4 = tuple(round(4 * value) for value in found["quartiles"])
        return made

    async def curves(self) -> Curves:
        """Plays and viewers."""
        made = Curves({}, {})
        for second, plays, viewers in await self._connection.fetch(statements()["engagement_curve"], *self._key):
            made.plays[second] = plays
            made.viewers[second] = viewers
        return made

    async def ends(self, buckets: int, now: int) -> Ends:
        """How far viewers came."""
        made = Ends.none(buckets)
        found = await self._connection.fetch(
            statements()["engagement_ends"], *self._key, self.subject.duration or 1, buckets, now
        )
        for reached, last, outcome, count in found:
            if outcome is None:
                made.reached[reached] += count
                continue
            made.last[last] += count
            made.completed += count if outcome == _COMPLETED else 0
            made.censored += count if outcome == _CENSORED else 0
            made.exits[last] += count if outcome == _EXIT else 0
        return made if self.subject.duration else made.placeless()

    async def viewers(self, behind: str, limit: int) -> list[Viewer]:
        """A page of viewers by id."""
        subject = self.subject
        found = await self._connection.fetch(
            statements()["engagement_viewers"], *self._key, behind, limit, subject.worked, subject.told
        )
        return [Viewer(*row) for row in found]

    # -- out of the rows of a period ----------------------------------------------------------------------------------

    async def learners(self, period: Period, behind: str = "") -> AsyncIterator[list[tuple[str, Watched]]]:
        """Learners with a session that began in the period, by id, a page at a time."""
        kind, content_id = self._key[:2]
        while True:
            found = await self._connection.fetch(
                statements()["engagement_users_between"], kind, content_id, period.start, period.end, behind, PAGE
            )
            if found:
                behind = found[-1]["user_id"]
                yield await self._worked_out([(kind, content_id, row["user_id"]) for row in found], period)
            if len(found) < PAGE:
                return

    async def _worked_out(self, pairs: Sequence[Pair], period: Period) -> list[tuple[str, Watched]]:
        sittings, credited = await rows_of(self._connection, pairs)
        latest = self.subject.latest
        return [
            (pair[2], watched(mine, segments, latest.facts, period))
            for pair in pairs
            for version, mine, segments in split(self.subject.versions, sittings.get(pair, []), credited.get(pair, []))
            if version is latest
        ]


class PostgresEngagement:
    """All questions. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database, rules: Rules | None = None) -> None:
        self._database = database
        self._rules = rules or Rules()

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
            yield Asking(connection, Subject(kind, content_id, versions[kind, content_id]))

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

    async def edges(self, start: int, end: int) -> list[tuple[int, int]]:
        """When how many more or less watched, in order."""
        return [(row[0], row[1]) for row in await self._database.fetch("engagement_edges", start, end)]

    async def days(self, first: int, behind: int) -> Sessions:
        """Sessions that began on whole days of the server's zone, counted from 1970-01-01."""
        async with self._database.transaction("begin_reading") as connection:
            row = await connection.fetchrow(statements()["engagement_days"], first, behind)
            users = await connection.fetchrow(statements()["engagement_replayers"], first, behind)
        assert row is not None
        assert users is not None
        return _sessions(row, users[0])

    async def between(self, start: int, end: int) -> Sessions:
        """Sessions that began in any period."""
        row = await self._database.fetchrow("engagement_between", start, end)
        assert row is not None
        return _sessions(row, row[-1])


def _sessions(row: asyncpg.Record, users: int) -> Sessions:
    sessions, known, completed, replays, starts, *_ = row
    return Sessions(sessions, known, completed, replays, starts, list(row[_REACHED]), users)
