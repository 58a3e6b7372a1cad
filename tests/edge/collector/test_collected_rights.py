"""A learner's rights reach what was collected; and views become study time only where an operator says so."""

import json
from typing import Any

import pytest

from protocol import collector
from server.collector.study import StudyTime
from storage.collector import Post, PostgresCollector
from storage.collector_study import CollectorStudy
from storage.learners import Learners
from tests.edge.learning.conftest import DAY, HOUR, MINUTE, World, said

pytestmark = pytest.mark.slow
GONE = "learner-zq7"
STAYS = "learner-keep"


def viewed(user: str, **fields: Any) -> dict[str, Any]:
    return {"type": "view", "app": "shop", "contentId": "p", "contentType": "post", "userId": user} | fields


def followed(user: str, whom: str) -> dict[str, Any]:
    return {"type": "engagement", "userId": user, "metricType": "follow", "targetId": whom, "targetType": "user"}


async def keep(world: World, *events: dict[str, Any], study: bool = False) -> None:
    body = json.dumps({"events": list(events)}).encode()
    taken, rejected = collector.Reader().batch(body, 1, world.now())
    assert rejected == []
    await PostgresCollector(world.server.database, study=study).keep([Post(taken)])


def learners(world: World) -> Learners:
    return Learners(world.server.database)


# -- rights -----------------------------------------------------------------------------------------------------------


async def test_a_learner_is_given_what_was_collected_of_them(reader):
    await keep(reader, viewed(GONE, metadata={"a": 1}), viewed(STAYS), followed(GONE, STAYS))
    held = [each async for each in learners(reader).rows(GONE) if each.table == "collector_events"]

    rows = [json.loads(bytes(each.content)) for each in held]
    assert sorted(row["content_id"] for row in rows) == [STAYS, "p"]
    assert {row["user_id"] for row in rows} == {GONE}
    assert {"a": 1} in [row["metadata"] for row in rows]


async def test_who_is_erased_did_nothing_and_nobody_did_anything_to_them(reader):
    lesson = viewed(GONE, contentType="video", duration=60, timestamp=reader.now() - HOUR)
    await keep(reader, viewed(GONE), viewed(STAYS), followed(GONE, STAYS), followed(STAYS, GONE), lesson, study=True)
    await learners(reader).erase(GONE)

    for table in ("collector_events", "collector_ids", "collector_writes", "collector_study"):
        for (row,) in await reader.database.fetch(f"SELECT row_to_json(t)::text FROM {table} AS t"):
            assert GONE not in row
    assert await reader.database.fetchval("SELECT count(*) FROM collector_events") == 1


# -- study time -------------------------------------------------------------------------------------------------------


async def seconds_learnt(world: World, user: str, kind: str) -> int:
    start, end = said(world.now() - DAY), said(world.now() + DAY)
    answer = (await world.get("/learning/times", user, start_at=start, end_at=end)).json
    segments = [each for day in answer["histories"] for each in day["segments"] if each["type"] == kind]
    return sum(each["engaged_duration"] for each in segments)


async def settle(world: World) -> None:
    study = StudyTime(CollectorStudy(world.server.database), world.server.upkeep.study._history)
    while await study.settle():
        pass
    while await world.server.upkeep.imported.tell():
        pass


async def test_views_are_no_study_time_unless_that_is_said(reader):
    lesson = viewed("u1", contentType="video", contentId=7, duration=60, timestamp=reader.now() - HOUR)
    await keep(reader, lesson)
    await settle(reader)

    assert await reader.database.fetchval("SELECT count(*) FROM collector_study") == 0
    assert await reader.database.fetchval("SELECT count(*) FROM study_logs") == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"contentType": "post"},
        {"userId": None},
        {"userId": ""},
        {"duration": None},
        {"duration": 0},
        {"timestamp": 4_000_000_000_000},
        {"contentId": "GET:/api"},
    ],
)
async def test_what_is_no_evidence_is_none(reader, fields):
    lesson = viewed("u1", contentType="video", duration=60, timestamp=reader.now() - HOUR)
    await keep(reader, lesson | fields, study=True)

    assert await reader.database.fetchval("SELECT count(*) FROM collector_study") == 0


async def test_lessons_are_united_with_each_other_and_with_what_a_player_said(reader):
    end = reader.now() - HOUR
    lesson = viewed("u1", contentType="video", contentId=7, duration=60)
    again = [lesson | {"timestamp": end} for _ in range(3)]
    await keep(reader, *again, lesson | {"timestamp": end + 30_000}, study=True)
    await settle(reader)
    await keep(reader, lesson | {"timestamp": end}, study=True)
    await settle(reader)
    await reader.segment("u1", "s1", end, end + 45_000, kind="lms_lesson", content_id="7")

    assert await reader.database.fetchval("SELECT count(*) FROM collector_study") == 0
    assert await reader.database.fetchval("SELECT count(*) FROM study_logs") == 3
    assert await seconds_learnt(reader, "u1", "video") == 60 + 45
    assert await reader.database.fetchval("SELECT count(*) FROM engagement_learners") == 0


async def test_a_class_that_is_known_has_its_viewer_present_once(reader):
    start = reader.now() - 2 * HOUR
    await reader.product("1", "Physics")
    await reader.enrol("u1", "1")
    await reader.held("c1", start)
    claim = viewed("u1", contentType="live", contentId="c1", duration=600, timestamp=start + 20 * MINUTE)
    await keep(
        reader, claim, claim, claim | {"timestamp": start + 25 * MINUTE}, claim | {"contentId": "nowhere"}, study=True
    )
    for _ in range(2):
        await settle(reader)
        await keep(reader, claim, study=True)
    await settle(reader)

    assert await seconds_learnt(reader, "u1", "live_class") == 15 * 60
    assert await reader.database.fetchval("SELECT count(*) FROM rooms WHERE room_id = 'nowhere'") == 0
    assert await reader.database.fetchval("SELECT count(*) FROM collector_study") == 0


async def test_a_class_that_runs_is_told(reader):
    actor = await reader.live("c2")
    await reader.attend(actor, "someone", 30)
    await reader.checkpoint()
    now = reader.now()
    await keep(reader, viewed("u1", contentType="live", contentId="c2", duration=120, timestamp=now), study=True)
    await settle(reader)

    await reader.checkpoint()
    member = actor.room.state.members["u1"]
    assert sum(end - begin for begin, end in zip(member.past[::2], member.past[1::2], strict=True)) == 120_000
