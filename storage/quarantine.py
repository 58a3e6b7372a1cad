"""Inputs that were set aside."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.ports import Quarantined
from storage.errors import translate
from storage.postgres import Database

KEPT: Final = 10_000


class PostgresQuarantine:
    """`QuarantineStore` in the table `quarantine`."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept
        self._encoder = msgspec.msgpack.Encoder()

    async def put(self, item: Quarantined) -> None:
        """As the port says. Raises StoreAway, StoreRefused."""
        with translate():
            event = self._encoder.encode(item.event)
        reason = _plain(item.reason)
        await self._database.fetch("put_quarantine", item.kind, item.key, item.now, reason, event, self._kept)


def _plain(reason: str) -> str:
    """Whatever an exception said, as text that can be stored."""
    return reason.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
