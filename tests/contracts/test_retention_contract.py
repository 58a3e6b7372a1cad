"""Retention: detail goes when it is older than was asked, in small steps; figures stay; nothing goes unasked."""

from __future__ import annotations

import asyncio

import pytest

from server import config
from server.retention import Sweeper
from storage.retention import DAY_MS, DETAIL, Retention
from tests.support.stores import PostgresStore

NOW = 1_700_000_000_000
FILL = """
INSERT INTO study_logs (session_id, number, user_id, kind, content_id, start_timestamp, end_timestamp,
                        playhead_start_ms, playhead_end_ms, rate, rate_ms, visible_ms, verified, offline, open)
SELECT 's', n, 'u', 'k', 'c', to_timestamp($1::float8 / 1000) - n * interval '1 hour',
       to_timestamp($1::float8 / 1000) - n * interval '1 hour', 0, 1, 1, 1, 1, true, false, false
  FROM generate_series(1, 240) AS n
"""
PRESENCES = """
INSERT INTO presence_intervals (room_id, user_id, number, joined_at, left_at, source, device_id, open)
SELECT 'r', 'u', n, to_timestamp($1::float8 / 1000) - n * interval '1 day', to_timestamp($1::float8 / 1000), 's', '',
       n = 9
  FROM generate_series(1, 10) AS n
"""
OTHERS = """
INSERT INTO interactions (room_id, user_id, kind, id, at)
VALUES ('r', 'u', 'comment', 'old', to_timestamp($1::float8 / 1000) - interval '300 days'),
       ('r', 'u', 'comment', 'new', to_timestamp($1::float8 / 1000));
"""
WEBHOOKS = """
INSERT INTO webhooks (id, event, received_at, why, body)
SELECT n::text, 'e', to_timestamp($1::float8 / 1000) - n * interval '1 day', 'w', '' FROM generate_series(1, 10) AS n
"""
ATTENDANCE = """
INSERT INTO attendance (room_id, user_id, role, presence_ms, late_ms, late, attended)
VALUES ('r', 'u', 'learner', 1, 0, false, true)
"""


@pytest.fixture
async def filled(postgres: PostgresStore) -> PostgresStore:
    connection = await postgres.connection()
    for statement in (FILL, PRESENCES, OTHERS, WEBHOOKS):
        await connection.execute(statement, NOW)
    await connection.execute(ATTENDANCE)
    return postgres


async def counts(store: PostgresStore) -> tuple[int, ...]:
    connection = await store.connection()
    tables = ("study_logs", "presence_intervals", "interactions", "webhooks", "attendance")
    return tuple([await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables])


async def test_what_is_older_goes_batch_by_batch_and_figures_stay(filled: PostgresStore):
    retention = Retention(await filled.database(), batch_rows=7)
    sweeper = Sweeper(retention, 5, lambda: NOW, pause_s=0)

    # An open stay is not over, however long ago it began.
    assert await sweeper.sweep() == 120 + 4 + 1 + 5
    assert await counts(filled) == (120, 6, 1, 5, 1)
    assert await sweeper.sweep() == 0


async def test_segments_of_a_lesson_that_is_still_watched_stay(filled: PostgresStore):
    connection = await filled.connection()
    await connection.execute(
        "INSERT INTO watch_sessions (session_id, user_id, kind, content_id, device_id, door, started_at, last_seq,"
        " position_ms, watch_ms, content_ms, covered_ms, coverage, completed)"
        " VALUES ('s', 'u', 'k', 'c', '', 'http', to_timestamp($1::float8 / 1000), 0, 0, 0, 0, 0, 0, false)",
        NOW - 4 * DAY_MS,
    )
    sweeper = Sweeper(Retention(await filled.database()), 5, lambda: NOW, pause_s=0)
    await sweeper.sweep()
    assert (await counts(filled))[0] == 240


async def test_the_oldest_day_is_found_without_reading_the_table(filled: PostgresStore):
    retention = Retention(await filled.database())
    oldest = NOW - 240 * 3_600_000
    assert await retention.oldest_day("segments", NOW) == oldest // DAY_MS * DAY_MS
    for table in DETAIL:
        assert await retention.oldest_day(table, NOW - 1000 * DAY_MS) is None


async def test_without_timescaledb_there_are_no_pieces_to_drop(filled: PostgresStore):
    database = await filled.database()
    if await database.timescale() is None:
        assert await Retention(database).drop_chunks(NOW) == 0


def test_everything_is_kept_unless_an_operator_says_otherwise():
    assert config.load({}, {}).retention_days == 0


async def test_a_sweeper_that_keeps_everything_asks_nothing_of_the_store(filled: PostgresStore):
    sweeper = Sweeper(Retention(await filled.database()), 0, lambda: NOW + 10_000 * DAY_MS, pause_s=0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sweeper.run(), 0.05)
    assert (await counts(filled))[0] == 240
