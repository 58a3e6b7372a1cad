"""The short form of `tests/faults/broker.py`: the broker or the database goes away under a stream of events."""

from __future__ import annotations

import pytest

from tests.faults import broker
from tests.support import rabbitmq

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not rabbitmq.is_installed():
        pytest.skip("needs RabbitMQ: apt-get install rabbitmq-server")


def test_a_broker_that_is_killed_loses_nothing_and_doubles_nothing() -> None:
    outcome = broker.run("broker", times=2, rate=100, seed=3)

    assert outcome["wrong"] == {}, outcome
    assert max(outcome["back_after_s"]) < 15


def test_while_the_database_is_down_events_wait_at_the_broker() -> None:
    outcome = broker.run("database", times=1, rate=150, seed=4)

    assert outcome["wrong"] == {}, outcome
    assert outcome["waited_at_the_broker"][0] > 100
