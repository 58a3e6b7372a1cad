"""Mistakes in a learner's figures, of `learning_mutants.toml` (python -m tests.figures.learning_mutants [NAME ...])."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.support.mutants import Mutant, listed, search

PROPERTIES: Final = ("-m", "not slow", "tests/figures/test_learning_properties.py")
MUTANTS: Final = [
    Mutant(one["name"], f"actors/figures/{one['module']}.py", one["find"], one["put"], PROPERTIES)
    for one in listed(Path(__file__).with_suffix(".toml"))
]

if __name__ == "__main__":
    sys.exit(search(MUTANTS, sys.argv[1:]))
