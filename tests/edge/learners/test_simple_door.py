"""The simple video heartbeat over a real database: what is stored is found again, and who is erased begins anew."""

import json
from typing import Any

from tests.edge.learners.conftest import World


async def tells(world: World, position: float, **more: Any) -> dict[str, Any]:
    body = {"content_kind": "lms_lesson", "content_id": 9, "position_seconds": position, "duration_seconds": 100} | more
    path = "/videos/engagement/heartbeat"
    status, text, _ = await world.call("POST", path, user="27", role="learner", body=body)
    assert status == 200, text
    data: dict[str, Any] = json.loads(text)["data"]
    return data


async def test_earlier_sessions_are_found_in_the_database(world: World):
    await tells(world, 0)
    world.skip(30)
    await tells(world, 30, ended=True)
    await world.checkpoint()
    assert not list(world.system.directory)
    await tells(world, 20)
    world.skip(20)
    data = await tells(world, 40)

    assert (data["completion_percent"], data["replayed_seconds"]) == (40.0, 10.0)
    assert await world.value("SELECT count(*) FROM watch_sessions WHERE door = 'simple'") == 1


async def test_who_is_erased_begins_anew(world: World):
    first = await tells(world, 0)
    world.skip(30)
    await tells(world, 30)
    status, text, _ = await world.call("DELETE", "/users/27")
    assert status == 200, text
    data = await tells(world, 30)

    assert data["session_id"] != first["session_id"]
    assert data["completion_percent"] == 0.0
