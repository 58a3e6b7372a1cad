"""What the conference server tells beside who is there: devices, recordings, its own list; and other systems.

plugnmeet.md, readings 11, 13 and 14; events.md on rooms.
"""

from __future__ import annotations

import pytest

from actors.machines.effects import Corrected
from actors.machines.events import UserFigures
from tests.machines.builders import HOUR, MIN, SEC, T0
from tests.machines.meeting import Meeting

# -- devices (reading 11) ---------------------------------------------------------------------------------------------


def devices(meeting: Meeting, user: str, now: int) -> tuple[int, int, int]:
    row = meeting.figures(user, now)
    return row.camera_ms, row.microphone_ms, row.screen_ms


def test_a_device_counts_from_published_to_unpublished():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "camera", MIN)
    meeting.switches_off("u1/1", "camera", 3 * MIN, silent=True)

    assert devices(meeting, "u1", HOUR) == (2 * MIN, 0, 0)


def test_a_device_that_is_on_counts_up_to_now():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "microphone", MIN)

    assert devices(meeting, "u1", 5 * MIN) == (0, 4 * MIN, 0)


def test_a_device_goes_off_with_its_participant():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "camera", MIN)
    meeting.goes("u1/1", 5 * MIN)

    assert devices(meeting, "u1", HOUR) == (4 * MIN, 0, 0)


@pytest.mark.parametrize("way", ["its session", "somebody"])
def test_a_device_goes_off_with_the_room(way: str):
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "screen", MIN)
    if way == "somebody":
        meeting.ends(10 * MIN)
    else:
        meeting.closes(10 * MIN)
    meeting.switches_off("u1/1", "screen", 11 * MIN)

    assert devices(meeting, "u1", HOUR) == (0, 0, 9 * MIN)


def test_two_cameras_at_once_are_one():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "camera", MIN, track="t1")
    meeting.switches_on("u1/1", "camera", 2 * MIN, track="t2")
    meeting.goes("u1/1", 3 * MIN)

    assert devices(meeting, "u1", HOUR) == (2 * MIN, 0, 0)


def test_an_off_before_its_on_counts_the_same():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_off("u1/1", "camera", 3 * MIN, silent=True)
    meeting.switches_on("u1/1", "camera", MIN, received=4 * MIN)

    assert devices(meeting, "u1", HOUR) == (2 * MIN, 0, 0)


def test_a_hidden_participants_devices_are_nobodys():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.comes("u1/2", 0, sid="s1", hidden=True)
    meeting.switches_on("u1/2", "camera", MIN)

    assert devices(meeting, "u1", 10 * MIN) == (0, 0, 0)


# -- recordings, analytics --------------------------------------------------------------------------------------------


def test_a_recording_runs_from_its_start_to_its_end():
    meeting = Meeting()
    meeting.begins(0)
    meeting.is_recorded("r1", MIN)
    assert meeting.state.conference.active("recording")
    meeting.is_recorded("r1", 5 * MIN, started=False)

    assert not meeting.state.conference.active("recording")


def test_a_recording_that_failed_never_ran():
    meeting = Meeting()
    meeting.begins(0)
    meeting.is_recorded("r1", MIN, failure="no recorder")

    assert not meeting.state.conference.active("recording")


def test_analytics_are_taken_once_and_touch_no_presence():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_analysed(MIN, UserFigures("u1", None, 5 * SEC, 2, 1))
    meeting.is_analysed(2 * MIN, UserFigures("u1", None, 5 * SEC, 2, 1))
    row = meeting.figures("u1", 2 * MIN)

    assert (row.talk_ms, row.hand_raises, row.polls_answered) == (5 * SEC, 2, 1)
    assert meeting.presence("u1", 2 * MIN) == [(0, 2 * MIN)]


# -- repair (reading 13) ----------------------------------------------------------------------------------------------


def test_whoever_a_poll_misses_left_at_the_last_poll_that_saw_them():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(2 * MIN, ("u1/1", 0))
    told = meeting.is_seen(3 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 2 * MIN)]
    assert Corrected(1) in told


def test_whoever_was_never_seen_left_at_the_last_that_was_told_of_them():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/1", "camera", MIN)
    meeting.is_seen(3 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, MIN)]


@pytest.mark.parametrize(("age", "there"), [(10 * SEC - 1, True), (10 * SEC, False)])
def test_a_join_younger_than_ten_seconds_is_not_missed(age: int, there: bool):  # noqa: FBT001
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(age)

    assert bool(meeting.presence("u1", MIN)) is there


def test_whoever_a_poll_sees_and_nobody_told_of_is_there_since_they_joined():
    meeting = Meeting()
    meeting.begins(0)
    told = meeting.is_seen(3 * MIN, ("u1/1", MIN))

    assert meeting.presence("u1", 4 * MIN) == [(MIN, 4 * MIN)]
    assert Corrected(1) in told


def test_a_poll_that_finds_everything_as_it_is_corrects_nothing():
    meeting = Meeting()
    meeting.comes("u1/1", 0)

    assert meeting.is_seen(3 * MIN, ("u1/1", 0)) == []


