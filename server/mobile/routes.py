"""Where mobile SDKs come in, and what their door is made of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from server import devsecret
from server.config import Settings
from server.http.access import Access
from server.http.answers import rate_limited
from server.http.keys import Keys
from server.http.shell import Handler
from server.http.throttle import Throttle, address_key
from server.mobile import images_routes
from server.mobile.answers import answering
from server.mobile.batches import BATCH_WEIGHT, PATIENCE_S, WAITING_WEIGHT, Batches
from server.mobile.ids import SessionIds
from server.mobile.sessions import AppSessions
from server.mobile.starting import Starts
from server.mobile.token import Tokens, derived
from server.mobile.watching import Watching
from storage.gathering import Gathering
from storage.mobile import Brought

if TYPE_CHECKING:
    from server.http.app import Services

DOOR: Final = "mobile"
PLACES: Final = ("/v1/mobile", "/v1/ios", "/ingest/v1/mobile", "/ingest/v1/ios")
"""One door under four names, all of which SDKs call."""
PATHS: Final = tuple(f"{place}/{name}" for place in PLACES for name in ("start", "append", "i", "late", "images"))
SECRET_FILE: Final = "mobile-secret"  # noqa: S105 - the name of a file


def routes(access: Access, keys: Keys, services: Services) -> list[tuple[str, str, Handler]]:
    """Method, path, handler. To be called inside the running event loop."""
    system, settings, counts = services.system, services.settings, services.counters.mobile
    store = services.mobile
    tokens = Tokens(secret_of(settings))
    ids = SessionIds(system.clock.now)
    sessions = AppSessions(store, tokens, keys, ids, system.clock.now)
    services.eraser.also.append(sessions.forget)
    life_ms = round(settings.mobile_token_s * 1000)
    images = services.mobile_images
    starts = Starts(system, access, keys, store, images, sessions, tokens, ids, life_ms, counts)
    gathering: Gathering[Brought, int] = Gathering(
        store.write, batch=BATCH_WEIGHT, limit=WAITING_WEIGHT, patience_s=PATIENCE_S
    )
    watching = Watching(system, services.desk, store)
    batches = Batches(system, sessions, watching, gathering, (counts, services.counters.samples(DOOR)))
    limit = Limit(access, settings.mobile_address_requests_per_second)
    pictures = images_routes.handler(sessions, keys, services, limit.around)
    handlers = {"start": starts.post, "append": batches.append, "i": batches.append, "late": batches.late}
    return [
        *(
            ("POST", f"{place}/{name}", answering(limit.around(handler)))
            for place in PLACES
            for name, handler in handlers.items()
        ),
        *(("POST", f"{place}/images", pictures) for place in PLACES),
    ]


class Limit:
    """How often an address may come to this door: what all limits per address say, and one of its own."""

    def __init__(self, access: Access, rate: float) -> None:
        self._access = access
        self._throttle = Throttle(rate, 2 * rate)

    def around(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
        """The handler, which is not reached by those over the limit."""

        async def limited(request: web.Request) -> web.StreamResponse:
            self._access.check_address(request)
            wait = self._throttle.take(address_key(request.remote), time.monotonic())
            if wait:
                raise rate_limited(wait)
            return await handler(request)

        return limited


def secret_of(settings: Settings) -> bytes:
    """What signs sessions' tokens: a setting; else made of the one that signs learners' tokens; else a file's.

    Raises `DevSecretError`.
    """
    if settings.mobile_secret is not None:
        return settings.mobile_secret.encode()
    if settings.jwt_secret is not None:
        return derived(settings.jwt_secret)
    return derived(devsecret.read_or_create(settings.data_dir, SECRET_FILE))
