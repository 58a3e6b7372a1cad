"""A class that the conference server tells of: plugnmeet.md, readings 3 to 7 and 12."""

from __future__ import annotations

import pytest

from actors.machines.effects import RoomTurned, Unplaced
from tests.machines.builders import GRACE, HOUR, MIN, SEC, T0
from tests.machines.meeting import Meeting

# -- presence ---------------------------------------------------------------------------------------------------------


def test_a_participant_is_present_from_joined_to_left():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 10 * MIN)

    assert meeting.presence("u1", 20 * MIN) == [(0, 10 * MIN)]


def test_a_join_is_dated_by_itself_and_not_by_its_reception():
    meeting = Meeting()
    meeting.comes("u1/1", 0, received=5 * MIN)

    assert meeting.presence("u1", 6 * MIN) == [(0, 6 * MIN)]


def test_a_left_without_a_join_makes_a_closed_presence():
    meeting = Meeting()
    meeting.goes("u1/1", 10 * MIN, "CLIENT_INITIATED", joined=MIN)

    assert meeting.presence("u1", HOUR) == [(MIN, 10 * MIN)]
    assert not meeting.present("u1")


def test_a_join_that_comes_after_its_left_does_not_reopen_it():
    meeting = Meeting()
    meeting.goes("u1/1", 10 * MIN, "CLIENT_INITIATED")
    meeting.comes("u1/1", MIN, received=11 * MIN)

    assert meeting.presence("u1", HOUR) == [(MIN, 10 * MIN)]
    assert not meeting.present("u1")


def test_of_two_lefts_of_one_participant_the_earliest_holds():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 10 * MIN, "ROOM_CLOSED")
    meeting.goes("u1/1", 9 * MIN, "SIGNAL_CLOSE", received=11 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 9 * MIN)]


def test_a_lost_left_ends_where_the_same_identity_comes_anew():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.comes("u1/2", 5 * MIN)
    meeting.goes("u1/2", 6 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 6 * MIN)]


def test_two_who_came_in_the_same_moment_do_not_end_each_other():
    meeting = Meeting()
    meeting.comes("u1/2", MIN)
    meeting.goes("u1/1", MIN, "DUPLICATE_IDENTITY")

    assert meeting.presence("u1", 10 * MIN) == [(MIN, 10 * MIN)]


def test_the_same_identity_in_another_session_ends_nothing():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.comes("u1/2", MIN, sid="b1", breakout=True)
    meeting.goes("u1/2", 2 * MIN, sid="b1", breakout=True)

    assert meeting.presence("u1", 10 * MIN) == [(0, 10 * MIN)]


def test_a_hidden_participant_is_nobodys_presence():
    meeting = Meeting()
    meeting.begins(0)
    meeting.comes("u1/1", 0, hidden=True)
    meeting.goes("u1/1", 10 * MIN)

    assert "u1" not in meeting.state.members


def test_a_participant_who_turns_out_to_be_hidden_was_never_there():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 10 * MIN, hidden=True)

    assert "u1" not in meeting.state.members


def test_a_hidden_participant_opens_no_class():
    meeting = Meeting()
    meeting.comes("u1/1", 0, hidden=True)

    assert meeting.status == "scheduled"


def test_a_caller_by_telephone_is_present_and_flagged():
    meeting = Meeting()
    meeting.comes("sip_1/1", 0, telephone=True)

    assert meeting.figures("sip_1", MIN).telephone
    assert meeting.presence("sip_1", MIN) == [(0, MIN)]


def test_a_twin_of_a_phone_is_the_same_learner():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.comes("u1-native/2", MIN)
    meeting.goes("u1-native/2", 2 * MIN)

    assert set(meeting.state.members) == {"u1"}
    assert meeting.presence("u1", 10 * MIN) == [(0, 10 * MIN)]


def test_a_player_and_the_conference_are_one_presence():
    meeting = Meeting()
    meeting.joins("u1", 0)
    meeting.comes("u1/1", MIN)
    meeting.leaves("u1/1", 2 * MIN)

    assert meeting.presence("u1", 10 * MIN) == [(0, 10 * MIN)]


