"""What became of collected events: counts by steps of time, by type, by what was called."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
import msgspec

from actors.ports import StoreAway
from storage.postgres import GRACE_S, Database
from storage.sql import statements

LINES: Final = 2
WAITING_MAX: Final = 20
READ_S: Final = 20
"""More than a statement has elsewhere; who asks is staff before a dashboard, and waits."""


class Views(msgspec.Struct, frozen=True):
    """A step with views. `at` Unix ms, durations seconds, None where none was told."""

    at: int
    views: int
    users: int
    mean: float | None
    p50: float | None
    p95: float | None


class Engaged(msgspec.Struct, frozen=True):
    """A step with engagement of a type."""

    at: int
    metric_type: str
    count: int
    users: int


class Calls(msgspec.Struct, frozen=True):
    """What was called. `known`: how many said how they ended; `errors`: of these, by a fault of the server."""

    content_id: str
    count: int
    known: int
    errors: int
    p50: float | None
    p95: float | None
    p99: float | None


class PostgresCollected:
    """Times Unix ms, `step_s` seconds; filters are None for all. Raises StoreAway, StoreRefused.

    A month of everything is seconds of the database: such questions have lines of their own, so that neither
    checkpoints nor other readers wait for a connection, and more time than others. Full case: StoreAway beyond
    `WAITING_MAX` that wait for a line.
    """

    def __init__(self, database: Database) -> None:
        self._free = [database.line(f"analytics {number}") for number in range(LINES)]
        self._turn = asyncio.Semaphore(LINES)
        self._waiting = 0

    async def views(
        self, start: int, end: int, step_s: int, app: str | None, content_type: str | None, content_id: str | None
    ) -> list[Views]:
        """Steps, from `start` on, that have any."""
        filters = (app, content_type, content_id)
        found = await self._ask(statements()["collected_views"], start, end, step_s, *filters)
        return [Views(*list(record)[:4], *record["percentiles"] or (None, None)) for record in found]

    async def engagement(
        self,
        start: int,
        end: int,
        step_s: int,
        metric_type: str | None,
        app: str | None,
        target_type: str | None,
        target_id: str | None,
        limit: int,
    ) -> list[Engaged]:
        """Steps and types, at most `limit`."""
        filters = (metric_type, app, target_type, target_id)
        found = await self._ask(statements()["collected_engagement"], start, end, step_s, *filters, limit)
        return [Engaged(*record) for record in found]

    async def calls(self, start: int, end: int, app: str | None, content_id: str | None, limit: int) -> list[Calls]:
        """The most called first."""
        found = await self._ask(statements()["collected_calls"], start, end, app, content_id, limit)
        return [Calls(*list(record)[:4], *record["percentiles"] or (None, None, None)) for record in found]

    async def _ask(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        if self._waiting >= WAITING_MAX:
            raise StoreAway("too many questions about events wait")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        line = self._free.pop()
        try:
            async with line.transaction() as connection:
                await connection.fetch(statements()["begin_collected_reading"], str(READ_S * 1000))
                return await connection.fetch(statement, *arguments, timeout=READ_S + GRACE_S)
        finally:
            self._free.append(line)
            self._turn.release()
