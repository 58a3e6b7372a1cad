"""The examples of `/openapi.json` are real answers: a story is told to a server, and what it answers is what they show.

With `ROLLCALL_WRITE_EXAMPLES=1` the examples are written anew. Those of the learners' dashboards are the goldens of
their own tests.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.openapi import catalogue
from storage.keys import WriteKey, digest_of
from tests.edge.http.conftest import World

FOLDER = Path(catalogue.__file__).parent / "examples"
GOLDENS = Path(__file__).parents[1] / "learning" / "goldens"
OF_GOLDENS = {
    "readActivities": "activities",
    "readTimes": "times",
    "readAttendance": "attendance",
    "readAttendanceOverview": "overview",
    "readAttendanceDetails": "attendance_details",
    "readAttendanceDay": "day",
    "readClassDetails": "details",
    "readInteraction": "interaction",
}
KEY = "rk_a-key-of-the-examples"
DAY = "2024-02-07"
UPDATED = {"updated_at": f"{DAY}T08:00:00.000Z"}
VIDEO = {"content_kind": "lms_lesson", "content_id": 7}


class Told:
    """What was sent and answered, by the names of the operations."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.found: dict[str, Any] = {}

    async def tell(self, name: str, method: str, path: str, body: Any = None, *, keep: bool = True, **how: Any) -> Any:
        answer = await self._world.call(method, path, body, **how)
        assert answer.status in (200, 201), (name, answer.status, answer.text)
        if keep:
            self.found[name] = answer.json
            if body is not None:
                self.found[f"{name}.request"] = body
        return answer.json

    async def own(self, name: str, path: str, body: Any) -> Any:
        return await self.tell(name, "PUT", f"/api/v1/catalog/{path}", body | UPDATED, headers={"X-Write-Key": KEY})


async def catalog(told: Told) -> None:
    await told.own("putProduct", "products/15", {"name": "Physics, class 9"})
    await told.own("putProgram", "programs/3", {"name": "Academic"})
    when = {"start_at": f"{DAY}T10:00:00.000Z", "end_at": f"{DAY}T11:30:00.000Z"}
    lesson = {"name": "Motion, part 1", "catalog_product_id": 15, "program_id": 3, "subject": "Physics"}
    await told.own("putLiveClass", "live-classes/4711", lesson | when)
    video = {"title": "Motion", "catalog_product_id": 15, "has_video": True, "published": True, "duration_seconds": 600}
    await told.own("putContent", "contents/lms_lesson/7", video)
    await told.own("putEnrolment", "enrolments/15/27", {"enrolled_at": "2024-01-01T00:00:00.000Z"})


async def a_class(told: Told, world: World) -> None:
    room = "/api/v1/rooms/demo-1"
    await told.tell("putRoom", "PUT", room, {"name": "Motion, part 1", "product_id": 15}, staff=True)
    await told.tell("startRoom", "POST", f"{room}/start", staff=True)
    now = world.now()
    samples = [
        {"seq": 1, "at": now - 10_000, "position": 0.0, "state": "playing"},
        {"seq": 2, "at": now, "position": 10.0, "state": "playing"},
    ]
    body = {"room": "demo-1", "sent_at": now, "samples": samples}
    here = await told.tell("postHeartbeats", "POST", "/api/v1/heartbeats", body, user="27")
    world.skip(10)
    later = {"seq": 3, "at": now + 10_000, "position": 20.0, "state": "playing"}
    again = body | {"sent_at": now + 10_000, "samples": [later]}
    await told.tell("postHeartbeats", "POST", "/api/v1/heartbeats", again, user="27", keep=False)
    await told.tell("readRoom", "GET", room, staff=True)
    await told.tell("listPresent", "GET", f"{room}/presence", staff=True)
    await told.tell("readTimeline", "GET", f"{room}/timeline", staff=True)
    await told.tell("readParticipant", "GET", f"{room}/participants/27", user="27")
    await told.tell("listRecordings", "GET", f"{room}/recordings", staff=True)
    await told.tell("readSession", "GET", f"/api/v1/sessions/{here['session_id']}", user="27")
    await world.checkpoint()
    await told.tell("listRooms", "GET", "/api/v1/rooms", staff=True)
    await told.tell("endRoom", "POST", f"{room}/end", staff=True)


async def a_video(told: Told, world: World) -> None:
    path = "/api/v1/videos/engagement/heartbeat"
    stamp = world.now()
    await told.tell("", "POST", path, VIDEO | {"position_seconds": 0.0}, user="27", keep=False)
    world.skip(10)
    body = VIDEO | {"position_seconds": 10.0, "state": "playing", "client_timestamp": stamp + 10_000}
    await told.tell("postVideoHeartbeat", "POST", path, body, user="27")


async def a_phone(told: Told, world: World) -> None:
    body = {
        "projectKey": "app",
        "trackerVersion": "1.2.0",
        "revID": "482",
        "userUUID": "0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a10",
        "userOSVersion": "17.4",
        "userDevice": "iPhone15,2",
        "userDeviceType": "phone",
        "timestamp": world.now(),
        "timezone": "UTC+06:00",
        "platform": "ios",
        "content": {"kind": "lms_lesson", "id": 7},
    }
    await told.tell("startMobile", "POST", "/v1/mobile/start", body)


async def test_the_examples_are_what_a_server_answers(world):
    key = WriteKey("owner", digest_of(KEY), ["catalog"], world.now(), None, None, 1.0)
    await world.write_keys.create(key)
    await world.write_keys.create(WriteKey("app", digest_of("app"), ["mobile"], world.now(), None, None, 1.0))
    told = Told(world)
    await catalog(told)
    await a_class(told, world)
    await a_video(told, world)
    await a_phone(told, world)
    line = {"entity": "enrolment", "catalog_product_id": 15, "user_id": 28} | UPDATED
    bulk = await world.call("POST", "/api/v1/catalog/bulk", line, headers={"X-Write-Key": KEY})
    told.found["postBulk"] = bulk.json
    ended = "/api/v1/catalog/enrolments/15/28"
    await told.tell("endEnrolment", "DELETE", ended, headers={"X-Write-Key": KEY})
    await told.tell("readHealth", "GET", "/healthz")
    await told.tell("readReadiness", "GET", "/readyz")
    if os.environ.get("ROLLCALL_WRITE_EXAMPLES"):
        written = told.found | {name: read(GOLDENS / f"{golden}.json") for name, golden in OF_GOLDENS.items()}
        for name, value in written.items():
            text = msgspec.json.format(msgspec.json.encode(value), indent=2)
            (FOLDER / f"{name}.json").write_bytes(text + b"\n")

    kept = catalogue.examples()
    assert {name: shape(value) for name, value in told.found.items()} == {
        name: shape(kept.get(name)) for name in told.found
    }


@pytest.mark.parametrize(("name", "golden"), OF_GOLDENS.items())
def test_the_dashboards_examples_are_their_goldens(name, golden):
    assert catalogue.examples()[name] == read(GOLDENS / f"{golden}.json")


def read(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())


def shape(value: Any) -> Any:
    """Keys and kinds, without what differs from one telling to the next."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
