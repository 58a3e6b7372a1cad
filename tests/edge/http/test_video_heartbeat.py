"""`POST /api/v1/videos/engagement/heartbeat`: the answer, every refusal in its order, one session each."""

import asyncio
from typing import Any

import msgspec
import pytest

from protocol.catalog import Enrolment, Lesson
from tests.edge.http.conftest import Answer, Maker, World

PATH = "/api/v1/videos/engagement/heartbeat"
KIND = "lms_lesson"


def lesson(content_id: str = "7", **given: Any) -> Lesson:
    fields: dict[str, Any] = {
        "kind": KIND,
        "content_id": content_id,
        "title": f"Lesson {content_id}",
        "catalog_product_id": None,
        "course_id": None,
        "has_video": True,
        "published": True,
        "published_at": None,
        "duration_ms": 100_000,
        "sequential": False,
        "requires": (),
        "completion_threshold": None,
        "ignore_tail": False,
        "updated_at": 1,
    }
    return Lesson(**fields | given)


def enrolment(product_id: str, user_id: str) -> Enrolment:
    return Enrolment(product_id=product_id, user_id=user_id, enrolled_at=None, ended_at=None, updated_at=1)


@pytest.fixture
async def strict(make_world: Maker) -> World:
    """A world that knows its contents by the catalog alone."""
    world = await make_world(
        ROLLCALL_UNKNOWN="refuse", ROLLCALL_MESSAGES_PER_SECOND="100000", ROLLCALL_MESSAGES_BURST="100000"
    )
    await world.services.catalog_writer.write([lesson()])
    return world


async def tells(world: World, position: float, user: str = "u1", **more: Any) -> Answer:
    """One heartbeat of the lesson; `staff=True` is a teacher's."""
    staff = more.pop("staff", False)
    body = {"content_kind": KIND, "content_id": 7, "position_seconds": position} | more
    return await world.call("POST", PATH, body, user=None if staff else user, staff=staff)


async def told(world: World, position: float, **more: Any) -> dict[str, Any]:
    """The `data` of one that is taken."""
    answer = await tells(world, position, **more)
    assert answer.status == 200, answer.text
    data: dict[str, Any] = answer.json["data"]
    return data


# -- the answer -------------------------------------------------------------------------------------------------------


async def test_the_answer_is_the_contracts_to_the_letter(strict):
    answer = await tells(strict, 0)
    data = answer.json["data"]

    assert answer.json == {
        "message": "Video engagement recorded",
        "success": True,
        "status_code": 200,
        "data": {
            "session_id": data["session_id"],
            "content_kind": KIND,
            "content_id": 7,
            "started_at": data["started_at"],
            "last_heartbeat_at": data["started_at"],
            "ended_at": None,
            "position_seconds": 0.0,
            "max_position_seconds": 0.0,
            "watched_seconds": 0.0,
            "duration_seconds": 100.0,
            "completion_percent": 0.0,
            "completed": False,
            "replayed_seconds": 0.0,
            "heartbeat_interval_seconds": 10.0,
        },
    }


async def test_ten_seconds_between_two_heartbeats_are_ten_seconds_watched(strict):
    first = await told(strict, 0)
    strict.skip(10)
    second = await told(strict, 10, content_id="7")

    assert second["session_id"] == first["session_id"]
    assert second["watched_seconds"] == pytest.approx(10, abs=1)
    assert (second["position_seconds"], second["max_position_seconds"]) == (10.0, 10.0)
    assert (second["completion_percent"], second["replayed_seconds"]) == (10.0, 0.0)


async def test_what_a_client_wrongly_claims_earns_only_the_time_that_passed(strict):
    await told(strict, 0)
    data = await told(strict, 100)

    assert (data["watched_seconds"], data["completion_percent"], data["max_position_seconds"]) == (0.0, 0.0, 100.0)


async def test_the_end_counts_and_the_next_heartbeat_begins_another_session(strict):
    first = await told(strict, 0)
    strict.skip(10)
    last = await told(strict, 10, ended=True)
    fresh = await told(strict, 10)

    assert last["session_id"] == first["session_id"] != fresh["session_id"]
    assert last["ended_at"] is not None
    assert last["completion_percent"] == 10.0
    assert fresh["ended_at"] is None
    assert (fresh["watched_seconds"], fresh["completion_percent"]) == (0.0, 10.0)


