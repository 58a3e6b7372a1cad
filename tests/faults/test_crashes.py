"""The short form of `tests/faults/crashes.py`: a class goes on while things are killed, and no second is lost."""

from __future__ import annotations

import pytest

from tests.faults import crashes

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("target", crashes.TARGETS)
def test_a_class_survives_the_kill_of(target: str) -> None:
    outcome = crashes.run(target, times=3, learners=30, minutes=0.8, seed=3)
    assert outcome["strikes"] >= 1
    assert outcome["exit_code"] == 0, outcome["said"][-4000:] + outcome["log"]
