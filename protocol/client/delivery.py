"""How the samples of one stream get to the server: what is owed, who holds it, what was refused.

This half of a stream belongs to the doors; `Stream` is the half that its user sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from protocol.client.backoff import stretched
from protocol.client.context import ContentTarget, Context, RoomTarget
from protocol.client.errors import NotFound, Refused
from protocol.client.facts import Acked, Held, IntervalTold, Left
from protocol.client.kept import Kept
from protocol.codes import ErrorCode
from protocol.sample import Sample

INTERVAL_UNTOLD_S: Final = 10.0
"""The heartbeat interval until the server tells one (realtime.md, `ROLLCALL_HEARTBEAT_SECONDS`)."""


class Delivery:
    """`number` is the stream's on the present connection, `not_before` a loop time until which it is silent."""

    def __init__(
        self, ref: int, target: RoomTarget | ContentTarget, context: Context, kept: Kept, session_id: str | None
    ) -> None:
        self.ref = ref
        self.target = target
        self.kept = kept
        self.session_id = session_id
        self.late: bool | None = None
        self.coverage: float | None = None
        self.resume_position = 0.0
        self.heartbeat_interval = INTERVAL_UNTOLD_S
        self.number: int | None = None
        self.numbered = session_id is None
        """Whether it is known which numbers the session has already."""
        self.asked = False
        self.room_over = False
        self.posted_blind = False
        """Samples were posted before the session's id was known: until it is, they must not go anywhere else."""
        self.leaving = False
        self.left = False
        self.batch_most = 500
        self.not_before = 0.0
        self.refusals_in_a_row = 0
        self.failure: Exception | None = None
        self._context = context
        self._sent_times: dict[int, float] = {}
        self._change = asyncio.Event()

    async def reached(self, state: Callable[[], bool]) -> None:
        """Wait for a state of this stream. Raises `Refused`, `Closed`."""
        while not state():
            if self.failure is not None:
                raise self.failure
            await self._change.wait()

    def changed(self) -> None:
        """Wake everybody who waits on this stream."""
        self._change.set()
        self._change = asyncio.Event()

    @property
    def observing(self) -> bool:
        """Whether the room is only looked at: nothing is sampled, nothing posted."""
        return isinstance(self.target, RoomTarget) and self.target.observe

    @property
    def by_http(self) -> bool:
        """Whether its samples are posted: none of the doors is the stream's own business."""
        return not self.observing and (self._context.all_by_http or self.room_over or self.posted_blind)

    def lost(self) -> None:
        """The connection is gone, and with it the stream's number there."""
        self.number = None
        self.asked = False
        self._rewind()
        self._context.requests.lost(self)

    def fail(self, error: Exception) -> None:
        """Nothing more will come of this stream; the first reason stands."""
        self.failure = self.failure or error
        self._context.streams.pop(self.ref, None)
        self.over()
        self._context.requests.fail(self, error)
        self.changed()

    def over(self) -> None:
        """No sample will be taken any more: whatever makes them stops."""

    def is_open(self, now: float) -> bool:
        """Whether samples may go out on the connection at loop time `now`; a refusal between two frames ends it."""
        return self.number is not None and now >= self.not_before

    def has_failed(self) -> bool:
        """Whether a door should leave it alone."""
        return self.failure is not None or self.left

    def adopt(self, session_id: str, *, resumed: bool, last_seq: int, number: int | None, late: bool | None) -> None:
        """The server holds this stream in `session_id`; of a resumed session it has everything up to `last_seq`."""
        if not self.numbered:
            self.number_from(last_seq if resumed else 0)
        self.session_id = session_id
        self.number = number
        self.late = late if late is not None else self.late
        self.refusals_in_a_row = 0
        self._rewind()
        self._context.listener(Held(self.ref, session_id, resumed, late, number is None))
        if resumed:
            self.acknowledge(last_seq)
        self.changed()

    def observed(self, number: int) -> None:
        """The server shows the room on this connection; nothing goes up."""
        self.number = number
        self.refusals_in_a_row = 0
        self.changed()

    def number_from(self, last_seq: int) -> None:
        """The session has numbers up to `last_seq` from a former life of this client."""
        self.kept.continue_from(last_seq)
        self.numbered = True
        self.changed()

    def session_unknown(self) -> None:
        """The server does not know the session: begin another. Raises `NotFound` where none was named."""
        if self.session_id is None:
            raise NotFound(ErrorCode.NOT_FOUND, "no such room or content")
        self.session_id = None
        self.numbered = True
        self.asked = False
        self._rewind()

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
            self._context.listener(Acked(self.ref, self.session_id, done[-1].seq))
        self.changed()
        if self.leaving:
            self._context.nudge()

    def told_interval(self, interval_s: float) -> None:
        """The server wants a heartbeat every `interval_s` seconds."""
        self.heartbeat_interval = interval_s
        self._context.listener(IntervalTold(self.ref, interval_s))

    def gone(self) -> None:
        """The server knows that the user left."""
        self.left = True
        self.over()
        self._context.listener(Left(self.ref))
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
        loop.call_at(self.not_before, self._context.nudge)

    def too_large(self) -> None:
        """The server found the batch too large: send it again in halves."""
        self._context.counters.refusals[str(ErrorCode.TOO_LARGE)] += 1
        if self.batch_most == 1:
            self.fail(Refused(ErrorCode.TOO_LARGE, "a single sample is too large"))
            return
        self.batch_most = max(1, self.batch_most // 2)
        self._rewind()
        self._context.nudge()

    def too_old(self, before_ms: int) -> None:
        """The server refused samples by age; those older than `before_ms` are given up, and counted."""
        gone = self.kept.forget_before(before_ms)
        if not gone:
            self.fail(Refused(ErrorCode.TOO_OLD, "refused as too old, though none is by the client's clock"))
            return
        for sample in gone:
            self._sent_times.pop(sample.seq, None)
        self._context.counters.forgotten += len(gone)
        self._rewind()
        self.changed()
        self._context.nudge()

    def oldest_in_flight(self) -> float | None:
        """Loop time at which the oldest unacknowledged sample of this connection was sent."""
        oldest = self.kept.oldest()
        return self._sent_times.get(oldest.seq) if oldest is not None and self.kept.in_flight else None

    def _rewind(self) -> None:
        self.kept.rewind()
