"""The twin in memory of `storage/webhooks.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from storage.memory_rows import check_text
from storage.webhooks import KEPT

if TYPE_CHECKING:
    from storage.memory import Memory


class KeptWebhook(msgspec.Struct, frozen=True):
    """A row of `webhooks`."""

    id: str
    event: str
    room_id: str | None
    received_at: int
    why: str
    body: bytes


class MemoryWebhookRows(msgspec.Struct):
    """Both tables, oldest first."""

    kept: dict[tuple[str, str], KeptWebhook] = {}
    breakouts: dict[str, tuple[str, str]] = {}
    """Session -> its room and that room's parent."""


class MemoryWebhooks:
    """Messages kept, and breakout rooms."""

    def __init__(self, memory: Memory, *, kept: int = KEPT) -> None:
        self._memory = memory
        self._limit = kept

    async def keep(self, id: str, event: str, room_id: str | None, received_at: int, why: str, body: bytes) -> None:  # noqa: A002 - the message's own word
        for each in (id, event, room_id or "", why):
            check_text(each)
        async with self._memory.faults.call():
            rows = self._memory.webhooks.kept
            rows.setdefault((id, event), KeptWebhook(id, event, room_id, received_at, why, body))
            if len(rows) > self._limit:
                del rows[next(iter(rows))]

    async def put_breakout(self, sid: str, room_id: str, parent_room_id: str) -> None:
        for each in (sid, room_id, parent_room_id):
            check_text(each)
        async with self._memory.faults.call():
            rows = self._memory.webhooks.breakouts
            rows[sid] = (room_id, parent_room_id)
            if len(rows) > self._limit:
                del rows[next(iter(rows))]

    async def breakout_parent(self, sid: str) -> str | None:
        async with self._memory.faults.call():
            found = self._memory.webhooks.breakouts.get(sid)
        return None if found is None else found[1]
