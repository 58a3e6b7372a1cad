"""One app with the tracker in it, which behaves as the real ones do, at their worst.

- A batch without an answer goes back in front of the queue; the next one repeats its messages under a higher
  `firstIndex`, with newer ones behind.
- 401 makes it start a new session and send the same again. 403 on start makes it ask again and again.
- A crash leaves the last batch in a file. The next start sends it to `late`, uncompressed, under the new token.
- One SDK writes a network call's status as four raw bytes, and calls GraphQL 89. Paths are whatever alias it likes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from protocol.mobile import Message, write_batch

PREFIXES: Final = ("/v1/ios", "/v1/mobile", "/ingest/v1/ios", "/ingest/v1/mobile")
TIMEOUT_S: Final = 20.0
RETRY_S: Final = 0.25
_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_TOO_MANY: Final = 429
_FAULTS: Final = 500
PNG: Final = b"\x89PNG\r\n\x1a\n"
MESSAGES_PER_FLUSH: Final = 400
"""Messages a batch at most."""


class Gone(Exception):
    """The server stayed away for longer than this run is patient."""


class App(msgspec.Struct, frozen=True):
    """Who uses which device: what `start` is told."""

    project: str
    user_uuid: str
    device: str
    platform: str
    auth: str | None = None
    target: dict[str, Any] = {}
    clock_ahead_ms: int = 0
    """The device's clock minus the true one."""
    start_lag_ms: int = 0
    """So long a start is under way."""


class Launch(msgspec.Struct):
    """What is true of one launch of an app, once it is over."""

    user_uuid: str
    clock_ahead_ms: int = 0
    sessions: list[str] = []
    told: set[tuple[int, int, bytes]] = set()
    """Type, time by the device's clock, and body of every message that the server has said it has."""


class Sent(msgspec.Struct):
    """Counters of all apps."""

    posts: int = 0
    batches: int = 0
    repeats: int = 0
    retries: int = 0
    restarts: int = 0
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    problems: list[str] = []
    """Answers that no app ought to get."""


