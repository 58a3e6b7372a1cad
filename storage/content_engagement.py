"""One content's engagement out of one moment of the database: kept sums, kept rows of learners, rows worked out.

everything            the sums, as they are kept
a period              rows of learners all of whose doings lie in it, summed where they are; the others' sessions and
                      segments are read and worked out, a page at a time
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from actors.figures.engagement import Curve, Ends, Kept, Tally
from actors.figures.watched import (
    EVER,
    Credited,
    Past,
    Period,
    Sitting,
    Watched,
    watched,
    watched_since,
    worked_ms,
)
from storage.engaging import Pair, Rules, Version, rows_of, split
from storage.postgres import Connection
from storage.sql import statements
from storage.thinned import stand_ins, thinned

PAGE: Final = 100
"""Learners whose rows are read at once."""
OTHERS_PAGE: Final = 500
"""The same, where they are few rows."""
SLICE: Final = 20
"""Learners who are worked out at once: up to 10 ms of the event loop, where each watched for hours."""
_COMPLETED: Final = 0
_CENSORED: Final = 1
_EXIT: Final = 2
"""Outcomes of `engagement_ends`."""
_COUNTS: Final = 9
"""Columns of sums before those of coverage."""
_PLAYED: Final = 8
"""Columns of a session before those of its segments."""


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


class Curves(msgspec.Struct):
    """Differences by second."""

    plays: Curve
    viewers: Curve


class Asking:
    """Questions about one content out of one moment."""

    def __init__(self, connection: Connection, subject: Subject, rules: Rules) -> None:
        self._connection = connection
        self._rules = rules
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

    async def curves(self, within: Period | None = None) -> Curves:
        """Plays and viewers: of all, or of learners all of whose doings lie in a period."""
        made = Curves({}, {})
        if within is None:
            found = await self._connection.fetch(statements()["engagement_curve"], *self._key)
        else:
            statement = statements()["engagement_curve_within"]
            found = await self._connection.fetch(statement, *self._key, *_bounds(within))
        for second, plays, viewers in found:
            made.plays[second] = plays
            made.viewers[second] = viewers
        return made

    async def ends(self, buckets: int, now: int, within: Period | None = None) -> Ends:
        """How far viewers came; `within` as in `curves`."""
        made = Ends.none(buckets)
        bounds = (None, None) if within is None else _bounds(within)
        found = await self._connection.fetch(
            statements()["engagement_ends"], *self._key, self.subject.duration or 1, buckets, now, *bounds
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

    async def kept(self, within: Period, *, covered: bool = True) -> Kept:
        """Sums over learners all of whose doings lie in a period; `covered` as in `totals`."""
        worked = self.subject.worked
        row = await self._connection.fetchrow(
            statements()["engagement_totals_within"],
            *self._key,
            *_bounds(within),
            worked,
            self.subject.told,
            covered and worked > 0,
        )
        assert row is not None
        return Kept(Tally(*row[:_COUNTS]), row["covered"] or [])

    # -- out of the rows of a period ----------------------------------------------------------------------------------

    async def others(self, period: Period) -> AsyncIterator[list[Watched]]:
        """Learners with a session that may have begun in the period, and who did something outside of it."""
        latest = self.subject.latest
        since = None if latest.since == -EVER else latest.since
        behind = ""
        while True:
            found = await self._connection.fetch(
                statements()["engagement_others_between"],
                *self._key,
                *_bounds(period),
                behind,
                OTHERS_PAGE,
                since,
                latest.facts.duration,
            )
            if found:
                behind = found[-1]["user_id"]
                yield await self._of_others(found, period)
            if len(found) < OTHERS_PAGE:
                return

    async def _of_others(self, found: Sequence[asyncpg.Record], period: Period) -> list[Watched]:
        """Those of whom the facts are known by what they did in the period, the others by all that they did."""
        known = {row["user_id"]: Past(*list(row)[1:]) for row in found if row["content_ms"] is not None}
        whole = [self._pair(row["user_id"]) for row in found if row["content_ms"] is None]
        if self._rules.thins:
            gone = await thinned(self._connection, [self._pair(user_id) for user_id in known])
            whole += gone
            known = {user_id: past for user_id, past in known.items() if self._pair(user_id) not in gone}
        made: list[Watched] = []
        for at in range(0, len(whole), PAGE):
            made += [one for _, one in await self._worked_out(whole[at : at + PAGE], period)]
        return made + await self._since(known, period)

    async def _since(self, known: Mapping[str, Past], period: Period) -> list[Watched]:
        kind, content_id, _ = self._key
        start = max(period.start, self.subject.latest.since)
        rows = await self._connection.fetch(
            statements()["engagement_played_between"], kind, content_id, list(known), start, period.end
        )
        played: dict[str, list[asyncpg.Record]] = {user_id: [] for user_id in known}
        for row in rows:
            played[row["user_id"]].append(row)
        made: list[Watched] = []
        for number, (user_id, mine) in enumerate(played.items()):
            if number % SLICE == 0:
                await asyncio.sleep(0)  # players come first
            population = [Sitting(*list(row)[1:_PLAYED]) for row in mine]
            credited = [piece for row in mine for piece in _pieces(row["session_id"], row)]
            made.append(watched_since(known[user_id], population, credited, self.subject.latest.facts))
        return made

    def _pair(self, user_id: str) -> Pair:
        return (*self._key[:2], user_id)

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
        if self._rules.thins:
            for pair, gone in (await thinned(self._connection, pairs)).items():
                pieces = credited.setdefault(pair, [])
                pieces += stand_ins(gone, sittings[pair], pieces)
        latest = self.subject.latest
        made: list[tuple[str, Watched]] = []
        for at in range(0, len(pairs), SLICE):
            made += [
                (pair[2], watched(mine, segments, latest.facts, period))
                for pair in pairs[at : at + SLICE]
                for version, mine, segments in split(
                    self.subject.versions, sittings.get(pair, []), credited.get(pair, [])
                )
                if version is latest
            ]
            await asyncio.sleep(0)  # players come first
        return made


def _pieces(session_id: str, row: asyncpg.Record) -> Iterator[Credited]:
    columns = [row[name] or () for name in ("starts", "ends", "lows", "highs")]
    return (Credited(session_id, number, *piece) for number, piece in enumerate(zip(*columns, strict=True)))


def _bounds(period: Period) -> tuple[int, int]:
    return period.start, period.end
