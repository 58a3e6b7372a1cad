"""`/api/v1/catalog` over real sockets: who may, what is taken in, and what it means to rooms and players."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.machines.events import Cancelled
from actors.ports import ROOM
from protocol.catalog import Enrolment
from server.http import bulk as http_bulk
from server.http import keys as http_keys
from server.http.answers import Problem
from storage.keys import WriteKey, digest_of
from tests.edge.http.conftest import Answer, Maker, World
from tests.edge.http.test_heartbeats import sample

BASE = "/api/v1/catalog"
KEY = "a key of the tests"
UPDATED = "2024-02-07T00:00:00Z"
DAY_MS = 86_400_000


async def make_key(world: World, secret: str = KEY, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "rights": ["catalog"],
        "created_at": 0,
        "expires_at": None,
        "revoked_at": None,
        "sample_rate": 1.0,
    }
    await world.write_keys.create(WriteKey(name=secret, digest=digest_of(secret), **(fields | changes)))


@pytest.fixture
async def keyed(world: World) -> World:
    await make_key(world)
    return world


async def put(world: World, path: str, body: Any = None, key: str | None = KEY, **more: Any) -> Answer:
    headers = {} if key is None else {"X-Write-Key": key}
    method = more.pop("method", "PUT")
    return await world.call(method, f"{BASE}/{path}", body, headers=headers | more.pop("headers", {}), **more)


async def bulk(world: World, *lines: Any, **more: Any) -> Answer:
    data = b"\n".join(line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
    return await put(world, "bulk", data=data, method="POST", **more)


def live_class(world: World, **changes: Any) -> dict[str, Any]:
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(world.now() / 1000))
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(world.now() / 1000 + 3600))
    return {
        "name": "Algebra",
        "catalog_product_id": 15,
        "subject": "Maths",
        "start_at": f"{begin}.250Z",
        "end_at": f"{end}+00:00",
        "status": "scheduled",
        "updated_at": UPDATED,
    } | changes


def lesson(**changes: Any) -> dict[str, Any]:
    return {
        "title": "Lesson 7",
        "catalog_product_id": "15",
        "has_video": True,
        "published": True,
        "duration_seconds": 600.5,
        "sequential": False,
        "requires": [{"kind": "lesson", "id": 6}],
        "updated_at": UPDATED,
    } | changes


# -- who may ----------------------------------------------------------------------------------------------------------


async def test_a_missing_and_an_unknown_key_get_the_same_answer(keyed: World):
    answers = [await put(keyed, "products/1", {"name": "x", "updated_at": UPDATED}, key=key) for key in (None, "", "x")]

    assert len({answer.text for answer in answers}) == 1
    assert {answer.refusal(401, "UNAUTHENTICATED") for answer in answers} == {
        "a valid write key is needed in X-Write-Key"
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rights": ["collect", "mobile"]}, "this key has no right to `catalog`"),
        ({"expires_at": 1}, "this key is expired"),
    ],
)
async def test_a_key_that_is_known_and_may_not_is_forbidden(world: World, changes: dict[str, Any], why: str):
    await make_key(world, **changes)

    assert (await put(world, "products/1", {})).refusal(403, "FORBIDDEN") == why


async def test_a_revoked_key_is_forbidden_within_seconds(keyed: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_keys, "FRESH_S", 0.0)
    body = {"name": "x", "updated_at": UPDATED}
    assert (await put(keyed, "products/1", body)).status == 201

    await keyed.write_keys.revoke(KEY, keyed.now())

    assert (await put(keyed, "products/1", body)).refusal(403, "FORBIDDEN") == "this key is revoked"


async def test_a_key_that_was_just_made_is_known(keyed: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_keys, "LOOK_AGAIN_S", 0.0)
    body = {"name": "x", "updated_at": UPDATED}
    (await put(keyed, "products/1", body, key="new")).refusal(401, "UNAUTHENTICATED")
    await make_key(keyed, "new")

    assert (await put(keyed, "products/1", body, key="new")).status == 201


async def test_a_learners_token_opens_nothing(keyed: World):
    answer = await put(keyed, "products/1", {}, key=None, staff=True)

    answer.refusal(401, "UNAUTHENTICATED")


async def test_too_many_requests_of_one_key_are_slowed_down(make_world: Maker):
    world = await make_world(ROLLCALL_WRITE_KEY_REQUESTS_PER_SECOND="1")
    await make_key(world)
    await make_key(world, "another")
    answers = [await put(world, "products/1", {"name": "x", "updated_at": UPDATED}) for _ in range(3)]

    assert [answer.status for answer in answers] == [201, 200, 429]
    answers[-1].refusal(429, "RATE_LIMITED")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await put(world, "products/1", {"name": "x", "updated_at": UPDATED}, key="another")).status == 200


async def test_keys_that_cannot_be_read_are_not_guessed(keyed: World):
    keyed.faults.away = True

    answer = await put(keyed, "products/1", {"name": "x", "updated_at": UPDATED})

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert answer.headers["Retry-After"]


# -- one at a time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("products/1", {"name": "Class 9"}),
        ("programs/g1", {"name": "School"}),
        ("contents/lesson/7", lesson()),
        ("enrolments/15/27", {}),
        ("enrolments/15/27", {"enrolled_at": "2024-01-01T00:00:00+06:00", "ended_at": None}),
    ],
)
async def test_what_is_new_is_made_and_then_kept(keyed: World, path: str, body: dict[str, Any]):
    body = {"updated_at": UPDATED, "what else": [1]} | body
    answers = [await put(keyed, path, body) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].json == {"accepted": 1}


async def test_a_bad_field_is_named_and_nothing_is_taken_in(keyed: World):
    bodies = {
        "products/1": ({"name": "x", "updated_at": "yesterday"}, "updated_at"),
        "contents/lesson/7": (lesson(requires=[{"kind": "lesson", "id": "7"}]), "requires"),
        "live-classes/r1": (live_class(keyed, end_at="2020-01-01T00:00:00Z"), "end_at"),
        "enrolments/15/27": ({"enrolled_at": "soon", "updated_at": UPDATED}, "enrolled_at"),
    }
    for path, (body, field) in bodies.items():
        message = (await put(keyed, path, body)).refusal(400, "VALIDATION_FAILED")
        assert message.endswith(f"`$.{field}`")

    assert not keyed.memory.catalog.rows


async def test_what_is_no_object_is_refused(keyed: World):
    for data in (b"", b"[]", b"{", b"null", b"\xff", b'{"name":"x","updated_at":"\\ud800"}'):
        (await put(keyed, "products/1", data=data)).refusal(400, "VALIDATION_FAILED")


async def test_a_body_over_its_bound_is_refused(keyed: World):
    (await put(keyed, "products/1", {"name": "x", "more": "x" * 65_536})).refusal(413, "TOO_LARGE")


@pytest.mark.parametrize("path", ["products/" + "x" * 129, "contents/lesson/%00", "enrolments/15/" + "x" * 129])
async def test_a_bad_id_in_the_path_is_named(keyed: World, path: str):
    assert "`$." in (await put(keyed, path, {"updated_at": UPDATED})).refusal(400, "VALIDATION_FAILED")


async def test_an_older_telling_is_accepted_and_changes_nothing(keyed: World):
    await put(keyed, "contents/lesson/7", lesson(title="newer", updated_at="2024-02-08T00:00:00Z"))

    assert (await put(keyed, "contents/lesson/7", lesson(title="older"))).status == 200

    found = await keyed.catalog.content("lesson", "7")
    assert found is not None
    assert (found.title, found.duration_ms, found.requires) == ("newer", 600_500, (("lesson", "6"),))


async def test_numbers_and_texts_are_one_id(keyed: World):
    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED})
    await bulk(
        keyed,
        {"entity": "enrolment", "catalog_product_id": 15, "user_id": 27, "updated_at": UPDATED, "ended_at": UPDATED},
    )

    assert [key[1:] for key in keyed.memory.catalog.rows] == [("15", "27")]


async def test_an_enrolment_is_ended_now_and_once(keyed: World):
    await put(keyed, "enrolments/15/27", {"updated_at": UPDATED})

    for _ in range(2):
        assert (await put(keyed, "enrolments/15/27", method="DELETE")).json == {"accepted": 1}
    (await put(keyed, "enrolments/15/28", method="DELETE")).refusal(404, "NOT_FOUND")

    [row] = keyed.memory.catalog.rows.values()
    assert isinstance(row, Enrolment)
    assert row.ended_at is not None
    assert abs(row.ended_at - keyed.now()) < 5_000


async def test_storage_that_is_away_is_said_and_the_same_again_works(keyed: World):
    body = {"name": "x", "updated_at": UPDATED}
    await put(keyed, "products/0", body)
    keyed.faults.away = True
    (await put(keyed, "products/1", body)).refusal(503, "STORAGE_UNAVAILABLE")
    (await put(keyed, "enrolments/15/27", method="DELETE")).refusal(503, "STORAGE_UNAVAILABLE")
    keyed.faults.away = False

    assert (await put(keyed, "products/1", body)).status == 201


# -- many at once -----------------------------------------------------------------------------------------------------


async def test_a_bulk_takes_every_kind_with_the_ids_that_the_paths_have(keyed: World):
    answer = await bulk(
        keyed,
        {"entity": "product", "id": 15, "name": "Class 9", "updated_at": UPDATED},
        {"entity": "program", "id": "g1", "name": "School", "updated_at": UPDATED},
        {"entity": "live_class", "id": "r1"} | live_class(keyed),
        b"  ",
        {"entity": "content", "kind": "lesson", "id": 7} | lesson(),
        {"entity": "enrolment", "catalog_product_id": 15, "user_id": "27", "updated_at": UPDATED},
        b"",
    )

    assert (answer.status, answer.json) == (200, {"accepted": 5})
    assert len(keyed.memory.catalog.rows) == 5


async def test_ids_may_be_called_what_other_bodies_call_them(keyed: World):
    answer = await bulk(
        keyed,
        {"entity": "product", "product_id": 15, "name": "Class 9", "updated_at": UPDATED},
        {"entity": "live_class", "live_class_id": "r1"} | live_class(keyed),
        {"entity": "content", "kind": "lesson", "content_id": 7} | lesson(),
        {"entity": "enrolment", "product_id": 15, "user_id": "27", "updated_at": UPDATED},
    )

    assert answer.json == {"accepted": 4}


async def test_every_fault_of_a_bulk_is_named_by_its_line_and_nothing_is_taken_in(keyed: World):
    good = {"entity": "product", "id": 1, "name": "x", "updated_at": UPDATED}
    answer = await bulk(
        keyed, good, b"{", b"", good | {"name": ""}, good | {"entity": "planet"}, good | {"id": None}, good | {"id": []}
    )

    assert answer.status == 400
    found = answer.json
    assert {key: found[key] for key in ("error", "success", "status_code")} == {
        "error": "VALIDATION_FAILED",
        "success": False,
        "status_code": 400,
    }
    assert [(each["line"], each["field"]) for each in found["errors"]] == [
        (2, ""),
        (4, "name"),
        (5, "entity"),
        (6, "id"),
        (7, "id"),
    ]
    assert all(each["message"] for each in found["errors"])
    assert "line 2" in found["message"]
    assert not keyed.memory.catalog.rows


async def test_the_list_of_faults_has_an_end(keyed: World):
    answer = await bulk(keyed, *[b"{}"] * 150)

    assert len(answer.json["errors"]) == 100
    assert answer.json["message"].startswith("nothing was taken in: at least 100 faults")


async def test_an_empty_bulk_is_taken_in(keyed: World):
    assert (await bulk(keyed)).json == {"accepted": 0}


async def test_a_bulk_may_be_packed(keyed: World):
    lines = [{"entity": "enrolment", "catalog_product_id": 1, "user_id": n, "updated_at": UPDATED} for n in range(3000)]
    data = gzip.compress(b"\r\n".join(map(msgspec.json.encode, lines)))

    answer = await put(keyed, "bulk", data=data, method="POST", headers={"Content-Encoding": "gzip"})

    assert answer.json == {"accepted": 3000}


@pytest.mark.parametrize(
    ("coding", "data", "status", "error"),
    [
        ("br", b"", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("gzip", b"no gzip", 400, "VALIDATION_FAILED"),
        ("gzip", gzip.compress(b"{}" * 1000)[:-9], 400, "VALIDATION_FAILED"),
        ("gzip", gzip.compress(b"\n") * 2, 400, "VALIDATION_FAILED"),
        ("gzip", b"", 400, "VALIDATION_FAILED"),
        ("gzip", gzip.compress(b" " * 65_000_000 + b"\n"), 413, "TOO_LARGE"),
        ("identity", b"x" * 65_537, 413, "TOO_LARGE"),
    ],
    ids=["unknown", "broken", "cut", "two", "nothing", "a bomb", "a long line"],
)
async def test_what_cannot_be_cut_into_lines_is_refused(
    keyed: World, coding: str, data: bytes, status: int, error: str
):
    answer = await put(keyed, "bulk", data=data, method="POST", headers={"Content-Encoding": coding})

    answer.refusal(status, error)


def in_pieces(data: bytes, then: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """A body without a length, which may not come to its end."""

    async def pieces() -> AsyncIterator[bytes]:
        yield data
        if then is not None:
            await then.wait()

    return pieces()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_bulk_of_too_many_bytes_is_refused(keyed: World, monkeypatch: pytest.MonkeyPatch, *, streamed: bool):
    monkeypatch.setattr(http_bulk, "BYTES_MAX", 1000)
    fits, too_many = b" \n" * 500, b" \n" * 501

    answers = [
        await put(keyed, "bulk", data=in_pieces(data) if streamed else data, method="POST") for data in (fits, too_many)
    ]

    assert answers[0].json == {"accepted": 0}
    answers[1].refusal(413, "TOO_LARGE")


async def test_one_line_too_many_is_named(keyed: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_bulk, "LINES_MAX", 3)
    line = msgspec.json.encode({"entity": "product", "id": 1, "name": "x", "updated_at": UPDATED}) + b"\n\n"
    assert (await put(keyed, "bulk", data=line * 3, method="POST")).json == {"accepted": 3}
    keyed.memory.catalog.rows.clear()

    answer = await put(keyed, "bulk", data=line * 4, method="POST")

    assert answer.status == 400
    assert answer.json["errors"] == [{"line": 7, "field": "", "message": "more than 3 lines"}]
    assert not keyed.memory.catalog.rows


async def test_a_bulk_that_does_not_come_is_given_up(keyed: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_bulk, "READ_S", 0.01)
    never = asyncio.Event()

    answer = await put(keyed, "bulk", data=in_pieces(b"{", never), method="POST")

    answer.refusal(408, "REQUEST_TIMEOUT")
    assert not keyed.memory.catalog.rows


async def test_one_bulk_is_taken_in_at_a_time_and_few_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_bulk, "WAITING_MAX", 1)
    bulks, inside, done = http_bulk.Bulks(), asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with bulks.turn():
            inside.set()
            await done.wait()

    async def second() -> None:
        async with bulks.turn():
            assert done.is_set()

    tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
    await inside.wait()
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        async with bulks.turn():
            pytest.fail("there is no room to wait")
    done.set()
    await asyncio.gather(*tasks)

    assert refused.value.status == 503


async def test_a_bulk_waits_for_so_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_bulk, "TURN_S", 0.01)
    bulks = http_bulk.Bulks()
    async with bulks.turn():
        with pytest.raises(Problem) as refused:
            async with bulks.turn():
                pytest.fail("it is somebody else's turn")

    assert refused.value.status == 503
    async with bulks.turn():
        """The place is free again."""


async def test_bulks_and_single_tellings_at_once_leave_the_newest(keyed: World):
    times = [f"2024-02-07T00:00:{second:02}Z" for second in (3, 9, 1, 7)]
    lines = [{"entity": "content", "kind": "lesson", "id": 7} | lesson(title=f"at {at}", updated_at=at) for at in times]

    answers = await asyncio.gather(
        bulk(keyed, *lines),
        *(put(keyed, "contents/lesson/7", lesson(title=f"at {at}", updated_at=at)) for at in times),
        bulk(keyed, *reversed(lines)),
    )

    assert {answer.status for answer in answers} <= {200, 201}
    found = await keyed.catalog.content("lesson", "7")
    assert found is not None
    assert found.title == f"at {times[1]}"


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
