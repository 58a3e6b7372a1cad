"""What the consumer gives away and what it wants back. The one who takes deliveries in knows no broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """A message as it came. Times are Unix ms; `sent_at` is its timestamp property, `received_at` server time."""

    body: bytes
    exchange: str
    routing_key: str
    message_id: str | None
    sent_at: int | None
    received_at: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of a delivery: `event` and `result` are what it is counted by.

    `taken`: durable now. `repeated`: known already. `unknown`, `ignored`: nothing of ours. `bad`: to the dead letters,
    with the `field` and the `reason`.
    """

    event: str
    result: str
    field: str = ""
    reason: str = ""


class Intake(Protocol):
    """Who takes deliveries in."""

    async def take(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """One outcome a delivery, in their order, once all that was taken is durable.

        Raises StoreAway or `actors.directory.NotOwned` where that cannot be now: the same batch is to be given again,
        and what was already stored of it changes nothing then.
        """
        ...
