"""The client's clock: Unix milliseconds that run evenly, whatever is done to the clock on the wall.

The server works out how far a client's clock is off (realtime.md, "Time"); it asks only that the clock runs evenly. So
the time is read from the system once, and counted from there: a clock that is set while a lesson plays is not noticed.
Where the system has a clock that also runs while it sleeps, that one counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_clock() -> Callable[[], int]:
    """A clock that begins at the system's time now and never jumps."""
    zero_ns = time.time_ns() - time.clock_gettime_ns(_STEADY)
    return lambda: (zero_ns + time.clock_gettime_ns(_STEADY)) // 1_000_000
