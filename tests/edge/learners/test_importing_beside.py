"""History that comes while the server runs: rooms that it has run learn of it, the others are complete at once."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from server.history.reading import read_chunk
from tests.edge.learners.conftest import World


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def stay(room: str, user: str, begin: str, end: str, **more: Any) -> bytes:
    return line(entity="presence", live_class_id=room, user_id=user, joined_at=begin, left_at=end, **more)


async def taken(world: World, *lines: bytes) -> None:
    read = read_chunk(list(lines), 1, world.now())
    assert read.problems == []
    await world.history().write(read.chunk)


PAST = ("2024-02-07T10:00:00Z", "2024-02-07T11:00:00Z")


async def test_a_class_that_was_never_run_is_a_room_like_any_other(world: World):
    await taken(world, stay("old", "u1", *PAST), stay("old", "u2", "2024-02-07T10:30:00Z", PAST[1], name="Rafi"))

    status, text, _ = await world.call("GET", "/rooms/old", role="staff")
    assert status == 200
    room = json.loads(text)
    assert (room["state"], room["attended"]) == ("ended", 2)
    status, text, _ = await world.call("GET", "/rooms/old/participants/u2", role="staff")
    assert (json.loads(text)["presence_seconds"], json.loads(text)["name"]) == (1800, "Rafi")


async def test_a_class_that_the_server_runs_learns_of_it_and_keeps_it(world: World):
    actor = await world.live("c1")
    await world.attend(actor, "u1", seconds=30)
    await world.checkpoint()
    begin = world.now() - 20_000

    def at(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")

    await taken(world, stay("c1", "u9", at(begin), at(begin + 15_000)))
    assert await world.server.upkeep.imported.tell() == 1
    await world.checkpoint()

    assert "u9" in actor.room.state.members
    assert await world.value("SELECT presence_ms FROM attendance WHERE user_id = 'u9'") == 15_000
    assert await world.server.upkeep.imported.tell() == 0


async def test_a_room_that_came_to_life_meanwhile_is_told_when_it_is_looked_at_again(world: World):
    actor = await world.live("young")
    await world.system.committer.settled()
    # In memory alone: the import cannot know of it, and keeps a class of its own.
    await taken(world, stay("young", "u1", *PAST))
    await world.attend(actor, "u2", seconds=20)
    await world.checkpoint()
    assert "u1" not in actor.room.state.members
    assert await world.server.upkeep.imported.tell() == 0

    await world.database.execute("UPDATE imported_rooms SET due_at = now()")
    assert await world.server.upkeep.imported.tell() == 1
    await world.checkpoint()

    assert set(actor.room.state.members) == {"u1", "u2"}


async def test_the_end_of_a_class_that_the_server_runs_is_told_to_it_once(world: World):
    actor = await world.live("c1")
    await world.checkpoint()
    over = {"live_class_id": "c1", "end_at": datetime.fromtimestamp(world.now() / 1000, UTC).isoformat()}
    told = line(event_name="liveclass.end", data={"payload": over})

    await taken(world, told)
    await world.server.upkeep.imported.tell()
    states: list[str] = [actor.room.state.status]

    await world.call("POST", "/rooms/c1/start")
    await taken(world, told)
    await world.server.upkeep.imported.tell()
    states.append(actor.room.state.status)

    assert states == ["ended", "live"]


async def test_a_class_of_the_past_that_is_opened_goes_on_from_its_import(world: World):
    await taken(world, stay("old", "u1", *PAST))
    await world.system.room("old", create=False)
    await asyncio.sleep(0)
    await world.checkpoint()

    await taken(world, stay("old", "u2", *PAST))
    await world.server.upkeep.imported.tell()
    await world.checkpoint()

    assert await world.value("SELECT attended FROM rooms WHERE room_id = 'old'") == 2
    assert await world.value("SELECT count(*) FROM attendance WHERE room_id = 'old' AND presence_ms = 3600000") == 2
