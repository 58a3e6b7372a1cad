"""Images in an S3-compatible store: kept, read and swept there, beside recordings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.edge.mobile_images.conftest import Maker, World
from tests.edge.mobile_images.pictures import JPEG, PNG, batch, form, frames, part
from tests.support.s3 import KEY, SECRET, S3Server, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("lessons")
        yield server


@pytest.fixture
async def world(make_world: Maker, s3: S3Server) -> World:
    options = {"BUCKET": "lessons/app", "ENDPOINT": s3.url, "KEY": KEY, "SECRET": SECRET}
    return await make_world(settings={f"ROLLCALL_RECORDINGS_S3_{name}": value for name, value in options.items()})


async def test_images_are_kept_read_and_swept_in_a_bucket(world: World):
    assert (await world.upload(form(part("image", PNG + b"1", "a"), part("image", JPEG * 50_000, "b")))).status == 200
    assert (await world.upload(batch(frames(3)))).status == 200

    assert (await world.read("/7/images/a")).body == PNG + b"1"
    assert (await world.read("/7/images/b")).body == JPEG * 50_000
    assert (await world.read("/7/images/1700000000000_1_1700000000002.jpeg")).body == JPEG + b"2"
    assert world.kept() == world.work() == []

    await world.database.execute("DELETE FROM mobile_sessions")
    assert await world.server.upkeep.images.sweep() == 2
    assert await world.server.upkeep.images.sweep() == 0


async def test_where_the_bucket_is_away_the_client_comes_again(
    make_world: Maker, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.files_s3.RETRIES", 0)
    options = {"BUCKET": "nowhere", "ENDPOINT": s3.url, "KEY": KEY, "SECRET": SECRET}
    world = await make_world(settings={f"ROLLCALL_RECORDINGS_S3_{name}": value for name, value in options.items()})

    answer = await world.upload(form(part("image", PNG, "a")))

    answer.refusal(503)
    assert answer.headers["Retry-After"]
    assert await world.hashes() == []
