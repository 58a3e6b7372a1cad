"""`POST /api/v1/heartbeats`: what is taken in, what is refused, and when the answer leaves."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.machines.watch import WatchRules
from protocol import ids
from protocol.rest import HeartbeatsAnswer
from server.http.bodies import Held

LESSON = {"kind": "lesson", "id": 7}
HOUR_MS = 3_600_000


def sample(seq: int, at: int, position: float, state: str = "playing", **more: Any) -> dict[str, Any]:
    return {"seq": seq, "at": at, "position": position, "state": state} | more


def stored(world) -> int:
    """How much the store has taken in beside the rooms' incarnations."""
    return len(world.memory.batches)


async def test_a_content_is_answered_with_its_session_and_coverage(world):
    now = world.now()
    samples = [sample(1, now - 10_000, 0, duration=100), sample(2, now, 10)]
    answer = await world.beat("u1", {"content": LESSON, "samples": samples})

    assert answer.status == 200
    told = msgspec.json.decode(answer.text, type=HeartbeatsAnswer)
    assert ids.session_partition(told.session_id) is not None
    assert (told.last_seq, told.heartbeat_interval, told.coverage) == (2, 10.0, 0.1)
    assert "late" not in answer.json


async def test_a_room_is_answered_with_its_session_and_lateness(world):
    now = world.now()
    answer = await world.beat("u1", {"room": "r1", "samples": [sample(1, now, 0)]})

    assert answer.status == 200
    assert set(answer.json) == {"session_id", "last_seq", "heartbeat_interval", "late"}
    assert answer.json["late"] is False


async def test_a_second_post_goes_on_with_the_same_session_by_its_key(world):
    now = world.now()
    first = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now - 20_000, 0)]})
    second = await world.beat("u1", {"content": {"kind": "lesson", "id": "7"}, "samples": [sample(2, now, 20)]})
    other_device = await world.beat("u1", {"content": LESSON, "device_id": "tv", "samples": [sample(1, now, 20)]})

    assert first.json["session_id"] == second.json["session_id"] != other_device.json["session_id"]
    assert second.json["last_seq"] == 2


async def test_a_first_sample_at_another_time_begins_another_session(world):
    now = world.now()
    first = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now - 20_000, 0)]})
    again = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now - 20_000, 0)]})
    fresh = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now - 5_000, 0)]})

    assert again.json["session_id"] == first.json["session_id"] != fresh.json["session_id"]


async def test_repeats_are_acknowledged_again_and_count_once(world):
    now = world.now()
    body = {"content": LESSON, "samples": [sample(1, now - 10_000, 0), sample(2, now, 10)]}
    first = await world.beat("u1", body)
    again = await world.beat("u1", body)
    session = (await world.call("GET", f"/api/v1/sessions/{first.json['session_id']}", user="u1")).json

    assert again.json == first.json
    assert session["content_seconds"] == 10


async def test_leaving_ends_the_session_with_the_samples_in_it(world):
    now = world.now()
    body = {"content": LESSON, "samples": [sample(1, now - 10_000, 0), sample(2, now, 10)], "leave": True}
    session_id = (await world.beat("u1", body)).json["session_id"]
    session = (await world.call("GET", f"/api/v1/sessions/{session_id}", user="u1")).json
    next_one = await world.beat("u1", {"content": LESSON, "session_id": session_id, "samples": [sample(3, now, 10)]})

    assert session["ended_at"] is not None
    assert (session["last_seq"], session["content_seconds"]) == (2, 10)
    assert next_one.status == 200
    assert next_one.json["session_id"] != session_id


async def test_leaving_needs_no_sample(world):
    now = world.now()
    here = await world.beat("u1", {"room": "r1", "samples": [sample(1, now, 0)]})
    gone = await world.beat("u1", {"room": "r1", "samples": [], "leave": True})
    watched = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})
    left = await world.beat("u1", {"content": LESSON, "samples": [], "leave": True})

    assert (gone.status, left.status) == (200, 200)
    assert gone.json["session_id"] == here.json["session_id"]
    assert left.json["session_id"] == watched.json["session_id"]
    assert (await world.call("GET", "/api/v1/rooms/r1", staff=True)).json["count"] == 0


# -- how a body may come ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain;charset=UTF-8",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "",
    ],
)
async def test_a_beacon_carries_its_token_in_the_body_under_any_content_type(world, content_type):
    now = world.now()
    body = {"room": "r1", "sent_at": now, "samples": [sample(1, now, 0)], "token": world.token("u1")}
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await world.call("POST", "/api/v1/heartbeats", body, headers=headers)

    assert answer.status == 200


