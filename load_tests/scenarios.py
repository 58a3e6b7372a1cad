"""What is measured. Each scenario starts a server of its own and returns figures by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import quantiles
from typing import Any, Final

import msgspec

from load_tests.bench_server import BenchServer, Cpu, bench_server
from load_tests.http_swarm import HttpPlayer, post_steadily
from load_tests.swarm import Player, beat_steadily, gather_players, until_acked
from load_tests.video_swarm import VideoPlayer

Figures = dict[str, Any]
ROOM_SIZE: Final = 40
WARM_UP_S: Final = 2.0
ACKS_S: Final = 30.0
# Thousands of samples a second on few connections is more than one player may send.
OPEN_LIMITS: Final = {
    "ROLLCALL_MESSAGES_PER_SECOND": "10000",
    "ROLLCALL_MESSAGES_BURST": "100000",
}


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile in milliseconds, 0 where nothing was measured."""
    if len(values) < 2:
        return round(1000 * values[0], 3) if values else 0.0
    return round(1000 * quantiles(values, n=100, method="inclusive")[percent - 1], 3)


def cost(cpu: Cpu, messages: int, seconds: float) -> Figures:
    """Microseconds a message, and how busy everybody was."""
    scale = 1e6 / max(1, messages)
    return {
        "server_us_per_sample": round(cpu.server * scale, 2),
        "database_us_per_sample": round(cpu.database * scale, 2),
        "generator_us_per_sample": round(cpu.generator * scale, 2),
        "server_busy": round(cpu.server / seconds, 3),
        "database_busy": round(cpu.database / seconds, 3),
        "generator_busy": round(cpu.generator / seconds, 3),
    }


def _requests(count: int, what: str) -> list[bytes]:
    if what == "watch":
        return [
            msgspec.json.encode(
                {"type": "watch", "ref": 1, "content": {"kind": "bench", "id": str(index % 100)}, "duration": 3600}
            )
            for index in range(count)
        ]
    return [
        msgspec.json.encode({"type": "join", "ref": 1, "room": f"bench-{index // ROOM_SIZE}"}) for index in range(count)
    ]


async def _enter(server: BenchServer, count: int, what: str, latencies: list[float]) -> list[Player]:
    return await gather_players(server.port, server.tokens(count), _requests(count, what), latencies)


async def heartbeats(connections: int, rate: float, seconds: float, what: str) -> Figures:
    """WebSocket JSON heartbeats, durable ack included."""
    with bench_server(**OPEN_LIMITS) as server:
        pinned = server.pin()
        latencies: list[float] = []
        players = await _enter(server, connections, what, latencies)
        await beat_steadily(players, rate, WARM_UP_S)
        await until_acked(players, ACKS_S)
        latencies.clear()
        before, begin = server.cpu(), time.perf_counter()
        sent = await beat_steadily(players, rate, seconds)
        elapsed = time.perf_counter() - begin
        owed = await until_acked(players, ACKS_S)
        used = server.cpu().since(before)
        return {
            "pinned": pinned,
            "sent": sent,
            "rate": round(sent / elapsed),
            "never_acked": owed,
            "closed": sum(player.closed for player in players),
            "ack_p50_ms": percentile(latencies, 50),
            "ack_p99_ms": percentile(latencies, 99),
            **cost(used, sent - owed, elapsed),
        }


async def idle(connections: int) -> Figures:
    """Resident memory of a joined connection that says nothing."""
    with bench_server() as server:
        pinned = server.pin()
        first = await _enter(server, 200, "join", [])
        await asyncio.sleep(2)
        before = server.rss()
        tokens = server.tokens(connections, prefix="idle")
        players = await gather_players(server.port, tokens, _requests(connections, "join"), [])
        await asyncio.sleep(3)
        after = server.rss()
        cpu = server.cpu()
        await asyncio.sleep(10)
        used = server.cpu().since(cpu)
        return {
            "pinned": pinned,
            "kb_per_connection": round((after - before) / 1024 / connections, 2),
            "rss_mb": round(after / 1024 / 1024, 1),
            "idle_server_busy": round(used.server / 10, 4),
            "closed": sum(player.closed for player in (*first, *players)),
        }


async def http(connections: int, rate: float, seconds: float, samples: int) -> Figures:
    """`POST /api/v1/heartbeats`, `samples` a request, durable before the answer."""
    return await _posts(HttpPlayer, connections, rate, seconds, samples)


async def video(connections: int, rate: float, seconds: float) -> Figures:
    """The simple video heartbeat: one sample a request, durable before the answer."""
    return await _posts(VideoPlayer, connections, rate, seconds, 1)


async def _posts(player: type[HttpPlayer], connections: int, rate: float, seconds: float, samples: int) -> Figures:
    with bench_server(**OPEN_LIMITS) as server:
        pinned = server.pin()
        tokens = server.tokens(connections)
        players = [player(server.port, token, index) for index, token in enumerate(tokens)]
        for each in players:
            await each.connect()
        await post_steadily(players, rate, WARM_UP_S, samples)
        for each in players:
            each.latencies.clear()
        before, begin = server.cpu(), time.perf_counter()
        sent, answered, refused = await post_steadily(players, rate, seconds, samples)
        elapsed = time.perf_counter() - begin
        used = server.cpu().since(before)
        latencies = [latency for each in players for latency in each.latencies]
        return {
            "pinned": pinned,
            "requests": sent,
            "answered": answered,
            "refused": refused,
            "answer_p50_ms": percentile(latencies, 50),
            "answer_p99_ms": percentile(latencies, 99),
            **cost(used, answered * samples, elapsed),
        }
