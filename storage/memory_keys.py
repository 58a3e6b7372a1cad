"""`KeyStore` in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from actors.ports import StoreRefused
from storage.keys import KEYS_MAX, WriteKey
from storage.memory_rows import check_text

if TYPE_CHECKING:
    from storage.memory import Memory


class MemoryKeys:
    """`KeyStore`."""

    def __init__(self, memory: Memory, *, keys_max: int = KEYS_MAX) -> None:
        self._memory = memory
        self._keys_max = keys_max

    async def create(self, key: WriteKey) -> bool:
        check_text(key.name)
        known = self._memory.write_keys
        async with self._memory.faults.call():
            if any(each.digest == key.digest for each in known.values() if each.name != key.name):
                raise StoreRefused("this key is there under another name")
            if key.name in known or len(known) >= self._keys_max:
                return False
            known[key.name] = msgspec.structs.replace(key, revoked_at=None, number=len(known) + 1)
            return True

    async def key(self, name: str) -> WriteKey | None:
        async with self._memory.faults.call():
            return self._memory.write_keys.get(name)

    async def keys(self) -> Sequence[WriteKey]:
        async with self._memory.faults.call():
            return [self._memory.write_keys[name] for name in sorted(self._memory.write_keys)]

    async def revoke(self, name: str, at: int) -> bool:
        async with self._memory.faults.call():
            known = self._memory.write_keys.get(name)
            if known is not None and known.revoked_at is None:
                self._memory.write_keys[name] = msgspec.structs.replace(known, revoked_at=at)
            return known is not None
