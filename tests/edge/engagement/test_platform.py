"""What staff ask about all contents."""

from typing import Any

import pytest

from server.http.engagement import crowds
from tests.edge.engagement.conftest import DAY, HOUR, Watching
from tests.edge.learning.conftest import MINUTE, World, said
from tests.support.examples import T0

pytestmark = pytest.mark.slow  # a database of its own each

TOP = "/videos/engagement/top"
NOON = T0 // 1000 * 1000
"""A Monday, 22:00 in Dhaka."""


async def dashboard(world: World, **query):
    return (await world.get("/analytics/dashboard", staff=True, **query)).json["data"]["videos"]


async def test_top_sorts_and_pages(world: World, watching: Watching):
    await watching.content("7", course_id="k")
    await watching.content("8")
    await watching.view("ann", (0, 100))
    await watching.view("ann", (0, 20), content_id="8")
    await watching.view("bob", (0, 20), content_id="8")

    by_viewers = (await world.get(TOP, staff=True, limit="1")).json["data"]
    after = (await world.get(TOP, staff=True, limit="1", cursor=by_viewers["next_cursor"])).json["data"]
    by_completion = (await world.get(TOP, staff=True, sort="completion")).json["data"]["items"]
    of_course = (await world.get(TOP, staff=True, course_id="k")).json["data"]

    assert by_viewers["items"] == [
        {
            "content_kind": "video",
            "content_id": 8,
            "title": "Light",
            "viewers": 2,
            "views": 2,
            "completion_rate": 0.0,
            "drop_off_rate": 1.0,
            "watch_seconds": 40.0,
        }
    ]
    assert [one["content_id"] for one in after["items"]] == [7]
    assert after["next_cursor"] is None
    assert [one["content_id"] for one in by_completion] == [7, 8]
    assert [one["content_id"] for one in of_course["items"]] == [7]


async def test_people_at_once_by_step(world: World, watching: Watching):
    await watching.view("ann", (0, 40), at=NOON)
    await watching.view("ann", (0, 30), at=NOON + 10_000, content_id="8")
    await watching.view("bob", (0, 10), at=NOON + 30_000)

    query = {"start_at": said(NOON), "end_at": said(NOON + 90_000), "step": "60"}
    found = (await world.get("/videos/concurrent", staff=True, **query)).json["data"]

    assert found == {
        "start_at": said(NOON),
        "end_at": said(NOON + 90_000),
        "step": 60,
        "steps": [
            {"start_at": said(NOON), "peak": 2, "mean": 0.8333},
            {"start_at": said(NOON + 60_000), "peak": 0, "mean": 0.0},
        ],
    }


