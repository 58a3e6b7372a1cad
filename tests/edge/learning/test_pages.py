"""Endpoints 1 to 6 over a real database: what is offered, to whom, on which day (learning-api.md, readings 1 to 14)."""

import asyncio
from typing import Any

from actors.machines.events import Departed
from tests.edge.learning.conftest import DAY, HOUR, MINUTE, World, at, said

SEVEN = at("2024-02-07 10:00")
RANGE: dict[str, Any] = {"start_at": "2024-02-01", "end_at": "2024-02-14", "tz": "UTC"}
RANGED = [
    "/learning/activities",
    "/learning/times",
    "/liveclass/attendance",
    "/liveclass/attendance-overview",
    "/liveclass/attendance/details",
]
ALL = [*RANGED, "/liveclass/attendance-overview/2024-02-07", "/liveclass/details", "/liveclass/interaction"]
ATTENDANCE = "/liveclass/attendance"
OVERVIEW = "/liveclass/attendance-overview"


async def counts(world: World, user: str = "u1", **query: Any) -> list[int]:
    """Offered, attended, late, absent."""
    answer = (await world.get(ATTENDANCE, user, **(query or RANGE))).json
    return [datum["value"] for datum in answer["summary"]["data"]]


# -- what is asked ----------------------------------------------------------------------------------------------------


async def test_nobody_reads_without_a_token_and_no_learner_by_name(world: World):
    for path in ALL:
        (await world.get(path, None)).refusal(401, "UNAUTHENTICATED")
        for name in ("u1", "u2"):
            (await world.get(path, "u1", user_id=name)).refusal(403, "FORBIDDEN")


async def test_staff_read_any_learner_and_without_a_name_themselves(world: World):
    await world.enrol("u1", "1")
    await world.held("15", SEVEN)

    asked: dict[str, Any] = RANGE | {"user_id": "u1"}
    theirs = (await world.get(ATTENDANCE, "teacher", staff=True, **asked)).json
    own = (await world.get(ATTENDANCE, "teacher", staff=True, **RANGE)).json
    assert theirs["summary"]["data"][0]["value"] == 1
    assert own["summary"]["data"][0]["value"] == 0


async def test_a_bad_parameter_is_named(world: World):
    bad: list[tuple[str, dict[str, Any]]] = [
        ("tz", {"tz": "Asia/Nowhere"}),
        ("tz", {"tz": "../etc/passwd"}),
        ("tz", {"tz": ""}),
        ("start_at", {"start_at": "yesterday"}),
        ("start_at", {"start_at": ""}),
        ("end_at", {"end_at": "2024-02-30"}),
        ("end_at", {"start_at": "2024-02-07", "end_at": "2024-02-06"}),
        ("end_at", {"start_at": "2023-01-01", "end_at": "2024-02-06"}),
        ("with_details", {"with_details": "yes"}),
    ]
    for name, query in bad:
        answer = await world.get("/learning/times", **query)
        assert f"`$.{name}`" in answer.refusal(400, "VALIDATION_FAILED")


async def test_what_is_missing_or_no_day_is_named(world: World):
    missing = await world.get("/liveclass/attendance/details")
    assert "`$.catalog_product_id`" in missing.refusal(400, "VALIDATION_FAILED")
    for day in ("today", "2024-13-01", "0000-00-00"):
        answer = await world.get(f"/liveclass/attendance-overview/{day}")
        assert "`$.date`" in answer.refusal(400, "VALIDATION_FAILED")


async def test_without_a_range_it_is_the_thirty_days_that_end_with_today(world: World):
    answer = (await world.get(ATTENDANCE, tz="Asia/Dhaka")).json
    midnight = (world.now() + 6 * HOUR) // DAY * DAY - 6 * HOUR

    assert (answer["start_at"], answer["end_at"]) == (said(midnight - 29 * DAY), said(midnight + DAY))


