"""Takes events in: from the queue in batches to the intake, and acknowledged when that says that they are durable.

    broker --prefetch--> inbox --batch--> Intake.take --outcomes--> bad ones to the dead letters --> ack of the batch

Nothing is acknowledged that is not stored or put aside. Whatever ends a session (connection, channel, queue) drops its
batch: the broker delivers it again, and the intake knows what it has. One batch at a time, so that an ack of the last
of it covers only what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog
from aiormq.abc import DeliveredMessage

from actors.directory import NotOwned
from actors.ports import StoreAway
from storage.amqp.connection import BrokerAway, Channel, ask, channel_of, connected, keep_connected, pause, when_closed
from storage.amqp.counters import OTHER, AmqpCounters
from storage.amqp.dead_letters import DeadLetters
from storage.amqp.ports import Delivery, Intake, Outcome
from storage.amqp.sending import APP_ID
from storage.amqp.topology import EVENTS, Topology, declare

log = structlog.get_logger(__name__)

BATCH: Final = 500
GATHER_S: Final = 0.05
"""While events keep coming the next batch fills for so long: a transaction for a hundred costs what it does for two."""
BODY_BYTES: Final = 64 * 1024
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0
CRASHES: Final = 3
"""How often a batch may crash the intake before it is looked at one by one."""

PART: Final = "consumer"
_TOO_LONG: Final = Outcome(OTHER, "bad", "body", "longer than 64 KiB")


class Inbox:
    """What was delivered on one channel and nobody has taken yet. Bounded by the prefetch."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._mail: list[DeliveredMessage] = []
        self._stir = asyncio.Event()
        self._taken = 0
        """How many were taken last: of several it is likely that more come."""
        self.over = False

    async def put(self, message: DeliveredMessage) -> None:
        """The driver's callback."""
        self._mail.append(message)
        self._stir.set()

    def end(self) -> None:
        """Nothing of this channel can be acknowledged any more."""
        self.over = True
        self._stir.set()

    def stir(self) -> None:
        """Let whoever waits look again."""
        self._stir.set()

    async def take(self, most: int) -> list[DeliveredMessage]:
        """Return what is there, in the order of delivery. Empty: to be stopped. Raises BrokerAway."""
        if self._taken > 1 and len(self._mail) < most and not self._stop.is_set():
            await asyncio.sleep(GATHER_S)
        while not self._mail:
            self.check()
            if self._stop.is_set():
                return []
            self._stir.clear()
            await self._stir.wait()
        self.check()
        batch = self._mail[:most]
        del self._mail[:most]
        self._taken = len(batch)
        return [] if self._stop.is_set() else batch

    async def pause(self, seconds: float) -> None:
        """Wait; shorter when the channel ends or the server stops. Raises BrokerAway then."""
        self._stir.clear()
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.over and not self._stop.is_set():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await pause(left, self._stir)
            self._stir.clear()
        self.check()
        raise BrokerAway("stopping")

    def check(self) -> None:
        """Raise BrokerAway when the channel is over."""
        if self.over:
            raise BrokerAway("the channel was closed")


