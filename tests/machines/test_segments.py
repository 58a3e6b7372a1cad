"""Playhead segments: the pair rules, and what they make of what players do (realtime.md, "Segments")."""

from __future__ import annotations

import pytest

from actors.machines.effects import Acked, Refused
from actors.machines.track import BUFFERING, ENDED, PAUSED, PLAYING, SEEKING
from tests.machines.builders import HOUR, INTERVAL, SEC, SILENCE, Watching, sample

DAY = 24 * HOUR


# -- order ----------------------------------------------------------------------------------------------------------


def test_a_repeat_is_acknowledged_again_and_changes_nothing():
    learner = Watching()
    learner.sends([sample(1, 0, 0), sample(2, 10 * SEC, 10 * SEC)], 10 * SEC)
    before = learner.watched()

    assert learner.sends([sample(1, 0, 0), sample(2, 10 * SEC, 99 * SEC)], 12 * SEC) == Acked("s1", 2)
    assert learner.watched() == before


def test_repeats_in_front_of_new_samples_are_passed_over():
    learner = Watching()
    learner.sends([sample(1, 0, 0), sample(2, 10 * SEC, 10 * SEC)], 10 * SEC)
    learner.sends([sample(2, 10 * SEC, 10 * SEC), sample(3, 20 * SEC, 20 * SEC)], 20 * SEC)

    assert learner.watched() == [(0, 20 * SEC, 0, 20 * SEC)]


def test_gaps_in_seq_are_accepted():
    learner = Watching()
    answer = learner.sends([sample(3, 0, 0), sample(9, 10 * SEC, 10 * SEC)], 10 * SEC)

    assert answer.seq == 9
    assert learner.watched() == [(0, 10 * SEC, 0, 10 * SEC)]


# -- the four rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [PAUSED, BUFFERING, SEEKING, ENDED])
def test_what_does_not_play_earns_nothing(state: int):
    learner = Watching()
    learner.plays(0, 0, state)
    learner.plays(10 * SEC, 10 * SEC)

    assert learner.watched() == []


def test_playing_after_a_pause_starts_a_segment():
    learner = Watching()
    for at, position, state in [(0, 0, PLAYING), (5_000, 5_000, PAUSED), (30_000, 5_000, PLAYING)]:
        learner.plays(at, position, state)
    learner.plays(40_000, 15_000)

    assert learner.watched() == [(0, 5_000, 0, 5_000), (30_000, 40_000, 5_000, 15_000)]


@pytest.mark.parametrize(("gap", "credited"), [(SILENCE - 1, True), (SILENCE, True), (SILENCE + 1, False)])
def test_over_three_and_a_half_intervals_are_silence(gap: int, *, credited: bool):
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(gap, gap)

    assert learner.watched() == ([(0, gap, 0, gap)] if credited else [])


@pytest.mark.parametrize(
    ("wall", "rate", "played", "credited"),
    [
        (10_000, 1.0, 0, False),  # a stall: continuous, and nothing was played
        (10_000, 1.0, -1, False),
        (10_000, 1.0, 11_000, True),
        (10_000, 1.0, 11_001, False),
        (5_000, 1.0, 6_000, True),
        (5_000, 1.0, 6_001, False),
        (0, 1.0, 1_000, True),
        (0, 1.0, 1_001, False),
        (20_000, 2.0, 44_000, True),
        (20_000, 2.0, 44_001, False),
        (20_000, 0.5, 11_000, True),
        (20_000, 0.5, 11_001, False),
    ],
)
def test_more_than_rate_and_slack_allow_is_a_jump(wall: int, rate: float, played: int, *, credited: bool):
    learner = Watching()
    learner.plays(0, 0, PAUSED)
    # Long enough ago that the credit limit does not speak.
    learner.plays(600_000, 60_000, PLAYING, rate)
    learner.plays(600_000 + wall, 60_000 + played, PLAYING, rate)

    watched = [(600_000, 600_000 + wall, 60_000, 60_000 + played)]
    assert learner.watched() == (watched if credited else [])