def test_whoever_is_there_twice_leaves_with_the_last():
    meeting = Meeting()
    meeting.joins("u1", 0)
    meeting.comes("u1/1", MIN)
    meeting.goes("u1/1", 2 * MIN, "CLIENT_INITIATED")

    assert meeting.present("u1")


def test_first_arrival_is_the_earliest_that_anything_tells():
    meeting = Meeting()
    meeting.joins("u1", 6 * MIN)
    assert meeting.figures("u1", 7 * MIN).late
    meeting.comes("u1/1", 4 * MIN, received=8 * MIN)

    assert not meeting.figures("u1", 8 * MIN).late


# -- gaps (reading 6) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, "SIGNAL_CLOSE", "DUPLICATE_IDENTITY", "CONNECTION_TIMEOUT", "STATE_MISMATCH"])
def test_whoever_broke_off_and_is_back_within_the_grace_never_left(reason: str | None):
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", MIN, reason)
    meeting.comes("u1/2", MIN + GRACE)

    assert meeting.presence("u1", 2 * MIN) == [(0, 2 * MIN)]


def test_whoever_is_back_later_than_the_grace_had_left():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", MIN, "SIGNAL_CLOSE")
    meeting.comes("u1/2", MIN + GRACE + 1)

    assert meeting.presence("u1", 2 * MIN) == [(0, MIN), (MIN + GRACE + 1, 2 * MIN)]


@pytest.mark.parametrize("reason", ["CLIENT_INITIATED", "PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"])
def test_whoever_left_on_purpose_left_at_once(reason: str):
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", MIN, reason)
    meeting.comes("u1/2", MIN + 1)

    assert meeting.presence("u1", 2 * MIN) == [(0, MIN), (MIN + 1, 2 * MIN)]


def test_the_grace_is_measured_by_the_times_of_the_events():
    meeting = Meeting()
    meeting.comes("u1/2", MIN + GRACE, received=10 * MIN)
    meeting.goes("u1/1", MIN, "SIGNAL_CLOSE", joined=0, received=11 * MIN)

    assert meeting.presence("u1", 12 * MIN) == [(0, 12 * MIN)]


def test_a_player_that_comes_within_the_grace_of_the_conference_closes_the_gap():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", MIN, "CONNECTION_TIMEOUT")
    meeting.joins("u1", MIN + GRACE - 1)

    assert meeting.presence("u1", 2 * MIN) == [(0, 2 * MIN)]


def test_a_conference_within_the_grace_of_a_player_closes_the_gap_however_late_it_is_told():
    meeting = Meeting()
    meeting.joins("u1", 0)
    meeting.drops("u1/1", MIN)
    meeting.comes("u1/9", MIN + GRACE - 1, received=5 * MIN)

    assert meeting.presence("u1", 6 * MIN) == [(0, 6 * MIN)]


def test_a_player_in_its_grace_at_the_end_of_the_class_may_have_gone_on_in_the_conference():
    meeting = Meeting()
    meeting.joins("u1", 0)
    meeting.drops("u1/1", MIN)
    meeting.comes("u1/9", MIN + GRACE - 2)
    meeting.closes(MIN + GRACE - 1)

    assert meeting.presence("u1", HOUR) == [(0, MIN + GRACE - 1)]


# -- the room's life (readings 4, 5) ----------------------------------------------------------------------------------


def test_a_session_that_starts_opens_the_class():
    meeting = Meeting()
    meeting.begins(-5 * MIN)

    assert (meeting.status, meeting.started) == ("live", -5 * MIN)


def test_a_created_room_is_not_yet_live():
    meeting = Meeting()
    meeting.is_created(-5 * MIN)

    assert meeting.status == "scheduled"


def test_a_join_before_the_start_is_told_opens_the_class():
    meeting = Meeting()
    meeting.comes("u1/1", -3 * MIN)
    meeting.begins(-2 * MIN, received=0)

    assert (meeting.status, meeting.started) == ("live", -3 * MIN)


