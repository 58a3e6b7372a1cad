"""Staff read app sessions: the list page by page, one whole, its messages and images page by page."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from protocol.mobile import Click, CustomEvent, Log, NetworkCall, OlderViewComponent, PerformanceAggregated, SessionEnd
from protocol.mobile.messages import Body, write_body
from protocol.mobile_reading import MobileSessionAnswer, MobileSessionsAnswer
from protocol.rest import ErrorEnvelope
from storage.mobile_reading import PAGE_BYTES
from tests.edge.mobile_images.conftest import Answer, World
from tests.edge.mobile_images.pictures import PNG, form, part

pytestmark = pytest.mark.slow

T0 = 1_700_000_000_000
DAY_S = 86_400


def listed(answer: Answer) -> MobileSessionsAnswer:
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body, type=MobileSessionsAnswer, strict=True)


def whole(answer: Answer) -> MobileSessionAnswer:
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body, type=MobileSessionAnswer, strict=True)


def refused(answer: Answer, status: int) -> str:
    assert answer.status == status, (answer.status, answer.body)
    return msgspec.json.decode(answer.body, type=ErrorEnvelope).message


async def ids(world: World, **query: Any) -> list[str]:
    return [item.session_id for item in listed(await world.read(**query)).items]


async def say(world: World, at: int, body: Body) -> None:
    await world.message(at, body.TYPE, write_body(body))


# -- the list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def many(world: World) -> World:
    """Five more sessions: of two learners in two projects, a day apart, two of them at the same moment."""
    at = T0 / 1000
    big = 2**63 - 1
    for session_id, project, user, day in (
        (11, "app", "27", 1),
        (12, "other", "27", 2),
        (13, "app", None, 2),
        (14, "app", "28", 3),
        (big, "app", "27", 4),
    ):
        await world.session(session_id, project, user, at=at + day * DAY_S)
    return world


async def test_a_session_is_listed_as_it_is(world: World):
    await world.session(2**62 + 1, user_id="27", at=1_700_000_000.123)
    await world.database.execute("UPDATE mobile_sessions SET ended_at = started_at WHERE session_id = 7")

    assert (await world.read()).json == {
        "items": [
            {
                "session_id": str(2**62 + 1),
                "project": "app",
                "user_id": "27",
                "user_uuid": "phone",
                "started_at": "2023-11-14T22:13:20.123Z",
                "ended_at": None,
            },
            {
                "session_id": "7",
                "project": "app",
                "user_id": None,
                "user_uuid": "phone",
                "started_at": "2023-11-14T22:13:20.000Z",
                "ended_at": "2023-11-14T22:13:20.000Z",
            },
        ],
        "next_cursor": None,
    }


async def test_the_list_is_the_newest_first_and_is_narrowed(many: World):
    big = str(2**63 - 1)
    assert await ids(many) == [big, "14", "13", "12", "11", "7"]
    assert await ids(many, user_id="27") == [big, "12", "11"]
    assert await ids(many, project="app") == [big, "14", "13", "11", "7"]
    assert await ids(many, user_id="27", project="other") == ["12"]
    assert await ids(many, user_id="nobody") == []
    assert await ids(many, project="nobody") == []


async def test_the_list_is_narrowed_by_when_sessions_began(many: World):
    range_ = {"start_at": "2023-11-15T22:13:20Z", "end_at": "2023-11-17T22:13:20Z"}

    assert await ids(many, **range_) == ["13", "12", "11"]
    assert await ids(many, **range_, user_id="27") == ["12", "11"]
    assert await ids(many, **range_, project="app") == ["13", "11"]
    assert await ids(many, start_at="2023-11-16", end_at="2023-11-16", tz="UTC") == ["13", "12"]


@pytest.mark.parametrize("query", [{}, {"user_id": "27"}, {"project": "app"}])
async def test_pages_follow_each_other_without_a_gap(many: World, query: dict[str, str]):
    found: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        page = listed(await many.read(limit=2, **query, **({} if cursor is None else {"cursor": cursor})))
        found += [item.session_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert found == await ids(many, **query)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"cursor": "x"},
        {"cursor": "1.2.3"},
        {"cursor": f"1.{2**63}"},
        {"start_at": "yesterday"},
        {"tz": "Nowhere/At_All"},
        {"user_id": ""},
        {"project": "x" * 129},
    ],
)
async def test_a_bad_question_is_refused(world: World, query: dict[str, str]):
    refused(await world.read(**query), 400)


@pytest.mark.parametrize("path", ["", "/7", "/7/images/a"])
async def test_it_is_for_staff(world: World, path: str):
    refused(await world.read(path, role=None), 401)
    refused(await world.read(path, role="learner"), 403)


@pytest.mark.parametrize(
    "path", ["/8", "/07x", "/-7", f"/{2**63}", "/\u0667", "/8/images/a", "/7/images/a", "/7/images/..%2Fa"]
)
async def test_what_is_not_there_is_not_found(world: World, path: str):
    refused(await world.read(path), 404)


# -- one --------------------------------------------------------------------------------------------------------------


async def test_a_session_is_shown_whole(world: World):
    await world.session(8, user_id="27", device={"model": "Pixel", "width": 1080})
    await world.database.execute(
        "UPDATE mobile_sessions SET user_label = 'Mina', anonymous_label = 'x', undecodable = 3 WHERE session_id = 8"
    )
    for watched in ("b", "a"):
        await world.database.execute("INSERT INTO mobile_watch_sessions VALUES (8, $1, '27')", watched)
    await world.upload(form(part("image", PNG, "5f3c")), session=8)
    await world.message(T0 + 5, Click.TYPE, write_body(Click("Tap", 10, 300)), session=8)

    shown = (await world.read("/8")).json

    stored_at = shown["images"][0].pop("stored_at")
    assert stored_at.endswith("Z")
    assert shown == {
        "session_id": "8",
        "project": "app",
        "user_id": "27",
        "user_uuid": "phone",
        "started_at": "2023-11-14T22:13:20.000Z",
        "ended_at": None,
        "user_label": "Mina",
        "anonymous_label": "x",
        "device": {"model": "Pixel", "width": 1080},
        "messages": [
            {
                "at": "2023-11-14T22:13:20.005Z",
                "type": 100,
                "name": "click",
                "fields": {"label": "Tap", "x": 10, "y": 300},
                "raw": None,
                "undecodable": False,
            }
        ],
        "next_cursor": None,
        "images": [
            {
                "hash": "5f3c",
                "content_type": "image/png",
                "size_bytes": len(PNG),
                "frame": False,
                "at": None,
                "url": "/api/v1/mobile/sessions/8/images/5f3c",
            }
        ],
        "next_images_cursor": None,
        "undecodable": 3,
        "watch_sessions": ["a", "b"],
    }


async def test_messages_are_named_and_their_fields_are_shown(world: World):
    call = NetworkCall("http", "GET", "https://x/ক", "", "{}", 200, 35)
    bodies = [
        CustomEvent("heartbeat", '{"position":1}'),
        OlderViewComponent("Home", "home"),
        call,
        SessionEnd(),
        PerformanceAggregated(*range(1, 15)),
    ]
    for n, body in enumerate(bodies):
        await say(world, T0 + n, body)

    shown = whole(await world.read("/7")).messages

    assert [(one.name, one.fields) for one in shown] == [
        ("custom_event", {"name": "heartbeat", "payload": '{"position":1}'}),
        ("view_component", {"title": "Home", "view_name": "home"}),
        ("network_call", msgspec.to_builtins(call)),
        ("session_end", {}),
        ("performance_aggregated", msgspec.to_builtins(bodies[-1])),
    ]
    assert [one.type for one in shown] == [body.TYPE for body in bodies]


async def test_what_is_not_known_or_does_not_decode_is_shown_raw(world: World):
    await world.message(T0, 12345, b"\x00\xffnew")
    await world.message(T0 + 1, Click.TYPE, b"\x09ab", undecodable=True)
    await world.message(T0 + 2, Click.TYPE, b"\x09ab")

    unknown, broken, unmarked = whole(await world.read("/7")).messages

    assert (unknown.name, unknown.fields, unknown.undecodable) == (None, None, False)
    assert unknown.raw == b64encode(b"\x00\xffnew").decode()
    for one in (broken, unmarked):
        assert (one.name, one.fields, one.raw, one.undecodable) == (None, None, b64encode(b"\x09ab").decode(), True)


async def pages(world: World, **query: Any) -> list[MobileSessionAnswer]:
    found = [whole(await world.read("/7", **query))]
    while found[-1].next_cursor is not None and len(found) < 50:
        found.append(whole(await world.read("/7", cursor=found[-1].next_cursor, **query)))
    return found


async def test_messages_come_page_by_page_in_the_order_of_time(world: World):
    for n in range(7):
        await world.message(T0 + n // 2, 100 + n, b"\x00\x00\x00")

    found = await pages(world, limit=3)

    assert [len(page.messages) for page in found] == [3, 3, 1]
    assert [one.type for page in found for one in page.messages] == list(range(100, 107))
    assert len(await pages(world, limit=7)) == 1


async def test_a_page_of_messages_has_a_weight_and_one_that_is_heavier_is_a_page_of_its_own(world: World):
    for n, size in enumerate((400_000, 400_000, 400_000, 3_000_000, 1)):
        await world.message(T0 + n, 999, bytes(size))

    found = await pages(world)

    assert [len(page.messages) for page in found] == [2, 1, 1, 1]
    assert [page.messages[-1].size_bytes for page in found] == [UNSET, UNSET, 3_000_000, UNSET]


async def test_of_a_body_over_a_mebibyte_its_beginning_is_shown_and_its_length(world: World):
    log = write_body(Log("info", "x" * PAGE_BYTES))
    await world.message(T0, Log.TYPE, log)
    await world.message(T0 + 1, Log.TYPE, log[:PAGE_BYTES], undecodable=True)

    cut, whole_ = (page.messages[0] for page in await pages(world))

    assert (cut.name, cut.fields, cut.undecodable, cut.size_bytes) == (None, None, False, len(log))
    assert b64decode(cut.raw or "") == log[:PAGE_BYTES]
    assert (b64decode(whole_.raw or ""), whole_.size_bytes) == (log[:PAGE_BYTES], UNSET)


async def test_images_come_page_by_page(world: World):
    await world.upload(form(*(part("image", PNG, f"h{n}") for n in range(5))))

    first = whole(await world.read("/7", limit=2))
    second = whole(await world.read("/7", limit=2, images_cursor=first.next_images_cursor))
    third = whole(await world.read("/7", limit=2, images_cursor=second.next_images_cursor))

    assert [one.hash for page in (first, second, third) for one in page.images] == [f"h{n}" for n in range(5)]
    assert third.next_images_cursor is None


@pytest.mark.parametrize(
    "query", [{"cursor": "1.2"}, {"cursor": "1.2.zz"}, {"images_cursor": "ক"}, {"limit": "1001"}, {"limit": "x"}]
)
async def test_a_bad_question_about_one_is_refused(world: World, query: dict[str, str]):
    refused(await world.read("/7", **query), 400)


async def test_the_head_of_an_image_is_told_without_its_bytes(world: World):
    await world.upload(form(part("image", PNG, "a")))

    answer = await world.read("/7/images/a", method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(PNG))


async def test_an_image_whose_file_is_gone_is_told_so(world: World):
    await world.upload(form(part("image", PNG, "a")))
    for path in world.kept():
        path.unlink()

    assert "gone" in refused(await world.read("/7/images/a"), 404)


async def test_where_storage_is_away_the_reader_comes_again(world: World):
    await world.server.database.close()
    answers = [await world.read(path) for path in ("", "/7", "/7/images/a")]
    await world.server.database.open()

    for answer in answers:
        refused(answer, 503)
        assert answer.headers["Retry-After"]
