"""The broker is away, stands still, or is another one than the settings say: what the server does about it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from storage.amqp.consumer import Consumer
from storage.amqp.counters import AmqpCounters
from storage.amqp.publisher import Publisher
from storage.amqp.topology import EVENTS
from storage.memory_outbox import MemoryOutbox, OutboxTable
from storage.outbox import PostgresOutbox
from tests.edge.amqp.conftest import TOPOLOGY, Outside, Taker, until_soon
from tests.faults.crashes import PROGRAM, node
from tests.support.node import until
from tests.support.postgres import Databases
from tests.support.rabbitmq import Broker
from tests.support.stores import PostgresStore

pytestmark = pytest.mark.slow
BACKLOG = 20_000
_FILL = """
INSERT INTO outbox (room_id, event_name, exchange, routing_key, body)
SELECT 'room ' || n % 500, 'liveclass.end', 'liveclass', 'liveclass.end', convert_to(n::text, 'UTF8')
  FROM generate_series(1, $1::integer) AS n
"""


async def test_a_broker_that_comes_later_is_found(broker: Broker, table: OutboxTable, counters: AmqpCounters):
    broker.kill()
    taker = Taker()
    consumer = Consumer(broker.url, TOPOLOGY, taker, counters, prefetch=10, clock=lambda: 0)
    publisher = Publisher(broker.url, TOPOLOGY, MemoryOutbox(table), counters)
    tasks = [asyncio.create_task(part.run()) for part in (consumer, publisher)]
    await asyncio.to_thread(broker.start)

    await until_soon(lambda: all(counters.connected.values()), "both are connected")
    consumer.stop()
    publisher.stop()
    await asyncio.gather(*tasks)


async def test_a_broker_that_stands_still_delays_and_loses_nothing(
    broker: Broker, outside: Outside, table: OutboxTable, counters: AmqpCounters
):
    await outside.make_exchanges()
    queue = await outside.listen(TOPOLOGY.liveclass, "liveclass.end")
    publisher = Publisher(broker.url, TOPOLOGY, MemoryOutbox(table), counters, confirm_s=1.0)
    task = asyncio.create_task(publisher.run())
    await until_soon(lambda: counters.connected["publisher"], "it publishes")
    broker.freeze()
    try:
        table.add("7", "liveclass.end", "liveclass", "liveclass.end", b"late")
        publisher.kick()
        await until_soon(lambda: not counters.connected["publisher"], "it gives the connection up")
    finally:
        broker.thaw()

    await until_soon(lambda: not table.rows, "it is sent when the broker goes on")
    assert {message.body for message in await outside.read(queue, 1)} == {b"late"}
    assert counters.messages["liveclass.end", "refused"] == 0
    publisher.stop()
    await task


async def test_a_long_backlog_is_sent_in_order_with_few_in_memory(
    broker: Broker, outside: Outside, embedded: Databases, counters: AmqpCounters
):
    await outside.make_exchanges()
    queue = await outside.listen(TOPOLOGY.liveclass, "liveclass.end")
    store = PostgresStore(await embedded.migrated())
    await (await store.connection()).execute(_FILL, BACKLOG)
    outbox = PostgresOutbox(await store.database())
    publisher = Publisher(broker.url, TOPOLOGY, outbox, counters)
    task = asyncio.create_task(publisher.run())
    last: dict[int, int] = {}
    source = await outside.channel.get_queue(queue, ensure=False)
    done = asyncio.Event()

    async def read(message) -> None:
        number = int(message.body)
        assert last.get(number % 500, 0) < number
        last[number % 500] = number
        if len(last) == 500 and min(last.values()) > BACKLOG - 500:
            done.set()

    await source.consume(read, no_ack=True)
    async with asyncio.timeout(180):
        await done.wait()
    publisher.stop()
    await task
    assert (await outbox.state()).depth == 0
    assert counters.messages["liveclass.end", "sent"] == BACKLOG
    await store.close()
    await embedded.drop(store.dsn)


async def test_a_server_that_finds_another_topology_ends_with_1_and_names_both(
    broker: Broker, outside: Outside, tmp_path: Path
):
    await outside.channel.declare_exchange(TOPOLOGY.classes, "direct", durable=True)
    environment = {"AMQP_URL": broker.url, "ROLLCALL_AMQP_CLASSES_EXCHANGE": TOPOLOGY.classes, "PATH": "/usr/bin:/bin"}
    command = [PROGRAM, "serve", "--dev", "--port", "0", "--data-dir", str(tmp_path / "data")]

    process = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert process.returncode == 1
    assert "topic, durable" in process.stderr
    assert "current is 'direct'" in process.stderr


def test_a_server_serves_without_the_broker_and_stops_in_time(broker: Broker):
    broker.kill()
    with node(AMQP_URL=broker.url) as server:  # `node` waits for /readyz
        begun = time.monotonic()
        server.stop()

    assert time.monotonic() - begun < 10


def test_people_see_what_waits_for_a_broker_that_nobody_has_named():
    with node() as server:
        told = subprocess.run(
            [PROGRAM, "outbox", "status", "--data-dir", str(server.directory / "data")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert told.stdout.splitlines() == ["waiting  0", "oldest   0 s"]
    assert "AMQP_URL is not set" in told.stderr


async def test_a_broker_without_memory_is_consumed_from_and_published_to_when_it_has_some_again(
    broker: Broker, outside: Outside, taker: Taker, consumer: Consumer, table: OutboxTable, counters: AmqpCounters
):
    queue = await outside.listen(TOPOLOGY.liveclass, "liveclass.end")
    taker.gate.clear()
    for number in range(20):
        await outside.tell(str(number).encode())
    publisher = Publisher(broker.url, TOPOLOGY, MemoryOutbox(table), counters, confirm_s=1.0)
    task = asyncio.create_task(publisher.run())
    await until_soon(lambda: counters.connected["publisher"], "it publishes")
    broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        table.add("7", "liveclass.end", "liveclass", "liveclass.end", b"later")
        publisher.kick()
        await until_soon(lambda: not counters.connected["publisher"], "it gives the blocked connection up")
        taker.gate.set()
        await until(lambda: counters.messages["quiz_response", "taken"] == 20)
        assert broker.control("--quiet", "list_queues", "name", "messages").stdout.count(f"{EVENTS}\t0") == 1
    finally:
        broker.control("set_vm_memory_high_watermark", "absolute", "512MB")

    assert [message.body for message in await outside.read(queue, 1)] == [b"later"]
    await until_soon(lambda: not table.rows, "it is forgotten")
    assert counters.messages["liveclass.end", "refused"] == 0
    publisher.stop()
    await task
