"""Recordings over HTTP: who may, the list, the file in parts, the picture."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from actors.machines.events import Joined
from actors.machines.state import RoomRules
from protocol.catalog import Enrolment
from server.http import sending
from server.recordings.fetching import file_name, thumbnail_name
from storage.files import FilesAway
from storage.jobs import Figures, MediaTrack
from tests.edge.http.conftest import World
from tests.support.examples import T0

CONTENT = os.urandom(700_001)
PICTURE = b"\xff\xd8\xff a picture"
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


async def told(world: World, record_id: str = "r-1", room: str = "r1") -> str:
    await world.jobs.recording(record_id, room, "s-1", None, T0)
    return next(job.id for job in world.jobs.recordings.values() if job.record_id == record_id)


async def kept(world: World, tmp_path: Path, *, picture: bool = True, room: str = "r1") -> str:
    """A recording that is ready."""
    job_id = await told(world, room=room)
    await world.jobs.claim_recordings("w", 60, 9)
    (tmp_path / "local").write_bytes(CONTENT)
    await world.files.put(file_name(job_id), tmp_path / "local", "video/mp4")
    if picture:
        (tmp_path / "local").write_bytes(PICTURE)
        await world.files.put(thumbnail_name(job_id), tmp_path / "local", "image/jpeg")
    why = None if picture else "the recording has no video"
    tracks = [MediaTrack("video", "h264")] if picture else [MediaTrack("audio", "opus")]
    await world.jobs.examined(job_id, "w", Figures(len(CONTENT), ETAG.strip('"'), 61_500, tracks, picture, why))
    await world.jobs.ready(job_id, "w")
    return job_id


async def attend(world: World, user: str, seconds: float, room: str = "r1") -> None:
    """Be in the class on a socket for so long, up to its end."""
    await world.call("POST", f"/api/v1/rooms/{room}/start", staff=True)
    actor = await world.system.room(room, create=False)
    assert actor is not None
    session_id = world.system.new_session_id(actor.partition)
    world.system.post(actor, Joined(user, "learner", None, session_id, None, "", None, 10_000))
    await asyncio.sleep(0)
    world.skip(seconds)
    await world.call("POST", f"/api/v1/rooms/{room}/end", staff=True)


async def fetch(world: World, job_id: str, what: str = "file", **more: Any) -> Any:
    return await world.call("GET", f"/api/v1/recordings/{job_id}/{what}", **({"staff": True} | more))


# -- the list ---------------------------------------------------------------------------------------------------------


async def test_the_recordings_of_a_room_are_listed_whatever_their_state(world, tmp_path):
    job_id = await kept(world, tmp_path)
    waiting = await told(world, "r-2")
    answer = await world.call("GET", "/api/v1/rooms/r1/recordings", staff=True)

    assert sorted(answer.json["recordings"], key=lambda each: each["record_id"]) == [
        {
            "id": job_id,
            "record_id": "r-1",
            "state": "ready",
            "reason": None,
            "size_bytes": len(CONTENT),
            "sha256": ETAG.strip('"'),
            "duration_seconds": 61.5,
            "thumbnail": True,
        },
        {
            "id": waiting,
            "record_id": "r-2",
            "state": "pending",
            "reason": None,
            "size_bytes": None,
            "sha256": None,
            "duration_seconds": None,
            "thumbnail": False,
        },
    ]


async def test_a_room_without_recordings_has_an_empty_list_and_an_unknown_one_none(world):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)

    assert (await world.call("GET", "/api/v1/rooms/r1/recordings", staff=True)).json == {"recordings": []}
    (await world.call("GET", "/api/v1/rooms/r2/recordings", staff=True)).refusal(404, "NOT_FOUND")


# -- who may ----------------------------------------------------------------------------------------------------------


async def test_who_attended_may_watch_and_nobody_else(world, tmp_path):
    job_id = await kept(world, tmp_path)
    await attend(world, "27", 60)

    assert (await world.call("GET", "/api/v1/rooms/r1/recordings", user="27")).json["recordings"][0]["id"] == job_id
    assert (await fetch(world, job_id, staff=False, user="27")).text == CONTENT
    assert (await fetch(world, job_id, "thumbnail", staff=False, user="27")).text == PICTURE
    (await world.call("GET", "/api/v1/rooms/r1/recordings", user="28")).refusal(403, "FORBIDDEN")
    (await fetch(world, job_id, staff=False, user="28")).refusal(404, "NOT_FOUND")
    (await fetch(world, job_id, staff=False)).refusal(401, "UNAUTHENTICATED")


async def test_who_is_enrolled_may_watch_what_was_missed(world, tmp_path):
    job_id = await kept(world, tmp_path)
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x", "product_id": 15}, staff=True)
    (await fetch(world, job_id, staff=False, user="28")).refusal(404, "NOT_FOUND")

    now = [Enrolment("15", "28", None, None, T0), Enrolment("15", "29", None, world.now(), T0)]
    await world.services.catalog_writer.write(now)

    assert (await fetch(world, job_id, staff=False, user="28")).text == CONTENT
    (await fetch(world, job_id, staff=False, user="29")).refusal(404, "NOT_FOUND")
    world.faults.away = True
    (await fetch(world, job_id, staff=False, user="30")).refusal(503, "STORAGE_UNAVAILABLE")


async def test_a_glance_is_no_attendance(make_world, tmp_path):
    world = await make_world(rules={"room": RoomRules(attended_min_ms=2_000)})  # half a second may touch two of them
    job_id = await kept(world, tmp_path)
    await attend(world, "27", 0.5)

    (await fetch(world, job_id, staff=False, user="27")).refusal(404, "NOT_FOUND")


async def test_a_token_that_leaves_the_room_out_does_not_open_it(world, tmp_path):
    job_id = await kept(world, tmp_path)
    await attend(world, "27", 60)
    token = {"Authorization": f"Bearer {world.token('27', rooms=['r2'])}"}

    (await fetch(world, job_id, staff=False, headers=token)).refusal(404, "NOT_FOUND")
    (await world.call("GET", "/api/v1/rooms/r1/recordings", headers=token)).refusal(403, "FORBIDDEN")


@pytest.mark.parametrize("name", ["x", "11111111-1111-4111-8111-111111111111", "%00", "..%2F..%2Fetc%2Fpasswd"])
async def test_what_is_no_recording_is_not_found(world, name):
    assert (await fetch(world, name)).status in {400, 404}


async def test_one_that_is_not_here_yet_says_how_it_stands(world):
    job_id = await told(world)

    assert "pending" in (await fetch(world, job_id)).refusal(409, "CONFLICT")


# -- the file ---------------------------------------------------------------------------------------------------------


async def test_the_whole_file_comes_with_its_name_type_and_version(world, tmp_path):
    job_id = await kept(world, tmp_path, room='../r 1"\r\nX: y')
    answer = await fetch(world, job_id)

    assert answer.status == 200
    assert answer.text == CONTENT
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="r-1-X-y-{job_id[:8]}.mp4"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=700000-", 700_000, 700_001),
        ("bytes=600000-9999999", 600_000, 700_001),
        ("bytes=-5", 699_996, 700_001),
        ("bytes=-9999999", 0, 700_001),
    ],
)
async def test_a_range_comes_as_asked(world, tmp_path, asked, start, end):
    job_id = await kept(world, tmp_path)
    answer = await fetch(world, job_id, headers={"Range": asked, "If-Range": ETAG})

    assert answer.status == 206
    assert answer.text == CONTENT[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=700001-", "bytes=9999999-", "bytes=-0"])
async def test_a_range_behind_the_end_is_416(world, tmp_path, asked):
    job_id = await kept(world, tmp_path)
    answer = await fetch(world, job_id, headers={"Range": asked})

    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,5-6", "items=0-1", "bytes=x-", "bytes=-", ""])
async def test_what_is_no_single_range_is_the_whole_file(world, tmp_path, asked):
    job_id = await kept(world, tmp_path)

    assert (await fetch(world, job_id, headers={"Range": asked})).status == 200


@pytest.mark.parametrize(
    "version", ['"another"', f"W/{ETAG}", "Wed, 21 Oct 2015 07:28:00 GMT"], ids=["another", "weak", "a date"]
)
async def test_a_range_of_another_version_is_the_whole_file(world, tmp_path, version):
    job_id = await kept(world, tmp_path)

    assert (await fetch(world, job_id, headers={"Range": "bytes=5-", "If-Range": version})).status == 200


async def test_a_file_that_is_known_is_not_sent_again(world, tmp_path):
    job_id = await kept(world, tmp_path)
    answer = await fetch(world, job_id, headers={"If-None-Match": f'"x", {ETAG}'})

    assert (answer.status, answer.text) == (304, b"")


async def test_head_tells_the_size_and_sends_nothing(world, tmp_path):
    job_id = await kept(world, tmp_path)
    path = f"/api/v1/recordings/{job_id}/file"
    whole = await world.call("HEAD", path, staff=True)
    part = await world.call("HEAD", path, staff=True, headers={"Range": "bytes=0-9"})

    assert (whole.status, whole.text, whole.headers["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert (part.status, part.text, part.headers["Content-Length"]) == (206, b"", "10")


# -- the picture ------------------------------------------------------------------------------------------------------


async def test_the_picture_is_a_jpeg_to_be_shown(world, tmp_path):
    job_id = await kept(world, tmp_path)
    answer = await fetch(world, job_id, "thumbnail")

    assert (answer.status, answer.text, answer.headers["Content-Type"]) == (200, PICTURE, "image/jpeg")
    assert answer.headers["Content-Disposition"].startswith("inline;")
    assert answer.headers["ETag"] != ETAG


async def test_without_a_picture_the_reason_is_told(world, tmp_path):
    job_id = await kept(world, tmp_path, picture=False)

    assert "the recording has no video" in (await fetch(world, job_id, "thumbnail")).refusal(404, "NOT_FOUND")
    assert (await fetch(world, job_id)).headers["Content-Type"] == "audio/mp4"


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["file", "thumbnail"])
async def test_a_file_that_is_gone_is_404_and_a_store_that_is_away_503(world, tmp_path, what, monkeypatch):
    job_id = await kept(world, tmp_path)

    async def away(*_arguments: object) -> bytes:
        raise FilesAway("the bucket is away")

    for name in (file_name(job_id), thumbnail_name(job_id)):
        await world.files.remove(name)
    (await fetch(world, job_id, what)).refusal(404, "NOT_FOUND")
    monkeypatch.setattr(world.files, "piece", away)
    monkeypatch.setattr(world.files, "size", away)
    (await fetch(world, job_id, what)).refusal(503, "STORAGE_UNAVAILABLE")


async def test_a_database_that_is_away_is_503(world, tmp_path):
    job_id = await kept(world, tmp_path)
    world.faults.away = True

    (await fetch(world, job_id)).refusal(503, "STORAGE_UNAVAILABLE")
    (await world.call("GET", "/api/v1/rooms/r1/recordings", staff=True)).refusal(503, "STORAGE_UNAVAILABLE")
    world.faults.away = False


class Slow:
    """A reader that asks and takes nothing."""

    def __init__(self, world: World, path: str) -> None:
        port = int(world.url.rpartition(":")[2])
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        token = world.token("teacher", "staff")
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())


@pytest.fixture
def counted(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much was read of kept files, piece by piece."""
    pieces: list[int] = []
    piece = world.files.piece

    async def counting(name: str, start: int, end: int) -> bytes:
        data = await piece(name, start, end)
        pieces.append(len(data))
        return data

    monkeypatch.setattr(world.files, "piece", counting)
    return pieces


