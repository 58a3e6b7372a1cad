"""`/api/v1/rooms`: the time-table, start and end, who is here, and how many were."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.machines.events import Dropped, Joined
from actors.ports import ROOM


def sample(seq: int, at: int, position: float, state: str = "playing", **more: Any) -> dict[str, Any]:
    return {"seq": seq, "at": at, "position": position, "state": state} | more


def rfc3339(unix_ms: int) -> str:
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def join(world, room_id: str, user: str, *, name: str | None = None, role: str = "learner") -> str:
    """A learner's stream, as the other edge would open it."""
    actor = await world.system.room(room_id, create=True)
    session_id = world.system.new_session_id(actor.partition)
    world.system.post(actor, Joined(user, role, name, session_id, None, f"{user}-device", None, 10_000))
    await asyncio.sleep(0)
    await world.settled()
    return session_id


# -- life -------------------------------------------------------------------------------------------------------------


async def test_a_room_from_its_time_table_to_its_end(world):
    now = world.now()
    table = {
        "name": "Algebra",
        "scheduled_start": rfc3339(now - 60_000),
        "scheduled_end": rfc3339(now + 3_600_000),
        "product_id": 15,
    }
    put = await world.call("PUT", "/api/v1/rooms/r1", table, staff=True)
    assert put.status == 200
    assert put.json == {
        "id": "r1",
        "state": "scheduled",
        "started_at": None,
        "ended_at": None,
        "name": "Algebra",
        "scheduled_start": table["scheduled_start"],
        "scheduled_end": table["scheduled_end"],
        "product_id": "15",
        "count": 0,
        "peak": 0,
        "attended": 0,
        "recording": False,
        "streaming": False,
        "recording_failure": None,
    }

    started = await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    assert (started.json["state"], started.json["ended_at"]) == ("live", None)
    await join(world, "r1", "u1")
    during = await world.call("GET", "/api/v1/rooms/r1", user="u1")
    assert (during.json["count"], during.json["peak"]) == (1, 1)

    ended = await world.call("POST", "/api/v1/rooms/r1/end", staff=True)
    again = await world.call("POST", "/api/v1/rooms/r1/end", staff=True)
    assert (ended.json["state"], ended.json["count"], ended.json["peak"]) == ("ended", 0, 1)
    assert again.json == ended.json


async def test_a_room_keeps_its_product_unless_it_is_told_of_another_or_of_none(world):
    said = [{"product_id": 15}, {"name": "Algebra"}, {"product_id": 16}, {"product_id": None}, {}]
    answers = [await world.call("PUT", "/api/v1/rooms/r1", each, staff=True) for each in said]

    assert [answer.json["product_id"] for answer in answers] == ["15", "15", "16", None, None]


async def test_a_room_out_of_memory_reads_the_same_and_stays_out(world):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "Algebra"}, staff=True)
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    await join(world, "r1", "u1")
    await world.call("POST", "/api/v1/rooms/r1/end", staff=True)
    paths = ["/api/v1/rooms/r1", "/api/v1/rooms/r1/presence", "/api/v1/rooms/r1/timeline"]
    paths += ["/api/v1/rooms", "/api/v1/liveclass/details?live_class_id=r1&user_id=u1"]
    before = [await world.call("GET", path, staff=True) for path in paths]
    await world.checkpoint()
    world.system.directory.drop(world.system.directory.rooms["r1"])
    after = [await world.call("GET", path, staff=True) for path in paths]

    assert [answer.json for answer in after] == [answer.json for answer in before]
    assert not world.system.directory.rooms


async def test_an_unknown_room_is_not_found_and_putting_makes_it(make_world):
    world = await make_world(ROLLCALL_UNKNOWN="refuse")
    for method, path in [("GET", ""), ("GET", "/presence"), ("GET", "/timeline"), ("POST", "/start"), ("POST", "/end")]:
        (await world.call(method, f"/api/v1/rooms/r1{path}", staff=True)).refusal(404, "NOT_FOUND")
    assert (await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)).status == 200
    assert (await world.call("POST", "/api/v1/rooms/r1/start", staff=True)).status == 200


