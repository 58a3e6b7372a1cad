"""A whole server over a real database, and senders of statements with a write key."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web

from protocol.rest import ErrorEnvelope, rfc3339
from protocol.xapi import profile
from server import config
from server.app import Server
from server.auth import sign
from server.http.app import build
from storage.keys import PostgresKeys, WriteKey, digest_of
from tests.support.postgres import Databases

SECRET = "a secret of the tests, thirty-two bytes or more"
KEY = "rk_a-key-of-the-lms"
VIDEO = "https://lms.example/videos/7"
HOME = "https://lms.example"
HEADERS = {profile.VERSION_HEADER: "1.0.3"}
MINUTE = 60_000


def statement(
    verb: str = "paused",
    user: str = "u1",
    *,
    at: int | str | None = None,
    played: str | None = None,
    content: str = VIDEO,
    session: str | None = "s1",
    length: float | None = None,
    **told: Any,
) -> dict[str, Any]:
    """A statement of the Video Profile; `told` are further extensions of its result, by the end of their names."""
    verbs = {each.rpartition("/")[2]: each for each in profile.VERBS}
    result = {f"{profile.EXTENSIONS}{name.replace('_', '-')}": value for name, value in told.items()}
    if played is not None:
        result[profile.PLAYED_SEGMENTS] = played
    context: dict[str, Any] = {}
    if session is not None:
        context[profile.SESSION] = session
    if length is not None:
        context[profile.LENGTH] = length
    made: dict[str, Any] = {
        "id": str(uuid4()),
        "actor": {"account": {"homePage": HOME, "name": user}},
        "verb": {"id": verbs.get(verb, verb)},
        "object": {"id": content, "definition": {"type": profile.VIDEO_TYPE}},
        "result": {"extensions": result},
        "context": {"extensions": context},
    }
    if at is not None:
        made["timestamp"] = rfc3339(at) if isinstance(at, int) else at
    return made


class Answer(msgspec.Struct):
    status: int
    headers: Any
    text: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    def refusal(self, status: int, error: str) -> str:
        assert self.status == status, (self.status, self.text)
        envelope = msgspec.json.decode(self.text, type=ErrorEnvelope)
        assert (envelope.error, envelope.success, envelope.status_code) == (error, False, status)
        assert profile.VERSION_HEADER in self.headers
        return envelope.message

    def names(self, status: int, error: str) -> tuple[int | None, str]:
        """Which statement a refusal names, and which of its fields."""
        self.refusal(status, error)
        assert set(self.json) == {"message", "error", "success", "status_code", "index", "field"}
        return self.json["index"], self.json["field"]


class World:
    def __init__(self, server: Server, database: asyncpg.Connection, http: aiohttp.ClientSession, url: str) -> None:
        self.server = server
        self.database = database
        self.http = http
        self.url = url

    def now(self) -> int:
        return self.server.clock.now()

    async def key(self, secret: str = KEY, **changes: Any) -> str:
        fields = {"rights": ["xapi"], "expires_at": None, "revoked_at": None, "sample_rate": 1.0} | changes
        key = WriteKey(name=secret, digest=digest_of(secret), created_at=self.now(), **fields)
        keys = PostgresKeys(self.server.database)
        assert await keys.create(key)
        if key.revoked_at is not None:
            await keys.revoke(key.name, key.revoked_at)
        return secret

    async def send(
        self,
        body: Any,
        *,
        key: str | None = KEY,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> Answer:
        fields = HEADERS | ({} if key is None else {"Authorization": basic(key)}) | (headers or {})
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        fields = {name: value for name, value in fields.items() if value}
        async with self.http.request(
            method, f"{self.url}/xapi/statements", headers=fields, data=data, params=query
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def stored(self, *statements: dict[str, Any]) -> None:
        answer = await self.send(list(statements))
        assert answer.status == 200, answer.text
        assert answer.json == [each["id"] for each in statements]

    async def read(self, path: str, user: str = "boss", role: str = "staff", **query: Any) -> Answer:
        token = sign(SECRET, user_id=user, role=role, now_s=time.time(), ttl_s=3600)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.get(f"{self.url}{path}", headers=headers, params=query) as response:
            return Answer(response.status, response.headers, await response.read())

    async def mine(self, user: str = "u1", content_id: str = VIDEO, kind: str = "xapi") -> Any:
        answer = await self.read(
            "/api/v1/videos/engagement/me", user, "learner", content_kind=kind, content_id=content_id
        )
        assert answer.status == 200, answer.text
        return answer.json["data"]

    async def summary(self, content_id: str = VIDEO, kind: str = "xapi") -> Any:
        answer = await self.read("/api/v1/videos/engagement/summary", content_kind=kind, content_id=content_id)
        assert answer.status == 200, answer.text
        return answer.json["data"]

    async def content(self, content_id: str = "7", duration_ms: int | None = 100_000, **facts: Any) -> None:
        fields = {"kind": "video", "content_id": content_id, "title": "Light", "duration_ms": duration_ms} | facts
        names = ", ".join(fields)
        marks = ", ".join(f"${place}" for place in range(1, len(fields) + 1))
        await self.database.execute(f"INSERT INTO contents ({names}) VALUES ({marks})", *fields.values())
        while await self.server.upkeep.engaging.settle(after_s=0):
            pass

    async def rows(self, table: str = "study_logs") -> list[tuple[Any, ...]]:
        order = {"study_logs": "session_id, number"}.get(table, "1")
        return [tuple(row) for row in await self.database.fetch(f"SELECT * FROM {table} ORDER BY {order}")]

    async def count(self, table: str) -> int:
        found: int = await self.database.fetchval(f"SELECT count(*) FROM {table}")
        return found


def basic(key: str, name: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()


@pytest.fixture
async def world(tmp_path: Path, embedded: Databases) -> AsyncIterator[World]:
    dsn = await embedded.migrated()
    options = {"ROLLCALL_JWT_SECRET": SECRET, "ROLLCALL_DATA_DIR": str(tmp_path), "DATABASE_URL": dsn}
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
        await server.system.until_ready()
        database = await asyncpg.connect(dsn)
        stack.callback(database.terminate)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        world = World(server, database, http, f"http://127.0.0.1:{runner.addresses[0][1]}")
        await world.key()
        yield world