async def test_the_header_is_believed_before_the_body(world):
    now = world.now()
    answer = await world.beat("u1", {"room": "r1", "samples": [sample(1, now, 0)], "token": world.token("u2")})
    session = await world.call("GET", f"/api/v1/sessions/{answer.json['session_id']}", user="u1")

    assert session.json["user_id"] == "u1"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
async def test_gzip_is_unpacked(world, coding):
    now = world.now()
    body = msgspec.json.encode({"room": "r1", "sent_at": now, "samples": [sample(1, now, 0)]})
    headers = {"Content-Encoding": coding}
    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=gzip.compress(body), headers=headers)

    assert answer.status == 200


async def test_what_a_gzip_bomb_unpacks_to_is_never_held(world):
    bomb = gzip.compress(b" " * 100_000_000, 6)
    assert len(bomb) < 1024 * 1024
    headers = {"Content-Encoding": "gzip"}
    tracemalloc.start()
    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=bomb, headers=headers)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "1048576 bytes" in answer.refusal(413, "TOO_LARGE")
    assert most < 10 * 1024 * 1024


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"not gzip at all", id="no gzip"),
        pytest.param(gzip.compress(b"{}")[:-3], id="cut short"),
        pytest.param(gzip.compress(b"{}") + b"and more", id="more behind"),
        pytest.param(gzip.compress(b"{}") + gzip.compress(b"{}"), id="two members"),
        pytest.param(zlib.compress(b"{}"), id="zlib"),
        pytest.param(b"", id="empty"),
    ],
)
async def test_broken_gzip_is_refused(world, data):
    headers = {"Content-Encoding": "gzip"}
    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=data, headers=headers)

    assert "gzip" in answer.refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_other_encodings_are_refused(world, coding):
    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=b"{}", headers={"Content-Encoding": coding})

    assert "gzip" in answer.refusal(415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["Accept-Encoding"] == "gzip"


async def test_a_mebibyte_is_taken_and_one_byte_more_is_not(world):
    now = world.now()
    body = msgspec.json.encode({"room": "r1", "sent_at": now, "samples": [sample(1, now, 0)]})
    whole = body + b" " * (1024 * 1024 - len(body))
    taken = await world.call("POST", "/api/v1/heartbeats", user="u1", data=whole)
    refused = await world.call("POST", "/api/v1/heartbeats", user="u1", data=whole + b" ")

    assert taken.status == 200
    assert "1048576 bytes" in refused.refusal(413, "TOO_LARGE")


async def test_a_body_without_length_is_bounded_as_well(world):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=pieces())

    answer.refusal(413, "TOO_LARGE")


async def test_more_than_5000_samples_are_too_many(world):
    now = world.now()
    samples = [sample(seq, now, 0, "paused") for seq in range(1, 5_002)]
    taken = await world.beat("u1", {"room": "r1", "samples": samples[:5_000]})
    refused = await world.beat("u1", {"room": "r1", "samples": samples})

    assert taken.json["last_seq"] == 5_000
    assert "5000" in refused.refusal(413, "TOO_LARGE")


# -- 400 --------------------------------------------------------------------------------------------------------------


def wrong(**change: Any) -> list[dict[str, Any]]:
    """Four samples of which the last is wrong in one field."""
    samples = [sample(seq, 1_000 + seq, 0) for seq in (1, 2, 3, 4)]
    samples[3] |= change
    return samples