async def test_a_slow_reader_holds_a_piece_and_is_cut_off_in_the_end(world, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(sending, "STALL_S", 0.2)
    job_id = await kept(world, tmp_path)
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(200_000_000)
    await world.files.put(file_name(job_id), big, "video/mp4")
    job = world.jobs.recordings[job_id]
    figures = Figures(200_000_000, job.figures.sha256, None, [], thumbnail=False, thumbnail_reason="x")
    world.jobs._set(job_id, figures=figures)

    slow = Slow(world, f"/api/v1/recordings/{job_id}/file")
    await world.until(lambda: ("GET", "/api/v1/recordings/{id}/file", 200) in world.edge.requests)

    assert sum(counted) < 20_000_000
    slow.socket.close()


async def test_too_many_readers_are_told_to_come_back(world, tmp_path, monkeypatch):
    job_id = await kept(world, tmp_path)
    monkeypatch.setattr(sending, "AT_ONCE", 0)
    (await fetch(world, job_id)).refusal(503, "STORAGE_UNAVAILABLE")
    monkeypatch.setattr(sending, "AT_ONCE_EACH", 0)
    (await fetch(world, job_id)).refusal(429, "RATE_LIMITED")
    assert (await world.call("HEAD", f"/api/v1/recordings/{job_id}/file", staff=True)).status == 200
