"""Which app sessions are recorded: decided by a hash, so that whoever asks again hears the same (mobile-ingest.md)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_SPACE: Final = 1 << 64


def recorded(project: str, who: str, share: float) -> bool:
    """Whether `who` (a device, or what stands for it) is in the project's sample, `share` of all (0..1)."""
    if share >= 1:
        return True
    said = f"{len(project)}:{project}{who}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(said, digest_size=8, person=b"mobile sample").digest()) < share * _SPACE
