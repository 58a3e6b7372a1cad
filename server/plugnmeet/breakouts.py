"""Which sessions are breakout rooms, for messages that do not say (plugnmeet.md, reading 12).

    a message with metadata -> learned: stored, then remembered here
    one without             -> remembered here, or asked of the store; that it is none is remembered for a minute

Bound: `CAPACITY` sessions; the one asked for longest ago is asked anew. The minute is for what another process learns.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from server.plugnmeet.ports import WebhookStore

CAPACITY: Final = 10_000
NONE_FOR_MS: Final = 60_000


class Breakouts:
    """One a process. Raises what the store raises."""

    def __init__(self, store: WebhookStore, *, capacity: int = CAPACITY) -> None:
        self._store = store
        self._capacity = capacity
        self._known: OrderedDict[str, str | int] = OrderedDict()
        """Session -> its parent, or until when it is known to be none, Unix ms."""

    async def learn(self, sid: str, room_id: str, parent_room_id: str) -> None:
        """A message said so; durable when this returns."""
        if self._known.get(sid) == parent_room_id:
            self._known.move_to_end(sid)
            return
        await self._store.put_breakout(sid, room_id, parent_room_id)
        self._remember(sid, parent_room_id)

    async def parent_of(self, sid: str, now: int) -> str | None:
        """The room that the session counts towards; None where it is no breakout room, as far as is known."""
        known = self._known.get(sid)
        if isinstance(known, str):
            self._known.move_to_end(sid)
            return known
        if known is not None and now < known:
            return None
        parent = await self._store.breakout_parent(sid)
        learned = self._known.get(sid)
        if isinstance(learned, str):
            return learned  # while the store was asked
        self._remember(sid, now + NONE_FOR_MS if parent is None else parent)
        return parent

    def __len__(self) -> int:
        return len(self._known)

    def _remember(self, sid: str, what: str | int) -> None:
        self._known[sid] = what
        self._known.move_to_end(sid)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
