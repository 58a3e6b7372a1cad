"""The properties are believed because they notice the mistakes of `mutants.py`, a search that is run by hand."""

from __future__ import annotations

from tests.machines import mutants


def test_every_mistake_can_still_be_made():
    for mutant in mutants.MUTANTS:
        source = mutants.ROOT / "actors" / "machines" / f"{mutant.module}.py"
        assert source.read_text().count(mutant.find) == 1, mutant.name