def test_a_start_that_is_told_late_is_the_start_all_the_same():
    meeting = Meeting()
    meeting.comes("u1/1", -MIN)
    meeting.begins(-5 * MIN, received=MIN)

    assert meeting.started == -5 * MIN


def test_either_end_of_a_session_ends_the_class_at_the_earliest():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.closes(30 * MIN - 2 * SEC, received=31 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 30 * MIN - 2 * SEC)


def test_ending_twice_is_told_once():
    meeting = Meeting()
    meeting.begins(0)
    assert RoomTurned("ended", T0 + 30 * MIN) in meeting.closes(30 * MIN)

    assert meeting.closes(30 * MIN) == []


def test_the_end_closes_who_is_there():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.closes(30 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 30 * MIN)]
    assert not meeting.present("u1")


def test_a_left_behind_the_end_may_only_shorten():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.closes(30 * MIN)
    meeting.goes("u1/1", 31 * MIN)
    assert meeting.presence("u1", HOUR) == [(0, 30 * MIN)]
    meeting.goes("u1/1", 29 * MIN, received=32 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 29 * MIN)]


def test_a_left_behind_the_end_that_somebody_told_may_only_shorten_too():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.ends(10 * MIN)
    meeting.goes("u1/1", 12 * MIN)

    assert meeting.presence("u1", HOUR) == [(0, 10 * MIN)]


def test_an_idle_class_was_over_when_the_last_had_gone_however_it_was_told():
    meeting = Meeting(0, 5 * MIN)
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 6 * MIN, "CLIENT_INITIATED")
    meeting.goes("u2/1", 14 * MIN, "CLIENT_INITIATED", joined=MIN)
    meeting.time_passes(30 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 14 * MIN)


def test_an_end_before_its_start_ends_the_class_when_both_are_known():
    meeting = Meeting()
    meeting.closes(30 * MIN)
    meeting.begins(0, received=31 * MIN)

    assert (meeting.status, meeting.started, meeting.ended) == ("ended", 0, 30 * MIN)


def test_a_late_start_of_a_session_that_is_over_reopens_nothing():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.begins(31 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 30 * MIN)


def test_a_new_session_reopens_the_class():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.begins(35 * MIN, sid="s2")

    assert (meeting.status, meeting.started, meeting.ended) == ("live", 0, None)


def test_a_reopened_class_ends_with_its_last_session():
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    meeting.begins(35 * MIN, sid="s2")
    meeting.closes(40 * MIN, sid="s2")

    assert (meeting.status, meeting.ended) == ("ended", 40 * MIN)


def test_one_sessions_end_never_touches_anothers_people():
    meeting = Meeting()
    meeting.begins(0)
    meeting.comes("u1/1", 35 * MIN, sid="s2")
    meeting.closes(30 * MIN, received=36 * MIN)

    assert meeting.presence("u1", 50 * MIN) == [(35 * MIN, 50 * MIN)]
    assert meeting.status == "live"


def test_a_session_whose_end_was_lost_is_over_when_the_next_begins():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.begins(35 * MIN, sid="s2")
    meeting.closes(40 * MIN, sid="s2")

    assert meeting.presence("u1", HOUR) == [(0, 35 * MIN)]
    assert meeting.ended == 40 * MIN


@pytest.mark.parametrize(("at", "counts"), [(HOUR + 10 * MIN, True), (HOUR + 10 * MIN + 1, False)])
def test_a_new_session_counts_until_ten_minutes_behind_the_schedule(at: int, counts: bool):  # noqa: FBT001
    meeting = Meeting()
    meeting.begins(0)
    meeting.closes(30 * MIN)
    told = meeting.begins(at, sid="s2")

    assert (meeting.status == "live") is counts
    assert (Unplaced() in told) is not counts


def test_a_session_that_was_over_before_the_window_leaves_the_class_untouched():
    meeting = Meeting()
    meeting.comes("u1/1", -HOUR)
    meeting.goes("u1/1", -50 * MIN)

    assert meeting.status == "scheduled"
    assert not meeting.figures("u1", 0).presence_ms
    assert meeting.presence("u1", 0) == []


