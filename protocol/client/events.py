"""A sender of events to the collector, for back-end services: fire, forget, and lose nothing (collector.md).

    async with EventSender("https://rollcall.example", write_key, app="shop") as events:
        events.view("POST:/orders", "api", user_id="27", duration=0.12, metadata={"statusCode": 201})
        events.engagement("like", target_id="7", target_type="content", user_id="27")

`view` and `engagement` return at once; a task sends in batches. Each event has an `eventId`, so that a batch may be
sent again after any doubt and is counted once. The queue is bounded: a full one refuses the new event (`BufferFull`).

    queued --linger, or a full batch--> posted --202--> forgotten
               ^--429, 503, no answer: Retry-After or back-off--'
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from protocol import collector
from protocol.client.backoff import Backoff, stretched
from protocol.client.errors import Closed, RollcallError, Unacknowledged, refusal
from protocol.client.event_queue import EventQueue
from protocol.rest import ErrorEnvelope

QUEUE_SIZE: Final = 10_000
QUEUE_BYTES: Final = 16 * 1024 * 1024
BATCH_SIZE: Final = 500
LINGER_S: Final = 0.2
TIMEOUT_S: Final = 5.0
"""A post without an answer for so long is sent again."""
CLOSE_TIMEOUT_S: Final = 10.0
PATH: Final = "/analytics/track/batch"
_TAKEN: Final = frozenset({200, 202})
_AWAY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RATE_LIMITED: Final = 429
_TOO_MUCH: Final = frozenset({400, 413})
_encode: Final = msgspec.json.Encoder().encode
_ANSWER: Final = msgspec.json.Decoder(collector.KeptBatch)
_ENVELOPE: Final = msgspec.json.Decoder(ErrorEnvelope)
_log: Final = logging.getLogger(__name__)


class RejectedEvent(msgspec.Struct, frozen=True):
    """An event that the collector will not keep: which `field` is wrong, and why. `event` is its JSON."""

    event: bytes
    field: str
    message: str


class EventCounters(msgspec.Struct):
    """What became of the events so far."""

    queued: int = 0
    accepted: int = 0
    duplicates: int = 0
    """Sent again after a doubt, and known already."""
    rejected: int = 0
    posts: int = 0


def _log_rejected(rejected: RejectedEvent) -> None:
    _log.warning("the collector rejected an event: %s: %s", rejected.field, rejected.message)


class EventSender:
    """One write key's. Enter it as an async context: leaving that waits until everything is kept, see `close`."""

    def __init__(  # noqa: PLR0913 - all but the first two have defaults
        self,
        url: str,
        write_key: str,
        *,
        app: str,
        queue_size: int = QUEUE_SIZE,
        queue_bytes: int = QUEUE_BYTES,
        batch_size: int = BATCH_SIZE,
        linger_s: float = LINGER_S,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        on_rejected: Callable[[RejectedEvent], None] = _log_rejected,
        backoff: Backoff | None = None,
        http: aiohttp.ClientSession | None = None,
        trust_env: bool = False,
        random: Random | None = None,
    ) -> None:
        """`app` names the application in every event. `queue_size` events and `queue_bytes` of JSON may wait.

        An event waits up to `linger_s` for others, at most `batch_size` (1 to 1,000) in a post. `on_rejected` hears of
        events that the collector refused for what is in them; they are logged where it is left out.
        """
        if not 1 <= batch_size <= collector.EVENTS_MAX:
            message = f"a batch has 1 to {collector.EVENTS_MAX} events, not {batch_size}"
            raise ValueError(message)
        self.counters = EventCounters()
        self._url = url.rstrip("/") + PATH
        self._headers = {"X-Write-Key": write_key, "Content-Type": "application/json"}
        self._app = app
        self._queue = EventQueue(queue_size, queue_bytes, batch_size)
        self._linger_s = linger_s
        self._close_timeout_s = close_timeout_s
        self._on_rejected = on_rejected
        self._backoff = backoff or Backoff()
        self._random = random or Random()  # noqa: S311 - spreads waits, guards nothing
        self._given_http = http
        self._own_http: aiohttp.ClientSession | None = None
        self._trust_env = trust_env
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._change = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def __aenter__(self) -> Self:
        """`start`."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """`close`; behind an exception its own stands, and none of ours is raised on top of it."""
        try:
            await self.close()
        except RollcallError:
            if error is None:
                raise

    async def start(self) -> None:
        """Open it; nothing is connected before there is an event. For those who cannot say `async with`.

        Then `close` is theirs to call. A sender is opened once: raises `Closed`.
        """
        if self._task is not None or self._failure is not None:
            raise Closed("a sender is opened once: make another")
        if self._given_http is None:
            self._own_http = aiohttp.ClientSession(trust_env=self._trust_env)
        http = self._given_http or self._own_http
        assert http is not None
        self._task = asyncio.create_task(self._run(http))

    # Events. All raise `BufferFull`, `Refused` or `Closed` once the sender is over, `ValueError` for an event over
    # 64 KiB, and `TypeError` for metadata that is no JSON.

    def view(  # noqa: PLR0913 - as many as a view may tell
        self,
        content_id: str | int,
        content_type: str,
        *,
        user_id: str | int | None = None,
        session_id: str | None = None,
        duration: float | None = None,
        device_type: collector.Device | None = None,
        ip_address: str | None = None,
        referrer: str | None = None,
        url: str | None = None,
        user_agent: str | None = None,
        country: str | None = None,
        metadata: dict[str, Any] | None = None,
        timestamp_ms: int | None = None,
        event_id: str | None = None,
    ) -> str:
        """Somebody saw something; `content_id` `METHOD:/path` is a call. `duration` in seconds. Returns the eventId."""
        event = collector.View(
            app=self._app,
            content_id=content_id,
            content_type=content_type,
            user_id=user_id,
            session_id=session_id,
            duration=duration,
            device_type=device_type,
            ip_address=ip_address,
            referrer=referrer,
            url=url,
            user_agent=user_agent,
            country=country,
        )
        return self._put(event, metadata, timestamp_ms, event_id)

    def engagement(
        self,
        metric_type: str,
        *,
        target_id: str | int,
        target_type: str,
        user_id: str | int,
        metadata: dict[str, Any] | None = None,
        timestamp_ms: int | None = None,
        event_id: str | None = None,
    ) -> str:
        """Somebody did something to something: `like`, `comment`, `purchase`... Returns the eventId."""
        event = collector.Engagement(
            user_id=user_id, metric_type=metric_type, target_id=target_id, target_type=target_type, app=self._app
        )
        return self._put(event, metadata, timestamp_ms, event_id)

    def _put(
        self, event: collector.Event, metadata: dict[str, Any] | None, timestamp_ms: int | None, event_id: str | None
    ) -> str:
        if self._failure is not None:
            raise self._failure
        if self._task is None:
            raise Closed("the sender is opened first, with `async with` or `start`")
        event.event_id = event_id or uuid.uuid4().hex
        event.timestamp = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
        if metadata is not None:
            event.metadata = msgspec.Raw(_encode(metadata))
        data = _encode(event)
        self._queue.put(data)
        self.counters.queued += 1
        self._work.set()
        if len(self._queue) >= self._queue.most:
            self._hurry.set()
        return str(event.event_id)

    # Waiting for the collector.

    @property
    def unacknowledged(self) -> int:
        """Events that the collector has not promised to keep yet."""
        return len(self._queue)

    async def flush(self, *, timeout_s: float | None = None) -> None:
        """Send at once, and wait until everything is kept. Raises `Unacknowledged` after `timeout_s`, `Refused`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._queue and self._failure is None:
                    self._hurry.set()
                    await self._change.wait()
        if self._queue:
            raise self._failure or Unacknowledged(len(self._queue))

    async def close(self, *, timeout_s: float | None = None) -> None:
        """`flush` with a deadline (`close_timeout_s`), and stop. Idempotent. Raises as `flush`, once it is closed."""
        if self._task is None:
            return
        task, self._task = self._task, None
        try:
            await self.flush(timeout_s=self._close_timeout_s if timeout_s is None else timeout_s)
        finally:
            self._failure = self._failure or Closed("the sender was closed")
            task.cancel()
            await asyncio.wait({task})
            if self._own_http is not None:
                await self._own_http.close()

    # Sending.

    async def _run(self, http: aiohttp.ClientSession) -> None:
        failures = 0
        try:
            while self._failure is None:
                await self._gathered()
                wait_s = await self._send(http, self._queue.batch())
                failures = 0 if wait_s == 0 else failures + 1
                if wait_s is None:
                    wait_s = self._backoff.delay_s(failures, self._random)
                await asyncio.sleep(wait_s)
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._changed()

    async def _gathered(self) -> None:
        """Wait for an event, and for others that may join it."""
        while not self._queue:
            self._work.clear()
            self._hurry.clear()
            await self._work.wait()
        if len(self._queue) < self._queue.most:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._linger_s):
                    await self._hurry.wait()

    async def _send(self, http: aiohttp.ClientSession, batch: list[bytes]) -> float | None:
        """Post a batch. Returns seconds to wait before the next post: 0 when it was taken, None for a back-off."""
        self.counters.posts += 1
        body = b'{"events":[' + b",".join(batch) + b"]}"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                http.post(self._url, data=body, headers=self._headers) as response,
            ):
                text = await response.read()
                retry_after = response.headers.get("Retry-After", "")
                if response.status in _TAKEN:
                    self._taken(batch, _ANSWER.decode(text))
                    return 0.0
                return self._refused(batch, response.status, text, retry_after)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
            return None

    def _taken(self, batch: list[bytes], answer: collector.KeptBatch) -> None:
        self._queue.went_well()
        self.counters.accepted += answer.accepted
        self.counters.duplicates += answer.duplicates
        self._forget(len(batch))
        for one in answer.rejected:
            self._reject(batch[one.index], one.field, one.message)

    def _refused(self, batch: list[bytes], status: int, text: bytes, retry_after: str) -> float | None:
        if status in _AWAY:
            if status == _RATE_LIMITED:  # a batch that is larger than the key's burst would never be taken
                self._queue.halve(len(batch))
            return stretched(float(retry_after), self._random) if retry_after.isdecimal() else None
        envelope = _ENVELOPE.decode(text)
        if status not in _TOO_MUCH:
            self._failure = refusal(envelope.error, envelope.message)
        elif len(batch) > 1:  # find the one
            self._queue.halve(len(batch))
        else:
            self._forget(1)
            self._reject(batch[0], "", envelope.message)
        return 0.0

    def _reject(self, event: bytes, field: str, message: str) -> None:
        self.counters.rejected += 1
        self._on_rejected(RejectedEvent(event, field, message))

    def _forget(self, count: int) -> None:
        self._queue.forget(count)
        self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
