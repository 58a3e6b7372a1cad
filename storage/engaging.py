"""Engagement worked out in the transaction that writes sessions and segments (video-engagement.md).

Whatever was touched is worked out anew from its rows: a learner's rows of one content are few, and so a checkpoint that
comes twice, late or out of order changes nothing. Triggers carry differences into the sums (0015_engagement.sql).

Locks are taken in one order: rows of learners by key, then sums by key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import structlog
from msgspec.structs import astuple

from actors.figures import engagement, viewing
from actors.figures.watched import (
    EVER,
    Credited,
    Facts,
    SessionFigures,
    Sitting,
    Watched,
    replayed,
    starter,
    watched,
)
from actors.ports import StoreAway, StoreRefused
from storage.crowds import CrowdDays
from storage.postgres import Connection, Database
from storage.sql import statements
from storage.thinned import NOTHING_GONE, stand_ins, thinned

BATCH_PAIRS: Final = 500
"""Learners worked out between two statements."""
SLICE_PIECES: Final = 500
"""Segments worked out in one turn of the event loop: some 5 ms. A learner costs as much as `PAIR_PIECES` of them."""
PAIR_PIECES: Final = 5
SETTLED_S: Final = 10.0
"""Longer than a checkpoint's transaction can last."""
POSITION_MAX_MS: Final = 2**31 - 2
"""What `int4multirange` holds: 24 days."""
STALE_PAGE: Final = 200
PAUSE_S: Final = 0.05
"""Between two pages: players come first."""
IDLE_S: Final = 5.0
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_TOLD: Final = 15
"""Where `told_ms` stands in a row of `engagement_write`."""

log = structlog.get_logger(__name__)

Pair = tuple[str, str, str]
"""Kind, content and learner."""
Key = tuple[str, str]
Values = tuple[Any, ...]
Reach = tuple[int | None, int | None, int | None]
"""When a learner's first and last session began, and when the last credited segment ended."""
NOWHERE: Final[Reach] = (None, None, None)


class Rules(msgspec.Struct, frozen=True):
    """What an operator sets: the completion threshold where a content has none, and the zone whose days are counted."""

    threshold: float = 0.95
    zone: ZoneInfo = ZoneInfo("UTC")
    thins: bool = False
    """Segments are kept for a while only: what they told must be taken from what was made of them."""


class Version(msgspec.Struct, frozen=True):
    """One version of a content; sessions from `since` on belong to it. `told_ms`: the clients' median."""

    number: int
    since: int
    facts: Facts
    told_ms: int | None


async def refresh(connection: Connection, pairs: Collection[Pair], rules: Rules) -> None:
    """Work these out from the rows as they stand in this transaction. Raises the driver's errors."""
    ordered = sorted(set(pairs))
    for start in range(0, len(ordered), BATCH_PAIRS):
        await _refresh(connection, ordered[start : start + BATCH_PAIRS], rules)


async def _refresh(connection: Connection, pairs: Sequence[Pair], rules: Rules) -> None:
    columns = list(zip(*pairs, strict=True))
    await connection.execute(statements()["engagement_begin"], *columns)
    locked = await connection.fetch(statements()["engagement_lock"], *columns)
    completed: dict[Values, int | None] = {tuple(row)[:4]: row[4] for row in locked}
    told = {tuple(row)[:4]: row[5] for row in locked}
    versions = await versions_of(connection, sorted({pair[:2] for pair in pairs}), rules)
    sittings, credited = await rows_of(connection, pairs)
    gone = await thinned(connection, pairs) if rules.thins else {}
    made = Made([], [], [])
    work = 0
    for pair in pairs:
        if work >= SLICE_PIECES:
            await asyncio.sleep(0)
            work = 0
        if pair in sittings:
            pieces = credited.get(pair, [])
            work += PAIR_PIECES + len(pieces)
            if pair in gone:
                pieces = [*pieces, *stand_ins(gone[pair], sittings[pair], pieces)]
            _work_out(made, pair, versions[pair[:2]], sittings[pair], pieces, completed, rules.zone)
        else:
            made.gone.append(pair)
    if made.gone:
        await connection.execute(statements()["engagement_forget"], *zip(*made.gone, strict=True))
    if made.learners:
        made.learners.sort(key=itemgetter(0, 1, 2, 3))
        await connection.execute(statements()["engagement_write"], *zip(*made.learners, strict=True))
    made.sessions = [row for row in made.sessions if row[3] not in gone.get(row[:3], NOTHING_GONE).missing_ms]
    if made.sessions:
        made.sessions.sort(key=itemgetter(0, 1, 2, 3))
        await connection.execute(statements()["engagement_write_sessions"], *zip(*made.sessions, strict=True))
    for key in sorted(
        {row[:2] for row in made.learners if _moves_median(row, told.get(row[:4]), versions[row[:2]][0])}
    ):
        await _follow_median(connection, key)


