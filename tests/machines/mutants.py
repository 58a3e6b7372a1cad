"""Mistakes in the machines, of `mutants.toml` and `conference_mutants.toml` (python -m tests.machines.mutants)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.support.mutants import Mutant, listed, search

PROPERTIES: Final = {
    "mutants.toml": "tests/machines/test_properties.py",
    "conference_mutants.toml": "tests/machines/test_conference_properties.py",
}
MUTANTS: Final = [
    Mutant(one["name"], f"actors/machines/{one['module']}.py", one["find"], one["put"], (properties,))
    for name, properties in PROPERTIES.items()
    for one in listed(Path(__file__).with_name(name))
]

if __name__ == "__main__":
    sys.exit(search(MUTANTS, sys.argv[1:]))
