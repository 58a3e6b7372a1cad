"""`/api/v1/liveclass`: one learner in one class (learning-api.md, endpoints 7, 8, readings 13, 15)."""

import asyncio
from typing import Any

import msgspec

from actors.machines.events import Departed, Interacted, RoomSampled
from actors.machines.track import Sample
from protocol.rest import ClassDetailsAnswer
from tests.edge.learning.conftest import MINUTE, at, said

DETAILS = "/liveclass/details"
INTERACTION = "/liveclass/interaction"


async def test_presence_and_absence_are_the_class(world):
    actor = await world.live("15")
    early = await world.attend(actor, "u1", 100.7)
    world.system.post(actor, Departed(early))
    await asyncio.sleep(0)
    world.skip(60.6)
    await world.attend(actor, "u1", 30.3)
    await world.post("/rooms/15/end", staff=True)
    answer = await world.get(DETAILS, "u1", live_class_id="15")

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
    table = {"scheduled_start": said(now - 600_000), "scheduled_end": said(now + 600_000)}
    actor = await world.live("15", **table)
    await world.attend(actor, "u1", 90)
    details = (await world.get(DETAILS, "u1", live_class_id="15")).json["class_details"]

    # It began when it was started, ten minutes late; who comes then is late as well.
    assert details["attendance"]["total_live_class_duration"] in {600, 599, 598}
    assert details["attendance"]["was_late"]
    assert details["live_class"]["start_at"] == table["scheduled_start"]
    assert details["live_class"]["end_at"] == table["scheduled_end"]


async def test_study_logs_merge_what_is_written_with_what_is_not(world):
    actor = await world.live("room")
    session_id = await world.attend(actor, "u1", 0)
    now = world.now()

    def at(seq: int, ago_s: float, position: float, state: int = 0) -> Sample:
        return Sample(seq, now - int(ago_s * 1000), int(position * 1000), state)

    async def logs() -> list[tuple[int, int, int]]:
        answer = await world.get(DETAILS, "teacher", staff=True, live_class_id="room", user_id="u1")
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
    await world.post("/rooms/room/end", staff=True)
    await world.checkpoint()
    world.system.directory.drop(actor)
    assert await logs() == [(0, 10, 10), (50, 60, 10)]


async def test_what_is_not_verified_is_no_study(world):
    actor = await world.live("room")
    session_id = await world.attend(actor, "u1", 0)
    now = world.now()
    world.system.post(actor, RoomSampled(session_id, now, [Sample(seq, now, seq * 900, 0) for seq in range(1, 12)]))
    details = (await world.get(DETAILS, "u1", live_class_id="room")).json["class_details"]

    assert sum(log["duration"] for log in details["study_logs"]) <= 3
    assert len(details["study_logs"]) == 1


async def test_who_never_came_to_a_class_does_not_find_it(world):
    await world.live("15")

    (await world.get(DETAILS, "u1", live_class_id="15")).refusal(404, "NOT_FOUND")
    (await world.get(DETAILS, "u1", live_class_id="16")).refusal(404, "NOT_FOUND")


async def test_a_learner_reads_nobody_by_name(world):
    actor = await world.live("15")
    await world.attend(actor, "u1", 0)
    for user_id in ("u1", "u2"):
        answer = await world.get(DETAILS, "u1", live_class_id="15", user_id=user_id)
        answer.refusal(403, "FORBIDDEN")
    assert (await world.get(DETAILS, "teacher", staff=True, live_class_id="15", user_id="u1")).status == 200


async def test_a_bad_class_id_is_named(world):
    for query in ({}, {"live_class_id": ""}, {"live_class_id": "x" * 129}, {"live_class_id": "\0"}):
        answer = await world.get(DETAILS, **query)
        assert "`$.live_class_id`" in answer.refusal(400, "VALIDATION_FAILED")


async def test_the_title_speaks_the_readers_language(world):
    await world.attend(await world.live("15"), "u1", 0)
    spoken = {
        None: "ক্লাসের বিস্তারিত",
        "en": "Class details",
        "en-GB,en;q=0.9": "Class details",
        "fr, en;q=0.5": "Class details",
        "en;q=0.4, bn;q=0.5": "ক্লাসের বিস্তারিত",
        "fr": "ক্লাসের বিস্তারিত",
        "*": "ক্লাসের বিস্তারিত",
        "en;q=nan": "ক্লাসের বিস্তারিত",
    }
    for header, title in spoken.items():
        answer = await world.get(DETAILS, "u1", live_class_id="15", lang=header)
        assert answer.json["class_details"]["title"] == title, header
        assert "Accept-Language" in answer.headers["Vary"]


async def test_an_unchanged_answer_is_not_sent_twice(world):
    actor = await world.live("15")
    await world.attend(actor, "u1", 0)
    await world.post("/rooms/15/end", staff=True)
    first = await world.get(DETAILS, "u1", live_class_id="15")
    etag = first.headers["ETag"]
    again = await world.get(DETAILS, "u1", live_class_id="15", etag=f'"x", W/{etag}')
    other = await world.get(DETAILS, "u1", live_class_id="15", etag='"x"')

    assert first.headers["Cache-Control"] == "private, max-age=15"
    assert (again.status, again.text, again.headers["ETag"]) == (304, b"", etag)
    assert other.status == 200


# -- rating -----------------------------------------------------------------------------------------------------------


