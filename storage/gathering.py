"""Group commit for what needs no actor: many callers, few writes, an answer only when it is durable.

    put --> waiting --> one write at a time, of all that waits --> each caller's own result

What comes in while a write is under way is written together by the next one. While batches come full, the next write
first waits a few milliseconds: it costs the database and this process nearly the same for one item as for two hundred.

A write may hang for longer than any caller listens. Where `told_after_s` is given, they are told then, whatever becomes
of the write; those of them that are not in it are let go, since they will come again.

Full case: what waits and what is being written together weigh at most `limit`; beyond it `put` raises `Full` and has
kept nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from math import inf
from typing import Final, Generic, TypeVar

from actors.ports import StoreAway, StoreRefused

LINGER_S: Final = 0.008
BUSY_BATCH: Final = 4
"""A batch of at least so many items says that the next one fills by itself."""
RETRY_S: Final = 0.25

Item = TypeVar("Item")
Result = TypeVar("Result")
Write = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
"""Writes all or nothing; one result an item, in order. Raises StoreAway, StoreRefused. It is repeated when storage was
away, perhaps after it had been committed: what it writes must be known again by a key that the item brings along."""


class Full(Exception):
    """Too much waits for storage; nothing was kept."""


class _Waiting(Generic[Item, Result]):
    __slots__ = ("done", "given_up_at", "item", "weight")

    def __init__(self, item: Item, weight: int, done: asyncio.Future[Result], given_up_at: float) -> None:
        self.item = item
        self.weight = weight
        self.done = done
        self.given_up_at = given_up_at


class Gathering(Generic[Item, Result]):
    """One for each kind of thing that is written together. To be made inside the running event loop.

    `batch` and `limit` count weights (1 an item unless `put` is told otherwise); one item heavier than `batch` is a
    batch of its own. `patience_s` is how long an item outlasts a storage that is away before its caller is told, and
    `told_after_s` one that says nothing at all (by default as long as it takes; never less than `patience_s`).
    """

    def __init__(
        self,
        write: Write[Item, Result],
        *,
        batch: int,
        limit: int,
        patience_s: float,
        linger_s: float = LINGER_S,
        told_after_s: float = inf,
    ) -> None:
        self._write = write
        self._batch = batch
        self._limit = limit
        self._patience_s = patience_s
        self._linger_s = linger_s
        self._longer_s = max(0.0, told_after_s - patience_s)
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._weight = 0
        self._last = 0
        self._running: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def weight(self) -> int:
        """Of all that is not durable yet."""
        return self._weight

    async def put(self, item: Item, weight: int = 1) -> Result:
        """Have it written; the result when it is durable. Raises Full, StoreAway, StoreRefused.

        Whoever is cancelled here gives up the answer; the item may be written all the same.
        """
        if self._weight + weight > self._limit:
            raise Full
        done: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append(_Waiting(item, weight, done, self._loop.time() + self._patience_s))
        self._weight += weight
        if self._running is None:
            self._running = self._loop.create_task(self._run(), name="gathered writes")
        return await done

    async def settle(self) -> None:
        """Until all that was put in is written or given up."""
        while self._running is not None:
            await asyncio.wait([self._running])

    # -- writing ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._waiting:
                if self._last >= BUSY_BATCH:
                    await asyncio.sleep(self._linger_s)
                batch = self._cut()
                if not batch:
                    break
                self._last = len(batch)
                self._watch(batch)
                try:
                    await self._write_all(batch)
                except Exception as error:  # noqa: BLE001 - ours: told to those who wait, who would wait for ever
                    for one in batch:
                        _fail(one, error)
                finally:
                    self._unwatch()
                patient = [one for one in batch if not one.done.done()]
                self._weight -= sum(one.weight for one in batch) - sum(one.weight for one in patient)
                self._waiting.extendleft(reversed(patient))
        finally:
            self._running = None

    def _cut(self) -> list[_Waiting[Item, Result]]:
        """The next to be written; whoever was told that it is not is left out."""
        batch: list[_Waiting[Item, Result]] = []
        weight = 0
        while self._waiting and (not batch or weight + self._waiting[0].weight <= self._batch):
            one = self._waiting.popleft()
            if one.done.done() and not one.done.cancelled():  # a caller who is gone was told nothing
                self._weight -= one.weight
                continue
            batch.append(one)
            weight += one.weight
        return batch

    def _watch(self, batch: list[_Waiting[Item, Result]]) -> None:
        """See to it that callers are told in time, should the write of `batch` hang."""
        if self._longer_s < inf:
            self._alarm = self._loop.call_at(batch[0].given_up_at + self._longer_s, self._tell, batch)

    def _tell(self, batch: list[_Waiting[Item, Result]]) -> None:
        told_before = self._loop.time() - self._longer_s
        for one in chain(batch, self._waiting):
            if one.given_up_at <= told_before:
                _fail(one, StoreAway("storage does not answer"))
        self._alarm = self._loop.call_later(RETRY_S, self._tell, batch)

    def _unwatch(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _write_all(self, batch: list[_Waiting[Item, Result]]) -> None:
        """Write a batch; where storage refuses it, its items one by one: what does not fit takes none along."""
        try:
            results = await self._patiently(batch)
        except StoreRefused as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for one in batch:
                await self._write_all([one])
            return
        except StoreAway as error:
            now = self._loop.time()
            for one in batch:
                if one.given_up_at <= now + RETRY_S:
                    _fail(one, error)
            return
        for one, result in zip(batch, results, strict=True):
            if not one.done.done():
                one.done.set_result(result)

    async def _patiently(self, batch: list[_Waiting[Item, Result]]) -> Sequence[Result]:
        """Write, again and again while storage is away and nobody of the batch must be told yet."""
        patient_until = min(one.given_up_at for one in batch)
        while True:
            try:
                return await self._write([one.item for one in batch])
            except StoreAway:
                if self._loop.time() + RETRY_S >= patient_until:
                    raise
            await asyncio.sleep(RETRY_S)


def _fail(one: _Waiting[Item, Result], error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)
