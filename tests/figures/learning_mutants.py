"""Figures of a learner with one mistake each, and a runner that shows which property notices it.

    python -m tests.figures.learning_mutants [NAME ...]

Each mutant (`learning_mutants.toml`) is a textual replacement in one module of `actors/figures`, in a copy of the tree
in which only the properties beside the specification are run. The copy without a mistake must pass, and every other
one must fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = Path("actors", "figures")
PROPERTIES: Final = "tests/figures/test_learning_properties.py"


@dataclass(frozen=True)
class Mutant:
    """`find` stands exactly once in `module`."""

    name: str
    module: str
    find: str
    put: str

    def of(self, tree: Path) -> Path:
        return tree / FIGURES / f"{self.module}.py"


NONE: Final = Mutant("(none)", "classes", "", "")
MUTANTS: Final = [
    Mutant(**fields) for fields in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["mutant"]
]


def tried(mutant: Mutant) -> tuple[Mutant, list[str]]:
    """The properties that fail with this mistake, in the order in which they were tried."""
    profile = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "mutants")}
    with tempfile.TemporaryDirectory() as copy:
        for folder in ("actors", "protocol", "tests"):
            shutil.copytree(ROOT / folder, Path(copy, folder), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        source = mutant.of(Path(copy))
        text = source.read_text()
        if mutant.find:
            if text.count(mutant.find) != 1:
                return mutant, ["(does not apply)"]
            source.write_text(text.replace(mutant.find, mutant.put))
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", PROPERTIES],
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


def main(names: list[str]) -> int:
    picked = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, failed in pool.map(tried, [NONE, *picked]):
            right = not failed if mutant is NONE else bool(failed) and not failed[0].startswith("(")
            wrong += not right
            verdict = ", ".join(failed) or ("passes" if mutant is NONE else "SURVIVES")
            print(f"{mutant.name:75} {verdict}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
