"""A plugNmeet server at the door of a whole server."""

from __future__ import annotations

from typing import Any

from server.plugnmeet.webhooks import PATH
from tests.edge.http.conftest import Answer, World
from tests.support.plugnmeet import KEY, SECRET, packed, token

KEYS = f"{KEY}:{SECRET}"
OK = b'{"status":"ok"}'


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else packed(body)


def signed(world: World, body: bytes, **options: Any) -> dict[str, str]:
    made = token(body, world.now() / 1000, **options)
    return {"Authorization": made, "Hash-Token": made, "Content-Type": "application/webhook+json"}


async def send(world: World, body: Any, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    data = as_bytes(body)
    return await world.call("POST", PATH, data=data, headers=headers or signed(world, data, **options))


async def taken(world: World, body: Any) -> None:
    answer = await send(world, body)
    assert (answer.status, answer.text) == (200, OK), answer.text


def counted(world: World) -> dict[tuple[str, str], int]:
    return dict(world.edge.webhooks)


def nothing_changed(world: World) -> bool:
    memory = world.memory
    return not (
        world.system.directory.rooms
        or world.system.counters.inputs
        or memory.batches
        or memory.webhooks.kept
        or memory.webhooks.breakouts
        or world.jobs.recordings
        or world.jobs.artifacts
    )
