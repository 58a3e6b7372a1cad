"""The properties are believed because they notice the mistakes of `engagement_mutants.py`, which is run by hand."""

from __future__ import annotations

from tests.figures import engagement_mutants as mutants


def test_every_mistake_can_still_be_made():
    for mutant in mutants.MUTANTS:
        assert (mutants.ROOT / mutant.module).read_text().count(mutant.find) == 1, mutant.name
