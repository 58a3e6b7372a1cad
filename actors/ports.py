"""What the actors need of the outside, as protocols. `storage/` fulfils them; the actors name no driver.

Three families of error leave a port:

    StoreAway       the world's: the database cannot be reached or is too slow; try again, nothing is known to be lost
    LeaseLost       the world's: another owner holds these partitions; whoever gets this must stop to write them
    StoreRefused    ours: the store understood and refused (a row that does not fit); repeating it will not help
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from actors.machines.events import AnyEvent
from actors.machines.rows import Rows, SegmentRow, SessionRow

ROOM: Final = 0
WATCH: Final = 1
Kind = Literal[0, 1]


class StoreAway(Exception):
    """The store cannot be reached, or did not answer in time. What was asked may or may not have happened."""


class LeaseLost(Exception):
    """These partitions have another owner, or a higher epoch."""

    def __init__(self, partitions: Collection[int]) -> None:
        super().__init__(f"lease lost for partitions {sorted(partitions)}")
        self.partitions = frozenset(partitions)


class StoreRefused(Exception):
    """The store refused what it was given; the message says why."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One journaled input.

    `version` counts an actor's journaled inputs without gaps, so that a replay can tell what a snapshot already holds;
    `now` is the server time (Unix ms) at which it was taken in.
    """

    kind: Kind
    key: str
    version: int
    now: int
    event: AnyEvent


class Fence(msgspec.Struct, frozen=True):
    """Who writes, and under which epochs: `leases` maps partition to epoch."""

    owner: str
    leases: Mapping[int, int]


class JournalStore(Protocol):
    """The durable log of inputs."""

    async def append(self, fence: Fence, number: int, entries: Sequence[Entry]) -> None:
        """Make a batch durable; (`fence.owner`, `number`) is its idempotency key.

        A batch that was in fact committed before (its answer got lost) is accepted again and changes nothing.
        `fence.leases` names exactly the partitions that the entries belong to. Raises StoreAway, LeaseLost (nothing
        was written), StoreRefused.
        """
        ...

    def read(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Entry]]:
        """All kept batches that touch these partitions, oldest first; a batch may hold entries of other partitions."""
        ...

    async def trim(self, fence: Fence, below: int) -> int:
        """Forget this owner's batches with a number below `below`; returns how many."""
        ...

    async def adopt(self, fence: Fence) -> int:
        """After a recovery was checkpointed, let go of the batches of former owners.

        Those that touch only partitions of `fence` are forgotten; of those that touch others too, the partitions of
        `fence` are taken out. Returns how many were forgotten.
        """
        ...


class Snapshot(msgspec.Struct, frozen=True):
    """An actor as a checkpoint keeps it.

    `body` None: the actor is over, its row goes. `wake_at` (Unix ms): when it wants to be woken, None for never.
    """

    kind: Kind
    key: str
    partition: int
    version: int
    body: bytes | None
    wake_at: int | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A snapshot and the rows it implies: written in one transaction."""

    snapshot: Snapshot
    rows: Rows


class SnapshotStore(Protocol):
    """Checkpoints of actors, with the rows of the projections."""

    async def save(self, fence: Fence, checkpoints: Sequence[Checkpoint]) -> None:
        """Write them all or nothing.

        Never overwrites a snapshot of a higher version; writing the same again changes nothing. Raises StoreAway,
        LeaseLost, StoreRefused.
        """
        ...

    async def load(self, kind: Kind, keys: Collection[str]) -> dict[str, Snapshot]:
        """The snapshots that exist of these."""
        ...

    def awake(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Snapshot]]:
        """Snapshots of these partitions that want to be woken (`wake_at` not None), in batches."""
        ...


class LeaseStore(Protocol):
    """Who owns which partition (database clock only)."""

    async def acquire(
        self, owner: str, address: str, partitions: Collection[int], ttl_s: float, *, force: bool
    ) -> dict[int, int]:
        """Take those that are free, expired, or already `owner`'s own; with `force` all.

        `force`: the caller knows that no other owner can be alive. Every acquisition raises the epoch. Returns
        partition -> epoch of those gained.
        """
        ...

    async def renew(self, fence: Fence, ttl_s: float) -> frozenset[int]:
        """Prolong; returns the partitions that are still ours: same owner, same epoch.

        Those that had expired without anybody taking them are among them.
        """
        ...

    async def release(self, fence: Fence) -> None:
        """Give them up at once, so that another node can take them."""
        ...


class Quarantined(msgspec.Struct, frozen=True):
    """An input that crashed its actor twice."""

    kind: Kind
    key: str
    now: int
    event: AnyEvent
    reason: str


class QuarantineStore(Protocol):
    """Inputs set aside."""

    async def put(self, item: Quarantined) -> None:
        """Keep it for a person to look at. Bounded: the store keeps the newest 10,000."""
        ...


class StoredSession(msgspec.Struct, frozen=True):
    """A session as the store has it."""

    row: SessionRow
    segments: list[SegmentRow]


class SessionReader(Protocol):
    """Questions about sessions that are not in memory."""

    async def session(self, session_id: str) -> SessionRow | None:
        """One session's row."""
        ...

    async def session_with_segments(self, session_id: str) -> StoredSession | None:
        """One session with its segments by number."""
        ...

    async def open_session(self, user_id: str, kind: str, content_id: str, device_id: str) -> SessionRow | None:
        """The latest session of the HTTP door with this key that has not ended."""
        ...
