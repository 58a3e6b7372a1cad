"""What a client tells of itself: facts for whoever listens, and counts, over many clients where they share them."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import msgspec

_LATENCIES_KEPT: Final = 200_000


class Asked(msgspec.Struct, frozen=True):
    """Fact: `join` or `watch` goes out now."""

    ref: int


class Held(msgspec.Struct, frozen=True):
    """Fact: the server holds the stream (`joined`, `watching`, or the first HTTP answer)."""

    ref: int
    session_id: str
    resumed: bool
    late: bool | None
    by_http: bool


class Dropped(msgspec.Struct, frozen=True):
    """Fact: the socket is gone; `ours` when this client cut it."""

    ours: bool


class Left(msgspec.Struct, frozen=True):
    """Fact: the stream was left on purpose."""

    ref: int


class Acked(msgspec.Struct, frozen=True):
    """Fact: everything up to `seq` is durable in this session."""

    ref: int
    session_id: str
    seq: int


class IntervalTold(msgspec.Struct, frozen=True):
    """Fact: the server told this stream a heartbeat interval, seconds."""

    ref: int
    interval_s: float


class ClockCompared(msgspec.Struct, frozen=True):
    """Fact: `welcome` told the server's time, unix ms; it was read within `round_trip_s` before now."""

    server_ms: int
    round_trip_s: float


class DoorChanged(msgspec.Struct, frozen=True):
    """Fact: everything goes by HTTP from now on, or by the WebSocket again."""

    by_http: bool


Fact = Asked | Held | Dropped | Left | Acked | IntervalTold | ClockCompared | DoorChanged


class Counters:
    """What happened, over all clients that share this."""

    def __init__(self) -> None:
        self.samples = 0
        self.sent = 0
        self.resent = 0
        self.acked = 0
        self.connections = 0
        self.drops = 0
        self.posts = 0
        self.forgotten = 0
        """Samples given up because the server found them too old."""
        self.left_out = 0
        """Heartbeats that the client left out because the buffer was full."""
        self.refusals: Counter[str] = Counter()
        self.latencies_s: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        """From sending to acknowledgement, one per sample, the newest kept."""
