"""The stores that keep the contracts: the one in memory, and PostgreSQL in each of its forms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.postgres import Databases
from tests.support.servers import POSTGRES
from tests.support.stores import MemoryStore, Node, PostgresStore, Store


@pytest.fixture(params=[pytest.param("memory", id="memory"), *POSTGRES])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A fresh store of each kind in turn."""
    if request.param == "memory":
        yield MemoryStore()
        return
    databases: Databases = request.getfixturevalue(request.param)
    made = PostgresStore(await databases.migrated())
    yield made
    await made.close()
    await databases.drop(made.dsn)


@pytest.fixture
async def node(store: Store) -> Node:
    """One node that uses the store."""
    return await store.node()