def test_a_poll_that_sees_somebody_again_takes_the_closing_back():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(2 * MIN)
    meeting.is_seen(3 * MIN, ("u1/1", 0))

    assert meeting.presence("u1", 4 * MIN) == [(0, 4 * MIN)]


def test_a_camera_that_is_switched_later_takes_the_closing_back():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(2 * MIN)
    meeting.switches_on("u1/1", "camera", 3 * MIN)

    assert meeting.presence("u1", 4 * MIN) == [(0, 4 * MIN)]


@pytest.mark.parametrize("left", [MIN, 150 * SEC])
def test_a_real_left_overrides_what_the_polls_found(left: int):
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(2 * MIN, ("u1/1", 0))
    meeting.is_seen(3 * MIN)
    meeting.goes("u1/1", left, received=4 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, left)]


def test_a_room_that_is_not_active_twice_ended_the_first_time():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_not_active(10 * MIN)
    assert meeting.status == "live"
    meeting.is_not_active(11 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 10 * MIN)


def test_a_room_that_is_active_again_in_between_goes_on():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_not_active(10 * MIN)
    meeting.is_seen(11 * MIN, ("u1/1", 0))
    meeting.is_not_active(12 * MIN)

    assert meeting.status == "live"


def test_a_session_that_begins_between_two_polls_is_not_ended_by_the_first():
    meeting = Meeting()
    meeting.begins(0)
    meeting.is_not_active(10 * MIN)
    meeting.begins(11 * MIN, sid="s2")
    meeting.is_not_active(12 * MIN)

    assert meeting.status == "live"


def test_an_identity_that_is_a_users_gives_its_presence_to_them():
    meeting = Meeting()
    meeting.comes("x7/1", 0)
    meeting.is_seen(2 * MIN, ("x7/1", 0), users={"x7": "u1"})

    assert set(meeting.state.members) == {"u1"}
    assert meeting.presence("u1", 3 * MIN) == [(0, 3 * MIN)]


# -- what other systems say (events.md) -------------------------------------------------------------------------------


def test_what_another_system_saw_is_presence():
    meeting = Meeting()
    meeting.begins(0)
    meeting.is_witnessed("u1", MIN, 5 * MIN, received=6 * MIN)

    assert meeting.figures("u1", HOUR).presence_ms == 4 * MIN


def test_a_later_end_from_the_owner_of_the_class_corrects_its_times():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.closes(30 * MIN)
    meeting.is_ended_by_amqp(25 * MIN, received=40 * MIN, began=5 * MIN)

    assert (meeting.started, meeting.ended) == (5 * MIN, 25 * MIN)
    assert meeting.figures("u1", HOUR).presence_ms == 20 * MIN


def test_a_start_of_before_the_end_does_not_reopen():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.is_started_by("amqp", 30 * MIN, received=31 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 30 * MIN)


def test_a_start_of_after_the_end_reopens():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.is_started_by("amqp", 30 * MIN + 1, received=31 * MIN)

    assert meeting.status == "live"


def test_a_class_in_which_somebody_was_present_is_never_cancelled():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_cancelled(MIN)

    assert meeting.status == "live"


def test_a_cancelled_class_in_which_somebody_was_present_was_not_cancelled():
    meeting = Meeting()
    meeting.is_cancelled(-MIN)
    meeting.comes("u1/1", 0)

    assert meeting.status == "live"


def test_a_cancelled_class_of_which_only_a_start_is_told_stays_cancelled():
    meeting = Meeting()
    meeting.is_cancelled(-MIN)
    meeting.begins(0)

    assert meeting.status == "cancelled"


def test_a_segment_ends_at_its_last_sample_when_the_class_ends():
    meeting = Meeting()
    meeting.joins("u1", 0)
    meeting.begins(0)
    for seq, at in enumerate(range(0, 6 * 10 * SEC, 10 * SEC), start=1):
        meeting.plays("u1/1", at, seq)
    meeting.closes(55 * SEC)
    (row,) = meeting.checkpoint(MIN).segments

    assert (row.segment.end_at - row.segment.start_at, row.open) == (50 * SEC, False)
    assert meeting.presence("u1", HOUR) == [(0, 55 * SEC)]


# -- what a checkpoint that was under way has written -----------------------------------------------------------------


def test_a_gap_that_was_written_while_it_ceased_to_count_is_written_again():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", MIN)
    meeting.checkpoint(2 * MIN)
    meeting.comes("u1/2", MIN + 10 * SEC, received=2 * MIN)
    under_way = meeting.room.rows()
    meeting.comes("u1/2", MIN + 10 * SEC, received=2 * MIN, hidden=True)
    meeting.room.written(under_way)

    gap, again = (
        [row.left_at - T0 for row in rows.presences if row.number == 1] for rows in (under_way, meeting.room.rows())
    )
    assert (gap, again) == ([MIN + 10 * SEC], [MIN])


def test_the_camera_of_whoever_turns_out_to_be_hidden_is_written_anew():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.switches_on("u1/2", "camera", 0)
    meeting.switches_off("u1/2", "camera", MIN)
    (written,) = meeting.checkpoint(2 * MIN).attendances
    meeting.goes("u1/2", MIN, hidden=True)
    (again,) = meeting.checkpoint(3 * MIN).attendances

    assert (written.camera_ms, again.camera_ms) == (MIN, 0)
