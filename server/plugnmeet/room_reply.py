"""Whether a room has taken in what it was told, once that is durable (an `actors.actor.Reply`)."""

from __future__ import annotations

import asyncio

from actors.actor import Actor
from actors.machines.effects import Effect, Unplaced
from actors.machines.events import RoomEvent
from actors.system import ActorSystem
from server.http.answers import Problem, refusal_in, unavailable


class RoomReply:
    """One event on its way. The future's result: None where the class took it, else why it has no place there."""

    __slots__ = ("_problem", "_unplaced", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[Unplaced | None] = asyncio.get_running_loop().create_future()
        self._unplaced: Unplaced | None = None
        self._problem: Problem | None = None

    def send(self, system: ActorSystem, actor: Actor, event: RoomEvent) -> None:
        """Post it. Raises `Problem` (503) where the room's mailbox is full."""
        if not system.post(actor, event, self):
            raise unavailable("too much waits for this room: send it again")

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        """Note what became of it."""
        self._problem = refusal_in(effects)
        self._unplaced = next((effect for effect in effects if isinstance(effect, Unplaced)), None)

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """It is durable."""
        if self.future.done():
            return  # given up meanwhile
        if self._problem is not None:
            self.future.set_exception(self._problem)
        else:
            self.future.set_result(self._unplaced)
