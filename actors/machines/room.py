"""A room: the sessions of those who are in it, and their samples (realtime.md, "Presence", "Semantics")."""

from __future__ import annotations

from typing import Final

from actors.machines.clock import ClientClock
from actors.machines.effects import JOURNAL, Acked, Effect, Refused, SessionEnded, SessionOpened, Taken
from actors.machines.events import (
    Departed,
    Described,
    Dropped,
    Event,
    Interacted,
    Joined,
    Posted,
    RoomPlaced,
    RoomSampled,
)
from actors.machines.figures import FAR
from actors.machines.holding import HTTP, STREAM
from actors.machines.life import RoomLife
from actors.machines.presence import Member
from actors.machines.rows import InteractionRow
from actors.machines.state import RoomRules, RoomState
from actors.machines.track import Sample, TooOld, Track, silence_ms
from actors.machines.watch import MOBILE, WatchState, place

DOUBT: Final = {"doubt": "doubt_asked"}
"""What the socket calls otherwise than the events of other systems (events.md, more readings 9)."""


class Room(RoomLife):
    """The machine. `wake_at` is when it wants a `Tick`, or earlier (Unix ms)."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        super().__init__(room_id, state, rules)
        self.incarnated = False
        """Whether `Incarnated` has been posted for this machine; the shell's mark."""
        self._handlers |= {
            Joined: self._joined,
            Described: self._described,
            Dropped: self._dropped,
            Departed: self._departed,
            RoomSampled: self._sampled,
            Posted: self._posted,
            RoomPlaced: self._placed,
            Interacted: self._interacted,
        }
        self._derive()

    def step(self, event: Event, now: int) -> list[Effect]:
        """Take one input at server time `now` (Unix ms); time's own consequences come first."""
        if now < self.wake_at:
            return self._handlers[type(event)](event, now)
        effects = self._advance(now)
        effects += self._handlers[type(event)](event, now)
        if JOURNAL in effects:
            effects = [JOURNAL, *(effect for effect in effects if effect is not JOURNAL)]
        self._plan()
        return effects

    # -- streams ------------------------------------------------------------------------------------------------------

    def _joined(self, event: Joined, now: int) -> list[Effect]:
        state = self.state
        if state.status == "cancelled":
            return [Refused("room_cancelled", "the class was cancelled")]
        session_id = event.session_id
        session: WatchState | None = None
        if event.resume is not None:
            session = state.sessions.get(event.resume)
            refusal = self._refuse_session(session, event.user_id)
            if refusal is not None:
                return [refusal]
            session = session if session is not None and session.takes_numbers else None
        if session is not None and event.resume is not None:
            session_id = event.resume
        elif state.status == "ended":
            return [Refused("room_ended", "the class is over; only kept samples of its sessions are taken")]
        resumed = session is not None
        if session is None:
            session = self._begin(session_id, event.user_id, event.device_id, STREAM, event.interval, now)
        session.track.tell(event.interval)
        effects: list[Effect] = [JOURNAL]
        member = self.member(event.user_id, event.role, event.name)
        member.role = event.role
        if state.status != "ended":
            effects += self._connect(member, session_id, event, now)
        effects.append(self._answer(session_id, session, member, now, resumed=resumed))
        return effects

    def _connect(self, member: Member, session_id: str, event: Joined, now: int) -> list[Effect]:
        if event.metadata is not None:
            member.metadata = event.metadata
        arrived = member.connect(session_id, event.device_id, now)
        self._dirty_members.add(event.user_id)
        if arrived:
            self._came(member, now)
        else:
            self._tell(member, now)
        effects = self._open_if_due(now)
        self._plan()
        return effects

    def _answer(
        self, session_id: str, session: WatchState, member: Member, now: int, *, resumed: bool
    ) -> SessionOpened:
        track = session.track
        return SessionOpened(
            session_id, resumed, track.last_seq, track.position, track.coverage_share(), self.late(member, now)
        )

    def _refuse_session(self, session: WatchState | None, user_id: str) -> Refused | None:
        if session is None:
            return Refused("not_found", "session_id is not known here")
        if session.user_id != user_id:
            return Refused("forbidden", "session_id belongs to another learner")
        return None

    def _begin(self, session_id: str, user_id: str, device_id: str, door: str, interval: int, now: int) -> WatchState:
        track = Track(interval, ClientClock(), told=interval)
        session = WatchState(user_id, "", "", device_id, door, now, now, track)
        before = self._http.get((user_id, device_id))
        if door == HTTP and before is not None:
            self.state.sessions[before].superseded = True
        self.state.sessions[session_id] = session
        self._index(session_id, session)
        self._dirty_sessions.add(session_id)
        return session

    def _described(self, event: Described, now: int) -> list[Effect]:
        session = self.state.sessions.get(event.session_id)
        if session is None or session.ended_at is not None:
            return [Refused("unknown_stream", "the stream is closed: join again")]
        member = self.state.members[session.user_id]
        member.metadata = event.metadata
        self._dirty_members.add(session.user_id)
        self._tell(member, now)
        self._plan()
        return [JOURNAL, self._answer(event.session_id, session, member, now, resumed=True)]

    def _dropped(self, event: Dropped, now: int) -> list[Effect]:
        session = self.state.sessions.get(event.session_id)
        if session is None:
            return []
        member = self.state.members[session.user_id]
        source = member.sources.get(event.session_id)
        if source is None or not source.connected:
            return []
        member.drop(event.session_id, min(event.evidence, now), now + self.rules.grace_ms)
        self._silence(event.session_id, session, source.evidence)
        self._dirty_members.add(session.user_id)
        self._arm("member", session.user_id, now + self.rules.grace_ms)
        return [JOURNAL]

    def _departed(self, event: Departed, now: int) -> list[Effect]:
        session = self.state.sessions.get(event.session_id)
        if session is None or session.ended_at is not None:
            return []
        self._depart(event.session_id, session, now)
        self._plan()
        return [JOURNAL, SessionEnded(event.session_id)]

    def _depart(self, session_id: str, session: WatchState, now: int) -> None:
        member = self.state.members[session.user_id]
        if member.release(session_id, now):
            self._gone(member)
        self._dirty_members.add(session.user_id)
        self._end_session(session_id, session, now)

    # -- samples ------------------------------------------------------------------------------------------------------

    def _sampled(self, event: RoomSampled, now: int) -> list[Effect]:
        state = self.state
        session = state.sessions.get(event.session_id)
        if session is None or session.ended_at is not None:
            return [Refused("unknown_stream", "the stream is closed: join again")]
        track = session.track
        member = state.members[session.user_id]
        source = member.sources.get(event.session_id)
        held = source is not None and source.connected
        # A live heartbeat proves nothing that its open stream does not prove already.
        live = held and member.since is not None and track.at >= member.since
        proofs: list[int] | None = None if live else []
        try:
            fresh = track.fold(event.sent_at, event.samples, now, state.ended_at, proofs)
        except TooOld as error:
            return [Refused("too_old", str(error))]
        interval = track.tell(event.interval)
        if not fresh:
            acked = Acked(event.session_id, track.last_seq, interval)
            return [JOURNAL, acked] if interval else [acked]
        session.heard_at = now
        if source is not None and held:
            source.evidence = now
            if now > member.evidence:
                member.evidence = now
        if proofs:
            self._prove(member, proofs, STREAM, session.device_id)
        self._dirty_sessions.add(event.session_id)
        self._dirty_members.add(session.user_id)
        return [JOURNAL, Acked(event.session_id, track.last_seq, interval)]

    def _prove(self, member: Member, proofs: list[int], kind: str, device_id: str) -> None:
        until = self.state.ended_at if self.state.ended_at is not None else FAR
        for index in range(0, len(proofs), 2):
            member.prove(proofs[index], min(proofs[index + 1], until), kind, device_id)

    def _posted(self, event: Posted, now: int) -> list[Effect]:
        state = self.state
        if state.status == "cancelled":
            return [Refused("room_cancelled", "the class was cancelled")]
        found = self._find_posted(event)
        if isinstance(found, Refused):
            return [found]
        session_id, session, fresh_track = found
        track = session.track if session is not None else fresh_track
        proofs: list[int] = []
        fresh = False
        if event.samples:
            try:
                fresh = track.fold(event.sent_at, event.samples, now, state.ended_at, proofs)
            except TooOld as error:
                return [Refused("too_old", str(error))]
        resumed = session is not None
        if session is None:
            session = self._begin(session_id, event.user_id, event.device_id, HTTP, event.interval, now)
            session.track = track
        track.tell(event.interval)
        member = self.member(event.user_id, event.role, event.name)
        member.role = event.role
        effects: list[Effect] = [JOURNAL]
        if fresh:
            session.heard_at = now
            self._prove(member, proofs, HTTP, event.device_id)
            effects += self._hold(member, session_id, session, event.device_id, now)
        if event.leave:
            self._depart(session_id, session, now)
            effects.append(SessionEnded(session_id))
        self._dirty_sessions.add(session_id)
        self._dirty_members.add(event.user_id)
        effects.append(self._answer(session_id, session, member, now, resumed=resumed))
        self._plan()
        return effects

    def _placed(self, event: RoomPlaced, now: int) -> list[Effect]:
        state = self.state
        if state.status == "cancelled":
            return [Refused("room_cancelled", "the class was cancelled")]
        session_id = event.session_id
        session = None if session_id is None else state.sessions.get(session_id)
        if session is not None and session.user_id != event.user_id:
            return [Refused("forbidden", "session_id belongs to another learner")]
        if session_id is None or session is None or session.ended_at is not None:
            session_id = event.fresh_id
            session = self._begin(session_id, event.user_id, event.device_id, MOBILE, event.interval, now)
        proofs = place(session, event, now, state.ended_at)
        interval = session.track.tell(event.interval)
        if proofs is None:
            acked = Acked(session_id, session.track.last_seq, interval)
            return [JOURNAL, acked] if interval or session_id == event.fresh_id else [acked]
        session.heard_at = now
        member = self.member(event.user_id, event.role, event.name)
        member.role = event.role
        self._prove(member, proofs, HTTP, event.device_id)
        effects = self._hold(member, session_id, session, event.device_id, now)
        self._dirty_sessions.add(session_id)
        self._dirty_members.add(event.user_id)
        self._plan()
        return [JOURNAL, *effects, Acked(session_id, session.track.last_seq, interval)]

    def _find_posted(self, event: Posted) -> tuple[str, WatchState | None, Track] | Refused:
        """The session that a post belongs to, or the track of the one that it begins (reading 4)."""
        session_id = event.session_id
        if session_id is not None:
            session = self.state.sessions.get(session_id)
            refusal = self._refuse_session(session, event.user_id)
            if refusal is not None:
                return refusal
        else:
            session_id = self._http.get((event.user_id, event.device_id))
            session = self.state.sessions[session_id] if session_id is not None else None
            if session is not None and begins_anew(session.track, event.samples):
                session = None
        if session_id is None or session is None or not session.takes_numbers:
            return event.fresh_id, None, Track(event.interval, ClientClock(), told=event.interval)
        return session_id, session, session.track

    def _hold(self, member: Member, session_id: str, session: WatchState, device_id: str, now: int) -> list[Effect]:
        at = session.track.at
        until = at + silence_ms(session.track.interval)
        if self.state.status == "ended" or until <= now:
            return []
        if member.hold_by_sample(session_id, device_id, at, until):
            self._came(member, now)
        self._arm("member", member.user_id, until)
        return self._open_if_due(now)

    def _interacted(self, event: Interacted, now: int) -> list[Effect]:
        state = self.state
        session = state.sessions.get(event.session_id)
        if session is None or session.ended_at is not None:
            return [Refused("unknown_stream", "the stream is closed: join again")]
        state.interactions += 1
        key = event.id if event.id is not None else f"{event.session_id}:{state.interactions}"
        kind = DOUBT.get(event.kind, event.kind)
        state.unwritten.append(InteractionRow(self.room_id, session.user_id, kind, key, event.value, now))
        return [JOURNAL, Taken()]


def begins_anew(track: Track, samples: list[Sample]) -> bool:
    """Whether a post without `session_id` is another session: its `seq` 1 is not the one we know (reading 4)."""
    first = samples[0] if samples else None
    return first is not None and first.seq == 1 and track.first_seq_at >= 0 and first.at != track.first_seq_at
