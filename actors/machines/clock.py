"""Where a client's clock stands against ours (realtime.md, "Time" and reading 3).

The offset is the smallest `received - sent_at` of the session: the message that travelled fastest tells most. A clock
that jumps shows as an offset that no delay explains:

    smaller than known           -> taken at once
    up to 2 s larger             -> a slow network: kept as it is
    more than 2 s larger         -> believed after 3 messages over >= 10 s that agree within 0.5 s
"""

from __future__ import annotations

from typing import Final

import msgspec

JUMP_MS: Final = 2_000
AGREE_MS: Final = 500
WITNESSES: Final = 3
WITNESS_SPAN_MS: Final = 10_000


class ClientClock(msgspec.Struct, array_like=True):
    """State of the estimate. `doubts` are the latest disagreeing messages: (received, offset), flat."""

    offset: int | None = None
    doubts: list[int] = []

    def judge(self, sent_at: int, received: int) -> tuple[int, list[int]]:
        """The offset and the doubts after this message; nothing is changed, so a refused batch leaves no trace."""
        seen = received - sent_at
        known = self.offset
        if known is None or seen <= known:
            return seen, []
        if seen - known <= JUMP_MS:
            return known, []
        doubts = self.doubts
        offsets = [*doubts[1::2], seen]
        if max(offsets) - min(offsets) > AGREE_MS:
            return known, [received, seen]
        doubts = [*doubts, received, seen]
        if len(offsets) >= WITNESSES and received - doubts[0] >= WITNESS_SPAN_MS:
            return min(offsets), []
        if len(offsets) > WITNESSES:
            # The first witness proves the span, the youngest two the agreement.
            doubts = doubts[:2] + doubts[-4:]
        return known, doubts