async def test_rating_twice_replaces(world):
    actor = await world.live("15")
    await world.attend(actor, "u1", 90)
    first = await world.put("/liveclass/15/rating", {"stars": 4, "comment": "good"}, "u1")
    second = await world.put("/liveclass/15/rating", {"stars": 5}, "u1")
    details = (await world.get(DETAILS, "u1", live_class_id="15")).json["class_details"]

    assert first.json == {"live_class_id": 15, "stars": 4, "comment": "good", "rating_status": "done"}
    assert second.status == 200
    assert details["live_class"]["rating_status"] == "done"
    rating = await world.server.services.classes.rating("15", "u1")
    assert (rating.stars, rating.comment) == (5, None)


async def test_a_class_not_attended_cannot_be_rated(world):
    actor = await world.live("15")
    await world.attend(actor, "u1", 0)
    for user in ("u1", "u2"):
        answer = await world.put("/liveclass/15/rating", {"stars": 4}, user)
        answer.refusal(403, "FORBIDDEN")
    (await world.put("/liveclass/16/rating", {"stars": 4}, "u1")).refusal(404, "NOT_FOUND")


async def test_a_wrong_rating_is_refused_by_field(world):
    wrong: list[dict[str, Any]] = [{"stars": 0}, {"stars": 6}, {"stars": 4.5}, {"stars": True}, {}]
    for body in [*wrong, {"stars": 4, "comment": "x" * 4_001}, {"stars": 4, "comment": "a\0"}]:
        named = "comment" if "comment" in body else "stars"
        answer = await world.put("/liveclass/15/rating", body, "u1")
        assert f"`$.{named}`" in answer.refusal(400, "VALIDATION_FAILED")


# -- whose class it is ------------------------------------------------------------------------------------------------


async def test_whoever_was_ever_enrolled_finds_the_class(world):
    await world.timetable("15", at("2024-02-07 10:00"))
    await world.enrol("u1", "1", None, at("2023-01-01 00:00"))
    await world.enrol("u2", "2")
    details = (await world.get(DETAILS, "u1", live_class_id="15")).json["class_details"]

    assert details["attendance"] == {
        "was_present": False,
        "was_late": False,
        "total_live_class_duration": 3600,
        "total_presence_duration": 0,
        "total_absence_duration": 3600,
    }
    assert details["live_class"]["program"] == {"id": None, "name": ""}
    for path in (DETAILS, INTERACTION):
        (await world.get(path, "u2", live_class_id="15")).refusal(404, "NOT_FOUND")
        (await world.get(path, "u1", live_class_id="none")).refusal(404, "NOT_FOUND")


async def test_who_once_answered_in_the_product_finds_its_classes(world):
    await world.timetable("15", at("2024-02-07 10:00"))
    await world.timetable("16", at("2024-02-08 10:00"))
    await world.answered("u1", "q1", "16", at("2024-02-08 10:10"))

    assert (await world.get(DETAILS, "u1", live_class_id="15")).status == 200


async def test_a_class_of_no_product_is_theirs_who_did_something_in_it(world):
    await world.room("15", started_at=at("2024-02-07 10:00"), ended_at=at("2024-02-07 11:00"))
    await world.answered("u1", "q1", "15", at("2024-02-07 10:10"))

    assert (await world.get(DETAILS, "u1", live_class_id="15")).status == 200
    (await world.get(DETAILS, "u2", live_class_id="15")).refusal(404, "NOT_FOUND")


async def test_the_ends_that_others_tell_bound_presence_and_length(world):
    start = at("2024-02-07 10:00")
    await world.enrol("u1", "1")
    await world.timetable("15", start)
    await world.room("15", started_at=start - 5 * MINUTE, ended_at=start + 65 * MINUTE)
    await world.row("classes", live_class_id="15", start_at=start + 10 * MINUTE, end_at=start + 50 * MINUTE)
    await world.presence("u1", "15", start - MINUTE, start + 90 * MINUTE)
    attendance = (await world.get(DETAILS, "u1", live_class_id="15")).json["class_details"]["attendance"]

    assert attendance["total_live_class_duration"] == attendance["total_presence_duration"] == 40 * 60
    assert not attendance["was_late"]


# -- interaction ------------------------------------------------------------------------------------------------------


async def test_more_quizzes_may_be_told_of_than_are_known(world):
    await world.enrol("u1", "1")
    await world.timetable("15", at("2024-02-07 10:00"))
    await world.row("classes", live_class_id="15", end_at=at("2024-02-07 11:00"), total_quiz=5, total_poll=1)
    await world.answered("u1", "never announced", "15", at("2024-02-07 10:10"))
    await world.answered("u2", "another", "15", at("2024-02-07 10:11"), correct=False)
    for poll in ("p1", "p2", "p3"):
        await world.interaction("15", "u2", "poll_response", poll)
    answer = (await world.get(INTERACTION, "u1", live_class_id="15")).json

    assert (answer["total_offered_quizes"], answer["total_offered_polls"]) == (5, 3)
    assert (answer["total_correct_answer"], answer["totola_wrong_answer"], answer["total_unaswered"]) == (1, 0, 4)
    assert answer["class_participation_rate"] == 12.5


async def test_what_a_learner_does_in_a_running_class_is_there_at_once(world):
    actor = await world.live("15")
    session_id = await world.attend(actor, "u1", 90)
    for kind, key in (("poll_response", "p1"), ("doubt", "d1"), ("quiz_response", "q1")):
        world.system.post(actor, Interacted(session_id, kind, key, None))
    await asyncio.sleep(0)
    answer = (await world.get(INTERACTION, "u1", live_class_id="15")).json

    assert (answer["total_offered_polls"], answer["total_responded_polls"]) == (1, 1)
    # Whether a quiz was answered, and rightly, only the quiz system tells.
    assert (answer["total_offered_quizes"], answer["total_unaswered"]) == (1, 1)
    assert (answer["total_doubt_asked"], answer["total_doubt_unresolved"]) == (1, 1)
