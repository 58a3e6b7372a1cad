"""Fixtures: PostgreSQL as it ships with us, as Debian has it, and with TimescaleDB where an operator names one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import rabbitmq as rabbit
from tests.support.postgres import DEBIAN_15, Databases, embedded_programs, running
from tests.support.stores import PostgresStore

TIMESCALE_URL = "ROLLCALL_TEST_TIMESCALE_URL"
POSTGRES = [
    pytest.param("embedded", id="postgres18"),
    pytest.param("debian", id="postgres15", marks=pytest.mark.slow),
]
if os.environ.get(TIMESCALE_URL):  # one test says for all that it is not set (tests/sql/test_timescale.py)
    POSTGRES.append(pytest.param("timescale", id="timescale", marks=pytest.mark.timescale))


@pytest.fixture(scope="session")
def embedded() -> Iterator[Databases]:
    with running(embedded_programs()) as server:
        yield Databases(server.dsn())


@pytest.fixture(scope="session")
def debian() -> Iterator[Databases]:
    if not DEBIAN_15.exists():
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql-15")
    with running(DEBIAN_15) as server:
        yield Databases(server.dsn())


@pytest.fixture(scope="session")
def timescale() -> Iterator[Databases]:
    url = os.environ.get(TIMESCALE_URL)
    if not url:
        pytest.skip(f"needs TimescaleDB, so no contract was tried on it: set {TIMESCALE_URL}")
    databases = Databases(url, by_copy=False)
    yield databases
    asyncio.run(databases.drop())


@pytest.fixture(params=POSTGRES)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Databases on each PostgreSQL in turn."""
    found: Databases = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def postgres(databases: Databases) -> AsyncIterator[PostgresStore]:
    """A fresh store on each PostgreSQL in turn."""
    store = PostgresStore(await databases.migrated())
    yield store
    await store.close()
    await databases.drop(store.dsn)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[rabbit.Broker]:
    """A RabbitMQ of this run. Whoever stops it starts it again."""
    if not rabbit.is_installed():
        pytest.skip("needs RabbitMQ: apt-get install rabbitmq-server")
    with rabbit.running() as broker:
        yield broker
