"""Questions to actors: what is read is durable.

A question goes through the mailbox like any mail. The answer is made from the machine when its turn comes, and leaves
when all that the machine had taken in before is committed. So a reader never sees what a power cut could take back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from actors.actor import Actor
from actors.directory import NotOwned
from actors.machines.effects import Effect
from actors.machines.events import AnyEvent, Tick
from actors.machines.room import Room
from actors.ports import ROOM, StoreAway, StoreRefused
from actors.system import ActorSystem
from server.http.answers import Problem, refusal_in, unavailable

READ_S: Final = 2.0
"""How long a reader waits for a commit."""
WRITE_S: Final = 10.0
"""How long whoever sent something waits; what was sent may then be stored all the same."""
AWAY_MS: Final = 10_000
"""Storage that took nothing for so long will not take this in time either: refused before it is read."""

A = TypeVar("A")
View = Callable[[Actor, int], A]


class Ask(Generic[A]):
    """One question (an `actors.actor.Reply`)."""

    __slots__ = ("_answer", "_future", "_problem", "_view")

    def __init__(self, view: View[A]) -> None:
        self._view = view
        self._future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._answer: list[A] = []
        self._problem: BaseException | None = None

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Make the answer. Nothing leaves here: the scheduler's turn must go on for the others."""
        self._problem = refusal_in(effects)
        if self._problem is None:
            try:
                self._answer.append(self._view(actor, now))
            except Exception as error:  # noqa: BLE001 - raised where it was asked for
                self._problem = error

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """Give the answer."""
        if self._future.done():
            return
        if self._problem is not None:
            self._future.set_exception(self._problem)
        else:
            self._future.set_result(self._answer[0])

    async def answer(self, patience_s: float) -> A:
        """Wait for it. Raises `Problem`: the refusal, or 503 when it takes too long."""
        return await in_time(self._future, patience_s)


async def in_time(future: asyncio.Future[A], patience_s: float) -> A:
    """The future's result; `Problem` (503) after `patience_s`. Cheaper than `asyncio.wait_for`."""
    timer = asyncio.get_running_loop().call_later(patience_s, _give_up, future)
    try:
        return await future
    finally:
        timer.cancel()


def _give_up(future: asyncio.Future[A]) -> None:
    if not future.done():
        future.set_exception(unavailable("storage does not answer: keep what you sent and try again"))


def put(system: ActorSystem, actor: Actor, event: AnyEvent, view: View[A]) -> Ask[A]:
    """Post a question. Raises `Problem` (503) where the actor's mailbox is full."""
    ask = Ask(view)
    if not system.post(actor, event, ask):
        raise unavailable("too much waits for this room or session: try again")
    return ask


async def look(system: ActorSystem, actor: Actor, view: View[A]) -> A:
    """Read an actor."""
    return await put(system, actor, Tick(), view).answer(READ_S)


async def look_at_room(system: ActorSystem, room_id: str, view: Callable[[Room, int], A]) -> A | None:
    """Read a room, in memory or not; None where there is none. Raises `Problem`."""
    try:
        # Twice: it may come into memory while the store is read.
        for _ in range(2):
            actor = system.directory.find(ROOM, room_id)
            if actor is not None:
                return await look(system, actor, lambda actor, now: view(actor.room, now))
            room = await system.peek_room(room_id)
            if system.directory.find(ROOM, room_id) is None:
                return None if room is None else view(room, system.clock.now())
    except (NotOwned, StoreAway, StoreRefused) as error:
        raise away(error) from error
    raise unavailable("the room is coming and going: try again")


def check_storage(system: ActorSystem) -> None:
    """Raises `Problem` (503) where what comes now could not be kept."""
    away_since = system.committer.away_since
    if system.busy or (away_since is not None and system.clock.now() - away_since >= AWAY_MS):
        raise unavailable("storage is away: keep the samples and try again")


def away(error: Exception) -> Problem:
    """503 for what the store or the directory could not do."""
    return unavailable(
        "this is not here yet: try again" if isinstance(error, NotOwned) else "storage is away: try again"
    )