async def test_unknown_rooms_may_be_accepted(world):
    assert (await world.call("POST", "/api/v1/rooms/r1/start", staff=True)).json["state"] == "live"


async def test_an_ended_class_starts_again_only_within_its_time(world):
    now = world.now()
    table = {"scheduled_start": rfc3339(now - 7_200_000), "scheduled_end": rfc3339(now - 3_600_000)}
    await world.call("PUT", "/api/v1/rooms/r1", table, staff=True)
    await world.call("POST", "/api/v1/rooms/r1/end", staff=True)
    answer = await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    assert answer.refusal(409, "CONFLICT").startswith("room_ended: ")

    await world.call("PUT", "/api/v1/rooms/r1", {"name": "longer"}, staff=True)
    assert (await world.call("POST", "/api/v1/rooms/r1/start", staff=True)).json["state"] == "live"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"scheduled_start": "2024-02-07T10:00:00"}, "$.scheduled_start"),
        ({"scheduled_end": "tomorrow"}, "$.scheduled_end"),
        ({"scheduled_start": "2024-02-07T10:00:00Z", "scheduled_end": "2024-02-07T10:00:00Z"}, "$.scheduled_end"),
        ({"scheduled_start": "2024-02-07T10:00:00+06:00", "scheduled_end": "2024-02-07T03:59:59Z"}, "$.scheduled_end"),
        ({"scheduled_start": "0001-01-01T00:00:00+14:00"}, "$.scheduled_start"),
        ({"scheduled_end": "9999-12-31T23:59:59-14:00"}, "$.scheduled_end"),
        ({"name": "x" * 257}, "$.name"),
        ({"name": "a\0b"}, "$.name"),
        ({"name": 5}, "$.name"),
        ({"product_id": True}, "$.product_id"),
        ({"product_id": -1}, "$.product_id"),
        ([], "$"),
    ],
)
async def test_a_wrong_time_table_is_refused_by_field(world, body, named):
    answer = await world.call("PUT", "/api/v1/rooms/r1", body, staff=True)

    assert f"`{named}`" in answer.refusal(400, "VALIDATION_FAILED")
    assert not world.system.directory.rooms


async def test_times_with_a_zone_are_told_in_utc(world):
    body = {"scheduled_start": "2024-02-07T10:00:00.123456+06:00"}
    answer = await world.call("PUT", "/api/v1/rooms/r1", body, staff=True)

    assert answer.json["scheduled_start"] == "2024-02-07T04:00:00.123Z"


@pytest.mark.parametrize("room_id", ["a/b", "a b", "ক্লাস", "100%", "a?b#c", "{x}", "..x", "%2F"])
async def test_any_id_can_stand_in_a_path(world, room_id):
    from urllib.parse import quote

    from yarl import URL

    path = f"/api/v1/rooms/{quote(room_id, safe='')}"
    token = world.token("t", "staff")
    async with world.http.put(
        URL(world.url + path, encoded=True), data=b"{}", headers={"Authorization": f"Bearer {token}"}
    ) as response:
        assert (await response.json())["id"] == room_id
    assert room_id in world.system.directory.rooms


@pytest.mark.parametrize("room_id", ["x" * 129, "a%00b"])
async def test_no_id_is_made_of_what_cannot_be_one(world, room_id):
    from yarl import URL

    token = world.token("t", "staff")
    url = URL(f"{world.url}/api/v1/rooms/{room_id}", encoded=True)
    async with world.http.put(url, data=b"{}", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 400
        assert "`$.id`" in (await response.json())["message"]


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/rooms"),
        ("GET", "/api/v1/rooms/r1/timeline"),
        ("PUT", "/api/v1/rooms/r1"),
        ("POST", "/api/v1/rooms/r1/start"),
        ("POST", "/api/v1/rooms/r1/end"),
    ],
)
async def test_what_is_for_staff_is_not_for_learners(world, method, path):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)
    (await world.call(method, path, {}, user="u1")).refusal(403, "FORBIDDEN")
    (await world.call(method, path, {})).refusal(401, "UNAUTHENTICATED")
    assert (await world.call("GET", "/api/v1/rooms/r1", staff=True)).json["state"] == "scheduled"


