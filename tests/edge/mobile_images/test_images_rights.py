"""A learner's rights and an operator's retention reach images: rows, and bytes."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import msgspec
import pytest

from actors.ports import StoreAway
from server.mobile.images_sweeping import exported
from server.retention import Sweeper
from storage.learners import Learners
from storage.retention import Retention
from tests.edge.mobile_images.conftest import World
from tests.edge.mobile_images.pictures import JPEG, PNG, form, frames, part

pytestmark = pytest.mark.slow


@pytest.fixture
async def shot(world: World) -> World:
    """Images of two learners and of nobody."""
    await world.session(8, user_id="27")
    await world.session(9, user_id="28")
    for session in (7, 8, 9):
        body = form(part("image", PNG + b"%d" % session, "a"), part("batch", frames(2), "b.gz"))
        assert (await world.upload(body, session=session)).status == 200
    return world


async def export(world: World, user_id: str) -> list[Any]:
    services = world.server.services
    found = exported(services.mobile_images, services.files, user_id)
    return [msgspec.json.decode(bytes(held.content)) async for held in found]


async def test_a_learner_is_given_their_images_with_their_bytes(shot: World):
    found = await export(shot, "27")

    assert [(one["session_id"], one["hash"], one["media"], one["frame"]) for one in found] == [
        ("8", "1700000000000_1_1700000000000.jpeg", "image/jpeg", True),
        ("8", "1700000000000_1_1700000000001.jpeg", "image/jpeg", True),
        ("8", "a", "image/png", False),
    ]
    assert [b64decode(one["base64"]) for one in found] == [JPEG + b"0", JPEG + b"1", PNG + b"8"]
    assert await export(shot, "nobody") == []


async def test_an_image_whose_bytes_are_gone_is_given_without(shot: World):
    for path in shot.kept():
        path.unlink()

    assert [one["base64"] for one in await export(shot, "27")] == [None] * 3


async def test_where_files_are_away_an_export_says_so(shot: World):
    folder = shot.data / "recordings"
    folder.rename(shot.data / "elsewhere")
    folder.write_bytes(b"no directory")

    with pytest.raises(StoreAway, match="store of files"):
        await export(shot, "27")


async def test_an_erasure_takes_images_rows_and_bytes(shot: World):
    assert len(shot.kept()) == 3
    await shot.server.system.start()
    try:
        async with asyncio.timeout(20):
            await shot.server.system.until_ready()
            await shot.server.eraser.erase("27")
    finally:
        await shot.server.system.drain(2)

    assert len(shot.kept()) == 2
    assert await export(shot, "27") == []
    assert (await shot.read("/8")).status == 404
    assert (await shot.read("/8/images/a")).status == 404
    assert await shot.hashes(9) != []
    left = await shot.database.fetchval("SELECT count(*) FROM mobile_image_files")
    assert left == 2


async def test_retention_takes_old_images_and_their_bytes(shot: World):
    await shot.database.execute(
        "UPDATE mobile_images SET stored_at = stored_at - interval '40 days' WHERE session_id = 8"
    )
    sweeper = Sweeper(Retention(shot.server.database, batch_rows=2), 30, shot.now, pause_s=0)

    await sweeper.sweep()
    await shot.server.upkeep.images.sweep()

    assert (await shot.read("/8/images/a")).status == 404
    assert (await shot.read("/9/images/a")).status == 200
    assert len(shot.kept()) == 2


async def test_a_learners_rows_are_found_by_their_sessions(shot: World):
    held = [each async for each in Learners(shot.server.database).rows("27")]

    assert "mobile_sessions" in {each.table for each in held}
