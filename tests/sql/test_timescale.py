"""With TimescaleDB the same schema is more: pieces of a week, compressed when old. Without, nothing is missing."""

from __future__ import annotations

import asyncpg
import pytest

from storage.migrate import migrate, migrations
from tests.sql.catalog import catalog
from tests.support.postgres import Databases

pytestmark = pytest.mark.timescale
COMPRESSED = {"presence_intervals": "joined_at", "study_logs": "start_timestamp"}
HYPERTABLES = COMPRESSED | {"collector_events": "at", "mobile_messages": "at"}


async def test_the_tables_of_years_are_hypertables_compressed_when_no_dashboard_asks_for_them(timescale: Databases):
    dsn = await timescale.migrated()
    connection = await asyncpg.connect(dsn)
    try:
        dimensions = await connection.fetch(
            "SELECT hypertable_name, column_name FROM timescaledb_information.dimensions"
        )
        assert {row["hypertable_name"]: row["column_name"] for row in dimensions} == HYPERTABLES
        if await connection.fetchval("SELECT current_setting('timescaledb.license')") == "timescale":
            policies = await connection.fetch(
                "SELECT hypertable_name, config FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL"
            )
            found = {row["hypertable_name"]: row["config"] for row in policies}
            assert COMPRESSED.keys() <= found.keys()
            assert all("35 days" in found[name] for name in COMPRESSED)
    finally:
        await connection.close()
        await timescale.drop(dsn)


async def test_an_extension_that_arrives_later_takes_the_rows_along(timescale: Databases):
    dsn = await timescale.empty()
    await migrate(dsn, [migration for migration in migrations() if not migration.needs_timescale])
    connection = await asyncpg.connect(dsn)
    try:
        plain = await catalog(connection)
        await connection.execute(
            "INSERT INTO presence_intervals VALUES ('r1', 'u1', 1, '2026-01-01', '2026-01-02', 'websocket', '', false)"
        )

        assert await migrate(dsn) == [migration.name for migration in migrations() if migration.needs_timescale]

        assert await connection.fetchval("SELECT count(*) FROM show_chunks('presence_intervals')") == 1
        assert await connection.fetchval("SELECT count(*) FROM presence_intervals") == 1
        assert await catalog(connection) == plain
    finally:
        await connection.close()
        await timescale.drop(dsn)
