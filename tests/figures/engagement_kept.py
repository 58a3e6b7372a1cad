"""A database that histories are written into, and the server that answers out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest

from actors.clock import ServerClock
from actors.ports import Fence
from actors.system import Rules as SystemRules
from storage.engagement import PostgresEngagement
from storage.engaging import Engaging, Rules
from storage.memory import Memory
from storage.postgres import Database
from storage.snapshots import PostgresSnapshots
from tests.edge.http.conftest import World, settings_of
from tests.figures.engagement_histories import NOW
from tests.figures.engagement_spec import History, Video
from tests.figures.engagement_writing import PARTITION, write
from tests.support.postgres import Databases
from tests.support.stores import node

ZONE: Final = ZoneInfo("Asia/Dhaka")
RULES: Final = Rules(zone=ZONE)
TTL_S: Final = 600.0
EMPTIED: Final = """
TRUNCATE contents, watch_sessions, study_logs, actors, engagement_versions, engagement_stale, engagement_learners,
         engagement_totals, engagement_curves, engagement_sessions, engagement_days, engagement_replayers, crowd_days
"""
CATALOGUED: Final = """
INSERT INTO contents (kind, content_id, title, course_id, duration_ms, completion_threshold, ignore_tail, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz)
ON CONFLICT (kind, content_id) DO UPDATE SET duration_ms = excluded.duration_ms, updated_at = excluded.updated_at
"""


class Kept:
    """A database with engagement in it."""

    def __init__(self, database: Database, fence: Fence) -> None:
        self.database = database
        self.snapshots = PostgresSnapshots(database, RULES)
        self.fence = fence

    async def begin(self, history: History) -> None:
        """Nothing but the catalog, as it was at first."""
        async with self.database.connection() as connection:
            await connection.execute(EMPTIED)
        for video in history.videos:
            await self.tell(video, 0)

    async def tell(self, video: Video, place: int) -> None:
        """The catalog tells a video's length number `place`."""
        since, length = video.lengths[place] if video.lengths else (NOW - 10**9, None)
        async with self.database.connection() as connection:
            await connection.execute(
                CATALOGUED,
                *video.key,
                video.title,
                video.course_id,
                length,
                float(video.threshold),
                video.ignore_tail,
                since,
            )

    async def live(self, history: History, random: Random) -> None:
        """All of it as it happened: what the catalog told later comes between the sessions before and after."""
        await self.begin(history)
        later = [(since, video, place) for video in history.videos for place, (since, _) in enumerate(video.lengths)]
        left = history.visits
        for since, video, place in sorted((each for each in later if each[2]), key=lambda each: each[0]):
            before = tuple(each for each in left if each.started_at < since)
            left = tuple(each for each in left if each.started_at >= since)
            await write(self.snapshots, self.fence, replace(history, visits=before), random)
            await self.tell(video, place)
            await self.settle()
        await write(self.snapshots, self.fence, replace(history, visits=left), random)

    async def settle(self) -> None:
        """All that the catalog made stale is worked out."""
        engaging = Engaging(self.database, RULES)
        while await engaging.settle(-1.0):
            pass

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    @asynccontextmanager
    async def serving(self, folder: Path, now: int = NOW) -> AsyncGenerator[World]:
        """A server whose clock stands still."""
        limits = {"ROLLCALL_MESSAGES_PER_SECOND": "1000000", "ROLLCALL_MESSAGES_BURST": "1000000"}
        world = World(settings_of(folder, **limits), Memory(), SystemRules(partitions=8))
        world.system.clock = ServerClock(lambda: now / 1000, lambda: 0.0)
        engagement = PostgresEngagement(self.database, RULES)
        world.services = msgspec.structs.replace(world.services, engagement=engagement)
        async with world.serving():
            yield world


@pytest.fixture(scope="module")
def standing(embedded: Databases) -> Iterator[tuple[asyncio.Runner, Kept]]:
    async def begin() -> tuple[AsyncExitStack, Kept]:
        stack = AsyncExitStack()
        dsn = await embedded.migrated()
        database = Database(dsn)
        await database.open()
        stack.push_async_callback(embedded.drop, dsn)
        stack.push_async_callback(database.close)
        leases = await node(database).leases.acquire("node-1", "node-1:1", [PARTITION], TTL_S, force=True)
        return stack, Kept(database, Fence("node-1", leases))

    with asyncio.Runner() as runner:
        stack, kept = runner.run(begin())
        yield runner, kept
        runner.run(stack.aclose())


Standing = tuple[asyncio.Runner, Kept]
