"""Sessions that are not in memory."""

from __future__ import annotations

from actors.machines.rows import SessionRow
from actors.ports import StoredSession
from storage import records
from storage.postgres import Database
from storage.sql import statements


class PostgresSessions:
    """`SessionReader` in the tables `watch_sessions` and `study_logs`. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def session(self, session_id: str) -> SessionRow | None:
        """As the port says."""
        record = await self._database.fetchrow("session", session_id)
        return None if record is None else records.session(record)

    async def session_with_segments(self, session_id: str) -> StoredSession | None:
        """As the port says."""
        async with self._database.transaction("begin_reading") as connection:
            record = await connection.fetchrow(statements()["session"], session_id)
            if record is None:
                return None
            row = records.session(record)
            # Written together with the session, so none begins before it or after its last sample.
            until = row.started_at if row.last_sample_at is None else row.last_sample_at
            found = await connection.fetch(
                statements()["segments_of_session"], session_id, row.user_id, row.started_at, until
            )
        return StoredSession(row, [records.segment(record) for record in found])

    async def open_session(self, user_id: str, kind: str, content_id: str, device_id: str) -> SessionRow | None:
        """As the port says."""
        record = await self._database.fetchrow("open_session", user_id, kind, content_id, device_id)
        return None if record is None else records.session(record)
