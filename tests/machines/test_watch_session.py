"""A watch session: from the first sample to its end (realtime.md, "Watch session")."""

from __future__ import annotations

from actors.machines.effects import JOURNAL, Refused, SessionEnded, SessionOpened
from actors.machines.track import ENDED
from tests.machines.builders import MIN, T0, Watching, sample


def test_a_new_session_knows_nothing():
    learner = Watching()
    assert learner.returns(1) == SessionOpened("s1", resumed=True, last_seq=0, position=0, coverage=0.0)


def test_resuming_tells_where_to_continue():
    learner = Watching(duration=100_000)
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)

    assert learner.returns(15_000) == SessionOpened("s1", resumed=True, last_seq=2, position=10_000, coverage=0.1)


def test_the_length_may_become_known_later():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)

    assert learner.returns(15_000, duration=20_000).coverage == 0.5


def test_leaving_closes_the_segment_and_the_session():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)

    assert learner.leaves(11_000) == [JOURNAL, SessionEnded("s1")]
    assert learner.state.ended_at == T0 + 11_000
    assert not any(row.open for row in learner.machine.rows().segments)


def test_leaving_twice_is_leaving_once():
    learner = Watching()
    learner.leaves(0)
    assert learner.leaves(1) == []


def test_a_video_that_ended_ends_the_segment_only():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000, ENDED)
    learner.plays(20_000, 0)

    assert not learner.machine.ended
    assert learner.plays(30_000, 10_000).seq == 4
    assert len(learner.watched()) == 2


def test_half_an_hour_without_a_sample_ends_it_at_its_last_one():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    learner.time_passes(10_000 + 30 * MIN - 1)
    assert not learner.machine.ended

    learner.time_passes(10_000 + 30 * MIN)
    assert learner.state.ended_at == T0 + 10_000


def test_a_sample_behind_the_half_hour_is_refused_however_late_the_clock_was_looked_at():
    learner = Watching()
    learner.plays(0, 0)

    answer = learner.plays(30 * MIN, 5)

    assert isinstance(answer, Refused)
    assert answer.code == "unknown_stream"
    assert learner.state.ended_at == T0


def test_a_sample_just_in_time_keeps_it_open_for_another_half_hour():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(30 * MIN - 1, 5)
    learner.time_passes(60 * MIN - 2)

    assert not learner.machine.ended


def test_a_session_that_never_had_a_sample_ends_where_it_began():
    learner = Watching(at=5)
    learner.time_passes(31 * MIN)
    assert learner.state.ended_at == T0 + 5


def test_a_session_that_is_over_takes_nothing():
    learner = Watching()
    learner.leaves(0)

    assert learner.plays(1, 1).code == "unknown_stream"
    assert learner.returns(2).code == "unknown_stream"


def test_a_session_begins_with_its_first_sample_when_that_was_kept_offline():
    learner = Watching(at=10 * MIN)
    learner.sends([sample(1, 0, 0)], 10 * MIN)

    assert learner.machine.rows().sessions[0].started_at == T0


def test_it_wants_to_be_woken_no_later_than_it_ends():
    learner = Watching()
    learner.plays(10_000, 0)
    first = learner.machine.wake_at
    learner.time_passes(first - T0)

    assert first <= T0 + 10_000 + 30 * MIN
    assert learner.machine.wake_at == T0 + 10_000 + 30 * MIN


# -- what a checkpoint writes -----------------------------------------------------------------------------------------


def test_an_open_segment_is_written_as_open_and_again_when_it_has_grown():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    rows = learner.machine.rows()
    learner.plays(20_000, 20_000)
    learner.machine.written(rows)

    [before], [after] = rows.segments, learner.machine.rows().segments
    assert before.open
    assert (before.segment.end_position, after.segment.end_position) == (10_000, 20_000)
    assert before.segment.number == after.segment.number


def test_a_segment_that_closed_between_is_written_again():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    rows = learner.machine.rows()
    learner.leaves(20_000)
    learner.machine.written(rows)

    assert [row.open for row in learner.machine.rows().segments] == [False]


def test_a_closed_segment_is_forgotten_once_it_is_written():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    learner.leaves(10_000)
    rows = learner.machine.rows()
    learner.machine.unwritten(rows)
    assert learner.machine.rows().segments == rows.segments

    learner.machine.written(rows)
    assert learner.machine.rows().segments == []


def test_figures_outlive_the_segments_that_were_forgotten():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    learner.leaves(10_000)
    learner.machine.written(learner.machine.rows())

    [session] = learner.machine.rows().sessions
    assert (session.watch_ms, session.content_ms, session.covered_ms) == (10_000, 10_000, 10_000)
