"""Brings a database to the schema of this code.

    storage/migrations/0003_actors.sql                       for every PostgreSQL >= 15
    storage/migrations/0008_hypertables.timescale.sql        only where TimescaleDB is; later too, when it arrives later

Each file is applied once, in a transaction of its own, in the order of numbers, and recorded with its checksum. Whoever
comes while another migrates waits, and finds the work done.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib.resources import files
from typing import Final

import asyncpg
import msgspec

from actors.ports import StoreRefused
from storage.errors import translate
from storage.sql import statements

VERSION_MIN: Final = 150_000
LOCK_TIMEOUT_S: Final = 60.0
"""How long another's migration, or a statement that uses a table, is waited for."""
_CONNECT_S: Final = 10.0
_FILE: Final = re.compile(r"\d{4}_\w+(\.timescale)?\.sql")
_TIMESCALE: Final = ".timescale.sql"


class MigrationRefused(StoreRefused):
    """This database cannot be brought to the schema of this code; the message says why and what to do."""


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of its text."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def needs_timescale(self) -> bool:
        """Whether plain PostgreSQL goes without it."""
        return self.name.endswith(_TIMESCALE)


def migrations() -> list[Migration]:
    """Return all migrations of this code in their order."""
    found = [
        Migration(file.name, file.read_text("utf-8"))
        for file in (files("storage") / "migrations").iterdir()
        if _FILE.fullmatch(file.name)
    ]
    return sorted(found, key=lambda migration: migration.name)


async def migrate(dsn: str, known: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing; return the names of the files applied now.

    `known` is what the code has, by default its own files. Raises MigrationRefused (a database of a newer version, a
    changed file, an old server), StoreRefused (a migration failed, and left nothing of itself behind), StoreAway.
    """
    known = migrations() if known is None else known
    async with _connected(dsn) as connection, _alone(connection):
        await _check_server(connection)
        await connection.execute(statements()["create_schema_migrations"])
        applied = await _applied(connection)
        _check_history(applied, known)
        todo = [migration for migration in known if migration.name not in applied]
        if any(migration.needs_timescale for migration in todo) and not await _has_timescale(connection):
            todo = [migration for migration in todo if not migration.needs_timescale]
        for migration in todo:
            await _apply(connection, migration)
        return [migration.name for migration in todo]


async def pending(dsn: str) -> list[str]:
    """Return the names that `migrate` would apply, and change nothing. Raises as `migrate` does."""
    known = migrations()
    async with _connected(dsn) as connection:
        await _check_server(connection)
        applied: dict[str, str] = {}
        if await connection.fetchval(statements()["has_schema_migrations"]):
            applied = await _applied(connection)
        _check_history(applied, known)
        timescale = await connection.fetchval(statements()["timescale_version"]) is not None
        return [m.name for m in known if m.name not in applied and (timescale or not m.needs_timescale)]


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[asyncpg.Connection]:
    lock_ms = str(round(LOCK_TIMEOUT_S * 1000))
    with translate():
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT_S,
            server_settings={"application_name": "rollcall migrate", "lock_timeout": lock_ms, "statement_timeout": "0"},
        )
        try:
            yield connection
        finally:
            connection.terminate()


@asynccontextmanager
async def _alone(connection: asyncpg.Connection) -> AsyncGenerator[None]:
    # Given back by hand at the end, so that the next in line need not wait until the server notices the closed socket.
    await connection.execute(statements()["lock_migrations"])
    yield
    await connection.execute(statements()["unlock_migrations"])


async def _check_server(connection: asyncpg.Connection) -> None:
    version = await connection.fetchval(statements()["server_version"])
    if version < VERSION_MIN:
        raise MigrationRefused(f"PostgreSQL {version // 10_000} is too old: 15 or newer is needed")
    encoding = await connection.fetchval(statements()["server_encoding"])
    if encoding != "UTF8":
        raise MigrationRefused(f"the database is encoded in {encoding}: make one with ENCODING 'UTF8'")


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    return {row["name"]: row["checksum"] for row in await connection.fetch(statements()["applied_migrations"])}


def _check_history(applied: dict[str, str], known: Sequence[Migration]) -> None:
    checksums = {migration.name: migration.checksum for migration in known}
    newer = sorted(applied.keys() - checksums.keys())
    if newer:
        raise MigrationRefused(f"the database is newer than this version: it has {', '.join(newer)}; update rollcall")
    changed = sorted(name for name, checksum in applied.items() if checksums[name] != checksum)
    if changed:
        raise MigrationRefused(
            f"{', '.join(changed)} changed since it was applied: restore the file, and put the change in a new one"
        )


async def _has_timescale(connection: asyncpg.Connection) -> bool:
    """Whether TimescaleDB is in this database, after making it where that is possible."""
    if await connection.fetchval(statements()["timescale_version"]) is not None:
        return True
    if not await connection.fetchval(statements()["timescale_loadable"]):
        return False
    try:
        await connection.execute(statements()["create_timescale"])
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.text)
            await connection.execute(statements()["record_migration"], migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        error.add_note(f"in {migration.name}")
        raise
