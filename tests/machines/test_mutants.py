"""The properties are believed because they notice every mistake of `mutants.py`."""

from __future__ import annotations

import pytest

from tests.machines import mutants


@pytest.mark.slow
@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_noticed(mutant: mutants.Mutant):
    _, failed = mutants.tried(mutant)
    assert failed
    assert not failed[0].startswith("("), failed


@pytest.mark.slow
def test_no_mistake_is_no_failure():
    assert mutants.tried(mutants.NONE) == (mutants.NONE, [])


def test_every_mistake_can_still_be_made():
    for mutant in mutants.MUTANTS:
        source = mutants.ROOT / "actors" / "machines" / f"{mutant.module}.py"
        assert source.read_text().count(mutant.find) == 1, mutant.name