class Sdk:
    """The tracker within one app, from launch to launch."""

    def __init__(self, http: aiohttp.ClientSession, url: str, app: App, random: Random, sent: Sent) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self.app = app
        self._random = random
        self._sent = sent
        self.patience_s = 60.0
        self._token: str | None = None
        self.launch = Launch(app.user_uuid, app.clock_ahead_ms)
        self.images: list[str] = []
        self._waiting: list[Message] = []
        self._next_index = 0
        self._starting = asyncio.Lock()
        self._given_up: list[asyncio.Future[None]] = []

    def clock_ms(self) -> int:
        """What this device takes for the time."""
        return round(time.time() * 1000) + self.app.clock_ahead_ms

    # -- start --------------------------------------------------------------------------------------------------------

    async def start(self, *, resume: bool = False) -> None:
        """A new session, or the one that there is; or a problem."""
        status, text = await self._post_start(self._token if resume else None)
        if status != _OK:
            self._sent.problems.append(f"start: {status} {text[:200]!r}")
            return
        answer = json.loads(text)
        self._token = answer["token"]
        self.launch.sessions.append(answer["sessionID"])
        self.images = answer["imagesHashList"]

    async def refused(self, times: int) -> list[int]:
        """Ask again and again, as an app outside the sample does. Returns the statuses."""
        return [(await self._post_start())[0] for _ in range(times)]

    async def _post_start(self, resumed: str | None = None) -> tuple[int, bytes]:
        def body() -> dict[str, Any]:
            app = self.app
            found: dict[str, Any] = {
                "projectKey": app.project,
                "trackerVersion": "1.1.0",
                "userUUID": app.user_uuid,
                "userDevice": app.device,
                "userDeviceType": self._random.choice([1, "phone"]),
                "platform": app.platform,
                # Of this attempt: an attempt that had to wait is no sign of a wrong clock.
                "timestamp": self.clock_ms() - app.start_lag_ms,
                "deviceMemory": 4096.5,
                "timezone": "UTC+05:30",
                "width": 1170,
                "height": 2532,
                "revID": None,
                "token": resumed,
                **app.target,
            }
            if app.auth is not None:
                found["authToken"] = app.auth
            return found

        return await self._post("start", lambda: {"json": body()})

    # -- messages -----------------------------------------------------------------------------------------------------

    def tell(self, *messages: Message) -> None:
        """Into the queue."""
        self._waiting.extend(messages)

    async def flush(self, *, lose_answer: bool = False) -> None:
        """Send what waits. `lose_answer`: nobody waits for it, so the messages stay in front of the queue."""
        while self._waiting:
            batch, self._waiting = self._waiting[:MESSAGES_PER_FLUSH], self._waiting[MESSAGES_PER_FLUSH:]
            data = write_batch(batch, self._next_index, at=self.clock_ms())
            self._next_index += len(batch)
            sending = self._send(self._random.choice(["i", "i", "append"]), data, gzipped=True)
            if lose_answer:
                self._sent.repeats += len(batch)
                self._waiting = batch + self._waiting
                # The next batch may overtake it: the app has given this one up, the network has not.
                self._given_up.append(asyncio.ensure_future(self._give_up(sending)))
                return
            if await sending:
                self._has(batch)

    async def _give_up(self, sending: Coroutine[Any, Any, bool]) -> None:
        with suppress(Gone):  # whoever sends the same again says so
            await sending

    async def settle(self) -> None:
        """Wait for what the app has given up."""
        await asyncio.gather(*self._given_up)
        self._given_up.clear()

    def crash(self) -> list[Message]:
        """The app dies: what waited is in a file, the token and the index are forgotten."""
        left, self._waiting = self._waiting, []
        self._token = None
        self._next_index = 0
        return left

    async def late(self, messages: list[Message], *, tail: bytes = b"") -> None:
        """What a crash left, under whatever token there is now; `tail`: of a write that was cut short."""
        data = write_batch(messages, self._random.randrange(1000), at=messages[0].at) + tail
        if await self._send("late", data, gzipped=False):
            self._has(messages)

    async def raw(self, data: bytes) -> tuple[int, bytes]:
        """A body as it is. Returns what is answered."""
        return await self._post("i", lambda: {"data": data, "headers": self._headers()})

    async def forged(self, data: bytes) -> int:
        """With a token that somebody made up."""
        token = (self._token or "a.b.c.d")[:-4] + "1111"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        return (await self._post("late", lambda: {"data": data, "headers": headers}))[0]

    async def image(self, name: str) -> None:
        """A picture under the hash that the app gives it."""

        def form() -> dict[str, Any]:
            parts = aiohttp.FormData()
            parts.add_field("projectKey", self.app.project)
            parts.add_field(name, PNG + name.encode(), filename=name, content_type="image/png")
            return {"data": parts, "headers": {"Authorization": f"Bearer {self._token}"}}

        status, text = await self._post("images", form)
        if status != _OK:
            self._sent.problems.append(f"images: {status} {text[:200]!r}")

    async def _send(self, path: str, data: bytes, *, gzipped: bool) -> bool:
        """Whether the server has it now. A refusal is a problem, and the batch is dropped."""
        body = gzip.compress(data, 1) if gzipped else data
        status, text = 0, b""
        for _ in range(3):
            used = self._token
            status, text = await self._post(path, lambda: {"data": body, "headers": self._headers(gzipped=gzipped)})
            self._sent.batches += 1
            if status == _OK:
                return True
            if status != _UNAUTHENTICATED:
                break
            await self._restart(used)
        self._sent.problems.append(f"{path}: {status} {text[:200]!r}")
        return False

    async def _restart(self, used: str | None) -> None:
        """A new session where this token still is the app's; never two at once."""
        async with self._starting:
            if self._token == used:
                self._sent.restarts += 1
                await self.start()

    def _headers(self, *, gzipped: bool = False) -> dict[str, str]:
        found = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/octet-stream"}
        return {**found, "Content-Encoding": "gzip"} if gzipped else found

    def _has(self, messages: list[Message]) -> None:
        self.launch.told.update((each.type, each.at, each.raw) for each in messages)

    async def _post(self, path: str, make: Any) -> tuple[int, bytes]:  # noqa: ANN401 - what aiohttp takes
        """Status and text; asked again while the server is away. Raises `Gone`."""
        deadline = time.monotonic() + self.patience_s
        while True:
            url = f"{self._url}{self._random.choice(PREFIXES)}/{path}"
            try:
                async with asyncio.timeout(TIMEOUT_S), self._http.post(url, **make()) as response:
                    text = await response.read()
                    status = response.status
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                status, text = 0, str(error).encode()
            self._sent.posts += 1
            self._sent.answers[f"{path} {status}"] += 1
            if status and status < _FAULTS and status != _TOO_MANY:
                return status, text
            if time.monotonic() > deadline:
                raise Gone(f"{path}: {status} {text[:200]!r}")
            self._sent.retries += 1
            await asyncio.sleep(RETRY_S)
