"""A whole node in this process, for tests of its edge.

Real actors, hub, desk and listener on a free loopback port, over the store in memory.
Its clock is moved by hand (`pass_time`), and nothing happens once a second unless `second` says so: a test waits for
frames, never for time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from actors.actor import Actor
from actors.clock import ServerClock
from actors.machines.events import AnyEvent
from actors.system import ActorSystem, Rules, Stores
from protocol.codec import Codec
from server.auth import Role, Verifier, sign
from server.catalog import Catalog
from server.desk import Desk
from server.listener import FirstBytes, Upgrades
from server.ws.connection import Connection
from server.ws.hub import Hub, Limits
from storage.memory import Memory, MemoryJournal, MemoryLeases, MemoryQuarantine, MemorySnapshots
from storage.memory_catalog import MemoryCatalog
from storage.memory_rows import MemorySessions

SECRET = "0123456789abcdef0123456789abcdef"
DEADLINE_S = 10.0
"""How long a test waits for what must come: long, for a busy machine, since nobody waits so long when all is well."""

QUICK_TURNS = 50

FEW_PARTITIONS = Rules(partitions=4)


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Give the loop its turns until `condition` holds."""
    deadline = time.monotonic() + DEADLINE_S
    turns = 0
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what or "what was waited for did not come about")
        turns += 1
        await asyncio.sleep(0 if turns < QUICK_TURNS else 0.001)


class Node:
    """One node. `async with Node() as node: ...`; `memory` of a former node makes it that node's next life."""

    def __init__(
        self,
        limits: Limits | None = None,
        rules: Rules = FEW_PARTITIONS,
        *,
        accept_unknown: bool = True,
        origins: Collection[str] = (),
        memory: Memory | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.rules = rules
        self.memory = memory or Memory()
        self.verifier = verifier or Verifier(SECRET)
        self.ahead_s = 0.0
        self.clock = ServerClock(monotonic=lambda: time.monotonic() + self.ahead_s)
        self.port = 0
        self._accept_unknown = accept_unknown
        self._origins = frozenset(origins)
        self._life = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        memory = self.memory
        self.hub = Hub(self.clock, self.limits, self.verifier)
        stores = Stores(MemoryJournal(memory), MemorySnapshots(memory), MemoryLeases(memory), MemoryQuarantine(memory))
        self.system = ActorSystem(stores, self.rules, self.hub, clock=self.clock, address="here", sole_owner=True)
        self.catalog = Catalog(MemoryCatalog(memory))
        self.desk = Desk(self.system, MemorySessions(memory), self.catalog, accept_unknown=self._accept_unknown)
        self.hub.use(self.system, self.desk)
        await self.system.start()
        async with asyncio.timeout(DEADLINE_S):
            await self.system.until_ready()
        self._life.push_async_callback(self._leave)
        self.port = await self._life.enter_async_context(self._listening())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()

    async def _leave(self) -> None:
        self.memory.faults.stalled = self.memory.faults.away = False
        if not self.system.draining:
            assert await self.system.drain(DEADLINE_S), "the node could not write everything"
        assert self.system.failed is None

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncGenerator[int]:
        app = web.Application()
        app.router.add_get("/hello", _hello)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        upgrades = Upgrades(self._connection, allowed_origins=self._origins, frame_bytes=self.limits.frame_bytes)
        loop = asyncio.get_running_loop()
        http = runner.server
        assert http is not None
        server = await loop.create_server(lambda: FirstBytes(upgrades, http), "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in list(self.hub.connections):
                connection.abort()
            await until(lambda: not self.hub.connections)
            await runner.cleanup()

    def _connection(self, codec: Codec, token: str | None, address: str) -> Connection:
        return Connection(self.hub, codec, token, address)

    # -- who comes ----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def token(
        self,
        user: str = "27",
        role: Role = "learner",
        *,
        ttl_s: float = 3600,
        name: str | None = None,
        rooms: Collection[str] | None = None,
        contents: Collection[tuple[str, str]] | None = None,
        secret: str = SECRET,
    ) -> str:
        now_s = self.clock.now() / 1000
        return sign(
            secret, user_id=user, now_s=now_s, ttl_s=ttl_s, role=role, name=name, rooms=rooms, contents=contents
        )

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Server time, Unix ms."""
        return self.clock.now()

    def pass_time(self, seconds: float) -> None:
        """Let the server's clock run ahead, and ring whoever wants to be woken by then."""
        self.ahead_s += seconds
        self.system.scheduler._ring()

    def second(self, times: int = 1) -> None:
        """What happens once a second."""
        for _ in range(times):
            self.hub.every_second()

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def room(self, room_id: str) -> Actor:
        """The room's actor."""
        actor = await self.system.room(room_id, create=True)
        assert actor is not None
        return actor

    async def happens(self, room_id: str, event: AnyEvent) -> None:
        """Something happens to a room, from elsewhere; returns when it is durable."""
        done = _Done()
        assert self.system.post(await self.room(room_id), event, done)
        await until(lambda: done.released)

    @property
    def nothing_held(self) -> bool:
        """Whether the hub has forgotten everybody."""
        hub = self.hub
        held: list[Any] = [
            hub.connections,
            hub._by_user,
            hub._by_address,
            hub._by_session,
            hub._seers,
            hub._expiring,
            *hub._slots,
        ]
        return not any(held) and not any(actor.streams for actor in self.system.directory)


class _Done:
    released = False

    def stage(self, actor: Actor, effects: list[Any], now: int) -> None:
        pass

    def release(self, effects: list[Any]) -> None:
        self.released = True


async def _hello(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path})
