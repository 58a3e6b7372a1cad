"""Server time: Unix milliseconds that never go back (docs/decisions/0002).

Machines take one `now`: their deadlines, their durations and their rows are all in it, so a journal replays exactly.
It starts at the wall clock and runs on the monotonic one. A wall clock that is stepped (NTP, an operator, a resumed
virtual machine) therefore neither stretches a class nor ends one; server time is slewed towards it by 1 ms a second
at the most, and the distance is in `/metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SLEW: Final = 0.001
AHEAD_MAX_MS: Final = 60_000


class ServerClock:
    """One a process. `now()` is in Unix ms."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._disciplined_at = monotonic()
        self._latest = 0

    def now(self) -> int:
        """Server time, Unix ms."""
        now = int((self._monotonic() + self._offset) * 1000)
        if now < self._latest:
            # Slewed backwards by more than has passed since.
            return self._latest
        self._latest = now
        return now

    @property
    def skew_s(self) -> float:
        """How far the wall clock is ahead, seconds."""
        return self._wall() - self._monotonic() - self._offset

    def discipline(self) -> None:
        """Slew towards the wall clock; to be called about once a second."""
        now = self._monotonic()
        most = (now - self._disciplined_at) * SLEW
        self._disciplined_at = now
        self._offset += max(-most, min(most, self.skew_s))

    def not_before(self, unix_ms: int) -> None:
        """History reaches to `unix_ms`: go on from there, where the wall clock was set back by up to a minute."""
        ahead = unix_ms - self.now()
        if 0 < ahead <= AHEAD_MAX_MS:
            self._offset += ahead / 1000
