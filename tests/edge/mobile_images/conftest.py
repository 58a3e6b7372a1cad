"""A whole server over a real database, app sessions in it, and the door of images with bounds that a test can reach."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web

from server import config
from server.app import Server
from server.auth import sign
from server.http.app import build
from server.http.keys import Keys
from server.mobile.answers import answering
from server.mobile.ids import SessionIds
from server.mobile.images import ImageDoor
from server.mobile.images_sweeping import work_of
from server.mobile.routes import secret_of
from server.mobile.sessions import AppSessions
from server.mobile.token import Token, Tokens
from storage.keys import WriteKey, digest_of
from storage.mobile import PostgresMobile
from tests.edge.mobile_images.pictures import TYPE
from tests.support.postgres import Databases

SECRET = "a secret of the tests, thirty-two bytes or more"
SESSION = """
INSERT INTO mobile_sessions
       (session_id, project, user_uuid, user_id, started_at, active_at, newest_at, alive_at, clock_offset_ms, device)
VALUES ($1, $2, $3, $4, $5, $5, $5, $5, 0, $6)
"""
MESSAGE = """
INSERT INTO mobile_messages (session_id, at, type, hash, told_at, body, undecodable)
VALUES ($1, to_timestamp($2::float8 / 1000), $3, $4, $2, $5, $6)
"""
DOOR = "/door/images"


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def refusal(self, status: int) -> str:
        """The message of the door's refusal: `{"error": text}` and nothing else."""
        assert self.status == status, (self.status, self.body)
        assert set(self.json) == {"error"}
        return str(self.json["error"])


class World:
    """One server and those who call it."""

    def __init__(self, server: Server, database: asyncpg.Connection, sessions: AppSessions, tokens: Tokens) -> None:
        self.server = server
        self.database = database
        self.sessions = sessions
        self.tokens = tokens
        self.door: ImageDoor
        self.data: Path = server.settings.data_dir
        self.url = ""
        self.http: aiohttp.ClientSession

    def now(self) -> int:
        return self.server.clock.now()

    async def project(self, name: str) -> None:
        key = WriteKey(name, digest_of(name), ["mobile"], self.now(), None, None, 1.0)
        assert await self.server.services.write_keys.create(key)

    async def session(
        self,
        session_id: int = 7,
        project: str = "app",
        user_id: str | None = None,
        at: float = 1_700_000_000.0,
        device: Any = None,
    ) -> None:
        moment = await self.database.fetchval("SELECT to_timestamp($1)", at)
        row = (session_id, project, "phone", user_id, moment, msgspec.json.encode(device or {}).decode())
        await self.database.execute(SESSION, *row)

    async def message(self, at: int, number: int, body: bytes, *, undecodable: bool = False, session: int = 7) -> None:
        digest = digest_of(f"{at} {number}")[:16]
        await self.database.execute(MESSAGE, session, at, number, digest, body, undecodable)

    def token(self, session_id: int = 7, expires_in_s: float = 60) -> str:
        return self.tokens.write(Token(session_id, 0, self.now() + round(1000 * expires_in_s)))

    async def upload(
        self,
        body: bytes | AsyncIterator[bytes],
        *,
        session: int = 7,
        media: str = TYPE,
        token: str | None = None,
        path: str = DOOR,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        bearer = {"Authorization": f"Bearer {token or self.token(session)}", "Content-Type": media}
        async with self.http.post(self.url + path, data=body, headers=bearer | (headers or {})) as response:
            return Answer(response.status, response.headers, await response.read())

    async def read(self, path: str = "", role: str | None = "staff", method: str = "GET", **query: Any) -> Answer:
        headers = {}
        if role is not None:
            token = sign(SECRET, user_id="boss", role=role, now_s=time.time(), ttl_s=60)  # type: ignore[arg-type]
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.url}/api/v1/mobile/sessions{path}"
        async with self.http.request(method, url, headers=headers, params=query or None) as response:
            return Answer(response.status, response.headers, await response.read())

    async def hashes(self, session_id: int = 7) -> list[str]:
        found = await self.read(f"/{session_id}")
        assert found.status == 200, found.body
        return [each["hash"] for each in found.json["images"]]

    def kept(self) -> list[Path]:
        """What is in the store of files."""
        folder = self.data / "recordings"
        return sorted(folder.iterdir()) if folder.exists() else []

    def work(self) -> list[Path]:
        """What lies about."""
        folder = work_of(self.data)
        return sorted(folder.iterdir()) if folder.exists() else []

    async def until(self, condition: Callable[[], object]) -> None:
        """Come back when it holds."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.001)

    async def nothing_is_left(self) -> bool:
        """Neither bytes nor rows of any request, once it is swept."""
        await self.server.upkeep.images.sweep()
        rows = await self.database.fetchval("SELECT count(*) FROM mobile_image_files")
        return not rows and not self.kept() and not self.work()


Maker = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(tmp_path: Path, embedded: Databases) -> AsyncIterator[Maker]:
    """Worlds; what is given beside settings bounds the door."""
    async with AsyncExitStack() as stack:

        async def make(settings: dict[str, str] | None = None, **bounds: Any) -> World:
            dsn = await embedded.migrated()
            options = {"ROLLCALL_JWT_SECRET": SECRET, "ROLLCALL_DATA_DIR": str(tmp_path), "DATABASE_URL": dsn}
            server = Server(config.load(options | (settings or {}), {}), dsn)
            await server.database.open()
            stack.push_async_callback(server.database.close)
            world = await serving(stack, server, await asyncpg.connect(dsn), bounds)
            await world.project("app")
            await world.session()
            return world

        yield make


async def serving(stack: AsyncExitStack, server: Server, database: asyncpg.Connection, bounds: Any) -> World:
    stack.callback(database.terminate)
    services, clock = server.services, server.clock
    keys = Keys(services.write_keys, clock.now, 1000.0)
    tokens = Tokens(secret_of(server.settings))
    sessions = AppSessions(PostgresMobile(server.database), tokens, keys, SessionIds(clock.now), clock.now)
    world = World(server, database, sessions, tokens)
    work = work_of(server.settings.data_dir)
    files = bounds.pop("files", services.files)
    world.door = ImageDoor(sessions, keys, services.mobile_images, files, work, services.counters.images, **bounds)
    app = build(services)
    app.router.add_route("POST", DOOR, answering(world.door.post))
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.http = await stack.enter_async_context(aiohttp.ClientSession())
    world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return world


@pytest.fixture
async def world(make_world: Maker) -> World:
    return await make_world()
