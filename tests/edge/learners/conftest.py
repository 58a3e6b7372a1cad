"""A whole server over a real database: learners come and watch, are given out, and are forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from actors.actor import Actor
from actors.machines.events import Joined, RoomSampled
from actors.machines.track import Sample
from server import config
from server.app import Server
from server.auth import sign
from server.http.app import build
from storage.history import History
from storage.learners import Learners
from tests.support.postgres import Databases

SECRET = "a secret of the tests, thirty-two bytes or more"


class World:
    def __init__(self, server: Server, database: asyncpg.Connection, http: aiohttp.ClientSession, url: str) -> None:
        self.server = server
        self.system = server.system
        self.database = database
        self.http = http
        self.url = url
        self.learners = Learners(server.database)
        self.seq = 0

    def now(self) -> int:
        return self.system.clock.now()

    def history(self) -> History:
        return self.server.upkeep.imported._history

    async def call(
        self, method: str, path: str, *, user: str = "boss", role: str = "admin", body: Any = None, **query: Any
    ) -> tuple[int, str, Any]:
        """Status, body, headers."""
        token = sign(SECRET, user_id=user, role=role, now_s=time.time(), ttl_s=3600)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(
            method, f"{self.url}/api/v1{path}", headers=headers, json=body, params=query or None
        ) as response:
            return response.status, (await response.read()).decode(), response.headers

    def skip(self, seconds: float) -> None:
        until = self.now() + round(seconds * 1000)
        while self.now() < until:
            self.server.clock.not_before(min(until, self.now() + 60_000))

    async def live(self, room_id: str) -> Actor:
        await self.call("PUT", f"/rooms/{room_id}", body={"name": "Algebra"})
        await self.call("POST", f"/rooms/{room_id}/start")
        actor = await self.system.room(room_id, create=False)
        assert actor is not None
        return actor

    async def attend(self, actor: Actor, user: str, name: str | None = None, seconds: float = 90) -> str:
        session_id = self.system.new_session_id(actor.partition)
        self.system.post(actor, Joined(user, "learner", name, session_id, None, "phone", b'{"a":1}', 10_000))
        await asyncio.sleep(0)
        for _ in range(round(seconds / 10)):
            self.skip(10)
            self.seq += 1
            sample = Sample(self.seq, self.now(), self.seq * 10_000, 0)
            self.system.post(actor, RoomSampled(session_id, self.now(), [sample], 0))
            await asyncio.sleep(0)
        await self.system.committer.settled()
        return session_id

    async def watch(self, user: str, content_id: str) -> None:
        beats = [
            {"seq": n, "at": self.now() - 60_000 + n * 10_000, "position": n * 10, "state": "playing"}
            for n in (1, 2, 3)
        ]
        body = {"sent_at": self.now(), "content": {"kind": "lms_lesson", "id": content_id}, "samples": beats}
        status, text, _ = await self.call("POST", "/heartbeats", user=user, role="learner", body=body)
        assert status == 200, text

    async def checkpoint(self) -> None:
        await self.system.committer.settled()
        for actor in list(self.system.directory):
            await self.system.checkpointer.write_now(actor)

    async def value(self, query: str, *arguments: Any) -> Any:
        return await self.database.fetchval(query, *arguments)


@pytest.fixture
async def world(tmp_path: Path, embedded: Databases) -> AsyncIterator[World]:
    dsn = await embedded.migrated()
    options = {
        "ROLLCALL_JWT_SECRET": SECRET,
        "ROLLCALL_DATA_DIR": str(tmp_path),
        "ROLLCALL_UNKNOWN": "accept",
        "DATABASE_URL": dsn,
        "ROLLCALL_ATTENDED_MIN_SECONDS": "1",
        "ROLLCALL_MESSAGES_PER_SECOND": "100000",
        "ROLLCALL_MESSAGES_BURST": "100000",
    }
    async with AsyncExitStack() as stack:
        server = Server(config.load(options, {}), dsn)
        await server.database.open()
        stack.push_async_callback(server.database.close)
        runner = web.AppRunner(build(server.services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await server.system.start()
        stack.push_async_callback(server.system.drain, 2)
        async with asyncio.timeout(5):
            await server.system.until_ready()
        database = await asyncpg.connect(dsn)
        stack.callback(database.terminate)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(server, database, http, f"http://127.0.0.1:{runner.addresses[0][1]}")
