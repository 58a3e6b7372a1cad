"""The client of plugNmeet's API, against a stand-in that checks what the original checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.plugnmeet import api
from server.plugnmeet.api import ApiAway, ApiRefused, PlugNMeetApi, RangeRefused, TokenRefused, signature
from tests.support.plugnmeet_api import (
    KEY,
    SECRET,
    File,
    PlugNMeetStandIn,
    active_room,
    not_active,
    participant,
)


@pytest.fixture
async def stand_in() -> AsyncIterator[PlugNMeetStandIn]:
    async with PlugNMeetStandIn() as started:
        yield started


@pytest.fixture
async def client(stand_in: PlugNMeetStandIn) -> AsyncIterator[PlugNMeetApi]:
    made = PlugNMeetApi(stand_in.url + "/", KEY, SECRET, timeout_s=2, silence_s=2)
    yield made
    await made.aclose()


async def fetched(client: PlugNMeetApi, token: str, start: int = 0, validator: str = "") -> tuple[int, bytes]:
    async with client.download("recording", token, start=start, validator=validator) as download:
        return download.start, b"".join([chunk async for chunk in download.chunks])


# -- asking -----------------------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_contract():
    assert signature(SECRET.encode(), b'{"room_id":"room01"}') == (
        "4b60a468df680c0739f6c7255626b31c8934efc1293b9e40667575b964bf24b5"
    )


async def test_what_a_recording_is_and_a_token_for_it_are_asked_signed(stand_in, client):
    stand_in.recordings["r-1"] = File(2_500_000)

    info = await client.recording_info("r-1")
    token = await client.recording_token("r-1")

    assert info["file_size"] == 2.5
    assert token
    assert stand_in.bodies == [
        ("/auth/recording/info", {"record_id": "r-1"}),
        ("/auth/recording/getDownloadToken", {"record_id": "r-1"}),
    ]
    assert stand_in.refused == []


async def test_each_kind_of_artifact_has_its_own_door(stand_in, client):
    stand_in.artifacts["a-1"] = File(content=b"{}")

    async with client.download("artifact", await client.artifact_token("a-1")) as download:
        assert [chunk async for chunk in download.chunks] == [b"{}"]
    async with client.download("analytics", await client.analytics_token("a-1")) as download:
        assert [chunk async for chunk in download.chunks] == [b"{}"]

    assert stand_in.bodies[1] == ("/auth/analytics/getDownloadToken", {"file_id": "a-1"})


async def test_who_is_in_a_room_comes_as_the_server_has_it(stand_in, client):
    stand_in.rooms["room01"] = active_room("room01", "s-1", [participant("27", "PA_1", 1_760_000_000_123)])

    room = await client.active_room_info("room01")

    assert room["room_info"]["sid"] == "s-1"
    assert room["participants_info"][0]["joined_at_ms"] == "1760000000123"


@pytest.mark.parametrize("code", ["ROOM_NOT_ACTIVE", "ROOM_NOT_FOUND"])
async def test_a_room_that_is_not_active_is_a_refusal_with_its_code(stand_in, client, code):
    stand_in.rooms["room01"] = not_active(code)

    with pytest.raises(ApiRefused, match="active") as refused:
        await client.active_room_info("room01")

    assert refused.value.code == code


async def test_a_recording_that_is_not_known_is_refused(client):
    with pytest.raises(ApiRefused, match="recording not found"):
        await client.recording_info("r-0")


async def test_a_wrong_secret_is_the_worlds_fault(stand_in):
    client = PlugNMeetApi(stand_in.url, KEY, "wrong")
    with pytest.raises(ApiAway, match="401"):
        await client.recording_info("r-1")
    await client.aclose()


@pytest.mark.parametrize("status", [0, 500, 502, 301])
async def test_a_server_out_of_order_is_away(stand_in, client, status):
    stand_in.fail = [status]

    with pytest.raises(ApiAway):
        await client.recording_info("r-1")


async def test_nobody_there_is_away(client, stand_in):
    await stand_in.stop()

    with pytest.raises(ApiAway):
        await client.recording_info("r-1")


async def test_an_answer_without_end_is_not_read_to_its_end(stand_in, client, monkeypatch):
    monkeypatch.setattr(api, "ANSWER_BYTES_MAX", 10_000)
    stand_in.rooms["room01"] = active_room("room01", "s-1", [participant("27", "PA_1", 1, name="x" * 20_000)])

    with pytest.raises(ApiAway, match="more than 10000 bytes"):
        await client.active_room_info("room01")


async def test_a_slow_server_is_given_up(stand_in, client):
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    slow = PlugNMeetApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", KEY, SECRET, timeout_s=0.05)

    with pytest.raises(ApiAway):
        await slow.recording_info("r-1")

    await slow.aclose()
    server.close()


# -- downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirects", [False, True])
async def test_a_file_comes_whole_and_no_key_goes_with_the_request(stand_in, client, redirects):
    stand_in.recordings["r-1"] = file = File(3_000_000)
    stand_in.redirects = redirects

    start, body = await fetched(client, await client.recording_token("r-1"))

    assert (start, len(body)) == (0, file.size)
    assert body == b"".join(file.read(at, file.size) for at in range(0, file.size, 1 << 20))
    assert stand_in.asked["/elsewhere"] == redirects


async def test_the_rest_of_a_file_comes_by_range(stand_in, client):
    stand_in.recordings["r-1"] = file = File(content=b"0123456789")
    token = await client.recording_token("r-1")

    assert await fetched(client, token, 4, file.etag) == (4, b"456789")
    assert stand_in.ranges == ["bytes=4-"]


async def test_a_server_that_ignores_the_range_sends_all(stand_in, client):
    stand_in.recordings["r-1"] = File(content=b"0123456789")
    stand_in.honours_range = False

    assert await fetched(client, await client.recording_token("r-1"), 4) == (0, b"0123456789")


async def test_another_version_of_the_file_comes_from_its_beginning(stand_in, client):
    stand_in.recordings["r-1"] = File(content=b"0123456789")

    assert await fetched(client, await client.recording_token("r-1"), 4, '"another"') == (0, b"0123456789")


async def test_a_range_behind_the_end_tells_the_size(stand_in, client):
    stand_in.recordings["r-1"] = File(content=b"0123456789")

    with pytest.raises(RangeRefused) as refused:
        await fetched(client, await client.recording_token("r-1"), 10)

    assert refused.value.size == 10


@pytest.mark.parametrize("redirects", [False, True])
async def test_an_expired_token_is_told_apart(stand_in, client, redirects):
    stand_in.recordings["r-1"] = File(content=b"0123456789")
    stand_in.redirects = redirects
    token = await client.recording_token("r-1")
    stand_in._tokens.clear()

    with pytest.raises(TokenRefused):
        await fetched(client, token)


@pytest.mark.parametrize("says_length", [False, True])
async def test_a_connection_that_breaks_is_no_end_of_a_file(stand_in, client, says_length):
    stand_in.recordings["r-1"] = File(3_000_000)
    stand_in.says_length = says_length
    stand_in.break_at = [1_500_000]

    with pytest.raises(ApiAway):
        await fetched(client, await client.recording_token("r-1"))


async def test_a_download_that_falls_silent_is_broken(stand_in):
    stand_in.recordings["r-1"] = File(3_000_000)
    stand_in.hold = asyncio.Event()
    client = PlugNMeetApi(stand_in.url, KEY, SECRET, silence_s=0.1)

    with pytest.raises(ApiAway):
        await fetched(client, await client.recording_token("r-1"))

    stand_in.hold.set()
    await client.aclose()
