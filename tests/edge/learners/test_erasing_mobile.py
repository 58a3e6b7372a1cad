"""What phones brought of a learner is given out and erased with them, and so is what a label says is theirs."""

from __future__ import annotations

import json

from storage.mobile import Allowed, AppSession, Brought, Change, PostgresMobile, Stored, Target
from tests.edge.learners.conftest import World
from tests.edge.learners.test_erasing import GONE, STAYS, places

NAME = 94


async def app(world: World, session_id: int, user_id: str | None, label: str | None) -> None:
    """An app session with a click, and a 94 where it has a label."""
    store = PostgresMobile(world.server.database)
    now = world.now()
    session = AppSession(session_id, "app", "phone", user_id, Allowed(), None, now, now, 0, Target())
    assert await store.start(session, now, b"{}")
    said = [(NAME, label.encode())] if label else []
    rows = [
        Stored(session_id, now, kind, bytes([kind]) * 16, now, body, undecodable=False, user_id=user_id)
        for kind, body in [(100, (user_id or "nobody").encode()), *said]
    ]
    watching = [(session_id, f"watch-{session_id}", user_id)] if user_id else []
    await store.write([Brought(now, [], rows, [Change(session_id, now, now, label)], watching)])


async def told(world: World) -> None:
    await app(world, 1, GONE, GONE)
    await app(world, 2, None, GONE)
    await app(world, 3, STAYS, GONE)
    await app(world, 4, STAYS, STAYS)
    await app(world, 5, None, None)


async def test_nothing_of_a_learners_phone_is_left_and_everybody_elses_stays(world: World):
    await told(world)
    await world.call("DELETE", f"/users/{GONE}")
    assert await places(world, GONE) == {}
    found = await world.database.fetch("SELECT session_id, user_label FROM mobile_sessions ORDER BY 1")
    assert [tuple(row) for row in found] == [(3, None), (4, STAYS), (5, None)]
    kept = await world.database.fetch("SELECT session_id, type FROM mobile_messages ORDER BY 1, 2")
    assert [tuple(row) for row in kept] == [(3, 100), (4, NAME), (4, 100), (5, 100)]


async def test_all_of_it_is_given_out(world: World):
    await told(world)
    held = [each async for each in world.learners.rows(GONE)]
    found = sorted((each.table, json.loads(bytes(each.content))["session_id"]) for each in held)
    assert found == [
        ("mobile_messages", 1),
        ("mobile_messages", 1),
        ("mobile_messages", 2),
        ("mobile_messages", 2),
        ("mobile_messages", 3),
        ("mobile_sessions", 1),
        ("mobile_sessions", 2),
        ("mobile_sessions", 3),
        ("mobile_watch_sessions", 1),
    ]
