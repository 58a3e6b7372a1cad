"""Mistakes in the figures of engagement: `engagement_mutants.toml`.

    python -m tests.figures.engagement_mutants [NAME ...]

`slow` ones are noticed by the properties that write into a database.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.support.mutants import Mutant, listed, search

QUICK: Final = ("tests/figures/test_engagement_properties.py",)
SLOW: Final = ("tests/figures/test_engagement_written.py", "tests/figures/test_engagement_answers.py")
MUTANTS: Final = [
    Mutant(one["name"], one["module"], one["find"], one["put"], SLOW if one.get("slow") else QUICK)
    for one in listed(Path(__file__).with_suffix(".toml"))
]

if __name__ == "__main__":
    sys.exit(search(MUTANTS, sys.argv[1:]))
