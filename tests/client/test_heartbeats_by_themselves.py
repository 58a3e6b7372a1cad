"""A bot says that it plays; the client says where, at every heartbeat, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from protocol.client import Backoff, BufferFull, Client, Refused, Unacknowledged
from protocol.client.backoff import stretched
from protocol.client.clock import steady_clock
from protocol.client.context import ContentTarget, Context
from protocol.client.facts import Counters
from protocol.client.kept import Kept
from protocol.client.pace import Pace
from protocol.client.requests import Requests
from protocol.client.stream import Stream
from protocol.client.tokens import Tokens, expiry_s
from protocol.codec import JSON
from protocol.types import Content
from tests.runtime import virtual


def a_stream(buffer_size: int = 1000) -> Stream:
    """One that nobody delivers: what it samples stays in `kept`."""
    loop = asyncio.get_running_loop()
    context = Context(
        base_url="http://nowhere",
        tokens=Tokens("t"),
        codec=JSON,
        device_id="d",
        clock=lambda: int(loop.time() * 1000),
        random=Random(1),
        backoff=Backoff(),
        counters=Counters(),
        listener=lambda _: None,
        requests=Requests(),
    )
    return Stream(1, ContentTarget(Content("video", "7"), 600.0), context, Kept(buffer_size), None)


def told(stream: Stream) -> list[tuple[float, str]]:
    return [(round(one.position, 6), one.state) for one in stream.kept.unsent(1000)]


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    virtual.run(story())


def test_a_playhead_is_worked_out_at_every_heartbeat():
    async def story() -> None:
        stream = a_stream()
        stream.playing(5.0, rate=2.0)
        await virtual.passes(25)
        stream.paused()
        await virtual.passes(12)
        assert told(stream) == [(5, "playing"), (25, "playing"), (45, "playing"), (55, "paused"), (55, "paused")]
        assert {one.rate for one in stream.kept.unsent(9)} == {2.0}
        assert {one.duration for one in stream.kept.unsent(9)} == {600.0}
        stream.ended()

    in_virtual_time(story)


def test_a_function_is_asked_for_the_position_instead():
    async def story() -> None:
        positions = iter([1.0, 11.5, 21.0])
        stream = a_stream()
        stream.playing(lambda: next(positions))
        await virtual.passes(25)
        assert told(stream) == [(1.0, "playing"), (11.5, "playing"), (21.0, "playing")]
        stream.over()

    in_virtual_time(story)


def test_a_seek_is_told_by_two_samples_and_the_old_position_does_not_play_on():
    async def story() -> None:
        stream = a_stream()
        stream.playing(0.0)
        await virtual.passes(4)
        stream.seek(100.0)
        await virtual.passes(10)
        assert told(stream) == [(0, "playing"), (4, "seeking"), (100, "playing"), (110, "playing")]
        stream.ended()

    in_virtual_time(story)


def test_the_interval_of_the_server_holds_for_the_next_heartbeat_already():
    async def story() -> None:
        stream = a_stream()
        stream.playing(0.0)
        stream.told_interval(30.0)
        await virtual.passes(62)
        stream.told_interval(1.0)
        await virtual.passes(1)
        assert [at for at, _ in told(stream)] == [0, 30, 60, 62, 63]
        stream.ended()

    in_virtual_time(story)


def test_a_change_sends_at_once_and_the_next_heartbeat_is_an_interval_later():
    async def story() -> None:
        stream = a_stream()
        stream.playing(0.0)
        await virtual.passes(7)
        stream.hidden()
        await virtual.passes(11)
        assert [at for at, _ in told(stream)] == [0, 7, 17]
        assert [one.visible for one in stream.kept.unsent(9)] == [None, False, False]
        stream.ended()

    in_virtual_time(story)


def test_after_the_end_no_heartbeat_is_sent_until_it_plays_again():
    async def story() -> None:
        stream = a_stream()
        stream.playing(590.0)
        await virtual.passes(5)
        stream.ended(600.0)
        await virtual.passes(60)
        stream.playing(0.0)
        assert told(stream) == [(590, "playing"), (600, "ended"), (0, "playing")]
        stream.over()

    in_virtual_time(story)


def test_a_full_buffer_leaves_heartbeats_out_counts_them_and_refuses_what_is_called():
    async def story() -> None:
        stream = a_stream(buffer_size=3)
        stream.playing(0.0)
        await virtual.passes(55)
        assert stream.unacknowledged == 3
        assert stream._context.counters.left_out == 3
        with pytest.raises(BufferFull, match="3 samples"):
            stream.paused()
        stream.acknowledge(2)
        await virtual.passes(10)
        assert [one.seq for one in stream.kept.unsent(9)] == [3, 4]
        stream.over()

    in_virtual_time(story)


@pytest.mark.parametrize("position", [-1.0, float("nan"), float("inf"), 1e10])
def test_a_position_that_cannot_be_is_refused_and_nothing_is_sampled(position):
    async def story() -> None:
        stream = a_stream()
        with pytest.raises(ValueError, match="position"):
            stream.playing(position)
        with pytest.raises(ValueError, match="rate"):
            stream.playing(0.0, rate=17.0)
        assert not stream.kept

    in_virtual_time(story)


def test_a_function_that_raises_ends_the_heartbeats_and_is_told_to_the_loop():
    async def story() -> None:
        stream = a_stream()
        heard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        answers = [0.0]
        stream.playing(answers.pop)
        await virtual.passes(60)
        assert [type(one["exception"]) for one in heard] == [IndexError]
        assert len(stream.kept) == 1

    in_virtual_time(story)


def test_nothing_more_is_sampled_on_a_stream_that_is_being_left():
    async def story() -> None:
        stream = a_stream()
        stream.playing(0.0)
        leaving = asyncio.create_task(stream.leave())
        await virtual.passes(60)
        assert len(stream.kept) == 1
        with pytest.raises(Refused, match="left"):
            stream.playing()
        leaving.cancel()

    in_virtual_time(story)


# -- waits ------------------------------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_its_most_and_each_wait_is_cut_by_up_to_half():
    backoff, random = Backoff(first_s=1.0, most_s=8.0), Random(3)
    for failures, whole in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (10_000, 8.0)]:
        waits = [backoff.delay_s(failures, random) for _ in range(200)]
        assert whole / 2 <= min(waits) < whole * 0.6
        assert whole * 0.9 < max(waits) <= whole


def test_a_hint_of_the_server_is_never_cut_and_stretched_by_up_to_a_quarter():
    waits = [stretched(8.0, Random(seed)) for seed in range(200)]
    assert min(waits) >= 8.0
    assert 9.5 < max(waits) <= 10.0


def test_a_refusal_with_retry_after_is_waited_out_in_full_and_one_without_by_backoff():
    async def story() -> None:
        stream, loop = a_stream(), asyncio.get_running_loop()
        stream.wait_out("busy", 7.0)
        assert 7.0 <= stream.not_before - loop.time() <= 8.75
        await virtual.passes(10)
        waits = []
        for _ in range(3):
            stream.wait_out("busy", None)
            waits.append(stream.not_before - loop.time())
            await virtual.passes(5)
        assert waits[0] <= waits[1] <= waits[2] <= 1.6

    in_virtual_time(story)


def test_a_server_that_is_away_for_an_hour_is_asked_at_most_every_few_seconds():
    async def story() -> None:
        attempts: list[float] = []

        def provide() -> str:
            attempts.append(asyncio.get_running_loop().time())
            raise ConnectionRefusedError

        client = Client("http://nowhere", provide, random=Random(5), transport="websocket")
        async with client:
            await virtual.passes(3600)
            await client.abort()
        gaps = [later - earlier for earlier, later in pairwise(attempts)]
        assert gaps[0] <= 0.2
        assert max(gaps) <= 4.0 + virtual.STEP_S
        assert 3600 / 4.1 <= len(attempts) <= 3600 / 2 + 10

    in_virtual_time(story)


def test_closing_waits_for_acknowledgements_until_the_deadline_and_says_how_many_are_lost():
    async def story() -> None:
        def provide() -> str:
            raise ConnectionRefusedError

        client = Client("http://nowhere", provide, random=Random(5), transport="websocket", close_timeout_s=30.0)
        loop = asyncio.get_running_loop()
        await client.connect()
        stream = client.open(ContentTarget(Content("video", "7")))
        for position in range(5):
            stream.sample(position, "playing")
        begin = loop.time()
        with pytest.raises(Unacknowledged, match="5 were not"):
            await client.close()
        assert 30.0 <= loop.time() - begin < 31.0
        await client.close()

    in_virtual_time(story)


def test_a_pace_gives_a_burst_and_then_so_many_a_second_and_halves_when_it_was_too_fast():
    pace, now, sent = Pace(0.0), 0.0, 0
    while now < 10.0:
        wait = pace.wait_s(now)
        now += wait
        pace.take()
        sent += 1
    assert 470 <= sent <= 485
    pace.slow_down()
    pace.begin(now)
    burst = 0
    while pace.wait_s(now) == 0:
        pace.take()
        burst += 1
    assert burst == 40


def test_samples_of_another_life_are_numbered_behind_what_the_session_has():
    async def story() -> None:
        stream = a_stream()
        for position in range(3):
            stream.sample(position, "playing")
        stream.number_from(40)
        assert [one.seq for one in stream.kept.unsent(9)] == [41, 42, 43]
        assert stream.sample(3.0, "paused").seq == 44
        assert stream.kept.acked_seq == 40

    in_virtual_time(story)


def test_the_expiry_of_a_token_is_read_where_it_is_told():
    from server.auth import sign

    token = sign("a secret of the tests, thirty-two bytes or more", user_id="1", now_s=1000.0, ttl_s=60, role="learner")
    assert expiry_s(token) == 1060
    assert [expiry_s(odd) for odd in ("t", "a.b.c", "a..c", "a.e30.c", "a.WzFd.c")] == [None] * 5


def test_the_clock_runs_on_when_the_wall_clock_is_set(monkeypatch):
    clock = steady_clock()
    first = clock()
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert 0 <= clock() - first < 1000
