"""Write keys: who may send what from server to server (collector.md).

A key is 256 random bits. What is kept is its BLAKE2b digest: nobody can guess such a key, so the slow hashes that
protect passwords would protect nothing here, and would cost every request what they cost an attacker.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Final, Literal, Protocol, get_args

import msgspec

from storage.postgres import Database

Right = Literal["collect", "catalog", "mobile", "xapi"]
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
KEYS_MAX: Final = 10_000
"""Revoked ones too: all are held in memory."""
PREFIX: Final = "rk_"
"""So that a key is known as one where it has no business to be: in a log, in a repository."""
_KEY_BYTES: Final = 32


class WriteKey(msgspec.Struct, frozen=True):
    """A row of `write_keys`. Times Unix ms; `sample_rate` is the share of mobile sessions recorded, 0 <= share <= 1.

    `number` is public, from 1, and given by the store: 0 before.
    """

    name: str
    digest: bytes
    rights: Sequence[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    sample_rate: float
    number: int = 0
    home_pages: Sequence[str] = []
    """Of whose learners its xAPI statements may speak; empty for anybody's."""

    def state(self, now: int) -> Literal["valid", "revoked", "expired"]:
        """What it is at `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class KeyStore(Protocol):
    """Raises StoreAway, StoreRefused."""

    async def create(self, key: WriteKey) -> bool:
        """Keep a new one, under a number of its own.

        False where the name is taken or there are too many, and then nothing changes.
        """
        ...

    async def key(self, name: str) -> WriteKey | None:
        """One by its name."""
        ...

    async def keys(self) -> Sequence[WriteKey]:
        """All, by name."""
        ...

    async def revoke(self, name: str, at: int) -> bool:
        """Never valid again; whether there is such a key."""
        ...


def new_key() -> str:
    """A key that nobody has; its bearer is the only one who knows it."""
    return PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32, person=b"rollcall key").digest()


class PostgresKeys:
    """`KeyStore` in PostgreSQL."""

    def __init__(self, database: Database, *, keys_max: int = KEYS_MAX) -> None:
        self._database = database
        self._keys_max = keys_max

    async def create(self, key: WriteKey) -> bool:
        row = (key.name, key.digest, list(key.rights), key.created_at, key.expires_at, key.sample_rate)
        pages = list(key.home_pages)
        return bool(await self._database.fetch("create_write_key", *row, self._keys_max, pages))

    async def key(self, name: str) -> WriteKey | None:
        record = await self._database.fetchrow("write_key", name)
        return None if record is None else WriteKey(*record)

    async def keys(self) -> Sequence[WriteKey]:
        return [WriteKey(*record) for record in await self._database.fetch("write_keys", self._keys_max)]

    async def revoke(self, name: str, at: int) -> bool:
        return await self._database.fetchrow("revoke_write_key", name, at) is not None


def checked_rights(rights: Collection[str]) -> list[str]:
    """In their order, each once."""
    return [right for right in RIGHTS if right in rights]
