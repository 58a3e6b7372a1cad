"""How long a client waits before it tries again: exponential, jittered, bounded. The random source is an argument."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

_DOUBLINGS_MAX = 30  # 2 ** failures must not grow without end in a client that is away for days


class Backoff(msgspec.Struct, frozen=True):
    """Waits of `first_s`, doubled by every failure up to `most_s`, each cut by up to half.

    The jitter spreads a class of clients that lost the same server at the same moment.
    """

    first_s: float = 0.2
    most_s: float = 4.0

    def delay_s(self, failures: int, random: Random) -> float:
        """Seconds to wait after `failures` failures in a row (1 = the first)."""
        whole = min(self.most_s, self.first_s * 2.0 ** min(max(failures - 1, 0), _DOUBLINGS_MAX))
        return whole * random.uniform(0.5, 1.0)


SOCKET_RETRY: Final = Backoff(first_s=15.0, most_s=120.0)
"""How long posts carry everything before the WebSocket is tried again: somebody's proxy is in the way."""


def stretched(hint_s: float, random: Random) -> float:
    """A server's own hint (`retry_after`, `reconnect_after_ms`), never cut, stretched by up to a quarter."""
    return hint_s * random.uniform(1.0, 1.25)
