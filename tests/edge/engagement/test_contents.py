"""What staff ask about one content, and what a learner asks about their own."""

import csv
import io
from typing import Any

import pytest

from tests.edge.engagement.conftest import DAY, HOUR, Watching
from tests.edge.learning.conftest import World, said

pytestmark = pytest.mark.slow  # a database of its own each

BASE = "/videos/engagement"
SEVEN: dict[str, Any] = {"content_kind": "video", "content_id": "7"}


async def summary(world: World, **query):
    return (await world.get(f"{BASE}/summary", staff=True, **(SEVEN | query))).json["data"]


async def retention(world: World, **query):
    return (await world.get(f"{BASE}/retention", staff=True, **(SEVEN | query))).json["data"]


async def three(watching: Watching) -> None:
    """One completes and watches the beginning again, one leaves at 50 s, one is still there at 20 s."""
    await watching.content()
    await watching.view("ann", (0, 100), (0, 10))
    await watching.view("bob", (0, 50), at=watching.begin + DAY)
    now = watching._world.now()
    await watching.view("cid", (10, 20), at=now - 60_000, is_open=True)


async def test_the_summary_counts_people_views_and_seconds(world: World, watching: Watching):
    await three(watching)

    assert await summary(world) == {
        "content_kind": "video",
        "content_id": 7,
        "start_at": None,
        "end_at": None,
        "duration_seconds": 100.0,
        "views": 3,
        "viewers": 3,
        "starts": 3,
        "completion_rate": 0.3333,
        "replay_rate": 0.3333,
        "drop_off_rate": 0.5,
        "average_view_duration": 56.667,
        "average_percentage_viewed": 0.5667,
        "average_coverage": {"mean": 0.5333, "q1": 0.3, "median": 0.5, "q3": 0.75},
        "watch_seconds": 170.0,
        "content_seconds": 170.0,
    }


async def test_nobody_yet_is_all_zeros_and_every_key(world: World, watching: Watching):
    await watching.content()

    found = await summary(world)
    drawn = await retention(world, buckets="10")

    assert found["average_coverage"] == {"mean": 0.0, "q1": 0.0, "median": 0.0, "q3": 0.0}
    assert {found[key] for key in ("views", "viewers", "starts", "completion_rate", "drop_off_rate")} == {0}
    assert drawn["hazard"] == drawn["survival"] == [0.0] * 10


async def test_curves_say_who_was_where(world: World, watching: Watching):
    await three(watching)

    found = await retention(world, buckets="10")

    assert found["bucket_seconds"] == 10.0
    assert found["absolute"] == [1.0, 1.0] + [0.6667] * 3 + [0.3333] * 5
    assert found["unique"] == [0.6667, 1.0] + [0.6667] * 3 + [0.3333] * 5
    assert found["replays"] == [1] + [0] * 9
    assert found["survival"] == [1.0, 1.0] + [0.6667] * 3 + [0.3333] * 5


async def test_each_viewer_completes_is_open_or_exits(world: World, watching: Watching):
    await three(watching)

    found = await retention(world, buckets="10")

    assert found["exits"] == [0.0] * 5 + [0.3333] + [0.0] * 4
    assert found["hazard"] == [0.0] * 5 + [0.5] + [0.0] * 4
    assert (found["completion_rate"], found["censored_share"]) == (0.3333, 0.3333)


async def test_a_range_takes_the_views_that_began_in_it(world: World, watching: Watching):
    await three(watching)

    found = await summary(world, start_at=said(watching.begin + HOUR), end_at=said(watching.begin + 2 * DAY))
    drawn = await retention(
        world, start_at=said(watching.begin + HOUR), end_at=said(watching.begin + 2 * DAY), buckets="10"
    )

    assert (found["views"], found["viewers"], found["watch_seconds"]) == (1, 1, 50.0)
    assert (found["start_at"], found["end_at"]) == (said(watching.begin + HOUR), said(watching.begin + 2 * DAY))
    assert drawn["unique"] == [1.0] * 5 + [0.0] * 5
    assert drawn["exits"] == [0.0] * 5 + [1.0] + [0.0] * 4


