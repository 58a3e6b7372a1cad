"""The HTTP application: a list of routes and what their handlers are made of.

`build` gives an application that any `AppRunner` can serve; it owns no socket. What it needs of aiohttp's connection
handling it brings along: bodies stay packed (they are unpacked here, within bounds), no access log, short keep-alive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from actors.figures.facts import Rules
from actors.ports import SessionReader
from actors.system import ActorSystem
from protocol import limits
from server.auth import Verifier
from server.catalog import Catalog
from server.catalog.writing import CatalogWriter
from server.config import Settings
from server.desk import Desk
from server.http import described, video_heartbeat
from server.http.access import Access
from server.http.catalog import CatalogDoor
from server.http.collector.routes import routes as collector_routes
from server.http.engagement.routes import routes as engagement_routes
from server.http.exports import Exports
from server.http.gating import Gate
from server.http.health import Health
from server.http.heartbeats import Heartbeats
from server.http.keys import Keys
from server.http.learners import LearnerRights
from server.http.learning import loading, pages
from server.http.learning.routes import routes as learning_routes
from server.http.participants import Participants
from server.http.ports import ClassStore
from server.http.recordings import Recordings
from server.http.rooms import Rooms
from server.http.sending import Sender
from server.http.sessions import Sessions
from server.http.shell import Handler, Shell, expect
from server.http.video_heartbeat import VideoHeartbeats
from server.learners.erasing import Eraser
from server.metrics import EdgeCounters
from server.mobile import routes as mobile_routes
from server.mobile.reading_routes import routes as mobile_reading_routes
from server.plugnmeet import webhooks
from server.plugnmeet.ports import WebhookStore
from server.plugnmeet.signature import Signatures
from server.simple_door import SimpleDoor
from server.theme import Theme
from server.xapi.routes import routes as xapi_routes
from storage.attendance import AttendanceBook
from storage.collected import PostgresCollected
from storage.collector import CollectorStore
from storage.engagement import PostgresEngagement
from storage.files import Files
from storage.jobs import JobStore
from storage.keys import KeyStore, Right
from storage.learning import PostgresLearning
from storage.mobile import MobileStore
from storage.mobile_images import MobileImages
from storage.mobile_reading import MobileReading
from storage.watched import WatchedBefore
from storage.xapi import PostgresXapi

KEEP_ALIVE_S: Final = 75.0
LINGER_S: Final = 2.0
"""How long the rest of a refused body is read and dropped, so that the refusal arrives."""


class Services(msgspec.Struct, frozen=True):
    """What handlers need. `connections` counts the other edge's sockets, for the metrics."""

    system: ActorSystem
    desk: Desk
    verifier: Verifier
    settings: Settings
    sessions: SessionReader
    classes: ClassStore
    webhooks: WebhookStore
    jobs: JobStore
    files: Files
    catalog: Catalog
    catalog_writer: CatalogWriter
    write_keys: KeyStore
    collector: CollectorStore
    collected: PostgresCollected
    xapi: PostgresXapi
    mobile: MobileStore
    mobile_images: MobileImages
    mobile_reading: MobileReading
    watched: WatchedBefore
    learning: PostgresLearning
    engagement: PostgresEngagement
    attendance: AttendanceBook
    eraser: Eraser
    theme: Theme
    counters: EdgeCounters
    connections: Callable[[], int]


def build(services: Services) -> web.Application:
    """The application. To be made inside a running event loop."""
    access = Access(services.verifier, services.system.clock, services.settings)
    health = Health(services.system, services.counters, services.connections)
    unlimited = [webhooks.PATH, *mobile_routes.PATHS]
    shell = Shell(access, services.counters, services.settings.cors_origins, unlimited)
    app = web.Application(
        middlewares=[shell.around],
        client_max_size=limits.HTTP_BODY_BYTES,
        handler_args={
            "access_log": None,
            "logger": _logger(),
            "auto_decompress": False,
            "keepalive_timeout": KEEP_ALIVE_S,
            "lingering_time": LINGER_S,
        },
    )
    sender = Sender(services.files)
    app.on_shutdown.append(sender.close)
    for method, path, handler in [*_api(services, access, sender), *_about(services, health)]:
        app.router.add_route(method, path, handler, expect_handler=expect)
        if method == "GET":
            app.router.add_route("HEAD", path, handler, expect_handler=expect)
    shell.name_routes(app)
    app.cleanup_ctx.append(health.measure_lag)
    return app


