"""Where every actor of this node is found. Actors start on demand, and are forgotten when nothing is left to do.

Bound: actors in memory are those with open streams, unwritten facts or a deadline; `loads_max` are read at once, and
whoever comes beyond waits in line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from actors.actor import Actor, Status
from actors.loader import Loader
from actors.loads import Loads
from actors.machines.holding import HTTP
from actors.machines.room import Room
from actors.ports import ROOM, Kind, SnapshotStore
from protocol import ids

SIMPLE: Final = "simple"
"""The door of `POST /api/v1/videos/engagement/heartbeat`."""

Watcher = tuple[str, str, str]
"""A learner and a content: (user, kind, content)."""


class NotOwned(Exception):
    """The partition is not this node's, or not yet: try again."""


class Directory:
    """One a process."""

    def __init__(self, loader: Loader, store: SnapshotStore, partitions: int) -> None:
        self._loader = loader
        self._partitions = partitions
        self.owned: dict[int, int] = {}
        """Partition -> epoch, of those whose actors may run here."""
        self.rooms: dict[str, Actor] = {}
        self.watches: dict[str, Actor] = {}
        self.keyed: dict[tuple[str, str, str, str], str] = {}
        """(user, kind, content, device) -> session, of running sessions that began over HTTP (reading 4)."""
        self.simple: dict[Watcher, str] = {}
        """Watcher -> session, of running sessions that began at the simple door: one each."""
        self._watching: dict[Watcher, list[str]] = {}
        self._loading: dict[tuple[Kind, str], asyncio.Task[Actor | None]] = {}
        self._loads = Loads(store)

    def partition(self, kind: Kind, key: str) -> int:
        """The partition that an actor lives in. Raises `NotOwned` where a session id has a foreign form."""
        if kind == ROOM:
            return ids.partition_of(key, self._partitions)
        partition = ids.session_partition(key)
        if partition is None or partition >= self._partitions:
            raise NotOwned(key)
        return partition

    def check(self, partition: int) -> int:
        """The partition, where it is owned; else raises `NotOwned`."""
        if partition not in self.owned:
            raise NotOwned(partition)
        return partition

    def find(self, kind: Kind, key: str) -> Actor | None:
        """The actor, if it is in memory."""
        return (self.rooms if kind == ROOM else self.watches).get(key)

    def add(self, actor: Actor) -> None:
        """It is in memory from now on."""
        (self.rooms if actor.kind == ROOM else self.watches)[actor.key] = actor
        key = _http_key(actor)
        # Ids rise with time: of several the newest is meant (reading 4).
        if key is not None and not actor.watch.ended and self.keyed.get(key, "") < actor.key:
            self.keyed[key] = actor.key
        watcher = _watcher(actor)
        if watcher is not None:
            self.note(watcher, actor)
            if _is_simple(actor) and not actor.watch.ended and self.simple.get(watcher, "") < actor.key:
                self.simple[watcher] = actor.key

    def note(self, watcher: Watcher, actor: Actor) -> None:
        """This new session is the watcher's; one that has a state says so itself."""
        self._watching.setdefault(watcher, []).append(actor.key)

    def forget_watcher(self, user_id: str) -> None:
        """No new heartbeat finds this learner's sessions: the next one begins another."""
        for known in (self.simple, self._watching):
            for watcher in [watcher for watcher in known if watcher[0] == user_id]:
                del known[watcher]

    def sessions_of(self, watcher: Watcher) -> list[Actor]:
        """The watcher's sessions in memory, by any door; those that are over too, until they are written."""
        keys = self._watching.get(watcher, ())
        return [actor for actor in map(self.watches.get, keys) if actor is not None]

    def drop(self, actor: Actor) -> None:
        """Forget it; it must have nothing left to write."""
        actor.status = Status.RETIRED
        (self.rooms if actor.kind == ROOM else self.watches).pop(actor.key, None)
        key = _http_key(actor)
        if key is not None and self.keyed.get(key) == actor.key:
            del self.keyed[key]
        watcher = _watcher(actor)
        if watcher is not None:
            self._forget(watcher, actor)

    def _forget(self, watcher: Watcher, actor: Actor) -> None:
        if self.simple.get(watcher) == actor.key:
            del self.simple[watcher]
        left = [key for key in self._watching.get(watcher, ()) if key != actor.key and key in self.watches]
        if left:
            self._watching[watcher] = left
        else:
            self._watching.pop(watcher, None)

    def of_partitions(self, partitions: frozenset[int]) -> list[Actor]:
        """All actors in memory of these."""
        return [actor for actor in self if actor.partition in partitions]

    def __iter__(self) -> Iterator[Actor]:
        yield from self.rooms.values()
        yield from self.watches.values()

    def __len__(self) -> int:
        return len(self.rooms) + len(self.watches)

    async def open(self, kind: Kind, key: str, *, create: bool) -> Actor | None:
        """The actor, out of memory or the store; a new one where there is none and `create` says so.

        Raises `NotOwned`, and `StoreAway` where the store cannot be asked.
        """
        actor = self.find(kind, key)
        if actor is not None:
            return actor
        partition = self.check(self.partition(kind, key))
        epoch = self.owned[partition]
        task = self._loading.get((kind, key))
        if task is None:
            task = asyncio.create_task(self._load(kind, key, partition, epoch))
            self._loading[kind, key] = task
            task.add_done_callback(lambda _: self._loading.pop((kind, key), None))
        # Shielded: one impatient caller must not take the actor away from the others.
        actor = await asyncio.shield(task)
        if actor is None and create:
            actor = self.find(kind, key)
            if actor is None:
                self._check_still(partition, epoch)
                actor = self._loader.actor(kind, key, partition, None)
                self.add(actor)
        return actor

    def _check_still(self, partition: int, epoch: int) -> None:
        """What was read under an epoch says nothing under the next: another owner may have written meanwhile."""
        if self.owned.get(partition) != epoch:
            raise NotOwned(partition)

    async def _load(self, kind: Kind, key: str, partition: int, epoch: int) -> Actor | None:
        snapshot = await self._loads.load(kind, key)
        existing = self.find(kind, key)
        if existing is not None:
            return existing
        if snapshot is None:
            return None
        self._check_still(partition, epoch)
        actor = self._loader.actor(kind, key, partition, snapshot)
        self.add(actor)
        return actor

    async def peek(self, room_id: str) -> Room | None:
        """A room's machine out of its snapshot, for reading: no actor is made of it, and no incarnation begins."""
        partition = self.check(self.partition(ROOM, room_id))
        snapshot = await self._loads.load(ROOM, room_id)
        known = self.find(ROOM, room_id)
        if known is not None:
            return known.room
        return None if snapshot is None else self._loader.actor(ROOM, room_id, partition, snapshot).room

    def room_of_session(self, session_id: str) -> Actor | None:
        """The room in memory that carries this session."""
        partition = ids.session_partition(session_id)
        for actor in self.rooms.values():
            if actor.partition == partition and session_id in actor.room.state.sessions:
                return actor
        return None


def _http_key(actor: Actor) -> tuple[str, str, str, str] | None:
    """Under which a post without `session_id` finds this session."""
    if actor.kind == ROOM:
        return None
    state = actor.watch.state
    if state is None or state.door != HTTP:
        return None
    return state.user_id, state.kind, state.content_id, state.device_id


def _watcher(actor: Actor) -> Watcher | None:
    if actor.kind == ROOM:
        return None
    state = actor.watch.state
    return None if state is None else (state.user_id, state.kind, state.content_id)


def _is_simple(actor: Actor) -> bool:
    state = actor.watch.state
    return state is not None and state.door == SIMPLE