class Consumer:
    """One a process. `run` it as a task; `stop` lets it finish the batch in hand."""

    def __init__(
        self,
        url: str,
        topology: Topology,
        intake: Intake,
        counters: AmqpCounters,
        *,
        prefetch: int,
        clock: Callable[[], int],
    ) -> None:
        """`clock` is server time, Unix ms."""
        self._url = url
        self._topology = topology
        self._intake = intake
        self._counters = counters
        self._prefetch = prefetch
        self._clock = clock
        self._stop = asyncio.Event()
        self._inbox = Inbox(self._stop)
        self._dead = DeadLetters(url)

    async def run(self) -> None:
        """Consume until `stop`. Raises TopologyMismatch."""
        try:
            await keep_connected(PART, self._session, self._stop)
        finally:
            await self._dead.close()

    def stop(self) -> None:
        """Take no more; what is not acknowledged stays with the broker."""
        self._stop.set()
        self._inbox.stir()

    async def _session(self) -> None:
        async with connected(self._url, "rollcall consumer") as connection:
            await declare(connection, self._topology)
            channel = await channel_of(connection, confirms=False)
            inbox = self._inbox = Inbox(self._stop)
            when_closed(channel, inbox.end)
            # The queue was deleted, or its node went: the broker ends the consumer and leaves the channel.
            channel.on_consumer_cancel_callbacks.add(lambda _: inbox.end())
            await ask(channel.basic_qos(prefetch_count=self._prefetch))
            await ask(channel.basic_consume(EVENTS, inbox.put))
            self._counters.connected[PART] = True
            log.info("amqp.connected", part=PART)
            try:
                while batch := await inbox.take(BATCH):
                    await self._handle(batch, channel, inbox)
            finally:
                self._counters.connected[PART] = False

    async def _handle(self, batch: list[DeliveredMessage], channel: Channel, inbox: Inbox) -> None:
        """See a batch through. Raises BrokerAway when it cannot be acknowledged any more."""
        outcomes = await self._outcomes(batch, inbox)
        for message, outcome in zip(batch, outcomes, strict=True):
            if outcome.result == "bad":
                await self._put_aside(message, outcome, inbox)
        inbox.check()
        # Everything before the last of the batch is done: batches are handled one after the other.
        await ask(channel.basic_ack(_tag(batch[-1]), multiple=True, wait=False))
        for outcome in outcomes:
            self._counters.count(outcome.event, outcome.result)

    async def _outcomes(self, batch: list[DeliveredMessage], inbox: Inbox) -> list[Outcome]:
        received_at = self._clock()
        found: list[Outcome | None] = [_at_sight(message) for message in batch]
        places = [place for place, outcome in enumerate(found) if outcome is None]
        if places:
            deliveries = [_delivery(batch[place], received_at) for place in places]
            for place, outcome in zip(places, await self._taken(deliveries, inbox), strict=True):
                found[place] = outcome
        return [outcome for outcome in found if outcome is not None]

    async def _taken(self, deliveries: Sequence[Delivery], inbox: Inbox) -> list[Outcome]:
        """Give a batch to the intake until it has taken it. Raises BrokerAway when nobody could be told any more."""
        wait, crashes = RETRY_FIRST_S, 0
        while True:
            try:
                return await self._intake.take(deliveries)
            except (StoreAway, NotOwned) as error:
                log.debug("amqp.waiting", reason=str(error), messages=len(deliveries))
            except Exception:
                # Ours. One message that crashes the intake must not stop the queue for ever.
                log.exception("amqp.intake_crashed", messages=len(deliveries))
                crashes += 1
                if crashes == CRASHES:
                    return await self._one_by_one(deliveries, inbox)
            await inbox.pause(wait)
            wait = min(RETRY_MOST_S, wait * 2)

    async def _one_by_one(self, deliveries: Sequence[Delivery], inbox: Inbox) -> list[Outcome]:
        if len(deliveries) == 1:
            return [Outcome(OTHER, "bad", "body", "cannot be taken in: the server's log says why")]
        return [outcome for each in deliveries for outcome in await self._taken([each], inbox)]

    async def _put_aside(self, message: DeliveredMessage, outcome: Outcome, inbox: Inbox) -> None:
        wait = RETRY_FIRST_S
        while True:
            try:
                await self._dead.put(message, outcome.field, outcome.reason)
            except BrokerAway:
                await inbox.pause(wait)
                wait = min(RETRY_MOST_S, wait * 2)
            else:
                self._counters.dead_letters += 1
                return


def _at_sight(message: DeliveredMessage) -> Outcome | None:
    """What is clear without reading the body; None where it must be read."""
    properties = message.header.properties
    if properties.app_id == APP_ID:
        return Outcome(properties.message_type or OTHER, "own")
    return _TOO_LONG if len(message.body) > BODY_BYTES else None


def _delivery(message: DeliveredMessage, received_at: int) -> Delivery:
    properties = message.header.properties
    sent_at = properties.timestamp
    return Delivery(
        body=message.body,
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        message_id=properties.message_id or None,
        sent_at=round(sent_at.timestamp() * 1000) if isinstance(sent_at, datetime) else None,
        received_at=received_at,
    )


def _tag(message: DeliveredMessage) -> int:
    tag = message.delivery_tag
    assert tag is not None, "a delivery has one"
    return tag
