"""A room's life: scheduled, live, ended or cancelled (realtime.md, "Room")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.machines.effects import JOURNAL, Refused, RoomTurned, SessionEnded
from tests.machines.builders import HOUR, MIN, SEC, T0, Lesson, sample

STATES = ["scheduled", "live", "ended", "cancelled"]


def lesson_in(state: str) -> Lesson:
    """A class of 10:00 to 11:00 at ten minutes to, in that state and with nobody in it."""
    lesson = Lesson()
    if state in ("live", "ended"):
        lesson.starts(-12 * MIN)
    if state == "ended":
        lesson.ends(-11 * MIN)
    if state == "cancelled":
        lesson.is_cancelled(-11 * MIN)
    assert lesson.status == state
    return lesson


EVENTS: dict[str, Callable[[Lesson], Any]] = {
    "starts": lambda lesson: lesson.starts(-10 * MIN),
    "ends": lambda lesson: lesson.ends(-10 * MIN),
    "is cancelled": lambda lesson: lesson.is_cancelled(-10 * MIN),
    "is joined": lambda lesson: lesson.joins("u1", -10 * MIN),
    "is posted to": lambda lesson: lesson.posts("u1", -10 * MIN, [sample(1, -10 * MIN, 0)]),
    "is scheduled": lambda lesson: lesson.schedule(0, HOUR, at=-10 * MIN),
    "is to be again": lambda lesson: lesson.is_to_be_again(0, HOUR, at=-10 * MIN),
    "is left by the server": lambda lesson: lesson.server_restarts(-10 * MIN),
    "sees time pass": lambda lesson: lesson.time_passes(-10 * MIN),
    "hears of a stream it does not know": lambda lesson: lesson.plays("x", -10 * MIN, 1),
}

TABLE = {
    "starts": ["live", "live", "live", "cancelled"],
    "ends": ["ended", "ended", "ended", "cancelled"],
    "is cancelled": ["cancelled", "cancelled", "ended", "cancelled"],
    "is joined": ["live", "live", "ended", "cancelled"],
    "is posted to": ["live", "live", "ended", "cancelled"],
    "is scheduled": STATES,
    "is to be again": ["scheduled", "live", "ended", "scheduled"],
    "is left by the server": STATES,
    "sees time pass": STATES,
    "hears of a stream it does not know": STATES,
}

REFUSED = {
    ("starts", "cancelled"): "room_cancelled",
    ("ends", "cancelled"): "room_cancelled",
    ("is joined", "cancelled"): "room_cancelled",
    ("is joined", "ended"): "room_ended",
    ("is posted to", "cancelled"): "room_cancelled",
    **{("hears of a stream it does not know", state): "unknown_stream" for state in STATES},
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_knows_every_event(state: str, event: str):
    lesson = lesson_in(state)
    answer = EVENTS[event](lesson)

    assert lesson.status == TABLE[event][STATES.index(state)]
    refusal = answer.code if isinstance(answer, Refused) else None
    assert refusal == REFUSED.get((event, state))


# -- going live -------------------------------------------------------------------------------------------------------


def test_a_join_a_quarter_of_an_hour_before_the_start_opens_the_class():
    lesson = Lesson()
    lesson.joins("u1", -15 * MIN)

    assert RoomTurned("live", T0 - 15 * MIN) in lesson.effects
    assert lesson.started == -15 * MIN


def test_a_join_a_millisecond_earlier_waits_and_the_class_opens_when_the_window_does():
    lesson = Lesson()
    lesson.joins("u1", -15 * MIN - 1)
    assert lesson.status == "scheduled"

    lesson.time_passes(-14 * MIN)
    assert (lesson.status, lesson.started) == ("live", -15 * MIN)


def test_who_left_before_the_window_opens_does_not_open_the_class():
    lesson = Lesson()
    lesson.joins("u1", -20 * MIN)
    lesson.leaves("u1/1", -16 * MIN)
    lesson.time_passes(-10 * MIN)

    assert lesson.status == "scheduled"


def test_a_late_look_at_the_clock_opens_the_class_all_the_same():
    """In grace when the window opened, gone when somebody looked."""
    lesson = Lesson()
    lesson.joins("u1", -20 * MIN)
    lesson.drops("u1/1", -15 * MIN - 5 * SEC)
    lesson.time_passes(-10 * MIN)

    assert (lesson.status, lesson.started, lesson.present("u1")) == ("live", -15 * MIN, False)


def test_without_a_schedule_the_first_join_opens_the_class():
    lesson = Lesson(None, None)
    lesson.joins("u1", 5)
    assert (lesson.status, lesson.started) == ("live", 5)


def test_a_start_is_dated_by_its_sender_but_never_in_the_future():
    early, ahead = Lesson(), Lesson()
    early.starts(-3 * MIN, received=0)
    ahead.starts(HOUR, received=0)

    assert (early.started, ahead.started) == (-3 * MIN, 0)


def test_starting_twice_is_starting_once():
    lesson = Lesson()
    lesson.starts(0)
    lesson.starts(MIN)
    assert lesson.started == 0


# -- ending -----------------------------------------------------------------------------------------------------------


def test_ending_twice_is_ending_once():
    lesson = Lesson()
    lesson.starts(0)
    lesson.ends(10 * MIN)
    assert lesson.ends(20 * MIN) is None
    assert lesson.ended == 10 * MIN


def test_the_end_closes_presences_at_its_time_and_segments_stand_at_their_last_sample():
    lesson = Lesson()
    lesson.joins("u1", 0)
    for seq, at in enumerate((0, 10 * SEC, 20 * SEC), start=1):
        lesson.plays("u1/1", at, seq)
    lesson.ends(30 * SEC)

    rows = lesson.checkpoint(31 * SEC)
    assert lesson.presence("u1") == [(0, 30 * SEC)]
    assert [row.segment.content_ms for row in rows.segments] == [20 * SEC]
    assert rows.sessions[0].ended_at == T0 + 30 * SEC


def test_an_empty_class_ends_ten_minutes_after_its_scheduled_end_as_of_that_end():
    lesson = Lesson(0, HOUR)
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 50 * MIN)
    lesson.time_passes(70 * MIN - 1)
    assert lesson.status == "live"

    lesson.time_passes(70 * MIN)
    assert (lesson.status, lesson.ended) == ("ended", HOUR)


def test_a_class_that_overran_ended_when_the_last_one_left():
    lesson = Lesson(0, HOUR)
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 65 * MIN)
    lesson.time_passes(74 * MIN)
    assert lesson.status == "live"

    lesson.time_passes(90 * MIN)
    assert (lesson.status, lesson.ended) == ("ended", 65 * MIN)


def test_the_last_one_is_who_was_there_last_not_whose_grace_ran_out_last():
    lesson = Lesson(0, HOUR)
    lesson.joins("u1", 0)
    lesson.joins("u2", 0)
    lesson.drops("u1/1", 62 * MIN + 10 * SEC, evidence=61 * MIN)
    lesson.leaves("u2/2", 62 * MIN + 15 * SEC)
    lesson.time_passes(80 * MIN)

    assert lesson.ended == 62 * MIN + 15 * SEC


def test_somebody_inside_keeps_a_class_open():
    lesson = Lesson(0, HOUR)
    lesson.joins("u1", 0)
    lesson.time_passes(5 * HOUR)
    assert lesson.status == "live"


def test_a_class_without_a_scheduled_end_does_not_end_by_itself():
    lesson = Lesson(None, None)
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", MIN)
    lesson.time_passes(20 * HOUR)
    assert lesson.status == "live"


def test_a_class_that_ended_is_reopened_within_its_time_and_not_made_anew():
    lesson = Lesson(0, HOUR)
    lesson.starts(0)
    lesson.ends(10 * MIN)
    lesson.starts(20 * MIN)

    assert (lesson.status, lesson.started, lesson.ended) == ("live", 0, None)


def test_a_class_that_ended_stays_so_when_its_time_is_long_over():
    lesson = Lesson(0, HOUR)
    lesson.starts(0)
    lesson.ends(10 * MIN)

    assert lesson.starts(2 * HOUR).code == "room_ended"
    assert lesson.ended == 10 * MIN


def test_who_was_in_the_class_before_it_reopened_joins_again():
    lesson = Lesson(0, HOUR)
    lesson.joins("u1", 0)
    lesson.ends(10 * MIN)
    lesson.starts(20 * MIN)
    lesson.joins("u1", 21 * MIN, resume="u1/1")
    lesson.leaves("u1/1", 22 * MIN)

    assert lesson.presence("u1") == [(0, 10 * MIN), (21 * MIN, 22 * MIN)]


# -- cancelling -------------------------------------------------------------------------------------------------------


def test_a_class_that_somebody_came_to_is_not_cancelled():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 1)
    assert lesson.is_cancelled(2) is None
    assert lesson.status == "live"


# -- late samples -----------------------------------------------------------------------------------------------------


def ended_lesson() -> Lesson:
    """u1 was there from the start, lost the network at 10 s and the class ended at 60 s."""
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.plays("u1/1", 0, 1)
    lesson.drops("u1/1", 10 * SEC)
    lesson.ends(60 * SEC)
    return lesson


def test_an_ended_class_refuses_a_new_stream_and_takes_one_back():
    lesson = ended_lesson()

    assert lesson.joins("u2", 70 * SEC).code == "room_ended"
    assert lesson.joins("u1", 70 * SEC, resume="u1/1").resumed
    assert not lesson.present("u1")


def test_samples_for_the_time_before_the_end_are_credited_after_it():
    lesson = ended_lesson()
    lesson.joins("u1", 120 * SEC, resume="u1/1")
    kept = [sample(n + 1, n * 10 * SEC, n * 10 * SEC) for n in range(1, 7)]
    lesson.sends("u1/1", kept, 120 * SEC)

    [row] = lesson.checkpoint(120 * SEC).segments
    assert row.segment.content_ms == 60 * SEC
    assert lesson.presence("u1") == [(0, 60 * SEC)]


def test_samples_for_the_time_after_the_end_are_not():
    lesson = ended_lesson()
    lesson.joins("u1", 120 * SEC, resume="u1/1")
    lesson.sends("u1/1", [sample(n + 1, n * 10 * SEC, n * 10 * SEC) for n in range(1, 10)], 120 * SEC)

    assert lesson.state.sessions["u1/1"].track.last_seq == 10
    assert sum(row.segment.content_ms for row in lesson.checkpoint(120 * SEC).segments) == 60 * SEC
    assert lesson.presence("u1") == [(0, 60 * SEC)]


def test_posts_kept_offline_are_presence_in_a_class_that_has_ended():
    lesson = ended_lesson()
    lesson.posts("u2", HOUR, [sample(n + 1, n * 10 * SEC, n * 10 * SEC) for n in range(9)])

    assert lesson.presence("u2") == [(0, 60 * SEC)]
    assert not lesson.present("u2")


def test_a_stream_silent_for_half_an_hour_after_its_connection_went_is_over():
    lesson = Lesson(0, 2 * HOUR)
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 10 * MIN)
    lesson.time_passes(40 * MIN - 1)
    assert lesson.state.sessions["u1/1"].ended_at is None

    assert SessionEnded("u1/1") in lesson.time_passes(40 * MIN)


@pytest.mark.parametrize("looked_at", [[30 * MIN, 60 * MIN], [39 * MIN], []])
def test_when_a_stream_is_over_does_not_depend_on_when_the_clock_was_looked_at(looked_at: list[int]):
    lesson = Lesson(0, 2 * HOUR)
    lesson.joins("u1", 0)
    for at in looked_at:
        if at < 45 * MIN:
            lesson.time_passes(at)
    lesson.drops("u1/1", 45 * MIN, evidence=44 * MIN)
    for at in looked_at:
        if at > 45 * MIN:
            lesson.time_passes(at)

    assert lesson.joins("u1", 74 * MIN, resume="u1/1").resumed is False


def test_a_refusal_changes_nothing_and_is_not_journaled():
    lesson = ended_lesson()
    lesson.joins("u9", 70 * SEC)
    assert JOURNAL not in lesson.effects
    assert "u9" not in lesson.state.members
