"""What a question may ask for at the most: refused before the store is asked."""

from __future__ import annotations

from datetime import UTC, datetime

from server.http.engagement.platform import STEPS_MAX
from tests.edge.http.conftest import World


async def test_a_series_has_so_many_steps_and_not_one_more(world: World):
    begin = world.now() // 86_400_000 * 86_400 - 86_400 * 7

    def asked(steps: int) -> str:
        start, end = (f"{day(begin)}T00:00:00Z", f"{stamp(begin + 10 * steps)}Z")
        return f"/api/v1/videos/concurrent?start_at={start}&end_at={end}&step=10"

    refused = await world.call("GET", asked(STEPS_MAX + 1), staff=True)
    taken = await world.call("GET", asked(STEPS_MAX), staff=True)

    assert "`$.step`" in refused.refusal(400, "VALIDATION_FAILED")
    taken.refusal(503, "STORAGE_UNAVAILABLE")  # this world has no tables to read


def day(unix_s: int) -> str:
    return stamp(unix_s)[:10]


def stamp(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
