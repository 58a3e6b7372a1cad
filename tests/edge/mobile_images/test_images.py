"""Images come in: all of a request or nothing, each once, and every refusal as its client reads it."""

import asyncio
import gzip
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.mobile import encode_project
from server.mobile.ids import UNRECORDED_BIT
from server.mobile.images import BODY_BYTES
from server.mobile.images_archive import Limits
from server.mobile.images_places import PLACES, SESSION_PLACES
from server.mobile.routes import PLACES as NAMES
from storage.files import DirectoryFiles, FilesAway, FilesFull
from tests.edge.mobile_images.conftest import World
from tests.edge.mobile_images.pictures import (
    BOUNDARY,
    JPEG,
    PNG,
    TYPE,
    WEBP,
    Member,
    batch,
    form,
    frames,
    images,
    packed,
    part,
)

pytestmark = pytest.mark.slow

FRAME = "1700000000000_1_1700000000001.jpeg"


async def test_images_and_frames_are_there_when_they_are_answered(world: World):
    body = form(part("image", PNG, "5f3c"), part("shot", WEBP, "w"), part("batch", frames(2), "7-1.tar.gz"))

    answer = await world.upload(body)

    assert (answer.status, answer.body) == (200, b"")
    found = (await world.read("/7")).json["images"]
    assert [(one["hash"], one["content_type"], one["frame"], one["at"]) for one in found] == [
        ("1700000000000_1_1700000000000.jpeg", "image/jpeg", True, "2023-11-14T22:13:20.000Z"),
        (FRAME, "image/jpeg", True, "2023-11-14T22:13:20.001Z"),
        ("5f3c", "image/png", False, None),
        ("w", "image/webp", False, None),
    ]
    assert len(world.kept()) == 1
    assert world.work() == []
    assert await world.server.services.mobile_images.hashes("app") in (["5f3c", "w"], ["w", "5f3c"])