def missing(field: str) -> list[dict[str, Any]]:
    samples = wrong()
    del samples[3][field]
    return samples


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param({"samples": wrong(position=-1)}, "$.samples[3].position", id="negative position"),
        pytest.param({"samples": wrong(position="5")}, "$.samples[3].position", id="position as text"),
        pytest.param({"samples": missing("position")}, "$.samples[3].position", id="no position"),
        pytest.param({"samples": missing("seq")}, "$.samples[3].seq", id="no seq"),
        pytest.param({"samples": missing("at")}, "$.samples[3].at", id="no at"),
        pytest.param({"samples": missing("state")}, "$.samples[3].state", id="no state"),
        pytest.param({"samples": wrong(seq=0)}, "$.samples[3].seq", id="seq 0"),
        pytest.param({"samples": wrong(seq=2)}, "$.samples[3].seq", id="seq falls"),
        pytest.param({"samples": wrong(seq=3)}, "$.samples[3].seq", id="seq stands"),
        pytest.param({"samples": wrong(seq=2**60)}, "$.samples[3].seq", id="seq over 53 bits"),
        pytest.param({"samples": wrong(at=1.5)}, "$.samples[3].at", id="at a fraction"),
        pytest.param({"samples": wrong(rate=0)}, "$.samples[3].rate", id="rate 0"),
        pytest.param({"samples": wrong(rate=16.1)}, "$.samples[3].rate", id="rate over 16"),
        pytest.param({"samples": wrong(state="dreaming" * 5_000)}, "$.samples[3].state", id="unknown state"),
        pytest.param({"samples": wrong(duration=-1)}, "$.samples[3].duration", id="negative duration"),
        pytest.param({"samples": wrong(visible="yes")}, "$.samples[3].visible", id="visible as text"),
        pytest.param({"samples": [1]}, "$.samples[0]", id="a sample is no object"),
        pytest.param({"samples": {}}, "$.samples", id="samples are no list"),
        pytest.param({"samples": []}, "$.samples", id="no samples"),
        pytest.param({"samples": [], "leave": False}, "$.samples", id="no samples and no leave"),
        pytest.param({}, "$.samples", id="samples missing"),
        pytest.param({"samples": wrong(), "sent_at": None}, "$.sent_at", id="no sent_at"),
        pytest.param({"samples": wrong(), "room": None}, "$.room", id="neither room nor content"),
        pytest.param({"samples": wrong(), "content": LESSON}, "$.room", id="room and content"),
        pytest.param({"samples": wrong(), "room": ""}, "$.room", id="empty id"),
        pytest.param({"samples": wrong(), "room": "x" * 129}, "$.room", id="long id"),
        pytest.param({"samples": wrong(), "room": "a\0b"}, "$.room", id="NUL in id"),
        pytest.param({"samples": wrong(), "room": 1.5}, "$.room", id="fraction as id"),
        pytest.param({"samples": wrong(), "room": None, "content": {"kind": "x"}}, "$.content.id", id="half a content"),
        pytest.param({"samples": wrong(), "device_id": "\0"}, "$.device_id", id="NUL in device"),
        pytest.param({"samples": wrong(), "leave": "now"}, "$.leave", id="leave as text"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_stored(world, body, named):
    before = stored(world)
    answer = await world.beat("u1", {"room": "r1"} | body)

    message = answer.refusal(400, "VALIDATION_FAILED")
    assert f"`{named}`" in message
    assert len(message) < 1_000
    await world.settled()
    assert stored(world) == before
    assert len(world.system.directory) == 0


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"room": "\\ud800"}'])
async def test_what_is_no_json_object_is_refused(world, data):
    answer = await world.call("POST", "/api/v1/heartbeats", user="u1", data=data)

    assert "`$" in answer.refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize("target", [{"room": "r1"}, {"content": LESSON}])
async def test_a_sample_over_a_day_old_is_refused_with_all_of_its_batch(world, target):
    now = world.now()
    samples = [sample(1, now - 1_000, 0), sample(2, now - 25 * HOUR_MS, 1), sample(3, now, 2)]
    answer = await world.beat("u1", target | {"samples": samples})

    message = answer.refusal(400, "VALIDATION_FAILED")
    assert message.startswith("too_old: ")
    assert "samples[1].at" in message
    assert not world.memory.rows.sessions
    await world.checkpoint()
    assert not world.memory.rows.sessions
    assert not world.system.directory.watches
    assert not world.system.directory.keyed


async def test_an_old_sample_in_a_running_session_leaves_it_as_it_was(world):
    now = world.now()
    first = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now - 10_000, 0)]})
    bad = [sample(2, now - 25 * HOUR_MS, 1), sample(3, now, 9)]
    answer = await world.beat("u1", {"content": LESSON, "samples": bad, "leave": True})
    session = (await world.call("GET", f"/api/v1/sessions/{first.json['session_id']}", user="u1")).json

    assert "samples[0].at" in answer.refusal(400, "VALIDATION_FAILED")
    assert (session["last_seq"], session["ended_at"]) == (1, None)


# -- 401 403 404 409 429 ----------------------------------------------------------------------------------------------


