"""The event collector measured: events of one client on keep-alive connections, durable before the answer."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from load_tests.bench_server import bench_server
from load_tests.http_swarm import HttpPlayer, post_steadily
from load_tests.scenarios import WARM_UP_S, Figures, cost, percentile

OPEN_RATE: Final = {"ROLLCALL_COLLECTOR_RATE": "1000000"}
USERS: Final = 5_000
CONTENTS: Final = 200


class Sender(HttpPlayer):
    """One connection of a client that sends what happened."""

    def post(self, samples: int, step_ms: int) -> None:
        """One event, or a batch of so many."""
        events = [self._event() for _ in range(samples)]
        if samples == 1:
            self.send(b"/analytics/track/view", msgspec.json.encode(events[0]))
        else:
            body = msgspec.json.encode({"events": [{"type": "view"} | event for event in events]})
            self.send(b"/analytics/track/batch", body)

    def send(self, path: bytes, body: bytes) -> None:
        """Post a body of JSON."""
        assert self._transport is not None
        self._sent.append(time.perf_counter())
        self._transport.write(
            b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Write-Key: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (path, self._token.encode(), len(body), body)
        )

    def _event(self) -> dict[str, Any]:
        """A view as a shop's backend sends it, some 350 bytes."""
        self._seq += 1
        return {
            "app": "shop",
            "contentId": f"product-{self._seq % CONTENTS}",
            "contentType": "post",
            "userId": f"user-{(self._index * 7919 + self._seq) % USERS}",
            "sessionId": f"backend-{self._index}-{self._seq // 20}",
            "duration": self._seq % 300 / 10,
            "ipAddress": f"203.0.{self._index % 256}.{self._seq % 256}",
            "deviceType": "mobile",
            "referrer": "https://shop.example/list",
            "url": f"https://shop.example/product/{self._seq % CONTENTS}",
            "country": "BD",
            "metadata": {"experiment": "b", "position": self._seq % 10},
            "timestamp": time.time_ns() // 1_000_000,
            "eventId": f"{self._index}-{self._seq}-{time.time_ns()}",
        }


async def collector(connections: int, rate: float, seconds: float, samples: int) -> Figures:
    """`rate` events a second in all, `samples` a request; figures are by event."""
    with bench_server(**OPEN_RATE) as server:
        pinned = server.pin()
        key = server.write_key("bench", "collect")
        senders = [Sender(server.port, key, index) for index in range(connections)]
        for each in senders:
            await each.connect()
        await post_steadily(senders, rate / samples, WARM_UP_S, samples)
        for each in senders:
            each.latencies.clear()
        taken = _accepted(server.metrics())
        before, begin = server.cpu(), time.perf_counter()
        sent, answered, refused = await post_steadily(senders, rate / samples, seconds, samples)
        elapsed = time.perf_counter() - begin
        used = server.cpu().since(before)
        latencies = [latency for each in senders for latency in each.latencies]
        return {
            "pinned": pinned,
            "requests": sent,
            "answered": answered,
            "refused": refused,
            "events_accepted": _accepted(server.metrics()) - taken,
            "answer_p50_ms": percentile(latencies, 50),
            "answer_p99_ms": percentile(latencies, 99),
            **{_by_event(name): value for name, value in cost(used, answered * samples, elapsed).items()},
        }


def _by_event(name: str) -> str:
    return name.replace("_sample", "_event")


def _accepted(metrics: dict[str, float]) -> int:
    return round(metrics['rollcall_collector_events_total{result="accepted"}'])
