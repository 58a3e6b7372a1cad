"""Where images come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from server.http.keys import Keys
from server.http.shell import Handler
from server.mobile.answers import answering
from server.mobile.images import ImageDoor
from server.mobile.images_sweeping import work_of
from server.mobile.sessions import AppSessions

if TYPE_CHECKING:
    from server.http.app import Services

Answering = Callable[[web.Request], Awaitable[web.Response]]


def handler(sessions: AppSessions, keys: Keys, services: Services, around: Callable[[Answering], Handler]) -> Handler:
    """The handler of `POST .../images`; `around` limits how often an address may come."""
    work = work_of(services.settings.data_dir)
    counts = services.counters.images
    door = ImageDoor(sessions, keys, services.mobile_images, services.files, work, counts)
    return answering(around(door.post))
