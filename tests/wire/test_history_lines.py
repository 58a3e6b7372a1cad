"""Lines of history: each form is read, and what is wrong with a line is told by its field."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import catalog
from protocol.events_in import ClassOver
from protocol.history import BadLine, Played, Presence, read_line
from server.history.reading import chunks, read_chunk

NOW = 1_800_000_000_000
STAY = {
    "entity": "presence",
    "live_class_id": 1,
    "user_id": "7",
    "joined_at": "2024-02-07T10:00:00Z",
    "left_at": "2024-02-07T16:30:00.250+06:00",
}
STRETCH = {
    "entity": "segment",
    "user_id": 7,
    "content_kind": "lms_lesson",
    "content_id": 9,
    "start_timestamp": "2024-02-07T10:00:00Z",
    "end_timestamp": "2024-02-07T10:01:00Z",
    "playhead_start_at": 0,
    "playhead_end_at": 90.5,
}
SUM = {
    "entity": "attendance",
    "live_class_id": 1,
    "user_id": 7,
    "first_join": STAY["joined_at"],
    "presence_seconds": 60,
}


def problem(line: dict[str, Any] | bytes) -> tuple[str, str]:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    read = read_chunk([data], 41, NOW)
    [found] = read.problems
    assert found.line == 41
    return found.field, found.message


def test_each_form_is_read():
    assert isinstance(read_line(json.dumps(STAY).encode()), Presence)
    assert isinstance(read_line(json.dumps(STRETCH).encode()), Played)
    product = {"entity": "product", "id": 1, "name": "x", "updated_at": "2024-01-01T00:00:00Z"}
    assert isinstance(read_line(json.dumps(product).encode()), catalog.Product)
    over = {"event_name": "liveclass.end", "data": {"payload": {"live_class_id": 1, "end_at": 1_700_000_000}}}
    assert isinstance(read_line(json.dumps(over).encode()), ClassOver)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"\xff", ""),
        ({}, "entity"),
        ({"entity": "nothing"}, "entity"),
        ({"event_name": "nothing"}, "event_name"),
        ({"event_name": "liveclass.start", "data": {"payload": {"live_class_id": 1, "start_at": 1}}}, "event_name"),
        (STAY | {"user_id": None}, "user_id"),
        (STAY | {"user_id": ""}, "user_id"),
        (STAY | {"user_id": True}, "user_id"),
        (STAY | {"user_id": "x" * 129}, "user_id"),
        (STAY | {"name": "a\0b"}, "name"),
        (STAY | {"joined_at": "2024-02-07T10:00:00"}, "joined_at"),
        (STAY | {"joined_at": "yesterday"}, "joined_at"),
        (STAY | {"left_at": "2024-02-07T09:59:59Z"}, "left_at"),
        (STAY | {"left_at": "2024-02-08T10:00:01Z"}, "left_at"),
        (STAY | {"joined_at": "2099-02-07T10:00:00Z", "left_at": "2099-02-07T10:00:00Z"}, "left_at"),
        (STRETCH | {"live_class_id": 1}, "live_class_id"),
        (STRETCH | {"content_id": None}, "content_id"),
        (STRETCH | {"content_kind": None}, "content_kind"),
        (STRETCH | {"playhead_end_at": -1}, "playhead_end_at"),
        (STRETCH | {"playhead_start_at": 91}, "playhead_end_at"),
        (STRETCH | {"playhead_end_at": 10_000}, "playhead_end_at"),
        (STRETCH | {"rate": 0}, "rate"),
        (SUM | {"presence_seconds": 90_000}, "presence_seconds"),
        (SUM | {"hand_raises": 1.5}, "hand_raises"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(line: dict[str, Any] | bytes, field: str):
    assert problem(line)[0] == field


def test_a_missing_field_is_named():
    for form in (STAY, STRETCH, SUM):
        for name in form.keys() - {"entity"}:
            assert name in problem({key: value for key, value in form.items() if key != name})


def test_ids_are_one_whether_text_or_number_and_times_are_instants():
    read = read_chunk([json.dumps(STAY).encode()], 1, NOW)
    [stay] = read.chunk.stays
    assert (stay.room_id, stay.user_id, stay.end - stay.start) == ("1", "7", 1_800_250)


def test_a_segment_of_a_class_is_presence_too():
    line = {**STRETCH, "live_class_id": "c"}
    del line["content_kind"], line["content_id"]
    read = read_chunk([json.dumps(line).encode()], 1, NOW)
    assert [(stay.room_id, stay.end - stay.start) for stay in read.chunk.stays] == [("c", 60_000)]


def test_segments_without_a_session_are_one_a_day_and_device():
    lines = [STRETCH, STRETCH | {"device_id": "b"}, STRETCH | {"playhead_start_at": 5}]
    read = read_chunk([json.dumps(line).encode() for line in lines], 1, NOW)
    first, second, third = read.chunk.pieces
    assert first.session_id == third.session_id != second.session_id
    assert first.number != third.number


def test_lines_come_in_chunks_that_know_their_numbers():
    found = list(chunks([b"{}\n", b"\n", b"{}\n"], lambda: NOW, 2))
    assert [(read.first, read.lines, read.facts) for read in found] == [(1, 2, 1), (3, 1, 1)]
    assert [problem.line for read in found for problem in read.problems] == [1, 3]


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(
        lambda value: json.dumps({"entity": "presence", "user_id": value}).encode()
    )
)
def test_whatever_the_bytes_it_is_a_line_or_a_bad_one(data: bytes):
    with suppress(BadLine):
        read_line(data)


@pytest.mark.parametrize("half", [r"\ud800", r"\udc00x", r"x\ud800\u0041"])
def test_half_a_character_is_refused_before_anything_else(half: str):
    data = json.dumps(STAY | {"name": "HERE"}).replace("HERE", half)
    assert problem(data.encode())[0] == ""
