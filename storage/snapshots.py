"""Checkpoints: snapshots of actors and the rows that they imply, in one transaction under the fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

import asyncpg

from actors.ports import Checkpoint, Fence, Kind, Snapshot, StoreRefused
from storage import engaging, projections
from storage.errors import Conflicted
from storage.fences import hold
from storage.postgres import Connection, Database
from storage.sql import statements

_ATTEMPTS: Final = 3
_PAGE: Final = 500

Identity = tuple[int, str]
"""An actor's kind and key."""


class PostgresSnapshots:
    """`SnapshotStore` in the table `actors` and those of the projections."""

    def __init__(self, database: Database, rules: engaging.Rules | None = None) -> None:
        self._database = database
        self._rules = rules or engaging.Rules()

    async def save(self, fence: Fence, checkpoints: Sequence[Checkpoint]) -> None:
        """As the port says; `fence` covers every checkpoint's partition.

        Where the store has a higher version of an actor, its rows are newer too, and nothing of that checkpoint is
        written. One actor's checkpoints are to be saved one after another: a snapshot that is over leaves nothing
        behind that could hold up an older one.
        """
        foreign = {checkpoint.snapshot.partition for checkpoint in checkpoints} - fence.leases.keys()
        if foreign:
            raise StoreRefused(f"checkpoints of partitions {sorted(foreign)}, which the fence does not cover")
        # In the order of keys, so that two saves cannot wait for each other; versions rise, so that the last one wins.
        ordered = sorted(checkpoints, key=lambda each: (*_identity(each.snapshot), each.snapshot.version))
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._save(fence, ordered)
            except Conflicted:
                if attempt == _ATTEMPTS:
                    raise
        return None

    async def _save(self, fence: Fence, ordered: Sequence[Checkpoint]) -> None:
        latest = {_identity(checkpoint.snapshot): checkpoint.snapshot for checkpoint in ordered}
        async with self._database.transaction() as connection:
            await hold(connection, fence)
            stale = await _upsert(connection, fence, [each for each in latest.values() if each.body is not None])
            stale |= await _delete(connection, [each for each in latest.values() if each.body is None])
            rows = [each.rows for each in ordered if _identity(each.snapshot) not in stale]
            await projections.write(connection, rows, self._rules)

    async def load(self, kind: Kind, keys: Collection[str]) -> dict[str, Snapshot]:
        """As the port says."""
        records = await self._database.fetch("load_snapshots", kind, list(keys))
        return {record["key"]: _snapshot(kind, record) for record in records}

    async def awake(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Snapshot]]:
        """As the port says; at most 500 at a time."""
        wanted = sorted(partitions)
        place = (-1, -1, "")
        while True:
            records = await self._database.fetch("awake_snapshots", wanted, *place, _PAGE)
            if records:
                yield [_snapshot(record["kind"], record) for record in records]
            if len(records) < _PAGE:
                return
            last = records[-1]
            place = (last["partition"], last["kind"], last["key"])


async def _upsert(connection: Connection, fence: Fence, snapshots: Sequence[Snapshot]) -> set[Identity]:
    """Returns those that were not written because the store has newer ones."""
    if not snapshots:
        return set()
    written = await connection.fetch(
        statements()["save_snapshots"],
        [each.kind for each in snapshots],
        [each.key for each in snapshots],
        [each.partition for each in snapshots],
        [each.version for each in snapshots],
        [fence.leases[each.partition] for each in snapshots],
        [each.wake_at for each in snapshots],
        [each.body for each in snapshots],
    )
    if len(written) == len(snapshots):
        return set()
    return {_identity(each) for each in snapshots} - {(record["kind"], record["key"]) for record in written}


async def _delete(connection: Connection, snapshots: Sequence[Snapshot]) -> set[Identity]:
    """Returns those that are still there because the store has newer ones."""
    if not snapshots:
        return set()
    kinds = [each.kind for each in snapshots]
    keys = [each.key for each in snapshots]
    tag = await connection.execute(statements()["delete_snapshots"], kinds, keys, [each.version for each in snapshots])
    if tag == f"DELETE {len(snapshots)}":
        return set()
    left = await connection.fetch(statements()["existing_snapshots"], kinds, keys)
    return {(record["kind"], record["key"]) for record in left}


def _identity(snapshot: Snapshot) -> Identity:
    return snapshot.kind, snapshot.key


def _snapshot(kind: Kind, record: asyncpg.Record) -> Snapshot:
    return Snapshot(kind, record["key"], record["partition"], record["version"], record["body"], record["wake_at"])