class Made(msgspec.Struct):
    """Rows to be written; `gone` are pairs without any session."""

    learners: list[Values]
    sessions: list[Values]
    gone: list[Pair]


def _work_out(
    made: Made,
    pair: Pair,
    versions: Sequence[Version],
    sittings: Sequence[Sitting],
    credited: Sequence[Credited],
    completed: Mapping[Values, int | None],
    zone: ZoneInfo,
) -> None:
    """`completed`: since when, of each row that there is; those stay, and those of a version without sessions are 0."""
    before = _days(sittings, zone)
    empty = {version.number: version for version in versions if (*pair, version.number) in completed}
    for version, mine, segments in split(versions, sittings, credited):
        empty.pop(version.number, None)
        learner = watched(mine, segments, version.facts)
        if learner.completed_at is None:
            learner.completed_at = completed.get((*pair, version.number))
        made.learners.append(_learner(pair, version, learner, _reach(mine, segments)))
        made.sessions += [
            _session(pair, one, before)
            for one in viewing.sessions(mine, segments, version.facts, learner.told_ms, learner.completed_at)
        ]
    for number, version in empty.items():
        made.learners.append(_learner(pair, version, Watched(completed_at=completed[(*pair, number)]), NOWHERE))


def split(
    versions: Sequence[Version], sittings: Sequence[Sitting], credited: Sequence[Credited]
) -> Iterator[tuple[Version, Sequence[Sitting], Sequence[Credited]]]:
    """A learner's sessions and segments by the version of the content; versions without a session are left out."""
    if len(versions) == 1:
        yield versions[0], sittings, credited
        return
    for index, version in enumerate(versions):
        until = versions[index + 1].since if index + 1 < len(versions) else EVER
        mine = [one for one in sittings if version.since <= one.started_at < until]
        if mine:
            ids = {one.session_id for one in mine}
            yield version, mine, [one for one in credited if one.session_id in ids]


# -- reading -----------------------------------------------------------------------------------------------------------


async def versions_of(connection: Connection, keys: Sequence[Key], rules: Rules) -> dict[Key, list[Version]]:
    """The versions of contents, oldest first; each content has one at least."""
    found: dict[Key, list[Version]] = {}
    for row in await connection.fetch(statements()["engagement_facts"], *zip(*keys, strict=True)):
        threshold = rules.threshold if row["completion_threshold"] is None else row["completion_threshold"]
        facts = Facts(row["duration_ms"], threshold, row["ignore_tail"])
        since = -EVER if row["since"] is None or row["version"] == 1 else row["since"]
        told = row["told_ms"] if row["duration_ms"] is None else None
        found.setdefault((row["kind"], row["content_id"]), []).append(Version(row["version"], since, facts, told))
    return found


async def rows_of(
    connection: Connection, pairs: Sequence[Pair]
) -> tuple[dict[Pair, list[Sitting]], dict[Pair, list[Credited]]]:
    """All sessions and all credited segments of these learners on these contents."""
    columns = list(zip(*pairs, strict=True))
    sittings: dict[Pair, list[Sitting]] = {}
    for kind, content_id, user_id, *fields in await connection.fetch(statements()["engagement_sittings"], *columns):
        sittings.setdefault((kind, content_id, user_id), []).append(Sitting(*fields))
    credited: dict[Pair, list[Credited]] = {}
    for kind, content_id, user_id, *fields in await connection.fetch(statements()["engagement_credited"], *columns):
        credited.setdefault((kind, content_id, user_id), []).append(Credited(*fields))
    return sittings, credited


# -- writing -----------------------------------------------------------------------------------------------------------


def _reach(sittings: Sequence[Sitting], credited: Sequence[Credited]) -> Reach:
    starts = [one.started_at for one in sittings]
    return min(starts), max(starts), max((one.end_at for one in credited), default=None)


def _learner(pair: Pair, version: Version, made: Watched, reach: Reach) -> Values:
    length = version.facts.duration or version.told_ms or made.told_ms or 0
    seconds, plays, viewers = _columns(engagement.curves(made.passes))
    return (
        *pair,
        version.number,
        made.views,
        made.starts,
        made.covered_ms,
        made.distinct_ms,
        made.content_ms,
        made.watch_ms,
        made.view_content_ms,
        made.furthest_ms,
        made.position_ms,
        made.exit_ms,
        made.first_from_ms,
        made.told_ms,
        made.completed_at,
        made.open_until,
        starter(made.first_from_ms, length),
        made.views > 0 and replayed(made.rewatched_ms, length),
        _multirange(made.coverage),
        seconds,
        plays,
        viewers,
        *reach,
    )


