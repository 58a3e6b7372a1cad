"""Sources with one mistake each, and a runner that shows which property notices it.

Each mutant is a textual replacement in one file, in a copy of the tree of which only its properties are run (no
stories). The copy without a mistake must pass, and every other one must fail. A search that is run by hand:

    python -m tests.machines.mutants [NAME ...]
    python -m tests.figures.learning_mutants [NAME ...]
    python -m tests.figures.engagement_mutants [NAME ...]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("actors", "load_tests", "protocol", "server", "storage", "tests")


@dataclass(frozen=True)
class Mutant:
    """`find` stands exactly once in `source`, a path below the root. `properties`: what pytest is given to run."""

    name: str
    source: str
    find: str
    put: str
    properties: tuple[str, ...]

    def applies(self) -> bool:
        """Whether the mistake can still be made."""
        return (ROOT / self.source).read_text().count(self.find) == 1


def listed(path: Path) -> list[dict[str, Any]]:
    """What a list of mistakes says of each."""
    found: list[dict[str, Any]] = tomllib.loads(path.read_text())["mutant"]
    return found


def tried(mutant: Mutant) -> tuple[Mutant, list[str]]:
    """The properties that fail with this mistake, in the order in which they were tried; "" as `find` makes none."""
    profile = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "mutants")}
    with tempfile.TemporaryDirectory() as copy:
        for folder in COPIED:
            shutil.copytree(ROOT / folder, Path(copy, folder), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if mutant.find:
            if not mutant.applies():
                return mutant, ["(does not apply)"]
            source = Path(copy, mutant.source)
            source.write_text(source.read_text().replace(mutant.find, mutant.put))
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.properties],
            cwd=copy,
            env={**os.environ, **profile, "PYTHONPATH": copy},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\w+)", run.stdout, flags=re.MULTILINE)
    if run.returncode and not failed:
        return mutant, ["(does not run)"]
    return mutant, failed


def search(mutants: Sequence[Mutant], names: Sequence[str]) -> int:
    """Try those with these names, or all; returns how many went wrong."""
    picked = [mutant for mutant in mutants if not names or mutant.name in names]
    nothing = [Mutant("(none)", "", "", "", run) for run in dict.fromkeys(mutant.properties for mutant in picked)]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, failed in pool.map(tried, [*nothing, *picked]):
            right = not failed if mutant in nothing else bool(failed) and not failed[0].startswith("(")
            wrong += not right
            verdict = ", ".join(failed) or ("passes" if mutant in nothing else "SURVIVES")
            print(f"{mutant.name:75} {verdict}", flush=True)
    return wrong
