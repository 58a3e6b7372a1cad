"""Rate limits: a token bucket a key, in bounded memory.

A bucket is one number, the moment at which it will be full again (GCRA). Full case: beyond `KEYS_MAX` keys the one
that was quiet longest is forgotten, which at the worst gives it a fresh burst.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

KEYS_MAX: Final = 100_000
_PREFIX_BYTES: Final = 8
"""Of an IPv6 address: a household has at least a /64 of its own."""


class Throttle:
    """One kind of key. `per_second` steady, `burst` at once."""

    def __init__(self, per_second: float, burst: float, keys_max: int = KEYS_MAX) -> None:
        self._cost = 1.0 / per_second
        self._depth = max(0.0, burst - 1) * self._cost
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._keys_max = keys_max

    def take(self, key: str, now: float, count: float = 1) -> float:
        """Take `count` tokens at `now` (seconds). Returns 0, or how long to wait where there are too few.

        More than a burst at once is given to whoever has a full bucket, and is waited for afterwards.
        """
        full_at = self._full_at.get(key, 0.0)
        if full_at < now:
            full_at = now
        cost = count * self._cost
        wait = full_at - now - max(0.0, self._depth + self._cost - cost)
        if wait > 0:
            return wait
        self._full_at[key] = full_at + cost
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys_max:
            self._full_at.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at)


def address_key(remote: str | None) -> str:
    """What a limit per address counts by."""
    if remote is None or ":" not in remote:
        return remote or ""
    try:
        address = ip_address(remote)
    except ValueError:
        return remote
    if not isinstance(address, IPv6Address):
        return remote
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else address.packed[:_PREFIX_BYTES].hex()
