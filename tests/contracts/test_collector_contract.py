"""What the collector keeps, in memory and in PostgreSQL alike: every event once, whatever is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from actors.ports import StoreAway, StoreRefused
from protocol.collector import Reader, Taken
from storage.collector import CollectorStore, Post, PostgresCollector
from storage.collector_upkeep import CollectorUpkeep
from storage.memory_collector import MemoryCollector
from tests.support.examples import T0
from tests.support.stores import MemoryStore, PostgresStore, Store

VIEW = {"app": "shop", "contentId": "p-1", "contentType": "post"}
READER = Reader()
DAY_MS = 86_400_000
LATE = (77, "[]", False)
"""A write that was given up, when it comes at last."""
SPREAD = """
UPDATE collector_events SET at = at + number * INTERVAL '1 ms'
  FROM (SELECT ctid AS place, row_number() OVER () AS number FROM collector_events) AS n
 WHERE n.place = collector_events.ctid
"""


def post(*ids: str | int | None, key: int = 1, **fields: Any) -> Post:
    """One request with an event for each id."""
    events = [VIEW | {"type": "view", "eventId": each} | fields for each in ids]
    taken, rejected = READER.batch(msgspec.json.encode({"events": events}), key, T0)
    assert rejected == []
    return Post(taken)


@pytest.fixture
async def collector(store: Store) -> CollectorStore:
    return await opened(store)


async def opened(store: Store) -> CollectorStore:
    """The store as one more node has it."""
    if isinstance(store, MemoryStore):
        return MemoryCollector(store.memory)
    assert isinstance(store, PostgresStore)
    return PostgresCollector(await store.database())


async def count(store: Store) -> int:
    if isinstance(store, MemoryStore):
        return len(store.memory.collected.events)
    assert isinstance(store, PostgresStore)
    found: int = await (await store.connection()).fetchval("SELECT count(*) FROM collector_events")
    return found


async def test_events_without_an_id_are_each_kept(collector: CollectorStore, store: Store):
    assert await collector.keep([post(None), post(None, None, "")]) == [0, 0]
    assert await collector.keep([post(None)]) == [0]

    assert await count(store) == 5


async def test_an_id_is_one_event_whatever_its_time_and_whoever_brings_it_again(
    collector: CollectorStore, store: Store
):
    assert await collector.keep([post("a", 15), post("a", timestamp=T0 - 90 * DAY_MS), post("15", "b")]) == [0, 1, 1]
    assert await (await opened(store)).keep([post("b", "c", timestamp=T0)]) == [1]

    assert await count(store) == 4


async def test_an_id_twice_in_one_batch_is_one_event(collector: CollectorStore, store: Store):
    assert await collector.keep([post("a", "a", None, "a", "b")]) == [2]

    assert await count(store) == 3


async def test_keys_do_not_know_each_others_ids(collector: CollectorStore, store: Store):
    assert await collector.keep([post("a", key=1), post("a", key=2), post("1 a", key=1)]) == [0, 0, 0]

    assert await count(store) == 3


async def test_sixteen_at_once_over_several_nodes_are_one(store: Store):
    nodes = [await opened(store) for _ in range(4)]
    known = await asyncio.gather(*(nodes[place % 4].keep([post("a", "b")]) for place in range(16)))

    assert sorted(each for answer in known for each in answer) == [0] + [2] * 15
    assert await count(store) == 2


async def test_a_post_whose_answer_was_lost_is_known_again():
    store = MemoryStore()
    collector = await opened(store)
    lost = [post("a", None), post(None)]
    store.memory.faults.lose_answers = True
    with pytest.raises(StoreAway):
        await collector.keep(lost)
    store.memory.faults.lose_answers = False

    assert await collector.keep([*lost, post("a")]) == [0, 0, 1]
    assert await count(store) == 3


# -- in PostgreSQL ----------------------------------------------------------------------------------------------------


async def test_what_a_lost_write_kept_is_not_kept_again(postgres: PostgresStore):
    collector = PostgresCollector(await postgres.database())
    await collector.keep([post("old")])
    lost = [post("a", None, "old"), post("a", "b"), post(None)]
    await collector.keep(lost)
    write = await (await postgres.connection()).fetchval("SELECT write FROM collector_writes ORDER BY at DESC LIMIT 1")
    for each in lost:
        each.write = write  # as it is left when the answer does not come

    assert await collector.keep([lost[2], post("b"), lost[0], lost[1]]) == [0, 1, 1, 1]
    assert await count(postgres) == 6 - 1


async def test_a_lost_write_that_never_came_is_made_again_and_cannot_come_any_more(postgres: PostgresStore):
    collector = PostgresCollector(await postgres.database())
    lost = [post("a", None), post("b")]
    for each in lost:
        each.write = 77

    assert await collector.keep(lost) == [0, 0]
    assert await count(postgres) == 3
    with pytest.raises(StoreRefused):
        await (await postgres.database()).fetch("keep_collected", *LATE)


async def test_a_write_that_is_still_under_way_is_waited_for(postgres: PostgresStore):
    """The first attempt hangs in its transaction while its posts are given again."""
    rival = await postgres.connection()
    transaction = rival.transaction()
    await transaction.start()
    await rival.execute("INSERT INTO collector_writes (write) VALUES (78)")
    collector = PostgresCollector(await postgres.database())
    lost = post(None)
    lost.write, lost.proposed = 78, [None]
    again = asyncio.create_task(collector.keep([lost]))
    await postgres.until_waiting()

    await transaction.commit()

    assert await again == [0]
    assert await count(postgres) == 0


async def test_what_cannot_be_kept_is_refused_and_takes_nothing_along(postgres: PostgresStore):
    collector = PostgresCollector(await postgres.database())
    bad = Post(Taken(1, [b'{"k":9,"n":1,"t":0,"contentId":"x"}'], ["x"]))

    with pytest.raises(StoreRefused):
        await collector.keep([post("a"), bad])

    assert await count(postgres) == 0
    assert await collector.keep([post("a")]) == [0]


async def test_a_row_says_what_was_sent(postgres: PostgresStore):
    collector = PostgresCollector(await postgres.database())
    fields: dict[str, Any] = {
        "userId": 15,
        "sessionId": "",
        "duration": 2.5,
        "ipAddress": "203.0.113.7",
        "deviceType": "tv",
        "timestamp": T0 + 123,
        "metadata": {"a": [1, "শ্রেণি 😀 \\u0000"]},
        "newer": True,
    }
    await collector.keep([post("a", key=3, **fields)])

    record = await (await postgres.connection()).fetchrow(
        "SELECT *, round(extract(epoch FROM at) * 1000)::bigint AS at_ms FROM collector_events"
    )
    assert record is not None
    assert (record["key_number"], record["kind"], record["at_ms"]) == (3, 0, T0 + 123)
    assert (record["app"], record["content_type"], record["content_id"]) == ("shop", "post", "p-1")
    assert (record["user_id"], record["session_id"], record["duration_s"]) == ("15", None, 2.5)
    assert (record["ip"], record["device_type"]) == ("203.0.113.0", "tv")
    assert msgspec.json.decode(record["metadata"]) == fields["metadata"] | {"extra": {"newer": True}}


async def test_what_is_old_goes_batch_by_batch_and_nothing_else(postgres: PostgresStore):
    database = await postgres.database()
    collector = PostgresCollector(database)
    await collector.keep([post(*"abcdefgh", timestamp=T0), post(*"ijk", timestamp=T0 + DAY_MS)])
    upkeep = CollectorUpkeep(database, batch_rows=3)
    if await database.timescale() is None:
        await (await postgres.connection()).execute(SPREAD)

        assert [await upkeep.drop_events(T0 + DAY_MS) for _ in range(4)] == [3, 3, 2, 0]
    else:
        assert [await upkeep.drop_events(T0 + DAY_MS) for _ in range(2)] == [1, 0]
    assert await count(postgres) == 3
    later = round(asyncio.get_running_loop().time()) + 2**42
    assert [await upkeep.drop_ids(later) for _ in range(5)] == [3, 3, 3, 2, 0]
    assert [await upkeep.drop_writes(later) for _ in range(2)] == [1, 0]
    assert await upkeep.drop_ids(0) == 0
