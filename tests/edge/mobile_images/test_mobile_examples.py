"""The examples of what staff read of app sessions are real answers (as tests/edge/http/test_openapi_examples.py)."""

import os
from pathlib import Path

import msgspec
import pytest

from protocol.mobile import Click, CustomEvent, ViewComponent
from protocol.mobile.messages import write_body
from server.openapi import catalogue
from tests.edge.http.test_openapi_examples import shape
from tests.edge.mobile_images.conftest import World
from tests.edge.mobile_images.pictures import PNG, form, frames, part

pytestmark = pytest.mark.slow

FOLDER = Path(catalogue.__file__).parent / "examples"
T0 = 1_707_300_000_000
SESSION = 157_300_000_123 << 24 | 4711 << 8 | 1
DEVICE = {
    "tracker_version": "1.2.0",
    "os_version": "15",
    "model": "Pixel 9",
    "device_type": "phone",
    "platform": "android",
    "timezone": "UTC+06:00",
    "width": 1080,
    "height": 2424,
}


async def test_the_examples_are_what_a_server_answers(world: World):
    await world.database.execute("DELETE FROM mobile_sessions")
    await world.session(SESSION, "app", "27", at=T0 / 1000, device=DEVICE)
    heartbeat = CustomEvent("heartbeat", '{"position":12.5,"state":"playing"}')
    for n, body in enumerate((ViewComponent("Lesson", "player", visible=True), Click("Play", 540, 310), heartbeat)):
        await world.message(T0 + 1000 * n, body.TYPE, write_body(body), session=SESSION)
    await world.database.execute(
        "INSERT INTO mobile_watch_sessions VALUES ($1, '018d82f3-ad2c-7d0a-b3f5-5f6a8c9e0b11', '27')", SESSION
    )
    sent = form(part("image", PNG, "5f3c9a"), part("batch", frames(1, at=T0), "1.tar.gz"))
    assert (await world.upload(sent, session=SESSION)).status == 200

    answers = {"listMobileSessions": await world.read(), "readMobileSession": await world.read(f"/{SESSION}")}
    if os.environ.get("ROLLCALL_WRITE_EXAMPLES"):
        for name, answer in answers.items():
            (FOLDER / f"{name}.json").write_bytes(msgspec.json.format(answer.body, indent=2) + b"\n")

    kept = catalogue.examples()
    assert {name: shape(answer.json) for name, answer in answers.items()} == {
        name: shape(kept.get(name)) for name in answers
    }