async def test_half_an_hour_without_a_heartbeat_begins_another_session(strict):
    first = await told(strict, 0)
    strict.skip(30 * 60)
    second = await told(strict, 10)

    assert second["session_id"] != first["session_id"]


@pytest.mark.parametrize("written", [False, True], ids=["in memory", "written"])
async def test_earlier_sessions_count_for_the_learner_and_playing_them_again_is_replay(strict, written):
    await told(strict, 0)
    strict.skip(10)
    await told(strict, 10, ended=True)
    if written:
        await strict.checkpoint()
        assert not list(strict.system.directory)
    await told(strict, 5)
    strict.skip(10)
    data = await told(strict, 15)

    assert (data["completion_percent"], data["replayed_seconds"]) == (15.0, 5.0)


async def test_another_door_at_the_same_time_counts_for_the_learner(strict):
    now = strict.now()
    samples = [
        {"seq": 1, "at": now - 30_000, "position": 50, "state": "playing"},
        {"seq": 2, "at": now, "position": 80, "state": "playing"},
    ]
    await told(strict, 0)
    await strict.beat("u1", {"content": {"kind": KIND, "id": 7}, "samples": samples, "leave": True})
    strict.skip(10)

    assert (await told(strict, 10))["completion_percent"] == 40.0
    await strict.checkpoint()
    assert len(strict.system.directory) == 1
    assert (await told(strict, 10))["completion_percent"] == 40.0


async def test_completed_is_sticky_and_follows_the_contents_own_threshold(strict):
    await strict.services.catalog_writer.write([lesson("8", duration_ms=20_000, completion_threshold=0.5)])
    await told(strict, 0, content_id=8)
    strict.skip(10)
    done = await told(strict, 10, content_id=8, ended=True)
    await strict.checkpoint()
    again = await told(strict, 0, content_id=8)

    assert (done["completed"], done["completion_percent"]) == (True, 50.0)
    assert (again["completed"], again["completion_percent"]) == (True, 50.0)


async def test_the_tail_may_be_left_out(strict):
    await strict.services.catalog_writer.write([lesson("8", duration_ms=20_000, ignore_tail=True)])
    await told(strict, 0, content_id=8)
    strict.skip(19)
    data = await told(strict, 19, content_id=8)

    assert (data["completed"], data["completion_percent"]) == (True, 100.0)


async def test_a_length_that_only_the_client_knows_is_used(strict):
    await strict.services.catalog_writer.write([lesson("8", duration_ms=None)])
    unknown = await told(strict, 0, content_id=8)
    strict.skip(10)
    data = await told(strict, 10, content_id=8, duration_seconds=40)

    assert (unknown["duration_seconds"], unknown["completion_percent"]) == (None, 0.0)
    assert (data["duration_seconds"], data["completion_percent"]) == (40.0, 25.0)


async def test_paused_is_not_watched_and_the_rate_is_believed_for_the_next_stretch(strict):
    await told(strict, 0, state="paused")
    strict.skip(10)
    await told(strict, 0, playback_rate=2)
    strict.skip(10)
    data = await told(strict, 20)

    assert data["watched_seconds"] == pytest.approx(10, abs=1)
    assert data["completion_percent"] == 20.0


async def test_a_session_is_kept_under_its_own_door(strict):
    data = await told(strict, 0)
    await strict.checkpoint()

    assert strict.memory.rows.sessions[data["session_id"]].door == "simple"


# -- one open session -------------------------------------------------------------------------------------------------


async def test_heartbeats_in_flight_together_open_one_session(strict):
    found = await asyncio.gather(*(told(strict, second) for second in range(8)))

    assert len({data["session_id"] for data in found}) == 1


async def test_other_learners_and_contents_have_their_own(strict):
    await strict.services.catalog_writer.write([lesson("8")])
    found = [await told(strict, 0), await told(strict, 0, user="u2"), await told(strict, 0, content_id=8)]

    assert len({data["session_id"] for data in found}) == 3


async def test_a_retry_with_the_same_stamp_counts_once(strict):
    await told(strict, 0, client_timestamp=1_700_000_000_000)
    strict.skip(10)
    once = await told(strict, 10, client_timestamp="2023-11-14T22:13:30Z")
    strict.skip(5)
    again = await told(strict, 10, client_timestamp=1_700_000_010_000)

    assert again == once


