"""What is declared at start, and what is said when the broker has something else."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from storage.amqp.connection import TopologyMismatch, connected, keep_connected
from storage.amqp.consumer import Consumer
from storage.amqp.counters import AmqpCounters
from storage.amqp.publisher import Publisher
from storage.amqp.topology import DEAD, EVENTS, Topology, declare, missing
from storage.memory_outbox import MemoryOutbox, OutboxTable
from tests.edge.amqp.conftest import TOPOLOGY, Outside, Taker
from tests.support.rabbitmq import Broker

pytestmark = pytest.mark.slow
PASSIVE = msgspec.structs.replace(TOPOLOGY, passive=True)
CLASSIC = msgspec.structs.replace(TOPOLOGY, queue_type="classic")


async def declared(broker: Broker, topology: Topology) -> None:
    async with connected(broker.url, "test") as connection:
        await declare(connection, topology)


def listed(broker: Broker, what: str, *columns: str) -> set[tuple[str, ...]]:
    lines = broker.control("--quiet", "list_" + what, *columns).stdout.splitlines()
    return {tuple(line.split("\t")) for line in lines}


@pytest.mark.parametrize("topology", [TOPOLOGY, CLASSIC], ids=["quorum", "classic"])
async def test_everything_is_made_durable_and_bound(broker: Broker, topology: Topology):
    await declared(broker, topology)

    exchanges = listed(broker, "exchanges", "name", "type", "durable")
    assert {(name, "topic", "true") for name in topology.exchanges()} <= exchanges
    queues = listed(broker, "queues", "name", "type", "durable")
    assert {(name, topology.queue_type, "true") for name in (EVENTS, DEAD)} <= queues
    bindings = listed(broker, "bindings", "source_name", "routing_key", "destination_name")
    assert {(*binding, EVENTS) for binding in topology.bindings()} <= bindings


@pytest.mark.parametrize("topology", [TOPOLOGY, CLASSIC], ids=["quorum", "classic"])
async def test_declaring_again_changes_nothing(broker: Broker, topology: Topology):
    await declared(broker, topology)
    await declared(broker, topology)
    await declared(broker, msgspec.structs.replace(topology, passive=True))


async def test_one_exchange_may_have_several_parts(broker: Broker):
    one = TOPOLOGY.classes
    await declared(broker, Topology(classes=one, tracking=one, activity=one, liveclass=one))

    assert [each for each in listed(broker, "bindings", "source_name", "destination_name") if each[0] == "t_classes"]


async def test_an_exchange_of_another_type_is_named_with_both_definitions(broker: Broker, outside: Outside):
    await outside.channel.declare_exchange(TOPOLOGY.tracking, "direct", durable=True)

    with pytest.raises(TopologyMismatch) as caught:
        await declared(broker, TOPOLOGY)
    assert "'t_tracking'" in str(caught.value)
    assert "wanted is topic, durable" in str(caught.value)
    assert "direct" in str(caught.value)


async def test_a_queue_of_another_type_is_named_with_both_definitions(broker: Broker):
    await declared(broker, CLASSIC)

    with pytest.raises(TopologyMismatch) as caught:
        await declared(broker, TOPOLOGY)
    assert "'rollcall.events'" in str(caught.value)
    assert "x-queue-type quorum" in str(caught.value)
    assert "classic" in str(caught.value)


async def test_dead_letters_of_another_bound_are_named_with_both_definitions(broker: Broker):
    await declared(broker, TOPOLOGY)

    with pytest.raises(TopologyMismatch, match=r"'rollcall.dead'.*x-max-length 7,.*100000"):
        await declared(broker, msgspec.structs.replace(TOPOLOGY, dead_max=7))


async def test_passive_makes_no_exchange_and_names_the_one_that_is_missing(broker: Broker):
    with pytest.raises(TopologyMismatch, match=r"exchange 't_classes': wanted is topic.*no exchange 't_classes'"):
        await declared(broker, PASSIVE)

    assert not {name for (name,) in listed(broker, "exchanges", "name")} & set(TOPOLOGY.exchanges())


async def test_passive_names_an_exchange_of_another_type(broker: Broker, outside: Outside):
    await outside.make_exchanges("fanout")

    with pytest.raises(TopologyMismatch, match=r"'t_classes': wanted is topic, durable.*current is 'fanout'"):
        await declared(broker, PASSIVE)


async def test_passive_needs_no_right_to_make_exchanges(broker: Broker, outside: Outside):
    await outside.make_exchanges()
    broker.control("add_user", "modest", "secret")
    broker.control("set_permissions", "modest", r"^rollcall\.", ".*", ".*")

    async with connected(broker.url.replace("guest:guest", "modest:secret"), "test") as connection:
        await declare(connection, PASSIVE)


async def test_a_look_names_what_would_be_made_and_makes_nothing(broker: Broker, outside: Outside):
    await outside.channel.declare_exchange(TOPOLOGY.classes, "topic", durable=True)

    for _ in range(2):
        async with connected(broker.url, "test") as connection:
            found = await missing(connection, TOPOLOGY)
        others = [f"exchange {name}" for name in TOPOLOGY.exchanges()[1:]]
        assert found == [*others, f"queue {EVENTS}", f"queue {DEAD}"]


async def test_a_look_names_what_is_different(broker: Broker):
    await declared(broker, CLASSIC)

    async with connected(broker.url, "test") as connection:
        with pytest.raises(TopologyMismatch, match=r"'rollcall\.events'"):
            await missing(connection, TOPOLOGY)


async def test_a_mismatch_at_the_start_ends_the_consumer_and_the_publisher(broker: Broker, outside: Outside):
    await outside.make_exchanges("direct")
    counters = AmqpCounters()
    consumer = Consumer(broker.url, TOPOLOGY, Taker(), counters, prefetch=10, clock=lambda: 0)
    publisher = Publisher(broker.url, TOPOLOGY, MemoryOutbox(OutboxTable()), counters)

    async with asyncio.timeout(20):
        for part in (consumer, publisher):
            with pytest.raises(TopologyMismatch):
                await part.run()


async def test_a_mismatch_later_is_tried_again_since_a_class_may_be_on():
    stop, seen = asyncio.Event(), list[int]()

    async def session() -> None:
        seen.append(len(seen))
        if len(seen) == 2:
            raise TopologyMismatch("somebody has changed it")
        if len(seen) == 3:
            stop.set()

    async with asyncio.timeout(10):
        await keep_connected("consumer", session, stop)
    assert len(seen) == 3


async def test_the_dead_letters_are_bounded_and_keep_the_newest(broker: Broker, outside: Outside):
    topology = msgspec.structs.replace(TOPOLOGY, dead_max=5)
    taker, counters = Taker(), AmqpCounters()
    taker.bad = {str(number).encode(): ("data", "is bad") for number in range(12)}
    consumer = Consumer(broker.url, topology, taker, counters, prefetch=50, clock=lambda: 0)
    task = asyncio.create_task(consumer.run())
    async with asyncio.timeout(20):
        while not counters.connected["consumer"]:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
        for number in range(12):
            await outside.tell(str(number).encode())
        while counters.dead_letters < 12:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)

    kept = await outside.read(DEAD, 5)

    assert [each.body for each in kept] == [b"7", b"8", b"9", b"10", b"11"]
    assert await outside.depth(DEAD) == 0
    consumer.stop()
    await task
