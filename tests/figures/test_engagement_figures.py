"""All viewers of a content, by hand."""

from __future__ import annotations

import pytest

from actors.figures import engagement
from actors.figures.concurrency import steps
from actors.figures.engagement import Ends, bucket_of, curves, drawn, middles_up_to, quartiles, rate, share
from actors.figures.watched import Watched

S = 1_000


@pytest.mark.parametrize(("part", "whole", "shown"), [(1, 3, 0.3333), (2, 3, 0.6667), (1, 20_000, 0.0001), (1, 0, 0.0)])
def test_rates_are_rounded_half_up_to_four_decimals(part: int, whole: int, shown: float):
    assert rate(part, whole) == shown


def test_coverage_is_floored_by_whole_numbers():
    assert share(29, 100) == 0.29
    assert share(9_999, 10_000) == 0.999
    assert share(12, 10) == 1.0


def test_quartiles_lie_between_values():
    assert quartiles([40, 10, 20, 30]) == (4 * 17.5, 4 * 25, 4 * 32.5)
    assert quartiles([7]) == (28, 28, 28)


def test_the_median_of_an_even_number_is_floored():
    assert engagement.median([3, 1, 8, 4]) == 3
    assert engagement.median([]) is None


def test_a_second_counts_for_a_pass_that_holds_its_middle():
    assert curves([(500, 1500)]) == [(0, 1, 1), (1, -1, -1)]
    assert curves([(501, 1501)]) == [(1, 1, 1), (2, -1, -1)]
    assert curves([(501, 1500)]) == []


def test_plays_count_each_pass_and_viewers_each_learner():
    assert curves([(0, 2 * S), (S, 3 * S)]) == [(0, 1, 1), (1, 1, 0), (2, -1, 0), (3, -1, -1)]


def test_a_bucket_shows_the_second_in_which_its_middle_lies():
    curve = {0: 1, 2: 2, 5: -3}

    assert drawn(curve, 10 * S, 10) == [1, 1, 3, 3, 3, 0, 0, 0, 0, 0]
    assert drawn(curve, 10 * S, 5) == [1, 3, 0, 0, 0]


def test_the_last_part_of_a_second_shows_what_the_second_before_it_does():
    whole = {0: 1, 10: -1}

    assert drawn(whole, 10_300, 100)[-1] == 1


@pytest.mark.parametrize(("furthest", "count"), [(0, 0), (499, 0), (500, 1), (9_499, 9), (9_500, 10), (20_000, 10)])
def test_a_middle_is_reached_when_it_is_not_behind_the_furthest(furthest: int, count: int):
    assert middles_up_to(furthest, 10 * S, 10) == count


@pytest.mark.parametrize(("position", "bucket"), [(0, 0), (999, 0), (1000, 1), (10_000, 9), (12_000, 9)])
def test_an_exit_lies_in_the_bucket_of_its_position(position: int, bucket: int):
    assert bucket_of(position, 10 * S, 10) == bucket


def crowd() -> list[Watched]:
    """Two exits at 2 s and 5 s, one completer, one who is still there at 7 s, one who only looked in."""
    return [
        Watched(views=1, furthest_ms=9_500, exit_ms=2_000),
        Watched(views=2, furthest_ms=5_000, exit_ms=5_000),
        Watched(views=1, furthest_ms=10_000, exit_ms=3_000, completed_at=50, open_until=2_000),
        Watched(views=1, furthest_ms=7_000, exit_ms=7_000, open_until=1_001),
        Watched(furthest_ms=1_000),
    ]


def test_a_viewer_completes_is_open_or_exits():
    ends = engagement.ends(crowd(), 10 * S, 10, 60, 1_000)

    assert (ends.completed, ends.censored, ends.exits) == (1, 1, [0, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    assert ends.last == [0, 0, 1, 0, 0, 1, 0, 1, 0, 1]


def test_exits_completers_and_the_open_are_everybody():
    ends = engagement.ends(crowd(), 10 * S, 10, 60, 1_001)

    assert (ends.completed, ends.censored, sum(ends.exits)) == (1, 0, 3)


def test_who_completed_when_the_period_was_over_has_exited():
    assert engagement.ends(crowd(), 10 * S, 10, 50, 2_000).completed == 0


def test_hazard_is_of_those_who_came_so_far():
    ends = engagement.ends(crowd(), 10 * S, 10, 60, 1_000)
    made = engagement.retention(ends, [4] * 10, [4] * 10, 5, 4)

    assert made.hazard == [0.0, 0.0, 0.25, 0.0, 0.0, 0.3333, 0.0, 0.0, 0.0, 0.0]
    assert made.survival == [1.0] * 5 + [0.75, 0.75] + [0.5, 0.5, 0.5]
    assert made.absolute == [0.8] * 10


def test_nobody_can_say_where_somebody_is_in_a_content_without_a_length():
    ends = engagement.ends(crowd(), 0, 10, 60, 1_000)

    assert (ends.completed, ends.censored, ends.exits, sum(ends.reached)) == (1, 1, [0] * 10, 0)


def test_parts_of_a_crowd_add_up():
    whole, parts = engagement.ends(crowd(), 10 * S, 10, 60, 1_000), Ends.none(10)

    for one in crowd():
        parts.add(engagement.ends([one], 10 * S, 10, 60, 1_000))

    assert parts == whole


def test_sums_are_over_viewers_and_starts_over_all():
    learners = [
        Watched(views=1, starts=2, coverage=[0, 10], watch_ms=20, view_content_ms=10, first_from_ms=0, completed_at=5),
        Watched(views=1, starts=1, coverage=[0, 4], watch_ms=4, view_content_ms=4, first_from_ms=0, content_ms=6_004),
        Watched(starts=1, coverage=[0, 9], completed_at=1),
    ]

    made = engagement.tally(learners, 12, 8, 10)

    assert (made.views, made.viewers, made.starts, made.completed, made.replayed) == (2, 2, 4, 1, 1)
    assert (made.starters, made.completed_starters, made.watch_ms, made.content_ms) == (2, 1, 24, 14)
    assert (made.covered_ms, made.quartiles4) == (12, (20, 24, 28))
    assert engagement.coverage_of(made, 8) == engagement.Coverage(0.75, 0.625, 0.75, 0.875)


def test_steps_have_their_peak_and_area():
    edges = [(0, 1), (10, 1), (25, -2), (40, 1)]

    assert steps(edges, 0, 50, 20) == [(0, 20, 2, 30), (20, 20, 2, 10), (40, 10, 1, 10)]


def test_who_comes_as_another_goes_makes_no_peak():
    assert steps([(0, 1), (10, 0), (20, -1)], 0, 20, 20) == [(0, 20, 1, 20)]


def test_a_curve_ends_where_a_content_is_longer_than_any():
    beyond = (engagement.SECONDS_MAX + 5) * S
    curve: engagement.Curve = {}
    engagement.add_passes(curve, [(beyond - 10 * S, beyond), (beyond, beyond + S)])

    assert curve == {engagement.SECONDS_MAX - 5: 1, engagement.SECONDS_MAX: -1}
    assert drawn(curve, beyond, 10)[-1] == 0
