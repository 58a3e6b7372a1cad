"""One store, whichever it is, as the contract tests see it: nodes that use it, and a hand that turns its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

import asyncpg
import msgspec

from actors.ports import JournalStore, LeaseStore, QuarantineStore, SessionReader, SnapshotStore
from storage.journal import PostgresJournal
from storage.leases import PostgresLeases
from storage.memory import (
    Memory,
    MemoryJournal,
    MemoryLeases,
    MemoryQuarantine,
    MemorySnapshots,
)
from storage.memory_outbox import MemoryOutbox
from storage.memory_rows import MemoryReading, MemorySessions
from storage.outbox import Outbox, PostgresOutbox
from storage.postgres import Database
from storage.quarantine import PostgresQuarantine
from storage.reading import PostgresReading, Reading
from storage.sessions import PostgresSessions
from storage.snapshots import PostgresSnapshots

QUARANTINE_KEPT = 5
_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Node(msgspec.Struct, frozen=True):
    """All ports, as one node of a cluster has them."""

    journal: JournalStore
    snapshots: SnapshotStore
    leases: LeaseStore
    quarantine: QuarantineStore
    sessions: SessionReader
    reading: Reading
    outbox: Outbox


class Store(Protocol):
    async def node(self) -> Node: ...

    async def expire(self, partitions: Collection[int]) -> None:
        """Let the terms of these leases run out."""
        ...

    async def quarantined(self) -> list[str]:
        """The keys in quarantine, oldest first."""
        ...


class MemoryStore:
    def __init__(self) -> None:
        self.memory = Memory()

    async def node(self) -> Node:
        memory = self.memory
        return Node(
            MemoryJournal(memory),
            MemorySnapshots(memory),
            MemoryLeases(memory),
            MemoryQuarantine(memory, kept=QUARANTINE_KEPT),
            MemorySessions(memory),
            MemoryReading(memory),
            MemoryOutbox(memory.rows.outbox),
        )

    async def expire(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.memory.leases[partition].expires_at = self.memory.clock()

    async def quarantined(self) -> list[str]:
        return [item.key for item in self.memory.quarantine]


class PostgresStore:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._databases: list[Database] = []
        self._connections: list[asyncpg.Connection] = []

    async def database(self, **options: float) -> Database:
        """The connections of another node."""
        database = Database(self.dsn, **options)  # type: ignore[arg-type]
        self._databases.append(database)
        await database.open()
        return database

    async def node(self) -> Node:
        return node(await self.database())

    async def connection(self) -> asyncpg.Connection:
        """A connection that knows nothing of ours."""
        connection = await asyncpg.connect(self.dsn)
        self._connections.append(connection)
        return connection

    async def expire(self, partitions: Collection[int]) -> None:
        connection = await self.connection()
        await connection.execute(
            "UPDATE lease_terms SET expires_at = clock_timestamp() WHERE partition = ANY ($1)", list(partitions)
        )

    async def until_waiting(self, count: int = 1) -> None:
        """Return when `count` backends of this database wait for a lock."""
        watcher = await self.connection()
        async with asyncio.timeout(10):
            while await watcher.fetchval(_WAITING) < count:
                pass

    async def quarantined(self) -> list[str]:
        connection = await self.connection()
        return [row["key"] for row in await connection.fetch("SELECT key FROM quarantine ORDER BY id")]

    async def close(self) -> None:
        """End all connections that were made."""
        for database in self._databases:
            await database.close()
        for connection in self._connections:
            connection.terminate()


def node(database: Database) -> Node:
    """All ports over one `Database`."""
    return Node(
        PostgresJournal(database),
        PostgresSnapshots(database),
        PostgresLeases(database),
        PostgresQuarantine(database, kept=QUARANTINE_KEPT),
        PostgresSessions(database),
        PostgresReading(database),
        PostgresOutbox(database),
    )
