"""What waits for the events of one heartbeat post (`actors.actor.Reply`), and makes its answer.

    a room       Posted            -> SessionOpened tells all
    a content    [Opened] Sampled  -> refused, or
                 Tick              -> the answer, as the machine stands behind the samples; with `leave` first
                 Left              -> the answer

Answers leave in the order of their events, so what the last of them tells is durable when it leaves.
"""

from __future__ import annotations

import asyncio

from actors.actor import Actor
from actors.machines.effects import Effect, Refused, SessionOpened
from actors.machines.events import Left, Opened, Posted, Sampled, Tick
from actors.machines.track import Sample
from actors.system import ActorSystem
from protocol.rest import HeartbeatsAnswer
from server.http.answers import Problem, failed, refusal_in, unavailable

_FULL = "too much waits for this room or session: keep the samples and try again"


class RoomPost:
    """A post for a room."""

    __slots__ = ("_answer", "_problem", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[HeartbeatsAnswer] = asyncio.get_running_loop().create_future()
        self._answer: HeartbeatsAnswer | None = None
        self._problem: Problem | None = None

    def send(self, system: ActorSystem, actor: Actor, event: Posted) -> None:
        """Post it. Raises `Problem` (503) where the room's mailbox is full."""
        if not system.post(actor, event, self):
            raise unavailable(_FULL)

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        """Note the answer; what it tells becomes durable with this very input."""
        self._problem = refusal_in(effects)
        for effect in effects:
            if type(effect) is SessionOpened:
                told = actor.room.state.sessions[effect.session_id].track.told
                self._answer = HeartbeatsAnswer(effect.session_id, effect.last_seq, told / 1000, late=effect.late)

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """It is durable."""
        _settle(self.future, self._answer, self._problem)


class _Verdict:
    """Notes whether the samples were refused; a machine says so, or acknowledges them without being asked here."""

    __slots__ = ("problem", "session_over")

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.session_over = False

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        self.problem = refusal_in(effects)
        self.session_over = any(type(effect) is Refused and effect.code == "unknown_stream" for effect in effects)

    def release(self, effects: list[Effect]) -> None:
        """Nothing: the answer is that of the last event."""


class WatchPost:
    """A post for a content."""

    __slots__ = ("_answer", "_leave", "_problem", "_system", "_verdict", "_waiting", "future")

    def __init__(self, system: ActorSystem, *, leave: bool) -> None:
        self.future: asyncio.Future[HeartbeatsAnswer] = asyncio.get_running_loop().create_future()
        self._system = system
        self._leave = leave
        self._verdict = _Verdict()
        self._answer: HeartbeatsAnswer | None = None
        self._problem: Problem | None = None
        self._waiting = 1

    @property
    def session_over(self) -> bool:
        """The session ended before the samples reached it: they belong to the next one."""
        return self._verdict.session_over

    def send(self, actor: Actor, opened: Opened | None, sent_at: int, samples: list[Sample]) -> None:
        """Post its events. Raises `Problem` (503) where the session's mailbox is full."""
        system = self._system
        if opened is not None and not system.post(actor, opened):
            raise unavailable(_FULL)
        if samples and not system.post(actor, Sampled(sent_at, samples, system.interval_ms), self._verdict):
            raise unavailable(_FULL)
        if not system.post(actor, Tick(), self):
            raise unavailable(_FULL)

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        """Behind the samples: leave, or note the answer."""
        self._problem = self._verdict.problem or refusal_in(effects)
        if self._problem is not None:
            return
        if self._leave:
            self._leave = False
            if self._system.post(actor, Left(), self):
                self._waiting += 1
            else:
                self._problem = unavailable(_FULL)
            return
        state = actor.watch.state
        if state is not None:
            track = state.track
            self._answer = HeartbeatsAnswer(
                actor.key, track.last_seq, track.told / 1000, coverage=track.coverage_share()
            )

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """One of the events is durable; behind the last one the answer leaves."""
        self._waiting -= 1
        if not self._waiting:
            _settle(self.future, self._answer, self._problem)


def _settle(future: asyncio.Future[HeartbeatsAnswer], answer: HeartbeatsAnswer | None, problem: Problem | None) -> None:
    if future.done():
        return  # given up meanwhile
    if problem is not None:
        future.set_exception(problem)
    elif answer is not None:
        future.set_result(answer)
    else:
        future.set_exception(failed("the samples could not be processed"))
