"""Where a client's clock stands (realtime.md, "Time" and reading 3)."""

from __future__ import annotations

from actors.machines.clock import ClientClock

SEC = 1_000


def heard(*messages: tuple[int, int]) -> list[int]:
    """The offset after each (sent_at, received)."""
    clock, offsets = ClientClock(), []
    for sent_at, received in messages:
        clock.offset, clock.doubts = clock.judge(sent_at, received)
        offsets.append(clock.offset)
    return offsets


def test_the_first_message_gives_the_first_estimate():
    assert heard((100, 350)) == [250]


def test_the_fastest_message_tells_most():
    assert heard((0, 300), (1000, 1100), (2000, 2200)) == [300, 100, 100]


def test_a_smaller_offset_is_taken_at_once_even_a_jump():
    assert heard((0, 50), (90 * SEC, 1000)) == [50, 1000 - 90 * SEC]


def test_a_slow_network_is_no_jump():
    late = [(n * 10 * SEC, n * 10 * SEC + 2_000) for n in range(1, 9)]
    assert heard((0, 0), *late) == [0] * 9


def test_two_seconds_and_a_millisecond_are_a_doubt_and_need_three_witnesses_over_ten_seconds():
    late = [(at, at + 2_001) for at in (10 * SEC, 15 * SEC, 20 * SEC)]
    assert heard((0, 0), *late) == [0, 0, 0, 2_001]


def test_three_witnesses_within_less_than_ten_seconds_are_not_enough():
    late = [(at, at + 5_000) for at in (10_000, 15_000, 19_999, 20_000)]
    assert heard((0, 0), *late) == [0, 0, 0, 0, 5_000]


def test_witnesses_that_differ_by_half_a_second_agree_and_the_smallest_wins():
    assert heard((0, 0), (10_000, 15_500), (15_000, 20_000), (25_000, 30_200))[-1] == 5_000


def test_witnesses_that_differ_by_more_begin_anew():
    assert heard((0, 0), (10_000, 15_501), (15_000, 20_000), (25_000, 30_200))[-1] == 0


def test_one_message_in_between_that_fits_clears_the_doubt():
    assert heard((0, 0), (10_000, 15_000), (15_000, 15_010), (20_000, 25_000), (25_000, 30_000))[-1] == 0


def test_many_witnesses_within_a_moment_are_kept_in_bounds():
    clock = ClientClock(offset=0)
    for at in range(0, 9_000, 10):
        clock.offset, clock.doubts = clock.judge(at, at + 5_000)
    assert clock.offset == 0
    assert len(clock.doubts) <= 8


def test_judging_changes_nothing():
    clock = ClientClock(offset=0, doubts=[1, 5_000])
    clock.judge(10_000, 15_000)
    assert (clock.offset, clock.doubts) == (0, [1, 5_000])
