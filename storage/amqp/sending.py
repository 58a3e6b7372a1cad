"""Events on their way to the broker in one session: which rooms they are of, and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import aiormq
import msgspec
from aiormq.exceptions import DeliveryError, PublishError

from storage.amqp.connection import BrokerAway, Channel, broker_errors, words
from storage.outbox import Failure, Outgoing

APP_ID: Final = "rollcall"
PERSISTENT: Final = 2


class Done(msgspec.Struct):
    """What the outbox has to be told: events that the broker has, events that it has not, rooms that are through."""

    confirmed: list[int]
    failed: list[Failure]
    rooms: list[str]


class Sending:
    """Rooms with their next events, and the workers that send them. A room is worked on by one worker at a time."""

    def __init__(
        self,
        channel: Channel,
        outlets: dict[str, str],
        *,
        confirm_s: float,
        backoff_s: Callable[[int], float],
        moved: asyncio.Event,
        count: Callable[[str, str], None],
    ) -> None:
        """`outlets` maps `Outgoing.exchange` to names; `moved` is set with every result; `count(event, result)`."""
        self._channel = channel
        self._outlets = outlets
        self._confirm_s = confirm_s
        self._backoff_s = backoff_s
        self._moved = moved
        self._count = count
        self._due: asyncio.Queue[list[Outgoing]] = asyncio.Queue()  # no more than `held`
        self._done = Done([], [], [])
        self._lost: BrokerAway | None = None
        self._confirmed_at = float("-inf")
        self.rooms: dict[str, int] = {}
        """How many events of each are in memory."""
        self.held = 0

    def add(self, events: Sequence[Outgoing]) -> None:
        """Take these in, in their order. None of their rooms may be among `rooms`."""
        by_room: dict[str, list[Outgoing]] = {}
        for event in events:
            by_room.setdefault(event.room_id, []).append(event)
        for room_id, its in by_room.items():
            self.rooms[room_id] = len(its)
            self._due.put_nowait(its)
        self.held += len(events)

    def through(self) -> Done:
        """What has happened since the last call; to be given to `let_go` or to `put_back`."""
        done, self._done = self._done, Done([], [], [])
        return done

    def let_go(self, done: Done) -> None:
        """The outbox knows: these rooms may be read again."""
        for room_id in done.rooms:
            self.held -= self.rooms.pop(room_id)

    def put_back(self, done: Done) -> None:
        """The outbox could not be told yet: read again now, they would be sent twice."""
        for ours, theirs in zip(msgspec.structs.astuple(self._done), msgspec.structs.astuple(done), strict=True):
            ours.extend(theirs)

    def end(self) -> None:
        """The channel is over."""
        self._lose(BrokerAway("the channel was closed"))

    def check(self) -> None:
        """Raise BrokerAway when the channel is over."""
        if self._lost is not None:
            raise self._lost

    async def work(self) -> None:
        """Send one room's events after the other, for ever. The worker's own errors are those of `check`."""
        while True:
            events = await self._due.get()
            try:
                await self._send_room(events)
            except BrokerAway as error:
                self._lose(error)
                return

    async def _send_room(self, events: Sequence[Outgoing]) -> None:
        for event in events:
            failure = await self._send(event)
            self._moved.set()
            if failure is not None:
                self._done.failed.append(failure)
                self._count(event.event_name, "refused")
                break
            self._done.confirmed.append(event.id)
            self._count(event.event_name, "sent")
        self._done.rooms.append(events[0].room_id)
        self._moved.set()

    async def _send(self, event: Outgoing) -> Failure | None:
        """Publish one event; None when the broker has it for good. Raises BrokerAway."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            with broker_errors():
                async with asyncio.timeout(self._confirm_s):
                    await self._channel.basic_publish(
                        event.body,
                        exchange=self._outlets[event.exchange],
                        routing_key=event.routing_key,
                        properties=_properties(event),
                        mandatory=True,
                    )
        except BrokerAway as error:
            reason = self._reason(error.__cause__, begun)
            if reason is None:
                raise
            return Failure(event.id, reason, self._backoff_s(event.attempts))
        self._confirmed_at = loop.time()
        return None

    def _reason(self, cause: BaseException | None, begun: float) -> str | None:
        """Why the broker did not take one event; None where it is not the event's fault."""
        if isinstance(cause, PublishError):
            return f"no queue is bound for it ({words(cause)})"
        if isinstance(cause, DeliveryError):
            return "refused by the broker (nack)"
        if isinstance(cause, TimeoutError) and self._confirmed_at > begun:
            # Others were confirmed meanwhile. Where nothing was, the connection is as good as gone.
            return f"not confirmed within {self._confirm_s:g} s"
        return None

    def _lose(self, error: BrokerAway) -> None:
        if self._lost is None:
            self._lost = error
        self._moved.set()


def _properties(event: Outgoing) -> aiormq.spec.Basic.Properties:
    return aiormq.spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=PERSISTENT,
        message_id=event.message_id,
        timestamp=datetime.fromtimestamp(event.created_at / 1000, UTC),
        message_type=event.event_name,
        app_id=APP_ID,
    )
