"""One learner on one content, by hand."""

from __future__ import annotations

import pytest

from actors.figures import viewing
from actors.figures.watched import (
    OPEN_MS,
    Credited,
    Facts,
    Period,
    Sitting,
    needed_ms,
    overlap,
    passes,
    replayed,
    starter,
    tail_ms,
    watched,
    worked_ms,
)

S = 1_000
D = 100 * S
KNOWN = Facts(D)


def sitting(name: str = "a", start: int = 0, **changes: int | None) -> Sitting:
    values: dict[str, int | None] = {
        "ended_at": start + 1,
        "last_sample_at": start + 1,
        "position": 0,
        "duration": None,
    }
    return Sitting(name, start, **(values | changes))  # type: ignore[arg-type]


def played(low: int, high: int, at: int = 0, name: str = "a", number: int = 1) -> Credited:
    """Seconds of content, from second `at` on."""
    return Credited(name, number, at * S, (at + high - low) * S, low * S, high * S)


def test_watched_twice_is_covered_once():
    made = watched([sitting()], [played(0, 30), played(10, 30, 30, number=2)], KNOWN)

    assert (made.covered_ms, made.content_ms, made.rewatched_ms) == (30 * S, 50 * S, 20 * S)


def test_what_lies_behind_the_end_is_not_covered():
    made = watched([sitting()], [played(90, 120)], KNOWN)

    assert (made.covered_ms, made.content_ms, made.furthest_ms) == (10 * S, 30 * S, 120 * S)


def test_the_tail_is_no_part_of_what_must_be_watched():
    made = watched([sitting()], [played(0, 100)], Facts(D, ignore_tail=True))

    assert (made.covered_ms, made.rewatched_ms) == (95 * S, 0)


@pytest.mark.parametrize(("duration", "tail"), [(0, 0), (19, 0), (20, 1), (600 * S, 30 * S), (601 * S, 30 * S)])
def test_the_tail_is_five_percent_and_half_a_minute_at_most(duration: int, tail: int):
    assert tail_ms(duration) == tail
    assert worked_ms(duration, ignore_tail=True) == duration - tail


@pytest.mark.parametrize(("length", "threshold", "needed"), [(100, 0.56, 56), (101, 0.95, 96), (100, 1.0, 100)])
def test_the_threshold_is_its_decimal_text(length: int, threshold: float, needed: int):
    assert needed_ms(length, threshold) == needed


def test_completed_is_the_wall_end_of_the_segment_that_crossed():
    made = watched([sitting()], [played(50, 95, 100, number=2), played(0, 50), played(95, 99, 200, number=3)], KNOWN)

    assert made.completed_at == 145 * S


def test_a_moment_short_of_the_threshold_is_not_completed():
    short = Credited("a", 1, 0, 95 * S, 0, 95 * S - 1)

    assert watched([sitting()], [short], KNOWN).completed_at is None


def test_without_a_length_nothing_is_completed():
    assert watched([sitting()], [played(0, 500)], Facts()).completed_at is None


def test_the_length_is_the_last_that_the_client_told_where_the_catalog_has_none():
    sittings = [sitting("b", 9, duration=50 * S), sitting("a", 0, duration=10 * S)]

    made = watched(sittings, [played(0, 20)], Facts())

    assert (made.told_ms, made.covered_ms) == (50 * S, 20 * S)
    assert watched(sittings, [played(0, 20)], Facts(10 * S)).completed_at == 20 * S


@pytest.mark.parametrize(("seconds", "views"), [(2, 0), (3, 1)])
def test_three_seconds_make_a_view(seconds: int, views: int):
    made = watched([sitting()], [played(0, seconds)], KNOWN)

    assert (made.views, made.starts, made.content_ms) == (views, 1, seconds * S)


def test_a_session_without_a_sample_is_no_start():
    assert watched([sitting(last_sample_at=None)], [], KNOWN).starts == 0


def test_two_sessions_at_once_earn_the_same_second_once():
    made = watched([sitting("a"), sitting("b")], [played(0, 30), played(50, 80, 10, "b")], KNOWN)

    assert (made.views, made.watch_ms, made.view_content_ms) == (2, 40 * S, 60 * S)


def test_the_latest_view_ends_where_its_last_segment_does():
    sittings = [sitting("a"), sitting("b", 500 * S), sitting("c", 900 * S)]
    pieces = [played(0, 90), played(40, 60, 500, "b"), played(10, 20, 600, "b", 2), played(0, 2, 900, "c")]

    made = watched(sittings, pieces, KNOWN)

    assert (made.exit_ms, made.furthest_ms) == (20 * S, 90 * S)


def test_a_session_is_open_until_half_an_hour_after_its_last_sample():
    made = watched([sitting("a", ended_at=None, last_sample_at=7)], [], KNOWN)

    assert made.open_until == 7 + OPEN_MS
    assert watched([sitting()], [], KNOWN).open_until is None


def test_the_position_is_that_of_the_latest_sample():
    made = watched([sitting("a", 0, last_sample_at=90, position=7), sitting("b", 10, position=8)], [], KNOWN)

    assert made.position_ms == 7


