"""What commands ask of the running server: it alone may write what it holds in memory."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from actors.directory import NotOwned
from actors.ports import LeaseLost, StoreAway, StoreRefused
from server.learners.erasing import Eraser
from storage.learners import Learners, What

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
AT_ONCE: Final = 10


class Requests:
    """One a process."""

    def __init__(self, store: Learners, eraser: Eraser) -> None:
        self._store = store
        self._eraser = eraser

    async def run(self) -> None:
        """Never ends."""
        while True:
            try:
                await self.serve()
            except (StoreAway, StoreRefused) as error:
                log.warning("learner_requests.waiting", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def serve(self) -> int:
        """Do what is asked now; returns how many requests. Raises StoreAway, StoreRefused."""
        asked = await self._store.asked(AT_ONCE)
        for user_id, what in asked:
            try:
                if what == "erase":
                    await self._eraser.erase(user_id)
                else:
                    await self._eraser.journal_forgets()
            except (StoreAway, StoreRefused, LeaseLost, NotOwned) as error:
                await self._store.failed(user_id, what, str(error))
            else:
                await self._store.done(user_id, what)
        return len(asked)


async def until_done(store: Learners, user_id: str, what: What, patience_s: float) -> None:
    """Ask the running server and wait. Raises StoreAway: it failed, or not in time; then it is not asked any more."""
    await store.ask(user_id, what)
    try:
        async with asyncio.timeout(patience_s):
            while True:
                done, failure = await store.state(user_id, what)
                if done:
                    return
                if failure is not None:
                    await store.done(user_id, what)
                    raise StoreAway(failure)
                await asyncio.sleep(0.2)
    except TimeoutError:
        await store.done(user_id, what)
        raise StoreAway("the running server does not do it in time") from None
