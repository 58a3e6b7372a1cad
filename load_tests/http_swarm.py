"""Players over HTTP: a bare protocol on keep-alive connections, open loop, one request under way per connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

import msgspec

TURN_S: Final = 0.005
ANSWERS_S: Final = 30.0


class HttpPlayer(asyncio.Protocol):
    """One keep-alive connection of one learner."""

    def __init__(self, port: int, token: str, index: int) -> None:
        self._port = port
        self._token = token
        self._index = index
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent: deque[float] = deque()
        self._seq = 0
        self.latencies: list[float] = []
        self.answered = 0
        self.refused = 0

    async def connect(self) -> None:
        """Open the connection."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count whole answers."""
        self._buffer += data
        while True:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = self._buffer[:head].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < head + 4 + length:
                return
            if self._buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
                self.answered += 1
            else:
                self.refused += 1
            self._buffer = self._buffer[head + 4 + length :]
            self.latencies.append(time.perf_counter() - self._sent.popleft())

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._sent)

    def post(self, samples: int, step_ms: int) -> None:
        """One request of so many samples, evenly spread over the time since the last."""
        now_ms = int(time.time() * 1000)
        batch: list[dict[str, object]] = []
        for place in range(samples):
            self._seq += 1
            at = now_ms - (samples - 1 - place) * step_ms // samples
            batch.append(
                {"seq": self._seq, "at": at, "position": self._seq * step_ms / samples / 1000, "state": "playing"}
            )
        body = msgspec.json.encode(
            {
                "content": {"kind": "bench", "id": str(self._index % 100)},
                "device_id": "d",
                "sent_at": now_ms,
                "samples": batch,
            }
        )
        self.send(b"/api/v1/heartbeats", body)

    def send(self, path: bytes, body: bytes) -> None:
        """Post a body of JSON."""
        assert self._transport is not None
        self._sent.append(time.perf_counter())
        self._transport.write(
            b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (path, self._token.encode(), len(body), body)
        )


async def post_steadily(
    players: Sequence[HttpPlayer], rate: float, seconds: float, samples: int
) -> tuple[int, int, int]:
    """Send `rate` requests a second in all; returns (sent, answered, refused) once all answers are in."""
    step_ms = max(1, round(len(players) / rate * 1000))
    answered = sum(player.answered for player in players)
    refused = sum(player.refused for player in players)
    begin = time.perf_counter()
    sent = 0
    elapsed = 0.0
    while elapsed < seconds:
        await asyncio.sleep(TURN_S)
        elapsed = min(time.perf_counter() - begin, seconds)
        due = int(elapsed * rate)
        for index in range(sent, due):
            players[index % len(players)].post(samples, step_ms)
        sent = due
    deadline = time.perf_counter() + ANSWERS_S
    while any(player.waiting for player in players) and time.perf_counter() < deadline:  # noqa: ASYNC110 - below
        await asyncio.sleep(0.02)  # polled: an event per answer would cost the generator more than it measures
    return (
        sent,
        sum(player.answered for player in players) - answered,
        sum(player.refused for player in players) - refused,
    )
