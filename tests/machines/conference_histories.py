"""Histories of classes told by webhooks, drawn at the boundaries; times are milliseconds behind `T0`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from actors.machines.events import (
    Departed,
    Dropped,
    Event,
    Joined,
    ParticipantJoined,
    ParticipantLeft,
    Polled,
    Seen,
    SessionTold,
    TrackTold,
)
from tests.machines.builders import GRACE, INTERVAL, MIN, SEC, T0
from tests.machines.conference_spec import Fact, Stream

GAPS: Final = [0, 1, SEC, 10 * SEC - 1, 10 * SEC, GRACE - 1, GRACE, GRACE + 1, MIN, 5 * MIN]
RETURNS: Final = [0, 1, GRACE - 1, GRACE, GRACE + 1, GRACE, GRACE - 1, MIN, -1, -GRACE]
BEGINNINGS: Final = [-16 * MIN, -15 * MIN - 1, -15 * MIN, -MIN, -1, 0, 0, 1, 5 * MIN, 5 * MIN + 1]
REASONS: Final = [None, "SIGNAL_CLOSE", "DUPLICATE_IDENTITY", "CLIENT_INITIATED", "ROOM_CLOSED", "CONNECTION_TIMEOUT"]
DELAYS: Final = [0, 0, 0, 1, GRACE - 1, GRACE, GRACE + 1, MIN, 5 * MIN]
DEVICES: Final = ["camera", "microphone", "screen"]
NEVER: Final = -(2**50)
FOLLOWS: Final = [-MIN, -1, 1, GRACE, GRACE + 1, MIN]


@dataclass
class Drawn:
    """What is told, in the order of its reception; and the last look."""

    facts: list[Fact] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    now: int = 0


Person = tuple[str, str, str, int, int]
"""(session, participant, identity, joined, left)"""


class Writer:
    """Writes down what happens in a class, each thing with its own time."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.people: list[Person] = []

    def session(self, draw: st.DrawFn, sid: str, begins: int, *, breakout: bool = False) -> int:
        """One session and its people. Returns when it was over, or its last people had gone."""
        lasts = begins
        for identity in ["a", "b"]:
            lasts = max(lasts, self._visits(draw, sid, identity, begins, breakout=breakout))
        if draw(st.integers(0, 3)):
            self._add(SessionTold(sid, "started", begins, breakout=breakout))
        if draw(st.integers(0, 4)) == 0:
            self._add(SessionTold(sid, "started", begins + draw(st.sampled_from(GAPS)), breakout=breakout))
        if draw(st.integers(0, 4)) == 0:
            self._add(SessionTold(sid, "created", begins - draw(st.sampled_from(GAPS)), breakout=breakout))
        # A left may come after the end, a join does not.
        joins = [person[3] + 1 for person in self.people if person[0] == sid]
        end = max([begins, *joins, lasts + draw(st.sampled_from([0, 1, GRACE, MIN, -1, -GRACE, -MIN]))])
        if draw(st.integers(0, 2)):
            self._add(SessionTold(sid, "ended", end, breakout=breakout))
            if draw(st.booleans()):
                self._add(SessionTold(sid, "ended", end + draw(st.sampled_from([0, 1, SEC])), breakout=breakout))
        return end

    def _visits(self, draw: st.DrawFn, sid: str, identity: str, begins: int, *, breakout: bool) -> int:
        at = begins + draw(st.sampled_from([0, *GAPS]))
        for number in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
            participant = f"{identity}/{sid}{number}"
            joined, left = at, at + draw(st.sampled_from(GAPS))
            self._visit(draw, (sid, participant, identity, joined, left), breakout=breakout)
            at = max(joined + 1, left + draw(st.sampled_from(RETURNS)))
        return at

    def _visit(self, draw: st.DrawFn, person: Person, *, breakout: bool) -> None:
        sid, participant, identity, joined, left = person
        hidden = draw(st.integers(0, 11)) == 0
        if not hidden:
            self.people.append(person)
        if draw(st.integers(0, 5)):
            self._add(ParticipantJoined(sid, participant, identity, joined, joined, hidden=hidden, breakout=breakout))
        if draw(st.integers(0, 3)):
            # Only some messages say that somebody is hidden.
            told = hidden and draw(st.booleans())
            says = draw(st.sampled_from([None, joined])) if told == hidden else None
            reason = draw(st.sampled_from(REASONS))
            self._add(ParticipantLeft(sid, participant, identity, left, says, reason, hidden=told, breakout=breakout))
            if draw(st.integers(0, 5)) == 0:
                later = left + draw(st.sampled_from([1, GRACE, MIN]))
                self._add(ParticipantLeft(sid, participant, identity, later, None, "ROOM_CLOSED", hidden=hidden))
        for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
            device: Any = draw(st.sampled_from(DEVICES))
            on = joined + draw(st.sampled_from([0, 0, *GAPS]))
            self._track(draw, person, f"{participant}t{number}", device, on)

    def _track(self, draw: st.DrawFn, person: Person, track: str, device: Any, on: int) -> None:
        sid, participant, identity, _, _ = person
        if draw(st.integers(0, 5)):
            self._add(TrackTold(sid, participant, identity, track, device, True, on))  # noqa: FBT003
        if draw(st.booleans()):
            off = on + draw(st.sampled_from(GAPS))
            device = draw(st.sampled_from([device, ""]))
            self._add(TrackTold(sid, participant, identity, track, device, False, off))  # noqa: FBT003

    def _add(self, event: Event) -> None:
        self.told.append(event)