@pytest.mark.parametrize("written", [False, True], ids=["in memory", "written"])
async def test_an_end_told_again_is_the_same_session(strict, written):
    await told(strict, 0, client_timestamp=1_700_000_000_000)
    strict.skip(10)
    once = await told(strict, 10, ended=True, client_timestamp=1_700_000_010_000)
    if written:
        await strict.checkpoint()
    again = await told(strict, 10, ended=True, client_timestamp=1_700_000_010_000)
    overtaken = await told(strict, 5, client_timestamp=1_700_000_005_000)

    assert again == once
    assert overtaken == once
    assert len(strict.memory.rows.sessions) <= 1


async def test_the_session_survives_a_restart(make_world, strict):
    first = await told(strict, 0)
    strict.skip(10)
    await told(strict, 10)
    await strict.system.drain(2)
    successor = await make_world(memory=strict.memory, ROLLCALL_UNKNOWN="refuse")
    successor.skip(15)
    data = await told(successor, 15)

    assert data["session_id"] == first["session_id"]
    assert data["replayed_seconds"] == 0.0
    assert data["completion_percent"] == 15.0


async def test_a_session_may_be_named_and_an_ended_one_gives_way(strict):
    first = await told(strict, 0)
    named = await told(strict, 1, session_id=first["session_id"])
    strict.skip(60)
    await told(strict, 2, session_id=first["session_id"], ended=True)
    strict.skip(120)
    fresh = await told(strict, 3, session_id=first["session_id"])

    assert named["session_id"] == first["session_id"] != fresh["session_id"]


async def test_an_ended_session_that_a_client_goes_on_naming_is_looked_up_once(make_world):
    world = await make_world(rules={"lease_renew_s": 600.0, "lease_ttl_s": 6000.0})
    old = (await told(world, 0, ended=True))["session_id"]
    await world.checkpoint()
    world.skip(120)
    await told(world, 0, session_id=old)
    asked, appended = world.faults.calls, len(world.memory.batches)
    await told(world, 1, session_id=old)

    assert world.faults.calls - asked == len(world.memory.batches) - appended == 1


async def test_after_its_first_heartbeat_a_learner_asks_the_store_nothing(make_world):
    world = await make_world(ROLLCALL_UNKNOWN="refuse", rules={"lease_renew_s": 600.0, "lease_ttl_s": 6000.0})
    locked = lesson("8", catalog_product_id="p1", sequential=True, requires=((KIND, "1"),))
    await world.services.catalog_writer.write([lesson("1", duration_ms=10_000), locked, enrolment("p1", "u1")])
    await told(world, 0, content_id=1)
    world.skip(10)
    await told(world, 10, content_id=1)
    await told(world, 0, content_id=8)
    asked, appended = world.faults.calls, len(world.memory.batches)
    for second in range(1, 6):
        await told(world, second, content_id=8)

    assert len(world.memory.batches) - appended == 5
    assert world.faults.calls - asked == 5


# -- refusals, in their order -----------------------------------------------------------------------------------------


async def test_without_a_token_nothing_else_is_told(strict):
    answer = await strict.call("POST", PATH, data=b"no json")
    answer.refusal(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "data", [b"", b"no json", b'{"content_kind": 1', b'{"content_kind": 1}}', b"\xff", b"[" * 9999]
)
async def test_a_body_that_is_no_json_is_an_invalid_body(strict, data):
    answer = await strict.call("POST", PATH, data=data, user="u1")
    answer.refusal(400, "INVALID_BODY")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_kind", None),
        ("content_kind", ""),
        ("content_kind", 5),
        ("content_kind", "x" * 129),
        ("content_id", None),
        ("content_id", True),
        ("content_id", 1.5),
        ("content_id", []),
        ("content_id", {}),
        ("content_id", -1),
        ("position_seconds", None),
        ("position_seconds", -0.1),
        ("position_seconds", "5"),
        ("position_seconds", 1e10),
        ("duration_seconds", 0),
        ("ended", "yes"),
        ("playback_rate", 0),
        ("playback_rate", 17),
        ("state", "buffering"),
        ("session_id", 5),
        ("client_timestamp", "yesterday"),
    ],
)
async def test_a_field_that_is_impossible_is_named(strict, field, value):
    answer = await tells(strict, 0, **{field: value}) if field != "position_seconds" else await tells(strict, value)

    assert f"`$.{field}`" in answer.refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize("field", ["content_kind", "content_id", "position_seconds"])
