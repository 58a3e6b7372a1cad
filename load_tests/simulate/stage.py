"""What all actors of a class share: its clock, its record, its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp

from load_tests.simulate.options import SimulateOptions
from load_tests.simulate.record import Class
from protocol.client import Counters

_STEADY_ZERO_MS: Final = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000


def true_ms() -> int:
    """Unix ms by a clock that is never set: what the truth is written in."""
    return _STEADY_ZERO_MS + time.monotonic_ns() // 1_000_000


class Stage:
    """One class while it is acted."""

    def __init__(
        self,
        options: SimulateOptions,
        record: Class,
        http: aiohttp.ClientSession,
        mint: Callable[[str, str], str],
        timing: tuple[float, float],
    ) -> None:
        """`timing`: length of the class and of a beat, seconds."""
        self.options = options
        self.record = record
        self.http = http
        self.mint = mint
        self.seconds, self.beat_s = timing
        self.counters = Counters()
        self.ended = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self.acting = 0
        self.gone = 0
        self.begun_at = asyncio.get_running_loop().time()

    def now_s(self) -> float:
        """Seconds since the class began to be acted."""
        return asyncio.get_running_loop().time() - self.begun_at

    async def until(self, at_s: float) -> None:
        """Sleep until a time of the script."""
        wait = at_s - self.now_s()
        if wait > 0:
            await asyncio.sleep(wait)

    def arrives(self) -> None:
        """A device has something to act before the class may end."""
        self._busy += 1

    def at_end(self) -> None:
        """A device is done, or waits for the end."""
        self._busy -= 1
        if self._busy == 0:
            self._idle.set()

    async def all_at_end(self) -> None:
        """Wait until nobody has anything left to act."""
        if self._busy:
            await self._idle.wait()
