"""What an event from RabbitMQ costs: published at a steady rate, measured until every one is acknowledged.

The broker is not started here: `--amqp URL` (or `AMQP_URL`) names one, a virtual host of its own at best. Its exchanges
and queues are the server's defaults.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from random import Random
from typing import Any, Final
from uuid import uuid4

import aio_pika
import msgspec

from load_tests.bench_server import BenchServer, bench_server

QUEUE: Final = "rollcall.events"
CLASSES: Final = "tenlytics_topic_exchange"
TRACKING: Final = "stage_tracking_exchange"
ACTIVITY: Final = "stage_tracking_topic_exchange"
COUNTED: Final = "rollcall_amqp_messages_total"
WARM_UP: Final = 500
TURN_S: Final = 0.01
DRAINED_S: Final = 120.0
ROOMS: Final = 50

Json = dict[str, Any]
Event = tuple[str, str, str, Json]
"""Event name, exchange, routing key, payload."""


def _course() -> Json:
    return {
        "catalog_product_id": 12,
        "catalog_sku_id": "34",
        "program_id": 5,
        "course_id": "6",
        "platform": "k12",
    }


def _offers(run: str) -> Iterator[Event]:
    """What the classes offer."""
    for room in range(ROOMS):
        quiz = {"identification_type": "live_class", "identification_id": f"{run}-{room}", "quiz_id": f"{run}-q{room}"}
        yield (
            "liveclass.quiz",
            CLASSES,
            "quiz",
            {**_course(), **quiz, "modality": "live", "total_questions": "1", "duration": 60, "total_marks": 1}
            | {"is_required": True, "timestamp": _now()},
        )


def _answers(run: str, random: Random) -> Iterator[Event]:
    """What learners do: nine quiz answers and segments to one finished exam."""
    number = 0
    while True:
        number += 1
        learner, room = number // ROOMS, f"{run}-{number % ROOMS}"
        now = time.time()
        if number % 10 == 0:
            exam: Json = {
                "exam_id": f"{run}-e{number % 7}",
                "auth_user_id": learner,
                "type": "exam",
                "time_taken": "840",
            }
            exam |= {"total_answers": 20, "total_correct_answers": random.randrange(20), "total_qustions": 20}
            exam |= {"total_score": "17.5", "start_at": _now(now - 840 - number / 1000), "end_at": _now(now)}
            yield "session.end", TRACKING, "exam.session", {**_course(), **exam}
        elif number % 2:
            answer: Json = {
                "auth_user_id": str(learner),
                "identification_id": room,
                "identification_type": "live_class",
            }
            answer |= {"modality": "live", "quiz_id": f"{run}-q{number % ROOMS}", "is_correct": number % 3 == 0}
            answer |= {"particiapte_at": _now(now), "quiz_option_id": 3, "time_taken": "12.5"}
            yield "quiz_response", ACTIVITY, "quiz.response", {**_course(), **answer}
        else:
            start = round(now - 60 - number % 600, 3)
            leave: Json = {"auth_user_id": learner, "identification_id": room, "identification_type": "live_class"}
            leave |= {"media_type": "live_class", "media_id": room, "playhead_start_at": number % 3000}
            leave |= {"playhead_end_at": number % 3000 + 30, "duration": 30}
            leave |= {"start_timestamp": _now(start), "end_timestamp": _now(start + 30)}
            yield "live_class_user_leave", ACTIVITY, "live_class_user.activity", {**_course(), **leave}


def _now(at: float | None = None) -> str:
    at = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


class Publisher:
    """One channel without confirms: what is lost shows in the count."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel
        self._exchanges: dict[str, aio_pika.abc.AbstractExchange] = {}

    async def publish(self, event: Event) -> None:
        """Send one event."""
        name, exchange, routing_key, payload = event
        found = self._exchanges.get(exchange)
        if found is None:
            found = self._exchanges[exchange] = await self._channel.get_exchange(exchange, ensure=True)
        message = aio_pika.Message(
            msgspec.json.encode({"event_name": name, "data": {"payload": payload}}),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=uuid4().hex,
            timestamp=int(time.time()),
        )
        await found.publish(message, routing_key)


async def events(amqp_url: str, rate: float, seconds: float) -> dict[str, Any]:
    """Events consumed, committed and acknowledged."""
    run = f"bench-{int(time.time())}"
    with bench_server(AMQP_URL=amqp_url) as server:
        pinned = server.pin()
        connection = await aio_pika.connect(amqp_url)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            await _until(lambda: _consumers(channel), "the server does not consume")
            publisher = Publisher(channel)
            answers = _answers(run, Random(1))
            for event in [*_offers(run), *(next(answers) for _ in range(WARM_UP))]:
                await publisher.publish(event)
            taken = WARM_UP + ROOMS
            await _until(lambda: _taken(server, taken), "the first events were not taken")
            before, begin = server.cpu(), time.perf_counter()
            sent = await _publish(publisher, answers, rate, seconds)
            published = time.perf_counter() - begin
            await _until(lambda: _taken(server, taken + sent), f"not all of {sent} events were taken")
            elapsed = time.perf_counter() - begin
            used = server.cpu().since(before)
            left = await _depth(channel)
        scale = 1e6 / max(1, sent)
        return {
            "pinned": pinned,
            "sent": sent,
            "rate": round(sent / published),
            "drained_after_s": round(elapsed - published, 2),
            "left_in_queue": left,
            "by_result": {name: value for name, value in server.metrics().items() if name.startswith(COUNTED)},
            "server_us_per_event": round(used.server * scale, 2),
            "database_us_per_event": round(used.database * scale, 2),
            "generator_us_per_event": round(used.generator * scale, 2),
            "server_busy": round(used.server / elapsed, 3),
        }


async def _publish(publisher: Publisher, events: Iterator[Event], rate: float, seconds: float) -> int:
    begin, sent = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        for _ in range(int(elapsed * rate) - sent):
            await publisher.publish(next(events))
            sent += 1
        await asyncio.sleep(TURN_S)
    return sent


async def _until(holds: Any, problem: str) -> None:  # noqa: ANN401 - a question whose answer may be awaited
    deadline = time.monotonic() + DRAINED_S
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(problem)
        await asyncio.sleep(0.05)


async def _taken(server: BenchServer, count: int) -> bool:
    said = await asyncio.to_thread(server.metrics)
    return sum(value for name, value in said.items() if name.startswith(COUNTED)) >= count


async def _consumers(channel: aio_pika.abc.AbstractChannel) -> bool:
    try:
        queue = await channel.declare_queue(QUEUE, passive=True)
    except aio_pika.exceptions.ChannelClosed:
        await channel.reopen()
        return False
    return bool(queue.declaration_result.consumer_count)


async def _depth(channel: aio_pika.abc.AbstractChannel) -> int:
    queue = await channel.declare_queue(QUEUE, passive=True)
    return queue.declaration_result.message_count or 0
