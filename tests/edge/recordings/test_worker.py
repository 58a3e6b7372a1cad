"""The worker beside its jobs: what it does without an API, without a database, and at a stop."""

from __future__ import annotations

import asyncio
import time

from server.recordings.worker import Worker
from tests.edge.recordings.conftest import Workshop
from tests.support.node import until
from tests.support.plugnmeet_api import File

MB = 1_000_000


async def test_without_an_api_nothing_is_fetched_and_what_waits_is_counted(shop: Workshop):
    job_id = await shop.told("r-1", File(MB))
    worker = Worker(
        shop.jobs, None, None, owner="w", work=shop.work, counters=shop.counters, sole_owner=True, poll_s=0.01
    )
    running = asyncio.create_task(worker.run())

    await until(lambda: shop.counters.recordings)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.stop()

    assert shop.counters.recordings == {"pending": 1, "fetching": 0, "ready": 0, "failed": 0}
    assert (shop.job(job_id).state, shop.job(job_id).attempts) == ("pending", 0)
    assert not shop.work.exists()


async def test_a_database_that_is_away_is_waited_for(shop: Workshop, monkeypatch):
    monkeypatch.setattr("server.recordings.worker.WAIT_FIRST_S", 0.01)
    shop.memory.faults.away = True
    async with shop.life():
        shop.memory.faults.away = False
        job_id = await shop.told("r-1", File(MB))
        await shop.until_state(job_id, "ready")


async def test_a_stop_without_a_database_gives_up_soon(shop: Workshop, monkeypatch):
    monkeypatch.setattr("server.recordings.worker.STOP_S", 0.1)
    shop.stand_in.hold = asyncio.Event()
    await shop.told("r-1", File(2 * MB))

    async with shop.life():
        await until(lambda: shop.stand_in.sent >= MB)
        shop.memory.faults.stalled = True
        begun = time.monotonic()

    assert time.monotonic() - begun < 3
    shop.memory.faults.stalled = False
    shop.stand_in.hold.set()


async def test_jobs_that_are_told_while_it_runs_are_found(shop: Workshop):
    async with shop.life():
        for number in range(5):
            job_id = await shop.told(f"r-{number}", File(1000))
            await shop.until_state(job_id, "ready")

    await until(lambda: shop.counters.attempts == {"ready": 5})


async def test_a_job_whose_lease_ran_out_under_us_is_not_begun_twice(shop: Workshop):
    shop.stand_in.hold = asyncio.Event()
    job_id = await shop.told("r-1", file := File(2 * MB))

    async with shop.life() as worker:
        await until(lambda: shop.stand_in.sent >= MB)
        shop.jobs.claims[job_id].until = 0
        await until(lambda: shop.job(job_id).attempts == 2)
        assert len(worker._fetching) == 1
        shop.stand_in.hold.set()
        await shop.until_state(job_id, "ready")

    shop.assert_kept(job_id, file)
    assert shop.stand_in.asked["/download/recording"] == 1
