"""Group commit: inputs go to the journal in batches, and answers leave when their batch is durable.

The next batch is cut when the last has been committed and something waits. While batches come full (many players) the
committer lingers a few milliseconds first: a commit costs the database and this process the same for one entry as for
two hundred. An answer that needed no entry leaves with whatever is under way before it, so answers keep their order.

Full case: `backlog` entries wait for the database; `full` then makes the edges refuse new samples with `busy`, and
nothing that was taken in is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import structlog

from actors.actor import Actor, Reply
from actors.clock import ServerClock
from actors.counters import Counters
from actors.machines.effects import Effect
from actors.machines.events import AnyEvent
from actors.ports import Entry, Fence, JournalStore, LeaseLost, StoreAway, StoreRefused

log = structlog.get_logger(__name__)

LINGER_S: Final = 0.008
BUSY_BATCH: Final = 4
"""A batch of at least so many entries says that the next one fills by itself."""
BATCH_MAX: Final = 4_000
"""Entries in one journal row: some 100 KB compressed, a few milliseconds of encoding."""
SEAL_AT: Final = BATCH_MAX // 2
"""A turn of the scheduler brings some 2,000 inputs at the most: sealed behind it, a batch fits into a row, and which
answers are whose is known."""
RELEASE_SLICE: Final = 500
RETRY_FIRST_S: Final = 0.05
RETRY_MOST_S: Final = 1.0

Waiting = tuple[Actor, Reply, list[Effect]]
Input = tuple[Actor, int, int, AnyEvent]


class Batch:
    """What is committed together: the inputs, and the answers that leave with them."""

    __slots__ = ("done", "inputs", "replies")

    def __init__(self, inputs: list[Input], replies: list[Waiting]) -> None:
        self.inputs = inputs
        self.replies = replies
        self.done = asyncio.Event()
        """Durable and answered, or lost to another owner."""

    def drop(self, partitions: Collection[int]) -> None:
        """These partitions are another's now."""
        self.inputs = [item for item in self.inputs if item[0].partition not in partitions]
        self.replies = [item for item in self.replies if item[0].partition not in partitions]


