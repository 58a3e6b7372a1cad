"""xAPI statements: kept as they were sent, and the sessions that they prove worked out anew in the same transaction.

    known ids -> sessions locked, in order -> statements kept -> sessions folded from all of theirs
              -> watch_sessions, study_logs -> engagement

So statements that come twice, late or out of order change nothing that they should not. Watch time of such a session is
0 and its segments have no wall time: they add coverage and content time, and never study time.

Full case: a session of `SESSION_STATEMENTS` statements takes no more; what comes is another session of the same name.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from protocol import ids
from protocol.xapi.statements import Statement
from storage.engaging import Rules, refresh
from storage.errors import Conflicted
from storage.postgres import Connection, Database
from storage.sql import statements
from storage.xapi_rows import BATCH_ROWS, Key, Session, Values, pack, prove_all

SESSION_STATEMENTS: Final = 1_000
FOLD_APART: Final = 50
"""Statements from which on sessions are folded beside the event loop."""
PAGE: Final = 200
DAY_MS: Final = 24 * 3600 * 1000


class Post(msgspec.Struct, frozen=True):
    """What one request brings, all or nothing; each statement has its id. `stored_at` Unix ms."""

    statements: Sequence[Statement]
    stored_at: int


class Clash(msgspec.Struct, frozen=True):
    """The statement with this index is kept already, with another content: nothing of its post was kept."""

    index: int


class Exported(msgspec.Struct, frozen=True):
    """A session of ours that is over. Times Unix ms; `played` flat, playheads ms, in the order of play."""

    played: list[int]
    started_at: int
    session_id: str
    user_id: str
    kind: str
    content_id: str
    ended_at: int
    position: int
    title: str | None
    length: int | None
    completed: bool


class _Places(msgspec.Struct):
    """Contents by what statements call them, the catalog's lengths, and which of them the catalog named."""

    contents: dict[str, Key]
    lengths: dict[Key, int | None]
    named: set[Key]


class PostgresXapi:
    """Statements in PostgreSQL. Raises StoreAway, StoreRefused.

    `content_kind` is that of contents which nobody told of.
    """

    def __init__(
        self, database: Database, rules: Rules | None = None, content_kind: str = "xapi", partitions: int = 64
    ) -> None:
        self._database = database
        self._rules = rules or Rules()
        self._kind = content_kind
        self._partitions = partitions

    async def write(self, posts: Sequence[Post]) -> Sequence[Clash | None]:
        """Keep posts; one outcome each. Known statements change nothing, so it may be repeated."""
        async with self._database.transaction() as connection:
            outcomes, fresh = await _sorted_out(connection, posts)
            if fresh:
                await self._write(connection, fresh, max(post.stored_at for post in posts))
        return outcomes

    async def _write(self, connection: Connection, fresh: dict[str, Statement], stored_at: int) -> None:
        places = await self._places(connection, fresh.values())
        sessions = _sessions(fresh.values(), places)
        await self._lock(connection, sessions, stored_at)
        belongs = self._assign(sessions, stored_at)
        await _keep(connection, fresh, belongs, stored_at)
        if sessions:
            await _grow(connection, sessions)
            await self._work_out(connection, sessions, places.lengths)

    # -- which content, which session ---------------------------------------------------------------------------------

    async def _places(self, connection: Connection, fresh: Iterable[Statement]) -> _Places:
        """Contents that statements speak of; a video that nobody told of is made known."""
        marked = {each.object_id: False for each in fresh if each.heard is not None and each.object_id is not None}
        for each in fresh:
            if each.heard is not None and each.heard.marked and each.object_id is not None:
                marked[each.object_id] = True
        made = _Places({}, {}, set())
        if not marked:
            return made
        for row in await connection.fetch(statements()["xapi_contents"], list(marked)):
            key = made.contents[row["xapi_id"]] = (row["kind"], row["content_id"])
            made.lengths[key] = row["duration_ms"]
            made.named.add(key)
        own = sorted((self._kind, object_id) for object_id in marked if object_id not in made.contents)
        if own:
            unknown = [key for key in own if marked[key[1]]]
            await connection.execute(statements()["xapi_stubs"], *_columns(unknown, width=2))
            for row in await connection.fetch(statements()["xapi_lengths"], *_columns(own)):
                made.lengths[row["kind"], row["content_id"]] = row["duration_ms"]
            made.contents.update((key[1], key) for key in own)
        return made

    async def _lock(self, connection: Connection, sessions: Sequence[Session], stored_at: int) -> None:
        by_key = {one.key: one for one in sessions}
        for some in _pieces(sessions):
            rows = [
                (one.key, one.user_id, one.kind, one.content_id, self._new_id(one.user_id, stored_at)) for one in some
            ]
            for row in await connection.fetch(statements()["xapi_lock_sessions"], *_columns(rows), stored_at):
                one = by_key[row["key"]]
                one.session_id, one.count = row["session_id"], row["statements"]
                one.was_there = one.count > 0

    def _assign(self, sessions: Iterable[Session], stored_at: int) -> dict[str, str]:
        """The watch session of each new statement by its id; one that is full is followed by another."""
        belongs: dict[str, str] = {}
        for one in sessions:
            for each in one.news:
                if one.count >= SESSION_STATEMENTS:
                    one.session_id, one.count = self._new_id(one.user_id, stored_at), 0
                if not one.touched or one.touched[-1] != one.session_id:
                    one.touched = [*one.touched, one.session_id]
                one.count += 1
                belongs[each.statement_id or ""] = one.session_id
        return belongs

    def _new_id(self, user_id: str, now: int) -> str:
        return ids.session_id(now, ids.partition_of(user_id, self._partitions), secrets.randbits(62))

    # -- what it proves -----------------------------------------------------------------------------------------------

    async def _work_out(
        self, connection: Connection, sessions: Sequence[Session], lengths: Mapping[Key, int | None]
    ) -> None:
        owners = {session_id: one for one in sessions for session_id in one.touched}
        told: dict[str, list[tuple[str, bytes]]] = {session_id: [] for session_id in owners}
        count = 0
        for row in await connection.fetch(statements()["xapi_heard"], list(owners)):
            told[row["session_id"]].append((row["statement_id"], row["heard"]))
            count += 1
        work = (told, owners, lengths, self._rules.threshold)
        made = await asyncio.to_thread(prove_all, *work) if count > FOLD_APART else prove_all(*work)
        for former, stays in made.former:
            await connection.execute(statements()["xapi_drop_segments"], former, *_columns(stays, width=3))
        for some in _pieces(made.sessions):
            await connection.execute(statements()["save_sessions"], *_columns(some))
        for some in _pieces(made.segments):
            await connection.execute(statements()["save_segments"], *_columns(some))
        await refresh(connection, made.pairs, self._rules)

    # -- ours, for others ---------------------------------------------------------------------------------------------

    async def sessions_between(self, start: int, end: int, behind: tuple[int, str] | None) -> list[Exported]:
        """At most `PAGE` sessions of ours that began in [start, end) and are over, in the order of (start, id)."""
        at, session_id = behind or (start - 1, "")
        async with self._database.transaction("begin_reading") as connection:
            found = await connection.fetch(statements()["xapi_export_page"], start, end, at, session_id, PAGE)
            played: dict[str, list[int]] = {row["session_id"]: [] for row in found}
            if found:
                until = max(row["ended_at"] for row in found)
                for each, low, high in await connection.fetch(
                    statements()["xapi_export_segments"], list(played), found[0]["started_at"], until
                ):
                    played[each] += (low, high)
        return [Exported(played[row["session_id"]], *row) for row in found]