def test_the_first_view_says_where_the_learner_began():
    sittings = [sitting("a"), sitting("b", 10 * S), sitting("c", 99 * S)]
    pieces = [played(0, 1), played(40, 50, 10, "b"), played(5, 10, 20, "b", 2), played(0, 9, 99, "c")]

    assert watched(sittings, pieces, KNOWN).first_from_ms == 5 * S


@pytest.mark.parametrize(
    ("first", "length", "began"),
    [(4999, D, True), (5000, D, False), (29_999, 3600 * S, True), (30_000, 3600 * S, False), (None, D, False)],
)
def test_the_beginning_is_five_percent_and_half_a_minute_at_most(first: int | None, length: int, *, began: bool):
    assert starter(first, length) is began


@pytest.mark.parametrize(("again", "length", "counts"), [(4999, D, False), (5000, D, True), (9_999, 1000 * S, False)])
def test_a_replay_is_five_seconds_and_one_percent(again: int, length: int, *, counts: bool):
    assert replayed(again, length) is counts


def test_a_period_takes_sessions_by_their_start_and_whole():
    sittings = [sitting("a", 0), sitting("b", 100 * S), sitting("c", 200 * S)]
    pieces = [played(0, 10), played(10, 60, 100, "b"), played(60, 70, 200, "c")]

    made = watched(sittings, pieces, KNOWN, Period(100 * S, 150 * S))

    assert (made.views, made.watch_ms, made.passes) == (1, 50 * S, [(10 * S, 60 * S)])


def test_facts_are_of_what_ended_before_the_period_does():
    sittings = [sitting("a", 0), sitting("b", 100 * S)]
    pieces = [played(0, 10), played(10, 60, 100, "b")]

    made = watched(sittings, pieces, KNOWN, Period(100 * S, 150 * S))

    assert (made.covered_ms, made.content_ms) == (10 * S, 10 * S)
    assert watched(sittings, pieces, KNOWN, Period(100 * S, 150 * S + 1)).covered_ms == 60 * S


@pytest.mark.parametrize(("gap", "count"), [(-1, 2), (0, 1), (500, 1), (501, 2)])
def test_neighbours_half_a_second_apart_are_one_pass(gap: int, count: int):
    pieces = [Credited("a", 1, 0, 1000, 0, 1000), Credited("a", 2, 1000, 2000, 1000 + gap, 2000 + gap)]

    assert len(passes(pieces)) == count


@pytest.mark.parametrize(("low", "high", "length"), [(0, 10, 0), (5, 25, 10), (15, 45, 10), (0, 99, 20), (20, 30, 0)])
def test_the_overlap_is_what_lies_in_both(low: int, high: int, length: int):
    assert overlap([10, 20, 40, 50], low, high) == length


# -- single sessions --------------------------------------------------------------------------------------------------


def figures(sittings: list[Sitting], pieces: list[Credited], facts: Facts = KNOWN) -> list[tuple[bool, bool, int]]:
    made = watched(sittings, pieces, facts)
    found = viewing.sessions(sittings, pieces, facts, made.told_ms, made.completed_at)
    return [(one.completed, one.replay, one.reached + one.at_end) for one in found]


def test_a_session_completes_alone():
    sittings = [sitting("a"), sitting("b", 200 * S)]

    assert figures(sittings, [played(0, 94), played(0, 95, 200, "b")]) == [(False, False, 4), (True, True, 4)]


def test_a_session_that_begins_on_a_completed_content_is_a_replay():
    sittings = [sitting("a"), sitting("b", 99 * S), sitting("c", 200 * S)]

    assert [replay for _, replay, _ in figures(sittings, [played(0, 99)])] == [False, False, True]


def test_five_seconds_that_were_covered_before_make_a_replay():
    sittings = [sitting("a"), sitting("b", 20 * S), sitting("c", 50 * S)]
    pieces = [played(0, 10), played(5, 20, 20, "b"), played(16, 40, 50, "c")]

    assert [replay for _, replay, _ in figures(sittings, pieces)] == [False, True, False]


@pytest.mark.parametrize(("to", "reached"), [(24, 0), (25, 1), (50, 2), (75, 3), (90, 4), (98, 4), (99, 5)])
def test_checkpoints_are_shares_and_the_end_less_a_second(to: int, reached: int):
    assert sum(viewing.reached(to * S, D)) == reached


def test_the_end_of_a_short_content_comes_before_nine_tenths():
    assert viewing.reached(4_000, 5_000) == (3, True)


def test_without_a_segment_not_even_the_end_of_a_second_is_reached():
    (one,) = viewing.sessions([sitting()], [], Facts(1_000), None, None)

    assert (one.reached, one.at_end) == (0, False)


def test_a_session_without_a_length_reaches_nothing():
    (one,) = viewing.sessions([sitting()], [played(0, 50)], Facts(), None, None)

    assert (one.known, one.completed, one.replay, one.reached, one.at_end) == (False, False, False, 0, False)
