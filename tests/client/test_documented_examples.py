"""The examples that people paste work: each is taken out of its page and run."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
import pytest

from server import devsecret
from server.auth import sign
from tests.faults import crashes

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/CLIENTS.md"]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CURL = re.compile(r"^( *)curl .*(?:\n(?!\n|```| *rollcall ).*)*", re.MULTILINE)
HERE = re.compile(r" <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)
DOORS = {"COLLECTOR.md": "collect", "XAPI.md": "xapi", "CATALOG.md": "catalog"}
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


# -- curl -------------------------------------------------------------------------------------------------------------


def requests_of(page: str, variables: dict[str, str], url: str) -> list[dict[str, Any]]:
    """The requests that a page's `curl` examples make of a server at `url`, for aiohttp."""
    text = (ROOT / "docs" / page).read_text()
    return [request_of(found[0], variables, url) for found in CURL.finditer(text)]


def request_of(command: str, variables: dict[str, str], url: str) -> dict[str, Any]:
    here = HERE.search(command)
    words = shlex.split((command[: here.start()] if here else command).replace("\\\n", ""))[1:]
    made: dict[str, Any] = {"headers": {}, "method": "GET"}
    while words:
        word = Template(words.pop(0)).safe_substitute(variables)
        if not word.startswith("-"):
            made["url"] = re.sub(r"^https?://(?:rollcall\.example|127\.0\.0\.1:8080)", url, word)
            continue
        value = Template(words.pop(0)).safe_substitute(variables)
        if word == "-X":
            made["method"] = value
        elif word == "-H":
            made["headers"].update([value.split(": ", 1)])
        elif word == "-u":
            made["headers"]["Authorization"] = f"Basic {b64encode(value.encode()).decode()}"
        else:
            assert word in {"-d", "--data-binary"}
            made["data"] = here[1] if here and value == "@-" else value
    if "data" in made and made["method"] == "GET":
        made["method"] = "POST"
    return made


async def answers_of(requests: list[dict[str, Any]]) -> list[tuple[int, str]]:
    async with aiohttp.ClientSession() as session:
        found = []
        for made in requests:
            async with session.request(**made) as answer:
                found.append((answer.status, await answer.text()))
        return found


@pytest.mark.slow
def test_every_request_in_the_pages_is_answered_as_they_say():
    with crashes.node() as node:
        secret = devsecret.read_or_create(node.directory / "data")
        staff = sign(secret, user_id="1", now_s=time.time(), ttl_s=600, role="staff")
        answered = {}
        for page, right in DOORS.items():
            create = ["keys", "create", "--name", right, "--right", right, "--data-dir", str(node.directory / "data")]
            key = subprocess.run([crashes.PROGRAM, *create], capture_output=True, text=True, check=True).stdout.strip()
            requests = requests_of(page, {"KEY": key, "STAFF": staff, "TOKEN": staff}, node.url)
            answered[page] = asyncio.run(answers_of(requests))

    view, engagement, batch, views = answered["COLLECTOR.md"]
    assert [view, engagement] == [(202, '{"accepted":1}')] * 2
    assert batch[0] == 202
    assert batch[1] in (ROOT / "docs/COLLECTOR.md").read_text()
    assert (views[0], json.loads(views[1])["step"]) == (200, 86400)
    statements, sessions = answered["XAPI.md"]
    assert statements[0] == 200
    assert statements[1] in (ROOT / "docs/XAPI.md").read_text()
    assert sessions == (200, "")
    assert answered["CATALOG.md"] == [(201, '{"accepted":1}'), (200, '{"accepted":3}')]
