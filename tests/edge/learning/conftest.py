"""A whole server over a real database: facts go in by hand, dashboards are read over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web

from actors.actor import Actor
from actors.machines.events import Joined
from protocol.rest import ErrorEnvelope
from server import config
from server.app import Server
from server.auth import sign
from server.http.app import build
from tests.support.postgres import Databases

SECRET = "a secret of the tests, thirty-two bytes or more"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def at(text: str) -> int:
    """Unix ms of `2024-02-07 10:00` (UTC), with seconds where they matter."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def said(unix_ms: int) -> str:
    """As answers write it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: Any
    text: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, (self.status, self.text)
        return msgspec.json.decode(self.text)

    def refusal(self, status: int, error: str) -> str:
        """The message of a refusal."""
        assert self.status == status, (self.status, self.text)
        envelope = msgspec.json.decode(self.text, type=ErrorEnvelope, strict=True)
        assert (envelope.error, envelope.success, envelope.status_code) == (error, False, status)
        return envelope.message


class World:
    """One server, its database, and who asks it."""

    def __init__(self, server: Server, database: asyncpg.Connection, http: aiohttp.ClientSession, url: str) -> None:
        self.server = server
        self.system = server.system
        self.database = database
        self.http = http
        self.url = url

    def now(self) -> int:
        return self.system.clock.now()

    async def get(
        self,
        path: str,
        user: str | None = "u1",
        *,
        staff: bool = False,
        lang: str | None = "en",
        etag: str = "",
        **query: Any,
    ) -> Answer:
        headers = {} if lang is None else {"Accept-Language": lang}
        if etag:
            headers["If-None-Match"] = etag
        if user is not None:
            headers["Authorization"] = f"Bearer {token(user, 'staff' if staff else 'learner')}"
        async with self.http.get(f"{self.url}/api/v1{path}", headers=headers, params=query or None) as response:
            return Answer(response.status, response.headers, await response.read())

    async def put(self, path: str, body: Any = None, user: str = "u1", *, staff: bool = False) -> Answer:
        return await self.send("PUT", path, body, user, staff=staff)

    async def post(self, path: str, body: Any = None, user: str = "u1", *, staff: bool = False) -> Answer:
        return await self.send("POST", path, body, user, staff=staff)

    async def send(self, method: str, path: str, body: Any, user: str, *, staff: bool) -> Answer:
        headers = {"Authorization": f"Bearer {token(user, 'staff' if staff else 'learner')}"}
        url = f"{self.url}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, json=body) as response:
            return Answer(response.status, response.headers, await response.read())

    def skip(self, seconds: float) -> None:
        """So much time passes; what it brings about is taken in with the next input."""
        until = self.now() + round(seconds * 1000)
        while self.now() < until:
            self.server.clock.not_before(min(until, self.now() + MINUTE))

    async def checkpoint(self) -> None:
        """Everything that is dirty is written now."""
        await self.system.committer.settled()
        for actor in list(self.system.directory):
            await self.system.checkpointer.write_now(actor)

    async def live(self, room_id: str, **table: Any) -> Actor:
        """A class that runs, by its time-table."""
        await self.put(f"/rooms/{room_id}", {"name": "Algebra"} | table, staff=True)
        await self.post(f"/rooms/{room_id}/start", staff=True)
        actor = await self.system.room(room_id, create=False)
        assert actor is not None
        return actor

    async def attend(self, actor: Actor, user: str, seconds: float) -> str:
        """Be there for a while, on a socket."""
        session_id = self.system.new_session_id(actor.partition)
        self.system.post(actor, Joined(user, "learner", None, session_id, None, "", None, 10_000))
        await asyncio.sleep(0)
        self.skip(seconds)
        return session_id

    async def row(self, table: str, **values: Any) -> None:
        """One row; names that end in `_at`, `_start`, `_end` or `_timestamp` are Unix ms."""
        columns = [
            f"to_timestamp(${place}::float8 / 1000)" if _is_time(name, value) else f"${place}"
            for place, (name, value) in enumerate(values.items(), 1)
        ]
        statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(columns)})"
        await self.database.execute(statement, *values.values())

    # -- facts --------------------------------------------------------------------------------------------------------

    async def product(self, product_id: str, name: str) -> None:
        await self.row("products", product_id=product_id, name=name, updated_at=0)

    async def enrol(self, user_id: str, product_id: str, start: int | None = None, end: int | None = None) -> None:
        key = {"product_id": product_id, "user_id": user_id}
        await self.row("enrolments", **key, enrolled_at=start, ended_at=end, updated_at=0, changed=0)

    async def timetable(self, live_class_id: str, start: int, minutes: int = 60, **more: Any) -> None:
        """A class as the catalog has it, of product 1 unless said otherwise."""
        values: dict[str, Any] = {"name": f"Class {live_class_id}", "catalog_product_id": "1", "subject": "Algebra"}
        values |= {"is_required": True, "status": "scheduled"} | more
        end = start + minutes * MINUTE
        await self.row(
            "catalog_classes", live_class_id=live_class_id, start_at=start, end_at=end, updated_at=0, **values
        )

    async def room(self, room_id: str, state: str = "ended", **more: Any) -> None:
        await self.row("rooms", room_id=room_id, state=state, peak=0, attended=0, **more)

    async def held(self, live_class_id: str, start: int, minutes: int = 60, **more: Any) -> None:
        """A class of the catalog that took place as planned."""
        await self.timetable(live_class_id, start, minutes, **more)
        await self.room(live_class_id, started_at=start, ended_at=start + minutes * MINUTE)

    async def presence(self, user_id: str, room_id: str, start: int, end: int, number: int = 1, **more: Any) -> None:
        values: dict[str, Any] = {"source": "websocket", "device_id": "", "open": False} | more
        key = {"room_id": room_id, "user_id": user_id, "number": number}
        await self.row("presence_intervals", **key, joined_at=start, left_at=end, **values)

    async def segment(self, user_id: str, session: str, start: int, end: int, **more: Any) -> None:
        values: dict[str, Any] = {
            "number": 1,
            "playhead_start_ms": 0,
            "playhead_end_ms": end - start,
            "rate": 1.0,
            "rate_ms": 0.0,
        }
        values |= {"visible_ms": 0, "verified": True, "offline": False, "open": False} | more
        key = {"session_id": session, "user_id": user_id}
        await self.row("study_logs", **key, start_timestamp=start, end_timestamp=end, **values)

    async def answered(self, user_id: str, quiz_id: str, class_id: str, moment: int, *, correct: bool = True) -> None:
        key = {"user_id": user_id, "quiz_id": quiz_id, "identification_id": class_id}
        await self.row("quiz_responses", **key, is_correct=correct, answered_at=moment)

    async def interaction(self, room_id: str, user_id: str, kind: str, key: str) -> None:
        await self.database.execute(
            "INSERT INTO interactions (room_id, user_id, kind, id, at) VALUES ($1, $2, $3, $4, now())",
            *(room_id, user_id, kind, key),
        )


def token(user: str, role: Literal["learner", "staff"]) -> str:
    return sign(SECRET, user_id=user, role=role, now_s=time.time(), ttl_s=DAY // 1000)


def _is_time(name: str, value: Any) -> bool:
    times = ("_at", "_start", "_end", "start_timestamp", "end_timestamp")
    return name.endswith(times) and isinstance(value, int | None)


@asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[World]:
    """A server on this database, and the world around it."""
    settings = {"ROLLCALL_JWT_SECRET": SECRET, "ROLLCALL_DATA_DIR": str(folder), "ROLLCALL_UNKNOWN": "accept"}
    # Few leases are taken sooner; nobody is asked to slow down.
    settings |= {"ROLLCALL_PARTITIONS": "8", "DATABASE_URL": dsn}
    settings |= {"ROLLCALL_MESSAGES_PER_SECOND": "100000", "ROLLCALL_MESSAGES_BURST": "100000"}
    async with AsyncExitStack() as stack:
        server = Server(config.load(settings, {}), dsn)
        await server.database.open()
        stack.push_async_callback(server.database.close)
        await server.system.start()
        stack.push_async_callback(server.system.drain, 2)
        async with asyncio.timeout(10):
            await server.system.until_ready()
        runner = web.AppRunner(build(server.services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(server, connection, http, f"http://127.0.0.1:{runner.addresses[0][1]}")


@pytest.fixture
async def world(embedded: Databases, tmp_path: Path) -> AsyncIterator[World]:
    dsn = await embedded.migrated()
    async with serving(dsn, tmp_path) as one:
        yield one
    await embedded.drop(dsn)


@pytest.fixture
def standing(embedded: Databases, tmp_path: Path) -> Iterator[tuple[asyncio.Runner, World]]:
    """A world for tests that are not coroutines, and what runs theirs."""
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        dsn = runner.run(embedded.migrated())
        yield runner, runner.run(stack.enter_async_context(serving(dsn, tmp_path)))
        runner.run(stack.aclose())
        runner.run(embedded.drop(dsn))
