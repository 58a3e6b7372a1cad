"""Ids that route themselves.

A `session_id` is a UUIDv7 (RFC 9562) whose 12 `rand_a` bits hold the partition that owns it; a room's partition is a
hash of its id. Time and randomness are arguments: the same inputs give the same id.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

PARTITION_BITS: Final = 12
PARTITIONS_MAX: Final = 1 << PARTITION_BITS
_RANDOM_BITS: Final = 62
_VERSION: Final = 7


def partition_of(key: str, partitions: int) -> int:
    """The partition that a key lives in: `blake2b(key) mod partitions`, the same on every node."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()) % partitions


def session_id(unix_ms: int, partition: int, random: int) -> str:
    """A new session's id. `random` gives its 62 low bits."""
    value = (unix_ms & (1 << 48) - 1) << 80
    value |= _VERSION << 76 | (partition & PARTITIONS_MAX - 1) << 64
    value |= 0b10 << 62 | random & (1 << _RANDOM_BITS) - 1
    return str(UUID(int=value))


def session_partition(value: str) -> int | None:
    """The partition in a session id, or None where it is no session id in canonical form."""
    try:
        parsed = UUID(value)
    except ValueError:
        return None
    if parsed.version != _VERSION or str(parsed) != value:
        return None
    return parsed.int >> 64 & PARTITIONS_MAX - 1
