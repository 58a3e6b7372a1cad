"""The sender by its own rules: one worker a room, three attempts, no time-out, a signature per attempt.

An attempt is repeated after connection errors, 429 and 5xx; any other answer but 200 is an event lost for ever. What
is lost is remembered: the truth is made without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import msgspec

from load_tests.plugnmeet.disorder import Delivery
from load_tests.plugnmeet.wire import token

PATH: Final = "/webhooks/plugnmeet"
PAUSES_S: Final = (1.0, 2.0)
_OK: Final = 200
_TOO_MANY: Final = 429
_FAULT: Final = 500


class Key(msgspec.Struct, frozen=True):
    """One pair of `ROLLCALL_PLUGNMEET_KEYS`."""

    name: str
    secret: str


class Sent(msgspec.Struct):
    """What came of it."""

    posts: int = 0
    accepted: int = 0
    retries: int = 0
    refused: Counter[int] = msgspec.field(default_factory=Counter[int])
    """Answers of the 4xx kind, by status."""
    latencies_s: list[float] = []


class Sender:
    """All workers of one plugNmeet server.

    `scale` stretches the pauses between attempts. `pace` says how many seconds to wait before a message that was made
    at so many Unix seconds.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        key: Key,
        *,
        scale: float = 1.0,
        pace: Callable[[int], float] | None = None,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/") + PATH
        self._key = key
        self._scale = scale
        self._pace = pace
        self.sent = Sent()

    async def work(self, line: Sequence[Delivery]) -> set[int]:
        """Send one room's line to its end; returns the messages of which no telling was ever accepted."""
        owed = {delivery.message for delivery in line}
        for delivery in line:
            if self._pace is not None:
                await asyncio.sleep(self._pace(delivery.at))
            if await self._deliver(delivery.content):
                owed.discard(delivery.message)
        return owed

    async def _deliver(self, content: bytes) -> bool:
        for pause in (*PAUSES_S, None):
            status = await self._attempt(content)
            if status == _OK:
                self.sent.accepted += 1
                return True
            if status is not None and status < _FAULT and status != _TOO_MANY:
                self.sent.refused[status] += 1
                return False
            if pause is not None:
                self.sent.retries += 1
                await asyncio.sleep(pause * self._scale)
        return False

    async def _attempt(self, content: bytes) -> int | None:
        """The answer's status; None where there was none."""
        self.sent.posts += 1
        signed = token(content, self._key.name, self._key.secret, int(time.time()))
        headers = {"Content-Type": "application/webhook+json", "Authorization": signed, "Hash-Token": signed}
        begin = time.perf_counter()
        try:
            async with self._http.post(self._url, data=content, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, OSError):
            return None
        self.sent.latencies_s.append(time.perf_counter() - begin)
        return answer.status
