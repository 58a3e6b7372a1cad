"""The short form of `tests/faults/outages.py`: the database goes away under a class, and no second is lost."""

from __future__ import annotations

import pytest

from tests.faults import outages

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(("how", "seconds"), [("stop", 12.0), ("freeze", 9.0)])
def test_a_class_survives_a_database_that(how: str, seconds: float) -> None:
    outcome = outages.run(how, seconds, learners=30, minutes=0.9, seed=4)
    assert outcome["exit_code"] == 0, outcome["said"][-4000:] + outcome["log"]
    assert outcome["rss_mb_at_its_end"] < outcome["rss_mb_before"] + 100
