"""`WatchedBefore` over the rows in memory, which know one version of each content."""

from __future__ import annotations

from actors.machines import ranges
from storage.memory import Memory
from storage.watched import Before


class MemoryWatched:
    """As `storage.watched.PostgresWatched`; completed is what one session completed alone."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def before(self, user_id: str, kind: str, content_id: str) -> Before:
        """As the port says."""
        covered: list[int] = []
        async with self._memory.faults.call():
            for row in self._memory.rows.segments.values():
                if (row.user_id, row.kind, row.content_id) == (user_id, kind, content_id) and row.segment.verified:
                    ranges.add(covered, row.segment.start_position, row.segment.end_position)
        return Before(covered, self._completed(user_id, kind, content_id))

    async def completed(self, user_id: str, kind: str, content_id: str) -> bool:
        """As the port says."""
        async with self._memory.faults.call():
            return self._completed(user_id, kind, content_id)

    def _completed(self, user_id: str, kind: str, content_id: str) -> bool:
        key = (user_id, kind, content_id)
        rows = self._memory.rows.sessions.values()
        return any(row.completed for row in rows if (row.user_id, row.kind, row.content_id) == key)
