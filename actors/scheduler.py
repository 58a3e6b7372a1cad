"""Runs the actors: one queue, drained once per turn of the event loop, and one heap of deadlines.

The queue costs 0.3 microseconds a message; a task or an `asyncio.Queue` per actor costs ten times as much
(docs/decisions/0003).

Handlers are synchronous, so an actor is never re-entered. Full case: an actor with `mailbox_limit` messages waiting
takes no more (`post` answers False, the edge says `busy`); ticks are exempt, there is at most one.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from actors.actor import Actor, Mail, Reply, Status
from actors.checkpointer import Checkpointer
from actors.clock import ServerClock
from actors.committer import Committer
from actors.counters import Counters
from actors.machines.effects import JOURNAL, Acked, DiffDue, Effect, Failed, RoomTurned, SessionEnded
from actors.machines.events import AnyEvent, Tick
from actors.machines.watch import NEVER

log = structlog.get_logger(__name__)

TURN_MAX: Final = 2_000
"""Messages a turn: some 10 ms, then the sockets have theirs."""
HASTE_MS: Final = 1_000
"""What is worth reading is written so soon: a class that a thousand leave within a minute is not written a thousand
times."""
TIMER_MAX_S: Final = 10.0
"""Server time and the loop's are not one: a timer that is set for longer is looked at again meanwhile."""
WAKES_MIN: Final = 1_024
BROADCAST: Final = frozenset({DiffDue, RoomTurned, SessionEnded})
TICK: Final = Tick()
Wake = tuple[int, int, Actor]
"""When (Unix ms), a number that breaks ties, and whom."""


class Audience(Protocol):
    """Who watches the actors: the edge that holds the sockets."""

    def stage(self, actor: Actor, effect: Effect, now: int) -> Reply | None:
        """An effect for others than the one who asked; the answer is released when it is durable."""
        ...

    def lost(self, actor: Actor) -> None:
        """The actor is gone from here without having said goodbye: its streams must begin anew."""
        ...


class Crashes(Protocol):
    """Who takes over when a machine raises."""

    def crashed(self, actor: Actor, event: AnyEvent, reply: Reply | None, now: int, error: Exception) -> None:
        """Rebuild the actor; its mail waits."""
        ...


