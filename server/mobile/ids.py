"""Ids of app sessions: `(ms - 1550000000000) << 24 | shard << 8 | seq` (mobile-ingest.md, "`POST .../start`").

Each process draws its shard at its start; a second one with the same shard in the same millisecond is found by the
table's key, and another id is taken. A session that must not be recorded says so in its id, in the shard's highest bit:
nothing else is known of it anywhere.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

EPOCH_MS: Final = 1_550_000_000_000
SHARD_BITS: Final = 15
UNRECORDED_BIT: Final = 1 << 23
PER_MS: Final = 256
_WAIT_S: Final = 0.001


class SessionIds:
    """One a process. `now` is server time, Unix ms, which never goes back."""

    def __init__(self, now: Callable[[], int], shard: int | None = None) -> None:
        self._now = now
        self._shard = secrets.randbits(SHARD_BITS) if shard is None else shard
        self._at = 0
        self._seq = 0

    async def take(self, *, recorded: bool = True) -> int:
        """A new id; the 257th within a millisecond waits for the next."""
        while True:
            at = max(self._now(), EPOCH_MS)
            if at > self._at:
                self._at, self._seq = at, 0
            if self._seq < PER_MS:
                break
            await asyncio.sleep(_WAIT_S)
        seq = self._seq
        self._seq += 1
        session_id = (self._at - EPOCH_MS) << 24 | self._shard << 8 | seq
        return session_id if recorded else session_id | UNRECORDED_BIT


def unrecorded(session_id: int) -> bool:
    """Whether nothing of this session may be kept."""
    return bool(session_id & UNRECORDED_BIT)
