"""Small words for long histories: a learner who watches, and a class with learners in it.

All times are milliseconds behind `T0`, which is also a class's scheduled start; the machines see Unix milliseconds.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.machines import ranges
from actors.machines.effects import JOURNAL, Acked, Effect, Refused, RoomTurned, SessionOpened
from actors.machines.events import (
    Cancelled,
    Departed,
    Described,
    Dropped,
    Event,
    Finished,
    Incarnated,
    Interacted,
    Joined,
    Left,
    Opened,
    Posted,
    Resumed,
    RoomSampled,
    Sampled,
    Scheduled,
    Started,
    Tick,
)
from actors.machines.room import Room
from actors.machines.rows import AttendanceRow, Rows
from actors.machines.state import RoomRules, RoomState
from actors.machines.track import PLAYING, Sample, Segment
from actors.machines.watch import WatchRules, WatchSession, WatchState

T0: Final = 1_767_225_600_000
SEC: Final = 1_000
MIN: Final = 60 * SEC
HOUR: Final = 60 * MIN
INTERVAL: Final = 10 * SEC
SILENCE: Final = 35 * SEC
GRACE: Final = 20 * SEC


def sample(seq: int, at: int, position: int, state: int = PLAYING, rate: float = 1.0, **more: Any) -> Sample:
    """One sample of a client whose clock is right."""
    return Sample(seq, T0 + at, position, state, rate, **more)


def pairs(flat: list[int]) -> list[tuple[int, int]]:
    """Ranges as the stories write them."""
    return [(start - T0, end - T0) for start, end in ranges.pairs(flat)]


class Watching:
    """One learner before one content."""

    def __init__(self, at: int = 0, interval: int = INTERVAL, duration: int | None = None) -> None:
        self.machine = WatchSession("s1", None, WatchRules())
        self.journal: list[tuple[Event, int]] = []
        self.seq = 0
        self.step(Opened("u1", "video", "c1", "d1", "websocket", interval, duration), at)

    def step(self, event: Event, at: int) -> list[Effect]:
        effects = self.machine.step(event, T0 + at)
        if JOURNAL in effects:
            assert effects[0] is JOURNAL
            self.journal.append((event, T0 + at))
        return effects

    def plays(self, at: int, position: int, state: int = PLAYING, rate: float = 1.0, **more: Any) -> Any:
        """A single heartbeat, sent and received at its own time."""
        received = more.pop("received", at)
        clock = more.pop("clock", 0)
        self.seq += 1
        one = sample(self.seq, at + clock, position, state, rate, **more)
        return self.answer(self.step(Sampled(one.at, [one]), received))

    def sends(self, samples: list[Sample], sent: int, received: int | None = None, interval: int = 0) -> Any:
        """Kept samples in one message."""
        self.seq = max(self.seq, samples[-1].seq)
        return self.answer(self.step(Sampled(T0 + sent, samples, interval), sent if received is None else received))

    def leaves(self, at: int) -> list[Effect]:
        return self.step(Left(), at)

    def returns(self, at: int, interval: int = INTERVAL, duration: int | None = None) -> Any:
        return self.answer(self.step(Resumed(interval, duration), at))

    def time_passes(self, at: int) -> list[Effect]:
        return self.step(Tick(), at)

    def answer(self, effects: list[Effect]) -> Any:
        told = [effect for effect in effects if isinstance(effect, Acked | Refused | SessionOpened)]
        return told[-1]

    @property
    def state(self) -> WatchState:
        assert self.machine.state is not None
        return self.machine.state

    def segments(self) -> list[Segment]:
        """All segments that count so far, the open one last."""
        return [row.segment for row in self.machine.rows().segments]

    def watched(self) -> list[tuple[int, int, int, int]]:
        """(start, end, playhead start, playhead end) of the verified segments."""
        return [
            (seg.start_at - T0, seg.end_at - T0, seg.start_position, seg.end_position)
            for seg in self.segments()
            if seg.verified
        ]

    def unverified(self) -> list[tuple[int, int]]:
        return [(seg.start_position, seg.end_position) for seg in self.segments() if not seg.verified]


class Lesson:
    """One class. `u1`'s first session over WebSocket is `u1/1`, a second one `u1/2`; over HTTP `u1/h1`."""

    def __init__(self, start: int | None = 0, end: int | None = HOUR, rules: RoomRules | None = None) -> None:
        self.rules = rules or RoomRules()
        self.room = Room("r1", RoomState(), self.rules)
        self.journal: list[tuple[Event, int]] = []
        self.effects: list[Effect] = []
        self.sessions = 0
        if (start, end) != (None, None):
            self.schedule(start, end, at=-24 * HOUR)

    def step(self, event: Event, at: int) -> list[Effect]:
        effects = self.room.step(event, T0 + at)
        if JOURNAL in effects:
            assert effects[0] is JOURNAL
            assert effects.count(JOURNAL) == 1
            self.journal.append((event, T0 + at))
        self.effects = effects
        return effects

    # -- the class ------------------------------------------------------------------------------------------------

    def schedule(self, start: int | None, end: int | None, at: int = 0) -> None:
        first = None if start is None else T0 + start
        last = None if end is None else T0 + end
        self.step(Scheduled("Algebra", first, last, "p1"), at)

    def is_to_be_again(self, start: int, end: int, at: int) -> None:
        self.step(Scheduled("Algebra", T0 + start, T0 + end, "p1", revived=True), at)

    def starts(self, at: int, received: int | None = None) -> Any:
        return self.turn(Started(T0 + at, "rest"), at if received is None else received)

    def ends(self, at: int, received: int | None = None) -> Any:
        return self.turn(Finished(T0 + at, "rest"), at if received is None else received)

    def is_cancelled(self, at: int) -> Any:
        return self.turn(Cancelled(T0 + at), at)

    def turn(self, event: Event, at: int) -> Any:
        told = [effect for effect in self.step(event, at) if isinstance(effect, Refused | RoomTurned)]
        return told[-1] if told else None

    def server_restarts(self, at: int) -> None:
        """The machine is built anew from its snapshot."""
        before, packed = self.room, msgspec.msgpack.encode(self.room.snapshot())
        self.room = Room("r1", msgspec.msgpack.decode(packed, type=RoomState), self.rules)
        self.room.take_over(before)
        self.step(Incarnated(), at)

    def time_passes(self, at: int) -> list[Effect]:
        return self.step(Tick(), at)

    # -- its learners ---------------------------------------------------------------------------------------------

    def joins(self, user: str, at: int, resume: str | None = None, **more: Any) -> Any:
        self.sessions += 1
        fresh = more.pop("session", f"{user}/{self.sessions}")
        role, name = more.pop("role", "learner"), more.pop("name", None)
        device, metadata = more.pop("device", "d1"), more.pop("metadata", None)
        return self.answer(Joined(user, role, name, fresh, resume, device, metadata, INTERVAL), at)

    def drops(self, session: str, at: int, evidence: int | None = None) -> None:
        self.step(Dropped(session, T0 + (at if evidence is None else evidence)), at)

    def leaves(self, session: str, at: int) -> None:
        self.step(Departed(session), at)

    def describes(self, session: str, metadata: bytes | None, at: int) -> Any:
        return self.answer(Described(session, metadata), at)

    def plays(self, session: str, at: int, seq: int, position: int | None = None, state: int = PLAYING) -> Any:
        return self.sends(session, [sample(seq, at, at if position is None else position, state)], at)

    def sends(self, session: str, samples: list[Sample], at: int, interval: int = 0) -> Any:
        return self.answer(RoomSampled(session, T0 + at, samples, interval), at)

    def posts(self, user: str, at: int, samples: list[Sample], session: str | None = None, **more: Any) -> Any:
        fresh = more.pop("fresh", f"{user}/h{at}")
        leave, device = more.pop("leave", False), more.pop("device", "d1")
        interval = more.pop("interval", INTERVAL)
        role = more.pop("role", "learner")
        return self.answer(Posted(user, role, None, device, session, fresh, T0 + at, samples, leave, interval), at)

    def posts_at(self, user: str, times: list[int], **more: Any) -> Any:
        """One request a sample, each received at once."""
        answer = None
        for seq, at in enumerate(times, start=more.pop("first_seq", 1)):
            answer = self.posts(user, at, [sample(seq, at, at - times[0])], **more)
        return answer

    def interacts(self, session: str, kind: str, at: int, key: str | None = None, value: bytes | None = None) -> None:
        self.step(Interacted(session, kind, key, value), at)

    def answer(self, event: Event, at: int) -> Any:
        told = [effect for effect in self.step(event, at) if isinstance(effect, Acked | Refused | SessionOpened)]
        return told[-1] if told else None

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> RoomState:
        return self.room.state

    @property
    def status(self) -> str:
        return self.room.state.status

    @property
    def started(self) -> int | None:
        return None if self.state.started_at is None else self.state.started_at - T0

    @property
    def ended(self) -> int | None:
        return None if self.state.ended_at is None else self.state.ended_at - T0

    def present(self, user: str) -> bool:
        member = self.state.members.get(user)
        return member is not None and member.present

    def presence(self, user: str, now: int = 0) -> list[tuple[int, int]]:
        return pairs(self.state.members[user].presences(T0 + now))

    def figures(self, user: str, now: int) -> AttendanceRow:
        return self.room.attendance(self.state.members[user], T0 + now)

    def checkpoint(self, at: int) -> Rows:
        """Rows that were written."""
        rows = self.room.rows()
        self.room.written(rows)
        return rows
