"""Events are sent while things are killed: what was acknowledged is there, and nothing twice."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from typing import Any

import aiohttp
import msgspec
import pytest

from server import config
from server.commands.database import opened
from tests.faults.crashes import PROGRAM, Node, node

pytestmark = pytest.mark.faults

SENDERS = 40
STRIKES = 3
BETWEEN_S = 1.5
GIVE_UP_S = 5.0


class Sender:
    """Sends one event behind the other, each with a content that names it.

    Some have an id, and are sent until they are taken; some have none, and are sent once.
    """

    def __init__(self, url: str, key: str, number: int) -> None:
        self._url = url
        self._headers = {"X-Write-Key": key}
        self._number = number
        self.taken: set[str] = set()
        self.maybe: set[str] = set()
        self.refused = 0

    async def run(self, done: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=GIVE_UP_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http:
            count = 0
            while not done.is_set():
                count += 1
                name = f"{self._number}-{count}"
                if count % 3:
                    await self._until_taken(http, name)
                elif await self._post(http, "view", event(name)):
                    self.taken.add(name)
                else:
                    self.maybe.add(name)

    async def _until_taken(self, http: aiohttp.ClientSession, name: str) -> None:
        """A batch of three with ids, of which one stands in it twice."""
        names = [f"{name}-{place}" for place in (0, 1, 2, 1)]
        events = [event(each) | {"type": "view", "eventId": each} for each in names]
        while not await self._post(http, "batch", {"events": events}):  # noqa: ASYNC110 - it polls
            await asyncio.sleep(0.05)  # the server may be gone
        self.taken.update(names)

    async def _post(self, http: aiohttp.ClientSession, path: str, body: Any) -> bool:
        try:
            async with http.post(f"{self._url}/analytics/track/{path}", data=msgspec.json.encode(body)) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return False
        assert answer.status in (202, 503), answer.status
        self.refused += answer.status == 503
        return answer.status == 202


def event(name: str) -> dict[str, Any]:
    return {"app": "kills", "contentId": name, "contentType": "post"}


def make_key(server: Node) -> str:
    command = [PROGRAM, "keys", "create", "--name", "kills", "--right", "collect"]
    command += ["--data-dir", str(server.directory / "data")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def strike(server: Node, target: str) -> None:
    if target != "server":
        server.kill_database()
    if target == "database":
        server.until_ready()
        return
    server.kill()
    server.start()


async def send_through(server: Node, target: str) -> list[Sender]:
    key, done = make_key(server), asyncio.Event()
    senders = [Sender(server.url, key, number) for number in range(SENDERS)]
    tasks = [asyncio.create_task(sender.run(done)) for sender in senders]
    for _ in range(STRIKES):
        await asyncio.sleep(BETWEEN_S)
        await asyncio.to_thread(strike, server, target)
    await asyncio.sleep(BETWEEN_S)
    done.set()
    await asyncio.gather(*tasks)
    return senders


async def kept(server: Node) -> Counter[str]:
    settings = config.load({"ROLLCALL_DATA_DIR": str(server.directory / "data"), "ROLLCALL_DEV": "1"}, {})
    async with opened(settings) as database, database.connection() as connection:
        return Counter([record[0] for record in await connection.fetch("SELECT content_id FROM collector_events")])


@pytest.mark.parametrize("target", ["server", "database", "both"])
def test_what_was_acknowledged_is_there_once_after_the_kill_of(target: str) -> None:
    with node(ROLLCALL_COLLECTOR_RATE="1000000") as server:
        senders = asyncio.run(send_through(server, target))
        found = asyncio.run(kept(server))
        log = server.log()

    taken = set[str]().union(*(sender.taken for sender in senders))
    maybe = set[str]().union(*(sender.maybe for sender in senders))
    assert len(taken) > 1_000, log[-2000:]
    assert taken - found.keys() == set(), log[-2000:]
    assert {name: count for name, count in found.items() if count > 1} == {}
    assert found.keys() - taken - maybe == set()
