"""What a webhook does, on a whole server: presence, recordings, analytics, breakout rooms, in any order."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from actors.machines.effects import Effect
from actors.machines.events import RoomEvent, TrackTold
from actors.machines.room import Room
from server.plugnmeet.breakouts import NONE_FOR_MS, Breakouts
from storage.memory import Memory
from storage.memory_webhooks import MemoryWebhooks
from tests.edge.http.conftest import Maker, World
from tests.edge.http.webhook_door import KEYS, counted, send, taken
from tests.support.node import until
from tests.support.plugnmeet import SID, packed, sample, samples


@pytest.fixture
async def hooked(make_world: Maker) -> World:
    return await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS)


# -- what rooms are told ------------------------------------------------------------------------------------------


async def test_presence_from_plugnmeet_is_as_told(hooked: World):
    for number in ("02", "03", "14", "16"):
        await taken(hooked, sample(number))
    await hooked.checkpoint()

    (row,) = hooked.memory.rows.presences.values()
    assert (row.room_id, row.user_id, row.source) == ("room01", "1001", "plugnmeet")
    assert (row.joined_at, row.left_at) == (1_760_000_430_412, 1_760_003_600_000)


async def test_a_sender_whose_clock_is_ahead_is_believed_for_a_minute(hooked: World):
    now_s = hooked.now() // 1000
    for number, ahead_s in (("02", 10), ("03", 20), ("05", 25), ("14", 40), ("16", 45)):
        joined = {"participant__joined_at": str(now_s + 20), "participant__joined_at_ms": None}
        timed = sample(number, created_at=str(now_s + ahead_s), **joined if number in ("03", "14") else {})
        await taken(hooked, timed)
        await hooked.checkpoint()

    (row,) = hooked.memory.rows.presences.values()
    assert (row.joined_at, row.left_at) == ((now_s + 20) * 1000, (now_s + 40) * 1000)
    room = hooked.memory.rows.rooms["room01"]
    assert (room.state, room.started_at, room.ended_at) == ("ended", (now_s + 10) * 1000, (now_s + 45) * 1000)


async def test_bots_leave_no_trace(hooked: World):
    await taken(hooked, sample("02"))
    for identity in ("RECORDER_BOT", "RTMP_BOT", "ingres_1001", "pnm_agent-x", "pnm_tts_agent-bn"):
        for number in ("03", "05", "14"):
            await taken(hooked, sample(number, participant__identity=identity))
    await taken(hooked, sample("05", track__source="SCREEN_SHARE_AUDIO"))
    await hooked.checkpoint()

    assert not hooked.memory.rows.presences
    assert not hooked.memory.rows.attendances
    assert sum(count for (_, result), count in counted(hooked).items() if result == "ignored") == 16


async def test_the_hidden_leave_no_trace_though_later_messages_do_not_say_so(hooked: World):
    await taken(hooked, sample("02"))
    await taken(hooked, sample("03", participant__permission__hidden=True))
    await taken(hooked, sample("05"))
    await taken(hooked, sample("14"))
    await hooked.checkpoint()

    assert hooked.memory.rows.presences == {}


async def test_a_session_outside_the_time_of_its_class_is_kept_and_the_class_untouched(hooked: World):
    times = {"scheduled_start": "2024-01-01T10:00:00Z", "scheduled_end": "2024-01-01T11:00:00Z"}
    await hooked.call("PUT", "/api/v1/rooms/room01", times, staff=True)

    await taken(hooked, sample("02"))
    await taken(hooked, sample("02"))

    assert (await hooked.call("GET", "/api/v1/rooms/room01", staff=True)).json["state"] == "scheduled"
    (kept,) = hooked.memory.webhooks.kept.values()
    assert (kept.id, kept.room_id) == ("EV_5nUYVLJ4PwDZ", "room01")
    assert counted(hooked) == {("room_started", "outside"): 2}


async def test_what_a_full_room_does_not_take_is_kept_with_the_reason(hooked: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.machines.conference.TRACKS_MAX", 0)
    for number in ("02", "03", "05"):
        await taken(hooked, sample(number))

    (kept,) = hooked.memory.webhooks.kept.values()
    assert (kept.event, kept.why) == ("track_published", "the room has no place for more tracks")
    assert kept.body == packed(sample("05"))
    assert counted(hooked)["track_published", "full"] == 1


async def test_a_crash_of_the_room_is_answered(hooked: World, monkeypatch: pytest.MonkeyPatch):
    await taken(hooked, sample("02"))
    step = Room.step

    def crash(room: Room, event: RoomEvent, now: int) -> list[Effect]:
        assert not isinstance(event, TrackTold), "the machine is wrong"
        return step(room, event, now)

    monkeypatch.setattr(Room, "step", crash)
    (await send(hooked, sample("05"))).refusal(500, "INTERNAL")
    assert counted(hooked)["track_published", "failed"] == 1
    await taken(hooked, sample("03"))


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_repeats_make_the_same_rows(make_world: Maker, seed: int):
    told = [*samples(), *samples()] if seed % 2 else samples()
    random.Random(seed).shuffle(told)
    rows = []
    for order in (samples(), told):
        world = await make_world(memory=Memory(), ROLLCALL_PLUGNMEET_KEYS=KEYS)
        for path in order:
            await taken(world, path.read_bytes())
        await world.checkpoint()
        found = world.memory.rows
        times = {key: (row.state, row.started_at, row.ended_at) for key, row in found.rooms.items()}
        rows.append((found.presences, found.attendances, times))

    assert rows[0] == rows[1]
    assert rows[0][0]


# -- jobs ---------------------------------------------------------------------------------------------------------


async def test_a_ready_recording_is_ordered_once_and_kept(hooked: World):
    for changes in ({}, {"id": "again"}, {"event": "recording_proceeded", "created_at": "1760005000"}):
        await taken(hooked, sample("10", **changes))

    (job,) = hooked.jobs.recordings.values()
    assert (job.record_id, job.room_id, job.sid) == (f"{SID}-1760000700123", "room01", SID)
    assert (job.told_mb, job.reported_at) == (123.45, 1_760_004_000_000)
    assert [row.id for row in hooked.memory.webhooks.kept.values()] == [
        "5f0c1b1e-0000-4000-8000-000000000010",
        "again",
    ]


async def test_the_older_form_ends_the_recording_and_orders_its_file(hooked: World):
    info = {"recordingId": "rec-1", "fileName": "rec-1.mp4", "status": "FINISHED", "duration": 3600}
    await taken(hooked, {"event": "end_recording", "room": {"identity": "room01"}, "recording_info": info})

    (job,) = hooked.jobs.recordings.values()
    assert (job.record_id, job.room_id) == ("rec-1", "room01")
    assert "room01" in hooked.system.directory.rooms


async def test_recording_events_alone_order_nothing(hooked: World):
    for number in ("08", "09"):
        await taken(hooked, sample(number))

    assert not hooked.jobs.recordings
    assert not hooked.memory.webhooks.kept


async def test_analytics_are_ordered_once_in_either_form(hooked: World):
    await taken(hooked, sample("17", room_artifact__type=1))
    await taken(hooked, sample("18", analytics__file_id="older"))
    await taken(hooked, sample("17", room_artifact__type="MEETING_SUMMARY", id="another"))

    assert {(job.artifact_id, job.room_id, job.older) for job in hooked.jobs.artifacts.values()} == {
        ("a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111", "room01", False),
        ("older", "room01", True),
    }
    assert len(hooked.memory.webhooks.kept) == 3


# -- breakout rooms -----------------------------------------------------------------------------------------------

BREAKOUT = {
    "room__room_id": "room01-b",
    "room__sid": "sid-b",
    "room__metadata": json.dumps({"is_breakout_room": True, "parent_room_id": "room01"}),
}


async def test_a_breakout_room_counts_towards_its_parent_and_is_no_room(hooked: World):
    await taken(hooked, sample("02"))
    for number in ("02", "03", "14", "16"):
        await taken(hooked, sample(number, **BREAKOUT))
    await hooked.checkpoint()

    assert [row.room_id for row in hooked.memory.rows.presences.values()] == ["room01"]
    room = (await hooked.call("GET", "/api/v1/rooms/room01", staff=True)).json
    assert (room["state"], room["name"]) == ("live", "Algebra 1")
    (await hooked.call("GET", "/api/v1/rooms/room01-b", staff=True)).refusal(404, "NOT_FOUND")


async def test_a_breakout_session_is_remembered_for_messages_that_do_not_say(make_world: Maker):
    memory = Memory()
    world = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)
    await taken(world, sample("02", **BREAKOUT))
    await world.system.drain(5)
    # Another life of the server, which has to ask the store.
    world = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)

    await taken(world, sample("03", **BREAKOUT | {"room__metadata": ""}))
    await taken(world, sample("10", **BREAKOUT | {"room__metadata": None}))

    assert set(world.system.directory.rooms) == {"room01"}
    assert [job.room_id for job in world.jobs.recordings.values()] == ["room01"]


async def test_a_breakout_room_whose_parent_nobody_knows_is_kept(hooked: World):
    metadata = json.dumps({"is_breakout_room": True})

    await taken(hooked, sample("02", **BREAKOUT | {"room__metadata": metadata}))

    assert not hooked.system.directory.rooms
    assert counted(hooked) == {("room_started", "stored"): 1}
    await taken(hooked, sample("02", **BREAKOUT))
    await taken(hooked, sample("03", **BREAKOUT | {"room__metadata": metadata}))
    assert set(hooked.system.directory.rooms) == {"room01"}


async def test_a_breakout_is_remembered_before_it_is_answered(hooked: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.plugnmeet.webhooks.PATIENCE_S", 0.05)
    await taken(hooked, sample("02"))
    hooked.faults.away = True

    (await send(hooked, sample("02", **BREAKOUT))).refusal(503, "STORAGE_UNAVAILABLE")


class TestBreakouts:
    """What is remembered in front of the store."""

    async def test_that_a_session_is_none_is_remembered_for_a_minute(self) -> None:
        memory = Memory()
        store = MemoryWebhooks(memory)
        known = Breakouts(store)

        assert await known.parent_of("s1", 0) is None
        await store.put_breakout("s1", "b", "r1")  # another process learned it
        assert await known.parent_of("s1", NONE_FOR_MS - 1) is None
        assert await known.parent_of("s1", NONE_FOR_MS) == "r1"
        memory.faults.away = True
        assert await known.parent_of("s1", 10 * NONE_FOR_MS) == "r1"

    async def test_learning_corrects_at_once(self) -> None:
        known = Breakouts(MemoryWebhooks(Memory()))
        assert await known.parent_of("s1", 0) is None

        await known.learn("s1", "b", "r1")
        assert await known.parent_of("s1", 1) == "r1"
        await known.learn("s1", "b", "r2")
        assert await known.parent_of("s1", 1) == "r2"

    async def test_what_is_learned_while_the_store_is_asked_holds(self) -> None:
        memory = Memory()
        known = Breakouts(MemoryWebhooks(memory))
        memory.faults.stalled = True
        asking = asyncio.create_task(known.parent_of("s1", 0))
        await until(lambda: memory.faults.waiting == 1)
        learning = asyncio.create_task(known.learn("s1", "b", "r1"))
        await until(lambda: memory.faults.waiting == 2)

        memory.faults.stalled = False
        await asyncio.gather(asking, learning)

        assert await known.parent_of("s1", 1) == "r1"

    async def test_it_is_bounded_and_asks_again(self) -> None:
        known = Breakouts(MemoryWebhooks(Memory()), capacity=3)
        for number in range(10):
            await known.learn(f"s{number}", "b", "r1")
            await known.parent_of(f"none{number}", 0)

        assert len(known) == 3
        assert await known.parent_of("s0", 0) == "r1"


# -- recordings of a running class --------------------------------------------------------------------------------


async def test_a_running_recording_and_a_stream_are_shown_and_so_is_why_one_failed(hooked: World):
    async def shown() -> tuple[bool, bool, str | None]:
        room = (await hooked.call("GET", "/api/v1/rooms/room01", staff=True)).json
        return room["recording"], room["streaming"], room["recording_failure"]

    await taken(hooked, sample("02"))
    assert await shown() == (False, False, None)
    await taken(hooked, sample("08"))
    await taken(hooked, sample("08", event="start_rtmp", id="r1", recording_info__record_id="rtmp-1"))
    assert await shown() == (True, True, None)
    await taken(hooked, sample("09"))
    failed = {"record_id": "second", "recorder_msg": "no recorder is free"}
    await taken(hooked, sample("08", id="r2", recording_info=failed))
    assert await shown() == (False, True, "no recorder is free")
    await taken(hooked, sample("16"))
    assert await shown() == (False, False, "no recorder is free")


async def test_the_end_of_a_recording_may_come_before_its_start(hooked: World):
    await taken(hooked, sample("02"))
    await taken(hooked, sample("09"))
    await taken(hooked, sample("08"))

    assert (await hooked.call("GET", "/api/v1/rooms/room01", staff=True)).json["recording"] is False
