"""The store in memory: every port of `actors/ports.py` without a database, for tests of what stands on them.

It keeps the same promises (`tests/contracts/` holds both to one suite) except the one that it is for: nothing outlives
the process. All parts share one `Memory`, whose `faults` make it as bad as a database can be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import msgspec

from actors.ports import (
    Checkpoint,
    Entry,
    Fence,
    Kind,
    LeaseLost,
    Quarantined,
    Snapshot,
    StoreAway,
    StoreRefused,
)
from storage.journal import EntryCodec
from storage.keys import WriteKey
from storage.memory_catalog import CatalogTables
from storage.memory_classfacts import FactTables
from storage.memory_collector import CollectorTables
from storage.memory_rows import MemoryRows, check_text
from storage.memory_webhooks import MemoryWebhookRows
from storage.quarantine import KEPT

_PAGE = 500


class Faults:
    """How the store fails, from now on and until it is told otherwise.

    `away`          calls fail with StoreAway and do nothing
    `stalled`       calls wait, and do what they should when they may go on
    `lose_answers`  calls do what they should, and fail with StoreAway

    `calls` counts them all.
    """

    def __init__(self) -> None:
        self.away = False
        self.lose_answers = False
        self.waiting = 0
        self.calls = 0
        self._moving = asyncio.Event()
        self._moving.set()

    @property
    def stalled(self) -> bool:
        """Whether calls wait; `waiting` tells how many do."""
        return not self._moving.is_set()

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        if stalled:
            self._moving.clear()
        else:
            self._moving.set()

    @asynccontextmanager
    async def call(self) -> AsyncGenerator[None]:
        """Around every call."""
        self.calls += 1
        if self.stalled:
            self.waiting += 1
            try:
                await self._moving.wait()
            finally:
                self.waiting -= 1
        if self.away:
            raise StoreAway("the store is away")
        yield
        if self.lose_answers:
            raise StoreAway("the answer got lost")


class Lease(msgspec.Struct):
    """One partition's owner; `expires_at` Unix ms by the store's clock."""

    owner: str | None = None
    epoch: int = 0
    expires_at: float = float("-inf")
    address: str | None = None


class Batch(msgspec.Struct):
    """One row of the journal."""

    owner: str
    number: int
    partitions: set[int]
    body: bytes


class Memory:
    """What all parts share. `clock` is the store's own, Unix ms."""

    def __init__(self, clock: Callable[[], float] = lambda: time.time_ns() / 1e6) -> None:
        self.clock = clock
        self.faults = Faults()
        self.leases: dict[int, Lease] = {}
        self.batches: dict[tuple[str, int], Batch] = {}
        self.snapshots: dict[tuple[int, str], Snapshot] = {}
        self.rows = MemoryRows()
        self.facts = FactTables()
        self.catalog = CatalogTables()
        self.write_keys: dict[str, WriteKey] = {}
        self.collected = CollectorTables()
        self.webhooks = MemoryWebhookRows()
        self.quarantine: list[Quarantined] = []

    def lost(self, fence: Fence) -> set[int]:
        """Return the partitions of `fence` that are not held."""
        nobody = Lease()
        found = {partition: self.leases.get(partition, nobody) for partition in fence.leases}
        return {
            partition
            for partition, epoch in fence.leases.items()
            if (found[partition].owner, found[partition].epoch) != (fence.owner, epoch)
        }

    def hold(self, fence: Fence) -> None:
        """Raise LeaseLost unless all leases of `fence` are held."""
        lost = self.lost(fence)
        if lost:
            raise LeaseLost(lost)


