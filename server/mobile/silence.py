"""App sessions end when nothing active came for 150 s of the wall's clock (mobile-ingest.md, reading 9).

What is silent is asked of the tables, so a restart forgets nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from storage.mobile import SILENCE_MS, SWEEP_ROWS, MobileStore

EVERY_S: Final = 5.0

log = structlog.get_logger(__name__)


class Silence:
    """One a process. `now` is server time, Unix ms."""

    def __init__(self, store: MobileStore, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now

    async def sweep(self) -> int:
        """End what is silent; how many. Raises StoreAway, StoreRefused."""
        ended = count = await self._store.end_silent(self._now() - SILENCE_MS)
        while count == SWEEP_ROWS:
            count = await self._store.end_silent(self._now() - SILENCE_MS)
            ended += count
        return ended

    async def run(self) -> None:
        """Never ends."""
        while True:
            try:
                await self.sweep()
            except (StoreAway, StoreRefused) as error:
                log.warning("mobile.silence_waiting", reason=str(error))
            await asyncio.sleep(EVERY_S)