@st.composite
def told(draw: st.DrawFn, sessions: int = 3) -> Writer:
    """What conference sessions say of a class: one to three of its own, and sometimes a breakout."""
    writer = Writer()
    begins = draw(st.sampled_from(BEGINNINGS))
    for number in range(min(sessions, draw(st.sampled_from([1, 1, 1, 2, 3])))):
        end = writer.session(draw, f"s{number}", begins)
        if draw(st.integers(0, 5)) == 0:
            writer.session(draw, f"b{number}", begins + draw(st.sampled_from([0, 1, MIN])), breakout=True)
        joins = [person[3] + 1 for person in writer.people]
        begins = max([begins + 1, *joins, end + draw(st.sampled_from(FOLLOWS))])
    return writer


@st.composite
def unordered(draw: st.DrawFn) -> Drawn:
    """All of it told long after, in any order, some of it twice."""
    writer = draw(told())
    latest = max((event.at for event in writer.told), default=0)
    received = latest + draw(st.sampled_from([0, 1, MIN]))
    again = [event for event in writer.told if draw(st.integers(0, 7)) == 0]
    facts = draw(st.permutations([*writer.told, *again]))
    return Drawn([(event, received) for event in facts], [], received + draw(st.sampled_from([0, 1, GRACE, MIN])))


@st.composite
def alive(draw: st.DrawFn) -> Drawn:
    """Told while it happens, more or less late; with polls, and with sockets beside."""
    sockets = draw(_sockets()) if draw(st.booleans()) else []
    # An end disconnects the players; whether they come back to the next session is theirs to decide, not drawn here.
    writer = draw(told(sessions=1 if sockets else 3))
    drawn = Drawn()
    drawn.streams = [stream for stream, _ in sockets]
    facts: list[Fact] = [fact for _, moves in sockets for fact in moves]
    settled = max((at for _, at in facts), default=NEVER)
    for event in writer.told:
        received = event.at + draw(st.sampled_from(DELAYS))
        # Whoever ends the class disconnects its players, who may come back or not: here, what they did is done.
        ends = isinstance(event, SessionTold) and event.phase == "ended"
        facts.append((event, max(received, settled + 1) if ends else received))
    facts += draw(_polls(writer, settled))
    facts.sort(key=lambda fact: fact[1])
    drawn.facts = facts
    drawn.now = max((at for _, at in facts), default=0) + draw(st.sampled_from([0, 1, GRACE, MIN]))
    return drawn


