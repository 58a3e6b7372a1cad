"""`GET /api/v1/sessions/{id}`: figures of a session, memory and store as one."""

import asyncio
from typing import Any

import pytest

from actors.machines.events import Joined, RoomSampled
from actors.machines.track import Sample
from protocol import ids

LESSON = {"kind": "lesson", "id": 7}


def sample(seq: int, at: int, position: float, state: str = "playing", **more: Any) -> dict[str, Any]:
    return {"seq": seq, "at": at, "position": position, "state": state} | more


async def read(world, session_id: str, user: str = "u1"):
    return await world.call("GET", f"/api/v1/sessions/{session_id}", user=user)


def history(now: int) -> list[dict[str, Any]]:
    """Ten seconds, back to the middle, ten more with a stall in them: 15 s of 20 s covered."""
    return [
        sample(1, now - 40_000, 0, duration=20),
        sample(2, now - 30_000, 10, "paused"),
        sample(3, now - 25_000, 5.5, visible=False),
        sample(4, now - 20_000, 10.5),
        sample(5, now - 13_000, 15.25, rate=1.5),
        sample(6, now - 13_000, 15.25, "ended"),
    ]


async def test_the_figures_of_a_session(world):
    now = world.now()
    body = {"content": LESSON, "samples": history(now)}
    session_id = (await world.beat("u1", body)).json["session_id"]
    answer = (await read(world, session_id)).json
    segments = answer.pop("segments")
    started_at = answer.pop("started_at")

    assert answer == {
        "session_id": session_id,
        "user_id": "u1",
        "content": {"kind": "lesson", "id": "7"},
        "room": None,
        "ended_at": None,
        "last_seq": 6,
        "position": 15.25,
        "duration": 20,
        "watch_seconds": 22,
        "content_seconds": 19.75,
        "covered_seconds": 15.25,
        "coverage": 0.762,
        "completed": False,
    }
    assert started_at == segments[0]["start_timestamp"]
    assert [(one["playhead_start_at"], one["playhead_end_at"], one["duration"]) for one in segments] == [
        (0, 10, 10),
        (5.5, 15.25, 9.75),
    ]
    assert [one["visible_share"] for one in segments] == [1.0, round(7 / 12, 4)]
    assert all(one["verified"] and not one["offline"] for one in segments)


@pytest.mark.parametrize("cuts", [(1,), (2,), (3,), (4,), (5,), (1, 2, 3, 4, 5), ()])
async def test_a_checkpoint_at_any_moment_changes_no_answer(world, cuts):
    now = world.now()
    session_id = ""
    for number, one in enumerate(history(now), 1):
        posted = await world.beat("u1", {"content": LESSON, "sent_at": now, "samples": [one]})
        session_id = posted.json["session_id"]
        before = (await read(world, session_id)).json
        if number in cuts:
            await world.checkpoint()
        assert (await read(world, session_id)).json == before
    answer = (await read(world, session_id)).json

    assert (answer["content_seconds"], answer["covered_seconds"], len(answer["segments"])) == (19.75, 15.25, 2)


async def test_a_session_that_is_over_and_out_of_memory_reads_the_same(world):
    now = world.now()
    body = {"content": LESSON, "samples": history(now), "leave": True}
    session_id = (await world.beat("u1", body)).json["session_id"]
    before = (await read(world, session_id)).json
    await world.checkpoint()
    assert session_id not in world.system.directory.watches

    assert (await read(world, session_id)).json == before
    assert before["ended_at"] is not None


async def test_after_a_restart_it_reads_the_same(world, make_world):
    now = world.now()
    session_id = (await world.beat("u1", {"content": LESSON, "samples": history(now)[:4]})).json["session_id"]
    await world.checkpoint()
    await world.beat("u1", {"content": LESSON, "samples": history(now)[4:]})
    before = (await read(world, session_id)).json
    heir = await make_world(memory=world.memory)

    assert (await read(heir, session_id)).json == before


async def test_a_session_of_a_room_reads_the_same_from_memory_and_store(world):
    now = world.now()
    await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
    actor = await world.system.room("r1", create=True)
    session_id = world.system.new_session_id(actor.partition)
    world.system.post(actor, Joined("u1", "learner", None, session_id, None, "tv", None, 10_000))
    samples = [Sample(1, now - 10_000, 0, 0), Sample(2, now, 9_999, 0)]
    world.system.post(actor, RoomSampled(session_id, now, samples))
    await asyncio.sleep(0)
    during = (await read(world, session_id)).json
    assert (during["room"], during["content"], during["ended_at"]) == ("r1", None, None)
    assert (during["duration"], during["coverage"], during["completed"]) == (None, 0, False)
    assert (during["content_seconds"], during["covered_seconds"]) == (9.999, 9.999)

    await world.call("POST", "/api/v1/rooms/r1/end", staff=True)
    before = (await read(world, session_id)).json
    await world.checkpoint()
    assert (await read(world, session_id)).json == before
    world.system.directory.drop(actor)
    assert (await read(world, session_id)).json == before
    assert before["ended_at"] is not None


async def test_what_is_not_verified_is_shown_and_counts_in_nothing(world):
    now = world.now()
    # Each pair lies within its slack of a second; in sum they claim more than the elapsed time allows.
    samples = [sample(seq, now, (seq - 1) * 0.9, duration=100) for seq in range(1, 11)]
    session_id = (await world.beat("u1", {"content": LESSON, "samples": samples})).json["session_id"]
    answer = (await read(world, session_id)).json

    counted = [one for one in answer["segments"] if one["verified"]]
    assert 0 < len(counted) < len(answer["segments"])
    assert answer["content_seconds"] == sum(one["duration"] for one in counted) <= 3
    assert answer["covered_seconds"] == answer["content_seconds"]


async def test_a_session_is_for_its_learner_and_for_staff(world):
    now = world.now()
    session_id = (await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})).json["session_id"]

    (await read(world, session_id, "u2")).refusal(403, "FORBIDDEN")
    (await world.call("GET", f"/api/v1/sessions/{session_id}")).refusal(401, "UNAUTHENTICATED")
    assert (await world.call("GET", f"/api/v1/sessions/{session_id}", staff=True)).json["user_id"] == "u1"


@pytest.mark.parametrize("session_id", ["nonsense", "x" * 128, ids.session_id(1, 0, 1), ids.session_id(1, 4095, 1)])
async def test_an_unknown_session_is_not_found(world, session_id):
    (await read(world, session_id)).refusal(404, "NOT_FOUND")


async def test_the_store_away_is_503_not_half_an_answer(world):
    now = world.now()
    session_id = (await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})).json["session_id"]
    world.faults.away = True

    (await read(world, session_id)).refusal(503, "STORAGE_UNAVAILABLE")
