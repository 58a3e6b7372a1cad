"""Unix milliseconds <-> `timestamptz`, exactly and over the whole range of both.

The driver would go through `datetime`, which ends in the year 9999 and costs an object a value; its raw form is the
number on the wire: microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

from typing import Final

EPOCH_2000_MS: Final = 946_684_800_000
_US: Final = 1_000


def to_wire(unix_ms: int) -> tuple[int]:
    """Return Unix milliseconds as the driver's raw `timestamptz`."""
    return ((unix_ms - EPOCH_2000_MS) * _US,)


def from_wire(raw: tuple[int]) -> int:
    """Return a raw `timestamptz` as Unix milliseconds, floored: an instant lies in the millisecond that has begun."""
    return raw[0] // _US + EPOCH_2000_MS
