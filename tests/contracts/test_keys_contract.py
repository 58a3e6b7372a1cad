"""Write keys, in memory and in PostgreSQL alike."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from actors.ports import StoreRefused
from storage.keys import KeyStore, PostgresKeys, WriteKey, digest_of, new_key
from storage.memory_keys import MemoryKeys
from tests.support.examples import T0
from tests.support.stores import MemoryStore, PostgresStore, Store

KEPT = 3


@pytest.fixture
async def keys(store: Store) -> KeyStore:
    if isinstance(store, MemoryStore):
        return MemoryKeys(store.memory, keys_max=KEPT)
    assert isinstance(store, PostgresStore)
    return PostgresKeys(await store.database(), keys_max=KEPT)


def key(name: str = "shop", secret: str | None = None) -> WriteKey:
    digest = digest_of(secret or f"key of {name}")
    return WriteKey(name, digest, ["collect", "catalog"], T0, T0 + 1000, None, 0.25)


async def test_a_key_comes_back_as_it_was_made(keys: KeyStore):
    assert await keys.create(key())
    assert await keys.create(msgspec.structs.replace(key("app"), expires_at=None, sample_rate=1.0, rights=["xapi"]))

    assert await keys.key("shop") == msgspec.structs.replace(key(), number=1)
    assert await keys.key("none") is None
    assert [each.name for each in await keys.keys()] == ["app", "shop"]


async def test_each_key_has_a_number_of_its_own_from_1_that_a_refused_one_does_not_take(keys: KeyStore):
    for name in ("b", "b", "a"):
        await keys.create(key(name))

    assert [(each.name, each.number) for each in await keys.keys()] == [("a", 2), ("b", 1)]


async def test_a_sample_of_nothing_is_a_sample(keys: KeyStore):
    assert await keys.create(msgspec.structs.replace(key(), sample_rate=0.0))


async def test_a_name_is_given_once(keys: KeyStore):
    made = await asyncio.gather(*(keys.create(key("shop", f"secret {number}")) for number in range(4)))

    assert sorted(made) == [False, False, False, True]
    assert len(await keys.keys()) == 1


async def test_a_revoked_key_keeps_its_name_and_its_first_end(keys: KeyStore):
    await keys.create(key())

    assert await keys.revoke("shop", T0 + 5)
    assert await keys.revoke("shop", T0 + 9)
    assert not await keys.revoke("none", T0)

    found = await keys.key("shop")
    assert found is not None
    assert found.revoked_at == T0 + 5
    assert not await keys.create(key("shop", "another"))


async def test_one_key_too_many_is_not_made(keys: KeyStore):
    made = [await keys.create(key(f"k{number}")) for number in range(KEPT + 1)]

    assert made == [True] * KEPT + [False]
    assert await keys.key(f"k{KEPT}") is None


async def test_one_key_has_one_name(keys: KeyStore):
    await keys.create(key("shop", "the same"))

    with pytest.raises(StoreRefused):
        await keys.create(key("app", "the same"))


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "state"),
    [
        (None, None, "valid"),
        (T0 + 1, None, "valid"),
        (T0, None, "expired"),
        (None, T0 + 5, "revoked"),
        (T0, T0, "revoked"),
    ],
)
def test_what_a_key_is_worth_follows_from_its_times(expires_at: int | None, revoked_at: int | None, state: str):
    assert msgspec.structs.replace(key(), expires_at=expires_at, revoked_at=revoked_at).state(T0) == state


def test_keys_are_long_unlike_and_known_as_keys():
    made = {new_key() for _ in range(1_000)}

    assert len(made) == 1_000
    assert all(each.startswith("rk_") and len(each) >= 43 for each in made)
    assert len({digest_of(each) for each in made}) == 1_000
