"""Leases: who owns which partition, by the database's clock alone."""

from __future__ import annotations

from collections.abc import Collection

from actors.ports import Fence
from storage.postgres import Database
from storage.sql import statements


class PostgresLeases:
    """`LeaseStore` in the tables `partition_leases` and `lease_terms`."""

    def __init__(self, database: Database) -> None:
        self._line = database.lease_line

    async def acquire(
        self, owner: str, address: str, partitions: Collection[int], ttl_s: float, *, force: bool
    ) -> dict[int, int]:
        """As the port says. Waits for writes under the old epochs, half a second at most, then StoreAway."""
        wanted = sorted(partitions)
        await self._line.fetch("make_leases", wanted)
        async with self._line.transaction() as connection:
            free = await connection.fetch(statements()["lock_free_terms"], owner, wanted, force)
            taken = [row["partition"] for row in free]
            await connection.fetch(statements()["lock_fences"], taken)
            rows = await connection.fetch(statements()["take_leases"], owner, address, taken, float(ttl_s))
        return {row["partition"]: row["epoch"] for row in rows}

    async def renew(self, fence: Fence, ttl_s: float) -> frozenset[int]:
        """As the port says. The term begins when the database is at it: counted from the asking it is no shorter."""
        rows = await self._line.fetch("renew_leases", fence.owner, *_columns(fence), float(ttl_s))
        return frozenset(row["partition"] for row in rows)

    async def release(self, fence: Fence) -> None:
        """As the port says; what is written under `fence` afterwards fails with LeaseLost."""
        async with self._line.transaction() as connection:
            own = await connection.fetch(statements()["lock_own_terms"], fence.owner, *_columns(fence))
            partitions = [row["partition"] for row in own]
            await connection.fetch(statements()["lock_fences"], partitions)
            await connection.execute(statements()["release_leases"], partitions)


def _columns(fence: Fence) -> tuple[list[int], list[int]]:
    partitions = sorted(fence.leases)
    return partitions, [fence.leases[partition] for partition in partitions]
