"""The figures of engagement with one mistake each, and a runner that shows which property notices it.

    python -m tests.figures.engagement_mutants [NAME ...]

Each mutant (`engagement_mutants.toml`) is a textual replacement in one module, in a copy of the tree in which only the
properties are run. The copy without a mistake must pass, and every other one must fail. `slow` ones are noticed by the
properties that write into a database.
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
COPIED: Final = ("actors", "load_tests", "protocol", "server", "storage", "tests")


@dataclass(frozen=True)
class Mutant:
    """`find` stands exactly once in `module`."""

    name: str
    module: str
    find: str
    put: str
    slow: bool = False

    @property
    def properties(self) -> list[str]:
        names = ("written", "answers") if self.slow else ("properties",)
        return [f"tests/figures/test_engagement_{name}.py" for name in names]


MUTANTS: Final = [
    Mutant(**fields) for fields in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["mutant"]
]
NONE: Final = [Mutant("(none)", "", "", "", slow=slow) for slow in (False, True)]


def tried(mutant: Mutant) -> tuple[Mutant, list[str]]:
    """The properties that fail with this mistake, in the order in which they were tried."""
    profile = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "mutants")}
    with tempfile.TemporaryDirectory() as copy:
        for folder in COPIED:
            shutil.copytree(ROOT / folder, Path(copy, folder), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if mutant.find:
            source = Path(copy, mutant.module)
            text = source.read_text()
            if text.count(mutant.find) != 1:
                return mutant, ["(does not apply)"]
            source.write_text(text.replace(mutant.find, mutant.put))
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


def main(names: list[str]) -> int:
    picked = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    kinds = {mutant.slow for mutant in picked}
    chosen = [*(none for none in NONE if none.slow in kinds), *picked]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, failed in pool.map(tried, chosen):
            right = not failed if mutant in NONE else bool(failed) and not failed[0].startswith("(")
            wrong += not right
            verdict = ", ".join(failed) or ("passes" if mutant in NONE else "SURVIVES")
            print(f"{mutant.name:60} {verdict}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
