"""The properties are believed because they notice the mistakes of `tests/support/mutants.py`, a search run by hand."""

from __future__ import annotations

import pytest

from tests.figures import engagement_mutants, learning_mutants
from tests.machines import mutants
from tests.support.mutants import Mutant

LISTS = {
    "machines": mutants.MUTANTS,
    "learning": learning_mutants.MUTANTS,
    "engagement": engagement_mutants.MUTANTS,
}


@pytest.mark.parametrize("found", LISTS.values(), ids=LISTS)
def test_every_mistake_can_still_be_made(found: list[Mutant]):
    assert [mutant.name for mutant in found if not mutant.applies()] == []
