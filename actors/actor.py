"""An actor: a machine with a mailbox, a place in the journal, and a life.

loading --> running --crash--> rebuilding --> running
               |----- nothing left to do ----> retired
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any, Protocol

from actors.machines.effects import Effect
from actors.machines.events import AnyEvent
from actors.machines.room import Room
from actors.machines.watch import NEVER, WatchSession
from actors.ports import ROOM, Kind

Machine = Room | WatchSession


class Status(Enum):
    """Where an actor stands in its life."""

    RUNNING = 1
    REBUILDING = 2
    RETIRED = 3


class Reply(Protocol):
    """Who asked. `stage` runs with the step, and sees the machine as it is; `release` once all of it is durable."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Note what the answer needs of the machine's state at this moment."""
        ...

    def release(self, effects: list[Effect]) -> None:
        """Send the answer."""
        ...


Mail = tuple["Actor", AnyEvent, "Reply | None"]


class Actor:
    """One room or one watch session of this node."""

    __slots__ = (
        "armed_at",
        "backlog",
        "dirty_from",
        "key",
        "kind",
        "last_mail_at",
        "machine",
        "partition",
        "pending",
        "saving_from",
        "status",
        "streams",
        "version",
    )

    def __init__(self, kind: Kind, key: str, partition: int, machine: Machine, version: int) -> None:
        self.kind: Kind = kind
        self.key = key
        self.partition = partition
        self.machine = machine
        self.version = version
        """Journaled inputs so far."""
        self.status = Status.RUNNING
        self.pending = 0
        """Mail that waits; bounded by the scheduler."""
        self.backlog: deque[tuple[Any, Any]] = deque()
        """Mail that came while the actor was being rebuilt."""
        self.armed_at = NEVER
        self.dirty_from: int | None = None
        """Number of the oldest journal batch that the last checkpoint does not cover."""
        self.saving_from: int | None = None
        """The same, of a checkpoint that is on its way."""
        self.streams = 0
        """Sockets that carry a stream of this actor."""
        self.last_mail_at = 0

    @property
    def room(self) -> Room:
        """The machine of a room."""
        assert isinstance(self.machine, Room)
        return self.machine

    @property
    def watch(self) -> WatchSession:
        """The machine of a watch session."""
        assert isinstance(self.machine, WatchSession)
        return self.machine

    @property
    def idle(self) -> bool:
        """Nothing to do, nothing to write, nobody attached: may be retired."""
        return (
            self.status is Status.RUNNING
            and not self.pending
            and not self.streams
            and self.dirty_from is None
            and self.saving_from is None
            and (self.machine.wake_at >= NEVER or (self.kind != ROOM and self.watch.ended))
        )
