"""The stand-in keeps the sender's rules: one worker a room, three attempts, and which answers lose an event."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from load_tests.plugnmeet.disorder import Delivery
from load_tests.plugnmeet.sender import PATH, Key, Sender

KEY = Key("k", "s3cret")


class Door:
    """Answers by a script of statuses (0 breaks the connection), then with 200; keeps what came."""

    def __init__(self) -> None:
        self.script: list[int] = []
        self.came: list[bytes] = []
        self.tokens: list[str] = []
        self.under_way = 0
        self.most = 0
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            self.came.append(await request.read())
            self.tokens.append(request.headers["Authorization"])
            status = self.script.pop(0) if self.script else 200
            if not status:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=status or 500)
        finally:
            self.under_way -= 1


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    app = web.Application()
    app.router.add_post(PATH, made.post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def sender(door: Door) -> AsyncIterator[Sender]:
    async with aiohttp.ClientSession() as http:
        yield Sender(http, door.url, KEY, scale=0.001)


def line(*numbers: int) -> list[Delivery]:
    return [Delivery(number, b"%d" % number, number) for number in numbers]


async def test_a_room_is_one_line(door: Door, sender: Sender):
    assert await sender.work(line(3, 1, 2)) == set()
    assert (door.came, door.most) == ([b"3", b"1", b"2"], 1)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
async def test_what_may_pass_is_tried_three_times(door: Door, sender: Sender, status: int):
    door.script = [status, status]
    assert await sender.work(line(1, 2)) == set()
    assert door.came[-3:] == [b"1", b"1", b"2"] or door.came == [b"1", b"1", b"1", b"2"]
    assert sender.sent.retries == 2


async def test_after_the_third_it_is_lost_and_the_line_goes_on(door: Door, sender: Sender):
    door.script = [503, 503, 503]
    assert await sender.work(line(1, 2)) == {1}
    assert door.came == [b"1", b"1", b"1", b"2"]


@pytest.mark.parametrize("status", [400, 401, 404, 413])
async def test_any_other_refusal_loses_it_at_once(door: Door, sender: Sender, status: int):
    door.script = [status]
    assert await sender.work(line(1, 2)) == {1}
    assert door.came == [b"1", b"2"]


async def test_a_fact_that_came_in_a_later_telling_is_not_lost(door: Door, sender: Sender):
    door.script = [400]
    assert await sender.work([*line(1), Delivery(1, b"again", 1)]) == set()


async def test_the_signature_is_over_the_very_bytes(door: Door, sender: Sender):
    await sender.work(line(7))
    signed, _, mark = door.tokens[0].rpartition(".")
    wanted = hmac.new(b"s3cret", signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(mark + "=") == wanted
    claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    assert claims["sha256"] == base64.b64encode(hashlib.sha256(b"7").digest()).decode()
