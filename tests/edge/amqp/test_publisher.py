"""Events go out: in order per room, confirmed, once where nothing breaks and at least once where something does."""

from __future__ import annotations

import asyncio
import uuid

import aio_pika
import pytest

from actors.ports import StoreAway
from storage.amqp.counters import AmqpCounters
from storage.amqp.publisher import POLL_S, Publisher, backoff_s
from storage.memory_outbox import MemoryOutbox, OutboxTable
from tests.edge.amqp.conftest import TOPOLOGY, Outside, until_soon
from tests.support.node import until
from tests.support.rabbitmq import Broker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("publisher")]
KEY = "liveclass.end"


def write(table: OutboxTable, room_id: str, body: str, exchange: str = "liveclass") -> None:
    table.add(room_id, "liveclass.end", exchange, KEY, body.encode())


async def test_an_event_arrives_as_it_was_written(outside: Outside, table: OutboxTable, publisher: Publisher):
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    write(table, "7", '{"event_name":"liveclass.end"}')
    event = next(iter(table.rows.values())).event
    publisher.kick()

    (message,) = await outside.read(queue, 1)

    assert message.body == event.body
    assert uuid.UUID(message.message_id) == uuid.UUID(event.message_id)
    assert (message.app_id, message.type, message.content_type) == ("rollcall", "liveclass.end", "application/json")
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.timestamp is not None
    assert abs(message.timestamp.timestamp() * 1000 - event.created_at) < 1001
    await until(lambda: not table.rows, "it is forgotten")


@pytest.mark.parametrize("exchange", ["classes", "activity", "liveclass"])
async def test_each_goes_to_the_exchange_that_the_settings_name(
    outside: Outside, table: OutboxTable, publisher: Publisher, exchange: str
):
    queue = await outside.listen(TOPOLOGY.outlets()[exchange], KEY)
    write(table, "7", "x", exchange)
    publisher.kick()

    (message,) = await outside.read(queue, 1)
    assert message.exchange == TOPOLOGY.outlets()[exchange]


async def test_without_a_kick_it_looks_by_itself(outside: Outside, table: OutboxTable, publisher: Publisher):
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    write(table, "7", "x")

    async with asyncio.timeout(POLL_S * 5):
        await outside.read(queue, 1)


async def test_rooms_keep_their_order_side_by_side(
    outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters
):
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    for number in range(1_500):
        write(table, f"room {number % 7}", f"{number % 7} {number}")
    publisher.kick()

    told = [message.body.decode().split() for message in await outside.read(queue, 1_500)]

    for room in map(str, range(7)):
        numbers = [int(number) for of, number in told if of == room]
        assert numbers == sorted(set(numbers))
    await until(lambda: not table.rows)
    assert counters.messages["liveclass.end", "sent"] == 1_500


async def test_what_no_queue_wants_holds_up_its_room_alone_until_one_is_bound(
    outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters
):
    wanted = await outside.listen(TOPOLOGY.classes, KEY)
    write(table, "a", "a1", "liveclass")
    write(table, "a", "a2", "classes")
    write(table, "b", "b1", "classes")
    publisher.kick()

    (first,) = await outside.read(wanted, 1)
    assert first.body == b"b1"
    await until(lambda: counters.messages["liveclass.end", "refused"] >= 2, "it tries again")
    failing = (await MemoryOutbox(table).failing(1))[0]
    assert "NO_ROUTE" in failing.failure

    late = await outside.listen(TOPOLOGY.liveclass, KEY)
    (held,) = await outside.read(late, 1)
    (then,) = await outside.read(wanted, 1)
    assert (held.body, then.body) == (b"a1", b"a2")


