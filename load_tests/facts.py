"""What a player tells of itself: facts for those who keep account of a class, and counts over many players."""

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
    """Fact: the socket is gone; `ours` when this player cut it."""

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


Fact = Asked | Held | Dropped | Left | Acked | IntervalTold | ClockCompared


class Counters:
    """What happened, over all players that share this."""

    def __init__(self) -> None:
        self.samples = 0
        self.sent = 0
        self.resent = 0
        self.acked = 0
        self.connections = 0
        self.drops = 0
        self.posts = 0
        self.forgotten = 0
        self.refusals: Counter[str] = Counter()
        self.latencies_s: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        """From sending to acknowledgement, one per sample, the newest kept."""
