"""Telling rooms what happened, many at once, and waiting until all of it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from actors.actor import Actor
from actors.machines.effects import Effect, Failed, Refused
from actors.machines.events import RoomEvent
from actors.ports import ROOM, StoreAway
from actors.system import ActorSystem

WAIT_S: Final = 10.0
"""For the journal. What was told may be stored all the same: it is told again, and changes nothing then."""

Answer = Refused | Failed | None
"""What a room said to an event: that it does not take it, that it crashed on it, or nothing against it."""


class Told:
    """One event on its way to a room (an `actors.actor.Reply`)."""

    __slots__ = ("_round", "answer")

    def __init__(self, round_: Round) -> None:
        self._round = round_
        self.answer: Answer = None

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Nothing: the effects say all."""

    def release(self, effects: list[Effect]) -> None:
        """It is durable, and so is everything before it."""
        for effect in effects:
            if type(effect) is Refused or type(effect) is Failed:
                self.answer = effect
        self._round.answered()


class Round:
    """Events to several rooms that are waited for together. One a batch."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._left = 0
        self._done = asyncio.Event()
        self._rooms: dict[str, Actor] = {}
        self._brought: list[str] = []

    async def open(self, room_ids: Collection[str]) -> None:
        """Find these rooms, or make them. Raises StoreAway (or the node is too busy), NotOwned, StoreRefused."""
        if self._system.busy:
            raise StoreAway("too much waits for the database")
        away = [each for each in room_ids if self._system.directory.find(ROOM, each) is None]
        self._brought += away
        if away:
            await asyncio.gather(*(self._system.room(each, create=True) for each in away))
        # All of them again: one that was here may have retired while others were read.
        for each in room_ids:
            actor = await self._system.room(each, create=True)
            assert actor is not None, "made where it is not known"
            self._rooms[each] = actor

    async def tell(self, room_id: str, event: RoomEvent) -> Told:
        """Post it. A full mailbox is waited for, if it is ours that fill it. Raises StoreAway where others do."""
        told, actor = Told(self), self._rooms[room_id]
        if not self._system.post(actor, event, told):
            await self.settled()
            if not self._system.post(actor, event, told):
                raise StoreAway("too much waits for a room")
        self._left += 1
        self._done.clear()
        return told

    def let_go(self) -> None:
        """Rooms that came into memory for this alone may go again; to be called once all is settled."""
        self._system.let_go(self._rooms[each] for each in self._brought)

    def answered(self) -> None:
        """One of them is durable."""
        self._left -= 1
        if not self._left:
            self._done.set()

    async def settled(self) -> None:
        """Wait for all. Raises StoreAway when that takes too long."""
        if not self._left:
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._done.wait()
        except TimeoutError:
            raise StoreAway("rooms were told, and the journal does not say that it has it") from None
