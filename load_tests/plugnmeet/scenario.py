"""Who comes to which class over the conference server and what happens to them, written before anything is sent.

Pure: the same shape and seed give the same messages. Every participant has one behaviour, dealt out in turn so that a
class of two dozen has each of them. Times lie in the past and end at `shape.end_s`: the figures need no waiting.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Final

import msgspec

from load_tests.plugnmeet.facts import HARD, SOFT, TWIN, Kind, Message, Person, PersonKind, Room, Source
from load_tests.simulate.names import names

SHORTEST_MIN: Final = 20
BREAK_S: Final = 120
"""Between two sessions of one class."""


class Act(StrEnum):
    """What a participant is here to show."""

    STAY = "stay"
    EARLY = "early"
    LATE = "late"
    ON_THE_BORDER = "on the border of late"
    LEAVE = "leave"
    SOFT_LEAVE = "go by a fault"
    BACK_IN_TIME = "back within the grace"
    BACK_TOO_LATE = "back beyond the grace"
    BACK_AFTER_LEAVING = "leave, and be back at once"
    TAKE_OVER = "take over from another device"
    LOST_LEFT = "lost left, then a new sid"
    LOST_LEFT_TO_END = "lost left, to the end"
    LOST_JOINED = "lost joined"
    TWO_LEFTS = "left twice"
    LEFT_AFTER_END = "left told behind the end"
    TWIN = "native twin"
    TELEPHONE = "telephone"
    MODERATOR = "moderator"
    BREAKOUT = "breakout"
    BLINK = "there for a blink"


class Shape(msgspec.Struct, frozen=True):
    """What a scenario is made from. `end_s`: no event is later, Unix seconds."""

    rooms: int
    participants: int
    seed: int
    end_s: int
    minutes: int = 50
    grace_ms: int = 20_000
    late_grace_s: int = 300
    prefix: str = "pnm"


def write(shape: Shape) -> list[Room]:
    """The classes of this shape."""
    random = Random(shape.seed)
    return [_RoomWriter(shape, index, Random(random.getrandbits(64))).room() for index in range(shape.rooms)]


class _Session(msgspec.Struct, frozen=True):
    sid: str
    begin: int
    end: int
    room_id: str
    parent_id: str | None = None


class _RoomWriter:
    """Writes one class."""

    def __init__(self, shape: Shape, index: int, random: Random) -> None:
        self._shape = shape
        self._index = index
        self._random = random
        self._messages: list[Message] = []
        self._numbers = 0
        length = max(SHORTEST_MIN, shape.minutes) * 60
        self._room_id = f"{shape.prefix}-{shape.seed}-{index}"
        self._older = index % 6 == 5
        self._end = shape.end_s - 60 - random.randrange(240)
        self._begin = self._end - length
        # Opened before the scheduled start, behind it, or never scheduled.
        self._start = self._begin + random.choice((-90, 0, 200))
        self._scheduled = None if index % 7 == 3 else (self._start, self._end + random.choice((-60, 0, 400)))
        self._sessions = self._make_sessions(length)

    def room(self) -> Room:
        """The class, messages in the order of their making."""
        for session in self._sessions:
            self._frame(session)
        called = names(self._random)
        acts: list[tuple[str, str]] = []
        kinds = tuple(Act)
        for place in range(self._shape.participants):
            act = kinds[(place + self._index * 7) % len(kinds)]
            user = self._user(place, act)
            acts.append((user, act))
            self._act(act, user, next(called))
        nobodies = self._nobodies()
        self._recording()
        title = f"বীজগণিত {self._index}"
        self._messages.sort(key=lambda one: one.at)
        return Room(
            self._room_id, title, self._scheduled, self._older, tuple(self._messages), tuple(acts), tuple(nobodies)
        )

    # -- the frame ----------------------------------------------------------------------------------------------------

    def _make_sessions(self, length: int) -> list[_Session]:
        if self._older:
            return [_Session(self._room_id, self._begin, self._end, self._room_id)]
        if self._index % 5 == 4:
            middle = self._begin + length * 6 // 10
            return [
                _Session(f"{self._room_id}-s1", self._begin, middle, self._room_id),
                _Session(f"{self._room_id}-s2", middle + BREAK_S, self._end, self._room_id),
            ]
        return [_Session(f"{self._room_id}-s", self._begin, self._end, self._room_id)]

    def _frame(self, session: _Session) -> None:
        random = self._random
        self._tell(session, "room_created", session.begin - 20)
        # Where it is lost, the first join starts the room.
        lost = self._index % 4 == 2 and session.parent_id is None
        self._tell(session, "room_started", session.begin, lost=lost)
        ends: list[Kind] = ["session_ended", "room_finished"]
        random.shuffle(ends)
        which = random.choice(("both", "both", "first", "second"))
        self._tell(session, ends[0], session.end, lost=which == "second")
        later = 0 if which == "second" else random.choice((0, 2, 35))
        self._tell(session, ends[1], session.end + later, lost=which == "first")

    def _nobodies(self) -> list[str]:
        """Bots, an agent and a hidden observer: they come, publish and go, and are nobody."""
        session = self._sessions[0]
        hidden = f"observer-{self._index}"
        found = ["RECORDER_BOT", "ingres_1", "pnm_agent-7", "pnm_tts_agent-7", hidden]
        for identity in found:
            joined = (session.begin + 300) * 1000 + self._random.randrange(1000)
            kind: PersonKind = (
                "AGENT" if identity.startswith("pnm_") else "EGRESS" if identity == "RECORDER_BOT" else ""
            )
            person = Person(self._sid("PA"), identity, identity, joined, hidden=identity == hidden, kind=kind)
            self._tell(session, "participant_joined", session.begin + 301, person)
            self._tell(session, "track_published", session.begin + 305, person, track=(self._sid("TR"), "CAMERA"))
            self._left(session, person, session.end - 30, "CLIENT_INITIATED")
        return found

    def _recording(self) -> None:
        session = self._sessions[0]
        record = f"{session.sid}-{(session.begin + 270) * 1000}"
        self._tell(session, "start_recording", session.begin + 270, record_id=record)
        self._tell(session, "end_recording", session.end - 5, record_id=record)

    # -- who they are -------------------------------------------------------------------------------------------------

    def _user(self, place: int, act: Act) -> str:
        if act is Act.TELEPHONE:
            return f"sip_+88017{self._index:03d}{place:05d}"
        return f"শিক্ষার্থী-{place}" if place % 9 == 8 else f"u{self._index}-{place}"

    def _person(self, user: str, name: str, joined_ms: int, act: Act) -> Person:
        kind: PersonKind = "SIP" if act is Act.TELEPHONE else ""
        return Person(self._sid("PA"), user, name, joined_ms, moderator=act is Act.MODERATOR, kind=kind)

    # -- what they do -------------------------------------------------------------------------------------------------

    def _act(self, act: Act, user: str, name: str) -> None:
        session = self._sessions[0]
        joined = self._arrival(act, session)
        person = self._person(user, name, joined, act)
        come = joined // 1000
        free = session.end - come
        self._joined(session, person, lost=act is Act.LOST_JOINED)
        go = come + self._random.randrange(free * 5 // 10, free * 8 // 10)
        if act is Act.BREAKOUT:
            self._break_out(session, person, go)
        elif act is Act.TWIN:
            self._twin(session, person, go)
        elif act in _RETURNS:
            self._goes_and_returns(session, person, act, go)
        else:
            self._goes(session, person, act, go)
        if len(self._sessions) > 1 and self._random.random() < 0.6:
            second = self._sessions[1]
            again = msgspec.structs.replace(
                person, sid=self._sid("PA"), joined_ms=second.begin * 1000 + self._random.randrange(60_000)
            )
            self._joined(second, again)
            self._devices(second, again, again.joined_ms // 1000 + 1, second.end)

    def _arrival(self, act: Act, session: _Session) -> int:
        random = self._random
        begin, start, grace = session.begin, self._start, self._shape.late_grace_s
        border = max(begin + 10, start + grace)
        if act is Act.EARLY:
            return begin * 1000 + random.choice((0, 1, 999, 5_500))
        if act is Act.LATE:
            return (border + random.randrange(5, 200)) * 1000 + random.randrange(1000)
        if act is Act.ON_THE_BORDER:
            return border * 1000 + random.choice((-1, 0, 1))
        return random.randrange((begin + 5) * 1000, (border - 5) * 1000)

    def _goes(self, session: _Session, person: Person, act: Act, go: int) -> None:
        random = self._random
        until = session.end
        if act in (Act.LEAVE, Act.LOST_JOINED):
            until = go
            self._left(session, person, go, random.choice(sorted(HARD)))
        elif act is Act.SOFT_LEAVE:
            until = go
            self._left(session, person, go, random.choice(SOFT))
        elif act is Act.BLINK:
            until = person.joined_ms // 1000 + random.choice((0, 1, 59, 60, 61))
            self._left(session, person, until, "CLIENT_INITIATED")
        elif act is Act.TWO_LEFTS:
            until = go
            self._left(session, person, go, "SIGNAL_CLOSE")
            self._left(session, person, go + random.randrange(25, 200), "CLIENT_INITIATED")
        elif act is Act.LEFT_AFTER_END:
            self._left(session, person, session.end + random.randrange(40), "ROOM_DELETED")
        elif act is not Act.LOST_LEFT_TO_END:
            self._left(session, person, session.end - random.choice((0, 1, 30)), "ROOM_CLOSED")
        self._devices(session, person, person.joined_ms // 1000 + 1, until)

    def _goes_and_returns(self, session: _Session, person: Person, act: Act, go: int) -> None:
        """The first device goes (or is taken over) at `go`, the next comes `gap` ms later."""
        random, grace = self._random, self._shape.grace_ms
        soft = [reason for reason in SOFT if reason != "DUPLICATE_IDENTITY"]
        gap = {
            Act.BACK_IN_TIME: random.choice((0, 1, 700, grace // 2, grace - 1)),
            Act.BACK_TOO_LATE: random.choice((grace + 1, grace + 1000, grace * 4)),
            Act.BACK_AFTER_LEAVING: random.choice((1, 900, grace // 2)),
            Act.TAKE_OVER: -random.randrange(1, 4) * 1000,
            Act.LOST_LEFT: random.choice((0, 60_000)),
        }[act]
        reason = random.choice(sorted(HARD)) if act is Act.BACK_AFTER_LEAVING else random.choice(soft)
        if act is Act.TAKE_OVER:
            reason = "DUPLICATE_IDENTITY"
        self._devices(session, person, person.joined_ms // 1000 + 1, go)
        self._left(session, person, go, reason, lost=act is Act.LOST_LEFT)
        again = msgspec.structs.replace(person, sid=self._sid("PA"), joined_ms=go * 1000 + gap)
        self._joined(session, again)
        self._devices(session, again, again.joined_ms // 1000 + 1, session.end - 40)
        self._left(session, again, session.end - 40, "CLIENT_INITIATED")

    def _twin(self, session: _Session, person: Person, go: int) -> None:
        """A hybrid client: the web half is present, its native twin publishes."""
        twin = msgspec.structs.replace(
            person, sid=self._sid("PA"), identity=person.identity + TWIN, joined_ms=person.joined_ms + 2_000
        )
        self._joined(session, twin)
        self._devices(session, twin, twin.joined_ms // 1000 + 1, go - 2)
        self._left(session, twin, go - 2, None)
        self._left(session, person, go, "CLIENT_INITIATED")

    def _break_out(self, session: _Session, person: Person, go: int) -> None:
        """Into a room of its own for a while, then to the end of the class; the breakout ends by itself."""
        room_id = f"{self._room_id}-b{self._numbers}"
        breakout = _Session(f"{room_id}-s", go, go + 120, room_id, self._room_id)
        self._left(session, person, go, "CLIENT_INITIATED")
        self._devices(session, person, person.joined_ms // 1000 + 1, go)
        self._frame(breakout)
        inside = msgspec.structs.replace(person, sid=self._sid("PA"), joined_ms=(go + 3) * 1000 + 250)
        self._joined(breakout, inside)
        self._devices(breakout, inside, go + 4, go + 100)
        self._left(breakout, inside, go + 100, "CLIENT_INITIATED", lost=self._index % 2 == 1)
        again = msgspec.structs.replace(person, sid=self._sid("PA"), joined_ms=(go + 123) * 1000)
        self._joined(session, again)
        self._left(session, again, session.end - 10, "CLIENT_INITIATED")

    def _devices(self, session: _Session, person: Person, begin: int, until: int) -> None:
        """Tracks between arriving and going; some are never switched off."""
        random = self._random
        kinds: tuple[Source, ...] = ("CAMERA", "MICROPHONE", "SCREEN_SHARE", "SCREEN_SHARE_AUDIO")
        # From the class's beginning on: what is before it counts in nothing anyway.
        begin = max(begin, self._begin, self._start)
        for source in kinds:
            if until - begin < 20 or random.random() < 0.4:
                continue
            on = random.randrange(begin, until - 10)
            for _ in range(random.choice((1, 1, 2))):
                track = (self._sid("TR"), source)
                off = random.randrange(on + 1, until)
                open_ended = random.random() < 0.25
                self._tell(session, "track_published", on, person, track=track)
                if open_ended:
                    break
                self._tell(session, "track_unpublished", off, person, track=track)
                if until - off < 10:
                    break
                on = random.randrange(off, until - 5)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _joined(self, session: _Session, person: Person, *, lost: bool = False) -> None:
        at = person.joined_ms // 1000 + self._random.choice((0, 1))
        self._tell(session, "participant_joined", at, person, lost=lost)

    def _left(self, session: _Session, person: Person, at: int, reason: str | None, *, lost: bool = False) -> None:
        self._tell(session, "participant_left", at, msgspec.structs.replace(person, reason=reason), lost=lost)

    def _tell(
        self,
        session: _Session,
        event: Kind,
        at: int,
        person: Person | None = None,
        *,
        track: tuple[str, Source] | None = None,
        record_id: str | None = None,
        lost: bool = False,
    ) -> None:
        number = self._sid("EV")
        self._messages.append(
            Message(event, session.room_id, session.sid, at, number, person, track, record_id, session.parent_id, lost)
        )

    def _sid(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}_{self._shape.seed}x{self._index}x{self._numbers}"


_RETURNS: Final = frozenset({Act.BACK_IN_TIME, Act.BACK_TOO_LATE, Act.BACK_AFTER_LEAVING, Act.TAKE_OVER, Act.LOST_LEFT})
