"""The fence of a transaction: the leases that it writes under, held until it ends."""

from __future__ import annotations

from actors.ports import Fence, LeaseLost
from storage.postgres import Connection
from storage.sql import statements


async def hold(connection: Connection, fence: Fence) -> None:
    """Keep the leases of `fence` from being taken until the transaction ends. Raises LeaseLost when any is lost."""
    partitions = sorted(fence.leases)
    epochs = [fence.leases[partition] for partition in partitions]
    rows = await connection.fetch(statements()["hold_leases"], fence.owner, partitions, epochs)
    if len(rows) < len(partitions):
        raise LeaseLost(fence.leases.keys() - {row["partition"] for row in rows})
