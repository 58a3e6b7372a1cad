"""The house keeps its own rules: what is packed, what is locked, and who may import whom."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = {"actors", "load_tests", "protocol", "server", "storage"}

# In pieces, so that this file does not name what it looks for.
REGISTRY_HOSTS = [
    ".".join(pieces) for pieces in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
]


def test_every_top_level_package_is_packed_typed_and_held_to_the_layers():
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    packed = {name for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] if "." not in name}

    assert packages == ROOMS
    assert packed == ROOMS
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == ROOMS
    assert set(PROJECT["tool"]["basedpyright"]["include"]) == ROOMS
    assert set(PROJECT["tool"]["mypy"]["files"]) == ROOMS | {"tests"}


def test_tests_are_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not (ROOT / "tests" / "protocol").exists(), "it would shadow the package of that name"


def test_the_lock_holds_every_dependency_with_hashes():
    lock = (ROOT / "requirements.lock").read_text()
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    pins = dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==\S+(.*(?:\n    .*)*)", lock, flags=re.MULTILINE))

    assert {_name(requirement) for requirement in wanted} <= pins.keys()
    assert all("--hash=sha256:" in rest for rest in pins.values())
    assert "://" not in lock


def test_no_file_names_a_package_registry():
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in _text_files()
        for text in (path.read_text(errors="replace").lower(),)
        for host in REGISTRY_HOSTS
        if host in text
    ]
    assert not named


FORBIDDEN = {
    "storage-server": ("storage/up.py", "import server\n", "The rooms stand in one order"),
    "actors-storage": ("actors/up.py", "import storage\n", "The rooms stand in one order"),
    "machines-time": ("actors/machines/clock_reader.py", "import time\n", "The machines are pure"),
    "actors-asyncpg": ("actors/driver.py", "import asyncpg\n", "Actors name no driver"),
    "protocol-asyncio": ("protocol/loop.py", "import asyncio\n", "The protocol does no I/O"),
    "load_tests-server": ("load_tests/inside.py", "import server\n", "load_tests knows a server only"),
    "storage-load_tests": ("storage/measured.py", "import load_tests\n", "Nothing rests on load_tests"),
    "server-client": ("server/caller.py", "import protocol.client\n", "Nothing of the server"),
    "protocol-client": ("protocol/caller.py", "import protocol.client\n", "Nothing of the server"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a house with all of these in it."""
    house = tmp_path_factory.mktemp("house")
    for room in ROOMS:
        shutil.copytree(ROOT / room, house / room, ignore=lambda folder, names: _not_python(Path(folder), names))
    shutil.copy(ROOT / "pyproject.toml", house)
    for module, source, _ in FORBIDDEN.values():
        assert not (house / module).exists()
        (house / module).write_text(source)
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=house, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    return run.stdout


@pytest.mark.parametrize(("module", "source", "contract"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_an_import_across_the_layers_is_caught(told: str, module: str, source: str, contract: str):
    importer, imported = module.removesuffix(".py").replace("/", "."), source.split()[1]
    told_of_it = told.rpartition(f"\n{contract}")[2].partition("\n---")[2].partition("\n---")[0]

    assert re.search(rf"{re.escape(contract)}.* BROKEN", told), told
    assert re.search(rf"{re.escape(importer)} -> {re.escape(imported)} \(", told_of_it), told


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=~! ]", requirement, maxsplit=1)[0].lower()


def _not_python(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".py") and not (folder / name / "__init__.py").exists()]


def _text_files() -> Iterator[Path]:
    built = {"__pycache__", "build", "dist", "node_modules"}
    for folder, below, names in os.walk(ROOT):
        if folder == str(ROOT):
            below[:] = [name for name in below if not name.startswith(".") or name == ".ci"]
        below[:] = [name for name in below if name not in built]
        for path in (Path(folder, name) for name in names):
            if path.is_file() and b"\0" not in path.read_bytes()[:4096]:
                yield path
