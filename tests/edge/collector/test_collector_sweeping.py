"""What the collector forgets with time, and what it does not."""

import msgspec
import pytest

from protocol import collector
from server.collector import sweeping
from server.collector.sweeping import DAY_MS, CollectorSweeper
from storage.collector import Post, PostgresCollector
from storage.collector_upkeep import CollectorUpkeep
from tests.edge.learning.conftest import World

pytestmark = pytest.mark.slow
VIEW = {"type": "view", "app": "shop", "contentId": "p", "contentType": "post"}


async def keep(world: World, *ids: str, days_ago: float = 0) -> int:
    """How many of them were known already."""
    at = world.now() - round(days_ago * DAY_MS)
    events = [VIEW | {"eventId": each, "timestamp": at} for each in ids]
    taken, rejected = collector.Reader().batch(msgspec.json.encode({"events": events}), 1, world.now())
    assert rejected == []
    [known] = await PostgresCollector(world.server.database).keep([Post(taken)])
    return known


def sweeper(world: World, days: int = 0, *, after: float = 0) -> CollectorSweeper:
    """As it is when so many days have gone by."""
    now = world.now() + round(after * DAY_MS)
    return CollectorSweeper(CollectorUpkeep(world.server.database, batch_rows=2), days, lambda: now, pause_s=0)


async def count(world: World) -> int:
    found: int = await world.database.fetchval("SELECT count(*) FROM collector_events")
    return found


async def test_an_id_is_known_for_thirty_days_and_then_forgotten(reader):
    assert await keep(reader, *"abcde") == 0
    await sweeper(reader, after=30.5).sweep()
    assert await keep(reader, *"abcdef", days_ago=29) == 5
    await sweeper(reader, after=31.5).sweep()
    assert await keep(reader, *"abcdef") == 0


async def test_events_stay_for_ever_unless_it_is_said_how_long(reader):
    await keep(reader, *"abc", days_ago=3_000)
    await sweeper(reader, after=3_000).sweep()

    assert await count(reader) == 3


async def test_events_go_when_they_are_older_than_is_said(reader):
    await keep(reader, *"abc", days_ago=11)
    await keep(reader, *"def", days_ago=9)
    gone = await sweeper(reader, days=10).sweep()

    assert gone == await count(reader) == 3
    assert await sweeper(reader, days=10).sweep() == 0


async def test_a_write_is_remembered_far_longer_than_one_can_hang(reader):
    await keep(reader, "a")
    await sweeper(reader, after=0.9 * sweeping.WRITES_MS / DAY_MS).sweep()
    assert await reader.database.fetchval("SELECT count(*) FROM collector_writes") == 1
    await sweeper(reader, after=1.1 * sweeping.WRITES_MS / DAY_MS).sweep()
    assert await reader.database.fetchval("SELECT count(*) FROM collector_writes") == 0
