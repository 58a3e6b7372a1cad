"""Repair: what no webhook told is found by asking, over real sockets, and an answer that is none changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.machines.events import Finished, ParticipantJoined, ParticipantLeft, SessionTold
from actors.machines.room import Room
from protocol.plugnmeet_active import Unreadable, decode
from server.metrics import EdgeCounters
from server.plugnmeet.api import PlugNMeetApi
from server.plugnmeet.repair import AT_ONCE, Repair
from storage.memory_rows import MemoryReading
from tests.support.node import Node, until
from tests.support.plugnmeet_api import KEY, SECRET, PlugNMeetStandIn, active_room, not_active, participant

ROOM = "room01"
SID = "sid-1"


class Clinic:
    """A node, the API as a stand-in, and the repair between them; rounds are called by hand."""

    def __init__(self, node: Node, stand_in: PlugNMeetStandIn, api: PlugNMeetApi) -> None:
        self.node = node
        self.stand_in = stand_in
        self.counters = EdgeCounters()
        self.repair = Repair(node.system, api, MemoryReading(node.memory), self.counters, every_s=0.05)
        self.began = node.now - 600_000

    async def class_goes_on(self, room_id: str = ROOM, sid: str = SID, *, joined: tuple[str, ...] = ()) -> None:
        await self.node.happens(room_id, SessionTold(sid, "started", self.began))
        for user in joined:
            await self.node.happens(
                room_id, ParticipantJoined(sid, f"PA_{user}", user, self.began + 1000, self.began + 1000)
            )

    def says(self, *participants: dict[str, Any], room_id: str = ROOM, sid: str = SID, **room: Any) -> None:
        self.stand_in.rooms[room_id] = active_room(room_id, sid, list(participants), **room)

    def here(self, user: str, ago_s: float = 500, sid: str | None = None, **metadata: Any) -> dict[str, Any]:
        return participant(user, sid or f"PA_{user}", round(self.node.now - ago_s * 1000), **metadata)

    async def look(self) -> None:
        """One round, to its end."""
        before = self.counters.repairs.total()
        await self.repair.round(spread_s=0)
        await until(lambda: self.counters.repairs.total() > before)

    async def room(self, room_id: str = ROOM) -> Room:
        return (await self.node.room(room_id)).room

    async def present(self) -> list[str]:
        members = (await self.room()).state.members
        return sorted(user for user, member in members.items() if member.present)


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async with Node() as node, PlugNMeetStandIn() as stand_in:
        api = PlugNMeetApi(stand_in.url, KEY, SECRET)
        yield Clinic(node, stand_in, api)
        await api.aclose()


# -- what is found ---------------------------------------------------------------------------------------------------


async def test_a_join_that_was_lost_is_found_and_begins_when_they_joined(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.says(clinic.here("1"), clinic.here("2", ago_s=300))
    await clinic.look()
    assert await clinic.present() == ["1", "2"]
    stay = (await clinic.room()).state.members["2"].stays["PA_2"]
    assert abs(stay.joined_at - (clinic.node.now - 300_000)) < 5_000
    assert (clinic.counters.repairs["corrected"], clinic.counters.corrections) == (1, 1)


async def test_whoever_joined_seconds_ago_is_left_to_their_webhook(clinic: Clinic):
    await clinic.class_goes_on()
    clinic.says(clinic.here("1", ago_s=9))
    await clinic.look()
    assert await clinic.present() == []
    assert clinic.counters.corrections == 0


async def test_a_left_that_was_lost_ends_presence_where_they_were_seen_last(clinic: Clinic):
    await clinic.class_goes_on(joined=("1", "2"))
    clinic.says(clinic.here("1"), clinic.here("2"))
    await clinic.look()
    seen = clinic.node.now
    clinic.node.pass_time(60)
    clinic.says(clinic.here("1"))
    await clinic.look()
    clinic.node.pass_time(30)
    assert await clinic.present() == ["1"]
    end = (await clinic.room()).state.members["2"].stays["PA_2"].end
    assert end is not None
    assert abs(end - seen) < 5_000
    assert clinic.counters.corrections == 1


async def test_the_webhook_that_comes_after_all_has_the_last_word(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.says()
    await clinic.look()
    left = clinic.began + 200_000
    await clinic.node.happens(ROOM, ParticipantLeft(SID, "PA_1", "1", left, None, "CLIENT_INITIATED"))
    assert (await clinic.room()).state.members["1"].stays["PA_1"].end == left


async def test_bots_and_the_hidden_are_nobody(clinic: Clinic):
    await clinic.class_goes_on()
    hidden = {**clinic.here("observer"), "permission": {"hidden": True}}
    agent = {**clinic.here("somebody"), "kind": "AGENT"}
    gone = {**clinic.here("just-gone"), "state": "DISCONNECTED"}
    clinic.says(clinic.here("RECORDER_BOT"), clinic.here("pnm_agent-1"), clinic.here("ingres_1"), hidden, agent, gone)
    await clinic.look()
    assert (await clinic.room()).state.members == {}


async def test_a_caller_is_flagged_and_an_admin_is_a_moderator(clinic: Clinic):
    await clinic.class_goes_on()
    clinic.says(clinic.here("sip_+880171"), clinic.here("t", is_admin=True))
    await clinic.look()
    members = (await clinic.room()).state.members
    assert members["sip_+880171"].telephone
    assert [members["t"].role, members["sip_+880171"].role] == ["moderator", "participant"]


async def test_made_up_identities_become_their_users_and_keep_what_is_stored(clinic: Clinic):
    await clinic.class_goes_on(joined=("uuid-1",))
    clinic.says(
        clinic.here("uuid-1", sid="PA_uuid-1", ex_user_id="27"),
        metadata=json.dumps({"room_features": {"auto_gen_user_id": True}}),
    )
    await clinic.look()
    members = (await clinic.room()).state.members
    assert list(members) == ["27"]
    assert members["27"].stays["PA_uuid-1"].joined_at == clinic.began + 1000


async def test_where_identities_are_users_another_id_beside_them_means_nothing(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.says(clinic.here("1", ex_user_id="27"))
    await clinic.look()
    assert list((await clinic.room()).state.members) == ["1"]


# -- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["ROOM_NOT_ACTIVE", "ROOM_NOT_FOUND"])
async def test_a_room_that_is_not_active_twice_ended_at_the_first_time(clinic: Clinic, second: str):
    await clinic.class_goes_on(joined=("1",))
    clinic.stand_in.rooms[ROOM] = not_active()
    await clinic.look()
    first = clinic.node.now
    assert (await clinic.room()).state.status == "live"
    clinic.node.pass_time(60)
    clinic.stand_in.rooms[ROOM] = not_active(second)
    await clinic.look()
    state = (await clinic.room()).state
    assert state.status == "ended"
    assert state.ended_at is not None
    assert abs(state.ended_at - first) < 5_000
    assert clinic.counters.corrections == 1


async def test_once_not_active_and_then_active_is_nothing(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.stand_in.rooms[ROOM] = not_active()
    await clinic.look()
    clinic.says(clinic.here("1"))
    await clinic.look()
    clinic.stand_in.rooms[ROOM] = not_active()
    await clinic.look()
    assert (await clinic.room()).state.status == "live"


async def test_older_servers_say_it_in_words(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.stand_in.rooms[ROOM] = {"status": False, "msg": "room is not active"}
    await clinic.look()
    await clinic.look()
    assert (await clinic.room()).state.status == "ended"


# -- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"status": False, "msg": "nats: timeout", "status_code": "INTERNAL_SERVER_ERROR"},
        {"status": True, "msg": "success"},
        {"status": True, "room": {"room_info": {"room_id": ROOM}, "participants_info": []}},
        {"status": True, "room": {"room_info": {"sid": SID}, "participants_info": [{"sid": "PA_1"}]}},
        {"status": True, "room": {"room_info": {"sid": SID}, "participants_info": "none"}},
    ],
    ids=["error", "no room", "no sid", "a participant without identity", "a list that is none"],
)
async def test_an_answer_that_is_none_changes_nothing(clinic: Clinic, answer: dict[str, Any]):
    await clinic.class_goes_on(joined=("1",))
    clinic.stand_in.rooms[ROOM] = answer
    for _ in range(3):
        await clinic.look()
    assert await clinic.present() == ["1"]
    assert clinic.counters.repairs == {"failed": 3}


async def test_an_api_that_is_away_changes_nothing(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.stand_in.fail = [500, 0, 401]
    for _ in range(3):
        await clinic.look()
    assert await clinic.present() == ["1"]
    assert clinic.counters.repairs == {"failed": 3}


async def test_an_empty_list_where_participants_are_counted_is_not_believed(clinic: Clinic):
    """What the server answers when its media server does not."""
    await clinic.class_goes_on(joined=("1",))
    clinic.says(joined_participants="1")
    await clinic.look()
    assert await clinic.present() == ["1"]
    assert clinic.counters.repairs == {"doubtful": 1}


async def test_an_empty_list_is_believed_where_nobody_is_counted(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.says(joined_participants="0")
    await clinic.look()
    clinic.node.pass_time(30)
    assert await clinic.present() == []


async def test_a_clock_that_runs_ahead_brings_nobody_from_the_future(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    clinic.says(clinic.here("1", ago_s=-3600), clinic.here("2", ago_s=-(10**15)))
    await clinic.look()
    state = (await clinic.room()).state
    assert list(state.members) == ["1"]
    assert state.conference.sessions[SID].last_at <= clinic.node.now


async def test_a_list_that_agrees_corrects_nothing(clinic: Clinic):
    await clinic.class_goes_on(joined=("1", "2"))
    clinic.says(clinic.here("1"), clinic.here("2"))
    for _ in range(3):
        await clinic.look()
    assert clinic.counters.repairs == {"agreed": 3}


# -- who is asked for, and how ---------------------------------------------------------------------------------------


async def test_only_live_rooms_that_the_conference_server_knows_are_asked_for(clinic: Clinic):
    await clinic.class_goes_on("goes-on")
    await clinic.class_goes_on("is-over", "sid-2")
    await clinic.node.happens("is-over", SessionTold("sid-2", "ended", clinic.began + 1000))
    await clinic.class_goes_on("ended-by-staff", "sid-4")
    await clinic.node.happens("ended-by-staff", Finished(clinic.node.now, "rest"))
    await clinic.node.happens("only-planned", SessionTold("sid-3", "created", clinic.began))
    await clinic.look()
    assert [asked["room_id"] for _, asked in clinic.stand_in.bodies] == ["goes-on"]


async def test_four_at_once_and_no_more(clinic: Clinic):
    rooms = [f"room-{number}" for number in range(12)]
    under_way: list[int] = []
    now = 0
    ask = PlugNMeetApi.active_room_info

    class Counting:
        async def active_room_info(self, room_id: str) -> dict[str, Any]:
            nonlocal now
            now += 1
            under_way.append(now)
            try:
                return await ask(api, room_id)
            finally:
                now -= 1

    api = PlugNMeetApi(clinic.stand_in.url, KEY, SECRET)
    repair = Repair(clinic.node.system, Counting(), MemoryReading(clinic.node.memory), clinic.counters, every_s=60)
    for number, room_id in enumerate(rooms):
        await clinic.class_goes_on(room_id, f"sid-{number}")
        clinic.says(room_id=room_id, sid=f"sid-{number}")
    await repair.round(spread_s=0)
    await api.aclose()
    assert (len(under_way), max(under_way)) == (12, AT_ONCE)


async def test_it_asks_at_start_and_again_for_rooms_that_a_former_life_left_live(clinic: Clinic):
    await clinic.class_goes_on(joined=("1",))
    await until(lambda: clinic.node.memory.rows.rooms.get(ROOM), "the room was not written")
    await clinic.node.system.drain(5)
    async with Node(memory=clinic.node.memory) as second:
        second.system.directory.rooms.clear()
        asked = clinic.stand_in.asked
        clinic.says(clinic.here("1"))
        api = PlugNMeetApi(clinic.stand_in.url, KEY, SECRET)
        repair = Repair(second.system, api, MemoryReading(second.memory), clinic.counters, every_s=0.02)
        running = asyncio.create_task(repair.run())
        await until(lambda: asked["/auth/room/getActiveRoomInfo"] >= 3, "it did not ask again")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await api.aclose()


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "participants",
    [
        [{"sid": "PA", "identity": "i", "joinedAtMs": 1760000430412}],
        [{"sid": "PA", "identity": "i", "joined_at_ms": "1760000430412", "kind": 0, "permission": None}],
        [{"sid": "PA", "identity": "i", "joined_at": 1760000430, "joined_at_ms": 0, "metadata": "{"}],
    ],
)
def test_participants_are_read_in_every_form(participants: list[dict[str, Any]]):
    read = decode({"room_info": {"sid": "s"}, "participants_info": participants})
    assert [one.joined_at // 1000 for one in read.participants] == [1760000430]
    assert not read.doubtful


def test_a_time_that_is_none_makes_the_answer_unreadable():
    with pytest.raises(Unreadable, match="joined_at"):
        decode({"room_info": {"sid": "s"}, "participants_info": [{"sid": "PA", "identity": "i"}]})
