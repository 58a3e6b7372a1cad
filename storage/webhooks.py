"""Messages of the conference server that are kept as they came, and which of its sessions are breakout rooms."""

from __future__ import annotations

from typing import Final

from storage.postgres import Database

KEPT: Final = 100_000
"""Of each table; the oldest beyond go."""
_TRIMS_IN_KEPT: Final = 100
"""How often within so many the oldest are looked for: at most a hundredth more than `KEPT` are there."""


class PostgresWebhooks:
    """The tables `webhooks` and `breakouts`. Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept
        self._trim_every = max(1, kept // _TRIMS_IN_KEPT)

    async def keep(self, id: str, event: str, room_id: str | None, received_at: int, why: str, body: bytes) -> None:  # noqa: A002 - the message's own word
        """Keep a message, once per (`id`, `event`). `received_at` Unix ms; `why` says why it is kept."""
        limits = self._kept, self._trim_every
        await self._database.fetch("keep_webhook", id, event, room_id, received_at, why, body, *limits)

    async def put_breakout(self, sid: str, room_id: str, parent_room_id: str) -> None:
        """Remember that a session is a breakout room of another room; told again replaces."""
        await self._database.fetch("put_breakout", sid, room_id, parent_room_id, self._kept, self._trim_every)

    async def breakout_parent(self, sid: str) -> str | None:
        """The room that a breakout session counts towards; None where it is not known as one."""
        record = await self._database.fetchrow("breakout_parent", sid)
        return None if record is None else str(record[0])