async def test_an_image_is_read_back_as_it_was_sent(world: World):
    await world.upload(form(part("image", PNG + b"!", "5f3c"), part("image", JPEG * 999, "b")))

    for name, data, media in (("5f3c", PNG + b"!", "image/png"), ("b", JPEG * 999, "image/jpeg")):
        answer = await world.read(f"/7/images/{name}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["Content-Type"] == media
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Content-Length"] == str(len(data))


async def test_the_same_image_twice_is_stored_once(world: World):
    for _ in range(2):
        assert (await world.upload(images(a=PNG))).status == 200
    assert (await world.upload(form(part("x", PNG, "a"), part("y", PNG, "a")))).status == 200

    assert await world.hashes() == ["a"]
    assert len(world.kept()) == 1
    assert world.server.services.counters.images == {"kept": 1, "again": 2}


async def test_what_is_new_beside_what_is_there_is_stored(world: World):
    await world.upload(images(a=PNG))
    await world.upload(images(a=PNG, b=JPEG))

    assert await world.hashes() == ["a", "b"]
    assert (await world.read("/7/images/b")).body == JPEG


async def test_sessions_have_their_own_images(world: World):
    await world.session(8)
    await world.upload(images(a=PNG))
    await world.upload(images(a=PNG + b"other"), session=8)

    assert (await world.read("/7/images/a")).body == PNG
    assert (await world.read("/8/images/a")).body == PNG + b"other"


async def test_directories_go_and_odd_names_become_safe_ones(world: World):
    archive = packed(Member("../../x/1_1_2.jpeg", JPEG), Member('a\r\n"ক"_3.jpeg', JPEG))
    body = form(part("image", PNG, "../../etc/passwd"), part("batch", archive, "b.gz"))

    assert (await world.upload(body)).status == 200
    first, odd, last = await world.hashes()
    assert (first, last) == ("1_1_2.jpeg", "passwd")
    assert odd.startswith("a_")
    assert odd.isascii()
    answer = await world.read(f"/7/images/{odd}")
    assert answer.body == JPEG
    assert answer.headers["Content-Disposition"] == f'inline; filename="{odd}"'


async def test_a_session_that_must_not_be_recorded_is_answered_and_nothing_is_kept(world: World):
    answer = await world.upload(images(a=PNG), session=7 | UNRECORDED_BIT)

    assert (answer.status, answer.body) == (200, b"")
    assert await world.nothing_is_left()


async def test_a_project_may_be_named_and_must_be_the_tokens(world: World):
    await world.project("other")
    own, other = [await world.server.services.write_keys.key(name) for name in ("app", "other")]
    assert own is not None
    assert other is not None

    for name, value in (
        ("projectKey", "app"),
        ("projectID", str(own.number)),
        ("projectID", str(encode_project(own.number))),
    ):
        body = form(part(name, value.encode()), part("image", PNG, value))
        assert (await world.upload(body)).status == 200
    for name, value in (
        ("projectKey", "other"),
        ("projectKey", ""),
        ("projectID", str(other.number)),
        ("projectID", str(encode_project(other.number))),
        ("projectID", "one"),
    ):
        body = form(part(name, value.encode()), part("image", PNG, "refused"))
        assert "another project" in (await world.upload(body)).refusal(401)
    assert "refused" not in await world.hashes()


@pytest.mark.parametrize("place", NAMES)
async def test_the_door_has_four_names(world: World, place: str):
    assert (await world.upload(images(a=PNG), path=f"{place}/images")).status == 200
    assert await world.hashes() == ["a"]
    (await world.upload(images(a=PNG), path=f"{place}/images", token="x")).refusal(401)


async def test_a_client_starts_sends_and_is_told_what_it_need_not_send_again(world: World):
    async def start() -> Any:
        body = {"projectKey": "app", "trackerVersion": "1.2.0", "userUUID": str(UUID(int=1)), "timestamp": world.now()}
        async with world.http.post(f"{world.url}/v1/mobile/start", json=body) as response:
            assert response.status == 200, await response.read()
            return await response.json()

    first = await start()
    sent = form(
        part("projectID", first["projectID"].encode()), part("x", PNG, "5f3c"), part("batch", frames(2), "b.gz")
    )
    answer = await world.upload(sent, token=first["token"], path="/ingest/v1/ios/images")
    second = await start()

    assert (answer.status, answer.body) == (200, b"")
    assert (first["imagesHashList"], second["imagesHashList"]) == ([], ["5f3c"])
    assert len(await world.hashes(int(first["sessionID"]))) == 3


# -- refusals ---------------------------------------------------------------------------------------------------------


async def test_who_has_no_token_or_a_bad_one_is_refused(world: World):
    valid = world.token()
    for token in ("x", valid[:-1], valid + "1", world.token(expires_in_s=-1), world.token(session_id=99)):
        (await world.upload(images(a=PNG), token=token)).refusal(401)
    (await world.upload(images(a=PNG), headers={"Authorization": "Basic YTpi"})).refusal(401)
    assert await world.nothing_is_left()


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("application/json", 415),
        ("multipart/mixed; boundary=x", 415),
        ("application/octet-stream", 415),
        ("multipart/form-data", 400),
    ],
)
async def test_what_is_no_form_is_refused(world: World, media: str, status: int):
    (await world.upload(images(a=PNG), media=media)).refusal(status)


async def test_a_packed_body_is_refused(world: World):
    answer = await world.upload(gzip.compress(images(a=PNG)), headers={"Content-Encoding": "gzip"})

    assert "Content-Encoding" in answer.refusal(415)