async def test_without_a_token_there_is_a_challenge(world):
    answer = await world.call("POST", "/api/v1/heartbeats", {"room": "r1", "sent_at": 1, "samples": []})

    answer.refusal(401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_a_stranger_learns_nothing_about_fields(world):
    answer = await world.call("POST", "/api/v1/heartbeats", {"room": "r1", "token": "forged"})

    assert "$" not in answer.refusal(401, "UNAUTHENTICATED")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic dTpw", "Bearer x.y.z", "Bearer \xff"])
async def test_a_bad_token_is_refused(world, header):
    answer = await world.call("GET", "/api/v1/rooms", headers={"Authorization": header})

    answer.refusal(401, "UNAUTHENTICATED")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_an_expired_token_is_refused(world):
    token = world.token("u1", now_s=1_000_000)
    answer = await world.call("POST", "/api/v1/heartbeats", {}, headers={"Authorization": f"Bearer {token}"})

    assert "expired" in answer.refusal(401, "UNAUTHENTICATED")


async def test_a_token_may_leave_rooms_and_contents_out(world):
    now = world.now()
    token = world.token("u1", rooms=["r2"], contents=[("lesson", "8")])
    for target in ({"room": "r1"}, {"content": LESSON}):
        body = {"sent_at": now, "samples": [sample(1, now, 0)], "token": token} | target
        (await world.call("POST", "/api/v1/heartbeats", body)).refusal(403, "FORBIDDEN")


async def test_unknown_rooms_and_contents_are_not_found_where_they_are_refused(make_world):
    world = await make_world(ROLLCALL_UNKNOWN="refuse")
    now = world.now()
    for target in ({"room": "r1"}, {"content": LESSON}):
        (await world.beat("u1", target | {"samples": [sample(1, now, 0)]})).refusal(404, "NOT_FOUND")
    await world.catalog_store.put_content_stub("lesson", "7")
    await world.catalog.refresh()
    assert (await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})).status == 200


@pytest.mark.parametrize("target", [{"room": "r1"}, {"content": LESSON}])
async def test_another_learners_session_is_a_conflict_alive_or_over(world, target):
    now = world.now()
    theirs = await world.beat("u2", target | {"samples": [sample(1, now, 0)]})
    body = target | {"session_id": theirs.json["session_id"], "samples": [sample(2, now, 1)]}
    (await world.beat("u1", body)).refusal(409, "CONFLICT")
    await world.beat("u2", target | {"samples": [], "leave": True})
    await world.checkpoint()

    (await world.beat("u1", body)).refusal(409, "CONFLICT")


@pytest.mark.parametrize("target", [{"room": "r1"}, {"content": LESSON}])
@pytest.mark.parametrize("session_id", ["nonsense", ids.session_id(1, 1, 1), ids.session_id(1, 4095, 1)])
async def test_an_unknown_session_is_not_found(world, target, session_id):
    now = world.now()
    answer = await world.beat("u1", target | {"session_id": session_id, "samples": [sample(1, now, 0)]})

    assert "session_id" in answer.refusal(404, "NOT_FOUND")


async def test_a_session_of_another_content_is_not_found(world):
    now = world.now()
    first = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})
    body = {"content": {"kind": "lesson", "id": 8}, "session_id": first.json["session_id"]}
    answer = await world.beat("u1", body | {"samples": [sample(2, now, 0)]})

    answer.refusal(404, "NOT_FOUND")