async def test_the_servers_zone_cuts_the_days_unless_one_is_named(world: World):
    await world.enrol("u1", "1")
    await world.held("15", at("2024-02-07 20:00"))
    query: dict[str, Any] = {"start_at": "2024-02-01", "end_at": "2024-02-14"}
    dhaka = (await world.get(OVERVIEW, **query)).json["overview"][0]["date"]
    utc = (await world.get(OVERVIEW, **query, tz="UTC")).json["overview"][0]["date"]

    assert dhaka == "2024-02-07T18:00:00.000Z"
    assert utc == "2024-02-07T00:00:00.000Z"


async def test_storage_away_is_said(world: World):
    await world.server.database.close()
    for path in ALL:
        query: dict[str, Any] = {"live_class_id": "15", "catalog_product_id": "1"}
        (await world.get(path, **query)).refusal(503, "STORAGE_UNAVAILABLE")


# -- who was offered what ---------------------------------------------------------------------------------------------


async def test_offered_is_what_one_was_enrolled_in_when_it_began(world: World):
    await world.enrol("u1", "1", SEVEN, SEVEN + HOUR)
    await world.held("begins with the enrolment", SEVEN)
    await world.held("before", SEVEN - MINUTE)
    await world.held("ends with it", SEVEN + HOUR)
    await world.held("another product", SEVEN, catalog_product_id="2")
    await world.held("cancelled", SEVEN, status="cancelled")
    await world.held("optional", SEVEN, is_required=False)
    await world.room("cancelled by its room", "cancelled", product_id="1", scheduled_start=SEVEN)

    assert await counts(world) == [1, 0, 0, 1]


async def test_who_never_was_enrolled_is_offered_the_products_of_any_activity(world: World):
    exam = {"exam_id": "e1", "type": "exam", "catalog_product_id": "4"}
    await world.row("exams", **exam, start_at=SEVEN)
    await world.row("exam_sessions", exam_id="e1", user_id="u1", end_at=SEVEN)
    await world.row("contents", kind="video", content_id="9", catalog_product_id="3")
    await world.segment("u1", "s1", SEVEN, SEVEN + MINUTE, kind="video", content_id="9")
    await world.answered("u1", "q1", "in 2", at("2020-01-01 00:00"))
    await world.presence("u1", "in 1", SEVEN, SEVEN + MINUTE)
    for product in ("1", "2", "3", "4", "5"):
        await world.held(f"in {product}", SEVEN, catalog_product_id=product)

    assert await counts(world) == [4, 1, 0, 3]


async def test_who_was_enrolled_once_is_offered_nothing_by_activity(world: World):
    await world.enrol("u1", "2", None, at("2020-01-01 00:00"))
    await world.held("15", SEVEN)
    await world.presence("u1", "15", SEVEN, SEVEN + HOUR)
    await world.enrol("u2", "2")
    times = (await world.get("/learning/times", **RANGE)).json

    assert await counts(world) == [0, 0, 0, 0]
    assert (times["total_learning_duration"], times["total_offered_learning_duration"]) == (3600, 0)
    (await world.get("/liveclass/attendance/details", "u2", **RANGE, catalog_product_id="1")).refusal(404, "NOT_FOUND")
    assert (await world.get("/liveclass/attendance/details", **RANGE, catalog_product_id="1")).json["modules"] == []


async def test_a_class_that_only_others_tell_of_is_offered_by_its_room_and_its_end(world: World):
    await world.enrol("u1", "1")
    facts = {"catalog_product_id": "1", "program_id": "7"}
    await world.row("classes", live_class_id="told", start_at=SEVEN, end_at=SEVEN + HOUR, **facts)
    await world.row("classes", live_class_id="end told", end_at=SEVEN + HOUR, **facts)
    await world.room("end told", started_at=SEVEN, ended_at=SEVEN + HOUR)
    await world.room("planned", "scheduled", product_id="1", scheduled_start=SEVEN, scheduled_end=SEVEN + HOUR)
    await world.presence("u1", "told", SEVEN + 30 * MINUTE, SEVEN + HOUR)

    assert await counts(world) == [3, 1, 0, 2]


