"""Kill the broker under a stream of events, or take the database away, then ask whether anything is missing or doubled.

    python tests/faults/broker.py --times 10 --rate 200            # the long form, by hand
    python tests/faults/broker.py --how database --times 2

A real server, a real RabbitMQ. A producer publishes quiz answers, watched segments and ends of classes with confirms
and repeats what was not confirmed, some of it under a second id too. An independent consumer reads what the server
publishes. Afterwards the tables must hold each fact once, and each class must have been told once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aio_pika
import asyncpg
from aio_pika.exceptions import AMQPError

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.crashes import Node, node
from tests.support import rabbitmq
from tests.support.postgres import Databases, embedded_programs
from tests.support.postgres import Server as Postgres
from tests.support.postgres import running as postgres

CLASSES: Final = ("tenlytics_topic_exchange", "liveclass.end")
ANSWERS: Final = ("stage_tracking_topic_exchange", "quiz.response")
SEGMENTS: Final = ("stage_tracking_topic_exchange", "live_class_user.activity")
SHORT: Final = ("stage_liveclass_exchange", "liveclass.end")
AWAY: Final = (AMQPError, OSError, TimeoutError, RuntimeError)
STARTED_AT: Final = 1_760_000_000
SETTLED_S: Final = 120.0
PAUSE_S: Final = 4.0
OUTAGE_S: Final = 6.0


class Producer:
    """Publishes facts until it is told to stop; whatever is not confirmed goes out again."""

    def __init__(self, url: str, rate: float, seed: int) -> None:
        self._url = url
        self._rate = rate
        self._chance = random.Random(seed)
        self._stop = asyncio.Event()
        self._next = 0
        self.answers: set[tuple[str, str]] = set()
        self.segments: set[tuple[str, str]] = set()
        self.classes: set[str] = set()
        self.confirmed = 0

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Until stopped and confirmed to the last."""
        unsent: list[tuple[tuple[str, str], bytes, str]] = []
        while not self._stop.is_set() or unsent:
            with suppress(*AWAY):
                async with asyncio.timeout(10):
                    connection = await aio_pika.connect(self._url, heartbeat=5)
                try:
                    await self._publish(connection, unsent)
                finally:
                    with suppress(*AWAY):
                        async with asyncio.timeout(3):
                            await connection.close()
            await asyncio.sleep(0.05)

    async def _publish(self, connection: Any, unsent: list[tuple[tuple[str, str], bytes, str]]) -> None:
        async with asyncio.timeout(10):
            channel = await connection.channel()
            exchanges = {
                name: await channel.declare_exchange(name, "topic", durable=True)
                for name in {CLASSES[0], ANSWERS[0], SHORT[0]}
            }
        while not self._stop.is_set() or unsent:
            begun = time.monotonic()
            if not unsent:
                unsent += self._some(max(1, round(self._rate / 10)))
            for to, body, message_id in list(unsent):
                message = aio_pika.Message(
                    body, delivery_mode=2, message_id=message_id, content_type="application/json"
                )
                await exchanges[to[0]].publish(message, to[1], timeout=5)
                unsent.pop(0)
                self.confirmed += 1
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))

    def _some(self, count: int) -> list[tuple[tuple[str, str], bytes, str]]:
        made = []
        for _ in range(count):
            to, event_name, payload = self._fact()
            body = json.dumps({"event_name": event_name, "data": {"payload": payload}}).encode()
            made.append((to, body, str(uuid.uuid4())))
            if self._chance.random() < 0.1:
                made.append((to, body, str(uuid.uuid4())))
        return made

    def _fact(self) -> tuple[tuple[str, str], str, dict[str, Any]]:
        self._next += 1
        number, class_id, learner = self._next, str(self._next % 40), str(self._next // 40)
        if number % 50 == 0:
            over = f"over-{number}"
            self.classes.add(over)
            return CLASSES, "liveclass.end", {"live_class_id": over, "platform": "k12", "end_at": _at(number)}
        if number % 3 == 0:
            self.segments.add((learner, f"class-{class_id}"))
            segment: dict[str, Any] = {
                "auth_user_id": learner,
                "identification_id": f"class-{class_id}",
                "platform": "k12",
            }
            segment |= {
                "identification_type": "live_class",
                "media_type": "live_class",
                "media_id": f"class-{class_id}",
            }
            segment |= {"playhead_start_at": 0, "playhead_end_at": 30, "duration": "30"}
            segment |= {"start_timestamp": _at(number), "end_timestamp": _at(number + 30)}
            return SEGMENTS, "live_class_user_leave", segment
        self.answers.add((learner, f"quiz-{class_id}"))
        answer: dict[str, Any] = {
            "auth_user_id": int(learner),
            "quiz_id": f"quiz-{class_id}",
            "identification_id": f"class-{class_id}",
        }
        answer |= {"identification_type": "live_class", "is_correct": number % 2, "particiapte_at": _at(number)}
        return ANSWERS, "quiz_response", answer


class Listener:
    """Another system: a durable queue of its own for the ends of classes in short."""

    QUEUE: Final = "independent"

    def __init__(self, url: str) -> None:
        self._url = url
        self.told: Counter[str] = Counter()
        self.message_ids: Counter[str] = Counter()

    async def prepare(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(SHORT[0], "topic", durable=True)
            queue = await channel.declare_queue(self.QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(exchange, SHORT[1])

    async def read(self) -> None:
        """All that is there now."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(self.QUEUE, ensure=False)
            while (message := await queue.get(fail=False)) is not None:
                await message.ack()
                first = self.message_ids[message.message_id or ""] == 0
                self.message_ids[message.message_id or ""] += 1
                if first:
                    self.told[str(json.loads(message.body)["data"]["payload"]["live_class_id"])] += 1


def _at(number: int) -> str:
    return datetime.fromtimestamp(STARTED_AT + number, UTC).isoformat()


def connected(server: Node) -> set[str]:
    """The parts that are connected to the broker."""
    with suppress(OSError), urllib.request.urlopen(f"{server.url}/metrics", timeout=2) as answer:
        lines = answer.read().decode().splitlines()
        return {
            line.split('"')[1]
            for line in lines
            if line.startswith("rollcall_amqp_connected{") and line.endswith(" 1.0")
        }
    return set()


async def until_connected(server: Node) -> float:
    """How long it took."""
    begun = time.monotonic()
    async with asyncio.timeout(60):
        while await asyncio.to_thread(connected, server) != {"consumer", "publisher"}:  # noqa: ASYNC110 - asked of the server
            await asyncio.sleep(0.05)
    return time.monotonic() - begun


@asynccontextmanager
async def stream(broker: rabbitmq.Broker, server: Node, rate: float, seed: int) -> AsyncIterator[Producer]:
    """Events flow meanwhile; at the end every one of them is confirmed."""
    await until_connected(server)
    producer = Producer(broker.url, rate, seed)
    task = asyncio.create_task(producer.run())
    yield producer
    producer.stop()
    async with asyncio.timeout(60):
        await task


async def strike(broker: rabbitmq.Broker, server: Node, times: int, chance: random.Random) -> list[float]:
    """Kill the broker so many times; how long each time until the server was back after it served again."""
    back: list[float] = []
    for _ in range(times):
        await asyncio.sleep(chance.uniform(0.5, 1.5) * PAUSE_S)
        broker.kill()
        await asyncio.sleep(chance.uniform(0, 2))
        await asyncio.to_thread(broker.start)
        back.append(await until_connected(server))
        await asyncio.to_thread(server.until_ready)
    return back


async def take_away(database: Postgres, times: int, producer: Producer, url: str) -> list[int]:
    """Stop the database so many times; how many events waited at the broker each time."""
    waited: list[int] = []
    for _ in range(times):
        await asyncio.sleep(PAUSE_S)
        database.stop()
        before = producer.confirmed
        await asyncio.sleep(OUTAGE_S)
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("rollcall.events", passive=True)
            waited.append(queue.declaration_result.message_count or 0)
        assert producer.confirmed > before, "events went on coming"
        database.start()
    return waited


async def settled(url: str, producer: Producer) -> dict[str, Any]:
    """What the tables hold once nothing changes any more."""
    deadline = time.monotonic() + SETTLED_S
    connection = await asyncpg.connect(url)
    try:
        while True:
            found = await _tables(connection)
            if not any(judge(found, producer, None).values()) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def _tables(connection: Any) -> dict[str, Any]:
    segments = [tuple(row) for row in await connection.fetch("SELECT user_id, room_id FROM study_logs")]
    return {
        "answers": {tuple(row) for row in await connection.fetch("SELECT user_id, quiz_id FROM quiz_responses")},
        "segments": len(segments),
        "learners": set(segments),
        "classes": {row[0] for row in await connection.fetch("SELECT room_id FROM rooms WHERE ended_at IS NOT NULL")},
        "outbox": await connection.fetchval("SELECT count(*) FROM outbox"),
    }


def judge(found: dict[str, Any], producer: Producer, listener: Listener | None) -> dict[str, int]:
    """Everything that is not as it should be; all zero when nothing is lost and nothing doubled."""
    told = Counter(producer.classes) if listener is None else listener.told
    return {
        "answers_lost": len(producer.answers - found["answers"]),
        "answers_invented": len(found["answers"] - producer.answers),
        "segments_lost": len(producer.segments - found["learners"]),
        "segments_doubled": max(0, found["segments"] - len(producer.segments)),
        "classes_lost": len(producer.classes - found["classes"]),
        "ends_not_told": len(producer.classes - told.keys()),
        "ends_told_twice": sum(1 for count in told.values() if count > 1),
        "outbox_left": int(found["outbox"]),
    }


def run(how: str, times: int, rate: float, seed: int) -> dict[str, Any]:
    """Act it; returns figures, and under `wrong` what is not as it should be."""
    with rabbitmq.running() as broker, postgres(embedded_programs()) as database:
        url = asyncio.run(Databases(database.dsn()).empty())
        with node(DATABASE_URL=url, AMQP_URL=broker.url, ROLLCALL_CHECKPOINT_SECONDS="2") as server:
            return asyncio.run(_run(how, times, rate, seed, broker, database, url, server))


async def _run(
    how: str, times: int, rate: float, seed: int, broker: rabbitmq.Broker, database: Postgres, url: str, server: Node
) -> dict[str, Any]:
    listener = Listener(broker.url)
    await listener.prepare()
    figures: dict[str, Any] = {"how": how}
    async with stream(broker, server, rate, seed) as producer:
        if how == "broker":
            back = await strike(broker, server, times, random.Random(seed))
            figures["back_after_s"] = [round(each, 2) for each in back]
        else:
            figures["waited_at_the_broker"] = await take_away(database, times, producer, broker.url)
        await asyncio.sleep(PAUSE_S / 2)
    begun = time.monotonic()
    found = await settled(url, producer)
    await listener.read()
    figures |= {
        "published": producer.confirmed,
        "facts": len(producer.answers) + len(producer.segments) + len(producer.classes),
        "settled_after_s": round(time.monotonic() - begun, 1),
        "sent_again": sum(listener.message_ids.values()) - len(listener.message_ids),
        "wrong": {name: count for name, count in judge(found, producer, listener).items() if count},
        "log": server.log()[-3000:],
    }
    return figures


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--how", choices=["broker", "database"], default="broker")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = run(options.how, options.times, options.rate, options.seed)
    print(outcome.pop("log"))
    print(json.dumps(outcome, indent=1))
    return 1 if outcome["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
