"""`GET /api/v1/rooms/{id}/participants/{user_id}`: one person in one class, whatever told of them."""

from __future__ import annotations

import pytest

from actors.machines.events import Analysed, UserFigures
from storage.memory import Memory
from tests.edge.http.conftest import Maker, World
from tests.edge.http.webhook_door import KEYS, taken
from tests.support.plugnmeet import sample, samples

PATH = "/api/v1/rooms/room01/participants/"


@pytest.fixture
async def hooked(make_world: Maker) -> World:
    return await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS)


async def test_the_samples_make_one_participant(hooked: World):
    for path in samples():
        await taken(hooked, path.read_bytes())

    answer = (await hooked.call("GET", PATH + "1001", user="1001")).json

    assert answer == {
        "user_id": "1001",
        "name": "Alice Rahman",
        "role": "participant",
        "intervals": [
            {
                "joined_at": "2025-10-09T09:00:30.412Z",
                "left_at": "2025-10-09T09:11:40.000Z",
                "source": "plugnmeet",
                "device_id": "",
                "disconnect_reason": "DUPLICATE_IDENTITY",
            }
        ],
        "presence_seconds": 670,
        "late": False,
        "camera_seconds": 540,
        "microphone_seconds": 645,
        "screen_seconds": 0,
        "talk_seconds": 0,
        "hand_raises": 0,
        "polls_answered": 0,
        "disconnect_reasons": {"DUPLICATE_IDENTITY": 1},
        "telephone": False,
    }


async def test_socket_http_and_conference_are_one_presence_and_each_is_shown(hooked: World):
    now = hooked.now()
    joined = {"participant__joined_at_ms": str(now - 60_000), "created_at": str((now - 60_000) // 1000)}
    await taken(hooked, sample("03", **joined, participant__identity="27"))
    samples_ = [{"seq": n, "at": now - 30_000 + 10_000 * n, "position": 10 * n, "state": "playing"} for n in (1, 2, 3)]
    await hooked.beat("27", {"room": "room01", "device_id": "phone", "samples": samples_})

    here = (await hooked.call("GET", "/api/v1/rooms/room01/presence", staff=True)).json
    answer = (await hooked.call("GET", PATH + "27", staff=True)).json

    assert here["count"] == 1
    assert here["members"][0]["sources"] == ["http", "plugnmeet"]
    assert sorted(each["source"] for each in answer["intervals"]) == ["http", "plugnmeet"]
    assert answer["intervals"][0]["left_at"] is None
    assert 59 <= answer["presence_seconds"] <= 62


async def test_what_a_checkpoint_wrote_and_a_new_life_read_again_is_the_same(make_world: Maker):
    memory = Memory()
    world = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)
    for path in samples():
        await taken(world, path.read_bytes())
    before = (await world.call("GET", PATH + "1001", staff=True)).json
    await world.checkpoint()
    await world.system.drain(5)

    again = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)

    assert (await again.call("GET", PATH + "1001", staff=True)).json == before


async def test_a_caller_by_telephone_is_present_and_flagged(hooked: World):
    now = hooked.now()
    told = {"participant__joined_at_ms": str(now - 5_000), "created_at": str(now // 1000)}
    await taken(hooked, sample("03", **told, participant__identity="sip_880171"))

    [member] = (await hooked.call("GET", "/api/v1/rooms/room01/presence", staff=True)).json["members"]

    assert (member["user_id"], member["telephone"]) == ("sip_880171", True)
    assert (await hooked.call("GET", PATH + "sip_880171", staff=True)).json["telephone"] is True


async def test_analytics_fill_talk_hands_and_polls_once(hooked: World):
    for path in samples():
        await taken(hooked, path.read_bytes())
    actor = await hooked.system.room("room01", create=False)
    assert actor is not None
    figures = Analysed("a1", [UserFigures("1001", None, 61_500, 2, 3), UserFigures("99", None, 5, 0, 0)])
    for _ in range(2):
        hooked.system.post(actor, figures)

    answer = (await hooked.call("GET", PATH + "1001", staff=True)).json

    assert (answer["talk_seconds"], answer["hand_raises"], answer["polls_answered"]) == (61, 2, 3)
    assert answer["presence_seconds"] == 670
    other = (await hooked.call("GET", PATH + "99", staff=True)).json
    assert (other["presence_seconds"], other["intervals"]) == (0, [])


async def test_learners_read_themselves_and_staff_everybody(hooked: World):
    await taken(hooked, sample("02"))
    await taken(hooked, sample("03"))

    (await hooked.call("GET", PATH + "1001", user="1002")).refusal(403, "FORBIDDEN")
    (await hooked.call("GET", PATH + "1001")).refusal(401, "UNAUTHENTICATED")
    assert (await hooked.call("GET", PATH + "1001", user="1001")).status == 200
    assert (await hooked.call("GET", PATH + "1001", staff=True)).status == 200


async def test_who_never_came_and_rooms_that_never_were_are_not_found(hooked: World):
    await taken(hooked, sample("02"))

    assert "never in the room" in (await hooked.call("GET", PATH + "1002", staff=True)).refusal(404, "NOT_FOUND")
    nowhere = "/api/v1/rooms/nowhere/participants/1"
    assert "no such room" in (await hooked.call("GET", nowhere, staff=True)).refusal(404, "NOT_FOUND")
