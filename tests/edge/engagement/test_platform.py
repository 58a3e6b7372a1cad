"""What staff ask about all contents."""

from typing import Any

import pytest

from actors.figures.concurrency import steps
from server.http.engagement.crowds import Crowds
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
async def test_days_that_are_remembered_answer_as_the_rows_do(world: World, watching: Watching, start: int, end: int):
    begin = NOON // DAY * DAY
    for n in range(40):
        at = begin + n * 7 * HOUR // 3 + n * 1_234_567
        await watching.view(f"u{n % 7}", (0, 900 + n * 300), at=at, content_id=str(n % 3))
    engagement = world.server.services.engagement
    crowds = Crowds(engagement, days=2)

    for step in (15 * MINUTE, HOUR, DAY):
        low, high = begin + start, begin + end
        expected = steps(await engagement.edges(low, high), low, high, step)
        for _ in range(2):
            assert await crowds.steps(low, high, step, world.now()) == expected


async def test_a_settled_day_is_counted_once_an_hour(world: World, watching: Watching):
    begin = NOON // DAY * DAY
    crowds = Crowds(world.server.services.engagement)
    now = begin + 3 * DAY

    async def peak(now: int) -> int:
        return max(step.peak for step in await crowds.steps(begin, begin + DAY, DAY, now))

    assert await peak(begin + DAY + HOUR) == 0
    await watching.view("ann", (0, 50), at=begin)
    assert await peak(begin + DAY + HOUR) == 1
    assert await peak(now) == 1
    await watching.view("bob", (0, 50), at=begin)
    assert await peak(now + HOUR - 1) == 1
    assert await peak(now + HOUR) == 2


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