def test_a_jump_ends_the_segment_before_it_and_starts_the_next_behind_it():
    learner = Watching()
    for at, position in [(0, 0), (10_000, 10_000), (20_000, 500_000), (30_000, 510_000)]:
        learner.plays(at, position)

    assert learner.watched() == [(0, 10_000, 0, 10_000), (20_000, 30_000, 500_000, 510_000)]


def test_a_seek_told_before_and_after_leaves_no_gap():
    learner = Watching()
    moves = [(0, 0), (4_000, 4_000), (4_000, 90_000), (9_000, 95_000)]
    for at, position in moves:
        learner.plays(at, position)

    assert learner.watched() == [(0, 4_000, 0, 4_000), (4_000, 9_000, 90_000, 95_000)]


def test_a_stall_credits_just_what_was_played():
    learner = Watching()
    for at, position in [(0, 0), (10_000, 10_000), (20_000, 12_000), (30_000, 22_000)]:
        learner.plays(at, position)

    assert learner.watched() == [(0, 30_000, 0, 22_000)]


def test_rate_changes_split_nothing_and_give_a_mean():
    learner = Watching()
    learner.plays(0, 0, rate=1.0)
    learner.plays(10_000, 10_000, rate=2.0)
    learner.plays(20_000, 30_000, PAUSED)

    [segment] = learner.segments()
    assert learner.watched() == [(0, 20_000, 0, 30_000)]
    assert segment.mean_rate == 1.5


def test_the_share_in_the_foreground_is_of_wall_time():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000, visible=False)
    learner.plays(40_000, 40_000, PAUSED)

    assert learner.segments()[0].visible_share == 0.25


@pytest.mark.parametrize(("played", "kept"), [(499, False), (500, True), (501, True)])
def test_under_half_a_second_of_playhead_is_dropped(played: int, *, kept: bool):
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(played, played, PAUSED)

    assert len(learner.segments()) == kept
    assert learner.state.track.content_ms == (played if kept else 0)


def test_the_interval_told_last_widens_the_silence_and_a_smaller_one_does_not_narrow_it():
    learner = Watching()
    learner.sends([sample(1, 0, 0)], 0, interval=20 * SEC)
    learner.sends([sample(2, 60_000, 60_000)], 60_000, interval=INTERVAL)
    learner.sends([sample(3, 130_000, 130_000)], 130_000)

    assert learner.watched() == [(0, 130_000, 0, 130_000)]


def test_an_interval_is_told_once():
    learner = Watching()

    assert learner.sends([sample(1, 0, 0)], 0, interval=20 * SEC).interval == 20 * SEC
    assert learner.sends([sample(2, 1, 0)], 1, interval=20 * SEC).interval == 0


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_by_an_hour_changes_nothing():
    learner = Watching()
    learner.plays(0, 0, clock=HOUR)
    learner.plays(10_000, 10_000, clock=HOUR)

    assert learner.watched() == [(0, 10_000, 0, 10_000)]


def test_a_sample_is_never_later_than_its_reception():
    learner = Watching()
    learner.sends([sample(1, 0, 0)], 0)
    learner.sends([sample(2, 20_000, 11_000)], 10_000)

    assert learner.watched() == [(0, 10_000, 0, 11_000)]


def test_a_sample_is_never_earlier_than_the_one_before():
    learner = Watching()
    learner.sends([sample(1, 5_000, 0), sample(2, 0, 900), sample(3, 6_000, 1_500)], 10_000)

    assert learner.watched() == [(5_000, 6_000, 0, 1_500)]


def test_a_clock_set_forward_in_the_middle_earns_no_more_than_time_that_passed():
    learner = Watching()
    learner.plays(0, 0)
    learner.plays(10_000, 10_000, clock=HOUR)
    learner.plays(20_000, 20_000, clock=HOUR)

    assert learner.state.track.at - learner.state.opened_at == 20_000
    assert learner.watched() == [(0, 20_000, 0, 20_000)]


def test_a_clock_set_back_is_believed_after_ten_seconds_and_credits_go_on():
    learner = Watching()
    learner.plays(0, 0)
    for at in range(10_000, 61_000, 10_000):
        learner.plays(at, at, clock=-HOUR)

    wall = sum(end - start for start, end, _, _ in learner.watched())
    assert learner.state.track.clock.offset == HOUR
    assert 30_000 <= wall <= 60_000


