"""Where app sessions are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.system import ActorSystem
from server.http.access import Access
from server.http.sending import Sender
from server.http.shell import Handler
from server.mobile.reading import MobileSessions

if TYPE_CHECKING:
    from server.http.app import Services


def routes(system: ActorSystem, access: Access, sender: Sender, services: Services) -> list[tuple[str, str, Handler]]:
    """Method, path, handler."""
    timezone = services.settings.timezone
    sessions = MobileSessions(system, access, services.mobile_reading, services.mobile_images, sender, timezone)
    return [
        ("GET", "/api/v1/mobile/sessions", sessions.page),
        ("GET", "/api/v1/mobile/sessions/{id:[^/]+}", sessions.read),
        ("GET", "/api/v1/mobile/sessions/{id:[^/]+}/images/{hash:[^/]+}", sessions.image),
    ]
