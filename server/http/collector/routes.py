"""Where events are collected, and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.system import ActorSystem
from protocol.collector import Reader
from server.http.access import Access
from server.http.collector.door import CollectorDoor
from server.http.collector.reading import Analytics
from server.http.keys import Keys
from server.http.shell import Handler

if TYPE_CHECKING:
    from server.http.app import Services


def routes(system: ActorSystem, access: Access, keys: Keys, services: Services) -> list[tuple[str, str, Handler]]:
    """To be made inside the running event loop."""
    settings = services.settings
    reader = Reader(whole_addresses=settings.collector_whole_addresses)
    door = CollectorDoor(services.collector, keys, services.counters.collector, reader, system.clock.now)
    analytics = Analytics(system, access, services.collected, settings.timezone)
    return [
        ("POST", "/analytics/track/view", door.view),
        ("POST", "/analytics/track/engagement", door.engagement),
        ("POST", "/analytics/track/batch", door.batch),
        ("GET", "/api/v1/analytics/views", analytics.views),
        ("GET", "/api/v1/analytics/engagement", analytics.engagement),
        ("GET", "/api/v1/analytics/api-calls", analytics.api_calls),
    ]
