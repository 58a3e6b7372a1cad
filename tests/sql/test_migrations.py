"""Migrations: once, in order, all together, and never over what they do not know."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from actors.ports import StoreAway, StoreRefused
from storage.migrate import Migration, MigrationRefused, migrate, migrations, pending
from tests.sql.catalog import catalog
from tests.support.postgres import Databases

SCHEMA = Path(__file__).with_name("schema.txt")
A = Migration("0001_a.sql", "CREATE TABLE a (x int); INSERT INTO a VALUES (1);")
B = Migration("0002_b.sql", "CREATE TABLE b (x int);")
TIMESCALE = Migration("0002_t.timescale.sql", "CREATE TABLE t (x int);")


async def schema(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return await catalog(connection)
    finally:
        await connection.close()


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def plain() -> list[str]:
    return [migration.name for migration in migrations() if not migration.needs_timescale]


async def test_the_migrations_make_the_schema(databases: Databases):
    assert await schema(await databases.migrated()) == SCHEMA.read_text()


async def test_a_second_run_finds_nothing_to_do(databases: Databases):
    dsn = await databases.empty()
    first = await migrate(dsn)
    before = await schema(dsn)

    assert await migrate(dsn) == []
    assert set(first) >= set(plain())
    assert await schema(dsn) == before


async def test_plain_postgresql_gets_what_needs_no_timescale(embedded: Databases):
    dsn = await embedded.empty()

    assert await pending(dsn) == plain()
    assert await migrate(dsn) == plain()
    assert await pending(dsn) == []


async def test_concurrent_runs_apply_each_migration_once(databases: Databases):
    dsn = await databases.empty()

    applied = await asyncio.gather(*(migrate(dsn) for _ in range(5)))

    assert sorted(map(len, applied))[:4] == [0, 0, 0, 0]
    assert await schema(dsn) == SCHEMA.read_text()


async def test_what_is_new_is_applied_on_top(embedded: Databases):
    dsn = await embedded.empty()
    await migrate(dsn, [A])

    assert await migrate(dsn, [A, B]) == ["0002_b.sql"]


async def test_a_migration_that_fails_leaves_nothing_behind(embedded: Databases):
    dsn = await embedded.empty()
    broken = Migration("0002_broken.sql", "CREATE TABLE half (x int); SELECT 1/0;")

    with pytest.raises(StoreRefused, match="division by zero"):
        await migrate(dsn, [A, broken, Migration("0003_c.sql", "CREATE TABLE c (x int);")])

    assert await ask(dsn, "SELECT string_agg(relname, ',') FROM pg_class WHERE relname IN ('a', 'half', 'c')") == "a"
    assert await migrate(dsn, [A, B]) == ["0002_b.sql"]


async def test_a_changed_migration_is_refused(embedded: Databases):
    dsn = await embedded.empty()
    await migrate(dsn, [A])

    with pytest.raises(MigrationRefused, match=r"0001_a\.sql changed"):
        await migrate(dsn, [Migration(A.name, A.text + " ")])


async def test_a_database_of_a_newer_version_is_refused(embedded: Databases):
    dsn = await embedded.empty()
    await migrate(dsn, [A, B])

    with pytest.raises(MigrationRefused, match=r"newer.*0002_b\.sql"):
        await migrate(dsn, [A])
    with pytest.raises(MigrationRefused, match="newer"):
        await pending(dsn)


async def test_an_encoding_that_cannot_hold_names_is_refused(embedded: Databases):
    dsn = await embedded.empty("ENCODING 'LATIN1' LOCALE 'C'")

    with pytest.raises(MigrationRefused, match="LATIN1"):
        await migrate(dsn)


async def test_a_database_that_is_away_is_away(embedded: Databases):
    with pytest.raises(StoreAway):
        await migrate("postgresql://nobody@127.0.0.1:1/nowhere")


async def test_what_needs_timescale_waits_for_it(embedded: Databases):
    dsn = await embedded.empty()

    assert await migrate(dsn, [A, TIMESCALE]) == [A.name]
    assert await migrate(dsn, [A, TIMESCALE]) == []


def test_files_are_numbered_without_gaps():
    assert [int(migration.name[:4]) for migration in migrations()] == list(range(1, len(migrations()) + 1))
