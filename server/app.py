"""The composition root: the server as a parts list, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from actors.clock import ServerClock
from actors.counters import Counters
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem, Stores
from protocol.codec import Codec
from server import theme, welcome
from server.auth import Verifier
from server.catalog import Catalog
from server.catalog.writing import CatalogWriter
from server.config import Settings
from server.desk import DOOR_SOCKET, Desk
from server.feeds.intake import Feeds
from server.http.app import Services, build
from server.learners.erasing import Eraser
from server.listener import FirstBytes, Upgrades
from server.messaging import Messaging
from server.metrics import EdgeCounters
from server.plugnmeet.api import PlugNMeetApi
from server.plugnmeet.repair import Repair
from server.recordings.parts import files_of, worker_of
from server.rules import engagement_rules, limits_of, rules_of
from server.upkeep import Upkeep
from server.ws.connection import Connection
from server.ws.hub import Hub
from storage.attendance import AttendanceBook
from storage.files import Files
from storage.learners import Learners
from storage.migrate import migrate, pending
from storage.postgres import Database
from storage.stores import PostgresStores, stores_over
from storage.xapi import PostgresXapi

log = structlog.get_logger(__name__)

OPEN_RETRY_FIRST_S: Final = 0.2
OPEN_RETRY_MOST_S: Final = 5.0
WATCH_S: Final = 1.0
BYE_SETTLE_S: Final = 1.2
"""What a connection needs to read its farewell: the hub cuts it after a second."""


class Server:
    """All parts of one process. To be made inside the running event loop."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.database_url = database_url
        self.clock = ServerClock()
        self.counters = Counters()
        self.verifier = Verifier.from_settings(settings)
        edge = EdgeCounters()
        self.hub = Hub(self.clock, limits_of(settings), self.verifier, edge.samples(DOOR_SOCKET))
        edge.socket_events = self.hub.counts
        self.database = Database(
            database_url, pool_size=settings.pool_size, statement_timeout_s=settings.statement_timeout_s
        )
        stores = stores_over(
            self.database, engagement_rules(settings), collector_study=settings.collector_counts_study_time
        )
        self.system = ActorSystem(
            Stores(stores.journal, stores.snapshots, stores.leases, stores.quarantine),
            rules_of(settings),
            self.hub,
            clock=self.clock,
            address=f"{settings.host}:{settings.port}",
            # The lock on the data directory proves that no other server lives on an embedded database.
            sole_owner=settings.database_url is None,
            counters=self.counters,
        )
        self.catalog = Catalog(stores.catalog)
        self.catalog_writer = CatalogWriter(stores.catalog, self.catalog, self.system)
        self.desk = Desk(self.system, stores.sessions, self.catalog, accept_unknown=settings.unknown == "accept")
        self.hub.use(self.system, self.desk)
        self.plugnmeet = _plugnmeet(settings)
        self.repair = _repair(settings, self.system, self.plugnmeet, stores, edge)
        files = files_of(settings)
        self.recordings = worker_of(settings, stores.jobs, files, self.system, self.plugnmeet, edge.fetched)
        self.messaging = Messaging(settings, Feeds(self.system, stores.facts), stores.outbox, edge.amqp, self.clock.now)
        learners = Learners(self.database)
        self.eraser = Eraser(self.system, learners, self.hub.send_away)
        self.upkeep = Upkeep(settings, self.database, stores, self.system, files, self.eraser, learners)
        self.services = self._services(stores, files, edge)

    def _services(self, stores: PostgresStores, files: Files, edge: EdgeCounters) -> Services:
        settings = self.settings
        return Services(
            system=self.system,
            desk=self.desk,
            verifier=self.verifier,
            settings=settings,
            sessions=stores.sessions,
            classes=stores.reading,
            webhooks=stores.webhooks,
            jobs=stores.jobs,
            files=files,
            catalog=self.catalog,
            catalog_writer=self.catalog_writer,
            write_keys=stores.keys,
            collector=stores.collector,
            collected=stores.collected,
            xapi=PostgresXapi(
                self.database, engagement_rules(settings), settings.xapi_content_kind, settings.partitions
            ),
            mobile=stores.mobile,
            mobile_images=stores.mobile_images,
            mobile_reading=stores.mobile_reading,
            watched=stores.watched,
            learning=stores.learning,
            engagement=stores.engagement,
            attendance=AttendanceBook(self.database),
            eraser=self.eraser,
            theme=theme.load(settings.theme_file),
            counters=edge,
            connections=lambda: len(self.hub.connections),
        )

    async def run(self, listening: socket.socket, stop: asyncio.Event) -> int:
        """Serve until `stop`; returns the exit code."""
        await self.verifier.refresh(self.clock.now() / 1000)
        runner = web.AppRunner(build(self.services))
        await runner.setup()
        upgrades = Upgrades(
            self._connection,
            allowed_origins=frozenset(self.settings.cors_origins),
            frame_bytes=self.settings.frame_bytes,
        )
        loop = asyncio.get_running_loop()
        http = runner.server
        assert http is not None
        server = await loop.create_server(lambda: FirstBytes(upgrades, http), sock=listening, backlog=4096)
        tasks = self._begin()
        fetching = asyncio.create_task(self._when_ready(self.recordings.run), name="fetch recordings")
        tasks.append(fetching)
        failed = asyncio.create_task(self._until_failed(tasks), name="until failed")
        stopped = asyncio.create_task(stop.wait(), name="until stopped")
        try:
            await asyncio.wait((failed, stopped), return_when=asyncio.FIRST_COMPLETED)
            return 1 if failed.done() else 0
        finally:
            log.info("draining", connections=len(self.hub.connections))
            server.close()
            fetching.cancel()
            await self.messaging.stop_consuming()
            # A child process that is killed, or a file that is written to its end, must not hold up the players.
            await asyncio.gather(self._drain(), self.recordings.stop())
            await self.messaging.stop_publishing()
            ending: list[asyncio.Task[Any]] = [*tasks, failed, stopped]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await runner.cleanup()
            if self.plugnmeet is not None:
                await self.plugnmeet.aclose()
            await self.verifier.aclose()
            await self.database.close()

    def _begin(self) -> list[asyncio.Task[None]]:
        """What works beside the connections, as tasks that never end."""
        tasks = [
            asyncio.create_task(self._open(), name="open"),
            asyncio.create_task(self._every_second(), name="every second"),
        ]
        if self.repair is not None:
            tasks.append(asyncio.create_task(self.repair.run(), name="repair"))
        tasks += self.messaging.start(self.system.until_ready)
        for work in (self.catalog.run, self.catalog_writer.run, *self.upkeep.works()):
            tasks.append(asyncio.create_task(self._when_ready(work), name=work.__qualname__))
        return tasks

    def _connection(self, codec: Codec, token: str | None, address: str) -> Connection:
        return Connection(self.hub, codec, token, address)

    # -- start --------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Bring the database into shape, however long it takes to be there, then the actors to life."""
        wait = OPEN_RETRY_FIRST_S
        while True:
            try:
                await self._prepare()
                break
            except (StoreAway, StoreRefused) as error:
                log.warning("database.waiting", reason=str(error), retry_s=wait)
            await asyncio.sleep(wait)
            wait = min(OPEN_RETRY_MOST_S, wait * 2)
        await self.system.start()
        await self.system.until_ready()
        gc.collect()
        gc.freeze()
        # Messages make no cycles; a young collection every 700 objects would walk the mail for nothing.
        gc.set_threshold(50_000, 20, 50)
        if self.settings.dev:
            welcome.tell(self.settings)

    async def _prepare(self) -> None:
        if self.settings.database_url is None or self.settings.dev:
            await migrate(self.database_url)
        elif missing := await pending(self.database_url):
            message = f"the database lacks {len(missing)} migrations: run `rollcall migrate`"
            raise StoreRefused(message)
        await self.database.open()
        timescale = await self.database.timescale()
        log.info("database.open", postgresql=await self.database.version(), timescale=timescale or "not installed")

    # -- run ----------------------------------------------------------------------------------------------------------

    async def _when_ready(self, run: Callable[[], Awaitable[None]]) -> None:
        await self.system.until_ready()
        await run()

    async def _every_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.hub.every_second()

    async def _until_failed(self, tasks: list[asyncio.Task[None]]) -> None:
        """Return when a task that must not end has ended: the process ends and is started anew."""
        while True:
            await asyncio.sleep(WATCH_S)
            for task in tasks:
                if task.done() and task.exception() is not None:
                    log.error("task.failed", task=task.get_name(), exc_info=task.exception())
                    return
            error = self.system.failed
            if error is not None:
                log.error("actors.failed", exc_info=error)
                return

    # -- stop ---------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Write everything, then send the players away, each to come back at another moment."""
        clean = await self.system.drain(self.settings.drain_s)
        connections = len(self.hub.connections)
        self.hub.drain(500)
        if connections:
            await asyncio.sleep(min(BYE_SETTLE_S, self.settings.drain_s))
        log.info("drained", clean=clean, connections=connections)


def _plugnmeet(settings: Settings) -> PlugNMeetApi | None:
    """The API of the conference server; None where none is named, or no key to sign with."""
    if settings.plugnmeet_url is None or not settings.plugnmeet_keys:
        return None
    return PlugNMeetApi(settings.plugnmeet_url, *settings.plugnmeet_keys[0])


def _repair(
    settings: Settings, system: ActorSystem, api: PlugNMeetApi | None, stores: PostgresStores, counters: EdgeCounters
) -> Repair | None:
    """What asks the conference server for webhooks that were lost."""
    if api is None:
        return None
    return Repair(system, api, stores.reading, counters, every_s=settings.plugnmeet_repair_s)
