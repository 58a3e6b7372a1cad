"""Checkpoints: what is dirty is written, with the rows it implies, at least once a minute and staggered.

An actor is dirty from the journal batch that holds its oldest input not covered by a checkpoint. The lowest of these
numbers is the low-water mark: batches below it are forgotten. A snapshot may run ahead of the journal (inputs that
were taken in and not committed yet): nobody was told of them, and their repeats change nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

import structlog

from actors import snapshots
from actors.actor import Actor, Status
from actors.clock import ServerClock
from actors.committer import Committer
from actors.counters import Counters
from actors.machines.rows import Rows
from actors.machines.watch import NEVER
from actors.ports import ROOM, Checkpoint, Fence, JournalStore, LeaseLost, SnapshotStore, StoreAway, StoreRefused

log = structlog.get_logger(__name__)

BATCH_ACTORS: Final = 200
BATCH_ROWS: Final = 5_000
"""A checkpoint that has so many rows takes no more actors in."""
RETRY_MS: Final = 1_000
REFUSED_RETRY_MS: Final = 30_000
QUEUED_MIN: Final = 1_024
"""What a queue may grow to before entries that hold no more are thrown out: they keep actors that were put away."""
FIRST_BATCH: Final = 1


class Checkpointer:
    """The one writer of this node's snapshots and projections."""

    def __init__(
        self,
        store: SnapshotStore,
        journal: JournalStore,
        committer: Committer,
        clock: ServerClock,
        counters: Counters,
        *,
        owner: str,
        epoch_of: Callable[[int], int | None],
        on_lost: Callable[[frozenset[int]], None],
        on_clean: Callable[[Actor], None],
        every_ms: int,
    ) -> None:
        self._store = store
        self._journal = journal
        self._committer = committer
        self._clock = clock
        self._counters = counters
        self._owner = owner
        self._epoch_of = epoch_of
        self._on_lost = on_lost
        self._on_clean = on_clean
        self._every_ms = every_ms
        self._due: list[tuple[int, int, Actor]] = []
        self._due_limit = QUEUED_MIN
        self._due_at: dict[Actor, int] = {}
        """Which entry of `_due` is an actor's one."""
        self._due_count = 0
        self._oldest: deque[tuple[int, Actor]] = deque()
        """By number, lowest first; what a checkpoint has covered since is passed over."""
        self._oldest_limit = QUEUED_MIN
        self._trimmed_below = FIRST_BATCH
        self._may_trim = False
        self._own_from = FIRST_BATCH
        self._over: list[Actor] = []
        """Sessions that are over and written, whose snapshots go when `_forgets` says so."""
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    # -- who is dirty -------------------------------------------------------------------------------------------------

    def mark(self, actor: Actor, now: int) -> None:
        """The actor's next journal batch is the first that no checkpoint covers."""
        actor.dirty_from = self._committer.number
        self._oldest.append((actor.dirty_from, actor))
        if len(self._oldest) > self._oldest_limit:
            self._oldest = deque({(number, each): None for number, each in self._oldest if _holds(number, each)})
            self._oldest_limit = max(QUEUED_MIN, 2 * len(self._oldest))
        # Staggered over the second half of the interval, always at the same place for the same actor.
        half = self._every_ms // 2
        self._push(actor, now + half + crc32(actor.key.encode()) % max(1, half))

    def mark_recovered(self, actor: Actor, now: int) -> None:
        """The actor was rebuilt from the journal: any batch may hold inputs of it that no checkpoint covers.

        Also this owner's own, from before it lost the partition and took it again.
        """
        actor.dirty_from = FIRST_BATCH
        self._oldest.appendleft((FIRST_BATCH, actor))
        self._push(actor, now)

    def recovering(self) -> None:
        """Partitions were lost, or are taken over.

        The journal holds what their former owners left (this one too), and it is needed until that is checkpointed.
        """
        self._may_trim = False
        self._own_from = self._committer.number

    def adopted(self) -> None:
        """All that was rebuilt is checkpointed, and the batches of former owners are forgotten."""
        self._may_trim = True
        self._forget_over()

    @property
    def _forgets(self) -> bool:
        """Whether the snapshot of a session that is over may go.

        Not while batches from before the take-over are kept. An owner that died may have written snapshots ahead of its
        journal, which then has gaps: replayed without a snapshot, such a session would come back as another.
        """
        return self._may_trim and self._trimmed_below >= self._own_from

    def _forget_over(self) -> None:
        if self._over and self._forgets:
            over, self._over = self._over, []
            now = self._clock.now()
            for actor in over:
                if actor.status is Status.RUNNING and actor.dirty_from is None:
                    self.mark(actor, now)
                    self._push(actor, now)

    def hasten(self, actor: Actor, at: int) -> None:
        """Something worth reading happened (a room turned, a session ended): write it at `at` (Unix ms)."""
        if actor.dirty_from is not None:
            self._push(actor, at)

    def _push(self, actor: Actor, at: int) -> None:
        known = self._due_at.get(actor)
        if known is not None and known <= at:
            return
        self._due_at[actor] = at
        self._due_count += 1
        heapq.heappush(self._due, (at, self._due_count, actor))
        if len(self._due) > self._due_limit:
            self._due = [entry for entry in self._due if self._due_at.get(entry[2]) == entry[0]]
            heapq.heapify(self._due)
            self._due_limit = max(QUEUED_MIN, 2 * len(self._due))
        if self._due[0][2] is actor:
            self._wake.set()

    @property
    def dirty(self) -> int:
        """Actors that wait for a checkpoint."""
        return len(self._due_at)

    def low_water(self) -> int:
        """Batches below this number are covered by checkpoints."""
        while self._oldest:
            number, actor = self._oldest[0]
            if _holds(number, actor):
                return number
            self._oldest.popleft()
        return self._committer.number if not self._committer.backlog else 0

    @property
    def trimmed_below(self) -> int:
        """Batches below this number are gone from the journal; 0 while it may hold those of former owners."""
        return self._trimmed_below if self._may_trim else 0

    # -- writing ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what is due, for ever; ends by cancellation."""
        while True:
            self._wake.clear()
            now = self._clock.now()
            if self._due and self._due[0][0] <= now:
                if not await self._write_due(now):
                    await asyncio.sleep(RETRY_MS / 1000)
                continue
            wait = (self._due[0][0] - now) / 1000 if self._due else None
            try:
                # Not `wait_for`: before Python 3.12 it can swallow a cancellation.
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def write_all(self, deadline_s: float) -> bool:
        """Write everything that is dirty (drain); False where the time did not suffice."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    # Behind what is being written now: if that fails, it is due again.
                    await self.at_rest()
                    if not self._due_at:
                        break
                    failures = self._counters.checkpoint_failures
                    await self._write_due(NEVER)
                    if self._counters.checkpoint_failures != failures:
                        await asyncio.sleep(RETRY_MS / 1000)
                await self._trim()
        except TimeoutError:
            return False
        return True

    async def write_now(self, actor: Actor) -> None:
        """Write one actor, whether it is due or not; raises what the store raises."""
        async with self._lock:
            await self._save([actor])

    async def at_rest(self) -> None:
        """Wait until no checkpoint is under way that was when this was called."""
        async with self._lock:
            return

    async def _write_due(self, now: int) -> bool:
        """Returns whether the store was there."""
        async with self._lock:
            actors: list[Actor] = []
            while self._due and self._due[0][0] <= now and len(actors) < BATCH_ACTORS:
                at, _, actor = heapq.heappop(self._due)
                if self._due_at.get(actor) == at:
                    del self._due_at[actor]
                    actors.append(actor)
            there = not actors or await self._save_or_put_off(actors)
        await self._trim()
        return there

    async def _save_or_put_off(self, actors: Sequence[Actor]) -> bool:
        now = self._clock.now()
        try:
            await self._save(actors)
        except StoreAway:
            self._counters.checkpoint_failures += 1
            self._put_off(actors, now + RETRY_MS)
            return False
        except LeaseLost as error:
            self._put_off([actor for actor in actors if actor.partition in error.partitions], now + RETRY_MS)
            self._put_off([actor for actor in actors if actor.partition not in error.partitions], now)
        except StoreRefused as error:
            self._counters.checkpoint_failures += 1
            if len(actors) > 1:
                return await self._save_one_by_one(actors)
            # One actor's rows do not fit: it keeps its journal, the others go on.
            log.error("checkpoint.refused", actor=actors[0].key, reason=str(error))  # noqa: TRY400 - a reason, no fault
            self._put_off(actors, now + REFUSED_RETRY_MS)
        return True

    async def _save_one_by_one(self, actors: Sequence[Actor]) -> bool:
        for index, actor in enumerate(actors):
            if not await self._save_or_put_off([actor]):
                self._put_off(actors[index:], self._clock.now() + RETRY_MS)
                return False
        return True

    def _put_off(self, actors: Sequence[Actor], until: int) -> None:
        for actor in actors:
            if actor.dirty_from is not None and actor.status is not Status.RETIRED:
                self._push(actor, until)

    async def _save(self, actors: Sequence[Actor]) -> None:  # noqa: C901 - one story, in order
        leases: dict[int, int] = {}
        lost: set[int] = set()
        for actor in actors:
            epoch = self._epoch_of(actor.partition)
            if epoch is None:
                lost.add(actor.partition)
            else:
                leases[actor.partition] = epoch
        if lost:
            raise LeaseLost(lost)
        if any(snapshots.is_over(actor.machine) for actor in actors):
            # With its snapshot goes what says how far the rows are ahead of the journal: they must not be.
            await self._committer.settled()
        taken: list[tuple[Actor, Rows]] = []
        try:
            checkpoints = await self._take(actors, taken)
            if checkpoints:
                await self._store.save(Fence(self._owner, leases), checkpoints)
        except BaseException as error:
            for actor, rows in taken:
                self._give_back(actor, rows)
            if isinstance(error, LeaseLost):
                # Not those that were lost and taken again meanwhile: that life is another.
                self._on_lost(frozenset(each for each in error.partitions if self._epoch_of(each) == leases.get(each)))
            raise
        for (actor, rows), checkpoint in zip(taken, checkpoints, strict=True):
            actor.saving_from = None
            actor.machine.written(rows)
            if snapshots.is_over(actor.machine) and checkpoint.snapshot.body is not None:
                self._over.append(actor)
            elif actor.dirty_from is None:
                self._on_clean(actor)
        self._counters.checkpoints += len(taken)

    async def _take(self, actors: Sequence[Actor], taken: list[tuple[Actor, Rows]]) -> list[Checkpoint]:
        """Checkpoints of those that are dirty and run; `taken` gets whom to tell how it went."""
        checkpoints: list[Checkpoint] = []
        rows_taken = 0
        for index, actor in enumerate(actors):
            if index and index % 20 == 0:
                await asyncio.sleep(0)
            if actor.dirty_from is None or actor.status is not Status.RUNNING:
                # One that is being rebuilt is written when it runs again: its machine may be half way through a step.
                continue
            if rows_taken >= BATCH_ROWS:
                self._push(actor, self._clock.now())
                continue
            try:
                rows = actor.machine.rows()
                checkpoint = Checkpoint(snapshots.take(actor, keep=not self._forgets), rows)
            except Exception:
                # Ours, and this actor's alone: it keeps its journal, the others go on.
                self._counters.checkpoint_failures += 1
                log.exception("checkpoint.not_made", actor=actor.key)
                if actor.kind == ROOM:
                    actor.room.mark_all()
                self._push(actor, self._clock.now() + REFUSED_RETRY_MS)
                continue
            actor.saving_from, actor.dirty_from = actor.dirty_from, None
            taken.append((actor, rows))
            checkpoints.append(checkpoint)
            rows_taken += len(rows.sessions) + len(rows.segments) + len(rows.presences) + len(rows.attendances)
        return checkpoints

    def _give_back(self, actor: Actor, rows: Rows) -> None:
        # Its entry in `_oldest` is still there: `saving_from` held it.
        actor.machine.unwritten(rows)
        actor.dirty_from, actor.saving_from = actor.saving_from, None

    async def _trim(self) -> None:
        below = self.low_water()
        # From its oldest end only: what former owners left goes first.
        if below <= self._trimmed_below or not self._may_trim:
            return
        try:
            leases = Fence(self._owner, {})
            self._counters.trimmed += await self._journal.trim(leases, below)
            self._trimmed_below = below
            self._forget_over()
        except (StoreAway, LeaseLost, StoreRefused) as error:
            log.warning("journal.not_trimmed", reason=str(error))


def _holds(number: int, actor: Actor) -> bool:
    """Whether batch `number` is the oldest that the actor still needs."""
    return number in (actor.dirty_from, actor.saving_from) and actor.status is not Status.RETIRED