def test_a_session_that_runs_into_the_window_counts_from_its_beginning():
    meeting = Meeting()
    meeting.begins(-HOUR)
    meeting.comes("u1/1", -15 * MIN)

    assert (meeting.status, meeting.started) == ("live", -HOUR)


def test_without_a_schedule_every_session_is_of_the_class():
    meeting = Meeting(None, None)
    meeting.begins(0)
    meeting.closes(MIN)
    meeting.begins(48 * HOUR, sid="s2")

    assert meeting.status == "live"


def test_a_late_end_corrects_the_figures_of_an_ended_class():
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.ends(30 * MIN)
    meeting.goes("u1/1", 20 * MIN, received=48 * HOUR)

    assert meeting.figures("u1", 48 * HOUR).presence_ms == 20 * MIN


def test_a_class_of_which_everything_is_told_a_day_later_is_as_if_told_at_once():
    meeting, late = Meeting(), 24 * HOUR
    meeting.begins(0, received=late)
    meeting.comes("u1/1", MIN, received=late)
    meeting.goes("u1/1", 65 * MIN, received=late)
    meeting.closes(66 * MIN, received=late)

    assert (meeting.started, meeting.ended) == (0, 66 * MIN)
    assert meeting.presence("u1", late) == [(MIN, 65 * MIN)]


# -- breakouts (reading 12) -------------------------------------------------------------------------------------------


def test_presence_in_a_breakout_is_presence_in_the_class():
    meeting = Meeting()
    meeting.begins(0)
    meeting.comes("u1/1", MIN, sid="b1", breakout=True)
    meeting.goes("u1/1", 5 * MIN, sid="b1", breakout=True)

    assert meeting.figures("u1", HOUR).presence_ms == 4 * MIN


def test_a_breakouts_end_closes_its_people_and_not_the_class():
    meeting = Meeting()
    meeting.begins(0)
    meeting.comes("u1/1", MIN, sid="b1", breakout=True)
    meeting.closes(5 * MIN, sid="b1", breakout=True)

    assert meeting.presence("u1", 10 * MIN) == [(MIN, 5 * MIN)]
    assert meeting.status == "live"


def test_a_breakout_is_remembered_for_messages_that_do_not_say_so():
    meeting = Meeting()
    meeting.begins(0)
    meeting.is_created(MIN, sid="b1", breakout=True)
    meeting.closes(5 * MIN, sid="b1")

    assert meeting.status == "live"


def test_a_breakout_before_its_class_opens_it_at_no_other_moment():
    meeting = Meeting()
    meeting.comes("u1/1", 5 * MIN, sid="b1", breakout=True)
    meeting.time_passes(6 * MIN)
    meeting.begins(4 * MIN, received=7 * MIN)

    assert meeting.started == 4 * MIN


def test_a_class_that_was_idle_in_vain_is_corrected_by_whoever_was_there_after_all():
    meeting = Meeting(0, 5 * MIN)
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 6 * MIN, "CLIENT_INITIATED")
    meeting.time_passes(20 * MIN)
    assert (meeting.status, meeting.ended) == ("ended", 6 * MIN)

    meeting.goes("u2/1", 14 * MIN, "CLIENT_INITIATED", joined=MIN, received=21 * MIN)

    assert (meeting.status, meeting.ended) == ("ended", 14 * MIN)
    assert meeting.presence("u2", HOUR) == [(MIN, 14 * MIN)]


def test_a_class_that_was_idle_in_vain_goes_on_where_somebody_still_is():
    meeting = Meeting(0, 5 * MIN)
    meeting.comes("u1/1", 0)
    meeting.goes("u1/1", 6 * MIN, "CLIENT_INITIATED")
    meeting.time_passes(20 * MIN)

    meeting.comes("u2/1", 2 * MIN, received=21 * MIN)

    assert meeting.status == "live"
    assert meeting.presence("u2", 22 * MIN) == [(2 * MIN, 22 * MIN)]
