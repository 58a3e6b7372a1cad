"""A node over a store in memory, its clients who ask, and its audience."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, Final

import msgspec

from actors.actor import Actor, Reply
from actors.clock import ServerClock
from actors.counters import Counters
from actors.directory import Directory
from actors.loader import Loader
from actors.machines.effects import Effect, Failed
from actors.machines.events import AnyEvent, Joined, Opened, RoomSampled, Sampled
from actors.machines.room import Room
from actors.machines.state import RoomState
from actors.machines.track import PLAYING, Sample
from actors.machines.watch import WatchSession, WatchState
from actors.ports import ROOM
from actors.recovery import Recovery
from actors.system import ActorSystem, Rules, Stores
from storage.memory import Faults, Memory, MemoryJournal, MemoryLeases, MemoryQuarantine, MemorySnapshots

EPOCH_S: Final = 1_767_225_600.0
PARTITIONS: Final = 4
RULES: Final = Rules(partitions=PARTITIONS, checkpoint_ms=4_000, journal_pending=400, mailbox=50)

Told = list[tuple["Asker", list[Effect]]]


class Asker:
    """Somebody who asks and notes the answer, and everybody's order in `told`."""

    def __init__(self, told: Told | None = None) -> None:
        self.told = told if told is not None else []
        self.staged: list[Effect] | None = None
        self.answer: list[Effect] | None = None
        self.actor: Actor | None = None
        self.version = 0
        """What the actor had journaled when it took the question in."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        self.actor = actor
        self.staged = effects

    def release(self, effects: list[Effect]) -> None:
        assert self.answer is None, "answered twice"
        self.answer = effects
        self.told.append((self, effects))

    @property
    def failed(self) -> bool:
        return self.answer is not None and any(isinstance(effect, Failed) for effect in self.answer)


class Audience:
    """Whoever watches; notes what is told and what is lost."""

    def __init__(self) -> None:
        self.told: Told = []
        self.lost_actors: list[Actor] = []

    def stage(self, actor: Actor, effect: Effect, now: int) -> Reply | None:
        return Asker(self.told)

    def lost(self, actor: Actor) -> None:
        self.lost_actors.append(actor)


class Node:
    """One `ActorSystem` with a connection of its own to `memory`: `faults` are this node's alone.

    `journaled` is the whole truth: (kind, key) -> every input that was taken in, as (event, now), by version.
    """

    def __init__(
        self, memory: Memory, rules: Rules = RULES, *, alone: bool = False, truth: dict[Any, list[Any]] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.memory = copy.copy(memory)
        self.memory.faults = Faults()
        self.audience = Audience()
        self.clock = ServerClock(lambda: EPOCH_S + loop.time(), loop.time)
        self.stores = stores_over(self.memory)
        self.system = ActorSystem(self.stores, rules, self.audience, clock=self.clock, address="here", sole_owner=alone)
        self.told: Told = []
        self.lost_some = False
        """Partitions were taken from it and regained: what was not durable is forgotten."""
        self.journaled: dict[tuple[int, str], list[tuple[AnyEvent, int]]] = truth if truth is not None else {}
        self._seqs: dict[str, int] = {}
        self._watch_steps()

    @property
    def faults(self) -> Faults:
        return self.memory.faults

    def _watch_steps(self) -> None:
        """Look over the scheduler's shoulder."""
        run = self.system.scheduler.run

        def watched(actor: Actor, event: AnyEvent, reply: Reply | None, now: int) -> None:
            before = actor.version
            run(actor, event, reply, now)
            if actor.version != before:
                history = self.journaled.setdefault((actor.kind, actor.key), [])
                known = len(history)
                assert known == before or (self.lost_some and known > before), f"{actor.key}: {before} of {known}"
                del history[before:]
                history.append((event, now))
            if isinstance(reply, Asker):
                reply.actor, reply.version = actor, actor.version

        self.system.scheduler.run = watched  # type: ignore[method-assign]

    async def ready(self) -> Node:
        await self.system.start()
        await self.system.until_ready()
        return self

    async def die(self) -> None:
        """As kill -9 does it: whatever is under way ends where it stands."""
        system = self.system
        for task in system._tasks:
            task.cancel()
        await asyncio.gather(*system._tasks, return_exceptions=True)
        await system.supervisor.close()
        system.scheduler.close()
        system.scheduler._queue.clear()
        system._watchdog.stop()

    # -- what clients do ----------------------------------------------------------------------------------------------

    def ask(self, actor: Actor, event: AnyEvent) -> Asker:
        asker = Asker(self.told)
        asker.actor = actor
        assert self.system.post(actor, event, asker)
        return asker

    def watch(self, user: str = "u1", door: str = "websocket", partition: int | None = None) -> tuple[Actor, Asker]:
        actor = self.system.new_watch(partition)
        return actor, self.ask(actor, Opened(user, "video", "c1", "d1", door, 10_000))

    def heartbeat(self, actor: Actor, session: str | None = None) -> Asker:
        """The next sample of a player that plays since its first."""
        key = session or actor.key
        seq = self._seqs[key] = self._seqs.get(key, 0) + 1
        now = self.clock.now()
        samples = [Sample(seq, now, now % 10_000_000, PLAYING)]
        event = Sampled(now, samples) if session is None else RoomSampled(session, now, samples)
        return self.ask(actor, event)

    async def room(self, room_id: str = "r1") -> Actor:
        actor = await self.system.room(room_id, create=True)
        assert actor is not None
        return actor

    def join(self, room: Actor, user: str, resume: str | None = None) -> tuple[str, Asker]:
        session = self.system.new_session_id(room.partition)
        event = Joined(user, "learner", None, session, resume, "d1", None, 10_000)
        return session, self.ask(room, event)