def _logger() -> logging.Logger:
    """What aiohttp logs of connections, without a line for everybody who does not speak HTTP."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _api(services: Services, access: Access, sender: Sender) -> list[tuple[str, str, Handler]]:
    system, desk, settings = services.system, services.desk, services.settings
    heartbeats = Heartbeats(system, desk, access, services.counters)
    rooms = Rooms(
        system,
        desk,
        access,
        services.classes,
        listed_to=settings.presence_list_limit,
        accept_unknown=settings.unknown == "accept",
    )
    participants = Participants(system, access, services.classes)
    sessions = Sessions(system, access, services.sessions)
    recordings = Recordings(system, desk, access, services.jobs, services.files, sender)
    plugnmeet = webhooks.Webhooks(
        system,
        access,
        Signatures(settings.plugnmeet_keys, accept_hex=settings.plugnmeet_accept_hex),
        services.webhooks,
        services.jobs,
        services.counters.webhooks,
    )
    exports = Exports(system, access, services.attendance, settings)
    rights = LearnerRights(access, services.eraser)
    rates: dict[Right, float] = {"collect": settings.collector_rate, "mobile": settings.mobile_requests_per_second}
    keys = Keys(services.write_keys, system.clock.now, settings.write_key_requests_per_second, rates=rates)
    catalog = CatalogDoor(services.catalog_writer, keys)
    return [
        ("PUT", "/api/v1/catalog/products/{id:[^/]+}", catalog.put_product),
        ("PUT", "/api/v1/catalog/programs/{id:[^/]+}", catalog.put_program),
        ("PUT", "/api/v1/catalog/live-classes/{id:[^/]+}", catalog.put_live_class),
        ("PUT", "/api/v1/catalog/contents/{kind:[^/]+}/{id:[^/]+}", catalog.put_content),
        ("PUT", "/api/v1/catalog/enrolments/{catalog_product_id:[^/]+}/{user_id:[^/]+}", catalog.put_enrolment),
        ("DELETE", "/api/v1/catalog/enrolments/{catalog_product_id:[^/]+}/{user_id:[^/]+}", catalog.end_enrolment),
        ("POST", "/api/v1/catalog/bulk", catalog.bulk),
        ("POST", "/webhooks/plugnmeet", plugnmeet.post),
        ("POST", "/api/v1/heartbeats", heartbeats.post),
        ("POST", video_heartbeat.PATH, _video_heartbeats(services, access).post),
        ("GET", "/api/v1/rooms", rooms.page),
        ("GET", "/api/v1/rooms/{id:[^/]+}", rooms.read),
        ("PUT", "/api/v1/rooms/{id:[^/]+}", rooms.put),
        ("GET", "/api/v1/rooms/{id:[^/]+}/presence", rooms.presence),
        ("GET", "/api/v1/rooms/{id:[^/]+}/timeline", rooms.timeline),
        ("GET", "/api/v1/rooms/{id:[^/]+}/participants/{user_id:[^/]+}", participants.read),
        ("GET", "/api/v1/rooms/{id:[^/]+}/attendance.csv", exports.of_class),
        ("GET", "/api/v1/export/attendance.csv", exports.of_product),
        ("DELETE", "/api/v1/users/{id:[^/]+}", rights.erase),
        ("GET", "/api/v1/rooms/{id:[^/]+}/recordings", recordings.of_room),
        ("GET", "/api/v1/recordings/{id:[^/]+}/file", recordings.file),
        ("GET", "/api/v1/recordings/{id:[^/]+}/thumbnail", recordings.thumbnail),
        ("POST", "/api/v1/rooms/{id:[^/]+}/start", rooms.start),
        ("POST", "/api/v1/rooms/{id:[^/]+}/end", rooms.end),
        ("GET", "/api/v1/sessions/{id:[^/]+}", sessions.read),
        *xapi_routes(system, access, keys, services.xapi, settings),
        *collector_routes(system, access, keys, services),
        *mobile_routes.routes(access, keys, services),
        *mobile_reading_routes(system, access, sender, services),
        *engagement_routes(system, access, services.engagement, settings.timezone),
        *learning_routes(_dashboards(services, access), services.classes),
    ]


def _dashboards(services: Services, access: Access) -> pages.Ground:
    system = services.system
    rules = Rules(system.rules.room.late_grace_ms, system.rules.room.attended_min_ms)
    loader = loading.Loader(system, services.learning)
    return pages.Ground(system, access, loader, services.theme, rules, services.settings.timezone)


def _video_heartbeats(services: Services, access: Access) -> VideoHeartbeats:
    system, settings = services.system, services.settings
    door = SimpleDoor(system, services.desk, services.watched, settings.completion_threshold)
    gate = Gate(services.catalog, door, services.watched, accept_unknown=settings.unknown == "accept")
    services.eraser.also += [door.forget, gate.forget, services.catalog.forget_learner]
    return VideoHeartbeats(system, door, gate, access, services.counters)


def _about(services: Services, health: Health) -> list[tuple[str, str, Handler]]:
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/healthz", health.alive),
        ("GET", "/readyz", health.ready),
        ("GET", "/metrics", health.metrics),
        ("GET", "/ws", health.upgrade),
        *described.routes(dev=services.settings.dev),
    ]
    if services.settings.dev:
        routes.append(("GET", "/", health.front_page))
    return routes
