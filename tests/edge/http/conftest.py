"""A server's HTTP side over real sockets, with real actors, on the store in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from actors.clock import ServerClock
from actors.counters import Counters
from actors.machines.state import RoomRules
from actors.system import ActorSystem, Rules, Stores
from protocol.rest import ErrorEnvelope
from server import config, theme
from server.auth import Verifier, sign
from server.catalog import Catalog
from server.catalog.writing import CatalogWriter
from server.desk import Desk
from server.http.app import Services, build
from server.learners.erasing import Eraser
from server.metrics import EdgeCounters
from server.ws.hub import Hub, Limits
from storage.attendance import AttendanceBook
from storage.collected import PostgresCollected
from storage.engagement import PostgresEngagement
from storage.files import DirectoryFiles
from storage.learners import Learners
from storage.learning import PostgresLearning
from storage.memory import Memory, MemoryJournal, MemoryLeases, MemoryQuarantine, MemorySnapshots
from storage.memory_catalog import MemoryCatalog
from storage.memory_collector import MemoryCollector
from storage.memory_jobs import MemoryJobs
from storage.memory_keys import MemoryKeys
from storage.memory_mobile import MemoryMobile
from storage.memory_rows import MemoryReading, MemorySessions
from storage.memory_watched import MemoryWatched
from storage.memory_webhooks import MemoryWebhooks
from storage.mobile_images import MobileImages
from storage.mobile_reading import MobileReading
from storage.postgres import Database
from storage.xapi import PostgresXapi

DAY_S = 86_400
SECRET = "a secret of the tests, thirty-two bytes or more"


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: Any
    text: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    def refusal(self, status: int, error: str) -> str:
        """The message of a refusal, whose envelope is checked on the way."""
        assert self.status == status, (self.status, self.text)
        envelope = msgspec.json.decode(self.text, type=ErrorEnvelope, strict=True)
        assert set(self.json) == {"message", "error", "success", "status_code"}
        assert (envelope.error, envelope.success, envelope.status_code) == (error, False, status)
        assert self.headers["X-Request-Id"]
        return envelope.message


class World:
    """One server and those who call it."""

    def __init__(self, settings: config.Settings, memory: Memory, rules: Rules) -> None:
        self.settings = settings
        self.memory = memory
        self.faults = memory.faults
        self.skipped_s = 0.0
        self.clock = ServerClock(lambda: time.time() + self.skipped_s, lambda: time.monotonic() + self.skipped_s)
        self.verifier = Verifier(SECRET)
        self.edge = EdgeCounters()
        self.hub = Hub(self.clock, Limits(), self.verifier, self.edge.samples("websocket"))
        self.sessions = MemorySessions(memory)
        self.reading = MemoryReading(memory)
        self.webhooks = MemoryWebhooks(memory)
        self.jobs = MemoryJobs(memory)
        self.files = DirectoryFiles(settings.data_dir / "recordings")
        stores = Stores(MemoryJournal(memory), MemorySnapshots(memory), MemoryLeases(memory), MemoryQuarantine(memory))
        self.system = ActorSystem(
            stores, rules, self.hub, clock=self.clock, address="test", sole_owner=True, counters=Counters()
        )
        self.catalog_store = MemoryCatalog(memory)
        self.catalog = Catalog(self.catalog_store)
        self.write_keys = MemoryKeys(memory)
        self.mobile = MemoryMobile(memory)
        self.desk = Desk(self.system, self.sessions, self.catalog, accept_unknown=settings.unknown == "accept")
        self.hub.use(self.system, self.desk)
        self.services = Services(
            system=self.system,
            desk=self.desk,
            verifier=self.verifier,
            settings=settings,
            sessions=self.sessions,
            classes=self.reading,
            webhooks=self.webhooks,
            jobs=self.jobs,
            files=self.files,
            catalog=self.catalog,
            catalog_writer=CatalogWriter(self.catalog_store, self.catalog, self.system),
            write_keys=self.write_keys,
            collector=MemoryCollector(memory),
            collected=PostgresCollected(Database("")),  # never opened: what became of events is in tests/edge/collector
            mobile=self.mobile,
            mobile_images=MobileImages(Database("")),  # never opened: tests/edge/mobile_images
            mobile_reading=MobileReading(Database("")),  # the same
            xapi=PostgresXapi(Database("")),  # the same: tests/edge/xapi
            watched=MemoryWatched(memory),
            learning=PostgresLearning(Database("")),  # never opened: dashboards are in tests/edge/learning
            engagement=PostgresEngagement(Database("")),  # the same: tests/edge/engagement
            attendance=AttendanceBook(Database("")),  # the same: tests/edge/learners
            eraser=Eraser(self.system, Learners(Database("")), self.hub.send_away),
            theme=theme.load(),
            counters=self.edge,
            connections=lambda: len(self.hub.connections),
        )
        self.url = ""
        self.http: aiohttp.ClientSession

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            runner = web.AppRunner(build(self.services))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self.http = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def token(self, user: str, role: str = "learner", **claims: Any) -> str:
        options = {"now_s": time.time(), "ttl_s": DAY_S} | claims
        return sign(SECRET, user_id=user, role=role, **options)  # type: ignore[arg-type]

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = None,
        staff: bool = False,
        headers: dict[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        **query: Any,
    ) -> Answer:
        fields = dict(headers or {})
        if user is not None or staff:
            token = self.token(user or "teacher", "staff" if staff else "learner")
            fields.setdefault("Authorization", f"Bearer {token}")
        payload = data if data is not None else None if body is None else msgspec.json.encode(body)
        async with self.http.request(
            method,
            self.url + path,
            data=payload,
            headers=fields,
            params=query or None,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def beat(self, user: str, body: dict[str, Any], **more: Any) -> Answer:
        """`POST /api/v1/heartbeats`."""
        return await self.call("POST", "/api/v1/heartbeats", {"sent_at": self.now()} | body, user=user, **more)

    def now(self) -> int:
        return self.clock.now()

    def skip(self, seconds: float) -> None:
        """So much time passes; what it brings about is taken in with the next input."""
        self.skipped_s += seconds

    async def until(self, condition: Callable[[], object]) -> None:
        """Come back when it holds."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        await self.system.committer.settled()

    async def checkpoint(self) -> None:
        """Everything that is dirty is written now."""
        await self.settled()
        for actor in list(self.system.directory):
            await self.system.checkpointer.write_now(actor)


