"""The routes of xAPI."""

from __future__ import annotations

from actors.system import ActorSystem
from server.config import Settings
from server.http.access import Access
from server.http.keys import Keys
from server.http.shell import Handler
from server.xapi.door import XapiDoor
from server.xapi.exporting import XapiExport
from storage.xapi import PostgresXapi


def routes(
    system: ActorSystem, access: Access, keys: Keys, store: PostgresXapi, settings: Settings
) -> list[tuple[str, str, Handler]]:
    """To be made inside the running event loop."""
    door = XapiDoor(store, keys, system.clock.now)
    export = XapiExport(system, access, store, settings)
    return [
        ("POST", "/xapi/statements", door.post),
        ("PUT", "/xapi/statements", door.put),
        ("GET", "/xapi/about", door.about),
        ("GET", "/api/v1/export/xapi", export.get),
    ]
