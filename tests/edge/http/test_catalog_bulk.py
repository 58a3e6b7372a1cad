"""`POST /api/v1/catalog/bulk`: all of it or nothing, and within bounds."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from server.http import bulk as http_bulk
from server.http.answers import Problem
from tests.edge.http.catalog_door import UPDATED, bulk, lesson, live_class, make_key, put
from tests.edge.http.conftest import World


@pytest.fixture
async def keyed(world: World) -> World:
    await make_key(world)
    return world


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
        ("gzip", lambda: gzip.compress(b" " * 65_000_000 + b"\n", 1), 413, "TOO_LARGE"),
        ("identity", b"x" * 65_537, 413, "TOO_LARGE"),
    ],
    ids=["unknown", "broken", "cut", "two", "nothing", "a bomb", "a long line"],
)
async def test_what_cannot_be_cut_into_lines_is_refused(
    keyed: World, coding: str, data: bytes | Callable[[], bytes], status: int, error: str
):
    body = data() if callable(data) else data
    answer = await put(keyed, "bulk", data=body, method="POST", headers={"Content-Encoding": coding})

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
