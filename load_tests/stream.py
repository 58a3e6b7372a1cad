"""One learner's stream into one room or content, as a player sees it, and what its two doors share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from load_tests.backoff import Backoff, stretched
from load_tests.facts import Acked, Counters, Fact, Held, IntervalTold, Left
from load_tests.kept import Kept
from protocol.codec import Codec
from protocol.codes import ErrorCode
from protocol.sample import Sample
from protocol.types import Content, PlayState

INTERVAL_UNTOLD_S: Final = 10.0
"""The heartbeat interval until the server tells one (realtime.md, `ROLLCALL_HEARTBEAT_SECONDS`)."""


def unix_ms() -> int:
    """The time by the clock of the machine."""
    return time.time_ns() // 1_000_000


class Refused(Exception):
    """The server will not have this stream, and trying again would not help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Stopped(Exception):
    """The player was closed, by itself or by a server that does not want it back."""


class RoomTarget(msgspec.Struct, frozen=True):
    """A live class."""

    room: str
    metadata: dict[str, Any] | None = None


class ContentTarget(msgspec.Struct, frozen=True):
    """A recorded content; `duration` in seconds where the player knows it."""

    content: Content
    duration: float | None = None


class Context(msgspec.Struct):
    """What a player hands to its doors. `base_url` is http(s) without a trailing slash."""

    base_url: str
    token: Callable[[], str]
    codec: Codec
    device_id: str | None
    clock: Callable[[], int]
    random: Random
    backoff: Backoff
    counters: Counters
    tell: Callable[[Fact], None]
    streams: dict[int, PlayerStream] = msgspec.field(default_factory=dict)


