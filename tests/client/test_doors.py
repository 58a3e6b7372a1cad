"""A player loses nothing and renumbers nothing, whatever the server and the network do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from load_tests.player import Player
from protocol.client import Backoff, BufferFull, Closed, Counters, Fact, Forbidden, RoomTarget, Unauthenticated
from protocol.client.facts import Dropped, Held
from protocol.client_frames import Heartbeat, Heartbeats, Hello, Join
from protocol.codes import ErrorCode
from protocol.server_frames import Error
from tests.client.stand_in import StandIn

QUICK = Backoff(first_s=0.01, most_s=0.05)
PATIENCE_S = 10.0


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    stand_in = StandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


def player(server: Any, **settings: Any) -> Player:
    return Player(server.url, settings.pop("token", "t"), random=Random(1), backoff=QUICK, **settings)


async def eventually(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0.002)


async def durable(stream: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await stream.acknowledged()


def play(stream: Any, count: int) -> None:
    for _ in range(count):
        stream.sample(stream.kept.last_seq * 1.0, "playing")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_samples_arrive_in_order_and_are_acknowledged(server, encoding):
    async with player(server, encoding=encoding) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3]


async def test_a_lone_fresh_sample_goes_as_heartbeat_and_several_as_a_batch(server):
    async with player(server) as one:
        stream = await one.join("room1")
        play(stream, 1)
        await durable(stream)
        play(stream, 4)
        await durable(stream)
    kinds = [type(frame) for frame in server.heard if isinstance(frame, Heartbeat | Heartbeats)]
    assert kinds == [Heartbeat, Heartbeats]


async def test_the_token_travels_in_the_frame_or_in_the_header_never_in_both(server):
    async with player(server, token="a") as one:
        await one.join("room1")
    async with player(server, token="b", token_in_header=True) as one:
        await one.join("room1")
    assert server.hellos == [("a", None), (None, "Bearer b")]


async def test_two_streams_share_a_connection_and_number_their_own_samples(server):
    async with player(server) as one:
        room = await one.join("room1")
        lesson = await one.watch("video", "v1", duration=60.0)
        play(room, 2)
        play(lesson, 1)
        await durable(room)
        await durable(lesson)
    assert [session.seqs for session in server.sessions.values()] == [[1, 2], [1]]
    assert len(server.hellos) == 1


async def test_lost_acknowledgements_cost_a_repeat_and_no_sample(server):
    async with player(server) as one:
        stream = await one.join("room1")
        server.withhold_acks = True
        play(stream, 5)
        await eventually(lambda: server.the_session().last_seq == 5)
        server.withhold_acks = False
        server.talks[0].reset()
        await durable(stream)
        play(stream, 2)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4, 5, 6, 7]


async def test_samples_that_never_arrived_are_sent_again_after_a_reset(server):
    async with player(server) as one:
        stream = await one.join("room1")
        server.deaf = True
        play(stream, 5)
        await eventually(lambda: stream.kept.in_flight == 5)
        server.talks[0].reset()
        server.deaf = False
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4, 5]


async def test_a_restarted_server_is_found_again_and_the_session_resumed(server):
    facts: list[Fact] = []
    async with player(server, listener=facts.append) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
        await server.stop()
        play(stream, 4)
        await server.start()
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4, 5, 6, 7]
    assert [fact.resumed for fact in facts if isinstance(fact, Held)] == [False, True]
    assert [fact.ours for fact in facts if isinstance(fact, Dropped)][:1] == [False]


async def test_many_restarts_under_fire_lose_and_double_nothing(server):
    counters = Counters()
    async with player(server, counters=counters) as one:
        stream = await one.join("room1")
        for _ in range(5):
            play(stream, 20)
            await eventually(lambda: stream.kept.in_flight or not stream.kept)
            await server.stop()
            play(stream, 20)
            await server.start()
        await durable(stream)
    assert server.the_session().seqs == list(range(1, 201))
    assert (counters.acked, counters.samples) == (200, 200)


async def test_what_was_kept_offline_goes_in_batches_within_the_limit(server):
    async with player(server) as one:
        stream = await one.join("room1")
        one.cut()
        play(stream, 1201)
        one.restore()
        await durable(stream)
    batches = [len(frame.samples) for frame in server.heard if isinstance(frame, Heartbeats)]
    assert sum(batches) == 1201
    assert max(batches) <= 500
    assert server.the_session().seqs == list(range(1, 1202))


async def test_busy_is_waited_out_and_everything_sent_again(server):
    async with player(server) as one:
        stream = await one.join("room1")
        server.refuse_samples = [Error(ErrorCode.BUSY, "no room", retry_after=0.05)] * 3
        begin = asyncio.get_running_loop().time()
        play(stream, 3)
        await durable(stream)
        assert asyncio.get_running_loop().time() - begin >= 0.15
    assert server.the_session().seqs == [1, 2, 3]
    assert len(server.hellos) == 1


async def test_a_busy_join_is_repeated_when_told(server):
    server.refuse_joins = [Error(ErrorCode.BUSY, "later", retry_after=0.1)]
    async with player(server) as one:
        await one.join("room1")
    first, second = server.asked
    assert second - first >= 0.1


async def test_an_unknown_stream_is_joined_again_and_the_numbers_go_on(server):
    async with player(server) as one:
        stream = await one.join("room1")
        play(stream, 2)
        await durable(stream)
        server.refuse_samples = [Error(ErrorCode.UNKNOWN_STREAM, "closed")]
        play(stream, 2)
        await durable(stream)
    joins = [frame.session_id for frame in server.heard if isinstance(frame, Join)]
    assert joins == [None, "s1"]
    assert server.the_session().seqs == [1, 2, 3, 4]


async def test_an_unknown_session_is_begun_anew_with_the_samples_that_are_owed(server):
    async with player(server) as one:
        stream = await one.join("room1")
        play(stream, 2)
        await durable(stream)
        server.refuse_joins = [Error(ErrorCode.NOT_FOUND, "session_id")]
        server.talks[0].reset()
        play(stream, 2)
        await durable(stream)
    assert [session.seqs for session in server.sessions.values()] == [[1, 2], [3, 4]]


async def test_a_draining_server_is_left_alone_for_as_long_as_it_says(server):
    async with player(server) as one:
        stream = await one.join("room1")
        one.restore()  # a poke for another connection's sake shortens no wait of this one
        begin = asyncio.get_running_loop().time()
        await server.bye(200)
        play(stream, 3)
        await durable(stream)
    assert server.asked[-1] - begin >= 0.2
    assert server.the_session().seqs == [1, 2, 3]


async def test_a_full_buffer_refuses_the_new_sample_and_keeps_the_old_ones(server):
    async with player(server, buffer_size=3) as one:
        stream = await one.join("room1")
        one.cut()
        play(stream, 3)
        with pytest.raises(BufferFull, match="3 samples wait"):
            play(stream, 1)
        one.restore()
        await durable(stream)
        play(stream, 1)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4]


async def test_the_interval_follows_the_server(server):
    async with player(server) as one:
        stream = await one.join("room1")
        assert stream.heartbeat_interval == 10.0
        server.interval = 25.0
        play(stream, 1)
        await durable(stream)
        assert stream.heartbeat_interval == 25.0


async def test_leaving_comes_after_everything_was_acknowledged(server):
    async with player(server) as one:
        stream = await one.join("room1")
        play(stream, 3)
        async with asyncio.timeout(PATIENCE_S):
            await stream.leave()
        await eventually(lambda: server.left)
    assert server.left == ["room1"]
    assert server.the_session().seqs == [1, 2, 3]


async def test_changing_doors_goes_on_in_the_same_session(server):
    async with player(server) as one:
        stream = await one.join("room1")
        play(stream, 2)
        await durable(stream)
        one.use_http()
        play(stream, 2)
        await durable(stream)
        one.use_socket()
        play(stream, 2)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3, 4, 5, 6]
    assert server.posts


async def test_by_http_alone_a_session_is_opened_kept_and_left(server):
    async with player(server, by_http=True) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
        play(stream, 1)
        async with asyncio.timeout(PATIENCE_S):
            await stream.leave()
    assert server.the_session().seqs == [1, 2, 3, 4]
    assert server.left == ["room1"]
    assert not server.hellos


async def test_a_post_refused_with_503_is_repeated(server):
    server.post_answers = [(503, {"Retry-After": "0"}), (502, {})]
    async with player(server, by_http=True) as one:
        stream = await one.join("room1")
        play(stream, 3)
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3]


async def test_samples_of_an_ended_room_go_by_http_with_their_session(server):
    async with player(server) as one:
        stream = await one.join("room1")
        one.cut()
        play(stream, 3)
        server.refuse_joins = [Error(ErrorCode.ROOM_ENDED, "over")]
        one.restore()
        await durable(stream)
    assert server.the_session().seqs == [1, 2, 3]
    assert [post.session_id for post in server.posts] == ["s1"]


async def test_a_forbidden_room_is_refused_to_the_caller(server):
    server.refuse_joins = [Error(ErrorCode.FORBIDDEN, "not yours")]
    async with player(server) as one:
        with pytest.raises(Forbidden, match="not yours"):
            await one.join("room1")


async def test_a_forged_token_stops_the_player(server):
    async with player(server, token="forged") as one:
        with pytest.raises(Unauthenticated, match="token"):
            await one.join("room1")


async def test_one_replaced_by_a_newer_connection_stays_away(server):
    async with player(server) as one:
        stream = await one.join("room1")
        server.withhold_acks = True
        play(stream, 1)
        await server.talks[0].socket.close(code=1000)
        with pytest.raises(Closed):
            await durable(stream)
    assert len([frame for frame in server.heard if isinstance(frame, Hello)]) == 1


async def test_a_player_cut_while_the_server_is_away_sends_everything_when_both_are_back(server):
    async with player(server) as one:
        stream = one.open(RoomTarget("room1"))
        play(stream, 2)
        await server.stop()
        one.cut()
        play(stream, 2)
        await server.start()
        one.restore()
        await durable(stream)
    taken = [seq for session in server.sessions.values() for seq in session.seqs]
    assert sorted(set(taken)) == [1, 2, 3, 4]