async def test_what_liveclass_end_calls_optional_is_in_no_count(world: World):
    await world.enrol("u1", "1")
    await world.held("15", SEVEN)
    await world.row("classes", live_class_id="15", end_at=SEVEN + HOUR, is_required=False)

    assert await counts(world) == [0, 0, 0, 0]


# -- what is running --------------------------------------------------------------------------------------------------


async def test_a_running_class_is_attended_as_soon_as_the_minimum_is_met(world: World):
    now = world.now()
    await world.enrol("u1", "1")
    await world.timetable("15", now - MINUTE)
    actor = await world.live("15")
    query: dict[str, Any] = {"tz": "UTC"}
    before = await counts(world, **query)
    session_id = await world.attend(actor, "u1", 59)
    almost = await counts(world, **query)
    world.skip(2)
    attended = await counts(world, **query)
    times = (await world.get("/learning/times")).json
    world.system.post(actor, Departed(session_id))
    await asyncio.sleep(0)
    await world.checkpoint()

    assert (before, almost, attended) == ([1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0])
    assert times["total_learning_duration"] in {61, 62}
    assert await counts(world, **query) == [1, 1, 0, 0]


async def test_presence_that_an_import_brought_counts_beside_that_of_a_room_in_memory(world: World):
    now = world.now()
    await world.enrol("u1", "1")
    actor = await world.live("15", scheduled_start=said(now - 30 * MINUTE), product_id="1")
    await world.attend(actor, "u1", 10)
    await world.presence("u1", "15", now - MINUTE, now, number=2**30)
    await world.presence("u1", "15", now - DAY, now - DAY + MINUTE, number=5)
    details = (await world.get("/liveclass/details", live_class_id="15")).json["class_details"]["attendance"]

    # Started just now: W begins there, and only what lies in it counts.
    assert details["total_presence_duration"] in {10, 11}


async def test_figures_stay_the_same_when_a_room_leaves_memory(world: World):
    await world.enrol("u1", "1")
    now = world.now() // 1000 * 1000
    table = {"scheduled_start": said(now - 10 * MINUTE), "scheduled_end": said(now + HOUR), "product_id": "1"}
    actor = await world.live("15", **table)
    world.system.post(actor, Departed(await world.attend(actor, "u1", 90)))
    await asyncio.sleep(0)
    await world.attend(actor, "u1", 30)
    await world.post("/rooms/15/end", staff=True)
    paths = ["/learning/activities", "/learning/times", ATTENDANCE, OVERVIEW, "/liveclass/details?live_class_id=15"]
    in_memory = [(await world.get(path)).json for path in paths]
    await world.checkpoint()
    world.system.directory.drop(actor)

    assert [(await world.get(path)).json for path in paths] == in_memory
    assert in_memory[2]["summary"]["data"][2] == {"type": "total_late_entry", "value": 1, "progress": 100.0}


async def test_a_video_that_is_being_watched_counts_before_it_is_written(world: World):
    await world.row("contents", kind="video", content_id="9", catalog_product_id="1")
    now = world.now()
    samples = [
        {"seq": seq, "at": now - 60_000 + seq * 10_000, "position": seq * 10.0, "state": "playing"}
        for seq in range(1, 6)
    ]
    body = {"sent_at": now, "samples": samples, "content": {"kind": "video", "id": "9"}}
    beat = await world.post("/heartbeats", body)
    times = (await world.get("/learning/times")).json

    assert beat.status == 200, beat.text
    assert times["total_learning_duration"] == 40


# -- days -------------------------------------------------------------------------------------------------------------


async def overview(world: World, **query: Any) -> list[tuple[str, int, int, bool]]:
    rows = (await world.get(OVERVIEW, **(RANGE | query))).json["overview"]
    return [(row["date"][5:10], row["total_offered"], row["total_attended"], row["is_sticky"]) for row in rows]


