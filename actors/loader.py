"""Actors out of the store: a snapshot, then the journal's inputs that it does not hold yet, in order."""

from __future__ import annotations

import structlog

from actors import snapshots
from actors.actor import Actor, Machine
from actors.counters import Counters
from actors.machines.room import Room
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import WatchRules, WatchSession
from actors.ports import ROOM, Entry, Kind, Quarantined, QuarantineStore, Snapshot

log = structlog.get_logger(__name__)


class Loader:
    """Knows the rules that machines are built with."""

    def __init__(
        self, room_rules: RoomRules, watch_rules: WatchRules, quarantine: QuarantineStore, counters: Counters
    ) -> None:
        self.room_rules = room_rules
        self.watch_rules = watch_rules
        self._quarantine = quarantine
        self._counters = counters

    def machine(self, kind: Kind, key: str, body: bytes | None) -> Machine:
        """A machine from a snapshot's body, or a new one."""
        if kind == ROOM:
            room = Room(key, snapshots.room_state(body) if body else RoomState(), self.room_rules)
            room.settle()
            return room
        watch = WatchSession(key, snapshots.watch_state(body) if body else None, self.watch_rules)
        watch.settle()
        return watch

    def actor(self, kind: Kind, key: str, partition: int, snapshot: Snapshot | None) -> Actor:
        """An actor as its last checkpoint left it."""
        machine = self.machine(kind, key, snapshot.body if snapshot else None)
        return Actor(kind, key, partition, machine, snapshot.version if snapshot else 0)

    async def replay(self, actor: Actor, entry: Entry) -> bool:
        """Take a journaled input in again; answers went out when it was taken in first. Returns whether it was due.

        One that crashes the machine is set aside: whatever it was, the inputs behind it are owed too.
        """
        if entry.version <= actor.version:
            return False
        if not actor.version and entry.version > 1 and actor.kind != ROOM:
            # Its beginning is forgotten, and so is its snapshot: it was over and written.
            actor.version = entry.version
            return False
        if entry.version != actor.version + 1:
            log.error("journal.gap", actor=actor.key, expected=actor.version + 1, found=entry.version)
        actor.version = entry.version
        try:
            actor.machine.step(entry.event, entry.now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is set aside with its reason
            await self.set_aside(actor, entry.event, entry.now, error)
        self._counters.replayed += 1
        return True

    async def set_aside(self, actor: Actor, event: object, now: int, error: Exception) -> None:
        """Keep an input that crashes its actor for a person to look at."""
        reason = f"{type(error).__name__}: {error}"
        await self._quarantine.put(Quarantined(actor.kind, actor.key, now, event, reason))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._counters.quarantined += 1
        log.error("input.set_aside", actor=actor.key, event_type=type(event).__name__, reason=reason)

    @staticmethod
    def copy_state(state: object) -> bytes | None:
        """A machine's state as bytes, apart from the machine."""
        return None if state is None else snapshots.PLAIN + snapshots.encode(state)

    def from_copy(self, kind: Kind, key: str, body: bytes | None) -> Machine:
        """A machine from `copy_state`; unlike one from the store it may hold facts that are not written yet."""
        if kind == ROOM:
            room = Room(key, snapshots.room_state(body) if body else RoomState(), self.room_rules)
            room.mark_all()
            return room
        return WatchSession(key, snapshots.watch_state(body) if body else None, self.watch_rules)

    def renew(self, actor: Actor) -> None:
        """After a replay: what a machine keeps beside its state (diffs told, deadlines) begins anew."""
        if isinstance(actor.machine, Room):
            old = actor.machine
            actor.machine = Room(actor.key, old.state, self.room_rules)
            actor.machine.take_over(old)
