"""Events come in: batches, acks, dead letters, and what happens when something is away."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime

import aio_pika
import pamqp.body
import pamqp.frame
import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands

from actors.directory import NotOwned
from actors.ports import StoreAway
from storage.amqp.consumer import BODY_BYTES, Consumer
from storage.amqp.counters import AmqpCounters
from storage.amqp.topology import DEAD, EVENTS
from tests.edge.amqp.conftest import TOPOLOGY, Outside, Taker, until_soon
from tests.support.node import until
from tests.support.rabbitmq import Broker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("consumer")]


async def test_a_delivery_carries_what_the_broker_said(outside: Outside, taker: Taker):
    sent = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await outside.tell(b"{}", message_id="m-1", timestamp=sent)
    await until(lambda: taker.bodies)

    (delivery,) = taker.batches[0]
    assert (delivery.exchange, delivery.routing_key) == (TOPOLOGY.activity, "quiz.response")
    assert delivery.message_id == "m-1"
    assert delivery.sent_at == sent.timestamp() * 1000
    assert delivery.received_at == 1_700_000_000_000


@pytest.mark.parametrize(("exchange", "key"), TOPOLOGY.bindings())
async def test_every_consumed_event_arrives(outside: Outside, taker: Taker, exchange: str, key: str):
    await outside.tell(b"{}", exchange, key)

    await until(lambda: taker.batches, f"{key} from {exchange}")


async def test_deliveries_that_wait_are_taken_together_in_their_order(
    outside: Outside, taker: Taker, counters: AmqpCounters
):
    taker.gate.clear()
    await outside.tell(b"first")
    await until(lambda: taker.asked)
    for number in range(60):
        await outside.tell(str(number).encode())
    taker.gate.set()
    await until(lambda: len(taker.bodies) == 61)

    assert taker.bodies == [b"first", *(str(number).encode() for number in range(60))]
    assert len(taker.batches) < 10
    await until(lambda: counters.messages["quiz_response", "taken"] == 61)


async def test_nothing_is_acked_before_the_intake_has_it(
    outside: Outside, taker: Taker, consumer: Consumer, broker: Broker
):
    taker.gate.clear()
    await outside.tell(b"in hand")
    await until(lambda: taker.asked)
    consumer.stop()
    again = Taker()
    other = Consumer(broker.url, TOPOLOGY, again, AmqpCounters(), prefetch=10, clock=lambda: 0)
    task = asyncio.create_task(other.run())
    taker.failures.append(StoreAway("it cannot be stored"))
    taker.gate.set()

    await until(lambda: again.bodies == [b"in hand"], "the message went back to the queue")
    other.stop()
    await task


async def test_what_was_acked_does_not_come_again(outside: Outside, taker: Taker, counters: AmqpCounters):
    await outside.tell(b"one")
    await until(lambda: counters.messages["quiz_response", "taken"] == 1)
    await outside.connection.close()

    assert taker.bodies == [b"one"]


@pytest.mark.parametrize("error", [StoreAway("away"), NotOwned("not ours yet")])
async def test_a_batch_that_cannot_be_stored_waits_and_is_given_again(
    outside: Outside, taker: Taker, counters: AmqpCounters, error: Exception
):
    taker.failures += [error, error]
    await outside.tell(b"patient")
    await until(lambda: taker.bodies)

    assert taker.bodies == [b"patient"]
    assert taker.asked == 3
    assert counters.dead_letters == 0


async def test_while_nothing_can_be_stored_no_more_is_pulled_than_the_prefetch(outside: Outside, taker: Taker):
    taker.gate.clear()
    for number in range(150):
        await outside.tell(str(number).encode())

    async with asyncio.timeout(10):
        while await outside.depth() != 50:  # noqa: ASYNC110 - it is asked of the broker
            await asyncio.sleep(0.01)
    taker.gate.set()
    await until(lambda: len(taker.bodies) == 150)


async def test_a_bad_message_goes_to_the_dead_letters_with_field_and_reason(
    outside: Outside, taker: Taker, counters: AmqpCounters
):
    body = b'\xff\x00 {"event_name": 5'
    taker.bad[body] = ("event_name", "is no text")
    await outside.tell(
        body,
        message_id="m-7",
        headers={"trace": "abc"},
        content_type="application/json",
        expiration=3600,
        user_id="guest",
    )

    (dead,) = await outside.read(DEAD, 1)

    assert dead.body == body
    given = {name: value for name, value in dead.headers.items() if name != "x-delivery-count"}  # the queue's own
    assert given == {
        "trace": "abc",
        "x-error-field": "event_name",
        "x-error-reason": "is no text",
        "x-original-exchange": TOPOLOGY.activity,
        "x-original-routing-key": "quiz.response",
    }
    assert (dead.message_id, dead.content_type, dead.expiration) == ("m-7", "application/json", None)
    assert dead.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    await until(lambda: counters.messages["quiz_response", "bad"] == 1)
    assert counters.dead_letters == 1


async def test_bad_ones_among_good_ones_are_put_aside_alone(outside: Outside, taker: Taker):
    taker.bad[b"5"] = ("data", "is missing")
    for number in range(10):
        await outside.tell(str(number).encode())
    await until(lambda: len(taker.bodies) == 10)

    (dead,) = await outside.read(DEAD, 1)
    assert dead.body == b"5"
    assert await outside.depth(DEAD) == 0


async def test_a_body_over_64_kib_is_a_dead_letter_that_nobody_has_read(outside: Outside, taker: Taker):
    longest, longer = b"x" * BODY_BYTES, b"y" * (BODY_BYTES + 1)
    await outside.tell(longer)
    await outside.tell(longest)
    await until(lambda: taker.bodies)

    (dead,) = await outside.read(DEAD, 1)
    assert dead.body == longer
    assert dead.headers["x-error-field"] == "body"
    assert taker.bodies == [longest]


async def test_our_own_messages_are_dropped_and_counted(outside: Outside, taker: Taker, counters: AmqpCounters):
    await outside.tell(b"ours", app_id="rollcall", type="live_class_user_leave")
    await outside.tell(b"theirs", app_id="lms")
    await until(lambda: taker.bodies)

    assert taker.bodies == [b"theirs"]
    await until(lambda: counters.messages["live_class_user_leave", "own"] == 1)
    assert await outside.depth() == 0


async def test_names_that_producers_invent_are_counted_as_one(counters: AmqpCounters, outside: Outside):
    for number in range(5):
        await outside.tell(b"", app_id="rollcall", type=f"event {number}")

    await until(lambda: counters.messages["other", "own"] == 5)


async def test_a_message_that_crashes_the_intake_is_put_aside_and_the_others_are_taken(
    outside: Outside, taker: Taker, caplog: pytest.LogCaptureFixture
):
    taker.crashes_at = b"3"
    taker.gate.clear()
    for number in range(6):
        await outside.tell(str(number).encode())
    taker.gate.set()

    (dead,) = await outside.read(DEAD, 1)
    assert dead.body == b"3"
    await until(lambda: sorted(taker.bodies) == [b"0", b"1", b"2", b"4", b"5"])


@pytest.mark.parametrize(
    ("flag", "property_"),
    [
        pytest.param(1 << 6, struct.pack(">Q", 1_700_000_000_000_000), id="a timestamp in microseconds"),
        pytest.param(1 << 6, struct.pack(">Q", 2**64 - 1), id="the last timestamp there is"),
        pytest.param(1 << 7, b"\x02\xff\xfe", id="a message id that is not UTF-8"),
        pytest.param(1 << 13, struct.pack(">I", 11) + b"\x01aT" + struct.pack(">Q", 2**63), id="a header too late"),
    ],
)
async def test_properties_that_cannot_be_read_stop_nobody(outside: Outside, taker: Taker, flag: int, property_: bytes):
    await _tell_raw(outside, b"odd", flag, property_)
    await until(lambda: taker.bodies == [b"odd"])
    await outside.tell(b"even", message_id="m")
    await until(lambda: len(taker.bodies) == 2)

    odd, even = (each for batch in taker.batches for each in batch)
    assert (odd.body, odd.message_id, odd.sent_at) == (b"odd", None, None)
    assert (even.body, even.message_id) == (b"even", "m")


async def _tell_raw(outside: Outside, body: bytes, flag: int, property_: bytes) -> None:
    """Publish with one property as these bytes: our driver would not write it."""
    # Without confirms: the driver does not know of this one, and would count them wrongly.
    plain = await outside.connection.channel(publisher_confirms=False)
    channel = await plain.get_underlay_channel()
    header = struct.pack(">HHQH", 60, 0, len(body), flag) + property_
    number = channel.number
    publish = commands.Basic.Publish(exchange=TOPOLOGY.activity, routing_key="quiz.response")
    payload = (
        pamqp.frame.marshal(publish, number)
        + struct.pack(">BHI", 2, number, len(header))
        + header
        + b"\xce"
        + pamqp.frame.marshal(pamqp.body.ContentBody(body), number)
    )
    frame = ChannelFrame(payload=payload, should_close=False, drain_future=None)
    await channel.write_queue.put(frame)  # type: ignore[attr-defined]


async def test_a_deleted_queue_is_made_and_consumed_anew(outside: Outside, taker: Taker, counters: AmqpCounters):
    await outside.channel.queue_delete(EVENTS)
    await until_soon(lambda: not counters.connected["consumer"], "it has noticed")
    await until_soon(lambda: counters.connected["consumer"], "it is back")
    await outside.tell(b"after")

    await until(lambda: taker.bodies == [b"after"])


async def test_a_connection_that_the_broker_closes_is_made_anew(
    outside: Outside, taker: Taker, counters: AmqpCounters, broker: Broker
):
    taker.gate.clear()
    await outside.tell(b"in the middle")
    await until(lambda: taker.asked)
    assert broker.control("close_all_connections", "a test").returncode == 0
    taker.gate.set()

    await until_soon(lambda: taker.bodies.count(b"in the middle") == 2, "it is delivered again")
    await until(lambda: counters.connected["consumer"])
