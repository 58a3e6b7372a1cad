"""A bounded memory in front of a store: what is asked often is read once, what is missing is read many at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

from actors.ports import StoreAway

AT_ONCE: Final = 1_000
"""Facts a question to the store."""
WAITING_MAX: Final = 20_000
"""Facts that are waited for; whoever wants one more is told that the store is away."""

K = TypeVar("K", bound=tuple[str, ...])
V = TypeVar("V")


class Facts(Generic[K, V]):
    """Facts of one kind. `read` answers for every key that it is given; that there is nothing is an answer too.

    Full case: beyond `size` the fact that nobody asked for longest goes. A fact that is forgotten while it is being
    read is answered to those who wait and not kept: it may be older than the change.
    """

    def __init__(
        self, read: Callable[[Collection[K]], Awaitable[Mapping[K, V]]], size: int, waiting_max: int = WAITING_MAX
    ) -> None:
        self._read = read
        self._size = size
        self._waiting_max = waiting_max
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._reading: dict[K, asyncio.Future[V]] = {}
        self._outdated: set[K] = set()
        """Of those that are being read: changed meanwhile."""
        self._reader: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: K) -> V:
        """The fact. Raises StoreAway, StoreRefused."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(self._asked(key))

    def forget(self, keys: Collection[K]) -> None:
        """These changed."""
        for key in keys:
            self._kept.pop(key, None)
        self._outdated.update(key for key in keys if key in self._reading)

    def forget_all(self) -> None:
        """Any may have changed."""
        self._kept.clear()
        self._outdated.update(self._reading)

    def _asked(self, key: K) -> asyncio.Future[V]:
        # What is being read and has changed since is asked for again: the asker came after the change.
        known = self._waiting.get(key)
        if known is None and key not in self._outdated:
            known = self._reading.get(key)
        if known is not None:
            return known
        if len(self._waiting) >= self._waiting_max:
            raise StoreAway("too many questions wait for the database")
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all(), name="read facts")
        return future

    async def _read_all(self) -> None:
        while self._waiting:
            keys = list(islice(self._waiting, AT_ONCE))
            self._reading = {key: self._waiting.pop(key) for key in keys}
            await self._read_some(keys)
        self._reader = None

    async def _read_some(self, keys: list[K]) -> None:
        try:
            found = await self._read(keys)
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            self._fail(error)
            return
        for key, future in self._over().items():
            if key not in self._outdated:
                self._kept[key] = found[key]
            if not future.done():
                future.set_result(found[key])
        self._outdated.clear()
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def _fail(self, error: Exception) -> None:
        self._outdated.clear()
        for future in self._over().values():
            if not future.done():
                future.set_exception(error)
                # Whoever waited may have gone; that nobody reads it is no fault.
                future.exception()

    def _over(self) -> dict[K, asyncio.Future[V]]:
        """What was being read is not any more."""
        reading, self._reading = self._reading, {}
        return reading