async def test_what_ends_at_a_ranges_end_is_none_of_its_facts_though_its_view_is_taken_whole(
    world: World, watching: Watching
):
    """Ann saw 0-30 s before it, 20-80 s within it, the second half of that up to its end, and 90-100 s behind it."""
    await watching.content()
    end = watching.begin + 2 * DAY
    await watching.view("ann", (0, 30))
    await watching.view("ann", (20, 50), (50, 80), at=end - 60_000)
    await watching.view("ann", (90, 100), at=end + HOUR)

    at, behind = [
        await summary(world, start_at=said(watching.begin + DAY), end_at=said(end + more)) for more in (0, 1000)
    ]

    assert (at["views"], at["watch_seconds"], at["average_coverage"]["mean"]) == (1, 60.0, 0.5)
    assert (behind["views"], behind["watch_seconds"], behind["average_coverage"]["mean"]) == (1, 60.0, 0.8)


async def test_a_range_over_everything_answers_as_no_range_does(world: World, watching: Watching):
    await three(watching)
    now = world.now()
    await watching.view("dan", (5, 30), (30, 95), at=now - 20 * DAY)
    await watching.view("dan", (0, 10), at=now - 19 * DAY)
    every = {"start_at": said(watching.begin - HOUR), "end_at": said(now // 1000 * 1000)}

    for ask in (summary, retention):
        without, within = await ask(world), await ask(world, **every)
        assert without | {"start_at": None, "end_at": None} == within | {"start_at": None, "end_at": None}


async def test_viewers_are_listed_by_id_over_pages(world: World, watching: Watching):
    await three(watching)
    await watching.view("zoe", (0, 2))

    answer = await world.get(f"{BASE}/viewers", staff=True, **SEVEN, limit="2")
    first = answer.json["data"]
    assert "Accept" in answer.headers["Vary"].split(", ")
    then = (await world.get(f"{BASE}/viewers", staff=True, **SEVEN, cursor=first["next_cursor"])).json["data"]

    assert [one["user_id"] for one in first["items"] + then["items"]] == ["ann", "bob", "cid"]
    assert then["next_cursor"] is None
    assert first["items"][0] == {
        "user_id": "ann",
        "views": 1,
        "coverage": 1.0,
        "covered_seconds": 100.0,
        "content_seconds": 110.0,
        "rewatched_seconds": 10.0,
        "watch_seconds": 110.0,
        "position": 10.0,
        "completed_at": said(watching.begin + 100_000),
    }


async def test_viewers_as_csv_are_all_of_them_under_the_same_names(
    world: World, watching: Watching, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.http.engagement.table.ROWS", 2)
    await three(watching)
    await watching.view('eve "x", y', (0, 20))
    staff = (await world.get(f"{BASE}/viewers", staff=True, **SEVEN)).json["data"]["items"]

    # The day is one of Dhaka, where it may be tomorrow.
    for period in ({}, {"start_at": said(world.now() - 390 * DAY)[:10], "end_at": said(world.now() + DAY)[:10]}):
        answer = await csv_of(world, **period)

        assert answer[0] == list(staff[0])
        assert [row[0] for row in answer[1:]] == ["ann", "bob", "cid", 'eve "x", y']
        assert answer[1][1:4] == ["1", "1.0", "100.0"]
        assert answer[2][-1] == ""


async def csv_of(world: World, **query: str) -> list[list[str]]:
    from tests.edge.learning.conftest import token

    headers = {"Authorization": f"Bearer {token('t', 'staff')}", "Accept": "text/csv, application/json;q=0.5"}
    url = f"{world.url}/api/v1{BASE}/viewers"
    async with world.http.get(url, headers=headers, params=SEVEN | query) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.reader(io.StringIO(await response.text())))


async def test_mine_is_what_was_watched_up_to_the_last_heartbeat(world: World, watching: Watching):
    await watching.content()
    await watching.view("ann", (0, 30))
    now = world.now()
    samples = [
        {"seq": n + 1, "at": now - 20_000 + 10_000 * n, "position": 40 + 10 * n, "state": "playing"} for n in range(3)
    ]
    body = {"sent_at": now, "content": {"kind": "video", "id": 7}, "samples": samples}
    (await world.post("/heartbeats", body, "ann")).json  # noqa: B018 - asserts 200

    found = (await world.get(f"{BASE}/me", "ann", **SEVEN)).json["data"]

    assert found == {
        "content_kind": "video",
        "content_id": 7,
        "duration_seconds": 100.0,
        "coverage": 0.5,
        "ranges": [[0.0, 30.0], [40.0, 60.0]],
        "position": 60.0,
        "completed": False,
        "completed_at": None,
    }
    await world.checkpoint()
    assert (await world.get(f"{BASE}/me", "ann", **SEVEN)).json["data"] == found
    assert (await summary(world))["content_seconds"] == 50.0


async def test_mine_of_a_content_never_watched_is_empty(world: World, watching: Watching):
    await watching.content()

    found = (await world.get(f"{BASE}/me", "ann", **SEVEN)).json["data"]

    assert (found["ranges"], found["coverage"], found["position"], found["completed"]) == ([], 0.0, 0.0, False)


async def test_staff_may_read_another_learners_own_and_learners_may_not(world: World, watching: Watching):
    await watching.content()
    await watching.view("ann", (0, 30))

    found = (await world.get(f"{BASE}/me", "t", staff=True, user_id="ann", **SEVEN)).json["data"]

    assert found["ranges"] == [[0.0, 30.0]]
    (await world.get(f"{BASE}/me", "bob", user_id="ann", **SEVEN)).refusal(403, "FORBIDDEN")


@pytest.mark.parametrize("path", ["summary", "retention", "viewers"])
async def test_one_content_is_for_staff(world: World, path: str):
    (await world.get(f"{BASE}/{path}", "ann", **SEVEN)).refusal(403, "FORBIDDEN")
    (await world.get(f"{BASE}/{path}", None, **SEVEN)).refusal(401, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", ["summary", "retention", "viewers", "me"])
async def test_an_unknown_content_is_404(world: World, path: str):
    (await world.get(f"{BASE}/{path}", staff=True, **SEVEN)).refusal(404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("summary", {"content_kind": "video"}, "content_id"),
        ("summary", {"content_id": "7"}, "content_kind"),
        ("me", {"content_kind": "video"}, "content_id"),
        ("summary", SEVEN | {"start_at": "soon"}, "start_at"),
        ("summary", SEVEN | {"start_at": "2024-02-02", "end_at": "2024-02-01"}, "end_at"),
        ("summary", SEVEN | {"tz": "Mars/Base"}, "tz"),
        ("retention", SEVEN | {"buckets": "9"}, "buckets"),
        ("retention", SEVEN | {"buckets": "1001"}, "buckets"),
        ("viewers", SEVEN | {"limit": "0"}, "limit"),
        ("viewers", SEVEN | {"cursor": "\0"}, "cursor"),
        ("summary", {"content_kind": "video", "content_id": "x" * 513}, "content_id"),
    ],
)
async def test_what_cannot_be_asked_is_400_and_named(world: World, path: str, query: dict[str, Any], named: str):
    assert named in (await world.get(f"{BASE}/{path}", staff=True, **query)).refusal(400, "VALIDATION_FAILED")


async def test_a_store_that_is_away_is_503(world: World):
    await world.server.database.close()

    for path in ("summary", "retention", "viewers", "me", "top"):
        answer = await world.get(f"{BASE}/{path}", staff=True, **SEVEN)
        answer.refusal(503, "STORAGE_UNAVAILABLE")
        assert answer.headers["Retry-After"]
    await world.server.database.open()
