"""Telling a room what happened, and waiting until it is durable (an `actors.actor.Reply`)."""

from __future__ import annotations

import asyncio

from actors.actor import Actor
from actors.machines.effects import Effect, Unplaced
from actors.machines.events import RoomEvent
from actors.system import ActorSystem
from server.http.answers import Problem, refusal_in, unavailable


class Telling:
    """One event on its way. The future's result: whether the class took it (False: it lies outside its time)."""

    __slots__ = ("_placed", "_problem", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._placed = True
        self._problem: Problem | None = None

    def send(self, system: ActorSystem, actor: Actor, event: RoomEvent) -> None:
        """Post it. Raises `Problem` (503) where the room's mailbox is full."""
        if not system.post(actor, event, self):
            raise unavailable("too much waits for this room: send it again")

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        """Note what became of it."""
        self._problem = refusal_in(effects)
        self._placed = not any(type(effect) is Unplaced for effect in effects)

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """It is durable."""
        if self.future.done():
            return  # given up meanwhile
        if self._problem is not None:
            self.future.set_exception(self._problem)
        else:
            self.future.set_result(self._placed)
