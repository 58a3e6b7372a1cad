"""What the collector need not know any more: ids after a month, writes after an hour, events as long as is said."""

from __future__ import annotations

from storage.postgres import Database
from storage.sql import statements

BATCH_ROWS = 2_000
"""Some tens of ms of the database."""


class CollectorUpkeep:
    """Deletes in small steps; each returns how many rows went, 0 when there are no more. `before` Unix ms.

    Raises StoreAway, StoreRefused.
    """

    def __init__(self, database: Database, *, batch_rows: int = BATCH_ROWS) -> None:
        self._database = database
        self._batch = batch_rows

    async def drop_events(self, before: int) -> int:
        """The oldest events; where they are kept in pieces, whole ones, and each counts as one."""
        record = await self._database.fetchrow("drop_collector_chunks", before)
        if record is not None and record["dropped"] is not None:
            return int(record["dropped"])
        return await self._drop(statements()["drop_old_events"], before)

    async def drop_ids(self, before: int) -> int:
        """Ids seen before then: an event that comes under one again is a new one."""
        return await self._drop(statements()["drop_old_ids"], before)

    async def drop_writes(self, before: int) -> int:
        """Writes that nobody asks after any more."""
        return await self._drop(statements()["drop_old_writes"], before)

    async def _drop(self, statement: str, before: int) -> int:
        async with self._database.connection() as connection:
            tag = await connection.execute(statement, before, self._batch)
        return int(tag.rpartition(" ")[2])
