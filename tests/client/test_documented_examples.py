"""The examples that people paste work: each is taken out of its page and run."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server import devsecret
from server.auth import sign
from tests.faults import crashes

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/CLIENTS.md"]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PASTED = re.compile(r"^\.venv/bin/python - (?:\S+ )*<<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)


def programs() -> list[str]:
    """Blocks that speak to Rollcall by the client and end by running themselves."""
    found = [block for page in PAGES for pattern in (PYTHON, PASTED) for block in _blocks(page, pattern)]
    return [block for block in found if "from protocol.client import" in block and "asyncio.run(" in block]


def _blocks(page: str, pattern: re.Pattern[str]) -> list[str]:
    return [str(block) for block in pattern.findall((ROOT / page).read_text())]


@pytest.mark.slow
def test_every_program_in_the_pages_runs_as_it_stands():
    assert programs()
    with crashes.node() as node:
        secret = devsecret.read_or_create(node.directory / "data")
        token = sign(secret, user_id="27", now_s=time.time(), ttl_s=600, role="learner")
        for program in programs():
            done = subprocess.run(
                [sys.executable, "-", node.url, token],
                input=program,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert "durable in session" in done.stdout
            assert "27 is here" in done.stdout


@pytest.mark.slow
def test_the_client_starts_without_the_server():
    seen = "import sys, protocol.client, protocol.client.events; print(*sorted(n.split('.')[0] for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"actors", "server", "storage", "load_tests", "asyncpg", "picows", "structlog", "redis", "jwt"}
    assert {"aiohttp", "websockets", "msgspec", "protocol"} <= loaded


async def test_the_example_of_events_compiles_into_what_it_says():
    (block,) = [block for block in _blocks("docs/CLIENTS.md", PYTHON) if "EventSender" in block]
    names: dict[str, object] = {}
    exec(compile(block, "docs/CLIENTS.md", "exec"), names)
    assert asyncio.iscoroutinefunction(names["serve"])
