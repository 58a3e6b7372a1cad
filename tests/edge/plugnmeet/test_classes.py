"""Classes over the conference server against a server of its own: what is read back equals the truth."""

from __future__ import annotations

import pytest

from load_tests.plugnmeet.classes import on_own_server
from load_tests.plugnmeet.drive import Options

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
def test_attendance_equals_the_truth(seed: int) -> None:
    outcome = on_own_server(Options(rooms=5, participants=12, seed=seed, repeats=0.3))
    assert outcome.differences == []
    assert outcome.figures["refused"] == {}
    assert outcome.figures["given_up"] == 0


@pytest.mark.faults
def test_also_when_the_server_is_killed_meanwhile() -> None:
    # Pauses are stretched, so that three attempts outlast a restart; what is given up all the same is no truth.
    outcome = on_own_server(Options(rooms=5, participants=12, seed=3, speed=400, scale=4), kills=2)
    assert outcome.differences == []
    assert outcome.figures["kills"] == 2
