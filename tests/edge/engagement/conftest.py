"""The server of the learning dashboards, with watch sessions put in by the checkpoints' own door."""

from typing import Any

import pytest

from actors.machines.rows import Rows
from server.rules import engagement_rules
from storage import projections
from tests.edge.learning.conftest import World, world
from tests.support.examples import segment, session

__all__ = ["world"]

D = 100_000
HOUR = 3_600_000
DAY = 24 * HOUR


class Watching:
    """Who watched what, in the store."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.begin = world.now() // 1000 * 1000 - 30 * DAY
        """When the examples begin: ranges reach back no more than 400 days."""
        self._count = 0

    async def content(self, content_id: str = "7", duration: int = D, **facts: Any) -> None:
        key = {"kind": "video", "content_id": content_id}
        await self._world.row("contents", **key, title="Light", duration_ms=duration, **facts)
        while await self._world.server.upkeep.engaging.settle(after_s=0):
            pass

    async def view(
        self,
        user: str,
        *pieces: tuple[int, int],
        at: int = 0,
        content_id: str = "7",
        is_open: bool = False,
        **row: Any,
    ) -> str:
        """A session that played these pieces (seconds) one behind the other."""
        self._count += 1
        at = at or self.begin
        name = f"s{self._count}"
        who = {"user_id": user, "content_id": content_id}
        wall, segments = at, []
        for number, (low, high) in enumerate(pieces, 1):
            end = wall + 1000 * (high - low)
            where = {"start_position": 1000 * low, "end_position": 1000 * high}
            segments.append(segment(name, number, start_at=wall, end_at=end, **where, **who))
            wall = end
        times = {"started_at": at, "last_sample_at": wall, "ended_at": None if is_open else wall}
        place = {"position": 1000 * pieces[-1][1] if pieces else 0, "duration": None}
        rows = Rows(sessions=[session(name, **(who | times | place | row))], segments=segments)
        async with self._world.server.database.transaction() as connection:
            await projections.write(connection, [rows], engagement_rules(self._world.server.settings))
        return name


@pytest.fixture
def watching(world: World) -> Watching:
    return Watching(world)
