"""What is counted of the traffic with the broker. Plain numbers; `server/metrics.py` reads them when asked."""

from __future__ import annotations

from collections import Counter
from typing import Final

EVENT_NAMES: Final = frozenset(
    {
        "liveclass.start",
        "liveclass.end",
        "liveclass.cancel",
        "liveclass.quiz",
        "liveclass.interaction",
        "exam.start",
        "session.end",
        "quiz_response",
        "live_class_user_leave",
    }
)
OTHER: Final = "other"
"""Any name that is none of ours: what producers invent must not become a metric each."""


class AmqpCounters:
    """One a process."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str]] = Counter()
        """By event and result: `taken repeated unknown ignored bad own` came in, `sent refused` went out."""
        self.dead_letters = 0
        self.connected: dict[str, bool] = {"consumer": False, "publisher": False}
        self.outbox_depth = 0
        self.outbox_age_s = 0.0

    def count(self, event: str, result: str) -> None:
        """Count a message."""
        self.messages[event if event in EVENT_NAMES else OTHER, result] += 1
