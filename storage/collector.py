"""What the event collector keeps: events once each, by their id where they have one, and by their write in any case.

A write whose answer was lost may have been committed, or may still be. Before its posts are written again, that is
settled: its row in `collector_writes` is there, or is put there now, and then it never comes about.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import msgspec

from actors.ports import StoreAway
from protocol.collector import Taken
from storage.postgres import Database
from storage.sql import statements


class Post(msgspec.Struct):
    """What one request brought, and what became of it so far."""

    taken: Taken
    write: int | None = None
    """The write that it was part of, whose fate is unknown."""
    proposed: list[str | None] = []
    """The ids of its rows in that write: those that others in it had brought before are left out."""


class CollectorStore(Protocol):
    """Raises StoreAway, StoreRefused."""

    async def keep(self, posts: Sequence[Post]) -> list[int]:
        """Keep all or nothing; returns how many events of each post were known already.

        After StoreAway the same posts may be given again, also together with others.
        """
        ...


class PostgresCollector:
    """`CollectorStore` in PostgreSQL, on a line of its own. `study`: views count as evidence of study time."""

    def __init__(self, database: Database, *, study: bool = False) -> None:
        self._database = database
        self._line = database.line("collector")
        self._study = study

    async def keep(self, posts: Sequence[Post]) -> list[int]:
        if any(post.write is not None for post in posts):
            known = await self._settle(posts)
            unwritten = [post for post in posts if known[id(post)] is None]
            if unwritten:
                known |= dict(zip(map(id, unwritten), await self._write(unwritten), strict=True))
            return [known[id(post)] or 0 for post in posts]
        return await self._write(posts)

    async def _write(self, posts: Sequence[Post]) -> list[int]:
        rows, repeats = _gathered(posts)
        write = secrets.randbits(63)
        try:
            text = b"[%b]" % b",".join(rows)
            record = await self._line.fetchrow("keep_collected", write, text.decode(), self._study)
        except StoreAway:
            for post in posts:
                post.write = write
            raise
        known: list[int] | None = None if record is None else record["known"]
        if known:
            ends = list(accumulate(len(post.proposed) for post in posts))
            for place in known:
                repeats[bisect_left(ends, place)] += 1
        return repeats

    async def _settle(self, posts: Sequence[Post]) -> dict[int, int | None]:
        """By each post's identity: how many of its events the write that kept it knew; None where none kept it."""
        writes = sorted({post.write for post in posts if post.write is not None})
        known: dict[int, int | None] = {}
        async with self._database.connection() as connection:
            never = {record["write"] for record in await connection.fetch(statements()["settle_collected"], writes)}
            for post in posts:
                known[id(post)] = None
                if post.write is None or post.write in never:
                    post.write = None
                    continue
                taken, ids = post.taken, [each for each in post.proposed if each]
                record = await connection.fetchrow(statements()["collected_by"], taken.key, ids, post.write)
                assert record is not None, "it counts"
                known[id(post)] = sum(map(bool, taken.ids)) - int(record["found"])
        return known


def _gathered(posts: Sequence[Post]) -> tuple[list[bytes], list[int]]:
    """Rows, each id once, and how many of each post stood there already."""
    rows: list[bytes] = []
    repeats = [0] * len(posts)
    seen: dict[int, set[str]] = {}
    for owner, post in enumerate(posts):
        taken = post.taken
        of_key = seen.setdefault(taken.key, set())
        ids = {each for each in taken.ids if each}
        if len(ids) + taken.ids.count(None) == len(taken.ids) and of_key.isdisjoint(ids):
            of_key |= ids
            rows += taken.rows
            post.proposed = taken.ids
        else:
            post.proposed = []
            for row, each in zip(taken.rows, taken.ids, strict=True):
                if each and each in of_key:
                    repeats[owner] += 1
                    continue
                of_key.add(each or "")
                rows.append(row)
                post.proposed.append(each)
    return rows, repeats
