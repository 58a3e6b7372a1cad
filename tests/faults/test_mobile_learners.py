"""Learners with apps, against a real server: what it credits and keeps is what they did, though it is killed."""

from __future__ import annotations

import pytest

from load_tests.mobile.acting import ACTS
from load_tests.mobile.command import PROJECT, on_own_server
from load_tests.mobile.drive import Options, Outcome


def shown(outcome: Outcome) -> str:
    return "\n".join(f"{one.learner} {one.act} {one.field}: {one.truth} / {one.answer}" for one in outcome.differences)


@pytest.mark.slow
def test_what_learners_did_in_their_apps_is_what_is_credited_and_kept() -> None:
    outcome = on_own_server(Options(project=PROJECT, seconds=8, seed=2), learners=len(ACTS))

    assert not outcome.differences, shown(outcome)


@pytest.mark.slow
def test_tokens_that_run_out_meanwhile_cost_nobody_a_second() -> None:
    outcome = on_own_server(Options(project=PROJECT, seconds=12, seed=4), learners=len(ACTS), token_s=4)

    assert outcome.figures["restarted_on_401"]
    assert not outcome.differences, shown(outcome)


@pytest.mark.faults
def test_a_server_killed_meanwhile_loses_and_doubles_nothing_of_their_apps() -> None:
    outcome = on_own_server(Options(project=PROJECT, seconds=14, seed=3), learners=2 * len(ACTS), kills=2)

    assert outcome.figures["retries"]
    assert not outcome.differences, shown(outcome)