class PlayerStream:
    """Samples go in here; the player's doors see to it that they arrive."""

    def __init__(
        self, ref: int, target: RoomTarget | ContentTarget, context: Context, kept: Kept, session_id: str | None
    ) -> None:
        self.ref = ref
        self.target = target
        self.kept = kept
        self.session_id = session_id
        self.late: bool | None = None
        self.coverage: float | None = None
        self.position: float | None = None
        self.heartbeat_interval = INTERVAL_UNTOLD_S
        self.number: int | None = None
        self.asked = False
        self.by_http = False
        self.room_over = False
        self.leaving = False
        self.left = False
        self.batch_most = 500
        self.not_before = 0.0
        self.refusals_in_a_row = 0
        self.failure: Exception | None = None
        self._context = context
        self._sent_times: dict[int, float] = {}
        self._change = asyncio.Event()
        self.nudge: Callable[[], None] = lambda: None

    def sample(
        self,
        position: float,
        state: PlayState,
        *,
        rate: float = 1.0,
        visible: bool = True,
        duration: float | None = None,
    ) -> Sample:
        """Number, stamp and keep a sample, and send it as soon as a door is open. Raises `BufferFull`, `Refused`."""
        if self.failure is not None:
            raise self.failure
        sample = self.kept.add(
            lambda seq: Sample(
                seq=seq,
                at=self._context.clock(),
                position=position,
                state=state,
                rate=None if rate == 1.0 else rate,
                duration=duration,
                visible=None if visible else False,
            )
        )
        self._context.counters.samples += 1
        self.nudge()
        return sample

    async def held(self) -> None:
        """Wait until the server holds the stream. Raises `Refused`, `Stopped`."""
        await self._until(lambda: self.session_id is not None and (self.number is not None or self.by_http))

    async def acknowledged(self, seq: int | None = None) -> None:
        """Wait until `seq`, or all that was sampled so far, is durable. Raises `Refused`, `Stopped`."""
        wanted = self.kept.last_seq if seq is None else seq
        await self._until(lambda: self.kept.acked_seq >= wanted or not self.kept)

    async def leave(self) -> None:
        """Go on purpose, once everything kept is acknowledged. Raises `Refused`, `Stopped`."""
        self.leaving = True
        self.nudge()
        await self._until(lambda: self.left)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            if self.failure is not None:
                raise self.failure
            await self._change.wait()

    # What follows is for the doors.

    def changed(self) -> None:
        """Wake everybody who waits on this stream."""
        self._change.set()
        self._change = asyncio.Event()

    def lost(self) -> None:
        """The connection is gone, and with it the stream's number there."""
        self.number = None
        self.asked = False
        self._rewind()

    def fail(self, error: Exception) -> None:
        """Nothing more will come of this stream."""
        self.failure = error
        self.changed()

    def is_open(self, now: float) -> bool:
        """Whether samples may go out on the connection at loop time `now`; a refusal between two frames ends it."""
        return self.number is not None and now >= self.not_before

    def has_failed(self) -> bool:
        """Whether a door should leave it alone."""
        return self.failure is not None or self.left

    def adopt(self, session_id: str, *, resumed: bool, last_seq: int, number: int | None, late: bool | None) -> None:
        """The server holds this stream in `session_id`; of a resumed session it has everything up to `last_seq`."""
        self.session_id = session_id
        self.number = number
        self.late = late if late is not None else self.late
        self.refusals_in_a_row = 0
        self._rewind()
        self._context.tell(Held(self.ref, session_id, resumed, late, number is None))
        if resumed:
            self.acknowledge(last_seq)
        self.changed()

    def was_sent(self, batch: list[Sample], now: float) -> None:
        """`batch` went out at loop time `now`."""
        counters = self._context.counters
        again = self.kept.sent(batch)
        counters.resent += again
        counters.sent += len(batch) - again
        for sample in batch:
            self._sent_times[sample.seq] = now

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is durable."""
        done = self.kept.acknowledge(seq)
        if not done:
            return
        now = asyncio.get_running_loop().time()
        counters = self._context.counters
        counters.acked += len(done)
        for sample in done:
            sent = self._sent_times.pop(sample.seq, None)
            if sent is not None:
                counters.latencies_s.append(now - sent)
        self.refusals_in_a_row = 0
        if self.session_id is not None:
            self._context.tell(Acked(self.ref, self.session_id, done[-1].seq))
        self.changed()
        if self.leaving:
            self.nudge()

    def told_interval(self, interval_s: float) -> None:
        """The server wants a heartbeat every `interval_s` seconds."""
        self.heartbeat_interval = interval_s
        self._context.tell(IntervalTold(self.ref, interval_s))

    def gone(self) -> None:
        """The server knows that the learner left."""
        self.left = True
        self._context.tell(Left(self.ref))
        self.changed()

    def wait_out(self, code: str, retry_after_s: float | None) -> None:
        """Refused for now: keep everything, and be silent for the told time, or for a growing one."""
        self._context.counters.refusals[str(code)] += 1
        self.refusals_in_a_row += 1
        self._rewind()
        if retry_after_s is None:
            wait = self._context.backoff.delay_s(self.refusals_in_a_row, self._context.random)
        else:
            wait = stretched(retry_after_s, self._context.random)
        loop = asyncio.get_running_loop()
        self.not_before = max(self.not_before, loop.time() + wait)
        loop.call_at(self.not_before, self.nudge)

    def too_large(self) -> None:
        """The server found the batch too large: send it again in halves."""
        self._context.counters.refusals[str(ErrorCode.TOO_LARGE)] += 1
        if self.batch_most == 1:
            self.fail(Refused(ErrorCode.TOO_LARGE, "a single sample is too large"))
            return
        self.batch_most = max(1, self.batch_most // 2)
        self._rewind()
        self.nudge()

    def too_old(self, before_ms: int) -> None:
        """The server refused samples by age; those older than `before_ms` are given up, and counted."""
        gone = self.kept.forget_before(before_ms)
        if not gone:
            self.fail(Refused(ErrorCode.TOO_OLD, "refused as too old, though none is by the client's clock"))
            return
        self._context.counters.forgotten += len(gone)
        self._rewind()
        self.changed()
        self.nudge()

    def oldest_in_flight(self) -> float | None:
        """Loop time at which the oldest unacknowledged sample of this connection was sent."""
        oldest = self.kept.oldest()
        return self._sent_times.get(oldest.seq) if oldest is not None and self.kept.in_flight else None

    def _rewind(self) -> None:
        self.kept.rewind()
