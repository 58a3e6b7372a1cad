"""Unix milliseconds in `timestamptz`: each one exactly, from long before 1970 to the end of both ranges."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.instants import EPOCH_2000_MS, from_wire, to_wire
from tests.support.stores import PostgresStore

INT_MAX = 2**53 - 1
EARLIEST = -210_866_803_200_000
"""4714-11-24 BC, where `timestamptz` begins."""
instants = st.integers(EARLIEST, INT_MAX)
EDGES = [
    *(base + step for base in (0, EPOCH_2000_MS, 1_764_000_000_000) for step in (-1001, -1000, -999, -1, 0, 1, 999)),
    EARLIEST,
    INT_MAX,
]


@given(instants)
def test_every_millisecond_comes_back(unix_ms: int):
    assert from_wire(to_wire(unix_ms)) == unix_ms


@given(instants, st.integers(0, 999))
def test_a_microsecond_belongs_to_the_millisecond_that_has_begun(unix_ms: int, microseconds: int):
    assert from_wire((to_wire(unix_ms)[0] + microseconds,)) == unix_ms


async def test_postgresql_means_the_same_instant(postgres: PostgresStore):
    database = await postgres.database()
    async with database.connection() as connection:
        exact = "SELECT (extract(epoch FROM $1::timestamptz) * 1000)::bigint, $1::timestamptz"
        for edge in EDGES:
            row = await connection.fetchrow(exact, edge)
            assert row is not None
            assert tuple(row) == (edge, edge)
        many = "SELECT array_agg(t ORDER BY n) FROM unnest($1::timestamptz[]) WITH ORDINALITY AS u (t, n)"
        assert await connection.fetchval(many, EDGES) == EDGES


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(instants, max_size=300))
async def test_arrays_of_instants_come_back(postgres: PostgresStore, values: list[int]):
    database = await postgres.database()
    try:
        async with database.connection() as connection:
            many = "SELECT t FROM unnest($1::timestamptz[]) WITH ORDINALITY AS u (t, n) ORDER BY n"
            assert [row["t"] for row in await connection.fetch(many, values)] == values
    finally:
        await database.close()