def settings_of(tmp_path: Path, **given: str) -> config.Settings:
    options = {"ROLLCALL_JWT_SECRET": SECRET, "ROLLCALL_DATA_DIR": str(tmp_path), "ROLLCALL_UNKNOWN": "accept"} | given
    return config.load(options, {})


Maker = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[Maker]:
    """Worlds by their settings; `start=False` leaves the actors asleep, `memory` goes on with another world's store."""
    async with AsyncExitStack() as stack:

        async def make(
            *, start: bool = True, memory: Memory | None = None, rules: dict[str, Any] | None = None, **given: str
        ) -> World:
            options: dict[str, Any] = {"room": RoomRules(attended_min_ms=1000), "partitions": 8} | (rules or {})
            world = World(settings_of(tmp_path, **given), memory or Memory(), Rules(**options))
            await stack.enter_async_context(world.serving())
            if start:
                await world.system.start()
                stack.push_async_callback(_stop, world)
                async with asyncio.timeout(5):
                    await world.system.until_ready()
            return world

        yield make


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[tuple[asyncio.Runner, World]]:
    """A world for tests that are not coroutines, and what runs theirs."""
    limits = {"ROLLCALL_MESSAGES_PER_SECOND": "1000000", "ROLLCALL_MESSAGES_BURST": "1000000"}

    async def begin() -> tuple[AsyncExitStack, World]:
        stack = AsyncExitStack()
        world = World(settings_of(tmp_path, **limits), Memory(), Rules(partitions=8))
        await stack.enter_async_context(world.serving())
        await world.system.start()
        stack.push_async_callback(_stop, world)
        await world.system.until_ready()
        return stack, world

    with asyncio.Runner() as runner:
        stack, world = runner.run(begin())
        yield runner, world
        runner.run(stack.aclose())


async def _stop(world: World) -> None:
    world.faults.away = world.faults.stalled = world.faults.lose_answers = False
    await world.system.drain(2)


@pytest.fixture
async def world(make_world: Maker) -> World:
    return await make_world(ROLLCALL_MESSAGES_PER_SECOND="100000", ROLLCALL_MESSAGES_BURST="100000")
