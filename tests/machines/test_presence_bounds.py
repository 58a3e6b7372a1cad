"""What is kept of one learner is bounded: what a full list does with one more."""

from __future__ import annotations

import pytest

from actors.machines import holding, ranges
from protocol.limits import DEVICES_SHOWN
from tests.machines.builders import GRACE, HOUR, MIN, SEC, Lesson


def test_the_source_that_lapses_first_makes_room_for_one_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "SOURCES_MAX", 2)
    lesson = Lesson()
    lesson.joins("u1", 0, session="a")
    lesson.joins("u1", SEC, session="b")
    lesson.drops("b", 2 * SEC)
    lesson.joins("u1", 3 * SEC, session="c")

    assert list(lesson.state.members["u1"].sources) == ["a", "c"]
    assert lesson.present("u1")


def test_where_all_sources_are_connected_the_oldest_makes_room_and_its_return_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "SOURCES_MAX", 1)
    lesson = Lesson()
    lesson.joins("u1", 0, session="a")
    lesson.joins("u1", SEC, session="b")
    lesson.drops("a", 2 * SEC)
    lesson.joins("u1", 3 * SEC, resume="a")
    lesson.leaves("a", 4 * SEC)

    assert list(lesson.state.members["u1"].sources) == []
    assert lesson.presence("u1", MIN) == [(0, 4 * SEC)]


def test_of_the_devices_of_a_member_the_first_ones_are_shown():
    lesson = Lesson()
    for number in range(DEVICES_SHOWN + 1):
        lesson.joins("u1", number, device=f"d{number}")

    assert lesson.state.members["u1"].devices == [f"d{number}" for number in range(DEVICES_SHOWN)]


def test_a_presence_too_many_is_kept_only_where_it_touches_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "INTERVALS_MAX", 2)
    lesson = Lesson()
    for start in (0, 10 * MIN, 20 * MIN):
        lesson.joins("u1", start, session=f"s{start}")
        lesson.leaves(f"s{start}", start + MIN)
    assert lesson.presence("u1", HOUR) == [(0, MIN), (10 * MIN, 11 * MIN)]

    lesson.joins("u1", 21 * MIN)
    assert lesson.present("u1")
    lesson.drops(f"u1/{lesson.sessions}", 22 * MIN)
    lesson.time_passes(22 * MIN + GRACE)
    assert lesson.presence("u1", HOUR) == [(0, MIN), (10 * MIN, 11 * MIN)]


def test_a_piece_too_many_is_kept_only_where_it_touches_another():
    pieces: list[int] = []
    assert all(ranges.add(pieces, start, start + 10, 2) for start in (0, 100))

    assert not ranges.add(pieces, 50, 60, 2)
    assert ranges.add(pieces, 10, 20, 2)
    assert ranges.pairs(pieces) == [(0, 20), (100, 110)]
