from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Callable

import pytest
import uvloop

from tests.support.node import Node


def pytest_asyncio_loop_factories(config, item) -> dict[str, Callable[[], AbstractEventLoop]]:
    """The listener rests on how this loop reads, and the server runs on no other."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def node() -> AsyncGenerator[Node]:
    async with Node() as one:
        yield one
