"""`/api/v1/liveclass`: one learner in one class (learning-api.md, endpoint 7)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from actors.machines.events import Departed, Joined, RoomSampled
from actors.machines.track import Sample
from protocol.rest import ClassDetailsAnswer

DETAILS = "/api/v1/liveclass/details"


def rfc3339(unix_ms: int) -> str:
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def class_of(world, room_id: str = "15", **table: Any) -> Any:
    """A class that runs, by its time-table."""
    await world.call("PUT", f"/api/v1/rooms/{room_id}", {"name": "Algebra"} | table, staff=True)
    await world.call("POST", f"/api/v1/rooms/{room_id}/start", staff=True)
    return await world.system.room(room_id, create=False)


async def attend(world, actor, user: str, seconds: float) -> str:
    """Be there for a while, on a socket."""
    session_id = world.system.new_session_id(actor.partition)
    world.system.post(actor, Joined(user, "learner", None, session_id, None, "", None, 10_000))
    await asyncio.sleep(0)
    world.skip(seconds)
    return session_id


async def test_presence_and_absence_are_the_class(world):
    actor = await class_of(world)
    early = await attend(world, actor, "u1", 100.7)
    world.system.post(actor, Departed(early))
    await asyncio.sleep(0)
    world.skip(60.6)
    await attend(world, actor, "u1", 30.3)
    await world.call("POST", "/api/v1/rooms/15/end", staff=True)
    answer = await world.call("GET", DETAILS, user="u1", live_class_id="15")

    details = msgspec.json.decode(answer.text, type=ClassDetailsAnswer, strict=True).class_details
    figures = details.attendance
    assert figures.was_present
    assert not figures.was_late
    assert figures.total_presence_duration in {130, 131, 132}
    assert figures.total_absence_duration in {60, 61}
    assert figures.total_presence_duration + figures.total_absence_duration == figures.total_live_class_duration
    assert details.live_class.live_class_id == 15
    assert details.live_class.name == "Algebra"
    assert details.live_class.rating_status == "pending"


async def test_a_running_class_is_as_long_as_its_time_table_says(world):
    now = world.now() // 1000 * 1000
    table = {"scheduled_start": rfc3339(now - 600_000), "scheduled_end": rfc3339(now + 600_000)}
    actor = await class_of(world, **table)
    await attend(world, actor, "u1", 90)
    details = (await world.call("GET", DETAILS, user="u1", live_class_id="15")).json["class_details"]

    # It began when it was started, ten minutes late; who comes then is late as well.
    assert details["attendance"]["total_live_class_duration"] in {600, 599, 598}
    assert details["attendance"]["was_late"]
    assert details["live_class"]["start_at"] == table["scheduled_start"]
    assert details["live_class"]["end_at"] == table["scheduled_end"]


async def test_study_logs_merge_what_is_written_with_what_is_not(world):
    actor = await class_of(world, "room")
    session_id = await attend(world, actor, "u1", 0)
    now = world.now()

    def at(seq: int, ago_s: float, position: float, state: int = 0) -> Sample:
        return Sample(seq, now - int(ago_s * 1000), int(position * 1000), state)

    async def logs() -> list[tuple[int, int, int]]:
        answer = await world.call("GET", DETAILS, staff=True, live_class_id="room", user_id="u1")
        kept = answer.json["class_details"]["study_logs"]
        assert kept == sorted(kept, key=lambda log: log["start_timestamp"])
        return [(log["playhead_start_at"], log["playhead_end_at"], log["duration"]) for log in kept]

    world.system.post(actor, RoomSampled(session_id, now, [at(1, 30, 0.9), at(2, 20, 10.2, 1), at(3, 10, 50)]))
    await asyncio.sleep(0)
    assert await logs() == [(0, 10, 10)]
    await world.checkpoint()
    world.system.post(actor, RoomSampled(session_id, now, [at(4, 0, 60)]))
    await asyncio.sleep(0)
    assert await logs() == [(0, 10, 10), (50, 60, 10)]
    await world.call("POST", "/api/v1/rooms/room/end", staff=True)
    await world.checkpoint()
    world.system.directory.drop(actor)
    assert await logs() == [(0, 10, 10), (50, 60, 10)]


async def test_what_is_not_verified_is_no_study(world):
    actor = await class_of(world, "room")
    session_id = await attend(world, actor, "u1", 0)
    now = world.now()
    world.system.post(actor, RoomSampled(session_id, now, [Sample(seq, now, seq * 900, 0) for seq in range(1, 12)]))
    details = (await world.call("GET", DETAILS, user="u1", live_class_id="room")).json["class_details"]

    assert sum(log["duration"] for log in details["study_logs"]) <= 3
    assert len(details["study_logs"]) == 1


async def test_who_never_came_to_a_class_does_not_find_it(world):
    await class_of(world)

    (await world.call("GET", DETAILS, user="u1", live_class_id="15")).refusal(404, "NOT_FOUND")
    (await world.call("GET", DETAILS, user="u1", live_class_id="16")).refusal(404, "NOT_FOUND")


async def test_a_learner_reads_nobody_by_name(world):
    actor = await class_of(world)
    await attend(world, actor, "u1", 0)
    for user_id in ("u1", "u2"):
        answer = await world.call("GET", DETAILS, user="u1", live_class_id="15", user_id=user_id)
        answer.refusal(403, "FORBIDDEN")
    assert (await world.call("GET", DETAILS, staff=True, live_class_id="15", user_id="u1")).status == 200


@pytest.mark.parametrize("query", [{}, {"live_class_id": ""}, {"live_class_id": "x" * 129}, {"live_class_id": "\0"}])
async def test_a_bad_class_id_is_named(world, query):
    answer = await world.call("GET", DETAILS, user="u1", **query)

    assert "`$.live_class_id`" in answer.refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("header", "title"),
    [
        (None, "ক্লাসের বিস্তারিত"),
        ("en", "Class details"),
        ("en-GB,en;q=0.9", "Class details"),
        ("fr, en;q=0.5", "Class details"),
        ("en;q=0.4, bn;q=0.5", "ক্লাসের বিস্তারিত"),
        ("fr", "ক্লাসের বিস্তারিত"),
        ("*", "ক্লাসের বিস্তারিত"),
        ("en;q=nan", "ক্লাসের বিস্তারিত"),
    ],
)
async def test_the_title_speaks_the_readers_language(world, header, title):
    actor = await class_of(world)
    await attend(world, actor, "u1", 0)
    headers = {} if header is None else {"Accept-Language": header}
    answer = await world.call("GET", DETAILS, user="u1", live_class_id="15", headers=headers)

    assert answer.json["class_details"]["title"] == title
    assert "Accept-Language" in answer.headers["Vary"]


async def test_an_unchanged_answer_is_not_sent_twice(world):
    actor = await class_of(world)
    await attend(world, actor, "u1", 0)
    await world.call("POST", "/api/v1/rooms/15/end", staff=True)
    first = await world.call("GET", DETAILS, user="u1", live_class_id="15")
    etag = first.headers["ETag"]
    again = await world.call("GET", DETAILS, user="u1", live_class_id="15", headers={"If-None-Match": f'"x", W/{etag}'})
    other = await world.call("GET", DETAILS, user="u1", live_class_id="15", headers={"If-None-Match": '"x"'})

    assert first.headers["Cache-Control"] == "private, max-age=15"
    assert (again.status, again.text, again.headers["ETag"]) == (304, b"", etag)
    assert other.status == 200


# -- rating -----------------------------------------------------------------------------------------------------------


async def test_rating_twice_replaces(world):
    actor = await class_of(world)
    await attend(world, actor, "u1", 90)
    first = await world.call("PUT", "/api/v1/liveclass/15/rating", {"stars": 4, "comment": "good"}, user="u1")
    second = await world.call("PUT", "/api/v1/liveclass/15/rating", {"stars": 5}, user="u1")
    details = (await world.call("GET", DETAILS, user="u1", live_class_id="15")).json["class_details"]

    assert first.json == {"live_class_id": 15, "stars": 4, "comment": "good", "rating_status": "done"}
    assert second.status == 200
    assert details["live_class"]["rating_status"] == "done"
    rating = await world.reading.rating("15", "u1")
    assert (rating.stars, rating.comment) == (5, None)


async def test_a_class_not_attended_cannot_be_rated(world):
    actor = await class_of(world)
    await attend(world, actor, "u1", 0)
    for user in ("u1", "u2"):
        answer = await world.call("PUT", "/api/v1/liveclass/15/rating", {"stars": 4}, user=user)
        answer.refusal(403, "FORBIDDEN")
    (await world.call("PUT", "/api/v1/liveclass/16/rating", {"stars": 4}, user="u1")).refusal(404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"stars": 0}, "stars"),
        ({"stars": 6}, "stars"),
        ({"stars": 4.5}, "stars"),
        ({"stars": True}, "stars"),
        ({}, "stars"),
        ({"stars": 4, "comment": "x" * 4_001}, "comment"),
        ({"stars": 4, "comment": "a\0"}, "comment"),
    ],
)
async def test_a_wrong_rating_is_refused_by_field(world, body, named):
    answer = await world.call("PUT", "/api/v1/liveclass/15/rating", body, user="u1")

    assert f"`$.{named}`" in answer.refusal(400, "VALIDATION_FAILED")
