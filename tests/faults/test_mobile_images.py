"""Phones send images while the server is killed: what was answered is there to the byte, what was not is whole or not.

A few clients send requests of several images, one of them an archive of frames, and repeat one until it is answered, as
SDKs do. The server, or it and its database, are killed -9 again and again meanwhile. At the end every request is read
back; then, with the clock of what was left behind turned on, a sweep must leave nothing that nobody knows of.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from server.mobile.images_sweeping import ImageSweeper, work_of
from storage.embedded import EmbeddedPostgres
from storage.files import DirectoryFiles
from storage.mobile_images import MobileImages, file_name
from storage.postgres import Database
from tests.edge.mobile_images.pictures import JPEG, PNG, TYPE, Member, form, packed, part
from tests.faults.crashes import PROGRAM, Node

pytestmark = [pytest.mark.slow, pytest.mark.faults]

CLIENTS = 4
KILLS = 5
PATIENCE_S = 90.0
SEED = 20_261_121
UNBOUND = (
    "ROLLCALL_MESSAGES_PER_SECOND",
    "ROLLCALL_MESSAGES_BURST",
    "ROLLCALL_MOBILE_REQUESTS_PER_SECOND",
    "ROLLCALL_MOBILE_ADDRESS_REQUESTS_PER_SECOND",
)


class Phone:
    """One client: a session, and what became of each of its requests. Images by their hashes."""

    def __init__(self, number: int, http: aiohttp.ClientSession, url: str) -> None:
        self.number = number
        self.http = http
        self.url = url
        self.session = ""
        self.token = ""
        self.kept: dict[str, bytes] = {}
        self.unanswered = 0

    async def start(self) -> None:
        body = {"projectKey": "app", "trackerVersion": "1", "userUUID": str(UUID(int=self.number + 1, version=4))}
        async with self.http.post(f"{self.url}/v1/mobile/start", json=body) as answer:
            assert answer.status == 200, await answer.read()
            told = await answer.json()
        self.session, self.token = told["sessionID"], told["token"]

    async def send(self, until: asyncio.Event, chance: random.Random) -> None:
        """Requests one after another, each until it is answered."""
        count = 0
        while not until.is_set():
            count += 1
            brought = {f"{self.number}-{count}-{n}": PNG + chance.randbytes(20_000) for n in range(3)}
            frames = {f"{count}_1_{1_700_000_000_000 + count}.jpeg": JPEG + chance.randbytes(50_000)}
            archive = packed(*(Member(name, data) for name, data in frames.items()))
            body = form(*(part("image", data, name) for name, data in brought.items()), part("batch", archive, "b"))
            while not await self._sent(body):
                self.unanswered += 1
                await asyncio.sleep(0.02)
            self.kept |= brought | frames

    async def _sent(self, body: bytes) -> bool:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": TYPE}
        try:
            async with self.http.post(f"{self.url}/v1/mobile/images", data=body, headers=headers) as answer:
                assert answer.status in (200, 503), await answer.read()
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@pytest.mark.parametrize("target", ["server", "both"])
async def test_images_that_were_answered_are_there_to_the_byte_after_every_kill(tmp_path: Path, target: str):
    chance = random.Random(SEED)
    server = Node(tmp_path, **dict.fromkeys(UNBOUND, "100000"))
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(rollcall, server, "keys", "create", "--name", "app", "--right", "mobile")
        staff = await asyncio.to_thread(rollcall, server, "token", "--user", "boss", "--role", "staff")
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            phones = [Phone(number, http, server.url) for number in range(CLIENTS)]
            for phone in phones:
                await phone.start()
            await under_kills(server, phones, target, chance)
            for phone in phones:
                found = await read_back(http, server.url, phone.session, staff)
                assert found == {name: digest(data) for name, data in phone.kept.items()}
    finally:
        await asyncio.to_thread(server.stop)

    assert sum(len(phone.kept) for phone in phones) > CLIENTS * KILLS, "it was not idle"
    assert sum(phone.unanswered for phone in phones), "and the kills were felt"
    await nothing_unknown_is_left(tmp_path / "data")


async def under_kills(server: Node, phones: list[Phone], target: str, chance: random.Random) -> None:
    until = asyncio.Event()
    sending = [asyncio.create_task(phone.send(until, random.Random(SEED + phone.number))) for phone in phones]
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.2, 1.5))
        if target == "both":
            await asyncio.to_thread(server.kill_database)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    until.set()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*sending)


async def read_back(http: aiohttp.ClientSession, url: str, session: str, token: str) -> dict[str, bytes]:
    """Digests of all images of a session, by their hashes."""
    found: dict[str, bytes] = {}
    query = {"limit": "1000"}
    while True:
        told = msgspec.json.decode(await read(http, f"{url}/api/v1/mobile/sessions/{session}", token, query))
        for image in told["images"]:
            found[image["hash"]] = digest(await read(http, url + image["url"], token))
        if told["next_images_cursor"] is None:
            return found
        query["images_cursor"] = told["next_images_cursor"]


async def read(http: aiohttp.ClientSession, url: str, token: str, query: Any = None) -> bytes:
    while True:
        async with http.get(url, params=query, headers={"Authorization": f"Bearer {token}"}) as answer:
            data = await answer.read()
        if answer.status != 429:
            assert answer.status == 200, data
            return data
        await asyncio.sleep(0.2)


async def nothing_unknown_is_left(data_dir: Path) -> None:
    """Each file is one of kept images, once what the kills left behind is old enough to be swept."""
    postgres = EmbeddedPostgres(data_dir)
    database = Database(await postgres.start())
    try:
        await database.open()
        files = DirectoryFiles(data_dir / "recordings")
        await ImageSweeper(MobileImages(database), files, work_of(data_dir), forgotten_s=0.0).sweep()
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT file, state FROM mobile_image_files")
            orphans = await connection.fetchval(
                "SELECT count(*) FROM mobile_image_files AS f"
                " WHERE NOT EXISTS (SELECT FROM mobile_images AS i WHERE i.file = f.file)"
            )
    finally:
        await database.close()
        await postgres.stop()
    assert {state for _, state in rows} == {"kept"}
    assert not orphans
    assert {path.name for path in (data_dir / "recordings").iterdir()} == {file_name(str(file)) for file, _ in rows}
    assert list(work_of(data_dir).iterdir()) == []


def digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def rollcall(server: Node, *words: str) -> str:
    command = [PROGRAM, *words, "--data-dir", str(server.directory / "data")]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
