"""The composition root: the server as a parts list, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
import uvloop
from aiohttp import web

from actors.clock import ServerClock
from actors.counters import Counters
from actors.machines.state import RoomRules
from actors.machines.watch import WatchRules
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem, Rules, Stores
from protocol.codec import Codec
from server import logs, theme, welcome
from server.auth import Verifier
from server.catalog import Catalog
from server.catalog.writing import CatalogWriter
from server.collector.study import StudyTime
from server.collector.sweeping import CollectorSweeper
from server.config import Settings
from server.desk import DOOR_SOCKET, Desk
from server.feeds.intake import Feeds
from server.history.rooms import ImportedRooms
from server.http.app import Services, build
from server.learners.erasing import Eraser
from server.learners.requests import Requests
from server.listener import FirstBytes, Upgrades
from server.messaging import Messaging
from server.metrics import EdgeCounters
from server.mobile import images_sweeping
from server.mobile.images_sweeping import ImageSweeper
from server.mobile.silence import Silence
from server.plugnmeet.api import PlugNMeetApi
from server.plugnmeet.repair import Repair
from server.recordings.parts import files_of, worker_of
from server.retention import Sweeper
from server.ws.connection import Connection
from server.ws.hub import Hub, Limits
from storage.attendance import AttendanceBook
from storage.collector_study import CollectorStudy
from storage.collector_upkeep import CollectorUpkeep
from storage.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedState
from storage.engaging import Rules as EngagementRules
from storage.history import History
from storage.learners import Learners
from storage.migrate import migrate, pending
from storage.postgres import Database
from storage.retention import Retention
from storage.stores import stores_over
from storage.xapi import PostgresXapi

log = structlog.get_logger(__name__)

OPEN_RETRY_FIRST_S: Final = 0.2
OPEN_RETRY_MOST_S: Final = 5.0
WATCH_S: Final = 1.0
BYE_SETTLE_S: Final = 1.2
"""What a connection needs to read its farewell: the hub cuts it after a second."""


def serve(settings: Settings) -> int:
    """Run until told to stop; returns the exit code. Blocks."""
    logs.set_up(settings.log_level, settings.log_format)
    _raise_file_limit()
    try:
        return uvloop.run(_main(settings))
    except (EmbeddedError, theme.ThemeError) as error:
        sys.stderr.write(f"rollcall: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"rollcall: {settings.host}:{settings.port}: {error.strerror or error}\n")
        return 1


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask_to_stop, stop)
    async with AsyncExitStack() as stack:
        # Taken first: a port in use must not cost a database start.
        listening = _bind(settings.host, settings.port)
        stack.callback(listening.close)
        server = Server(settings, await _database_url(settings, stack))
        return await server.run(listening, stop)


def _ask_to_stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        # Asked twice: whoever waits for us has lost patience. What is acknowledged is durable anyway.
        sys.exit(1)
    stop.set()


async def _database_url(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url
    embedded = EmbeddedPostgres(settings.data_dir, in_use_s=10.0)
    url = await embedded.start()
    stack.push_async_callback(embedded.stop)
    supervision = asyncio.create_task(embedded.supervise(_tell_embedded))
    stack.callback(supervision.cancel)
    return url


def _tell_embedded(state: EmbeddedState, reason: str) -> None:
    if state is EmbeddedState.DOWN:
        log.error("postgres.down", reason=reason)
    else:
        log.info("postgres.running")


def rules_of(settings: Settings) -> Rules:
    """The settings, in the actors' units."""
    return Rules(
        room=RoomRules(
            grace_ms=_ms(settings.reconnect_grace_s),
            late_grace_ms=_ms(settings.late_grace_s),
            attended_min_ms=_ms(settings.attended_min_s),
            completion_threshold=settings.completion_threshold,
        ),
        watch=WatchRules(completion_threshold=settings.completion_threshold),
        partitions=settings.partitions,
        heartbeat_ms=_ms(settings.heartbeat_s),
        lease_ttl_s=settings.lease_ttl_s,
        lease_renew_s=settings.lease_renew_s,
        checkpoint_ms=_ms(settings.checkpoint_s),
        journal_pending=settings.journal_pending,
        mailbox=settings.mailbox,
        actor_idle_ms=_ms(settings.actor_idle_s),
    )