def _sessions(fresh: Iterable[Statement], places: _Places) -> list[Session]:
    """In the order of their keys."""
    made: dict[str, Session] = {}
    for each in fresh:
        if each.heard is None or each.object_id is None:
            continue
        place = places.contents[each.object_id]
        # Without a name of the client's: what one learner did with one content on one day.
        name = each.session if each.session is not None else f"\0{each.at // DAY_MS}"
        key = _digest(each.user_id, *place, name)
        if key not in made:
            made[key] = Session(key, each.user_id, *place, [], named=place in places.named)
        made[key].news.append(each)
    return [made[key] for key in sorted(made)]


async def _sorted_out(connection: Connection, posts: Sequence[Post]) -> tuple[list[Clash | None], dict[str, Statement]]:
    """Which posts clash, and what is new of the others, by id."""
    ids = {each.statement_id or "" for post in posts for each in post.statements}
    known: dict[str, bytes] = dict(map(tuple, await connection.fetch(statements()["xapi_known"], list(ids))))
    fresh: dict[str, Statement] = {}
    outcomes: list[Clash | None] = []
    for post in posts:
        mine: dict[str, Statement] = {}
        clash = None
        for index, each in enumerate(post.statements):
            name = each.statement_id or ""
            former = mine.get(name) or fresh.get(name)
            digest = known.get(name) if former is None else former.digest
            if digest is None:
                mine[name] = each
            elif digest != each.digest:
                clash = Clash(index)
                break
        if clash is None:
            fresh |= mine
        outcomes.append(clash)
    return outcomes, fresh


async def _keep(
    connection: Connection, fresh: Mapping[str, Statement], belongs: Mapping[str, str], stored_at: int
) -> None:
    for some in _pieces(sorted(fresh)):
        rows = [
            (
                name,
                each.digest,
                each.user_id,
                belongs.get(name),
                each.at,
                each.verb_id,
                stored_at,
                None if each.heard is None else pack(each.heard),
                each.body,
            )
            for name, each in ((name, fresh[name]) for name in some)
        ]
        tag = await connection.execute(statements()["xapi_keep"], *_columns(rows))
        if int(tag.rpartition(" ")[2]) != len(rows):
            raise Conflicted("another server has just kept one of these statements")


async def _grow(connection: Connection, sessions: Sequence[Session]) -> None:
    for some in _pieces(sessions):
        rows = [(one.key, one.session_id, one.count, _claimed(one.news)) for one in some]
        await connection.execute(statements()["xapi_grow_sessions"], *_columns(rows))


def _claimed(news: Iterable[Statement]) -> float | None:
    claims = [
        (each.at, each.heard.progress) for each in news if each.heard is not None and each.heard.progress is not None
    ]
    return max(claims)[1] if claims else None


def _digest(*words: str) -> str:
    text = msgspec.msgpack.encode(words)
    return str(UUID(bytes=blake2b(text, digest_size=16).digest()))


def _pieces(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS))


def _columns(rows: Sequence[Values], *, width: int = 0) -> list[list[Any]]:
    """Rows as columns; `width` where there may be none."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
