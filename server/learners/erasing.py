"""Erasing a learner where actors live: from memory, snapshots and the journal, then from every table.

    players sent away -> actors told `Forgotten`, each written at once -> tables -> the journal forgets

An actor is told again until neither memory nor store has anything of the learner: what it had still to write is written
by the checkpoint in between, and goes with the tables. Whoever comes again afterwards with a token that still holds is
a new learner to us: take their account away first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.actor import Actor
from actors.machines.effects import Effect, Failed, Refused
from actors.machines.events import Forgotten
from actors.machines.forgetting import mentions
from actors.ports import ROOM, StoreAway
from actors.system import ActorSystem
from storage.learners import Learners

log = structlog.get_logger(__name__)

ROUNDS: Final = 4
ANSWER_S: Final = 10.0
JOURNAL_S: Final = 90.0
"""A checkpoint interval and a half: by then every batch of before is covered."""
WRITE_S: Final = 2.0
POLL_S: Final = 0.2
BREATHE_EVERY: Final = 50


class Commit:
    """Waits for one input's commit (an `actors.actor.Reply`)."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Nothing: the commit is what counts."""

    def release(self, effects: list[Effect]) -> None:
        """It is durable."""
        for effect in effects:
            if type(effect) is Refused or type(effect) is Failed:
                self.failure = effect.message
        if not self._done.done():
            self._done.set_result(None)

    async def wait(self) -> None:
        """Raises StoreAway where it takes too long, or the actor could not."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._done
        except TimeoutError:
            raise StoreAway("the journal does not answer") from None
        if self.failure is not None:
            raise StoreAway(self.failure)


class Eraser:
    """One a process. `send_away` ends the connections of a learner."""

    def __init__(self, system: ActorSystem, store: Learners, send_away: Callable[[str], None]) -> None:
        self._system = system
        self._store = store
        self._send_away = send_away
        self._turn = asyncio.Lock()
        self.also: list[Callable[[str], None]] = []
        """What else keeps something of learners in memory, and forgets one."""
        self.after: list[Callable[[], Awaitable[object]]] = []
        """What else goes when the rows have. Raises StoreAway, StoreRefused; done again where it did."""

    async def erase(self, user_id: str) -> dict[str, int]:
        """Returns how many rows went, by table; again: none. Raises StoreAway, StoreRefused, LeaseLost, NotOwned."""
        async with self._turn:
            self._send_away(user_id)
            for _ in range(ROUNDS):
                actors = await self._of(user_id)
                if not actors:
                    break
                await self._forget(actors, user_id)
            else:
                raise StoreAway("the learner keeps coming back: take their account away, then erase again")
            gone = await self._store.erase(user_id)
            # Somebody may have asked while the rows were still there.
            self._forget_elsewhere(user_id)
            await self.journal_forgets()
            for follow in self.after:
                await follow()
        log.info("learner.erased", rows=sum(gone.values()))
        return gone

    async def _of(self, user_id: str) -> list[Actor]:
        """Every actor that knows anything of the learner, in memory or brought there."""
        directory = self._system.directory
        for asked_by in [asked_by for asked_by in directory.keyed if asked_by[0] == user_id]:
            del directory.keyed[asked_by]
        directory.forget_watcher(user_id)
        self._forget_elsewhere(user_id)
        found: dict[tuple[int, str], Actor] = {}
        for count, actor in enumerate(list(directory)):
            if count % BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            if _knows(actor, user_id):
                found[actor.kind, actor.key] = actor
        async for kind, key in self._store.snapshots_with(user_id):
            there = await (self._system.room(key, create=False) if kind == ROOM else self._system.watch(key))
            # In memory it may have forgotten already, and not be written: that is to come.
            if there is not None:
                found[kind, key] = there
        return list(found.values())

    def _forget_elsewhere(self, user_id: str) -> None:
        for forget in self.also:
            forget(user_id)

    async def _forget(self, actors: list[Actor], user_id: str) -> None:
        for actor in actors:
            commit = Commit()
            if not self._system.post(actor, Forgotten(user_id), commit, always=True):
                raise StoreAway("an actor is gone: try again")
            await commit.wait()
            await self._system.checkpointer.write_now(actor)

    async def journal_forgets(self) -> None:
        """Return when all that was taken in before is in snapshots and rows alone. Raises StoreAway: not in time."""
        system = self._system
        await system.committer.settled()
        mark = system.committer.number
        # All of it at once where there is little; a busy server goes on to write it in its turn.
        await system.checkpointer.write_all(WRITE_S)
        try:
            async with asyncio.timeout(JOURNAL_S):
                while system.checkpointer.trimmed_below < mark:
                    await asyncio.sleep(POLL_S)
                    if not system.checkpointer.dirty:
                        await system.checkpointer.write_all(WRITE_S)
        except TimeoutError:
            raise StoreAway("the journal still holds inputs of before: try again") from None


def _knows(actor: Actor, user_id: str) -> bool:
    if actor.kind == ROOM:
        return mentions(actor.room.state, user_id)
    state = actor.watch.state
    return state is not None and state.user_id == user_id
