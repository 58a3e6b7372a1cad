"""Learners who watch while dashboards are read: simple video heartbeats of many, at a steady rate, open loop."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import msgspec

from load_tests.year.platform import USERS_FROM, Lesson, Platform
from load_tests.year.telling import KIND

PATH: Final = "/api/v1/videos/engagement/heartbeat"
WAITING_MAX: Final = 2_000
"""Heartbeats without an answer: more are not sent, and counted as refused."""
VIEWERS_MAX: Final = 2_000
_OK: Final = 200


class Viewer(msgspec.Struct):
    """A learner before a lesson of a product of theirs; `position` seconds."""

    token: str
    lesson: Lesson
    position: float = 0.0
    heard_at: float = 0.0


class Beats(msgspec.Struct):
    """What came of them; `took` ms."""

    took: list[float] = []
    sent: int = 0
    refused: int = 0


def viewers(platform: Platform, tokens: Path, seed: int) -> list[Viewer]:
    """Out of a file of learners' tokens, one a line: those of the platform's own, who may watch. Raises OSError."""
    random = Random(f"{seed} viewers")
    by_product: dict[int, list[Lesson]] = {}
    for lesson in platform.lessons:
        by_product.setdefault(lesson.product, []).append(lesson)
    found: list[Viewer] = []
    for token in tokens.read_text("ascii").split():
        number = int(_user(token)) - USERS_FROM
        if 0 <= number < len(platform.learners) and len(found) < VIEWERS_MAX:
            lessons = by_product.get(platform.learners[number].products[0])
            if lessons:
                found.append(Viewer(token, random.choice(lessons)))
    return found


def _user(token: str) -> str:
    body = token.split(".")[1]
    user = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"]
    return user if user.isascii() and user.isdigit() else "-1"


async def watch(http: aiohttp.ClientSession, those: Sequence[Viewer], rate: float, beats: Beats) -> None:
    """Send `rate` a second in turns, until cancelled; then wait for the answers."""
    running: set[asyncio.Task[None]] = set()
    begin = time.perf_counter()
    try:
        for number in count():
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            beats.sent += 1
            if len(running) >= WAITING_MAX:
                beats.refused += 1
                continue
            task = asyncio.create_task(_beat(http, those[number % len(those)], beats))
            running.add(task)
            task.add_done_callback(running.discard)
    finally:
        await asyncio.gather(*running, return_exceptions=True)


async def _beat(http: aiohttp.ClientSession, viewer: Viewer, beats: Beats) -> None:
    began = time.perf_counter()
    if viewer.heard_at:
        viewer.position = (viewer.position + began - viewer.heard_at) % (viewer.lesson.length / 1000)
    viewer.heard_at = began
    body = {"content_kind": KIND, "content_id": viewer.lesson.id, "position_seconds": round(viewer.position, 3)}
    try:
        async with http.post(PATH, json=body, headers={"Authorization": f"Bearer {viewer.token}"}) as response:
            await response.read()
            beats.refused += response.status != _OK
    except (aiohttp.ClientError, TimeoutError):
        beats.refused += 1
    beats.took.append((time.perf_counter() - began) * 1000)