async def test_what_the_broker_refuses_holds_up_its_room_alone(
    outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters
):
    full = await outside.listen(TOPOLOGY.liveclass, KEY, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    other = await outside.listen(TOPOLOGY.classes, KEY)
    await outside.tell(b"in the way", TOPOLOGY.liveclass, KEY)
    write(table, "a", "a1", "liveclass")
    write(table, "a", "a2", "classes")
    write(table, "b", "b1", "classes")
    publisher.kick()

    assert [each.body for each in await outside.read(other, 1)] == [b"b1"]
    await until(lambda: counters.messages["liveclass.end", "refused"] >= 2)
    assert "nack" in (await MemoryOutbox(table).failing(1))[0].failure
    assert [each.body for each in await outside.read(full, 2)] == [b"in the way", b"a1"]
    assert [each.body for each in await outside.read(other, 1)] == [b"a2"]


async def test_order_survives_a_lost_connection(
    outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters, broker: Broker
):
    await outside.channel.declare_queue("t_kept", durable=True)
    await (await outside.channel.get_queue("t_kept")).bind(TOPOLOGY.liveclass, KEY)
    for number in range(3_000):
        write(table, f"room {number % 5}", f"{number % 5} {number}")
    publisher.kick()
    await until(lambda: counters.messages["liveclass.end", "sent"] > 200)
    closing = asyncio.to_thread(broker.control, "close_all_connections", "a test")
    assert (await closing).returncode == 0
    await until_soon(lambda: not table.rows, "everything is sent")

    async with await aio_pika.connect(broker.url) as connection:
        reader = Outside(connection, await connection.channel())
        told = [message.body.decode().split() for message in await reader.read("t_kept", await reader.depth("t_kept"))]
        await reader.channel.queue_delete("t_kept")
    for room in range(5):
        numbers = [int(number) for of, number in told if of == str(room)]
        firsts = list(dict.fromkeys(numbers))
        assert firsts == list(range(room, 3_000, 5))


class AwayNowAndThen(MemoryOutbox):
    """Every other call fails, half of them with the work done."""

    calls = 0

    def stumble(self) -> None:
        AwayNowAndThen.calls += 1
        if AwayNowAndThen.calls % 2:
            raise StoreAway("away")


async def test_a_store_that_is_away_delays_and_loses_nothing(
    broker: Broker, outside: Outside, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
):
    publisher.stop()
    table, counters = OutboxTable(), AmqpCounters()
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    for number in range(300):
        write(table, f"room {number % 3}", f"{number % 3} {number}")
    outbox = MemoryOutbox(table)
    failures = {"next": 2, "settle": 2}
    for name in failures:
        monkeypatch.setattr(outbox, name, _failing_at_first(getattr(outbox, name), failures, name))
    other = Publisher(broker.url, TOPOLOGY, outbox, counters)
    task = asyncio.create_task(other.run())

    told = [message.body.decode().split() for message in await outside.read(queue, 300)]
    await until_soon(lambda: not table.rows, "it is forgotten when the store is back")

    assert sorted(int(number) for _, number in told) == list(range(300))
    assert counters.messages["liveclass.end", "sent"] == 300
    other.stop()
    await task


def _failing_at_first(call, failures: dict[str, int], name: str):
    async def made(*arguments):
        if failures[name]:
            failures[name] -= 1
            raise StoreAway("away")
        return await call(*arguments)

    return made


async def test_two_publishers_send_nothing_twice(
    broker: Broker, outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters
):
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    others = AmqpCounters()
    second = Publisher(broker.url, TOPOLOGY, MemoryOutbox(table), others)
    task = asyncio.create_task(second.run())
    await until(lambda: others.connected["publisher"])
    for number in range(500):
        write(table, f"room {number % 9}", str(number))
    publisher.kick()
    second.kick()

    told = [int(message.body) for message in await outside.read(queue, 500)]
    await until(lambda: not table.rows)

    assert sorted(told) == list(range(500))
    assert await outside.depth(queue) == 0
    second.stop()
    await task


async def test_a_publisher_that_is_told_to_stop_sends_what_is_left(
    outside: Outside, table: OutboxTable, publisher: Publisher, counters: AmqpCounters
):
    queue = await outside.listen(TOPOLOGY.liveclass, KEY)
    for number in range(200):
        write(table, "7", str(number))
    publisher.stop()

    assert len(await outside.read(queue, 200)) == 200
    await until(lambda: not counters.connected["publisher"])
    assert not table.rows


def test_a_room_waits_longer_with_each_failure_and_five_minutes_at_most():
    waits = [backoff_s(attempts) for attempts in range(40)]

    assert waits == sorted(waits)
    assert (waits[0], waits[3], waits[-1]) == (1, 8, 300)
