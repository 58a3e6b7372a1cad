"""Who was in the room, and since when (realtime.md, "Presence", "Lateness", readings 7, 15, 18)."""

from __future__ import annotations

import pytest

from actors.figures import classes
from actors.figures.facts import LiveClass, Rules
from actors.machines.effects import Refused
from actors.machines.state import RoomRules
from tests.machines.builders import GRACE, HOUR, MIN, SEC, SILENCE, T0, Lesson, sample

LATE = 300 * SEC


# -- one stream -------------------------------------------------------------------------------------------------------


def test_present_from_join_to_leave():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 90 * SEC)
    assert lesson.presence("u1") == [(0, 90 * SEC)]


def test_back_within_the_grace_never_left():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.joins("u1", 60 * SEC + GRACE - 1, resume="u1/1")
    lesson.leaves("u1/1", 100 * SEC)

    assert lesson.presence("u1") == [(0, 100 * SEC)]


def test_not_back_left_at_the_last_evidence():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC, evidence=47 * SEC)
    lesson.time_passes(HOUR // 2)

    assert lesson.presence("u1") == [(0, 47 * SEC)]
    assert not lesson.present("u1")


def test_during_the_grace_the_member_is_present():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.time_passes(60 * SEC + GRACE - 1)
    assert lesson.present("u1")

    lesson.time_passes(60 * SEC + GRACE)
    assert not lesson.present("u1")


def test_back_after_the_grace_is_a_second_presence():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.joins("u1", 60 * SEC + GRACE + 1, resume="u1/1")
    lesson.leaves("u1/1", 100 * SEC)

    assert lesson.presence("u1") == [(0, 60 * SEC), (60 * SEC + GRACE + 1, 100 * SEC)]


def test_evidence_of_the_future_is_not_believed():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC, evidence=HOUR)
    lesson.time_passes(HOUR // 2)
    assert lesson.presence("u1") == [(0, 60 * SEC)]


def test_a_heartbeat_is_evidence():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.plays("u1/1", 50 * SEC, 1)
    lesson.drops("u1/1", 60 * SEC, evidence=40 * SEC)
    lesson.time_passes(HOUR // 2)
    assert lesson.presence("u1") == [(0, 50 * SEC)]


def test_dropping_twice_is_dropping_once():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.drops("u1/1", 75 * SEC)
    lesson.time_passes(60 * SEC + GRACE)
    assert lesson.presence("u1") == [(0, 60 * SEC)]


# -- several sources --------------------------------------------------------------------------------------------------


def test_two_devices_are_one_presence_first_in_last_out():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.joins("u1", 30 * SEC, device="d2")
    lesson.leaves("u1/1", 60 * SEC)
    lesson.leaves("u1/2", 90 * SEC)

    assert lesson.presence("u1") == [(0, 90 * SEC)]


def test_any_source_within_the_grace_is_a_return():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.posts_at("u1", [70 * SEC, 80 * SEC], device="d2")
    lesson.time_passes(HOUR // 2)

    assert lesson.presence("u1") == [(0, 80 * SEC)]


def test_doors_change_with_one_session_and_no_second_is_lost_or_doubled():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.plays("u1/1", 0, 1)
    lesson.plays("u1/1", 10 * SEC, 2)
    lesson.drops("u1/1", 12 * SEC)
    lesson.posts_at("u1", [20 * SEC, 30 * SEC, 40 * SEC], session="u1/1", first_seq=3)
    lesson.joins("u1", 45 * SEC, resume="u1/1")
    lesson.plays("u1/1", 50 * SEC, 6, 50 * SEC)
    lesson.leaves("u1/1", 55 * SEC)

    assert list(lesson.state.sessions) == ["u1/1"]
    assert lesson.presence("u1") == [(0, 55 * SEC)]


def test_a_post_of_a_connected_session_holds_beside_its_stream():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.posts("u1", 50 * SEC, [sample(1, 50 * SEC, 0)], session="u1/1")
    lesson.drops("u1/1", 60 * SEC, evidence=40 * SEC)
    lesson.time_passes(60 * SEC + GRACE)
    assert lesson.present("u1")

    lesson.time_passes(50 * SEC + SILENCE)
    assert lesson.presence("u1") == [(0, 50 * SEC)]


def test_an_old_post_does_not_cut_the_grace_of_its_stream_short():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.drops("u1/1", 60 * SEC)
    lesson.posts("u1", 61 * SEC, [sample(1, 27 * SEC, 0)], session="u1/1")
    lesson.joins("u1", 75 * SEC, resume="u1/1")
    lesson.leaves("u1/1", 80 * SEC)

    assert lesson.presence("u1") == [(0, 80 * SEC)]


# -- HTTP -------------------------------------------------------------------------------------------------------------


def test_posts_within_three_and_a_half_intervals_are_one_presence():
    lesson = Lesson()
    lesson.posts_at("u1", [0, SILENCE - 1, 2 * SILENCE - 1])
    lesson.time_passes(HOUR // 2)
    assert lesson.presence("u1") == [(0, 2 * SILENCE - 1)]


def test_posts_further_apart_are_two_presences_and_neither_has_a_grace():
    lesson = Lesson()
    lesson.posts_at("u1", [0, 10 * SEC, 10 * SEC + SILENCE + 1, 60 * SEC])
    lesson.time_passes(HOUR // 2)
    assert lesson.presence("u1") == [(0, 10 * SEC), (10 * SEC + SILENCE + 1, 60 * SEC)]


def test_over_http_a_member_is_here_for_three_and_a_half_intervals_and_left_at_the_sample():
    lesson = Lesson()
    lesson.posts_at("u1", [0, 10 * SEC])
    lesson.time_passes(10 * SEC + SILENCE - 1)
    assert lesson.present("u1")

    lesson.time_passes(10 * SEC + SILENCE)
    assert not lesson.present("u1")
    assert lesson.presence("u1") == [(0, 10 * SEC)]


def test_leaving_over_http_is_leaving_at_the_last_sample():
    lesson = Lesson()
    lesson.posts_at("u1", [0, 10 * SEC])
    lesson.posts("u1", 12 * SEC, [], leave=True)

    assert not lesson.present("u1")
    assert lesson.presence("u1") == [(0, 10 * SEC)]


def test_what_was_kept_offline_is_presence_in_the_past():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 10 * SEC)
    lesson.posts("u1", 10 * MIN, [sample(n, n * 30 * SEC, 0) for n in range(1, 5)])

    assert not lesson.present("u1")
    assert lesson.presence("u1") == [(0, 10 * SEC), (30 * SEC, 120 * SEC)]


def test_a_seq_1_at_another_time_begins_another_session():
    lesson = Lesson()
    lesson.posts("u1", 0, [sample(1, 0, 0)])
    assert lesson.posts("u1", 10 * SEC, [sample(1, 0, 0), sample(2, 10 * SEC, 0)]).session_id == "u1/h0"
    assert lesson.posts("u1", 20 * SEC, [sample(1, 20 * SEC, 0)]).session_id == "u1/h20000"


def test_a_session_that_another_took_the_place_of_does_not_come_back():
    lesson = Lesson()
    lesson.posts("u1", 0, [sample(1, 0, 0)])
    lesson.posts("u1", 20 * SEC, [sample(1, 20 * SEC, 0)])
    lesson.posts("u1", 30 * SEC, [sample(2, 30 * SEC, 0)], leave=True)
    lesson.server_restarts(31 * SEC)

    assert lesson.posts("u1", 40 * SEC, [sample(3, 40 * SEC, 0)]).session_id == "u1/h40000"


def test_a_session_of_somebody_else_is_forbidden_and_an_unknown_one_not_found():
    lesson = Lesson()
    lesson.joins("u1", 0)

    assert lesson.posts("u2", 1, [sample(1, 0, 0)], session="u1/1").code == "forbidden"
    assert lesson.posts("u2", 1, [sample(1, 0, 0)], session="?").code == "not_found"
    assert lesson.joins("u2", 1, resume="u1/1").code == "forbidden"
    assert lesson.joins("u2", 1, resume="?").code == "not_found"


def test_too_old_over_http_stores_nothing():
    lesson = Lesson()
    answer = lesson.posts("u1", 0, [sample(1, -24 * HOUR - 1, 0)])

    assert isinstance(answer, Refused)
    assert answer.code == "too_old"
    assert (lesson.state.sessions, lesson.state.members) == ({}, {})


# -- restarts ---------------------------------------------------------------------------------------------------------


def test_a_restart_gives_everybody_the_grace_from_when_the_server_is_ready():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.joins("u2", 0)
    lesson.plays("u2/2", 50 * SEC, 1)
    lesson.server_restarts(100 * SEC)
    lesson.joins("u1", 100 * SEC + GRACE - 1, resume="u1/1")
    lesson.time_passes(100 * SEC + GRACE)
    lesson.leaves("u1/1", 130 * SEC)

    assert lesson.presence("u1") == [(0, 130 * SEC)]
    assert lesson.presence("u2") == [(0, 50 * SEC)]


def test_a_restart_raises_the_epoch_and_counts_diffs_anew():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.time_passes(SEC)
    lesson.server_restarts(2 * SEC)

    assert (lesson.state.epoch, lesson.room.diffs.seq) == (1, 0)
    assert list(lesson.room.diffs.announced) == ["u1"]


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arrives", "late"), [(LATE - 1, False), (LATE, False), (LATE + 1, True)])
def test_late_is_strictly_over_the_grace(arrives: int, *, late: bool):
    lesson = Lesson()
    lesson.starts(0)
    answer = lesson.joins("u1", arrives)

    figures = lesson.figures("u1", arrives)
    assert (answer.late, figures.late, figures.late_ms) == (late, late, arrives)


def test_who_waits_before_the_start_arrives_at_the_start():
    lesson = Lesson()
    lesson.joins("u1", -15 * MIN)
    assert lesson.figures("u1", 10 * MIN).late_ms == 0


def test_who_waits_for_a_teacher_who_comes_late_is_not_late():
    lesson = Lesson()
    lesson.joins("u1", -20 * MIN)
    lesson.starts(20 * MIN)
    assert not lesson.figures("u1", 21 * MIN).late


def test_who_was_gone_before_the_class_began_has_not_arrived():
    lesson = Lesson()
    lesson.joins("u1", -20 * MIN)
    lesson.leaves("u1/1", -16 * MIN)
    lesson.starts(0)
    lesson.joins("u1", 10 * MIN)
    assert lesson.figures("u1", 10 * MIN).late


def test_without_a_schedule_nobody_is_late():
    lesson = Lesson(None, None)
    lesson.starts(0)
    assert not lesson.joins("u1", HOUR).late


def test_a_schedule_that_moves_moves_lateness():
    lesson = Lesson()
    lesson.joins("u1", 10 * MIN)
    lesson.schedule(8 * MIN, HOUR, at=11 * MIN)
    assert not lesson.figures("u1", 11 * MIN).late


def test_presence_before_the_start_and_after_the_end_is_not_counted():
    lesson = Lesson()
    lesson.joins("u1", -20 * MIN)
    lesson.starts(0)
    lesson.ends(30 * MIN, received=31 * MIN)
    assert lesson.figures("u1", HOUR).presence_ms == 30 * MIN


@pytest.mark.parametrize(("stays", "attended"), [(MIN - 1, False), (MIN, True)])
def test_attended_is_a_minute(stays: int, *, attended: bool):
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", stays)
    assert lesson.figures("u1", HOUR).attended == attended


@pytest.mark.parametrize(
    ("comes", "goes", "attended"),
    [
        (0, 5 * MIN - 1, False),
        (0, 5 * MIN, True),
        (999, 5 * MIN, True),
        (1000, 5 * MIN + 999, False),
        (1999, 5 * MIN + SEC, True),
    ],
)
def test_attended_goes_by_whole_seconds_for_rooms_and_dashboards_alike(comes: int, goes: int, *, attended: bool):
    lesson = Lesson(rules=RoomRules(attended_min_ms=5 * MIN))
    lesson.starts(0)
    lesson.joins("u1", comes)
    lesson.leaves("u1/1", goes)

    assert lesson.figures("u1", HOUR).attended == attended
    assert lesson.room.row(T0 + HOUR).attended == attended
    cls = LiveClass("r1", scheduled_start=T0, scheduled_end=T0 + HOUR, room_start=T0)
    shown = classes.seen(cls, [(T0 + comes, T0 + goes)], Rules(attended_min_ms=5 * MIN), T0 + HOUR)
    assert shown.attended == attended


def test_peak_counts_people_not_devices_and_attended_learners_only():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.joins("u1", 1, device="d2")
    lesson.joins("t1", 2, role="staff")
    lesson.leaves("t1/3", 5 * MIN)

    row = lesson.room.row(T0 + 6 * MIN)
    assert (lesson.room.present, row.peak, row.attended) == (1, 2, 1)


# -- what a checkpoint writes -----------------------------------------------------------------------------------------


def test_an_open_presence_is_written_as_open_and_again_under_its_key_when_it_closes():
    lesson = Lesson()
    lesson.joins("u1", 0)
    [before] = lesson.checkpoint(10 * SEC).presences
    lesson.leaves("u1/1", 20 * SEC)
    [after] = lesson.checkpoint(20 * SEC).presences

    assert (before.open, after.open, after.left_at) == (True, False, T0 + 20 * SEC)
    assert before.number == after.number


def test_a_presence_that_came_to_nothing_is_closed_where_it_was_written_as_open():
    lesson = Lesson()
    lesson.joins("u1", 10 * SEC)
    lesson.plays("u1/1", 20 * SEC, 1)
    assert lesson.checkpoint(20 * SEC).presences[0].left_at == T0 + 20 * SEC
    lesson.ends(5 * SEC, received=30 * SEC)

    [after] = lesson.checkpoint(30 * SEC).presences
    assert (after.open, after.left_at) == (False, after.joined_at)


def test_a_proof_that_grew_while_it_was_being_written_is_written_again():
    lesson = Lesson()
    lesson.starts(0)
    first = [sample(n, n * 10 * SEC, 0) for n in range(1, 4)]
    more = [sample(n, n * 10 * SEC, 0) for n in range(4, 6)]
    lesson.posts("u1", 10 * MIN, first)
    rows = lesson.room.rows()
    lesson.posts("u1", 10 * MIN, more)
    lesson.room.written(rows)

    [again] = lesson.checkpoint(10 * MIN).presences
    assert (again.joined_at - T0, again.left_at - T0) == (10 * SEC, 50 * SEC)


def test_a_session_that_is_over_is_forgotten_only_once_it_is_written():
    lesson = Lesson()
    lesson.joins("u1", 0)
    rows = lesson.room.rows()
    lesson.leaves("u1/1", 10 * SEC)
    lesson.room.written(rows)
    assert "u1/1" in lesson.state.sessions

    lesson.checkpoint(11 * SEC)
    assert "u1/1" not in lesson.state.sessions


def test_rows_that_did_not_become_durable_are_written_with_the_next_checkpoint():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.plays("u1/1", 0, 1)
    lesson.plays("u1/1", 10 * SEC, 2)
    lesson.leaves("u1/1", 10 * SEC)
    rows = lesson.room.rows()
    lesson.room.unwritten(rows)

    assert lesson.checkpoint(10 * SEC) == rows


def test_interactions_are_keyed_by_their_id_or_by_their_place():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.interacts("u1/1", "poll_response", 1, key="p7", value=b"2")
    lesson.interacts("u1/1", "hand_raise", 2)
    lesson.interacts("u1/1", "hand_raise", 3)

    keys = [row.id for row in lesson.checkpoint(4).interactions]
    assert keys == ["p7", "u1/1:2", "u1/1:3"]
    assert lesson.checkpoint(5).interactions == []


def test_only_an_open_stream_takes_part():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.leaves("u1/1", 1)
    lesson.interacts("u1/1", "doubt", 2)
    assert lesson.effects == [Refused("unknown_stream", "the stream is closed: join again")]
