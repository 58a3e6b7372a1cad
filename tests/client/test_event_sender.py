"""Events reach the collector, each once, whatever it answers; and a sender that cannot says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web

from protocol.client import Backoff, BufferFull, Closed, Forbidden, Unacknowledged, Unauthenticated
from protocol.client.event_queue import EventQueue
from protocol.client.events import EventSender, RejectedEvent
from protocol.collector import EVENT_BYTES
from protocol.rest import ErrorEnvelope

QUICK = Backoff(first_s=0.005, most_s=0.02)


class Collector:
    """A small real collector: keeps events by `eventId`, and answers as told."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.posts: list[int] = []
        self.keys: set[str] = set()
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.lose_answers = 0
        self.most = 1_000
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/analytics/track/batch", self._batch)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        return runner

    async def _batch(self, request: web.Request) -> web.Response:
        events = msgspec.json.decode(await request.read())["events"]
        self.posts.append(len(events))
        self.keys.add(request.headers["X-Write-Key"])
        if self.answers:
            return refused(*self.answers.pop(0))
        if len(events) > self.most:
            return refused(413, {})
        rejected = [
            {"index": index, "field": "contentId", "message": "bad"}
            for index, event in enumerate(events)
            if event.get("contentId") == "bad"
        ]
        good = [event for event in events if event.get("contentId") != "bad"]
        new = {event["eventId"]: event for event in good if event["eventId"] not in self.kept}
        self.kept |= new
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        answer = {"accepted": len(new), "duplicates": len(good) - len(new), "rejected": rejected}
        return web.json_response(answer, status=202)


def refused(status: int, headers: dict[str, str]) -> web.Response:
    names = {401: "UNAUTHENTICATED", 403: "FORBIDDEN"}
    body = msgspec.json.encode(ErrorEnvelope("no", names.get(status, "X"), success=False, status_code=status))
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    one = Collector()
    runner = await one.start()
    yield one
    await runner.cleanup()


def sender(collector: Collector, **options: Any) -> EventSender:
    given: dict[str, Any] = {"linger_s": 0.01, "backoff": QUICK, "random": Random(1)} | options
    return EventSender(collector.url, "wk", app="shop", **given)


async def test_events_are_kept_as_they_were_told_when_the_context_is_left(collector):
    async with sender(collector) as events:
        first = events.view("POST:/orders", "api", user_id=27, duration=0.12, metadata={"statusCode": 201})
        second = events.engagement("like", target_id="7", target_type="content", user_id="27", event_id="mine")
    assert collector.keys == {"wk"}
    view, like = collector.kept[first], collector.kept[second]
    assert view.pop("timestamp") > 1_700_000_000_000
    assert view == {
        "type": "view",
        "app": "shop",
        "contentId": "POST:/orders",
        "contentType": "api",
        "userId": 27,
        "duration": 0.12,
        "metadata": {"statusCode": 201},
        "eventId": first,
    }
    assert (like["type"], like["metricType"], like["eventId"]) == ("engagement", "like", "mine")
    assert events.counters.accepted == 2


async def test_events_of_a_moment_go_in_one_post_and_many_in_full_batches(collector):
    async with sender(collector, batch_size=100) as events:
        for number in range(250):
            events.view(number, "post")
    assert collector.posts == [100, 100, 50]


async def test_a_lost_answer_costs_a_repeat_and_counts_once(collector):
    collector.lose_answers = 2
    async with sender(collector) as events:
        for number in range(10):
            events.view(number, "post")
    assert len(collector.kept) == 10
    assert collector.posts == [10, 10, 10]
    assert (events.counters.accepted, events.counters.duplicates) == (0, 10)


@pytest.mark.slow  # a second is the shortest that a server can tell
async def test_retry_after_is_honoured_and_a_batch_above_the_rate_is_halved(collector):
    collector.answers = [(429, {"Retry-After": "1"})]
    async with sender(collector) as events:
        for number in range(8):
            events.view(number, "post")
        begin = asyncio.get_running_loop().time()
        await events.flush(timeout_s=5)
        assert asyncio.get_running_loop().time() - begin >= 1.0
    assert collector.posts[:2] == [8, 4]
    assert len(collector.kept) == 8


async def test_storage_away_is_waited_out(collector):
    collector.answers = [(503, {}), (502, {}), (500, {})]
    async with sender(collector) as events:
        events.view("1", "post")
    assert len(collector.kept) == 1


async def test_what_is_too_large_together_goes_in_halves(collector):
    collector.most = 3
    async with sender(collector) as events:
        for number in range(8):
            events.view(number, "post")
    assert len(collector.kept) == 8


async def test_a_rejected_event_is_told_by_field_and_the_others_are_kept(collector):
    heard: list[RejectedEvent] = []
    async with sender(collector, on_rejected=heard.append) as events:
        events.view("good", "post")
        events.view("bad", "post")
    assert [(one.field, one.message) for one in heard] == [("contentId", "bad")]
    assert (len(collector.kept), events.counters.rejected) == (1, 1)


@pytest.mark.parametrize(("status", "error"), [(401, Unauthenticated), (403, Forbidden)])
async def test_a_key_that_opens_nothing_stops_the_sender(collector, status, error):
    collector.answers = [(status, {})]
    events = sender(collector)
    await events.start()
    events.view("1", "post")
    with pytest.raises(error):
        await events.flush(timeout_s=5)
    with pytest.raises(error):
        events.view("2", "post")
    with pytest.raises(error):
        await events.close()
    await events.close()


async def test_a_full_queue_refuses_the_new_event_and_keeps_the_old_ones(collector):
    async with sender(collector, queue_size=3) as events:
        for number in range(3):
            events.view(number, "post")
        with pytest.raises(BufferFull, match="3 events"):
            events.view("4", "post")
        await events.flush(timeout_s=5)
        events.view("5", "post")
    assert [event["contentId"] for event in collector.kept.values()] == [0, 1, 2, "5"]


def test_the_queue_is_bounded_by_bytes_too_and_a_batch_by_what_the_collector_reads():
    queue = EventQueue(1_000, 3 * EVENT_BYTES, 500)
    for _ in range(3):
        queue.put(b"x" * EVENT_BYTES)
    with pytest.raises(BufferFull):
        queue.put(b"x")
    queue.forget(1)
    queue.put(b"x" * EVENT_BYTES)
    large = EventQueue(1_000, 100 * EVENT_BYTES, 500)
    for _ in range(20):
        large.put(b"x" * EVENT_BYTES)
    assert len(large.batch()) == 15


async def test_an_event_that_cannot_be_sent_is_refused_at_once(collector):
    async with sender(collector) as events:
        with pytest.raises(ValueError, match="bytes"):
            events.view("1", "post", metadata={"x": "y" * EVENT_BYTES})
        with pytest.raises(TypeError):
            events.view("1", "post", metadata={"x": object()})
    with pytest.raises(Closed):
        events.view("1", "post")
    with pytest.raises(ValueError, match="batch"):
        sender(collector, batch_size=1_001)


async def test_closing_without_a_collector_says_how_many_are_lost():
    events = EventSender("http://127.0.0.1:9", "wk", app="shop", backoff=QUICK, linger_s=0.0)
    await events.start()
    events.view("1", "post")
    with pytest.raises(Unacknowledged, match="1 were not"):
        await events.close(timeout_s=0.05)
