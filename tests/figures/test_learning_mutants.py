"""The properties are believed because they notice the mistakes of `learning_mutants.py`, which are tried by hand."""

from __future__ import annotations

from tests.figures import learning_mutants


def test_every_mistake_of_a_learners_figures_can_still_be_made():
    for mutant in learning_mutants.MUTANTS:
        assert mutant.of(learning_mutants.ROOT).read_text().count(mutant.find) == 1, mutant.name