async def test_over_the_rate_of_a_learner_there_is_a_time_to_wait(make_world):
    world = await make_world(ROLLCALL_MESSAGES_PER_SECOND="1", ROLLCALL_MESSAGES_BURST="3")
    now = world.now()
    body = {"room": "r1", "samples": [sample(1, now, 0)]}
    answers = [await world.beat("u1", body) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    answers[3].refusal(429, "RATE_LIMITED")
    assert answers[3].headers["Retry-After"] == "1"
    assert (await world.beat("u2", body)).status == 200


async def test_over_the_rate_of_an_address_nobody_there_is_heard(make_world):
    world = await make_world(ROLLCALL_ADDRESS_REQUESTS_PER_SECOND="1")
    answers = [await world.call("GET", "/healthz") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]


# -- durable before answered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [{"room": "r1"}, {"content": LESSON}])
async def test_the_answer_waits_for_the_commit(world, target):
    now = world.now()
    await world.beat("u1", target | {"samples": [sample(1, now, 0)]})
    before = stored(world)
    world.faults.stalled = True
    posting = asyncio.create_task(world.beat("u1", target | {"samples": [sample(2, now, 0)]}))
    await world.until(lambda: world.faults.waiting)
    await asyncio.sleep(0.05)

    assert not posting.done()
    assert stored(world) == before
    world.faults.stalled = False
    answer = await posting
    assert (answer.status, answer.json["last_seq"]) == (200, 2)
    assert stored(world) > before


async def test_a_commit_that_does_not_come_in_time_is_503_and_a_repeat_is_harmless(world, monkeypatch):
    monkeypatch.setattr("server.http.heartbeats.WRITE_S", 0.05)
    now = world.now()
    samples = [sample(1, now - 10_000, 0), sample(2, now, 10)]
    body = {"content": LESSON, "samples": samples}
    await world.beat("u1", {"content": LESSON, "samples": samples[:1]})
    world.faults.stalled = True
    answer = await world.beat("u1", body)
    world.faults.stalled = False
    again = await world.beat("u1", body)
    session = (await world.call("GET", f"/api/v1/sessions/{again.json['session_id']}", user="u1")).json

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (again.status, session["content_seconds"]) == (200, 10)


async def test_storage_away_for_long_is_told_at_once(world, monkeypatch):
    monkeypatch.setattr("server.http.heartbeats.WRITE_S", 0.05)
    monkeypatch.setattr("server.http.asking.AWAY_MS", 10)
    now = world.now()
    body = {"room": "r1", "samples": [sample(1, now, 0)]}
    await world.beat("u1", body)
    world.faults.away = True
    await world.beat("u1", {"room": "r1", "samples": [sample(2, now, 0)]})
    await asyncio.sleep(0.02)
    taken = world.edge.samples("http").taken
    answer = await world.beat("u1", body)

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert world.edge.samples("http").taken == taken


async def test_a_full_journal_refuses(make_world):
    world = await make_world(rules={"journal_pending": 1})
    now = world.now()
    await world.beat("u1", {"room": "r1", "samples": [sample(1, now, 0)]})
    world.faults.stalled = True
    waiting = asyncio.create_task(world.beat("u1", {"room": "r1", "samples": [sample(2, now, 0)]}))
    await world.until(lambda: world.system.committer.full)
    answer = await world.beat("u2", {"room": "r1", "samples": [sample(1, now, 0)]})
    world.faults.stalled = False

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert (await waiting).status == 200


async def test_a_full_mailbox_refuses(make_world):
    world = await make_world(rules={"mailbox": 0})
    now = world.now()
    for target in ({"room": "r1"}, {"content": LESSON}):
        answer = await world.beat("u1", target | {"samples": [sample(1, now, 0)]})
        answer.refusal(503, "STORAGE_UNAVAILABLE")


async def test_bodies_that_wait_are_bounded_in_bytes(make_world, monkeypatch):
    monkeypatch.setattr(Held.__init__, "__defaults__", (200,))
    world = await make_world()
    now = world.now()
    body = {"room": "r1", "sent_at": now, "samples": [sample(1, now, 0)]}
    assert 100 < len(msgspec.json.encode(body)) < 200
    world.faults.stalled = True
    waiting = asyncio.create_task(world.beat("u1", body))
    await world.until(lambda: world.faults.waiting)
    refused = await world.beat("u2", body)
    world.faults.stalled = False

    refused.refusal(503, "STORAGE_UNAVAILABLE")
    assert (await waiting).status == 200
    assert (await world.beat("u2", body)).status == 200


async def test_before_the_actors_are_there_all_is_503(make_world):
    world = await make_world(start=False)
    now = world.now()
    for target in ({"room": "r1"}, {"content": LESSON}):
        answer = await world.beat("u1", target | {"samples": [sample(1, now, 0)]})
        answer.refusal(503, "STORAGE_UNAVAILABLE")
        assert answer.headers["Retry-After"]


async def test_a_session_that_ends_under_a_post_gives_way_to_the_next(make_world):
    world = await make_world(rules={"watch": WatchRules(idle_ms=50)})
    now = world.now()
    first = await world.beat("u1", {"content": LESSON, "samples": [sample(1, now, 0)]})
    actor = world.system.directory.watches[first.json["session_id"]]
    actor.watch.state.heard_at -= 1_000
    second = await world.beat("u1", {"content": LESSON, "samples": [sample(2, now, 0)]})

    assert second.status == 200
    assert second.json["session_id"] != first.json["session_id"]
