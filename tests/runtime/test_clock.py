"""Server time: it never goes back, whatever the wall does (docs/decisions/0002)."""

from __future__ import annotations

from random import Random

import pytest

from actors.clock import AHEAD_MAX_MS, SLEW, ServerClock


class Clocks:
    """A wall and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.wall = 1_767_225_600.0
        self.mono = 50.0
        self.server = ServerClock(lambda: self.wall, lambda: self.mono)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


def test_it_starts_at_the_wall():
    assert Clocks().server.now() == 1_767_225_600_000


@pytest.mark.parametrize("step", [-3600.0, -1.0, -0.0004, 0.0004, 1.0, 3600.0])
def test_a_step_of_the_wall_is_not_a_step_of_server_time(step: float):
    clocks = Clocks()
    before = clocks.server.now()
    clocks.wall += step
    assert clocks.server.now() == before
    assert clocks.server.skew_s == pytest.approx(step, abs=1e-5)


def test_it_is_slewed_by_a_millisecond_a_second_at_the_most():
    clocks = Clocks()
    clocks.wall += 10
    for second in range(1, 200):
        clocks.passes(1)
        clocks.server.discipline()
        assert clocks.server.now() - 1_767_225_600_000 - second * 1000 <= second * SLEW * 1000
    assert clocks.server.skew_s == pytest.approx(10 - 199 * SLEW, abs=1e-3)


def test_it_arrives_and_stays():
    clocks = Clocks()
    clocks.wall -= 0.005
    for _ in range(100):
        clocks.passes(1)
        clocks.server.discipline()
    assert clocks.server.skew_s == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("start", range(20))
def test_it_never_goes_back(start: int):
    random = Random(start)
    clocks = Clocks()
    latest = clocks.server.now()
    for _ in range(500):
        match random.randrange(4):
            case 0:
                clocks.passes(random.choice([0, 0, 1e-5, 0.3, 1, 40]))
            case 1:
                clocks.wall += random.choice([-3600, -30, -0.01, 0.01, 30, 3600])
            case 2:
                clocks.server.discipline()
            case _:
                clocks.server.not_before(latest + random.choice([-5, 1, 3_000, AHEAD_MAX_MS, AHEAD_MAX_MS + 1]))
        now = clocks.server.now()
        assert now >= latest
        latest = now


def test_history_is_followed_up_to_a_minute_ahead():
    clocks = Clocks()
    now = clocks.server.now()
    clocks.server.not_before(now - 1)
    assert clocks.server.now() == now
    clocks.server.not_before(now + AHEAD_MAX_MS)
    assert clocks.server.now() - now == pytest.approx(AHEAD_MAX_MS, abs=1)


def test_history_further_ahead_is_not_believed():
    clocks = Clocks()
    now = clocks.server.now()
    clocks.server.not_before(now + AHEAD_MAX_MS + 1)
    assert clocks.server.now() == now
