"""Detail that is older than an operator wants to keep: segments, stays, interactions, raw messages. Figures stay.

Segments of a lesson that its learner has watched since stay too: their figures are worked out from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from storage.postgres import Database
from storage.sql import statements

BATCH_ROWS: Final = 2_000
"""Some tens of ms of the database."""
DAY_MS: Final = 24 * 3600 * 1000
EPOCH_MS: Final = 0

SEGMENTS: Final = "segments"
_DETAIL: Final[dict[str, Callable[[], str]]] = {
    SEGMENTS: lambda: statements()["drop_old_segments"],
    "presences": lambda: statements()["drop_old_presences"],
    "interactions": lambda: statements()["drop_old_interactions"],
}
_RAW: Final[dict[str, Callable[[], str]]] = {
    "webhooks": lambda: statements()["drop_old_webhooks"],
    "quarantine": lambda: statements()["drop_old_quarantine"],
    "messages": lambda: statements()["drop_old_messages"],
    "xapi_sessions": lambda: statements()["drop_old_xapi_sessions"],
    "xapi_statements": lambda: statements()["drop_old_xapi_statements"],
    "mobile_messages": lambda: statements()["drop_old_mobile_messages"],
    "mobile_sessions": lambda: statements()["drop_old_mobile_sessions"],
    "mobile_images": lambda: statements()["drop_old_mobile_images"],
}
DETAIL: Final = tuple(_DETAIL)
RAW: Final = tuple(_RAW)


class Retention:
    """Deletes in small steps. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database, *, batch_rows: int = BATCH_ROWS) -> None:
        self._database = database
        self._batch = batch_rows

    async def drop_chunks(self, before: int) -> int:
        """Whole pieces of hypertables before `before` (Unix ms); returns how many. None without TimescaleDB."""
        record = await self._database.fetchrow("drop_detail_chunks", before)
        return 0 if record is None else int(record["dropped"])

    async def oldest_day(self, table: str, before: int) -> int | None:
        """The start (Unix ms) of the oldest day with detail before `before`; None where there is none."""
        if not await self._has(table, before):
            return None
        low, high = EPOCH_MS // DAY_MS, before // DAY_MS + 1
        # Invariant: nothing before day `low`, something before day `high`.
        while high - low > 1:
            middle = (low + high) // 2
            if await self._has(table, min(middle * DAY_MS, before)):
                high = middle
            else:
                low = middle
        return low * DAY_MS

    async def _has(self, table: str, before: int) -> bool:
        database = self._database
        if table == SEGMENTS:
            record = await database.fetchrow("has_segments_before", before)
        elif table == "presences":
            record = await database.fetchrow("has_presences_before", before)
        else:
            record = await database.fetchrow("has_interactions_before", before)
        return record is not None and bool(record["found"])

    async def drop_detail(self, table: str, start: int, end: int, before: int) -> int:
        """At most a batch of rows that began in [start, end); returns how many. `before`: what is kept begins there."""
        kept_from = (before,) if table == SEGMENTS else ()
        async with self._database.connection() as connection:
            tag = await connection.execute(_DETAIL[table](), start, end, *kept_from, self._batch)
        return _count(tag)

    async def drop_raw(self, table: str, before: int) -> int:
        """At most a batch of raw messages from before `before`; returns how many."""
        async with self._database.connection() as connection:
            tag = await connection.execute(_RAW[table](), before, self._batch)
        return _count(tag)


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