@pytest.mark.parametrize(("start", "end"), [(0, 5 * DAY), (HOUR, 4 * DAY + HOUR), (15 * MINUTE, 3 * DAY + 1000)])
async def test_days_that_are_kept_answer_as_the_rows_do(world: World, watching: Watching, start: int, end: int):
    begin = NOON // DAY * DAY
    for n in range(40):
        at = begin + n * 7 * HOUR // 3 + n * 1_234_567
        await watching.view(f"u{n % 7}", (0, 900 + n * 300), at=at, content_id=str(n % 3))
    days = world.server.services.engagement.crowds
    low, high = begin + start, begin + end

    for _ in range(2):
        for step in (15 * MINUTE, HOUR, DAY):
            assert await crowds.steps(days, low, high, step) == await days.counted(low, high, step)
        while await days.keep_next():
            pass
    assert await days.kept(begin // DAY, begin // DAY + 5)


async def test_a_kept_day_is_counted_again_when_it_is_touched(world: World, watching: Watching):
    begin = NOON // DAY * DAY
    days = world.server.services.engagement.crowds

    async def kept() -> int | None:
        found = (await days.kept(begin // DAY, begin // DAY + 1)).get(begin // DAY)
        return None if found is None else max(step.peak for step in found)

    async def keep() -> int | None:
        while await days.keep_next():
            pass
        return await kept()

    await watching.view("ann", (0, 50), at=begin)
    assert await keep() == 1
    await watching.view("bob", (0, 50), at=begin)
    # Who counted before it was touched is too late.
    await world.server.database.fetch("crowd_days_write", begin // DAY, 0, [9], [9])
    assert await kept() is None
    assert await keep() == 2
    await world.server.database.fetch("erase_learner", "ann")
    assert await kept() is None
    assert await keep() == 1


async def test_the_dashboard_counts_sessions(world: World, watching: Watching):
    await watching.content()
    await watching.view("ann", (0, 100), at=NOON)
    await watching.view("ann", (0, 30), at=NOON + HOUR)
    await watching.view("bob", (0, 76), at=NOON + 2 * HOUR)
    await watching.view("bob", (0, 20), at=NOON + 3 * HOUR, content_id="8")
    await watching.view("cid", at=NOON, last_sample_at=None)

    found = await dashboard(world)

    assert found == {
        "total_watch_sessions": 4,
        "completed_sessions": 1,
        "replay_sessions": 1,
        "unique_video_starts": 2,
        "users_who_replayed": 1,
        "completion_rate": 0.25,
        "replay_rate": 0.25,
        "drop_off_by_checkpoint": [
            {"checkpoint_percent": 25, "total_sessions": 3, "viewers_reached": 3, "drop_off_rate": 0.0},
            {"checkpoint_percent": 50, "total_sessions": 3, "viewers_reached": 2, "drop_off_rate": 0.3333},
            {"checkpoint_percent": 75, "total_sessions": 3, "viewers_reached": 2, "drop_off_rate": 0.3333},
            {"checkpoint_percent": 90, "total_sessions": 3, "viewers_reached": 1, "drop_off_rate": 0.6667},
            {"checkpoint_percent": 100, "total_sessions": 3, "viewers_reached": 1, "drop_off_rate": 0.6667},
        ],
    }


async def test_the_dashboard_of_a_period_counts_what_began_in_it(world: World, watching: Watching):
    await watching.content()
    await watching.view("ann", (0, 10), at=NOON)
    await watching.view("ann", (10, 20), at=NOON + 3 * HOUR)
    await watching.view("bob", (10, 20), at=NOON + 40 * DAY)

    async def count(**query: str) -> tuple[int, int]:
        found = await dashboard(world, **query)
        return found["total_watch_sessions"], found["unique_video_starts"]

    assert await count() == (3, 2)
    assert await count(year="2025") == (2, 1)
    assert await count(year="2026") == (1, 1)
    assert await count(year="2025", month="11") == (2, 1)
    assert await count(year="2025", month="12") == (0, 0)
    assert await count(**{"from": "2025-11-25", "to": "2025-11-25"}) == (1, 1)
    assert await count(**{"from": said(NOON), "to": said(NOON + HOUR)}) == (1, 1)


@pytest.mark.parametrize("path", [TOP, "/videos/concurrent", "/analytics/dashboard"])
async def test_all_contents_are_for_staff(world: World, path: str):
    (await world.get(path, "ann")).refusal(403, "FORBIDDEN")
    (await world.get(path, None)).refusal(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        (TOP, {"sort": "luck"}, "sort"),
        (TOP, {"limit": "201"}, "limit"),
        (TOP, {"cursor": "7"}, "cursor"),
        (TOP, {"cursor": '["a","b","c"]'}, "cursor"),
        ("/videos/concurrent", {"step": "9"}, "step"),
        ("/videos/concurrent", {"step": "60"}, "step"),
        ("/videos/concurrent", {"start_at": "x"}, "start_at"),
        ("/analytics/dashboard", {"month": "2"}, "month"),
        ("/analytics/dashboard", {"year": "0"}, "year"),
        ("/analytics/dashboard", {"year": "2024", "month": "13"}, "month"),
        ("/analytics/dashboard", {"year": "2024", "from": "2024-01-01"}, "from"),
        ("/analytics/dashboard", {"from": "2024-01-01"}, "from"),
        ("/analytics/dashboard", {"from": "2024-01-01", "to": "2023-01-01"}, "to"),
        ("/analytics/dashboard", {"from": "x", "to": "2023-01-01"}, "from"),
    ],
)
async def test_what_cannot_be_asked_is_400_and_named(world: World, path: str, query: dict[str, Any], named: str):
    assert f"$.{named}" in (await world.get(path, staff=True, **query)).refusal(400, "VALIDATION_FAILED")
