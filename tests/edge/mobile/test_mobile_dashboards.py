"""What dashboards read while a sample that came late has made others of a session's segments: a whole server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

import pytest

from protocol.mobile import Message, write_batch
from storage.keys import WriteKey, digest_of
from tests.edge.learning.conftest import World, token, world
from tests.edge.mobile.conftest import LESSON, PHONE, beat

__all__ = ["world"]

pytestmark = pytest.mark.slow  # a database of its own

SEC = 1000


class Phone:
    """A learner's app; its clock is the server's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._token = ""

    async def start(self, user: str, **target: Any) -> None:
        assert await self._world.server.services.write_keys.create(
            WriteKey("app", digest_of("app"), ["mobile"], self._world.now(), None, None, 1.0)
        )
        body = {"projectKey": "app", "userUUID": PHONE, "authToken": token(user, "learner"), **target}
        async with self._world.http.post(f"{self._world.url}/v1/ios/start", json=body) as answer:
            self._token = json.loads(await answer.read())["token"]

    async def send(self, messages: Iterable[Message]) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Encoding": "gzip"}
        data = gzip.compress(write_batch(messages, 0))
        async with self._world.http.post(f"{self._world.url}/v1/ios/i", data=data, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_a_segment_that_a_late_sample_undid_is_read_by_nobody_from_then_on(world: World):
    phone = Phone(world)
    await phone.start("ann", content=LESSON)
    world.skip(60)
    begin = world.now() - 60 * SEC
    await phone.send([beat(begin + at * SEC, position) for at, position in ((0, 0), (10, 10), (20, 100), (30, 110))])
    await world.checkpoint()
    assert await seen(world, "ann") == ([[0.0, 10.0], [100.0, 110.0]], 20)
    await phone.send([beat(begin + 20 * SEC + 1, 100, "paused")])
    corrected = ([[0.0, 10.0]], 10)
    assert await seen(world, "ann") == corrected
    await world.checkpoint()
    assert await seen(world, "ann") == corrected


async def test_a_segment_of_a_class_that_a_late_sample_undid_is_in_no_study_log(world: World):
    phone = Phone(world)
    await world.live("class-1")
    await phone.start("ann", room="class-1")
    world.skip(60)
    begin = world.now() - 60 * SEC
    await phone.send([beat(begin + at * SEC, position) for at, position in ((0, 0), (10, 10), (20, 100), (30, 110))])
    await world.checkpoint()
    assert await logged(world, "ann") == [(0, 10), (100, 110)]
    await phone.send([beat(begin + 20 * SEC + 1, 100, "paused")])
    assert await logged(world, "ann") == [(0, 10)]
    await world.checkpoint()
    assert await logged(world, "ann") == [(0, 10)]


async def seen(world: World, user: str) -> tuple[list[list[float]], int]:
    """Ranges as the content's page has them; seconds of recorded lessons as the learning page has them."""
    query: dict[str, Any] = {"content_kind": LESSON["kind"], "content_id": LESSON["id"]}
    mine = (await world.get("/videos/engagement/me", user, **query)).json["data"]
    times = (await world.get("/learning/times", user)).json
    return mine["ranges"], times["total_learning_duration"]


async def logged(world: World, user: str) -> list[tuple[int, int]]:
    """Playheads of the study logs of a class."""
    found = (await world.get("/liveclass/details", user, live_class_id="class-1")).json
    logs = found["class_details"]["study_logs"]
    return [(one["playhead_start_at"], one["playhead_end_at"]) for one in logs]
