"""The journal: batches of inputs, durable when `append` returns.

A body is one format byte, then the batch:

    0x01    zstd( msgpack [entry, ...] )

A later format gets another byte; this one stays readable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

import msgspec
import zstandard

from actors.packing import unpacked
from actors.ports import Entry, Fence, LeaseLost, StoreRefused
from storage.fences import hold
from storage.postgres import Database
from storage.sql import statements

FORMAT: Final = b"\x01"
_LEVEL: Final = 1
_PAGE: Final = 64
_BODY_BYTES_MAX: Final = 256 * 1024 * 1024


class EntryCodec:
    """Batches to bodies and back, with one compressor and one decompressor: for one thread."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[Entry])
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self._decompressor = zstandard.ZstdDecompressor()

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return a batch's body. Raises StoreRefused for what cannot be encoded."""
        try:
            return FORMAT + self._compress(self._encoder.encode(entries))
        except (msgspec.MsgspecError, OverflowError, TypeError, UnicodeError) as error:
            raise StoreRefused(f"a batch cannot be encoded: {error}") from error

    def decode(self, body: bytes) -> list[Entry]:
        """Return the entries of a body. Raises StoreRefused for one that this version cannot read."""
        if body[:1] != FORMAT:
            raise StoreRefused(f"format {body[:1].hex() or 'none'} is not known to this version")
        try:
            return self._decoder.decode(unpacked(self._decompressor, memoryview(body)[1:], _BODY_BYTES_MAX))
        except (msgspec.MsgspecError, zstandard.ZstdError) as error:
            raise StoreRefused(str(error)) from error


class PostgresJournal:
    """`JournalStore` in the table `journal`. One `append` at a time; others wait their turn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line = database.journal_line
        self._codec = EntryCodec()

    async def append(self, fence: Fence, number: int, entries: Sequence[Entry]) -> None:
        """As the port says.

        An owner's name is for one life of one process: a number that is stored with another batch is refused
        (StoreRefused), and not taken for a repeat.
        """
        if not entries:
            return
        body = self._codec.encode(entries)
        partitions = sorted(fence.leases)
        epochs = [fence.leases[partition] for partition in partitions]
        line = self._line
        owner = fence.owner
        if await line.fetchrow("append_journal", owner, number, partitions, epochs, len(entries), body) is not None:
            return
        # Nothing was written: because it was before, or because leases are lost.
        stored = await line.fetchrow("journaled", owner, number, body, partitions)
        if stored is not None:
            if not stored["same"]:
                raise StoreRefused(f"number {number} of {owner} is already another batch")
            return
        lost = await line.fetch("lost_leases", owner, partitions, epochs)
        if lost:
            raise LeaseLost([row["partition"] for row in lost])

    async def read(self, partitions: Collection[int]) -> AsyncIterator[Sequence[Entry]]:
        """As the port says; a batch at a time, read by pages of 64."""
        after = 0
        wanted = sorted(partitions)
        while True:
            rows = await self._database.fetch("read_journal", wanted, after, _PAGE)
            for row in rows:
                try:
                    yield self._codec.decode(row["body"])
                except StoreRefused as error:
                    raise StoreRefused(f"journal row {row['id']} cannot be read: {error}") from error
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    async def trim(self, fence: Fence, below: int) -> int:
        """As the port says. Raises LeaseLost when any lease of `fence` is lost: then another may need them."""
        async with self._database.transaction() as connection:
            await hold(connection, fence)
            tag = await connection.execute(statements()["trim_journal"], fence.owner, below)
        return int(tag.rpartition(" ")[2])

    async def adopt(self, fence: Fence) -> int:
        """As the port says. Raises LeaseLost when any lease of `fence` is lost."""
        partitions = sorted(fence.leases)
        async with self._database.transaction() as connection:
            await hold(connection, fence)
            whole = await connection.execute(statements()["adopt_whole_batches"], fence.owner, partitions)
            shared = await connection.execute(statements()["adopt_shared_batches"], fence.owner, partitions)
            forgotten = int(whole.rpartition(" ")[2])
            if not shared.endswith(" 0"):
                orphans = await connection.execute(statements()["forget_orphaned_batches"])
                forgotten += int(orphans.rpartition(" ")[2])
        return forgotten
