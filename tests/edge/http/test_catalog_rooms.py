"""What the catalog means to rooms and players."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from actors.machines.events import Cancelled
from actors.ports import ROOM
from tests.edge.http.catalog_door import UPDATED, bulk, lesson, live_class, make_key, put
from tests.edge.http.conftest import Answer, World
from tests.edge.http.test_heartbeats import sample


@pytest.fixture
async def keyed(world: World) -> World:
    await make_key(world)
    return world


# -- rooms ------------------------------------------------------------------------------------------------------------


async def room(world: World, room_id: str = "r1") -> dict[str, Any]:
    answer: dict[str, Any] = (await world.call("GET", f"/api/v1/rooms/{room_id}", staff=True)).json
    return answer


async def test_the_room_of_a_class_knows_it_when_the_answer_comes(keyed: World):
    body = live_class(keyed)
    assert (await put(keyed, "live-classes/r1", body)).status == 201

    found = await room(keyed)
    assert (found["name"], found["state"]) == ("Algebra", "scheduled")
    assert found["scheduled_start"] == body["start_at"]
    assert keyed.system.directory.rooms["r1"].room.state.product_id == "15"
    assert not keyed.system.committer.backlog


async def test_a_room_known_from_events_alone_is_filled_in(keyed: World):
    assert (await keyed.beat("u1", {"room": "r1", "samples": [sample(1, keyed.now(), 0)]})).status == 200
    assert (await room(keyed))["name"] is None

    await put(keyed, "live-classes/r1", live_class(keyed))

    found = await room(keyed)
    assert (found["name"], found["state"], found["count"]) == ("Algebra", "live", 1)


async def test_a_class_is_cancelled_and_is_to_be_again(keyed: World):
    await put(keyed, "live-classes/r1", live_class(keyed, status="cancelled"))
    assert (await room(keyed))["state"] == "cancelled"

    await put(keyed, "live-classes/r1", live_class(keyed, updated_at="2024-02-08T00:00:00Z"))
    assert (await room(keyed))["state"] == "scheduled"


async def test_a_class_that_others_cancelled_stays_so_whatever_else_its_owner_changes(keyed: World):
    await put(keyed, "live-classes/r1", live_class(keyed))
    keyed.system.post(keyed.system.directory.rooms["r1"], Cancelled(keyed.now()))

    await put(keyed, "live-classes/r1", live_class(keyed, name="Geometry", updated_at="2024-02-08T00:00:00Z"))

    found = await room(keyed)
    assert (found["name"], found["state"]) == ("Geometry", "cancelled")


async def test_a_class_that_is_told_again_as_it_is_makes_no_mail(keyed: World):
    body = live_class(keyed)
    await put(keyed, "live-classes/r1", body)
    before = keyed.system.counters.journaled

    await put(keyed, "live-classes/r1", body | {"subject": "Physics", "updated_at": "2024-02-08T00:00:00Z"})
    await bulk(keyed, {"entity": "live_class", "id": "r1"} | body)

    assert keyed.system.counters.journaled == before


async def test_a_bulk_tells_more_rooms_than_are_told_together(keyed: World):
    lines = [{"entity": "live_class", "id": number} | live_class(keyed) for number in range(1_100)]

    assert (await bulk(keyed, *lines)).json == {"accepted": 1_100}

    assert len(keyed.system.directory.rooms) == 1_100
    assert await keyed.catalog_store.untold(None, 10) == []


async def test_classes_told_at_once_all_reach_their_rooms(keyed: World):
    answers = await asyncio.gather(
        *(put(keyed, f"live-classes/r{number}", live_class(keyed, name=f"n{number}")) for number in range(40)),
        *(
            put(keyed, "live-classes/one", live_class(keyed, name=f"n{n}", updated_at=f"2024-02-07T00:00:{n}Z"))
            for n in range(10, 40)
        ),
    )

    assert {answer.status for answer in answers} <= {200, 201}
    assert [(await room(keyed, f"r{number}"))["name"] for number in range(40)] == [f"n{n}" for n in range(40)]
    assert (await room(keyed, "one"))["name"] == "n39"
    assert await keyed.catalog_store.untold(None, 10) == []


async def test_what_was_left_untold_is_told_later(keyed: World):
    await put(keyed, "products/1", {"name": "x", "updated_at": UPDATED})
    keyed.faults.lose_answers = True
    (await put(keyed, "live-classes/r1", live_class(keyed))).refusal(503, "STORAGE_UNAVAILABLE")
    keyed.faults.lose_answers = False
    assert keyed.system.directory.find(ROOM, "r1") is None

    assert await keyed.services.catalog_writer.sweep() == 1

    assert (await room(keyed))["name"] == "Algebra"
    assert await keyed.services.catalog_writer.sweep() == 0


# -- enrolments -------------------------------------------------------------------------------------------------------


async def beat(world: World, user: str, target: dict[str, Any], seq: int = 1) -> Answer:
    return await world.beat(user, target | {"samples": [sample(seq, world.now(), 0)]})


ROOM_R1 = {"room": "r1"}
LESSON_7 = {"content": {"kind": "lesson", "id": 7}}


@pytest.mark.parametrize("target", [ROOM_R1, LESSON_7])
async def test_a_product_without_enrolments_is_open_and_one_with_them_is_not(keyed: World, target: dict[str, Any]):
    await put(keyed, "live-classes/r1", live_class(keyed))
    await put(keyed, "contents/lesson/7", lesson())
    assert (await beat(keyed, "stranger", target)).status == 200

    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED})

    (await beat(keyed, "stranger", target)).refusal(403, "FORBIDDEN")
    assert (await beat(keyed, "27", target)).status == 200
    body = target | {"sent_at": keyed.now(), "samples": [sample(1, keyed.now(), 0)]}
    assert (await keyed.call("POST", "/api/v1/heartbeats", body, staff=True)).status == 200


@pytest.mark.parametrize("target", [ROOM_R1, LESSON_7])
async def test_an_enrolment_that_ended_opens_nothing_and_the_product_stays_closed(keyed: World, target: dict[str, Any]):
    await put(keyed, "live-classes/r1", live_class(keyed))
    await put(keyed, "contents/lesson/7", lesson())
    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED})
    assert (await beat(keyed, "27", target)).status == 200

    await put(keyed, "enrolments/15/27", method="DELETE")

    (await beat(keyed, "27", target, 2)).refusal(403, "FORBIDDEN")


async def test_an_enrolment_holds_from_its_beginning(keyed: World):
    await put(keyed, "live-classes/r1", live_class(keyed))
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(keyed.now() / 1000 + 600))
    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED, "enrolled_at": ahead})

    (await beat(keyed, "27", ROOM_R1)).refusal(403, "FORBIDDEN")
    keyed.skip(601)
    assert (await beat(keyed, "27", ROOM_R1)).status == 200


@pytest.mark.parametrize("path", ["", "/presence"])
async def test_who_may_not_join_a_room_does_not_see_it(keyed: World, path: str):
    await put(keyed, "live-classes/r1", live_class(keyed))
    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED})

    (await keyed.call("GET", f"/api/v1/rooms/r1{path}", user="stranger")).refusal(403, "FORBIDDEN")
    assert (await keyed.call("GET", f"/api/v1/rooms/r1{path}", user="27")).status == 200
    assert (await keyed.call("GET", f"/api/v1/rooms/r1{path}", staff=True)).status == 200


async def test_enrolments_that_cannot_be_read_are_waited_for(keyed: World):
    await put(keyed, "live-classes/r1", live_class(keyed))
    keyed.faults.away = True

    (await beat(keyed, "27", ROOM_R1)).refusal(503, "STORAGE_UNAVAILABLE")
