"""The WebSocket first, posts where none gets through, and back again: in the same session, nothing twice."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from protocol.client import (
    Backoff,
    BufferFull,
    Client,
    Closed,
    Conflict,
    Fact,
    Forbidden,
    NotFound,
    Refused,
    RoomCancelled,
    RoomTarget,
    Stream,
    Unauthenticated,
)
from protocol.client.facts import DoorChanged
from protocol.client.requests import REQUESTS_MOST
from protocol.codes import ErrorCode
from protocol.server_frames import Error, RoomChanged
from tests.client.stand_in import StandIn

QUICK = Backoff(first_s=0.005, most_s=0.02)
PATIENCE_S = 10.0


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


def client(server: StandIn, token: Any = "t", **settings: Any) -> Client:
    given: dict[str, Any] = {
        "backoff": QUICK,
        "socket_retry": QUICK,
        "random": Random(1),
        "close_timeout_s": 2.0,
    } | settings
    return Client(server.url, token, **given)


async def eventually(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0.002)


async def durable(stream: Stream) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await stream.acknowledged()


def play(stream: Stream, count: int) -> None:
    for _ in range(count):
        stream.sample(stream.kept.last_seq * 1.0, "playing")


async def test_where_upgrades_are_refused_posts_carry_everything_at_once(server):
    server.upgrade_status = 403
    async with client(server, socket_attempts=1_000_000) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
        assert one.transport == "http"
    assert server.the_session().seqs == [1, 2, 3]
    assert server.left == ["room1"]
    assert not server.hellos


async def test_a_socket_that_only_fails_is_tried_so_often_before_posts_are(server):
    server.upgrade_status = 503
    upgrades: list[int] = []

    def hear(fact: Fact) -> None:
        if isinstance(fact, DoorChanged):
            upgrades.append(server.upgrades)

    async with client(server, socket_attempts=4, listener=hear) as one:
        stream = await one.join("room1")
        play(stream, 1)
        await durable(stream)
    assert upgrades == [4]


async def test_the_socket_comes_back_in_the_same_session_and_nothing_is_taken_twice(server):
    server.upgrade_status = 403
    facts: list[Fact] = []
    async with client(server, listener=facts.append) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
        server.upgrade_status = None
        await eventually(lambda: one.transport == "websocket")
        play(stream, 3)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4, 5, 6]
    assert [fact.by_http for fact in facts if isinstance(fact, DoorChanged)] == [True, False]


async def test_a_door_that_opens_and_closes_all_the_time_loses_and_doubles_nothing(server):
    async with client(server) as one:
        stream = await one.join("room1")
        for turn in range(10):
            server.upgrade_status = None if turn % 2 else 403
            for talk in list(server.talks):
                talk.reset()
            play(stream, 5)
            await asyncio.sleep(0.01)
        server.upgrade_status = None
        await durable(stream)
    assert server.the_session().seqs == list(range(1, 51))


async def test_with_the_whole_server_away_no_door_is_changed(server):
    facts: list[Fact] = []
    async with client(server, socket_attempts=1, listener=facts.append) as one:
        stream = await one.join("room1")
        await server.stop()
        play(stream, 3)
        await asyncio.sleep(0.1)
        assert one.transport is None
        assert not [fact for fact in facts if isinstance(fact, DoorChanged)]
        await server.start()
        await durable(stream)
        await eventually(lambda: one.transport == "websocket")
    assert server.the_session().seqs == [1, 2, 3]


async def test_a_post_whose_answer_is_lost_keeps_its_stream_at_that_door_until_the_session_is_known(server):
    server.upgrade_status = 403
    server.lose_post_answers = 1
    async with client(server, backoff=Backoff(first_s=0.1, most_s=0.1)) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await eventually(lambda: not server.lose_post_answers)
        server.upgrade_status = None
        await eventually(lambda: one.transport == "websocket")
        await durable(stream)
        await eventually(lambda: stream.number is not None)
        play(stream, 1)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4]
    assert len(server.posts) == 2


async def test_a_token_that_expires_is_asked_for_anew_by_either_door(server):
    tokens = iter(["a", "b", "c"])
    async with client(server, lambda: next(tokens)) as one:
        stream = await one.join("room1")
        server.expired = {"a"}
        server.talks[0].reset()
        play(stream, 2)
        await durable(stream)
        server.upgrade_status, server.expired = 403, {"a", "b"}
        for talk in list(server.talks):
            talk.reset()
        play(stream, 2)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4]
    assert next(tokens, None) is None


async def test_a_token_is_renewed_on_the_open_connection_before_it_expires(server):
    claims = base64.urlsafe_b64encode(b'{"exp": 0.05}').decode()  # the stand-in's clock begins with 0
    tokens = iter([f"first.{claims}.s", "second"])
    async with client(server, lambda: next(tokens)) as one:
        await one.join("room1")
        await eventually(lambda: len(server.hellos) == 2)
        assert one._context.counters.connections == 1
    assert [token for token, _ in server.hellos] == [f"first.{claims}.s", "second"]


async def test_a_provider_that_has_no_better_token_is_not_asked_for_ever(server):
    server.expired = {"old"}
    asked: list[int] = []

    async def provide() -> str:
        asked.append(1)
        return "old"

    async with client(server, provide) as one:
        with pytest.raises(Unauthenticated):
            await one.join("room1")
    assert len(asked) == 2


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_a_provider_whose_network_fails_is_asked_again_later(server, transport):
    answers: list[Any] = [OSError("away"), TimeoutError(), "t"]

    def provide() -> str:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async with client(server, provide, transport=transport) as one:
        stream = await one.join("room1")
        play(stream, 1)
        await durable(stream)
    assert server.the_session().seqs == [1]


async def test_a_provider_that_is_broken_stops_the_client_with_its_own_error(server):
    def provide() -> str:
        raise KeyError("no secret")

    with pytest.raises(KeyError, match="no secret"):
        async with client(server, provide) as one:
            await one.join("room1")


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_another_life_of_the_program_goes_on_with_the_session_behind_its_last_number(server, transport):
    async with client(server) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
        session_id = stream.session_id
        await one.close(leave=False)
    assert not server.left
    async with client(server, transport=transport) as two:
        stream = await two.join("room1", session_id=session_id)
        play(stream, 2)
        await durable(stream)
        assert stream.session_id == session_id
    assert server.the_session().seqs == [1, 2, 3, 4, 5]


async def test_an_unknown_session_named_over_http_is_begun_anew(server):
    async with client(server, transport="http") as one:
        stream = await one.join("room1", session_id="gone")
        play(stream, 2)
        await durable(stream)
    assert server.the_session().seqs == [1, 2]


@pytest.mark.parametrize(
    ("status", "error", "raised"),
    [
        (404, "NOT_FOUND", NotFound),
        (403, "FORBIDDEN", Forbidden),
        (409, "CONFLICT", Conflict),
        (400, "VALIDATION_FAILED", Refused),
    ],
)
async def test_what_a_post_is_refused_with_reaches_whoever_waits(server, status, error, raised):
    async with client(server, transport="http") as one:
        stream = await one.join("room1")
        server.post_refusals = [(status, error)]
        play(stream, 1)
        with pytest.raises(raised, match=error):
            await durable(stream)
        with pytest.raises(raised):
            play(stream, 1)


async def test_a_place_can_be_taken_once_in_a_client(server):
    async with client(server) as one:
        await one.watch("video", 7)
        with pytest.raises(ValueError, match="already"):
            await one.watch("video", "7")


async def test_interactions_are_durable_when_they_return_and_sent_again_after_a_drop(server):
    server.refuse_requests = [Error(ErrorCode.BUSY, "later", retry_after=0.01)]
    async with client(server) as one:
        room = await one.join("room1")
        await asyncio.wait_for(room.interact("poll_response", id="p1", value="B"), PATIENCE_S)
        server.deaf = True
        asking = asyncio.create_task(room.interact("doubt", value="why?"))
        await asyncio.sleep(0.02)
        server.deaf = False
        server.talks[0].reset()
        await asyncio.wait_for(asking, PATIENCE_S)


async def test_more_requests_than_may_wait_are_refused_by_name(server):
    async with client(server) as one:
        room = await one.join("room1")
        server.deaf = True
        asking = [asyncio.create_task(room.interact("reaction")) for _ in range(REQUESTS_MOST)]
        await asyncio.sleep(0)
        with pytest.raises(BufferFull, match="requests"):
            await room.interact("reaction")
        server.deaf = False
        server.talks[0].reset()
        await asyncio.wait_for(asyncio.gather(*asking), PATIENCE_S)


async def test_when_the_class_ends_presence_ends_questions_are_refused_and_samples_go_by_post(server):
    async with client(server) as one:
        room = await one.join("room1")
        presence = room.presence()
        server.deaf = True
        asking = asyncio.create_task(room.interact("doubt"))
        await asyncio.sleep(0)
        await server.talks[0].say(RoomChanged("room1", "ended", 1))
        with pytest.raises(Refused, match="over"):
            await asking
        with pytest.raises(Refused, match="over"):
            await room.interact("doubt")
        assert [event async for event in presence] == []
        play(room, 1)
        await durable(room)
        assert room.info is not None
        assert room.info.state == "ended"
    assert [post.session_id for post in server.posts] == ["s1"]


async def test_a_class_that_is_cancelled_refuses_its_streams(server):
    async with client(server) as one:
        room = await one.join("room1")
        await server.talks[0].say(RoomChanged("room1", "cancelled", 1))
        await eventually(lambda: room.failure is not None)
        with pytest.raises(RoomCancelled):
            play(room, 1)


async def test_a_frame_of_a_newer_server_changes_nothing(server):
    async with client(server) as one:
        room = await one.join("room1")
        await server.talks[0].socket.send_str('{"type": "confetti", "amount": 3}')
        await server.talks[0].socket.send_str('{"type": "ack", "stream": 99, "seq": 1, "colour": "red"}')
        play(room, 1)
        await durable(room)
    assert len(server.hellos) == 1


async def test_observing_by_posts_alone_is_refused_at_once(server):
    async with client(server, transport="http") as one:
        with pytest.raises(ValueError, match="WebSocket"):
            await one.observe("room1")


@pytest.mark.parametrize(
    ("code", "raised"),
    [(1000, Closed), (4400, Refused), (4403, Forbidden), (4401, Unauthenticated)],
)
async def test_a_close_code_that_ends_it_ends_every_stream_by_name(server, code, raised):
    async with client(server) as one:
        streams = [await one.join("room1"), await one.watch("video", 1)]
        await server.talks[0].socket.close(code=code)
        for stream in streams:
            await eventually(partial(getattr, stream, "failure"))
            with pytest.raises(raised):
                play(stream, 1)
        with pytest.raises(raised):
            await one.join("room2")
    assert len(server.hellos) == 1


@pytest.mark.parametrize("code", [1001, 1009, 1011, 1012, 4408, 4409, 4429])
async def test_any_other_close_code_is_come_back_from(server, code):
    async with client(server) as one:
        stream = await one.join("room1")
        await server.talks[0].socket.close(code=code)
        play(stream, 2)
        await durable(stream)
    assert server.the_session().seqs == [1, 2]


async def test_a_client_is_opened_once_and_says_so(server):
    one = client(server)
    with pytest.raises(Closed, match="first"):
        await one.join("room1")
    await one.connect()
    await one.close()
    with pytest.raises(Closed, match="once"):
        await one.connect()
    with pytest.raises(Closed):
        await one.join("room1")


async def test_streams_that_are_left_are_forgotten_by_client_and_connection(server):
    async with client(server) as one:
        for number in range(20):
            lesson = await one.watch("video", number)
            play(lesson, 1)
            await lesson.leave()
        assert one._socket is not None
        assert not one._socket._hearing._by_number
        assert not one._context.streams


async def test_an_observer_samples_nothing(server):
    async with client(server) as one:
        room = one.open(RoomTarget("room1", observe=True))
        with pytest.raises(Refused, match="observer"):
            room.playing(0.0)
        with pytest.raises(Refused, match="observer"):
            await room.update_metadata({})
        await one.abort()


async def test_over_tls_with_certificates_of_ones_own_both_doors_open(server):
    trusted = await server.speak_tls()
    for transport in ("websocket", "http"):
        async with client(server, transport=transport, ssl=trusted, device_id=transport) as one:
            stream = await one.watch("video", transport)
            play(stream, 2)
            await durable(stream)
    async with client(server, transport="http") as stranger:
        stream = await stranger.watch("video", "x")
        play(stream, 1)
        await eventually(lambda: stream.refusals_in_a_row)
        await stranger.abort()


async def test_a_server_that_found_it_too_fast_is_spoken_to_at_half_the_speed_after_the_told_wait(server):
    async with client(server) as one:
        stream = await one.join("room1")
        assert one._socket is not None
        before, begin = one._socket._pace._most, asyncio.get_running_loop().time()
        await server.talks[0].say(Error(ErrorCode.RATE_LIMITED, "slow down", retry_after=0.2))
        await server.talks[0].socket.close(code=4429)
        play(stream, 1)
        await durable(stream)
        assert server.asked[-1] - begin >= 0.2
        assert one._socket._pace._most == before / 2
