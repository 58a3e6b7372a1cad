"""What a webhook costs: signed in advance, one worker a room on keep-alive connections, durable when answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, cast

from load_tests.bench_server import bench_server
from load_tests.plugnmeet.facts import Room
from load_tests.plugnmeet.scenario import Shape, write
from load_tests.plugnmeet.sender import PATH, Key
from load_tests.plugnmeet.wire import PLAIN, body, token
from load_tests.scenarios import percentile

KEY: Final = Key("bench", "a-secret-of-the-bench-and-of-nobody-else")
EACH: Final = 10
"""Messages of one participant, at the least."""
WARM_UP_S: Final = 2.0
ANSWERS_S: Final = 30.0
SETTLE_S: Final = 1.0


class Worker(asyncio.Protocol):
    """One room's sender: the next request leaves behind the answer to the last, and not before its moment."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._next = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._interval = 0.0
        self._due = 0.0
        self._until = 0.0
        self._begin = 0.0
        self.idle = asyncio.Event()
        self.latencies: list[float] = []
        self.answered = 0
        self.refused = 0

    async def connect(self, port: int) -> None:
        """Open the connection."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready. uvloop's transports are no subclass of asyncio's."""
        self._transport = cast("asyncio.Transport", transport)

    def run(self, interval: float, first: float, until: float) -> None:
        """Send every `interval` seconds from `first` to `until` (`perf_counter`), or as fast as answers come."""
        self._interval, self._due, self._until = interval, first, until
        self.idle.clear()
        self._wait()

    def _wait(self) -> None:
        now = time.perf_counter()
        if self._due >= self._until or now >= self._until or self._next >= len(self._requests):
            self.idle.set()
        else:
            asyncio.get_running_loop().call_later(max(0.0, self._due - now), self._send)

    def _send(self) -> None:
        assert self._transport is not None
        self._begin = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next += 1
        self._due += self._interval

    def data_received(self, data: bytes) -> None:
        """Count a whole answer: there is one at a time."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        if len(self._buffer) < head + 4 + int(lower[at + 15 :].split(b"\r\n", 1)[0]):
            return
        if self._buffer.startswith(b"HTTP/1.1 200"):
            self.answered += 1
        else:
            self.refused += 1
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._begin)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It sends no more."""
        self.idle.set()


def _request(room: Room, place: int, now_s: int) -> bytes:
    content = body(room.messages[place], room.title, PLAIN)
    signed = token(content, KEY.name, KEY.secret, now_s)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/webhook+json\r\n"
        f"Authorization: {signed}\r\nHash-Token: {signed}\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode() + content


def _workers(rooms: int, messages: int) -> list[Worker]:
    """Enough for so many messages in all; breakouts go down their class's line here."""
    now = int(time.time())
    classes = write(Shape(rooms, messages // rooms // EACH + 1, 1, now - 5, prefix=f"bench-{now}"))
    return [Worker([_request(room, place, now) for place in range(len(room.messages))]) for room in classes]


async def _run(workers: list[Worker], rate: float, seconds: float) -> float:
    """Returns the seconds that it took."""
    begin = time.perf_counter()
    interval = len(workers) / rate
    for place, worker in enumerate(workers):
        worker.run(interval, begin + interval * place / len(workers), begin + seconds)
    async with asyncio.timeout(seconds + ANSWERS_S):
        await asyncio.gather(*(worker.idle.wait() for worker in workers))
    return time.perf_counter() - begin


async def webhooks(rooms: int, rate: float, seconds: float) -> dict[str, Any]:
    """`POST /webhooks/plugnmeet`: signature checked, decoded, told to the room's actor, durable before the answer."""
    workers = _workers(rooms, int(rate * (seconds + WARM_UP_S)))
    with bench_server(ROLLCALL_PLUGNMEET_KEYS=f"{KEY.name}:{KEY.secret}") as server:
        pinned = server.pin()
        for worker in workers:
            await worker.connect(server.port)
        await _run(workers, rate, WARM_UP_S)
        for worker in workers:
            worker.latencies.clear()
        earlier = sum(worker.answered for worker in workers)
        before = server.cpu()
        elapsed = await _run(workers, rate, seconds)
        await asyncio.sleep(SETTLE_S)
        used = server.cpu().since(before)
        answered = sum(worker.answered for worker in workers) - earlier
        latencies = [each for worker in workers for each in worker.latencies]
        scale = 1e6 / max(1, answered)
        return {
            "pinned": pinned,
            "answered": answered,
            "refused": sum(worker.refused for worker in workers),
            "rate": round(answered / elapsed),
            "answer_p50_ms": percentile(latencies, 50),
            "answer_p99_ms": percentile(latencies, 99),
            "server_us_per_webhook": round(used.server * scale, 2),
            "database_us_per_webhook": round(used.database * scale, 2),
            "generator_us_per_webhook": round(used.generator * scale, 2),
            "server_busy": round(used.server / elapsed, 3),
        }