async def test_a_streak_begins_before_the_range(world: World):
    await world.enrol("u1", "1")
    for key, day in (("a", "2023-02-06"), ("b", "2024-02-07"), ("c", "2024-02-08"), ("d", "2024-02-09")):
        start = at(f"{day} 10:00")
        await world.held(key, start)
        if key != "d":
            await world.presence("u1", key, start, start + HOUR)

    assert await overview(world) == [("02-07", 1, 1, True), ("02-08", 1, 1, True), ("02-09", 1, 0, False)]
    # The day before counts whole, however far back.
    await world.held("a2", at("2023-02-06 20:00"))
    assert await overview(world) == [("02-07", 1, 1, False), ("02-08", 1, 1, True), ("02-09", 1, 0, False)]


async def test_a_day_lists_what_comes_and_what_is_optional_too(world: World):
    await world.enrol("u1", "1")
    tomorrow = world.now() // DAY * DAY + DAY
    await world.product("1", "Physics")
    await world.timetable("later", tomorrow + 2 * HOUR, is_required=False)
    await world.timetable("sooner", tomorrow + HOUR)
    await world.timetable("cancelled", tomorrow + HOUR, status="cancelled")
    path = f"{OVERVIEW}/{said(tomorrow)[:10]}"
    answer = (await world.get(path, tz="UTC")).json

    assert answer["date"] == said(tomorrow)
    assert [one["live_class_name"] for one in answer["live_classes"]] == ["Class sooner", "Class later"]
    assert not any(one["is_absent"] or one["was_late"] for one in answer["live_classes"])
    assert answer["live_classes"][0]["product"] == {"id": 1, "name": "Physics"}
    # An overview names its days by the instants at which they begin.
    assert (await world.get(f"{OVERVIEW}/{said(tomorrow)}", tz="UTC")).json == answer


# -- quizzes and lessons ----------------------------------------------------------------------------------------------


async def test_quizzes_count_by_their_class_and_others_by_their_time(world: World):
    await world.enrol("u1", "1")
    await world.held("15", SEVEN)
    await world.held("before", at("2024-01-20 10:00"))
    elsewhere = {"identification_type": "mock", "catalog_product_id": "1"}
    await world.row("quizzes", quiz_id="m1", identification_id="mock", offered_at=SEVEN, **elsewhere)
    await world.row("quizzes", quiz_id="m2", identification_id="mock", offered_at=SEVEN - 30 * DAY, **elsewhere)
    await world.answered("u1", "q1", "15", at("2024-03-01 10:00"))
    await world.answered("u2", "q2", "15", SEVEN)
    await world.answered("u1", "q3", "before", SEVEN)
    answer = (await world.get("/learning/activities", **RANGE)).json

    assert answer["quiz"]["total_quiz_practiced"] == 1
    correctness = answer["quiz_correctness"]
    assert (correctness["total_quiz"], correctness["total_participated"]) == (3, 1)
    assert correctness["correctness_rate"] == 100.0
    assert answer["class_participation"]["total_class"] == 1
    assert answer["class_participation"]["participation_rate"] == 0.0


async def test_lessons_are_offered_when_published_or_first_watched(world: World):
    await world.enrol("u1", "1")
    month = {"published_at": SEVEN, "duration_ms": 60_999, "catalog_product_id": "1", "kind": "video"}
    await world.row("contents", content_id="published", **month)
    await world.row("contents", content_id="no video", **(month | {"has_video": False}))
    await world.row("contents", content_id="hidden", **(month | {"published": False}))
    await world.row("contents", content_id="of others", **(month | {"catalog_product_id": "2"}))
    for key, first in (("first watched", SEVEN), ("watched before", SEVEN - 30 * DAY), ("not verified", SEVEN)):
        await world.row("contents", content_id=key, **(month | {"published_at": at("2020-01-01 00:00")}))
        verified = key != "not verified"
        await world.segment("u1", key, first, first + MINUTE, kind="video", content_id=key, verified=verified)
    await world.segment("u1", "again", SEVEN, SEVEN + MINUTE, kind="video", content_id="watched before")
    details = (await world.get("/learning/times", **RANGE, with_details="true")).json["details"]

    assert details[1]["total_duration"] == 2 * 60
    assert details[1]["engaged_duration"] == 60