async def test_learners_read_the_rooms_that_they_may_join(world):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)
    token = world.token("u1", rooms=["r2"])
    for path in ("", "/presence"):
        assert (await world.call("GET", f"/api/v1/rooms/r1{path}", user="u1")).status == 200
        answer = await world.call("GET", f"/api/v1/rooms/r1{path}", headers={"Authorization": f"Bearer {token}"})
        answer.refusal(403, "FORBIDDEN")


# -- who is here ------------------------------------------------------------------------------------------------------


async def test_presence_tells_by_what_everybody_is_held(world):
    now = world.now()
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    await join(world, "r1", "u1", name="Ada")
    await world.beat("u1", {"room": "r1", "device_id": "phone", "samples": [sample(1, now, 0)]})
    await join(world, "r1", "t1", role="staff")
    answer = (await world.call("GET", "/api/v1/rooms/r1/presence", user="u2")).json

    assert answer["count"] == 2
    assert answer["next"] is None
    teacher, ada = answer["members"]
    assert (teacher["user_id"], teacher["role"], teacher["name"]) == ("t1", "staff", None)
    joined_at = datetime.fromisoformat(ada.pop("joined_at")).timestamp() * 1000
    assert now - 1_000 <= joined_at <= world.now()
    assert ada == {
        "user_id": "u1",
        "name": "Ada",
        "role": "learner",
        "sources": ["http", "websocket"],
        "devices": ["phone", "u1-device"],
        "late": False,
        "telephone": False,
    }


