"""A real server between a real RabbitMQ and its database: every consumed event in, every published one read back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, Final

import aio_pika
import asyncpg
import pytest
import websockets

from tests.faults.broker import until_connected
from tests.faults.crashes import PROGRAM, Node, node
from tests.support import rabbitmq
from tests.support.postgres import Databases, embedded_programs
from tests.support.postgres import running as postgres

pytestmark = pytest.mark.faults

SAMPLES: Final = Path(__file__).parents[1] / "samples" / "events"
ROUTES: Final = {
    "liveclass.end": ("tenlytics_topic_exchange", "liveclass.end"),
    "liveclass.start": ("tenlytics_topic_exchange", "liveclass.start"),
    "liveclass.cancel": ("tenlytics_topic_exchange", "liveclass.cancel"),
    "liveclass.quiz": ("tenlytics_topic_exchange", "quiz"),
    "exam.start": ("tenlytics_topic_exchange", "exam.start"),
    "session.end": ("stage_tracking_exchange", "exam.session"),
    "quiz_response": ("stage_tracking_topic_exchange", "quiz.response"),
    "live_class_user_leave": ("stage_tracking_topic_exchange", "live_class_user.activity"),
    "liveclass.interaction": ("stage_tracking_topic_exchange", "liveclass.interaction"),
}
PUBLISHED: Final = (
    ("tenlytics_topic_exchange", "liveclass.end"),
    ("stage_liveclass_exchange", "liveclass.end"),
    ("stage_tracking_topic_exchange", "live_class_user.activity"),
)
ROWS: Final = """
SELECT (SELECT count(*) FROM quizzes) AS quizzes, (SELECT count(*) FROM exams) AS exams,
       (SELECT count(*) FROM exam_sessions) AS exam_sessions, (SELECT count(*) FROM quiz_responses) AS responses,
       (SELECT count(*) FROM interactions) AS interactions, (SELECT count(*) FROM classes) AS classes,
       (SELECT count(*) FROM study_logs WHERE session_id LIKE 'amqp-%') AS segments
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not rabbitmq.is_installed():
        pytest.skip("needs RabbitMQ: apt-get install rabbitmq-server")


async def other_system(url: str) -> tuple[Any, Any]:
    """Its connection, and a queue of its own that gets all that we publish."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = await channel.declare_queue("independent", durable=True, arguments={"x-queue-type": "quorum"})
    for exchange, key in PUBLISHED:
        await queue.bind(await channel.declare_exchange(exchange, "topic", durable=True), key)
    return connection, queue


async def publish(connection: Any, name: str, copies: int = 2) -> None:
    """The sample of this event, and the same fact under another message id."""
    channel = await connection.channel()
    exchange, key = ROUTES[name]
    target = await channel.get_exchange(exchange, ensure=False)
    for copy in range(copies):
        message = aio_pika.Message(
            (SAMPLES / f"{name}.json").read_bytes(), message_id=f"{name}-{copy}", delivery_mode=2
        )
        await target.publish(message, key)


async def until_rows(url: str, **wanted: int) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(30):
            while not wanted.items() <= found.items():
                row = await connection.fetchrow(ROWS)
                found = {} if row is None else dict(row)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, found {found}") from None
    finally:
        await connection.close()
    return found


async def ours(queue: Any, count: int) -> list[tuple[str, str, dict[str, Any], Any]]:
    """So many events that this server published: exchange, routing key, payload, message."""
    found: list[tuple[str, str, dict[str, Any], Any]] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            message = await queue.get(fail=False)
            if message is None:
                await asyncio.sleep(0.05)
                continue
            await message.ack()
            if message.app_id == "rollcall":
                payload = json.loads(message.body)["data"]["payload"]
                found.append((message.exchange, message.routing_key, payload, message))
    return found


def token(server: Node, user: str, role: str) -> str:
    command = [PROGRAM, "token", "--user", user, "--role", role, "--data-dir", str(server.directory / "data")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def end(server: Node, room: str) -> None:
    headers = {"Authorization": f"Bearer {token(server, '1', 'staff')}"}
    request = urllib.request.Request(f"{server.url}/api/v1/rooms/{room}/end", method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["state"] == "ended"


async def a_class_of_one(server: Node) -> None:
    """A learner watches half a minute of class 77 and the class is ended."""
    socket = server.url.replace("http://", "ws://") + "/ws"
    headers = {"Authorization": f"Bearer {token(server, '27', 'learner')}"}
    async with websockets.connect(socket, additional_headers=headers, subprotocols=["rollcall.v1.json"]) as player:  # type: ignore[list-item]
        await player.send(json.dumps({"type": "hello"}))
        await player.send(json.dumps({"type": "join", "ref": 1, "room": "77"}))
        stream, sent_at = 0, 0
        async for text in player:
            frame = json.loads(text)
            if frame["type"] == "welcome":
                sent_at = frame["server_time"]
            if frame["type"] == "joined":
                stream = frame["stream"]
                samples = [
                    {"seq": n, "at": sent_at - 30_000 + 10_000 * n, "position": 10 * n, "state": "playing"}
                    for n in (1, 2, 3)
                ]
                kept = {"type": "heartbeats", "stream": stream, "sent_at": sent_at, "samples": samples}
                await player.send(json.dumps(kept))
            if frame["type"] == "ack":
                break
        await asyncio.to_thread(end, server, "77")


async def acted(server: Node, broker: rabbitmq.Broker, url: str) -> None:
    await until_connected(server)
    connection, queue = await other_system(broker.url)
    async with connection:
        for name in sorted(set(ROUTES) - {"liveclass.end", "liveclass.cancel"}):
            await publish(connection, name)
        facts = {"quizzes": 1, "exams": 1, "exam_sessions": 1, "responses": 1, "interactions": 1, "segments": 1}
        await until_rows(url, **facts)
        await publish(connection, "liveclass.cancel")
        await publish(connection, "liveclass.end")
        await until_rows(url, **facts, classes=1)
        [(exchange, _, short, _)] = await ours(queue, 1)
        assert exchange == "stage_liveclass_exchange", (
            "whoever ended the class tells its figures, we only the short form"
        )
        assert short.keys() == {"live_class_id", "platform", "start_at", "end_at", "duration", "is_required"}

        await a_class_of_one(server)
        told = await ours(queue, 3)
        assert sorted(each[:2] for each in told) == sorted(PUBLISHED)
        assert told[0][1] == "live_class_user.activity", "in the order of the facts"
        by_exchange = {each[0]: each[2] for each in told}
        segment = by_exchange["stage_tracking_topic_exchange"]
        assert (segment["auth_user_id"], segment["identification_id"], segment["duration"]) == (27, 77, 20)
        assert by_exchange["tenlytics_topic_exchange"]["live_class_id"] == 77
        for *_, message in told:
            assert message.message_id
            assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            assert message.content_type == "application/json"
        await until_rows(url, **facts, classes=1)


def test_every_event_in_by_its_sample_and_every_event_out_read_by_somebody_else() -> None:
    with rabbitmq.running() as broker, postgres(embedded_programs()) as database:
        url = asyncio.run(Databases(database.dsn()).empty())
        with node(DATABASE_URL=url, AMQP_URL=broker.url, ROLLCALL_CHECKPOINT_SECONDS="2") as server:
            asyncio.run(acted(server, broker, url))
