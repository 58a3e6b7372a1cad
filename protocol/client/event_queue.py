"""Events that the collector has not acknowledged, in order, bounded by number and bytes. Pure.

`most` is how many go into a post: halved where that was too much, doubled by every success, never over `batch_size`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from protocol import collector
from protocol.client.errors import BufferFull

_ROOM: Final = collector.BATCH_BYTES - 1024


class EventQueue:
    """Holds each event's JSON until it is forgotten."""

    def __init__(self, size: int, size_bytes: int, batch_size: int) -> None:
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._size = size
        self._size_bytes = size_bytes
        self._batch_size = batch_size
        self.most = batch_size

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: bytes) -> None:
        """Raises `BufferFull`, and `ValueError` for an event that the collector would not read."""
        if len(event) > collector.EVENT_BYTES:
            message = f"an event has up to {collector.EVENT_BYTES} bytes, not {len(event)}"
            raise ValueError(message)
        if len(self._events) >= self._size or self._bytes + len(event) > self._size_bytes:
            raise BufferFull(len(self._events), "events")
        self._events.append(event)
        self._bytes += len(event)

    def batch(self) -> list[bytes]:
        """What to post next: the oldest, as many as fit."""
        batch: list[bytes] = []
        room = _ROOM
        for event in self._events:
            room -= len(event) + 1
            if len(batch) >= self.most or (room < 0 and batch):
                break
            batch.append(event)
        return batch

    def forget(self, count: int) -> None:
        """The oldest are dealt with."""
        for _ in range(count):
            self._bytes -= len(self._events.popleft())

    def halve(self, tried: int) -> None:
        """`tried` of them were too many at once."""
        self.most = max(1, tried // 2)

    def went_well(self) -> None:
        """A post was taken."""
        self.most = min(self._batch_size, self.most * 2)
