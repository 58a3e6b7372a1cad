"""What must exist at the broker (events.md, "Consumed" and "Published"), and how it is made or looked at."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Literal

import aio_pika
import msgspec
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from storage.amqp.connection import BrokerAway, Channel, TopologyMismatch, ask, channel_of, words

EVENTS: Final = "rollcall.events"
DEAD: Final = "rollcall.dead"
NEVER: Final = 2**31 - 1
"""Deliveries of one message before a quorum queue drops it: brokers since 4.0 would do so after 20 lost connections."""

Outlet = Literal["classes", "activity", "liveclass"]
"""Which of the exchanges an event of ours goes to: the words of the table `outbox`."""


class Topology(msgspec.Struct, frozen=True):
    """Names of the exchanges, and what our queues are. `passive`: the exchanges are somebody else's to make."""

    classes: str
    tracking: str
    activity: str
    liveclass: str
    passive: bool = False
    queue_type: Literal["quorum", "classic"] = "quorum"
    dead_max: int = 100_000

    def outlets(self) -> dict[str, str]:
        """Map the words of the table `outbox` to exchanges."""
        return {"classes": self.classes, "activity": self.activity, "liveclass": self.liveclass}

    def exchanges(self) -> list[str]:
        """Every exchange once; the settings may name one twice."""
        return list(dict.fromkeys((self.classes, self.tracking, self.activity, self.liveclass)))

    def bindings(self) -> list[tuple[str, str]]:
        """Exchange and routing key of all that is consumed."""
        routed = (
            (self.classes, ("liveclass.end", "quiz", "exam.start", "liveclass.start", "liveclass.cancel")),
            (self.tracking, ("exam.session",)),
            (self.activity, ("quiz.response", "live_class_user.activity", "liveclass.interaction")),
        )
        return [(exchange, key) for exchange, keys in routed for key in keys]

    def queue_arguments(self) -> dict[str, str | int]:
        """Arguments of `rollcall.events`."""
        if self.queue_type == "classic":
            return {"x-queue-type": "classic"}
        return {"x-queue-type": "quorum", "x-delivery-limit": NEVER}

    def dead_arguments(self) -> dict[str, str | int]:
        """Arguments of `rollcall.dead`: full, it lets the oldest go."""
        return {"x-queue-type": self.queue_type, "x-max-length": self.dead_max, "x-overflow": "drop-head"}


async def declare(connection: aio_pika.abc.AbstractConnection, topology: Topology) -> None:
    """Make the exchanges and our queues, with their bindings. Raises TopologyMismatch, BrokerAway."""
    await declare_exchanges(connection, topology)
    channel = await channel_of(connection, confirms=False)
    for queue, arguments in _queues(topology):
        await _make_queue(channel, queue, arguments)
    for exchange, key in topology.bindings():
        await ask(channel.queue_bind(EVENTS, exchange, key))
    await ask(channel.close())


async def declare_exchanges(connection: aio_pika.abc.AbstractConnection, topology: Topology) -> None:
    """Make the exchanges, or look whether they are as they should be. Raises TopologyMismatch, BrokerAway."""
    for name in topology.exchanges():
        channel = await channel_of(connection, confirms=False)
        if topology.passive:
            await _look(channel, name)
        try:
            await _make(channel, name)
        except BrokerAway as error:
            # It is there. Whether it is ours to make the broker asks first, and then does not tell what it is.
            if not (topology.passive and isinstance(error.__cause__, ChannelAccessRefused)):
                raise
        else:
            await ask(channel.close())


async def missing(connection: aio_pika.abc.AbstractConnection, topology: Topology) -> list[str]:
    """Return what does not exist yet, and change nothing. Raises TopologyMismatch, BrokerAway."""
    found: list[str] = []
    for name in topology.exchanges():
        channel = await channel_of(connection, confirms=False)
        if await _exists(channel.exchange_declare(name, passive=True)):
            await _compare(_make(channel, name))
        else:
            found.append(f"exchange {name}")
    for name, arguments in _queues(topology):
        channel = await channel_of(connection, confirms=False)
        if await _exists(channel.queue_declare(name, passive=True)):
            await _compare(_make_queue(channel, name, arguments))
        else:
            found.append(f"queue {name}")
    return found


async def _exists(question: Awaitable[object]) -> bool:
    try:
        await ask(question)
    except BrokerAway as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return False
        raise
    return True


async def _compare(making: Awaitable[None]) -> None:
    """What exists already is not made again, it is compared. Without the right to make it, it cannot be."""
    try:
        await making
    except BrokerAway as error:
        if not isinstance(error.__cause__, ChannelAccessRefused):
            raise


def _queues(topology: Topology) -> list[tuple[str, dict[str, str | int]]]:
    return [(EVENTS, topology.queue_arguments()), (DEAD, topology.dead_arguments())]


async def _make_queue(channel: Channel, name: str, arguments: dict[str, str | int]) -> None:
    question = channel.queue_declare(name, durable=True, arguments=dict(arguments))
    await _asked(f"queue {name!r}", f"durable, {_shown(arguments)}", question, ChannelPreconditionFailed)


async def _look(channel: Channel, name: str) -> None:
    question = channel.exchange_declare(name, passive=True)
    await _asked(f"exchange {name!r}", "topic, durable, made by others", question, ChannelNotFoundEntity)


async def _make(channel: Channel, name: str) -> None:
    # Also after `_look`, which does not compare: for an exchange that exists this asks whether it is the same.
    question = channel.exchange_declare(name, exchange_type="topic", durable=True)
    await _asked(f"exchange {name!r}", "topic, durable", question, ChannelPreconditionFailed)


async def _asked(what: str, wanted: str, question: Awaitable[object], mismatch: type[Exception]) -> None:
    try:
        await ask(question)
    except BrokerAway as error:
        cause = error.__cause__
        if isinstance(cause, mismatch):
            raise TopologyMismatch(f"{what}: wanted is {wanted}; the broker says: {words(cause)}") from cause
        raise


def _shown(arguments: dict[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in arguments.items())