NO_FILES = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no boundary"),
        (form(), 400, "no image"),
        (form(part("projectKey", b"app")), 400, "no image"),
        (images(a=PNG)[:-20], 400, "last one"),
        (images(a=b""), 415, "neither PNG nor JPEG nor WebP"),
        (images(a=b"GIF89a"), 415, "neither"),
        (images(a=b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), 415, "neither"),
        (images(a=PNG, b=b"MZ"), 415, "neither"),
        (form(part("image", PNG, "")), 400, "no name"),
        (form(part("image", PNG, "folder/")), 400, "no name"),
        (form(part("a", PNG, "h"), part("b", JPEG, "h")), 400, "two images"),
        (form(part("projectKey", b"x" * 300), part("a", PNG, "h")), 400, "256"),
        (form(*[part("a", PNG, f"h{n}") for n in range(501)]), 413, "500 images"),
        (form(*[part("a", b"")] * 601), 413, "600 parts"),
        (form(part("batch", frames(1)), part("batch", frames(1))), 400, "more than one"),
        (batch(b"garbage"), 400, "not gzip"),
        (batch(frames(3)[:-9]), 400, "short"),
        (batch(frames(3) + b"more"), 400, "behind"),
        (batch(gzip.compress(frames(3))), 400, "not tar"),
        (batch(packed(Member("a.tar.gz", frames(1)))), 415, "neither"),
        (batch(packed(Member("/etc/a_1.jpeg", JPEG))), 400, "absolute"),
        (batch(packed(Member("x/1_1.jpeg", JPEG), Member("y/1_1.jpeg", PNG))), 400, "two images"),
        (lambda: batch(packed(*(Member(f"{n}_1.jpeg", JPEG) for n in range(501)))), 413, "500 entries"),
        (lambda: batch(packed(*(Member(f"{n}_1.jpeg") for n in range(10_000)))), 415, "neither"),
        (batch(packed(Member("n" * 20_000, JPEG), kind=tarfile.PAX_FORMAT)), 400, "16384"),
        (lambda: batch(packed(Member("1_1.jpeg", JPEG + bytes(65 * 1024 * 1024)))), 413, "67108864"),
        *((batch(packed(Member("a", JPEG), Member("l", more={"type": each}))), 400, "no file") for each in NO_FILES),
    ],
)
async def test_what_is_wrong_is_refused_whole(world: World, body: bytes | Callable[[], bytes], status: int, words: str):
    answer = await world.upload(body() if callable(body) else body)

    assert words in answer.refusal(status)
    assert await world.nothing_is_left()


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(world: World):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    head = f"POST /door/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token()}\r\nContent-Type: {TYPE}\r\n"
    writer.write(f"{head}Content-Length: {BODY_BYTES + 1}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large(world: World):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 5 * BODY_BYTES:
            sent += 1024 * 1024
            yield bytes(1024 * 1024)

    try:
        answer = await world.upload(endless())
    except ConnectionError:
        pass  # the answer went out while the client still wrote, and the connection was closed on it
    else:
        assert str(BODY_BYTES) in answer.refusal(413)
    assert sent < 5 * BODY_BYTES
    assert await world.nothing_is_left()


async def test_a_body_as_large_as_it_may_be_is_taken(world: World):
    room = BODY_BYTES - len(images(a=b""))

    assert (await world.upload(images(a=PNG.ljust(room, b"\0")))).status == 200
    (await world.upload(images(b=PNG.ljust(room + 1, b"\0")))).refusal(413)


async def test_a_session_that_is_erased_meanwhile_takes_nothing(world: World):
    assert (await world.upload(images(a=PNG))).status == 200
    await world.database.execute("DELETE FROM mobile_sessions")

    (await world.upload(images(b=PNG))).refusal(401)
    assert await world.nothing_is_left()


async def test_a_session_that_has_all_it_may_have_is_refused(world: World):
    world.door._images._images_max = 2
    await world.upload(images(a=PNG, b=PNG))

    assert "all the images" in (await world.upload(images(c=PNG))).refusal(413)
    assert (await world.upload(images(a=PNG))).status == 200


async def test_a_project_that_is_revoked_sends_no_more(world: World):
    await world.server.services.write_keys.revoke("app", world.now())

    (await world.upload(images(a=PNG))).refusal(401)


# -- bounds -----------------------------------------------------------------------------------------------------------


async def slow(begun: asyncio.Event, go: asyncio.Event, body: bytes) -> AsyncIterator[bytes]:
    yield body[:10]
    begun.set()
    await go.wait()
    yield body[10:]


async def test_where_too_many_are_at_it_the_next_comes_again(make_world):
    world = await make_world(places=1)
    begun, go = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(world.upload(slow(begun, go, images(a=PNG))))
    await world.until(lambda: world.door.taken)
    refused = await world.upload(images(b=PNG))
    go.set()

    assert "too many" in refused.refusal(503)
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await first).status == 200
    assert world.door.taken == 0
    assert (await world.upload(images(b=PNG))).status == 200


