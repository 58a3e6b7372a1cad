"""Connections to the broker, made anew by ourselves (docs/decisions/0009-amqp-own-reconnect.md).

A session is one connection with all that stands on it. When anything of it ends, all of it ends, and the next one
begins from nothing. Every question to the broker has a time-out, and what the driver raises is BrokerAway here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar, cast

import aio_pika
import structlog
from aio_pika.exceptions import AMQPError
from aiormq.abc import AbstractChannel
from yarl import URL

from storage.amqp.frames import Transport

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 10
ASK_S: Final = 10.0
"""How long the broker may take for an answer. A queue that has just lost its leader may need some seconds."""
LEAVE_S: Final = 3.0
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 5.0
STEADY_S: Final = 5.0
"""A session that lasted this long was well: the next wait is the shortest again."""
TELL_AGAIN_S: Final = 60.0

T = TypeVar("T")
Channel = AbstractChannel


class BrokerAway(Exception):
    """The broker cannot be reached, has ended the connection or did not answer in time."""


class TopologyMismatch(Exception):
    """What the broker has is not what the settings say; the message names both."""


class _Connection(aio_pika.Connection):
    def __init__(self, url: URL, **kwargs: Any) -> None:  # noqa: ANN401 - the driver's
        super().__init__(url, **kwargs)
        self.kwargs["transport_factory"] = Transport()


@contextmanager
def broker_errors() -> Generator[None]:
    """Turn what the driver raises into BrokerAway."""
    try:
        yield
    except (AMQPError, OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise BrokerAway(words(error)) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: the driver cancels what waits for an answer when its connection ends.
        raise BrokerAway("the connection was closed") from error


async def ask(question: Awaitable[T], within_s: float = ASK_S) -> T:
    """Await an answer of the broker. Raises BrokerAway."""
    with broker_errors():
        try:
            async with asyncio.timeout(within_s):
                return await question
        except TimeoutError as error:
            raise BrokerAway(f"no answer within {within_s:g} s") from error


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncGenerator[aio_pika.abc.AbstractConnection]:
    """Lend a connection; it is closed at the end, whatever has become of it. Raises BrokerAway."""
    connection = await ask(
        aio_pika.connect(
            _with_heartbeat(url),
            connection_class=_Connection,
            client_properties={"connection_name": name},
        )
    )
    try:
        yield connection
    finally:
        with suppress(BrokerAway):
            await ask(connection.close(), LEAVE_S)


async def channel_of(connection: aio_pika.abc.AbstractConnection, *, confirms: bool) -> Channel:
    """Open a channel; with `confirms` an unroutable message is an error of its publishing. Raises BrokerAway."""

    async def opened() -> Channel:
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize()
        # Below aio-pika's own: deliveries as they come, acks without an object each.
        return await channel.get_underlay_channel()

    return await ask(opened())


def when_closed(channel: Channel, tell: Callable[[], object]) -> None:
    """Call `tell` once when the channel is over, for whatever reason."""
    closing = cast("asyncio.Future[object]", channel.closing)

    def closed(_: asyncio.Future[object]) -> None:
        tell()

    closing.add_done_callback(closed)


async def keep_connected(part: str, session: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Have one session after the other until `stop`.

    Raises TopologyMismatch when the very first session finds one: that is a mistake of the set-up. Later it is told
    and tried again, since whoever is in a class must not suffer from it.
    """
    loop = asyncio.get_running_loop()
    wait, first, told_at = RETRY_FIRST_S, True, float("-inf")
    while not stop.is_set():
        begun = loop.time()
        try:
            await session()
        except TopologyMismatch as error:
            if first:
                raise
            log.error("amqp.mismatch", part=part, reason=str(error))  # noqa: TRY400 - the words say it all
        except BrokerAway as error:
            if not stop.is_set() and loop.time() - told_at > TELL_AGAIN_S:
                told_at = loop.time()
                log.warning("amqp.away", part=part, reason=str(error))
        first = False
        if loop.time() - begun > STEADY_S:
            wait, told_at = RETRY_FIRST_S, float("-inf")
        await pause(wait, stop)
        wait = min(RETRY_MOST_S, wait * 2)


async def pause(seconds: float, until: asyncio.Event) -> None:
    """Wait, but not beyond `until`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()


def words(error: BaseException) -> str:
    """One line. The driver puts no password into these."""
    return " ".join(str(error).split()) or type(error).__name__


def _with_heartbeat(url: str) -> URL:
    parsed = URL(url)
    return parsed if "heartbeat" in parsed.query else parsed.update_query(heartbeat=HEARTBEAT_S)