def _columns(points: Sequence[tuple[int, int, int]]) -> tuple[str, str, str]:
    """Points as the text of three arrays."""
    seconds, plays, viewers = zip(*points, strict=True) if points else ((), (), ())
    return _array(seconds), _array(plays), _array(viewers)


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _multirange(covered: Sequence[int]) -> str:
    pieces = (
        f"[{low},{min(high, POSITION_MAX_MS)})"
        for low, high in zip(covered[::2], covered[1::2], strict=True)
        if low < POSITION_MAX_MS
    )
    return "{" + ",".join(pieces) + "}"


def _session(pair: Pair, made: SessionFigures, days: Mapping[str, tuple[int, int]]) -> Values:
    """`days`: of each session, its own and the one of the session before it."""
    return (*pair, made.session_id, made.started_at, *days[made.session_id], *astuple(made)[2:])


def _days(sittings: Sequence[Sitting], zone: ZoneInfo) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    before = -1
    for one in sorted(sittings, key=lambda one: (one.started_at, one.session_id)):
        if one.last_sample_at is not None:
            day = day_of(one.started_at, zone)
            found[one.session_id] = (day, before)
            before = day
    return found


def day_of(at: int, zone: ZoneInfo) -> int:
    """The local day of an instant, counted from 1970-01-01."""
    return datetime.fromtimestamp(at / 1000, zone).date().toordinal() - _EPOCH_DAY


def _moves_median(row: Values, former: int | None, version: Version) -> bool:
    """Whether a learner's row may move the median of what clients told, where that stands for a length."""
    told = row[_TOLD]
    if version.facts.duration is not None or told == former:
        return False
    # One more of what is the median already moves no median.
    return former is not None or told != version.told_ms


async def _follow_median(connection: Connection, key: Key) -> None:
    """A content without a length of the catalog's: by another median other learners count."""
    former = await connection.fetchval(statements()["engagement_lock_totals"], *key)
    median = await connection.fetchval(statements()["engagement_median"], *key)
    if median != former:
        await connection.execute(statements()["engagement_set_median"], *key, median)
        await connection.execute(statements()["engagement_relength"], *key, median or 0)


async def _settle_median(connection: Connection, key: Key, rules: Rules) -> None:
    (version, *_) = (await versions_of(connection, [key], rules))[key]
    if version.facts.duration is None:
        await _follow_median(connection, key)


# -- when the catalog speaks -------------------------------------------------------------------------------------------


class Engaging:
    """Works contents out anew whose facts the catalog changed, a page of learners at a time. One a process."""

    def __init__(self, database: Database, rules: Rules | None = None) -> None:
        self._database = database
        self._rules = rules or Rules()
        self._crowds = CrowdDays(database)

    async def settle(self, after_s: float = SETTLED_S) -> bool:
        """One page of one content; False where nothing is stale. Raises StoreAway, StoreRefused."""
        async with self._database.transaction() as connection:
            stale = await connection.fetchrow(statements()["engagement_stale_next"], after_s)
            if stale is None:
                return False
            key = (stale["kind"], stale["content_id"])
            found = await connection.fetch(statements()["engagement_stale_learners"], *key, stale["behind"], STALE_PAGE)
            await refresh(connection, [(*key, row["user_id"]) for row in found], self._rules)
            if len(found) < STALE_PAGE:
                await _settle_median(connection, key, self._rules)
                await connection.execute(statements()["engagement_stale_done"], *key)
            else:
                await connection.execute(statements()["engagement_stale_behind"], *key, found[-1]["user_id"])
        return True

    async def note_settings(self) -> bool:
        """With which settings figures are worked out; with others than before all of them are stale, and it is True.

        Raises StoreAway, StoreRefused.
        """
        async with self._database.transaction() as connection:
            rules = self._rules
            changed = await connection.fetchval(
                statements()["engagement_settings_changed"], rules.threshold, rules.zone.key
            )
            if changed:
                await connection.execute(statements()["engagement_all_stale"])
        return bool(changed)

    async def run(self) -> None:
        """Never ends."""
        noted = False
        while True:
            try:
                if not noted:
                    await self.note_settings()
                    noted = True
                busy = await self.settle() or await self._crowds.keep_next()
            except StoreAway as error:
                log.warning("engagement.waiting", reason=str(error))
                busy = False
            except StoreRefused as error:
                # Ours; figures stay as they are until somebody looks, and players go on.
                log.error("engagement.refused", reason=str(error))  # noqa: TRY400 - the reason says it all
                busy = False
            await asyncio.sleep(PAUSE_S if busy else IDLE_S)