async def test_many_at_once_are_all_kept(world: World):
    sessions = range(100, 100 + PLACES // 2 // SESSION_PLACES)
    for session in sessions:
        await world.session(session)
    names = [f"h{each}" for each in range(SESSION_PLACES)]

    answers = await asyncio.gather(
        *(
            world.upload(images(**{name: PNG + name.encode()}), session=session)
            for session in sessions
            for name in names
        )
    )

    assert {answer.status for answer in answers} == {200}
    assert [await world.hashes(session) for session in sessions] == [names] * len(sessions)
    assert world.work() == []


async def test_a_session_that_sends_many_at_once_comes_again_and_others_do_not_notice(world: World):
    await world.session(8)
    begun, go = asyncio.Event(), asyncio.Event()
    first = [asyncio.create_task(world.upload(slow(begun, go, images(a=PNG)))) for _ in range(SESSION_PLACES)]
    await world.until(lambda: world.door.taken == SESSION_PLACES)
    refused = await world.upload(images(b=PNG))
    other = await world.upload(images(b=PNG), session=8)
    go.set()

    assert "this session" in refused.refusal(503)
    assert int(refused.headers["Retry-After"]) >= 1
    assert other.status == 200
    assert {(await each).status for each in first} == {200}


async def test_what_comes_at_the_same_moment_counts_for_what_a_session_may_have(world: World):
    world.door._images._images_max = 2
    names = [f"h{each}" for each in range(SESSION_PLACES)]

    answers = await asyncio.gather(*(world.upload(images(**{name: PNG + name.encode()})) for name in names))

    assert sorted(answer.status for answer in answers) == [200] * 2 + [413] * (SESSION_PLACES - 2)
    assert len(await world.hashes()) == 2


async def test_a_client_that_stands_still_is_told_so(make_world):
    world = await make_world(receive_s=0.2)

    answer = await world.upload(slow(asyncio.Event(), asyncio.Event(), images(a=PNG)))

    assert "0 s" in answer.refusal(408)
    assert world.door.taken == 0


async def test_a_client_that_goes_away_leaves_nothing(world: World):
    _, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    head = f"POST /door/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token()}\r\nContent-Type: {TYPE}\r\n"
    writer.write(f"{head}Content-Length: 5000000\r\n\r\n--{BOUNDARY}".encode() + bytes(300_000))
    await writer.drain()
    await world.until(lambda: world.door.taken)
    writer.transport.abort()
    await world.until(lambda: not world.door.taken)

    assert await world.nothing_is_left()


async def test_unpacked_bytes_are_counted_over_images_and_archive_together(make_world):
    world = await make_world(limits=Limits(unpacked=30_000, entries=5))

    (await world.upload(form(part("a", PNG.ljust(20_000), "a"), part("batch", frames(1, size=9_000))))).refusal(413)
    (await world.upload(form(part("a", PNG.ljust(20_000), "a"), part("b", PNG.ljust(10_001), "b")))).refusal(413)
    (await world.upload(form(*(part("a", PNG, f"{n}") for n in range(3)), part("batch", frames(3))))).refusal(413)
    assert (await world.upload(form(part("a", PNG, "a"), part("batch", frames(4))))).status == 200


# -- storage ----------------------------------------------------------------------------------------------------------


class AwayFiles(DirectoryFiles):
    """A store of files that goes away."""

    error: FilesAway | None = None

    async def put(self, name: str, path: Path, media_type: str) -> None:
        if self.error is not None:
            raise self.error
        await super().put(name, path, media_type)


@pytest.mark.parametrize("error", [FilesAway("gone"), FilesFull("no space left")])
async def test_where_files_cannot_be_kept_the_client_comes_again(make_world, tmp_path: Path, error: FilesAway):
    files = AwayFiles(tmp_path / "recordings")
    world = await make_world(files=files)
    files.error = error
    refused = await world.upload(images(a=PNG))

    assert refused.headers["Retry-After"]
    refused.refusal(503)
    assert await world.nothing_is_left()
    assert await world.hashes() == []

    files.error = None
    assert (await world.upload(images(a=PNG))).status == 200


async def test_where_the_database_is_away_the_client_comes_again(world: World):
    assert (await world.upload(images(a=PNG))).status == 200
    await world.server.database.close()
    refused = await world.upload(images(b=PNG))
    await world.server.database.open()

    refused.refusal(503)
    assert refused.headers["Retry-After"]
    assert await world.hashes() == ["a"]


async def test_a_work_place_that_cannot_be_written_is_told_as_away(make_world, tmp_path: Path):
    world = await make_world()
    (tmp_path / "work").write_bytes(b"")

    (await world.upload(images(a=PNG))).refusal(503)