async def test_pages_of_presence_hold_everybody_once(world):
    users = [f"u{number:03}" for number in range(250)]
    for user in users:
        await join(world, "r1", user)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {} if cursor is None else {"cursor": cursor}
        page = (await world.call("GET", "/api/v1/rooms/r1/presence", staff=True, **query)).json
        assert page["count"] == 250
        assert len(page["members"]) <= 100
        seen += [member["user_id"] for member in page["members"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert seen == users


async def test_a_crowded_room_is_listed_to_staff_only(make_world):
    world = await make_world(ROLLCALL_PRESENCE_LIST_LIMIT="2")
    for user in ("u1", "u2"):
        await join(world, "r1", user)
    assert (await world.call("GET", "/api/v1/rooms/r1/presence", user="u1")).json["count"] == 2
    await join(world, "r1", "u3")
    (await world.call("GET", "/api/v1/rooms/r1/presence", user="u1")).refusal(403, "FORBIDDEN")
    assert len((await world.call("GET", "/api/v1/rooms/r1/presence", staff=True)).json["members"]) == 3


async def test_a_bad_cursor_is_named(world):
    answer = await world.call("GET", "/api/v1/rooms/r1/presence", staff=True, cursor="x" * 5_000)

    assert "`$.cursor`" in answer.refusal(400, "VALIDATION_FAILED")


# -- all rooms --------------------------------------------------------------------------------------------------------


async def test_rooms_are_paged_by_id_with_memory_over_store(world):
    names = [f"r{number:03}" for number in range(230)]
    for name in names:
        await world.call("PUT", f"/api/v1/rooms/{name}", {"name": name}, staff=True)
    await world.checkpoint()
    for name in names[::2]:
        world.system.directory.drop(world.system.directory.rooms[name])
    await world.call("POST", "/api/v1/rooms/r001/start", staff=True)
    await world.call("PUT", "/api/v1/rooms/r0005", {"name": "in between, not written yet"}, staff=True)

    assert await all_rooms(world) == sorted([*names, "r0005"])
    assert await all_rooms(world, state="live") == ["r001"]
    assert await all_rooms(world, state="scheduled") == sorted({*names, "r0005"} - {"r001"})
    assert await all_rooms(world, state="cancelled") == []


async def test_a_page_of_outdated_rows_hides_no_room_behind_it(world):
    names = [f"r{number:03}" for number in range(120)]
    for name in names:
        await world.call("POST", f"/api/v1/rooms/{name}/start", staff=True)
    await world.checkpoint()
    outdated = dict(world.memory.rows.rooms)
    for name in names[:110]:
        await world.call("POST", f"/api/v1/rooms/{name}/end", staff=True)
    await world.checkpoint()
    world.memory.rows.rooms.update(outdated)
    for name in names[110:115]:
        world.system.directory.drop(world.system.directory.rooms[name])

    assert await all_rooms(world, state="live") == names[110:]


async def all_rooms(world, **query: str) -> list[str]:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = (await world.call("GET", "/api/v1/rooms", staff=True, **query, **more)).json
        assert len(page["rooms"]) <= 100
        assert all(query.get("state") in {None, room["state"]} for room in page["rooms"])
        seen += [room["id"] for room in page["rooms"]]
        cursor = page["next"]
        if cursor is None:
            return seen


@pytest.mark.parametrize("query", [{"state": "open"}, {"state": ""}, {"cursor": "a\0"}])
async def test_a_bad_query_is_named(world, query):
    answer = await world.call("GET", "/api/v1/rooms", staff=True, **query)

    assert f"`$.{next(iter(query))}`" in answer.refusal(400, "VALIDATION_FAILED")


# -- timeline ---------------------------------------------------------------------------------------------------------


async def test_the_timeline_counts_who_is_there(world):
    before = world.now()
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    await join(world, "r1", "u1")
    session_id = await join(world, "r1", "u2")
    world.skip(1.05)
    world.system.post(world.system.directory.find(ROOM, "r1"), Dropped(session_id, world.now()))
    answer = (await world.call("GET", "/api/v1/rooms/r1/timeline", staff=True, step="1")).json

    assert answer["step"] == 1
    first, second = answer["points"][:2]
    assert datetime.fromisoformat(first["at"]).timestamp() == before // 1000
    assert (first["count"], first["peak"]) == (0, 2)
    assert (second["count"], second["peak"]) == (2, 2)


async def test_a_class_that_never_began_has_no_points(world):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)

    assert (await world.call("GET", "/api/v1/rooms/r1/timeline", staff=True)).json == {"step": 60, "points": []}


@pytest.mark.parametrize("step", ["0", "3601", "-1", "1.5", "x", "", "٣"])
async def test_a_bad_step_is_named(world, step):
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    answer = await world.call("GET", "/api/v1/rooms/r1/timeline", staff=True, step=step)

    assert "`$.step`" in answer.refusal(400, "VALIDATION_FAILED")


async def test_a_timeline_too_fine_for_its_length_is_refused(world):
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    world.system.directory.rooms["r1"].room.state.started_at -= 200_000 * 1000
    answer = await world.call("GET", "/api/v1/rooms/r1/timeline", staff=True, step="1")
    coarser = await world.call("GET", "/api/v1/rooms/r1/timeline", staff=True, step="10")

    assert "`$.step`" in answer.refusal(400, "VALIDATION_FAILED")
    assert len(coarser.json["points"]) in {20_000, 20_001}


# -- what is read is durable ------------------------------------------------------------------------------------------


async def test_nothing_is_shown_that_a_power_cut_could_take_back(world, monkeypatch):
    monkeypatch.setattr("server.http.asking.READ_S", 0.05)
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    world.faults.stalled = True
    ending = asyncio.create_task(world.call("POST", "/api/v1/rooms/r1/end", staff=True))
    await world.until(lambda: world.faults.waiting)
    reading = await world.call("GET", "/api/v1/rooms/r1", staff=True)
    world.faults.stalled = False

    reading.refusal(503, "STORAGE_UNAVAILABLE")
    assert (await ending).json["state"] == "ended"
    assert (await world.call("GET", "/api/v1/rooms/r1", staff=True)).json["state"] == "ended"


@pytest.mark.parametrize(
    "path",
    ["/api/v1/rooms", "/api/v1/rooms/r2", "/api/v1/liveclass/details?live_class_id=r2"],
)
async def test_a_store_that_is_away_is_503(world, path):
    world.faults.away = True
    (await world.call("GET", path, staff=True)).refusal(503, "STORAGE_UNAVAILABLE")
    world.faults.away = False


async def test_a_draining_server_takes_no_orders(world):
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    await world.system.drain(1)

    (await world.call("POST", "/api/v1/rooms/r1/end", staff=True)).refusal(503, "STORAGE_UNAVAILABLE")
