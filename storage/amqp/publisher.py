"""Sends what waits in the outbox, with confirms, in order per room (events.md, "Published by this server").

The next event of a room is sent after the confirm of the last; rooms go side by side. An event that the broker returns,
refuses or does not confirm holds up its own room, for longer each time. What was confirmed is deleted many at a time.
Sent and not yet deleted when something breaks: it is sent again, under the same `message_id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from storage.amqp.connection import channel_of, connected, keep_connected, pause, when_closed
from storage.amqp.counters import AmqpCounters
from storage.amqp.sending import Sending
from storage.amqp.topology import Topology, declare_exchanges
from storage.outbox import Outbox

log = structlog.get_logger(__name__)

ROOMS_AT_ONCE: Final = 32
HELD_MOST: Final = 500
"""Events in memory at once."""
POLL_S: Final = 1.0
LINGER_S: Final = 0.03
"""After a confirm, how long others may come in: one deletion for all of them."""
CONFIRM_S: Final = 10.0
RETRY_MOST_S: Final = 300.0
EXPONENT_MOST: Final = 10

PART: Final = "publisher"


def backoff_s(attempts: int) -> float:
    """How long a room waits after so many failures of its first event."""
    return min(RETRY_MOST_S, 2.0 ** min(attempts, EXPONENT_MOST))


class Publisher:
    """One a process; the outbox lets one in the cluster work. `run` it as a task, `kick` it when something came."""

    def __init__(
        self,
        url: str,
        topology: Topology,
        outbox: Outbox,
        counters: AmqpCounters,
        *,
        confirm_s: float = CONFIRM_S,
        backoff_s: Callable[[int], float] = backoff_s,
    ) -> None:
        self._url = url
        self._topology = topology
        self._outbox = outbox
        self._counters = counters
        self._confirm_s = confirm_s
        self._backoff_s = backoff_s
        self._stop = asyncio.Event()
        self._moved = asyncio.Event()
        self._look_at = 0.0

    async def run(self) -> None:
        """Publish until `stop`. Raises TopologyMismatch."""
        await keep_connected(PART, self._session, self._stop)

    def kick(self) -> None:
        """Something may have been written: look at once."""
        self._look_at = 0.0
        self._moved.set()

    def stop(self) -> None:
        """End when nothing is left to send; at once while the broker is away."""
        self._stop.set()
        self.kick()

    async def _session(self) -> None:
        async with connected(self._url, "rollcall publisher") as connection:
            await declare_exchanges(connection, self._topology)
            channel = await channel_of(connection, confirms=True)
            sending = Sending(
                channel,
                self._topology.outlets(),
                confirm_s=self._confirm_s,
                backoff_s=self._backoff_s,
                moved=self._moved,
                count=self._counters.count,
            )
            when_closed(channel, sending.end)
            self._counters.connected[PART] = True
            log.info("amqp.connected", part=PART)
            workers = [asyncio.create_task(sending.work(), name="publisher") for _ in range(ROOMS_AT_ONCE)]
            try:
                await self._drain(sending)
            finally:
                self._counters.connected[PART] = False
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                await self._leave(sending)

    async def _drain(self, sending: Sending) -> None:
        """Send until stopped and through. Raises BrokerAway."""
        self._look_at = 0.0
        while True:
            sending.check()
            found = await self._look(sending)
            if self._stop.is_set() and not found and not sending.rooms:
                return
            await pause(POLL_S, self._moved)
            self._moved.clear()
            if sending.rooms:
                await asyncio.sleep(LINGER_S)
                await self._settle(sending)

    async def _look(self, sending: Sending) -> int:
        """Read more where there is room for it and something may have come; returns how many did."""
        loop = asyncio.get_running_loop()
        free = HELD_MOST - sending.held
        if free < HELD_MOST // 2 or loop.time() < self._look_at:
            return 0
        self._look_at = loop.time() + POLL_S
        try:
            found = await self._outbox.next(free, sending.rooms)
        except (StoreAway, StoreRefused) as error:
            log.debug("outbox.waiting", reason=str(error))
            return 0
        sending.add(found or ())
        return len(found or ())

    async def _settle(self, sending: Sending) -> None:
        """Write down what became of those that are through, then let go of their rooms."""
        done = sending.through()
        if done.confirmed or done.failed:
            try:
                await self._outbox.settle(done.confirmed, done.failed)
            except (StoreAway, StoreRefused) as error:
                log.debug("outbox.waiting", reason=str(error))
                sending.put_back(done)
                return
        sending.let_go(done)
        if done.rooms:
            self._look_at = 0.0
        for failure in done.failed:
            log.warning("outbox.refused", id=failure.id, reason=failure.reason, retry_s=failure.wait_s)

    async def _leave(self, sending: Sending) -> None:
        """What the broker has confirmed need not go out again, if the database can be told."""
        done = sending.through()
        with suppress(StoreAway, StoreRefused):
            if done.confirmed or done.failed:
                await self._outbox.settle(done.confirmed, done.failed)
        with suppress(StoreAway, StoreRefused):
            await self._outbox.release()
