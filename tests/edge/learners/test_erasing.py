"""Who is erased is nowhere: no table, no snapshot, no journal, no message; and what is said of the others is right."""

import json
import re
from typing import Any

import msgspec
import pytest
import zstandard

from actors.machines.events import Interacted
from server.learners.requests import until_done
from tests.edge.learners.conftest import World

GONE = "learner-zq7"
STAYS = "learner-keep"

COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type
  FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
 WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
   AND c.data_type IN ('text', 'json', 'jsonb', 'bytea', 'ARRAY', 'character varying')
"""


def unpacked(value: bytes) -> bytes:
    """A body and whatever it is when it is unpacked."""
    found = value
    for start in (0, 1):
        try:
            found += zstandard.ZstdDecompressor().decompress(value[start:], max_output_size=10_000_000)
        except zstandard.ZstdError:
            continue
    return found


async def places(world: World, user_id: str) -> dict[str, int]:
    """Every column of every table that says the id, and how often."""
    found: dict[str, int] = {}
    for table, column, kind in [tuple(row) for row in await world.database.fetch(COLUMNS)]:
        for (value,) in await world.database.fetch(f'SELECT "{column}" FROM "{table}"'):
            data = unpacked(value) if kind == "bytea" and value is not None else str(value).encode()
            if user_id.encode() in data:
                found[f"{table}.{column}"] = found.get(f"{table}.{column}", 0) + 1
    return found


async def a_learners_life(world: World, user: str) -> None:
    """A class that runs, a class that is over, a lesson, an answer, a rating, messages: all that leaves a trace."""
    running = await world.live("running")
    session = await world.attend(running, user, f"Name of {user}")
    world.system.post(running, Interacted(session, "comment", None, b'"hello"'))
    over = await world.live("over")
    await world.attend(over, user)
    await world.call("POST", "/rooms/over/end")
    await world.watch(user, "9")
    await world.checkpoint()
    await world.attend(running, user, seconds=30)
    execute = world.database.execute
    await execute("INSERT INTO ratings VALUES ('over', $1, 5, 'good', now())", user)
    await execute(
        "INSERT INTO quiz_responses (user_id, quiz_id, identification_id, is_correct, answered_at)"
        " VALUES ($1, 'q', 'over', true, now())",
        user,
    )
    await execute("INSERT INTO enrolments (product_id, user_id, updated_at, changed) VALUES ('1', $1, now(), 0)", user)
    raw = json.dumps({"event": "participant_joined", "participant": {"identity": user}})
    await execute(
        "INSERT INTO webhooks (id, event, received_at, why, body) VALUES ($1, 'e', now(), 'unknown', $2)",
        *(f"w {hash(user)}", raw.encode()),
    )
    event = msgspec.msgpack.encode([25, user, "learner", None])
    await execute("INSERT INTO quarantine (kind, key, at, reason, event) VALUES (0, 'r', now(), 'x', $1)", event)
    body = json.dumps({"data": {"payload": {"auth_user_id": user}}}).encode()
    await execute(
        "INSERT INTO outbox (room_id, event_name, exchange, routing_key, body)"
        " VALUES ('over', 'n', 'activity', 'k', $1)",
        body,
    )


async def test_nothing_is_left_in_any_column_of_any_table(world: World):
    await a_learners_life(world, GONE)
    await a_learners_life(world, STAYS)
    before = await places(world, GONE)
    assert {"attendance.user_id", "study_logs.user_id", "journal.body", "actors.body", "webhooks.body"} <= before.keys()

    status, text, _ = await world.call("DELETE", f"/users/{GONE}")

    assert status == 200, text
    assert json.loads(text)["erased"]["attendance"] == 2
    assert await places(world, GONE) == {}
    assert await places(world, STAYS) != {}


async def test_a_server_that_goes_on_does_not_write_them_back(world: World):
    await a_learners_life(world, GONE)
    await a_learners_life(world, STAYS)
    await world.call("DELETE", f"/users/{GONE}")

    actor = await world.system.room("running", create=False)
    assert actor is not None
    await world.attend(actor, STAYS, seconds=30)
    world.skip(120)
    await world.checkpoint()

    assert await places(world, GONE) == {}


async def test_figures_of_the_class_and_of_the_lesson_are_those_of_who_is_left(world: World):
    await a_learners_life(world, GONE)
    await a_learners_life(world, STAYS)
    assert await world.value("SELECT attended FROM rooms WHERE room_id = 'over'") == 2
    views = "SELECT sum(views)::int FROM engagement_totals WHERE content_id = '9'"
    assert await world.value(views) == 2

    await world.call("DELETE", f"/users/{GONE}")

    assert await world.value("SELECT attended FROM rooms WHERE room_id = 'over'") == 1
    assert await world.value(views) == 1
    status, text, _ = await world.call("GET", "/rooms/running/presence")
    assert status == 200
    assert [member["user_id"] for member in json.loads(text)["members"]] == [STAYS]


async def test_an_enrolment_that_is_gone_lets_nobody_in_any_more(world: World):
    catalog, insert = world.server.catalog, "INSERT INTO enrolments (product_id, user_id, updated_at, changed)"
    await world.database.execute(f"{insert} VALUES ('1', $1, now(), 0), ('1', $2, now(), 0)", GONE, STAYS)
    assert await catalog.enrolled(GONE, "1", world.now())

    await world.call("DELETE", f"/users/{GONE}")

    assert not await catalog.enrolled(GONE, "1", world.now())
    assert await catalog.enrolled(STAYS, "1", world.now())
    await world.call("DELETE", f"/users/{STAYS}")
    assert await catalog.enrolled(GONE, "1", world.now()), "nobody is enrolled in it any more: it is open to all"


async def test_erasing_again_and_erasing_nobody_finds_nothing(world: World):
    await a_learners_life(world, GONE)
    await world.call("DELETE", f"/users/{GONE}")

    for user in (GONE, "never-seen"):
        status, text, _ = await world.call("DELETE", f"/users/{user}")
        assert (status, json.loads(text)) == (200, {"user_id": user, "erased": {}})


async def test_only_an_admin_erases(world: World):
    for role in ("learner", "staff"):
        status, _, _ = await world.call("DELETE", f"/users/{GONE}", user=GONE, role=role)
        assert status == 403


async def test_who_comes_back_as_often_as_they_are_looked_for_is_not_half_erased(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.learners.erasing.ROUNDS", 0)
    await a_learners_life(world, GONE)
    before = await places(world, GONE)

    status, text, _ = await world.call("DELETE", f"/users/{GONE}")

    assert (status, json.loads(text)["error"]) == (503, "STORAGE_UNAVAILABLE")
    assert (await places(world, GONE)).keys() >= before.keys() - {"journal.body"}


async def test_an_id_that_is_part_of_another_erases_only_its_own(world: World):
    running = await world.live("running")
    for user in ("1", "11", "1-native-speaker"):
        await world.attend(running, user, seconds=20)
    await world.checkpoint()

    await world.call("DELETE", "/users/1")
    await world.checkpoint()

    left = {row[0] for row in await world.database.fetch("SELECT user_id FROM attendance")}
    assert left == {"11", "1-native-speaker"}
    assert set(running.room.state.members) == {"11", "1-native-speaker"}


async def test_everything_that_is_known_is_given_out(world: World):
    await a_learners_life(world, GONE)
    await world.checkpoint()

    held = [each async for each in world.learners.rows(GONE)]

    tables = {each.table for each in held}
    assert {"attendance", "presence_intervals", "study_logs", "watch_sessions", "interactions", "ratings"} <= tables
    assert {"quiz_responses", "enrolments", "actors", "outbox", "webhooks", "quarantine"} <= tables
    # Every column with the id, but for the journal, which a checkpoint empties.
    named = {re.sub(r"\..*", "", place) for place in await places(world, GONE)} - {"journal"}
    assert named <= tables
    assert all(isinstance(json.loads(bytes(each.content)), dict) for each in held)


async def test_a_command_asks_the_server_that_runs(world: World):
    await a_learners_life(world, GONE)
    asked: list[Any] = []

    async def served() -> None:
        while not asked:
            asked.extend([1] * await world.server.upkeep.requests.serve())

    import asyncio

    async with asyncio.timeout(20):
        await asyncio.gather(until_done(world.learners, GONE, "erase", 20), served())

    assert await places(world, GONE) == {}
