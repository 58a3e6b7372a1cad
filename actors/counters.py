"""What the actors count. Plain integers: an increment costs 30 ns, and `server/metrics.py` reads them when asked."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

LATENCY_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


class Histogram:
    """Counts by upper bound; the last count is of all beyond."""

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0

    def observe(self, value: int, times: int = 1) -> None:
        """Count `value`, `times` over."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


class Counters:
    """One a process."""

    def __init__(self) -> None:
        self.inputs = 0
        self.journaled = 0
        self.flushes = 0
        self.flush_failures = 0
        self.acks = 0
        self.mailbox_full = 0
        self.crashes = 0
        self.quarantined = 0
        self.checkpoints = 0
        self.checkpoint_failures = 0
        self.replayed = 0
        self.trimmed = 0
        self.leases_lost = 0
        self.released_with_error = 0
        self.commit_ms = Histogram(LATENCY_MS)
        self.batch_entries = Histogram(BATCH)