async def test_a_field_that_is_missing_is_named(strict, field):
    body = {"content_kind": KIND, "content_id": 7, "position_seconds": 0}
    del body[field]
    answer = await strict.call("POST", PATH, body, user="u1")

    assert f"`$.{field}`" in answer.refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize("body", [[], 5, None, "text"])
async def test_json_that_is_no_object_is_a_wrong_body(strict, body):
    answer = await strict.call("POST", PATH, data=msgspec.json.encode(body), user="u1")
    answer.refusal(400, "VALIDATION_FAILED")


async def test_a_playhead_behind_the_end_is_refused_where_the_catalog_knows_the_length(strict):
    assert (await tells(strict, 101)).status == 200
    assert "`$.position_seconds`" in (await tells(strict, 101.001)).refusal(400, "VALIDATION_FAILED")


async def test_refusals_come_in_their_order(strict):
    locked = {"catalog_product_id": "p1", "sequential": True, "requires": ((KIND, "1"),), "duration_ms": 10_000}
    writer = strict.services.catalog_writer

    async def refused(status: int, code: str, **fields: Any) -> str:
        if fields:
            await writer.write([lesson("8", **fields)])
        return (await tells(strict, 99, content_id=8)).refusal(status, code)

    await writer.write([lesson("1"), enrolment("p1", "somebody")])
    assert "8" in await refused(404, "VIDEO_CONTENT_NOT_FOUND")
    await refused(400, "CONTENT_HAS_NO_VIDEO", **locked, has_video=False, published=False)
    await refused(403, "LESSON_NOT_PUBLISHED", **locked, published=False, updated_at=2)
    assert "p1" in await refused(403, "NOT_ENROLLED", **locked, updated_at=3)
    await writer.write([enrolment("p1", "u1")])
    assert "Lesson 1" in await refused(403, "LMS_PREREQUISITE_NOT_MET")
    assert "position" in await refused(400, "VALIDATION_FAILED", **locked | {"sequential": False}, updated_at=4)


async def test_staff_pass_what_holds_learners_back(strict):
    locked = lesson("8", published=False, catalog_product_id="p1", sequential=True, requires=((KIND, "1"),))
    await strict.services.catalog_writer.write([lesson("1"), locked, enrolment("p1", "u1")])

    assert (await tells(strict, 0, content_id=8, staff=True)).status == 200


async def test_a_prerequisite_that_was_just_completed_opens_the_next(strict):
    await strict.services.catalog_writer.write(
        [lesson("1", duration_ms=10_000), lesson("8", sequential=True, requires=((KIND, "1"),))]
    )
    assert (await tells(strict, 0, content_id=8)).status == 403
    await told(strict, 0, content_id=1)
    strict.skip(10)
    await told(strict, 10, content_id=1)

    assert (await tells(strict, 0, content_id=8)).status == 200
    assert (await tells(strict, 0, content_id=8, user="u2")).status == 403


async def test_a_token_for_other_contents_does_not_open_this_one(strict):
    token = strict.token("u1", contents=[(KIND, "8")])
    body = {"content_kind": KIND, "content_id": 7, "position_seconds": 0}
    answer = await strict.call("POST", PATH, body, headers={"Authorization": f"Bearer {token}"})
    answer.refusal(403, "FORBIDDEN")


async def test_another_learners_session_is_a_conflict(strict):
    data = await told(strict, 0, user="u2")
    (await tells(strict, 0, session_id=data["session_id"])).refusal(409, "CONFLICT")


async def test_an_unknown_session_is_not_found(strict):
    (await tells(strict, 0, session_id="nothing")).refusal(404, "NOT_FOUND")


async def test_too_many_are_told_when_to_come_again(make_world):
    world = await make_world(ROLLCALL_MESSAGES_PER_SECOND="1", ROLLCALL_MESSAGES_BURST="1")
    await tells(world, 0)
    answer = await tells(world, 0)

    answer.refusal(429, "RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_storage_that_is_away_is_told_and_the_retry_counts_once(strict):
    await told(strict, 0)
    strict.faults.away = True
    (await tells(strict, 0, content_id=9)).refusal(503, "STORAGE_UNAVAILABLE")
    answer = await tells(strict, 0, user="u2")

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_unknown_contents_are_made_where_the_server_accepts_them(world):
    assert (await told(world, 5))["duration_seconds"] is None
