"""The answers' shapes, to the letter: every key of the contract, in the empty state too (learning-api.md)."""

from pathlib import Path
from typing import Any

import msgspec

from tests.edge.learning.conftest import MINUTE, World, at

GOLDEN = Path(__file__).parent / "goldens"
RANGE: dict[str, Any] = {"start_at": "2024-02-01", "end_at": "2024-02-14", "tz": "UTC"}
CLASS: dict[str, Any] = {"live_class_id": "15"}
ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("activities", "/learning/activities", RANGE),
    ("times", "/learning/times", RANGE | {"with_details": "true"}),
    ("attendance", "/liveclass/attendance", RANGE),
    ("overview", "/liveclass/attendance-overview", RANGE),
    ("attendance_details", "/liveclass/attendance/details", RANGE | {"catalog_product_id": "1"}),
    ("day", "/liveclass/attendance-overview/2024-02-07", {"tz": "UTC"}),
    ("details", "/liveclass/details", CLASS),
    ("interaction", "/liveclass/interaction", CLASS),
]
NAMES = [name for name, _, _ in ROUTES]


async def month(world: World) -> None:
    """Two products, four classes, a video, an exam, quizzes, a poll, doubts."""
    seven, eight = at("2024-02-07 10:00"), at("2024-02-08 10:00")
    await world.product("1", "Physics")
    await world.product("2", "Biology")
    await world.row("programs", program_id="7", name="Class Ten", updated_at=0)
    for product in ("1", "2"):
        await world.enrol("u1", product)
    await world.held("15", seven, program_id="7", name="Waves")
    await world.held("16", eight, subject="Optics")
    await world.held("17", eight + 120 * MINUTE, catalog_product_id="2", subject="Cells")
    await world.held("18", at("2024-02-09 10:00"), catalog_product_id="2", subject="Cells", is_required=False)
    await world.presence("u1", "15", seven, seven + 45 * MINUTE)
    await world.presence("u1", "16", eight + 10 * MINUTE, eight + 60 * MINUTE)
    await world.segment(
        "u1", "s1", seven + 5 * MINUTE, seven + 9 * MINUTE, room_id="15", playhead_start_ms=900, playhead_end_ms=240_100
    )
    watched = seven + 30 * MINUTE
    await world.segment("u1", "s2", watched, watched + 30 * MINUTE, kind="video", content_id="9")
    lesson = {"kind": "video", "content_id": "9", "catalog_product_id": "1", "duration_ms": 3_600_000}
    await world.row("contents", **lesson, title="Light", published_at=at("2024-01-01 00:00"))
    exam = {"exam_id": "e1", "type": "assignment", "catalog_product_id": "1", "duration_s": 1800.0}
    await world.row("exams", **exam, start_at=eight)
    await world.row("exam_sessions", exam_id="e1", user_id="u1", end_at=at("2024-02-10 10:00"), time_taken_s=600.0)
    await quizzes(world, seven)


async def quizzes(world: World, seven: int) -> None:
    for quiz in ("q1", "q2", "q3"):
        key = {"quiz_id": quiz, "identification_id": "15", "identification_type": "live_class"}
        await world.row("quizzes", **key, offered_at=seven + MINUTE)
    await world.answered("u1", "q1", "15", seven + 2 * MINUTE)
    await world.answered("u1", "q2", "15", seven + 3 * MINUTE, correct=False)
    await world.interaction("15", "", "poll_offered", "p1")
    await world.interaction("15", "u1", "poll_response", "p1")
    await world.interaction("15", "", "poll_offered", "p2")
    await world.interaction("15", "u1", "doubt_asked", "d1")
    await world.interaction("15", "u1", "doubt_asked", "d2")
    await world.interaction("15", "teacher", "doubt_resolved", "d1")


async def test_the_sample_month_is_answered_as_the_goldens_say(world: World):
    await month(world)
    answers = {name: (await world.get(path, **query)).json for name, path, query in ROUTES}

    for name, answer in answers.items():
        golden = GOLDEN / f"{name}.json"
        assert answer == msgspec.json.decode(golden.read_bytes()), name


def shape(value: Any) -> Any:
    """The keys, all the way down; lists are as their first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def emptied(value: Any) -> Any:
    """A shape without the lists that are empty where nothing happened."""
    if isinstance(value, dict):
        return {key: emptied(inner) for key, inner in value.items()}
    return [] if isinstance(value, list) else value


async def test_who_has_nothing_is_answered_with_every_field(world: World):
    await world.product("1", "Physics")
    await world.enrol("u1", "1")
    await world.timetable("15", at("2024-01-07 10:00"))

    for name, path, query in ROUTES:
        answer = (await world.get(path, **query)).json
        full = emptied(shape(msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())))
        if name == "details":
            full["class_details"]["live_class"]["program"]["id"] = "NoneType"
        assert emptied(shape(answer)) == full, name


async def test_texts_are_in_the_language_that_was_asked_for(world: World):
    for lang, wanted in (("bn", "তোমার পড়াশোনা"), ("en", "Your learning"), (None, "তোমার পড়াশোনা")):
        assert (await world.get("/learning/activities", lang=lang)).json["title"] == wanted


async def test_months_are_named_in_the_language(world: World):
    query: dict[str, Any] = {"start_at": "2024-01-29", "end_at": "2024-02-20", "tz": "UTC"}
    for lang, wanted in (("bn", "জানু 29-ফেব্রু 4"), ("en", "Jan 29-Feb 4")):
        assert (await world.get("/learning/times", lang=lang, **query)).json["histories"][0]["level"] == wanted


async def test_details_of_times_are_there_only_when_asked_for(world: World):
    assert "details" in (await world.get("/learning/times", with_details="true")).json
    assert "details" not in (await world.get("/learning/times", with_details="false")).json
    assert "details" not in (await world.get("/learning/times")).json


async def test_an_answer_that_was_read_before_is_not_sent_again(world: World):
    await world.enrol("u1", "1")
    for _, path, query in ROUTES[:4]:
        first = await world.get(path, **query)
        again = await world.get(path, etag=first.headers["ETag"], **query)

        assert first.headers["Cache-Control"] == "private, max-age=15"
        assert (again.status, again.text) == (304, b"")