def engagement_rules(settings: Settings) -> EngagementRules:
    """The settings that figures of contents depend on."""
    return EngagementRules(settings.completion_threshold, ZoneInfo(settings.timezone), settings.retention_days > 0)


def limits_of(settings: Settings) -> Limits:
    """The settings that bound a connection."""
    return Limits(
        frame_bytes=settings.frame_bytes,
        outbox_bytes=settings.outbox_bytes,
        streams_per_connection=settings.streams_per_connection,
        connections_per_user=settings.connections_per_user,
        messages_per_second=settings.messages_per_second,
        messages_burst=settings.messages_burst,
        bad_messages_per_minute=settings.bad_messages_per_minute,
        hello_s=settings.hello_s,
        ping_s=max(1, round(settings.ping_s)),
        presence_list=settings.presence_list_limit,
        connections_per_address=settings.address_connections,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


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
        self.engaging = stores.engaging
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
        self.repair: Repair | None = None
        if self.plugnmeet is not None:
            every_s = settings.plugnmeet_repair_s
            self.repair = Repair(self.system, self.plugnmeet, stores.reading, edge, every_s=every_s)
        files = files_of(settings)
        self.recordings = worker_of(settings, stores.jobs, files, self.system, self.plugnmeet, edge.fetched)
        feeds = Feeds(self.system, stores.facts)
        self.messaging = Messaging(settings, feeds, stores.outbox, edge.amqp, self.clock.now)
        learners = Learners(self.database)
        self.eraser = Eraser(self.system, learners, self.hub.send_away)
        self.images = ImageSweeper(stores.mobile_images, files, images_sweeping.work_of(settings.data_dir))
        self.eraser.after.append(self.images.sweep)
        self.silence = Silence(stores.mobile, self.clock.now)
        self.requests = Requests(learners, self.eraser)
        past = History(
            self.database, settings.partitions, rules_of(settings).room, engagement_rules(settings), self.clock.now
        )
        self.imported = ImportedRooms(self.system, past, stores.facts)
        self.sweeper = Sweeper(Retention(self.database), settings.retention_days, self.clock.now)
        self.collector_sweeper = CollectorSweeper(
            CollectorUpkeep(self.database), settings.retention_days, self.clock.now
        )
        self.collector_study = StudyTime(CollectorStudy(self.database), past)
        self.services = Services(
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
        tasks = [
            asyncio.create_task(self._open(), name="open"),
            asyncio.create_task(self._every_second(), name="every second"),
        ]
        if self.repair is not None:
            tasks.append(asyncio.create_task(self.repair.run(), name="repair"))
        tasks += self.messaging.start(self.system.until_ready)
        tasks.append(asyncio.create_task(self._hear_catalog(), name="hear of the catalog"))
        tasks.append(asyncio.create_task(self._tell_classes(), name="tell rooms of their classes"))
        tasks.append(asyncio.create_task(self._engage(), name="work engagement out"))
        for rights in (self.requests.run, self.imported.run, self.sweeper.run, self.images.run, self.silence.run):
            tasks.append(asyncio.create_task(self._when_ready(rights), name=rights.__qualname__))
        for upkeep in (self.collector_sweeper.run, self.collector_study.run):
            tasks.append(asyncio.create_task(self._when_ready(upkeep), name=upkeep.__qualname__))
        fetching = asyncio.create_task(self._fetch(), name="fetch recordings")
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

    async def _fetch(self) -> None:
        await self.system.until_ready()
        await self.recordings.run()

    async def _hear_catalog(self) -> None:
        await self.system.until_ready()
        await self.catalog.run()

    async def _tell_classes(self) -> None:
        await self.system.until_ready()
        await self.catalog_writer.run()

    async def _engage(self) -> None:
        await self.system.until_ready()
        await self.engaging.run()

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


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _raise_file_limit() -> None:
    """A connection is a file: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
