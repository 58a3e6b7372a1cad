"""Messages kept as they came, and which sessions are breakout rooms: in memory and in PostgreSQL alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.ports import StoreRefused
from server.plugnmeet.ports import WebhookStore
from storage.memory_webhooks import MemoryWebhooks
from storage.webhooks import PostgresWebhooks
from tests.support.examples import T0
from tests.support.stores import MemoryStore, PostgresStore, Store

KEPT = 5
BODY = b'{"event":"speech_to_text_usage"} \x00\xff'


@pytest.fixture
async def webhooks(store: Store) -> WebhookStore:
    if isinstance(store, MemoryStore):
        return MemoryWebhooks(store.memory, kept=KEPT)
    assert isinstance(store, PostgresStore)
    return PostgresWebhooks(await store.database(), kept=KEPT)


async def kept(store: Store) -> list[tuple[Any, ...]]:
    """What is there, oldest first."""
    if isinstance(store, MemoryStore):
        return [(row.id, row.event, row.room_id, row.why, row.body) for row in store.memory.webhooks.kept.values()]
    assert isinstance(store, PostgresStore)
    connection = await store.connection()
    found = await connection.fetch("SELECT id, event, room_id, why, body FROM webhooks ORDER BY seq")
    return [tuple(row) for row in found]


async def test_a_message_is_kept_as_it_came(store: Store, webhooks: WebhookStore):
    await webhooks.keep("i1", "what", None, T0, "not read", BODY)
    await webhooks.keep("i2", "what", "r1", T0, "কেন", b"")

    assert await kept(store) == [("i1", "what", None, "not read", BODY), ("i2", "what", "r1", "কেন", b"")]


async def test_a_repeat_by_id_and_event_is_kept_once(store: Store, webhooks: WebhookStore):
    for event in ("room_finished", "session_ended", "room_finished"):
        await webhooks.keep("i1", event, None, T0, event, BODY)
    await webhooks.keep("i1", "room_finished", "r2", T0 + 1, "later", b"another")

    assert [(row[1], row[4]) for row in await kept(store)] == [("room_finished", BODY), ("session_ended", BODY)]


async def test_repeats_at_the_same_time_are_kept_once(store: Store, webhooks: WebhookStore):
    await asyncio.gather(*(webhooks.keep("i1", "e", None, T0, "", BODY) for _ in range(4)))

    assert len(await kept(store)) == 1


async def test_the_newest_messages_stay(store: Store, webhooks: WebhookStore):
    for number in range(KEPT + 3):
        await webhooks.keep(f"i{number}", "e", None, T0, "", BODY)

    assert [row[0] for row in await kept(store)] == [f"i{number}" for number in range(3, KEPT + 3)]


async def test_repeats_push_nothing_out(store: Store, webhooks: WebhookStore):
    for number in range(KEPT):
        await webhooks.keep(f"i{number}", "e", None, T0, "", BODY)
    for _ in range(3 * KEPT):
        await webhooks.keep("i4", "e", None, T0, "", BODY)
    await webhooks.keep("new", "e", None, T0, "", BODY)

    assert [row[0] for row in await kept(store)] == ["i1", "i2", "i3", "i4", "new"]


async def test_what_no_text_can_hold_is_refused(store: Store, webhooks: WebhookStore):
    for bad in ("nul \0", "lone \ud800"):
        with pytest.raises(StoreRefused):
            await webhooks.keep(bad, "e", None, T0, "", BODY)

    assert await kept(store) == []


async def test_a_breakout_session_knows_its_parent(webhooks: WebhookStore):
    assert await webhooks.breakout_parent("s1") is None

    await webhooks.put_breakout("s1", "r1-b", "r1")
    await webhooks.put_breakout("s2", "r2-b", "r2")

    assert await webhooks.breakout_parent("s1") == "r1"
    assert await webhooks.breakout_parent("s2") == "r2"


async def test_what_is_told_last_of_a_breakout_session_holds(webhooks: WebhookStore):
    for parent in ("r1", "r1", "r3"):
        await webhooks.put_breakout("s1", "r1-b", parent)

    assert await webhooks.breakout_parent("s1") == "r3"


async def test_the_newest_breakout_sessions_stay_and_repeats_push_none_out(webhooks: WebhookStore):
    for number in range(KEPT + 1):
        await webhooks.put_breakout(f"s{number}", "b", "r1")
        for _ in range(KEPT):
            await webhooks.put_breakout(f"s{number}", "b", "r1")

    parents = [await webhooks.breakout_parent(f"s{number}") for number in range(KEPT + 1)]
    assert parents == [None, *["r1"] * KEPT]
