"""One RabbitMQ for all of these, with nothing of a former test in it; and both ends of what we have with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from storage.amqp.connection import BrokerAway
from storage.amqp.consumer import Consumer
from storage.amqp.counters import AmqpCounters
from storage.amqp.ports import Delivery, Outcome
from storage.amqp.publisher import Publisher
from storage.amqp.topology import DEAD, EVENTS, Topology
from storage.memory_outbox import MemoryOutbox, OutboxTable
from tests.support.node import until
from tests.support.rabbitmq import Broker
from tests.support.servers import rabbitmq

__all__ = ["rabbitmq"]

TOPOLOGY = Topology(classes="t_classes", tracking="t_tracking", activity="t_activity", liveclass="t_liveclass")
BACK_S = 40.0
"""What a broker needs to start again, on a busy machine."""


class Taker:
    """An intake that remembers, and fails as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[Delivery]] = []
        self.failures: list[Exception] = []
        self.bad: dict[bytes, tuple[str, str]] = {}
        self.crashes_at: bytes | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    @property
    def bodies(self) -> list[bytes]:
        return [each.body for batch in self.batches for each in batch]

    async def take(self, batch: Sequence[Delivery]) -> list[Outcome]:
        self.asked += 1
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.crashes_at is not None and any(each.body == self.crashes_at for each in batch):
            raise KeyError("a mistake of ours")
        self.batches.append(list(batch))
        return [
            Outcome("quiz_response", "bad", *self.bad[each.body])
            if each.body in self.bad
            else Outcome("quiz_response", "taken")
            for each in batch
        ]


class Outside:
    """The other systems: they publish to us, and read what we publish."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self.connection = connection
        self.channel = channel

    async def tell(
        self, body: bytes, exchange: str = TOPOLOGY.activity, key: str = "quiz.response", **properties: Any
    ) -> None:
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, delivery_mode=2, **properties), key, timeout=BACK_S)

    async def make_exchanges(self, kind: str = "topic") -> None:
        for name in TOPOLOGY.exchanges():
            await self.channel.declare_exchange(name, kind, durable=True)

    async def depth(self, queue: str = EVENTS) -> int:
        """Messages that nobody has in hand."""
        found = await self.channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def read(self, queue: str, count: int) -> list[AbstractIncomingMessage]:
        """The next `count` messages, acknowledged."""
        source = await self.channel.get_queue(queue, ensure=False)
        found: list[AbstractIncomingMessage] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                message = await source.get(fail=False)
                if message is not None:
                    await message.ack()
                    found.append(message)
        return found

    async def listen(self, exchange: str, key: str, **arguments: Any) -> str:
        """A queue of its own for what goes there."""
        queue = await self.channel.declare_queue(exclusive=True, arguments=arguments)
        await queue.bind(exchange, key)
        return queue.name


async def until_soon(condition: Any, what: str, within_s: float = BACK_S) -> None:
    """Wait for what needs a broker's restart."""
    async with asyncio.timeout(within_s):
        while True:
            with suppress(TimeoutError):
                await until(condition, what)
                return


@pytest.fixture
async def broker(rabbitmq: Broker) -> Broker:
    """It runs, and has nothing in it."""
    rabbitmq.start()
    async with await aio_pika.connect(rabbitmq.url) as connection:
        for queue in (EVENTS, DEAD):
            async with connection.channel() as channel:
                await channel.queue_delete(queue)
        for exchange in TOPOLOGY.exchanges():
            async with connection.channel() as channel:
                await channel.exchange_delete(exchange)
    return rabbitmq


@pytest.fixture
async def outside(broker: Broker) -> AsyncIterator[Outside]:
    async with await aio_pika.connect(broker.url) as connection:
        yield Outside(connection, await connection.channel())


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def counters() -> AmqpCounters:
    return AmqpCounters()


@pytest.fixture
async def consumer(broker: Broker, taker: Taker, counters: AmqpCounters) -> AsyncIterator[Consumer]:
    """It consumes."""
    made = Consumer(broker.url, TOPOLOGY, taker, counters, prefetch=100, clock=lambda: 1_700_000_000_000)
    task = asyncio.create_task(made.run())
    await until_soon(lambda: counters.connected["consumer"] or task.done(), "it consumes")
    yield made
    taker.gate.set()
    made.stop()
    async with asyncio.timeout(20):
        await task


@pytest.fixture
def table() -> OutboxTable:
    return OutboxTable()


@pytest.fixture
async def publisher(broker: Broker, table: OutboxTable, counters: AmqpCounters) -> AsyncIterator[Publisher]:
    """It publishes."""
    made = Publisher(
        broker.url, TOPOLOGY, MemoryOutbox(table), counters, confirm_s=2.0, backoff_s=lambda attempts: 0.2 * attempts
    )
    task = asyncio.create_task(made.run())
    await until_soon(lambda: counters.connected["publisher"] or task.done(), "it publishes")
    yield made
    made.stop()
    with suppress(BrokerAway, TimeoutError):
        async with asyncio.timeout(10):
            await asyncio.shield(task)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
