"""Events that wait to be published. The checkpoint that stores a fact writes them; here they are read and done with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from storage.postgres import Database
from storage.sql import statements

ROOM_MOST: Final = 100
"""Events of one room in one look."""
FRONT: Final = 2_000
"""How far a look goes into the backlog."""
FAILURE_CHARACTERS: Final = 300


class Outgoing(msgspec.Struct, frozen=True):
    """An event to be published. `exchange` is a word of `Topology.outlets`; `created_at` Unix ms."""

    id: int
    room_id: str
    event_name: str
    exchange: str
    routing_key: str
    message_id: str
    body: bytes
    created_at: int
    attempts: int


class Failure(msgspec.Struct, frozen=True):
    """An event that the broker did not take: its room waits for `wait_s`."""

    id: int
    reason: str
    wait_s: float


class OutboxState(msgspec.Struct, frozen=True):
    """How many events wait, and for how long the oldest has."""

    depth: int
    age_s: float


class Failing(msgspec.Struct, frozen=True):
    """An event that holds up its room. `retry_at` Unix ms; None: it is due."""

    room_id: str
    event_name: str
    attempts: int
    failure: str
    retry_at: int | None


class Outbox(Protocol):
    """Raises StoreAway, StoreRefused."""

    async def next(self, limit: int, busy: Collection[str]) -> Sequence[Outgoing] | None:
        """At most `limit` events of rooms that are not `busy` and wait for nothing, the oldest first.

        What it gives of a room is the beginning of what waits for it. None: another publisher has the turn.
        """
        ...

    async def settle(self, done: Sequence[int], failed: Sequence[Failure]) -> None:
        """Forget those that the broker has; let the rooms of the others wait."""
        ...

    async def release(self) -> None:
        """Give up the turn."""
        ...

    async def state(self) -> OutboxState:
        """How it stands."""
        ...

    async def failing(self, limit: int) -> Sequence[Failing]:
        """Events that were refused, the youngest first."""
        ...

    async def retry(self) -> int:
        """Make all that wait for another try due; returns how many."""
        ...


class PostgresOutbox:
    """`Outbox` in the table `outbox`. The turn is a lock of the line's session: it is lost with the connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line = database.line("outbox")

    async def next(self, limit: int, busy: Collection[str]) -> Sequence[Outgoing] | None:
        async with self._line.transaction() as connection:
            # In one transaction, so that it is one connection: the line makes a new one when it breaks.
            turn = await connection.fetchrow(statements()["take_outbox_turn"])
            if turn is None or not turn["ours"]:
                return None
            rows = await connection.fetch(statements()["next_outgoing"], sorted(busy), limit, FRONT, ROOM_MOST)
        return [Outgoing(*row) for row in rows]

    async def settle(self, done: Sequence[int], failed: Sequence[Failure]) -> None:
        async with self._database.transaction() as connection:
            if done:
                await connection.execute(statements()["forget_outgoing"], list(done))
            if failed:
                reasons = [_plain(each.reason) for each in failed]
                waits = [float(each.wait_s) for each in failed]
                await connection.execute(statements()["fail_outgoing"], [each.id for each in failed], reasons, waits)

    async def release(self) -> None:
        try:
            await self._line.fetch("release_outbox_turn")
        finally:
            await self._line.close()

    async def state(self) -> OutboxState:
        row = await self._database.fetchrow("outbox_state")
        assert row is not None, "it counts"
        return OutboxState(row["depth"], row["age_s"] or 0.0)

    async def failing(self, limit: int) -> Sequence[Failing]:
        rows = await self._database.fetch("failing_outgoing", limit)
        return [Failing(*row) for row in rows]

    async def retry(self) -> int:
        return len(await self._database.fetch("retry_outgoing"))


def _plain(reason: str) -> str:
    """Whatever the broker said, as text that can be stored."""
    return reason[:FAILURE_CHARACTERS].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
