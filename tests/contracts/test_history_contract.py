"""History: once however often it is read, all or nothing, and every figure right in the same transaction."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actors.machines.state import RoomRules
from server.history.reading import Read, read_chunk
from storage.engaging import Rules
from storage.history import History, SessionTaken
from tests.support.stores import PostgresStore

CATALOG = [
    {"entity": "product", "id": 15, "name": "Physics", "updated_at": "2024-01-01T00:00:00Z"},
    {
        "entity": "live_class", "id": "c1", "name": "Waves", "catalog_product_id": 15, "subject": "Physics",
        "start_at": "2024-02-07T10:00:00Z", "end_at": "2024-02-07T11:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
    },
    {
        "entity": "content", "kind": "lms_lesson", "id": 9, "title": "Lesson", "has_video": True, "published": True,
        "duration_seconds": 600, "updated_at": "2024-01-01T00:00:00Z",
    },
]  # fmt: skip
TABLES = ("rooms", "attendance", "presence_intervals", "watch_sessions", "study_logs", "quiz_responses", "actors")


def presence(begin: str, end: str, user: object = 7, **more: Any) -> dict[str, Any]:
    day = "2024-02-07T"
    times = {"joined_at": f"{day}{begin}Z", "left_at": f"{day}{end}Z"}
    return {"entity": "presence", "live_class_id": "c1", "user_id": user} | times | more


def segment(begin: str, end: str, head: float, tail: float, **more: Any) -> dict[str, Any]:
    times = {"start_timestamp": f"2024-02-08T{begin}Z", "end_timestamp": f"2024-02-08T{end}Z"}
    content = {"content_kind": "lms_lesson", "content_id": 9, "user_id": 7}
    return {"entity": "segment", "playhead_start_at": head, "playhead_end_at": tail} | content | times | more


ANSWER = {
    "event_name": "quiz_response",
    "data": {
        "payload": {
            "auth_user_id": 7, "quiz_id": 1, "identification_id": "c1", "is_correct": 1,
            "particiapte_at": "2024-02-07T10:20:00Z",
        }
    },
}  # fmt: skip


def now() -> int:
    return time.time_ns() // 1_000_000


def read(*lines: dict[str, Any]) -> Read:
    found = read_chunk([json.dumps(line).encode() for line in lines], 1, now())
    assert found.problems == []
    return found


class Place:
    def __init__(self, store: PostgresStore, history: History) -> None:
        self.store = store
        self.history = history

    async def take(self, *lines: dict[str, Any]) -> None:
        await self.history.write(read(*lines).chunk)

    async def row(self, query: str) -> tuple[Any, ...]:
        database = await self.store.connection()
        found = await database.fetchrow(query)
        return () if found is None else tuple(found)

    async def everything(self) -> dict[str, list[str]]:
        database = await self.store.connection()
        return {
            table: sorted(
                row[0] for row in await database.fetch(f"SELECT (to_jsonb(t) - 'updated_at')::text FROM {table} AS t")
            )
            for table in TABLES
        }


@pytest.fixture
async def place(postgres: PostgresStore) -> Place:
    database = await postgres.database()
    return Place(postgres, History(database, 64, RoomRules(), Rules(0.95, ZoneInfo("Asia/Dhaka")), now))


async def test_presence_makes_attendance_by_the_rooms_own_rule(place: Place):
    await place.take(*CATALOG, presence("10:10:00", "10:40:00", device_id="a"), presence("10:30:00", "11:10:00"))

    figures = await place.row("SELECT presence_ms, late_ms, late, attended, name FROM attendance")
    assert figures == (50 * 60_000, 10 * 60_000, True, True, None)
    assert await place.row("SELECT state, attended, product_id, name FROM rooms") == ("ended", 1, "15", "Waves")


async def test_reading_it_again_changes_nothing(place: Place):
    lines = [*CATALOG, presence("10:00:00", "10:40:00"), segment("10:00:00", "10:05:00", 0, 300), ANSWER]
    await place.take(*lines)
    before = await place.everything()
    await place.take(*lines)
    assert await place.everything() == before
    assert all(before[table] for table in TABLES)


async def test_the_same_in_many_chunks_is_the_same(place: Place, postgres: PostgresStore):
    lines = [
        *CATALOG,
        presence("10:00:00", "10:20:00"),
        presence("10:15:00", "10:50:00", device_id="b"),
        presence("10:30:00", "10:45:00", user=8, name="Rafi"),
        segment("10:00:00", "10:05:00", 0, 300),
        segment("10:06:00", "10:10:50", 290, 580),
        ANSWER,
    ]
    await place.take(*lines)
    together = await place.everything()
    database = await postgres.connection()
    await database.execute(f"TRUNCATE {', '.join(TABLES)}, imported_rooms")
    # Later chunks first: nothing hangs on the order.
    for line in reversed(lines):
        await place.take(line)
    apart = await place.everything()
    together.pop("actors")
    apart.pop("actors")
    assert apart == together


async def test_segments_make_sessions_and_engagement(place: Place):
    await place.take(*CATALOG, segment("10:00:00", "10:05:00", 0, 300), segment("10:06:00", "10:10:50", 290, 580))

    session = await place.row("SELECT watch_ms, content_ms, covered_ms, coverage, completed, door FROM watch_sessions")
    assert session == (590_000, 590_000, 580_000, 0.966, True, "import")
    learner = await place.row("SELECT views, covered_ms, completed_at IS NOT NULL FROM engagement_learners")
    assert learner == (1, 580_000, True)
    assert await place.row("SELECT views, viewers, completed FROM engagement_totals") == (1, 1, 1)


async def test_a_session_of_this_server_is_not_added_to(place: Place, postgres: PostgresStore):
    await place.take(segment("10:00:00", "10:05:00", 0, 300, session_id="s1"))
    for spoil in ("SET door = 'websocket'", "SET door = 'import', user_id = 'other'"):
        await (await postgres.connection()).execute(f"UPDATE watch_sessions {spoil}")
        with pytest.raises(SessionTaken):
            await place.take(presence("10:00:00", "10:40:00"), segment("11:00:00", "11:05:00", 0, 300, session_id="s1"))
    # All or nothing.
    assert await place.row("SELECT count(*) FROM attendance") == (0,)


async def test_a_room_that_a_server_has_run_is_left_to_its_actor(place: Place, postgres: PostgresStore):
    await place.take(*CATALOG, presence("10:00:00", "10:40:00"))
    await (await postgres.connection()).execute("UPDATE actors SET version = 5, epoch = 1")
    before = (await place.everything())["actors"]

    await place.take(presence("10:00:00", "10:40:00", user=8))

    assert (await place.everything())["actors"] == before
    assert await place.row("SELECT count(*) FROM attendance") == (1,)
    assert await place.row("SELECT count(*) FROM presence_intervals") == (2,)
    assert await place.history.due(10) == [("c1", True)]
    assert [each[0] for each in await place.history.presences("c1", ("", 0))] == ["7", "8"]


async def test_the_owners_times_stand_before_the_schedule_and_the_schedule_before_what_was_seen(place: Place):
    await place.take(presence("10:10:00", "10:40:00"))
    bounds = "SELECT to_char(started_at, 'HH24:MI'), to_char(ended_at, 'HH24:MI') FROM rooms"
    assert await place.row(bounds) == ("10:10", "10:40")
    await place.take(*CATALOG)
    assert await place.row(bounds) == ("10:00", "11:00")
    over = {"live_class_id": "c1", "start_at": "2024-02-07T10:05:00Z", "end_at": "2024-02-07T10:30:00Z"}
    await place.take({"event_name": "liveclass.end", "data": {"payload": over}})
    assert await place.row(bounds) == ("10:05", "10:30")
    assert await place.row("SELECT presence_ms FROM attendance") == (20 * 60_000,)


async def test_totals_alone_are_one_stretch_from_the_first_join(place: Place):
    told = {"first_join": "2024-02-07T10:10:00Z", "presence_seconds": 900, "hand_raises": 3, "talk_seconds": 12.5}
    await place.take(*CATALOG, {"entity": "attendance", "live_class_id": "c1", "user_id": 8} | told)
    figures = await place.row("SELECT presence_ms, late_ms, hand_raises, talk_ms FROM attendance")
    assert figures == (900_000, 600_000, 3, 12_500)


async def test_a_longer_telling_of_the_same_stay_stays(place: Place):
    for end in ("10:20:00", "10:40:00", "10:30:00"):
        await place.take(*CATALOG, presence("10:00:00", end))
    assert await place.row("SELECT count(*), max(left_at - joined_at)::text FROM presence_intervals") == (1, "00:40:00")
    assert await place.row("SELECT presence_ms FROM attendance") == (40 * 60_000,)


async def test_nothing_of_the_past_is_told_to_others(place: Place):
    class_segment = segment("10:00:00", "10:05:00", 0, 300, live_class_id="c1", content_kind=None, content_id=None)
    await place.take(*CATALOG, presence("10:00:00", "10:40:00"), class_segment)
    assert await place.row("SELECT count(*) FROM outbox") == (0,)


async def test_two_imports_at_a_time_wait_for_each_other(place: Place):
    chunks = [read(*CATALOG, presence("10:00:00", "10:40:00", user=user)).chunk for user in range(8)]
    await asyncio.gather(*(place.history.write(chunk) for chunk in chunks))
    assert await place.row("SELECT attended FROM rooms") == (8,)
