"""Every test here runs in virtual time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog

from actors.clock import ServerClock
from storage.memory import Memory
from tests.runtime.nodes import EPOCH_S, Node
from tests.runtime.virtual import VirtualLoop

HISTORIES = 60
FEW = 20
"""Of which so many run in `make check`: the others are marked slow."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        histories = range(int(os.environ.get("HISTORIES", HISTORIES)))
        metafunc.parametrize(
            "seed", [seed if seed < FEW else pytest.param(seed, marks=pytest.mark.slow) for seed in histories]
        )


@pytest.hookimpl
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, type[VirtualLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture
async def memory() -> Memory:
    loop = asyncio.get_running_loop()
    return Memory(lambda: (EPOCH_S + loop.time()) * 1000)


@pytest.fixture
async def clock() -> ServerClock:
    loop = asyncio.get_running_loop()
    return ServerClock(lambda: EPOCH_S + loop.time(), loop.time)


@pytest.fixture
async def node(memory: Memory) -> AsyncIterator[Node]:
    """A node that is ready."""
    made = Node(memory)
    await made.system.start()
    await made.system.until_ready()
    yield made
    await made.die()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Crashes are the subject here; their stories are not for the terminal."""
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(logger: Any, name: str, event: Any) -> Any:
    raise structlog.DropEvent
