"""The outbox in memory, held to the same contract as the one in PostgreSQL (`tests/contracts/`)."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from storage.outbox import FRONT, ROOM_MOST, Failing, Failure, OutboxState, Outgoing


class Waiting(msgspec.Struct):
    """A row."""

    event: Outgoing
    retry_at: float | None = None
    failure: str | None = None


class OutboxTable:
    """What the publishers of one cluster share. `clock` is the store's own, Unix ms."""

    def __init__(self, clock: Callable[[], float] = lambda: time.time_ns() / 1e6) -> None:
        self.clock = clock
        self.rows: dict[int, Waiting] = {}
        self.turn: object | None = None
        self._last_id = 0

    def add(self, room_id: str, event_name: str, exchange: str, routing_key: str, body: bytes) -> None:
        """Write an event, as a checkpoint does."""
        self._last_id += 1
        created_at, message_id = round(self.clock()), str(uuid.uuid4())
        event = Outgoing(
            self._last_id, room_id, event_name, exchange, routing_key, message_id, body, created_at, attempts=0
        )
        self.rows[event.id] = Waiting(event)


class MemoryOutbox:
    """`Outbox`, as one node has it."""

    def __init__(self, table: OutboxTable) -> None:
        self._table = table

    async def next(self, limit: int, busy: Collection[str]) -> Sequence[Outgoing] | None:
        table = self._table
        if table.turn not in (None, self):
            return None
        table.turn = self
        now = table.clock()
        closed = {each.event.room_id for each in table.rows.values() if (each.retry_at or 0) > now}.union(busy)
        front = [each.event for each in table.rows.values() if each.event.room_id not in closed][:FRONT]
        places: Counter[str] = Counter()
        found: list[Outgoing] = []
        for event in front:
            places[event.room_id] += 1
            if places[event.room_id] <= ROOM_MOST:
                found.append(event)
        return found[:limit]

    async def settle(self, done: Sequence[int], failed: Sequence[Failure]) -> None:
        for each in done:
            self._table.rows.pop(each, None)
        for failure in failed:
            row = self._table.rows.get(failure.id)
            if row is not None:
                row.event = msgspec.structs.replace(row.event, attempts=row.event.attempts + 1)
                row.failure, row.retry_at = failure.reason, self._table.clock() + failure.wait_s * 1000

    async def release(self) -> None:
        if self._table.turn is self:
            self._table.turn = None

    async def state(self) -> OutboxState:
        rows = self._table.rows
        if not rows:
            return OutboxState(0, 0.0)
        oldest = next(iter(rows.values())).event
        return OutboxState(len(rows), max(0.0, (self._table.clock() - oldest.created_at) / 1000))

    async def failing(self, limit: int) -> Sequence[Failing]:
        refused = [each for each in self._table.rows.values() if each.failure is not None]
        return [
            Failing(
                each.event.room_id,
                each.event.event_name,
                each.event.attempts,
                each.failure or "",
                None if each.retry_at is None else round(each.retry_at),
            )
            for each in reversed(refused[-limit:])
        ]

    async def retry(self) -> int:
        waiting = [each for each in self._table.rows.values() if each.retry_at is not None]
        for each in waiting:
            each.event, each.retry_at = msgspec.structs.replace(each.event, attempts=0), None
        return len(waiting)
