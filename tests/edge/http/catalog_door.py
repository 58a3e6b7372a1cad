"""The owner of a catalog at the door of a whole server."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from storage.keys import WriteKey, digest_of
from tests.edge.http.conftest import Answer, World

BASE = "/api/v1/catalog"
KEY = "a key of the tests"
UPDATED = "2024-02-07T00:00:00Z"
DAY_MS = 86_400_000


async def make_key(world: World, secret: str = KEY, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "rights": ["catalog"],
        "created_at": 0,
        "expires_at": None,
        "revoked_at": None,
        "sample_rate": 1.0,
    }
    await world.write_keys.create(WriteKey(name=secret, digest=digest_of(secret), **(fields | changes)))


async def put(world: World, path: str, body: Any = None, key: str | None = KEY, **more: Any) -> Answer:
    headers = {} if key is None else {"X-Write-Key": key}
    method = more.pop("method", "PUT")
    return await world.call(method, f"{BASE}/{path}", body, headers=headers | more.pop("headers", {}), **more)


async def bulk(world: World, *lines: Any, **more: Any) -> Answer:
    data = b"\n".join(line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
    return await put(world, "bulk", data=data, method="POST", **more)


def live_class(world: World, **changes: Any) -> dict[str, Any]:
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(world.now() / 1000))
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(world.now() / 1000 + 3600))
    return {
        "name": "Algebra",
        "catalog_product_id": 15,
        "subject": "Maths",
        "start_at": f"{begin}.250Z",
        "end_at": f"{end}+00:00",
        "status": "scheduled",
        "updated_at": UPDATED,
    } | changes


def lesson(**changes: Any) -> dict[str, Any]:
    return {
        "title": "Lesson 7",
        "catalog_product_id": "15",
        "has_video": True,
        "published": True,
        "duration_seconds": 600.5,
        "sequential": False,
        "requires": [{"kind": "lesson", "id": 6}],
        "updated_at": UPDATED,
    } | changes