@pytest.mark.parametrize(("delay", "offline"), [(60_000, False), (60_001, True)])
def test_what_comes_over_a_minute_late_is_credited_and_flagged_offline(delay: int, *, offline: bool):
    learner = Watching()
    learner.plays(0, 0)
    learner.sends([sample(2, 10_000, 10_000)], 10_000 + delay)

    [segment] = learner.segments()
    assert (segment.content_ms, segment.offline) == (10_000, offline)


def test_exactly_a_day_is_not_too_old():
    learner = Watching(at=DAY)

    assert learner.sends([sample(1, 0, 0)], DAY) == Acked("s1", 1)


def test_too_old_names_the_sample_and_changes_nothing():
    learner = Watching(at=DAY)
    before = learner.segments(), learner.state.track.clock.offset

    answer = learner.sends([sample(1, DAY - 5, 0), sample(2, -1, 0), sample(3, DAY, 5)], DAY)

    assert isinstance(answer, Refused)
    assert answer.code == "too_old"
    assert "samples[1].at" in answer.message
    assert (learner.segments(), learner.state.track.clock.offset) == before
    assert learner.state.track.last_seq == 0


def test_an_old_repeat_in_front_is_no_reason_to_refuse():
    learner = Watching(at=DAY)
    learner.sends([sample(1, 0, 0)], DAY)

    assert learner.sends([sample(1, 0, 0), sample(2, DAY + 5, 5_000)], DAY + 5) == Acked("s1", 2)


# -- the credit limit -------------------------------------------------------------------------------------------------


def test_a_client_that_claims_a_little_more_each_time_is_held_to_the_limit():
    learner = Watching()
    for n in range(121):
        learner.plays(n * 1_000, n * 2_000)

    credited = sum(segment.content_ms for segment in learner.segments() if segment.verified)
    assert credited <= 3_000 + 1.05 * 120_000
    assert sum(end - start for start, end in learner.unverified()) > 100_000


def test_what_exceeds_the_limit_counts_in_nothing():
    learner = Watching(duration=1_000_000)
    for n in range(121):
        learner.plays(n * 1_000, n * 2_000)
    learner.leaves(121_000)

    track = learner.state.track
    assert track.content_ms == sum(segment.content_ms for segment in learner.segments() if segment.verified)
    assert track.covered_ms() == track.content_ms


def test_the_limit_has_three_seconds_of_slack_and_not_a_millisecond_more():
    learner = Watching()
    for seq, position in enumerate([0, 1_000, 2_000, 3_000, 4_000]):
        learner.plays(0, position)
        assert learner.state.track.credited == min(position, 3_000), seq


def test_an_honest_client_at_twice_the_speed_never_meets_the_limit():
    learner = Watching()
    for n in range(400):
        learner.plays(n * 10_000, n * 20_000, rate=2.0)

    assert learner.unverified() == []
    assert learner.watched() == [(0, 3_990_000, 0, 7_980_000)]


def test_time_offline_counts_from_the_first_sample_not_from_its_reception():
    learner = Watching(at=HOUR)
    kept = [sample(n + 1, n * 10_000, n * 10_000) for n in range(300)]
    learner.sends(kept, HOUR)

    assert learner.unverified() == []
    assert learner.watched() == [(0, 2_990_000, 0, 2_990_000)]


# -- coverage ---------------------------------------------------------------------------------------------------------


def test_what_is_watched_twice_is_covered_once():
    learner = Watching(duration=100_000)
    for at, position in [(0, 0), (10_000, 10_000), (10_000, 0), (20_000, 10_000)]:
        learner.plays(at, position)

    assert learner.state.track.covered_ms() == 10_000
    assert learner.machine.rows().sessions[0].content_ms == 20_000


def test_coverage_is_clipped_to_the_length_and_floored_to_three_places():
    learner = Watching(duration=15_001)
    learner.plays(0, 0)
    learner.plays(10_000, 10_000)
    assert learner.state.track.coverage_share() == 0.666
    learner.plays(20_000, 20_000)
    assert learner.state.track.coverage_share() == 1.0
