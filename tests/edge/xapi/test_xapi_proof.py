"""What statements prove, read where dashboards read it."""

import itertools
from typing import Any

import pytest

from tests.edge.xapi.conftest import MINUTE, VIDEO, World, statement

pytestmark = pytest.mark.slow


async def test_played_segments_prove_coverage_exactly(world: World):
    await world.stored(statement(played="0[.]12.5[,]30[.]45[,]50", length=100, progress=0.99))

    mine = await world.mine()
    assert mine["ranges"] == [[0, 12.5], [30, 45]]
    assert mine["coverage"] == 0.275
    assert mine["duration_seconds"] == 100
    summary = await world.summary()
    assert (summary["views"], summary["viewers"], summary["starts"]) == (1, 1, 1)
    assert (summary["watch_seconds"], summary["content_seconds"]) == (0, 27.5)


async def test_coverage_waits_for_a_length(world: World):
    await world.stored(statement(played="0[.]50"))
    before = await world.mine()
    await world.stored(statement("terminated", played="0[.]50", length=50))

    after = await world.mine()
    assert (before["duration_seconds"], before["completed"]) == (None, False)
    assert (after["duration_seconds"], after["coverage"], after["completed"]) == (50, 1.0, True)


async def test_what_was_watched_is_no_study_time(world: World):
    await world.stored(statement(played="0[.]50", length=100))

    times = (await world.read("/api/v1/learning/times", "u1", "learner")).json
    concurrent = (await world.read("/api/v1/videos/concurrent", step=86400)).json["data"]
    assert times["total_learning_duration"] == 0
    assert {step["peak"] for step in concurrent["steps"]} == {0}


async def test_completed_when_the_statement_says_it_was(world: World):
    at = world.now() // 1000 * 1000 - 900 * 24 * 60 * MINUTE
    await world.stored(
        statement(at=at, played="0[.]50", length=100),
        statement(at=at + MINUTE, played="0[.]50[,]50[.]96"),
        statement(at=at + 2 * MINUTE, played="0[.]50[,]50[.]100"),
    )

    stored = await world.database.fetchval(
        "SELECT (extract(epoch FROM completed_at) * 1000)::bigint FROM engagement_learners"
    )
    assert stored == at + 2 * MINUTE


async def test_the_catalogs_name_for_it_is_the_content(world: World):
    await world.content("7", xapi_id=VIDEO)
    await world.stored(statement(played="0[.]25", length=50))

    assert (await world.mine(content_id="7", kind="video"))["coverage"] == 0.25
    assert await world.count("contents") == 1


async def test_what_lies_behind_the_end_counts_in_nothing(world: World):
    await world.content("7", xapi_id=VIDEO)
    await world.stored(statement(played="90[.]500[,]600[.]700"))

    assert [row[8:10] for row in await world.rows()] == [(90_000, 500_000), (600_000, 700_000)]
    assert (await world.mine(content_id="7", kind="video"))["ranges"] == [[90, 100]]
    assert (await world.summary("7", "video"))["content_seconds"] == 10


async def test_a_session_of_under_three_seconds_is_no_view(world: World):
    await world.stored(statement(played="0[.]2.999", length=100), statement(user="u2", played="0[.]3", length=100))

    summary = await world.summary()
    assert (summary["views"], summary["starts"]) == (1, 2)


async def test_without_segments_verbs_are_folded(world: World):
    """As Open edX sends them."""
    at = world.now() - 60 * MINUTE
    await world.stored(
        statement("initialized", at=at, length=600, time=0),
        statement("played", at=at + 1000, time=0),
        statement("paused", at=at + 61_000, time=60),
        statement("played", at=at + 70_000, time=60),
        statement("seeked", at=at + 80_000, time_from=70, time_to=300),
        statement("terminated", at=at + 90_000, time=310),
        # Ten minutes of video in one minute.
        statement("played", "u2", at=at, time=0, length=600),
        statement("paused", "u2", at=at + MINUTE, time=600),
    )

    assert (await world.mine())["ranges"] == [[0, 70], [300, 310]]
    assert (await world.mine("u2"))["ranges"] == []
    assert (await world.summary())["watch_seconds"] == 0


async def test_one_that_told_segments_once_is_not_folded(world: World):
    at = world.now() - 60 * MINUTE
    await world.stored(
        statement("played", at=at, time=0, length=100, played=""), statement("paused", at=at + 50_000, time=50)
    )

    assert (await world.mine())["ranges"] == []


async def test_any_order_and_any_repetition_give_the_same(world: World):
    at = world.now() // 1000 * 1000 - 60 * MINUTE
    told = [
        statement("initialized", at=at, length=100),
        statement("paused", at=at + 10_000, played="0[.]10"),
        statement("seeked", at=at + 12_000, played="0[.]10[,]40[.]42"),
        statement("terminated", at=at + 99_000, played="0[.]10[,]40[.]42[,]0[.]10"),
    ]
    seen: list[Any] = []
    for number, order in enumerate(itertools.permutations(told)):
        user = f"user-{number}"
        for one in [*order, order[0]]:
            mine = one | {"id": one["id"][:-4] + f"{number:04x}", "actor": {"mbox": f"mailto:{user}"}}
            assert (await world.send(mine)).status == 200
        seen.append(
            [
                tuple(row)
                for row in await world.database.fetch(
                    "SELECT number, playhead_start_ms, playhead_end_ms, start_timestamp FROM study_logs "
                    "WHERE user_id = $1 ORDER BY number",
                    user,
                )
            ]
        )

    assert all(one == seen[0] for one in seen)
    assert [row[1:3] for row in seen[0]] == [(0, 10_000), (40_000, 42_000), (0, 10_000)]
    assert (await world.summary())["views"] == len(seen)


async def test_the_session_can_be_read(world: World):
    at = world.now() // 1000 * 1000 - 60 * MINUTE
    await world.stored(statement(at=at, played="0[.]30", time=30))
    session_id = await world.database.fetchval("SELECT session_id FROM watch_sessions")

    found = (await world.read(f"/api/v1/sessions/{session_id}")).json
    assert (found["user_id"], found["content"]) == ("u1", {"kind": "xapi", "id": VIDEO})
    assert (found["watch_seconds"], found["content_seconds"], found["coverage"]) == (0, 30, None)
    assert [each["playhead_end_at"] for each in found["segments"]] == [30]

    await world.stored(statement("terminated", at=at + 1000, played="0[.]30", length=60))
    assert (await world.read(f"/api/v1/sessions/{session_id}")).json["coverage"] == 0.5


async def test_a_course_is_no_video(world: World):
    course = statement("completed", content="https://lms.example/courses/1", session=None)
    course["object"]["definition"] = {"type": "http://adlnet.gov/expapi/activities/course"}
    course["result"] = {"score": {"scaled": 0.8}}
    unknown = statement("https://lms.example/verbs/liked", content="https://lms.example/posts/1")
    await world.stored(course, unknown)

    assert [await world.count(table) for table in ("xapi_statements", "watch_sessions", "contents")] == [2, 0, 0]