@st.composite
def _polls(draw: st.DrawFn, writer: Writer, settled: int) -> list[Fact]:
    """Looks at the conference server's list, which may be right or wrong."""
    polls: list[Fact] = []
    sids = sorted({person[0] for person in writer.people})
    ends = {event.sid: event.at for event in reversed(writer.told) if _is_end(event)}
    if not sids or draw(st.booleans()):
        return []
    sid = draw(st.sampled_from(sids))
    people = [person for person in writer.people if person[0] == sid]
    at = people[0][3]
    for _ in range(draw(st.integers(1, 5))):
        at += draw(st.sampled_from([1, 10 * SEC - 1, 10 * SEC, 10 * SEC + 1, MIN, MIN]))
        here = [person for person in people if person[3] <= at < person[4] and draw(st.booleans())]
        if at >= (ends.get(sid, at + 1) if sid.startswith("s") else min(ends.values(), default=at + 1)):
            # It knows no session that is over.
            break
        # Once it is over it is over; and with players beside, an end would be theirs to answer.
        gone = any(not poll.active for poll, _ in polls if isinstance(poll, Polled))
        over = settled == NEVER and at > max((event.at for event in writer.told), default=at)
        active = not gone and not (over and draw(st.integers(0, 3)) == 0)
        known = {identity: f"user-{identity}" for _, _, identity, _, _ in here if draw(st.integers(0, 9)) == 0}
        seen = [Seen(one, identity, joined, user_id=known.get(identity)) for _, one, identity, joined, _ in here]
        polls.append((Polled(sid if active else "", at, active, seen if active else []), at))
    return polls


def _is_end(event: Any) -> bool:
    return isinstance(event, SessionTold) and event.phase == "ended"


@st.composite
def _sockets(draw: st.DrawFn) -> list[tuple[Stream, list[Fact]]]:
    """Players of the same learners, each opened once."""
    streams: list[tuple[Stream, list[Fact]]] = []
    for user in ["a", "b"]:
        at = draw(st.sampled_from([-15 * MIN, -MIN, 0, 1, 5 * MIN]))
        for number in range(draw(st.integers(0, 2))):
            session = f"{user}w{number}"
            joined = Joined(user, "learner", None, session, None, "d1", None, INTERVAL)
            over = at + 1 + draw(st.sampled_from(GAPS))
            # A player that was dropped and comes back as another still has the grace of the first (realtime.md): what
            # it is worth when the second leaves on purpose is not drawn.
            before = streams[-1][0] if number else None
            manners = (
                ["stays", "drops", "drops"] if before and before.dropped else ["stays", "leaves", "drops", "drops"]
            )
            manner = draw(st.sampled_from(manners))
            if manner == "stays":
                streams.append((Stream(user, at, None), [(joined, at)]))
            elif manner == "leaves":
                streams.append((Stream(user, at, over), [(joined, at), (Departed(session), over)]))
            else:
                evidence = max(at + 1, over - draw(st.sampled_from([0, 0, SEC, GRACE])))
                streams.append((Stream(user, at, evidence, over), [(joined, at), (Dropped(session, evidence), over)]))
            at = over + draw(st.sampled_from(RETURNS[:-2]))
    return streams


def shifted(event: Any, by: int) -> Any:
    """The same with its times moved by `T0`, as a machine sees it."""
    if isinstance(event, Polled):
        seen = [msgspec.structs.replace(one, joined_at=one.joined_at + by) for one in event.seen]
        return msgspec.structs.replace(event, at=event.at + by, seen=seen)
    changes = {
        name: value + by
        for name in ("at", "told_at", "joined_at", "began_at", "evidence")
        if (value := getattr(event, name, None)) is not None
    }
    return msgspec.structs.replace(event, **changes) if changes else event


def unix(fact: Fact) -> Fact:
    """A fact in Unix time."""
    return shifted(fact[0], T0), T0 + fact[1]
