"""Tells rooms that a server has run what was imported of them: an actor's own state must not be written past it.

What was imported is in the tables already; the room gets it as presence that another system saw, which changes nothing
where it knows it. A class that no server has run is a snapshot with all of it, and needs no telling.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from actors.directory import NotOwned
from actors.machines.events import Finished, Witnessed
from actors.ports import ROOM, StoreAway, StoreRefused
from actors.system import ActorSystem
from server.feeds.rooms import Round
from storage.classfacts import ClassFacts, End, Facts
from storage.history import History

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
AT_ONCE: Final = 20
SOURCE: Final = "amqp"


class ImportedRooms:
    """One a process."""

    def __init__(self, system: ActorSystem, history: History, facts: ClassFacts) -> None:
        self._system = system
        self._history = history
        self._facts = facts

    async def run(self) -> None:
        """Never ends."""
        while True:
            busy = 0
            try:
                busy = await self.tell()
            except (StoreAway, StoreRefused, NotOwned) as error:
                log.warning("history.waiting", reason=str(error))
            await asyncio.sleep(0 if busy else EVERY_S)

    async def tell(self) -> int:
        """Tell the rooms that are due; returns how many. Raises StoreAway, StoreRefused, NotOwned."""
        due = await self._history.due(AT_ONCE)
        for room_id, ran in due:
            if ran or self._system.directory.find(ROOM, room_id) is not None:
                await self._tell(room_id)
            await self._history.done(room_id)
        return len(due)

    async def _tell(self, room_id: str) -> None:
        round_ = Round(self._system)
        await round_.open([room_id])
        end = await self._untold_end(room_id)
        if end is not None:
            await round_.tell(room_id, Finished(end.end_at, SOURCE, end.start_at))
        after = ("", 0)
        while page := await self._history.presences(room_id, after):
            for user_id, number, joined_at, left_at in page:
                await round_.tell(room_id, Witnessed(user_id, joined_at, left_at))
                after = (user_id, number)
        await round_.settled()
        if end is not None:
            await self._facts.settle([], [end])
        round_.let_go()

    async def _untold_end(self, room_id: str) -> End | None:
        """The class's end where its room has not taken it in: one that was opened again must not end once more."""
        over = await self._facts.class_over(room_id)
        if over is None:
            return None
        # Told again it changes nothing; the answer says what is still to be told.
        known = msgspec.structs.replace(over, is_required=None)
        written = await self._facts.write(Facts(classes=[(known, None)]))
        return written.ends.get(room_id)
