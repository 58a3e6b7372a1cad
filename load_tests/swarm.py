"""A swarm of players in one process, as cheap as Python allows: picows' client, frames written by hand, no objects.

Open loop: messages leave by the clock, whether or not the server keeps up; what it cannot answer shows as latency and
as acks that are missing, not as a slower generator.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Final

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

TURN_S: Final = 0.005
JOINING_AT_ONCE: Final = 100
_decode = msgspec.json.decode


class Player(WSListener):
    """One connection with one stream."""

    __slots__ = ("acked", "closed", "joined", "latencies", "position_ms", "sent", "seq", "stream", "transport")

    def __init__(self, latencies: list[float]) -> None:
        self.latencies = latencies
        self.transport: WSTransport | None = None
        self.joined: asyncio.Future[dict[str, Any]] | None = None
        self.stream = 0
        self.seq = 0
        self.acked = 0
        self.position_ms = 0
        self.sent: deque[tuple[int, float]] = deque()
        self.closed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Ready to say hello."""
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The server or the network ended it."""
        self.closed = True
        if self.joined is not None and not self.joined.done():
            self.joined.set_exception(ConnectionError("closed before it was answered"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Acks are counted; of the rest only the answer to the join matters."""
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        if frame.msg_type != WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(b'{"type":"ack"'):
            self._ack(data)
        elif self.joined is not None and not self.joined.done():
            message = _decode(data)
            if message["type"] in ("joined", "watching", "error"):
                self.joined.set_result(message)

    def _ack(self, data: bytes) -> None:
        start = data.index(b'"seq":') + 6
        stop = start
        while data[stop : stop + 1].isdigit():
            stop += 1
        self.acked = int(data[start:stop])
        now = time.perf_counter()
        sent = self.sent
        while sent and sent[0][0] <= self.acked:
            self.latencies.append(now - sent.popleft()[1])

    async def enter(self, token: str, request: bytes) -> None:
        """Say hello and make a request (`join` or `watch`)."""
        assert self.transport is not None
        self.joined = asyncio.get_running_loop().create_future()
        self.transport.send(WSMsgType.TEXT, b'{"type":"hello","token":"%s"}' % token.encode())
        self.transport.send(WSMsgType.TEXT, request)
        answer = await asyncio.wait_for(self.joined, 60)
        if answer["type"] == "error":
            raise ConnectionError(answer["message"])
        self.stream = answer["stream"]

    def beat(self, at_ms: int, step_ms: int, now: float) -> None:
        """One heartbeat."""
        if self.transport is None or self.closed:
            return
        self.seq += 1
        self.position_ms += step_ms
        self.sent.append((self.seq, now))
        self.transport.send(
            WSMsgType.TEXT,
            b'{"type":"heartbeat","stream":%d,"seq":%d,"at":%d,"position":%d.%03d,"state":"playing","rate":1.0}'
            % (self.stream, self.seq, at_ms, self.position_ms // 1000, self.position_ms % 1000),
        )


async def gather_players(port: int, tokens: list[str], requests: list[bytes], latencies: list[float]) -> list[Player]:
    """Connect and enter, a hundred at a time."""
    gate = asyncio.Semaphore(JOINING_AT_ONCE)

    async def one(token: str, request: bytes) -> Player:
        async with gate:
            _, listener = await ws_connect(
                lambda: Player(latencies), f"ws://127.0.0.1:{port}/ws", read_buffer_init_size=2048
            )
            assert isinstance(listener, Player)
            await listener.enter(token, request)
            return listener

    return list(await asyncio.gather(*(one(*pair) for pair in zip(tokens, requests, strict=True))))


async def beat_steadily(players: list[Player], rate: float, seconds: float) -> int:
    """Send `rate` heartbeats a second in all, one player after the other; returns how many were sent."""
    step_ms = round(len(players) / rate * 1000)
    begin = time.perf_counter()
    sent = 0
    while True:
        await asyncio.sleep(TURN_S)
        now = time.perf_counter()
        elapsed = min(now - begin, seconds)
        at_ms = int(time.time() * 1000)
        due = int(elapsed * rate)
        for index in range(sent, due):
            players[index % len(players)].beat(at_ms, step_ms, now)
        sent = due
        if elapsed >= seconds:
            return sent


async def until_acked(players: list[Player], deadline_s: float) -> int:
    """Wait for the acks still owed; returns how many never came."""
    deadline = time.perf_counter() + deadline_s
    while time.perf_counter() < deadline:
        owed = sum(player.seq - player.acked for player in players)
        if not owed:
            return 0
        await asyncio.sleep(0.02)
    return sum(player.seq - player.acked for player in players)
