"""Views that count as study time, where the operator says so (`ROLLCALL_COLLECTOR_COUNTS_STUDY_TIME`).

    a lesson   a segment of a kind of its own: without a playhead it covers nothing, and no content's figures know it
    a class    presence that another system saw, as in an import; a room that runs is told of it

Both are intervals with keys of their own, and intervals are united: the same view twice, or beside a player that sends
heartbeats, adds nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from actors.history import Stay
from actors.ports import StoreAway, StoreRefused
from storage.collector_study import CollectorStudy
from storage.history import Chunk, History

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
AT_ONCE: Final = 500
SOURCE: Final = "collector"


class StudyTime:
    """One a process."""

    def __init__(self, store: CollectorStudy, history: History) -> None:
        self._store = store
        self._history = history

    async def run(self) -> None:
        """Never ends."""
        while True:
            try:
                await self.settle()
            except (StoreAway, StoreRefused) as error:
                log.warning("collector.waiting", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def settle(self) -> int:
        """Some of what waits; returns how many views of classes it was. Stopped in between, it is done once more."""
        await self._store.settle_lessons(AT_ONCE)
        claims = await self._store.classes(AT_ONCE)
        stays = [
            Stay(claim.room_id, claim.user_id, claim.start, claim.end, SOURCE, "") for claim in claims if claim.known
        ]
        if stays:
            await self._history.write(Chunk(stays=stays))
        if claims:
            await self._store.told(claims)
        return len(claims)