class MemoryJournal:
    """`JournalStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._codec = EntryCodec()

    async def append(self, fence: Fence, number: int, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        body = self._codec.encode(entries)
        check_text(fence.owner)
        async with self._memory.faults.call():
            stored = self._memory.batches.get((fence.owner, number))
            if stored is None:
                self._memory.hold(fence)
                self._memory.batches[fence.owner, number] = Batch(fence.owner, number, set(fence.leases), body)
            elif stored.body != body:
                raise StoreRefused(f"number {number} of {fence.owner} is already another batch")

    async def read(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Entry]]:
        async with self._memory.faults.call():
            batches = self._memory.batches.values()
            bodies = [batch.body for batch in batches if not batch.partitions.isdisjoint(partitions)]
        for body in bodies:
            yield self._codec.decode(body)

    async def trim(self, fence: Fence, below: int) -> int:
        async with self._memory.faults.call():
            self._memory.hold(fence)
            return self._forget(lambda batch: batch.owner == fence.owner and batch.number < below)

    async def adopt(self, fence: Fence) -> int:
        async with self._memory.faults.call():
            self._memory.hold(fence)
            for batch in self._memory.batches.values():
                if batch.owner != fence.owner:
                    batch.partitions.difference_update(fence.leases)
            return self._forget(lambda batch: not batch.partitions)

    def _forget(self, superfluous: Callable[[Batch], bool]) -> int:
        gone = [key for key, batch in self._memory.batches.items() if superfluous(batch)]
        for key in gone:
            del self._memory.batches[key]
        return len(gone)


class MemorySnapshots:
    """`SnapshotStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def save(self, fence: Fence, checkpoints: Sequence[Checkpoint]) -> None:
        for checkpoint in checkpoints:
            if checkpoint.snapshot.partition not in fence.leases:
                raise StoreRefused(f"partition {checkpoint.snapshot.partition} is not covered by the fence")
            check_text(checkpoint.snapshot.key)
        async with self._memory.faults.call():
            self._memory.hold(fence)
            ordered = sorted(checkpoints, key=lambda each: each.snapshot.version)
            current = [each for each in ordered if not self._is_stale(each.snapshot)]
            self._memory.rows.write([each.rows for each in current])
            for each in current:
                self._put(each.snapshot)

    async def load(self, kind: Kind, keys: Collection[str]) -> dict[str, Snapshot]:
        async with self._memory.faults.call():
            snapshots = self._memory.snapshots
            return {key: snapshots[kind, key] for key in keys if (kind, key) in snapshots}

    async def awake(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Snapshot]]:
        async with self._memory.faults.call():
            found = [
                each
                for each in self._memory.snapshots.values()
                if each.partition in partitions and each.wake_at is not None
            ]
        found.sort(key=lambda each: (each.partition, each.kind, each.key))
        for start in range(0, len(found), _PAGE):
            yield found[start : start + _PAGE]

    def _is_stale(self, snapshot: Snapshot) -> bool:
        known = self._memory.snapshots.get((snapshot.kind, snapshot.key))
        return known is not None and known.version > snapshot.version

    def _put(self, snapshot: Snapshot) -> None:
        identity = (snapshot.kind, snapshot.key)
        if snapshot.body is None:
            self._memory.snapshots.pop(identity, None)
        else:
            self._memory.snapshots[identity] = snapshot


class MemoryLeases:
    """`LeaseStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def acquire(
        self, owner: str, address: str, partitions: Collection[int], ttl_s: float, *, force: bool
    ) -> dict[int, int]:
        async with self._memory.faults.call():
            now = self._memory.clock()
            taken: dict[int, int] = {}
            for partition in sorted(set(partitions)):
                lease = self._memory.leases.setdefault(partition, Lease())
                if force or lease.owner in (None, owner) or lease.expires_at <= now:
                    taken[partition] = lease.epoch + 1
                    self._memory.leases[partition] = Lease(owner, lease.epoch + 1, now + ttl_s * 1000, address)
            return taken

    async def renew(self, fence: Fence, ttl_s: float) -> frozenset[int]:
        async with self._memory.faults.call():
            ours = fence.leases.keys() - self._memory.lost(fence)
            for partition in ours:
                self._memory.leases[partition].expires_at = self._memory.clock() + ttl_s * 1000
            return frozenset(ours)

    async def release(self, fence: Fence) -> None:
        async with self._memory.faults.call():
            for partition in fence.leases.keys() - self._memory.lost(fence):
                self._memory.leases[partition] = Lease(epoch=self._memory.leases[partition].epoch)


class MemoryQuarantine:
    """`QuarantineStore`."""

    def __init__(self, memory: Memory, *, kept: int = KEPT) -> None:
        self._memory = memory
        self._kept = kept

    async def put(self, item: Quarantined) -> None:
        check_text(item.key)
        async with self._memory.faults.call():
            self._memory.quarantine.append(item)
            del self._memory.quarantine[: -self._kept]
