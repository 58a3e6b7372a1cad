"""The real application over a real database, at whatever time a test says it is."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from aiohttp import web

from actors.clock import ServerClock
from server import config
from server.app import Server
from server.auth import sign
from server.http.app import build
from tests.figures import learning_rows
from tests.figures.facts import Asked, History
from tests.figures.spec_days import shown

SECRET: Final = "a secret of the tests, thirty-two bytes or more"
PLENTY: Final = "1000000"


class SetClock(ServerClock):
    """Shows `at`, Unix ms."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0, lambda: 0.0)
        self.at = 0

    def now(self) -> int:
        return self.at


class Dashboards:
    """One server, one learner."""

    def __init__(self, url: str, http: aiohttp.ClientSession, database: asyncpg.Connection, clock: SetClock) -> None:
        self._url = url
        self._http = http
        self._database = database
        self.clock = clock

    async def know(self, history: History, now: int) -> None:
        """From here on this is what happened."""
        self.clock.at = now
        await learning_rows.write(self._database, history)

    async def get(self, path: str, asked: Asked | None = None, **query: Any) -> tuple[int, Any]:
        """Status and answer of `GET /api/v1{path}`, by the learner, in English."""
        if asked is not None:
            query |= {"start_at": shown(asked.start), "end_at": shown(asked.end), "tz": asked.zone}
        token = sign(SECRET, user_id=learning_rows.LEARNER, role="learner", now_s=self.clock.at / 1000, ttl_s=3600)
        headers = {"Authorization": f"Bearer {token}", "Accept-Language": "en"}
        async with self._http.get(f"{self._url}/api/v1{path}", params=query, headers=headers) as response:
            return response.status, await response.json()


@asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[Dashboards]:
    """The whole server but its time: no actor is alive, so what it tells is what is stored."""
    options = {
        "DATABASE_URL": dsn,
        "ROLLCALL_JWT_SECRET": SECRET,
        "ROLLCALL_DATA_DIR": str(folder),
        "ROLLCALL_MESSAGES_PER_SECOND": PLENTY,
        "ROLLCALL_MESSAGES_BURST": PLENTY,
    }
    async with AsyncExitStack() as stack:
        server = Server(config.load(options, {}), dsn)
        clock = SetClock()
        server.system.clock = clock
        await server.database.open()
        stack.push_async_callback(server.database.close)
        runner = web.AppRunner(build(server.services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listening = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        database = await asyncpg.connect(dsn)
        stack.push_async_callback(database.close)
        yield Dashboards(f"http://127.0.0.1:{listening.getsockname()[1]}", http, database, clock)