def stores_over(memory: Memory) -> Stores:
    return Stores(MemoryJournal(memory), MemorySnapshots(memory), MemoryLeases(memory), MemoryQuarantine(memory))


def sound(memory: Memory) -> Memory:
    """The same store over a connection without faults."""
    view = copy.copy(memory)
    view.faults = Faults()
    return view


async def recovered(memory: Memory, rules: Rules = RULES) -> dict[Any, Actor]:
    """What a node would rebuild if all others were dead now; changes nothing."""
    view = sound(memory)
    stores = stores_over(view)
    loader = Loader(rules.room, rules.watch, stores.quarantine, Counters())
    directory = Directory(loader, stores.snapshots, rules.partitions)
    loop = asyncio.get_running_loop()
    clock = ServerClock(lambda: EPOCH_S + loop.time(), loop.time)
    recovery = Recovery(loader, stores.snapshots, stores.journal, directory, clock)
    actors = await recovery.run(range(rules.partitions))
    found: dict[Any, Actor] = {(actor.kind, actor.key): actor for actor in actors}
    for kind, key in list(memory.snapshots):
        if (kind, key) not in found:
            snapshot = memory.snapshots[kind, key]
            found[kind, key] = loader.actor(snapshot.kind, key, snapshot.partition, snapshot)
    return found


def replayed(key: tuple[int, str], history: list[tuple[AnyEvent, int]], rules: Rules = RULES) -> Any:
    """The specification of recovery: a fresh machine that takes the same inputs in again."""
    machine = Room(key[1], RoomState(), rules.room) if key[0] == ROOM else WatchSession(key[1], None, rules.watch)
    for event, now in history:
        machine.step(event, now)
    return machine


def state_of(machine: Any) -> Any:
    """A machine's state without what is only waiting to be written, or to be forgotten."""
    packed = msgspec.msgpack.encode(machine.state)
    kind = RoomState if isinstance(machine, Room) else WatchState | None
    state = msgspec.msgpack.decode(packed, type=kind)
    if isinstance(state, RoomState):
        state.unwritten.clear()
        state.gone.clear()
        state.end = None
        for member in state.members.values():
            # How offline presence is cut into rows depends on what was written in between; its union does not.
            member.unwritten.clear()
            member.numbers = member.open_number = 0
            for stay in member.stays.values():
                stay.number, stay.dirty, stay.row_end = 0, False, -1
            for lapse in member.lapses:
                lapse.number, lapse.dirty, lapse.row_end = 0, False, -1
        for session_id, session in list(state.sessions.items()):
            session.track.closed.clear()
            if session.ended_at is not None:
                del state.sessions[session_id]
    elif state is not None:
        state.track.closed.clear()
    return msgspec.to_builtins(state)
