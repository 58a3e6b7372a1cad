"""Holding the partitions of this node: take, renew, notice what was lost.

The database's fence is what protects the data. This keeps the node from promising what it can no longer hold, and a
thread of its own (not the event loop, which may be what hangs) notices when a renewal is overdue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from actors.ports import Fence, LeaseStore, StoreAway, StoreRefused

log = structlog.get_logger(__name__)


class Leases:
    """What is held, and until when it is certain."""

    def __init__(
        self, store: LeaseStore, *, owner: str, address: str, partitions: int, ttl_s: float, force: bool
    ) -> None:
        self._store = store
        self._address = address
        self._partitions = range(partitions)
        self._ttl_s = ttl_s
        self._force = force
        self.owner = owner
        self.held: dict[int, int] = {}
        """Partition -> epoch."""
        self._granted: dict[int, int] = {}
        """The same, with those that are still being rebuilt."""
        self.certain_until = 0.0
        """Monotonic seconds: until then nobody else can have taken them."""

    @property
    def certain(self) -> bool:
        """Whether the last renewal is still good."""
        return bool(self.held) and time.monotonic() < self.certain_until

    @property
    def complete(self) -> bool:
        """Whether every partition is held: one node holds all."""
        return len(self.held) == len(self._partitions)

    async def take_missing(self) -> dict[int, int]:
        """Take what is free; returns partition -> epoch of what was gained (not yet in `held`)."""
        missing = [partition for partition in self._partitions if partition not in self.held]
        if not missing:
            return {}
        before = time.monotonic()
        gained = await self._store.acquire(self.owner, self._address, missing, self._ttl_s, force=self._force)
        # Force is for the first time only, when the lock on the data directory proves that no other owner lives.
        self._force = False
        self._granted.update(gained)
        if gained and not self.held:
            self.certain_until = before + self._ttl_s
        return gained

    async def renew(self) -> frozenset[int]:
        """Prolong; returns what was lost. Raises `StoreAway`."""
        if not self.held:
            return frozenset()
        before = time.monotonic()
        kept = await self._store.renew(Fence(self.owner, dict(self.held)), self._ttl_s)
        self.certain_until = before + self._ttl_s
        return frozenset(self.held) - kept

    async def release(self) -> None:
        """Give all up, so that a successor starts at once."""
        granted = self._granted | self.held
        self.held.clear()
        self._granted.clear()
        if granted:
            try:
                await self._store.release(Fence(self.owner, granted))
            except (StoreAway, StoreRefused) as error:
                log.warning("leases.not_released", reason=str(error))


class Watchdog:
    """A thread that tells when leases have lapsed unrenewed, also while the event loop stands still."""

    def __init__(self, leases: Leases, on_change: Callable[[bool], None], every_s: float = 0.25) -> None:
        self._leases = leases
        self._on_change = on_change
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lease-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        lapsed = False
        while not self._stop.wait(self._every_s):
            now_lapsed = bool(self._leases.held) and not self._leases.certain
            if now_lapsed != lapsed:
                lapsed = now_lapsed
                self._on_change(lapsed)