class Committer:
    """The one writer of this node's journal."""

    def __init__(
        self,
        store: JournalStore,
        clock: ServerClock,
        counters: Counters,
        *,
        owner: str,
        epoch_of: Callable[[int], int | None],
        on_lost: Callable[[frozenset[int]], None],
        limit: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._owner = owner
        self._epoch_of = epoch_of
        self._on_lost = on_lost
        self._limit = limit
        self.inputs: list[Input] = []
        """What the next batch will hold; the scheduler appends (actor, version, now, event)."""
        self.replies: list[Waiting] = []
        self.number = 1
        """The next batch's number."""
        self.away_since: int | None = None
        """Since when the database has not taken a batch, server time."""
        self._sealed: deque[Batch] = deque()
        """Batches that are full and wait for their turn."""
        self._flying: Batch | None = None
        self._inputs_ahead = 0
        self._replies_ahead = 0
        self._idle = True
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Entries that are not durable yet."""
        return len(self.inputs) + self._inputs_ahead

    @property
    def full(self) -> bool:
        """Whether new samples must be refused. Repeats make no entries, but their answers wait too."""
        limit = self._limit
        return len(self.inputs) + self._inputs_ahead >= limit or len(self.replies) + self._replies_ahead >= limit

    def kick(self) -> None:
        """Something was appended."""
        if self._idle:
            if not self.inputs:
                self._release_now()
                return
            self._idle = False
        if len(self.inputs) >= SEAL_AT:
            self._seal()
        self._wake.set()

    def _release_now(self) -> None:
        replies, self.replies = self.replies, []
        for waiting in replies:
            self._release(waiting)

    async def run(self) -> None:
        """Commit for ever; ends by cancellation."""
        last = 0
        while True:
            await self._wake.wait()
            if last >= BUSY_BATCH and not self._sealed and len(self.inputs) < BATCH_MAX:
                await asyncio.sleep(LINGER_S)
            self._wake.clear()
            last = await self._flush()
            if self.inputs or self.replies or self._sealed:
                self._wake.set()
            else:
                self._idle = True

    async def settled(self) -> None:
        """Wait until all that was taken in before this call is durable, whatever comes meanwhile."""
        if self.inputs or self.replies:
            self._seal()
        last = self._sealed[-1] if self._sealed else self._flying
        if last is not None:
            self._idle = False
            self._wake.set()
            await last.done.wait()

    def forget(self, partitions: frozenset[int]) -> None:
        """These partitions are another's now: what waits for them will never be durable here."""
        waiting = Batch(self.inputs, self.replies)
        waiting.drop(partitions)
        self.inputs, self.replies = waiting.inputs, waiting.replies
        for batch in self._under_way():
            batch.drop(partitions)
        self._count_ahead()

    # -- batches ------------------------------------------------------------------------------------------------------

    def _seal(self) -> None:
        self._sealed.append(Batch(self.inputs, self.replies))
        self.inputs, self.replies = [], []
        self._count_ahead()

    def _under_way(self) -> list[Batch]:
        return [*self._sealed] if self._flying is None else [self._flying, *self._sealed]

    def _count_ahead(self) -> None:
        batches = self._under_way()
        self._inputs_ahead = sum(len(batch.inputs) for batch in batches)
        self._replies_ahead = sum(len(batch.replies) for batch in batches)

    def _next(self) -> Batch:
        if not self._sealed:
            self._seal()
        batch = self._sealed.popleft()
        if len(batch.inputs) <= BATCH_MAX:
            return batch
        # One turn brought more than a row may hold. Its answers wait for the last of them.
        first = Batch(batch.inputs[:BATCH_MAX], [])
        batch.inputs = batch.inputs[BATCH_MAX:]
        self._sealed.appendleft(batch)
        return first

    async def _flush(self) -> int:
        batch = self._flying = self._next()
        if batch.inputs:
            await self._append(batch)
            self._count(batch.inputs)
        entries = len(batch.inputs)
        batch.inputs = []
        self._count_ahead()
        while batch.replies:
            replies, batch.replies = batch.replies[:RELEASE_SLICE], batch.replies[RELEASE_SLICE:]
            for waiting in replies:
                self._release(waiting)
            if batch.replies:
                await asyncio.sleep(0)
        self._flying = None
        self._count_ahead()
        batch.done.set()
        return entries

    async def _append(self, batch: Batch) -> None:
        wait = RETRY_FIRST_S
        number = size = 0
        entries: list[Entry] = []
        while batch.inputs:
            if size != len(batch.inputs):
                # New, or without what was lost. The former number may be stored already, with the former entries.
                size = len(batch.inputs)
                number = self.number
                self.number += 1
                entries = [
                    Entry(actor.kind, actor.key, version, now, event) for actor, version, now, event in batch.inputs
                ]
            leases: Mapping[int, int] = {}
            try:
                fence = self._fence(batch.inputs)
                leases = fence.leases
                await self._store.append(fence, number, entries)
            except LeaseLost as error:
                # Not those that were lost and taken again meanwhile: that life is another.
                self._on_lost(frozenset(each for each in error.partitions if self._epoch_of(each) == leases.get(each)))
                batch.drop(error.partitions)
                self._count_ahead()
                if size != len(batch.inputs):
                    continue
            except (StoreAway, StoreRefused) as error:
                self._counters.flush_failures += 1
                if self.away_since is None:
                    self.away_since = self._clock.now()
                    log.warning("journal.waiting", entries=len(entries), reason=str(error))
            else:
                self.away_since = None
                return
            await asyncio.sleep(wait)
            wait = min(RETRY_MOST_S, wait * 2)
        # Nothing of it is left to be tried again; the next batch will tell whether the store is there.
        self.away_since = None

    def _fence(self, inputs: Sequence[Input]) -> Fence:
        leases: dict[int, int] = {}
        lost: list[int] = []
        for partition in {item[0].partition for item in inputs}:
            epoch = self._epoch_of(partition)
            if epoch is None:
                lost.append(partition)
            else:
                leases[partition] = epoch
        if lost:
            raise LeaseLost(lost)
        return Fence(self._owner, leases)

    def _count(self, inputs: list[Input]) -> None:
        counters = self._counters
        counters.flushes += 1
        counters.journaled += len(inputs)
        counters.batch_entries.observe(len(inputs))
        now = self._clock.now()
        taken, times = -1, 0
        for item in inputs:
            if item[2] != taken:
                if times:
                    counters.commit_ms.observe(now - taken, times)
                taken, times = item[2], 0
            times += 1
        if times:
            counters.commit_ms.observe(now - taken, times)

    def _release(self, waiting: Waiting) -> None:
        try:
            waiting[1].release(waiting[2])
        except Exception:
            # One socket's trouble is not the next one's: the answer is lost, its client asks again.
            self._counters.released_with_error += 1
            log.exception("reply.failed", actor=waiting[0].key)
