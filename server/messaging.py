"""RabbitMQ as parts of this process: the consumer, the publisher, and a look at the outbox now and then.

Without AMQP_URL only the look is left: what would be published waits in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from server.config import Settings
from storage.amqp.connection import TopologyMismatch
from storage.amqp.consumer import Consumer
from storage.amqp.counters import AmqpCounters
from storage.amqp.ports import Intake
from storage.amqp.publisher import Publisher
from storage.amqp.topology import Topology
from storage.outbox import Outbox

log = structlog.get_logger(__name__)

GAUGE_S: Final = 5.0
"""Between two looks at the outbox: counting a long one costs the database some milliseconds."""
STOP_CONSUMING_S: Final = 3.0
STOP_PUBLISHING_S: Final = 5.0


def topology_of(settings: Settings) -> Topology:
    """The settings, as the broker should have them."""
    return Topology(
        classes=settings.amqp_classes_exchange,
        tracking=settings.amqp_tracking_exchange,
        activity=settings.amqp_activity_exchange,
        liveclass=settings.amqp_liveclass_exchange,
        passive=settings.amqp_passive,
        queue_type=settings.amqp_queue_type,
        dead_max=settings.amqp_dead_max,
    )


class Messaging:
    """One a process. `start` once the actors are ready; `stop_consuming` before they drain, `stop_publishing` after."""

    def __init__(
        self, settings: Settings, intake: Intake, outbox: Outbox, counters: AmqpCounters, clock: Callable[[], int]
    ) -> None:
        """`clock` is server time, Unix ms."""
        self._outbox = outbox
        self._counters = counters
        self._consumer: Consumer | None = None
        self._publisher: Publisher | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        if settings.amqp_url is not None:
            topology = topology_of(settings)
            self._consumer = Consumer(
                settings.amqp_url, topology, intake, counters, prefetch=settings.amqp_prefetch, clock=clock
            )
            self._publisher = Publisher(settings.amqp_url, topology, outbox, counters)

    def start(self, ready: Callable[[], Awaitable[object]]) -> list[asyncio.Task[None]]:
        """Start everything as soon as `ready` has returned; one of these tasks that fails is the server's failure."""

        async def after(run: Callable[[], Awaitable[None]]) -> None:
            await ready()
            await run()

        parts: dict[str, Callable[[], Awaitable[None]]] = {"outbox gauge": self._measure}
        if self._consumer is not None and self._publisher is not None:
            parts |= {"consumer": _told(self._consumer.run), "publisher": _told(self._publisher.run)}
        for name, run in parts.items():
            self._tasks[name] = asyncio.create_task(after(run), name=name)
        return list(self._tasks.values())

    def kick(self) -> None:
        """Something was written to the outbox: it need not wait for the publisher's next look, a second at most."""
        if self._publisher is not None:
            self._publisher.kick()

    async def stop_consuming(self) -> None:
        """Take no more events in; the batch in hand is finished, or stays with the broker."""
        if self._consumer is not None:
            self._consumer.stop()
            await self._end("consumer", STOP_CONSUMING_S)

    async def stop_publishing(self) -> None:
        """Send what the last checkpoints wrote, as far as that can be done now; the rest waits for the next start."""
        if self._publisher is not None:
            self._publisher.stop()
            await self._end("publisher", STOP_PUBLISHING_S)

    async def _end(self, name: str, within_s: float) -> None:
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait((task,), timeout=within_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _measure(self) -> None:
        while True:
            try:
                state = await self._outbox.state()
            except (StoreAway, StoreRefused) as error:
                log.debug("outbox.waiting", reason=str(error))
            else:
                self._counters.outbox_depth, self._counters.outbox_age_s = state.depth, state.age_s
            await asyncio.sleep(GAUGE_S)


def _told(run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Say in plain words what ends the server, before it is ended by it."""

    async def told() -> None:
        try:
            await run()
        except TopologyMismatch as error:
            log.error("amqp.mismatch", reason=str(error))  # noqa: TRY400 - the words say it all
            raise

    return told
