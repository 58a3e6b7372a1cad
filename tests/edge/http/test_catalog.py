"""`/api/v1/catalog` over real sockets, one thing at a time: who may, and what is taken in."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.catalog import Enrolment
from server.http import keys as http_keys
from tests.edge.http.catalog_door import KEY, UPDATED, bulk, lesson, live_class, make_key, put
from tests.edge.http.conftest import Maker, World


@pytest.fixture
async def keyed(world: World) -> World:
    await make_key(world)
    return world


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
