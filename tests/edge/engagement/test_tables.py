"""Tables of viewers have readers of any speed: so many at once, and none that takes nothing for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from actors.figures.watched import ALWAYS
from server.http.answers import Problem
from server.http.engagement import table
from server.http.engagement.asked import Question
from server.rules import engagement_rules
from storage.engagement import PostgresEngagement
from tests.edge.learning.conftest import World
from tests.support.node import until

pytestmark = pytest.mark.slow  # a database of its own

VIEWERS = 40_000
FILL = """
INSERT INTO engagement_learners (kind, content_id, user_id, version, views)
SELECT 'video', '7', lpad(n::text, 120, 'u'), version, 1
  FROM generate_series(1, $1::integer) AS n,
       (SELECT max(version) AS version FROM engagement_versions WHERE kind = 'video' AND content_id = '7') AS latest
"""


class Door:
    """Nothing but tables, of few readers with little patience."""

    def __init__(self, world: World) -> None:
        engagement = PostgresEngagement(world.server.database, engagement_rules(world.server.settings))
        self.tables = table.Tables(engagement, at_once=1, stall_s=0.3)
        self.asks = Question("video", "7", ALWAYS, world.now(), None, None)
        self.ended: list[str] = []

    async def get(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self.tables.send(request, self.asks)
        except Problem as problem:
            return web.Response(status=problem.status, headers=problem.headers)
        self.ended.append("cut" if request.transport is None or request.transport.is_closing() else "whole")
        return response


@pytest.fixture
async def door(world: World, watching) -> AsyncIterator[tuple[Door, BaseTestServer]]:
    await watching.content()
    await world.database.execute(FILL, VIEWERS)
    made, app = Door(world), web.Application()
    app.router.add_get("/", made.get)
    async with TestServer(app) as server:
        yield made, server


async def test_a_reader_that_takes_nothing_is_cut_and_meanwhile_others_are_told_to_come_back(world, door):
    made, server = door
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.to_thread(idle.connect, ("127.0.0.1", server.port))
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: made.tables._sending)
        async with world.http.get(server.make_url("/")) as refused:
            assert (refused.status, "Retry-After" in refused.headers) == (503, True)
        await until(lambda: made.ended)

    assert made.ended == ["cut"]
    async with world.http.get(server.make_url("/")) as served:
        assert len((await served.read()).splitlines()) == VIEWERS + 1
    assert made.ended == ["cut", "whole"]
