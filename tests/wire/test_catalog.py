"""The catalog's entities: what is read, and that nothing else comes of any bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol import catalog
from protocol.catalog import BadField, Enrolment, Entity, Lesson, LiveClass, Product, Program

AT = 1_707_264_000_000
UPDATED = "2024-02-07T00:00:00Z"

LINES: dict[str, dict[str, Any]] = {
    "product": {"entity": "product", "id": 15, "name": "Class 9", "updated_at": UPDATED},
    "program": {"entity": "program", "id": "g1", "name": "School", "updated_at": UPDATED},
    "live_class": {
        "entity": "live_class",
        "id": "r1",
        "name": "Algebra",
        "catalog_product_id": 15,
        "program_id": "g1",
        "course_id": 3,
        "subject": "Maths",
        "platform": "web",
        "start_at": "2024-02-07T06:00:00.250+06:00",
        "end_at": "2024-02-07t01:00:00z",
        "is_required": False,
        "status": "cancelled",
        "updated_at": UPDATED,
    },
    "content": {
        "entity": "content",
        "kind": "lesson",
        "id": 7,
        "title": "বীজগণিত",
        "catalog_product_id": 15,
        "course_id": 3,
        "has_video": True,
        "published": False,
        "published_at": UPDATED,
        "duration_seconds": 600.0005,
        "sequential": True,
        "requires": [{"kind": "lesson", "id": 6}, {"kind": "lesson", "id": "6"}, {"kind": "quiz", "id": "q"}],
        "completion_threshold": 1,
        "ignore_tail": True,
        "updated_at": UPDATED,
    },
    "enrolment": {
        "entity": "enrolment",
        "catalog_product_id": 15,
        "user_id": 27,
        "enrolled_at": UPDATED,
        "ended_at": UPDATED,
        "updated_at": UPDATED,
    },
}
READ: dict[str, Entity] = {
    "product": Product("15", "Class 9", AT),
    "program": Program("g1", "School", AT),
    "live_class": LiveClass(
        "r1",
        "Algebra",
        "15",
        "g1",
        "3",
        "Maths",
        "web",
        AT + 250,
        AT + 3_600_000,
        is_required=False,
        status="cancelled",
        updated_at=AT,
    ),
    "content": Lesson(
        kind="lesson",
        content_id="7",
        title="বীজগণিত",
        catalog_product_id="15",
        course_id="3",
        has_video=True,
        published=False,
        published_at=AT,
        duration_ms=600_000,
        sequential=True,
        requires=(("lesson", "6"), ("quiz", "q")),
        completion_threshold=1.0,
        ignore_tail=True,
        updated_at=AT,
    ),
    "enrolment": Enrolment("15", "27", AT, AT, AT),
}


def read(line: dict[str, Any]) -> Entity:
    return catalog.read_line(msgspec.json.encode(line))


@pytest.mark.parametrize("entity", LINES)
def test_a_line_is_read_into_one_typed_form(entity: str):
    assert read(LINES[entity]) == READ[entity]


def test_every_entity_has_an_example():
    assert LINES.keys() == catalog.SHAPES.keys()


@pytest.mark.parametrize("entity", LINES)
def test_what_may_be_left_out_may_be_null(entity: str):
    for name in LINES[entity]:
        absent = {key: value for key, value in LINES[entity].items() if key != name}
        null = LINES[entity] | {name: None}
        assert _outcome(absent) == _outcome(null), name


def _outcome(line: dict[str, Any]) -> Any:
    try:
        return read(line)
    except BadField as bad:
        return bad.field, bad.message


def test_what_a_class_and_a_content_need_not_say():
    left_out = {"is_required", "status", "program_id", "course_id", "platform"}
    found = read({key: value for key, value in LINES["live_class"].items() if key not in left_out})
    assert isinstance(found, LiveClass)
    assert (found.is_required, found.status, found.program_id, found.course_id) == (True, "scheduled", None, None)

    whole = {"entity", "kind", "id", "title", "has_video", "published", "updated_at"}
    bare = read({key: value for key, value in LINES["content"].items() if key in whole})
    assert isinstance(bare, Lesson)
    assert (bare.sequential, bare.requires, bare.ignore_tail, bare.completion_threshold) == (False, (), False, None)


def test_a_length_of_nothing_is_none_known():
    found = read(LINES["content"] | {"duration_seconds": 0})
    assert isinstance(found, Lesson)
    assert found.duration_ms is None


@pytest.mark.parametrize(
    ("entity", "change", "field"),
    [
        ("product", {"name": None}, "name"),
        ("product", {"name": ""}, "name"),
        ("product", {"name": 5}, "name"),
        ("product", {"name": "x" * 257}, "name"),
        ("product", {"name": "nul \0"}, "name"),
        ("product", {"updated_at": None}, "updated_at"),
        ("product", {"updated_at": "yesterday"}, "updated_at"),
        ("product", {"updated_at": "2024-02-07T00:00:00"}, "updated_at"),
        ("product", {"updated_at": 1707264000}, "updated_at"),
        ("product", {"updated_at": "2024-02-30T00:00:00Z"}, "updated_at"),
        ("content", {"has_video": "yes"}, "has_video"),
        ("content", {"published": 1}, "published"),
        ("content", {"duration_seconds": -1}, "duration_seconds"),
        ("content", {"duration_seconds": "600"}, "duration_seconds"),
        ("content", {"completion_threshold": 1.01}, "completion_threshold"),
        ("content", {"completion_threshold": 0}, "completion_threshold"),
        ("content", {"completion_threshold": True}, "completion_threshold"),
        ("content", {"requires": {}}, "requires"),
        ("content", {"requires": [{"kind": "lesson"}]}, "requires"),
        ("content", {"requires": [{"kind": "lesson", "id": 1.5}]}, "requires"),
        ("content", {"requires": [{"kind": "lesson", "id": 7}]}, "requires"),
        ("content", {"requires": [{"kind": "lesson", "id": each} for each in range(101)]}, "requires"),
        ("content", {"catalog_product_id": True}, "catalog_product_id"),
        ("content", {"catalog_product_id": "x" * 129}, "catalog_product_id"),
        ("live_class", {"status": "over"}, "status"),
        ("live_class", {"status": []}, "status"),
        ("live_class", {"is_required": "no"}, "is_required"),
        ("live_class", {"end_at": "2020-01-01T00:00:00Z"}, "end_at"),
        ("live_class", {"subject": None}, "subject"),
        ("enrolment", {"enrolled_at": "2024-02-02T00:00:00Z", "ended_at": "2024-02-01T00:00:00Z"}, "ended_at"),
    ],
)
def test_what_is_wrong_is_named(entity: str, change: dict[str, Any], field: str):
    fault = _fault(_encoded(LINES[entity] | change))

    assert fault is not None
    assert fault.field == field


@pytest.mark.parametrize("bad", [True, 1.5, [], {}, "", "x" * 129, -1, 2**53, "nul \0", "half \ud800"], ids=repr)
@pytest.mark.parametrize("field", ["catalog_product_id", "user_id"])
def test_what_is_no_id_is_named(bad: Any, field: str):
    with pytest.raises(BadField) as caught:
        catalog.read_line(_encoded(LINES["enrolment"] | {field: bad}))

    assert caught.value.field in (field, "")


def _encoded(line: dict[str, Any]) -> bytes:
    """As a sender may write it that escapes what is no character."""
    return json.dumps(line).encode()


def test_the_newest_telling_of_a_thing_lasts_and_of_equals_the_last():
    told = [Product("1", name, at) for name, at in (("a", 5), ("b", 9), ("c", 9), ("d", 7))]

    assert catalog.lasting([*told, Program("1", "other", 1)]) == [Product("1", "c", 9), Program("1", "other", 1)]


def _fault(data: bytes) -> BadField | None:
    try:
        catalog.read_line(data)
    except BadField as bad:
        return bad
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entity_or_name_a_fault(data: bytes):
    fault = _fault(data)
    assert fault is None or fault.message


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@given(st.sampled_from(sorted(LINES)), st.data())
def test_any_value_in_any_field_is_taken_or_named(entity: str, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(LINES[entity])))
    fault = _fault(_encoded(LINES[entity] | {name: data.draw(_values)}))
    # No field: it is no JSON at all. And a time may be one that another one does not go with.
    assert fault is None or fault.field in (name, "", "end_at", "ended_at", "requires")