class Scheduler:
    """One a process."""

    def __init__(
        self,
        clock: ServerClock,
        counters: Counters,
        committer: Committer,
        checkpointer: Checkpointer,
        audience: Audience,
        *,
        mailbox_limit: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._counters = counters
        self._committer = committer
        self._checkpointer = checkpointer
        self._audience = audience
        self._mailbox_limit = mailbox_limit
        self.crashes: Crashes | None = None
        self._queue: deque[Mail] = deque()
        self._draining = False
        self._wakes: list[Wake] = []
        self._wake_count = 0
        self._wakes_limit = WAKES_MIN
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER

    @property
    def depth(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def post(self, actor: Actor, event: AnyEvent, reply: Reply | None = None, *, always: bool = False) -> bool:
        """Give an actor its mail. False: its mailbox is full, or it has retired.

        `always` is for what there is only one of per stream and must not be lost: that it was dropped or left.
        """
        if (actor.pending >= self._mailbox_limit and not always) or actor.status is Status.RETIRED:
            self._counters.mailbox_full += 1
            return False
        actor.pending += 1
        self._queue.append((actor, event, reply))
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)
        return True

    def resume(self, actor: Actor, first: Sequence[tuple[AnyEvent, Reply | None]] = (), tick_after: int = 0) -> None:
        """The actor runs again.

        `first` and its waiting mail are delivered in order, before anything newer; no tick before `tick_after`
        (Unix ms).
        """
        waiting = [*first, *actor.backlog]
        actor.backlog.clear()
        actor.pending += len(first)
        self._queue.extendleft((actor, event, reply) for event, reply in reversed(waiting))
        actor.armed_at = NEVER
        self.arm(actor, tick_after)
        if actor.dirty_from is not None:
            # Checkpoints passed it over while it was being rebuilt.
            self._checkpointer.hasten(actor, self._clock.now() + HASTE_MS)
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    # -- mail ---------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        queue = self._queue
        now = self._clock.now()
        try:
            for _ in range(min(len(queue), TURN_MAX)):
                actor, event, reply = queue.popleft()
                if actor.status is Status.REBUILDING:
                    # It goes on waiting, and to count as mail that waits.
                    actor.backlog.append((event, reply))
                    continue
                actor.pending -= 1
                if actor.status is Status.RUNNING:
                    self.run(actor, event, reply, now)
        finally:
            self._committer.kick()
            if queue:
                self._loop.call_soon(self._drain)
            else:
                self._draining = False

    def run(self, actor: Actor, event: AnyEvent, reply: Reply | None, now: int) -> None:
        """One step, here and now."""
        machine = actor.machine
        self._counters.inputs += 1
        actor.last_mail_at = now
        try:
            effects = machine.step(event, now)
        except Exception as error:
            if self.crashes is None:
                raise
            self.crashes.crashed(actor, event, reply, now, error)
            return
        if effects:
            committer = self._committer
            if effects[0] is JOURNAL:
                actor.version += 1
                committer.inputs.append((actor, actor.version, now, event))
                if actor.dirty_from is None:
                    self._checkpointer.mark(actor, now)
                if len(effects) == 2 and type(effects[1]) is Acked:  # noqa: PLR2004 - the shape of a heartbeat
                    if reply is not None:
                        committer.replies.append((actor, reply, effects))
                else:
                    self._perform(actor, effects, reply, now)
            else:
                self._perform(actor, effects, reply, now)
        elif reply is not None:
            self._stage(actor, effects, reply, now)
        if machine.wake_at < actor.armed_at:
            self.arm(actor)

    def _perform(self, actor: Actor, effects: list[Effect], reply: Reply | None, now: int) -> None:
        for effect in effects:
            if type(effect) in BROADCAST:
                self._broadcast(actor, effect, now)
                if type(effect) is not DiffDue:
                    self._checkpointer.hasten(actor, now + HASTE_MS)
        if reply is not None:
            self._stage(actor, effects, reply, now)

    def _broadcast(self, actor: Actor, effect: Effect, now: int) -> None:
        try:
            staged = self._audience.stage(actor, effect, now)
        except Exception:
            self._counters.released_with_error += 1
            log.exception("broadcast.not_staged", actor=actor.key)
            return
        if staged is not None:
            self._committer.replies.append((actor, staged, [effect]))

    def _stage(self, actor: Actor, effects: list[Effect], reply: Reply, now: int) -> None:
        try:
            reply.stage(actor, effects, now)
        except Exception:
            # The edge's trouble is nobody else's: the input is taken in, its asker hears that there is no answer.
            self._counters.released_with_error += 1
            log.exception("reply.not_staged", actor=actor.key)
            effects = [Failed("the answer could not be made")]
        self._committer.replies.append((actor, reply, effects))

    # -- deadlines ----------------------------------------------------------------------------------------------------

    def arm(self, actor: Actor, not_before: int = 0) -> None:
        """Wake the actor when its machine wants, or at `not_before` (Unix ms)."""
        at = max(actor.machine.wake_at, not_before)
        if at >= min(NEVER, actor.armed_at):
            return
        actor.armed_at = at
        self._wake_count += 1
        heapq.heappush(self._wakes, (at, self._wake_count, actor))
        if len(self._wakes) > self._wakes_limit:
            self._forget_stale()
        if at < self._timer_at:
            self._set_timer(at)

    def _forget_stale(self) -> None:
        """A deadline that moved leaves its old entry behind, and so does an actor that is gone."""
        live = {entry[2]: entry for entry in self._wakes if _is_live(entry)}
        self._wakes = list(live.values())
        heapq.heapify(self._wakes)
        self._wakes_limit = max(WAKES_MIN, 2 * len(self._wakes))

    def _set_timer(self, at: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        delay_s = min(TIMER_MAX_S, max(0.0, (at - self._clock.now()) / 1000))
        self._timer = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, NEVER
        now = self._clock.now()
        try:
            for _ in range(TURN_MAX):
                if not self._wakes or self._wakes[0][0] > now:
                    break
                self._wake(heapq.heappop(self._wakes), now)
        finally:
            self._committer.kick()
            if self._wakes:
                self._set_timer(self._wakes[0][0])

    def _wake(self, entry: Wake, now: int) -> None:
        actor = entry[2]
        if not _is_live(entry):
            return
        actor.armed_at = NEVER
        if actor.status is Status.RUNNING and actor.machine.wake_at <= now:
            self.run(actor, TICK, None, now)
        if actor.status is Status.RUNNING:
            self.arm(actor)

    def close(self) -> None:
        """No more wake-ups."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_live(entry: Wake) -> bool:
    return entry[2].armed_at == entry[0] and entry[2].status is not Status.RETIRED
