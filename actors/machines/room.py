r"""A room: its life cycle, who is in it, and the sessions of those who are (realtime.md, "Room", "Presence").

    scheduled --first join in the window | Started--> live --Finished | empty 10 min after the scheduled end--> ended
        \------------ Cancelled --> cancelled              ^------------- Started within the scheduled time ---/

What time alone brings about (a grace that runs out, a class that nobody is left in) is taken in before each input and
dated by its own moment, so a late wake-up changes nothing and a replay gives the same rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from actors.machines import attendance, ranges
from actors.machines.attendance import ClassTimes
from actors.machines.clock import ClientClock
from actors.machines.diffs import Announced, DiffLog
from actors.machines.effects import (
    JOURNAL,
    Acked,
    DiffDue,
    Effect,
    Refused,
    RoomTurned,
    SessionEnded,
    SessionOpened,
    Taken,
)
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
    Posted,
    RoomSampled,
    Scheduled,
    Started,
    Tick,
)
from actors.machines.presence import HTTP, STREAM, Member
from actors.machines.rows import AttendanceRow, InteractionRow, RoomRow, Rows, SessionRow
from actors.machines.track import Sample, TooOld, Track, silence_ms
from actors.machines.watch import IDLE_MS, NEVER, WatchState, segment_rows, session_row

OPENS_BEFORE_MS: Final = 15 * 60 * 1000
IDLE_END_MS: Final = 10 * 60 * 1000
FAR: Final = 2**53

Status = Literal["scheduled", "live", "ended", "cancelled"]


class RoomRules(msgspec.Struct, frozen=True):
    """What an operator may set."""

    grace_ms: int = 20_000
    late_grace_ms: int = 300_000
    attended_min_ms: int = 60_000
    completion_threshold: float = 0.95
    idle_ms: int = IDLE_MS


class RoomState(msgspec.Struct, array_like=True):
    """The snapshot of a room."""

    status: Status = "scheduled"
    name: str | None = None
    product_id: str | None = None
    scheduled_start: int | None = None
    scheduled_end: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    peak: int = 0
    epoch: int = 0
    empty_since: int | None = None
    members: dict[str, Member] = {}
    sessions: dict[str, WatchState] = {}
    interactions: int = 0
    unwritten: list[InteractionRow] = []
    last_leave: int = 0

    def times(self) -> ClassTimes:
        """What bounds the class."""
        return ClassTimes(self.scheduled_start, self.scheduled_end, self.started_at, self.ended_at)


class Room:
    """The machine. `wake_at` is when it wants a `Tick`, or earlier (Unix ms)."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        self.room_id = room_id
        self.state = state
        self.rules = rules
        self.diffs = DiffLog()
        self.incarnated = False
        """Whether `Incarnated` has been posted for this machine; the shell's mark."""
        self.present = 0
        self.wake_at = NEVER
        self._wakes: list[tuple[int, str, str]] = []
        self._armed: dict[tuple[str, str], int] = {}
        self._http: dict[tuple[str, str], str] = {}
        self._dirty_members: set[str] = set()
        self._dirty_sessions: set[str] = set()
        self._handlers: dict[type[Event], Callable[[Any, int], list[Effect]]] = {
            Tick: self._tick,
            Incarnated: self._incarnated,
            Scheduled: self._scheduled,
            Started: self._started,
            Finished: self._finished,
            Cancelled: self._cancelled,
            Joined: self._joined,
            Described: self._described,
            Dropped: self._dropped,
            Departed: self._departed,
            RoomSampled: self._sampled,
            Posted: self._posted,
            Interacted: self._interacted,
        }
        self._derive()

    def _derive(self) -> None:
        """Everything that follows from the state and is kept beside it for speed."""
        for user_id, member in self.state.members.items():
            self.present += member.present
            if member.present:
                self.diffs.seed(self._announced(member))
            deadline = member.deadline()
            if deadline is not None:
                self._arm("member", user_id, deadline)
        for session_id, session in self.state.sessions.items():
            self._index(session_id, session)
        self._plan()

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

    # -- time ---------------------------------------------------------------------------------------------------------

    def _tick(self, event: Tick, now: int) -> list[Effect]:
        return []

    def _advance(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        while True:
            wake = self._wakes[0][0] if self._wakes else NEVER
            turn = self._cycle_deadline()
            if wake > now and turn > now:
                break
            # Each at its own moment and in their order: who had left before the room turned did not turn it.
            if turn < wake:
                effects += self._cycle_due(turn)
                continue
            _, kind, key = heapq.heappop(self._wakes)
            self._armed.pop((kind, key), None)
            effects += self._member_due(key, wake) if kind == "member" else self._session_due(key, wake)
        due = self.diffs.deadline()
        if due is not None and due <= now:
            self.diffs.cut(now)
            effects.append(DiffDue())
        return effects

    def _member_due(self, user_id: str, now: int) -> list[Effect]:
        member = self.state.members[user_id]
        deadline = member.deadline()
        if deadline is None:
            return []
        if deadline > now:
            self._arm("member", user_id, deadline)
            return []
        if member.lapse(now):
            self._gone(member)
        self._dirty_members.add(user_id)
        deadline = member.deadline()
        if deadline is not None:
            self._arm("member", user_id, deadline)
        return [JOURNAL]

    def _session_due(self, session_id: str, now: int) -> list[Effect]:
        session = self.state.sessions.get(session_id)
        if session is None or session.ended_at is not None:
            return []
        source = self.state.members[session.user_id].sources.get(session_id)
        if source is not None and source.connected:
            # Armed again when the connection goes.
            return []
        deadline = session.heard_at + self.rules.idle_ms
        if deadline > now:
            self._arm("session", session_id, deadline)
            return []
        self._end_session(session_id, session, session.track.at if session.track.at >= 0 else session.opened_at)
        return [JOURNAL, SessionEnded(session_id)]

    def _cycle_deadline(self) -> int:
        """When the clock alone will turn the room."""
        state = self.state
        if state.status == "scheduled" and self.present and state.scheduled_start is not None:
            return state.scheduled_start - OPENS_BEFORE_MS
        if state.status == "live" and not self.present and state.scheduled_end is not None:
            return max(state.scheduled_end, state.empty_since or 0) + IDLE_END_MS
        return NEVER

    def _cycle_due(self, at: int) -> list[Effect]:
        if self.state.status == "scheduled":
            return [JOURNAL, *self._go_live(at)]
        # The class was over when the last one had gone, not ten minutes later.
        return [JOURNAL, *self._finish(at - IDLE_END_MS)]

    def _arm(self, kind: str, key: str, at: int) -> None:
        armed = self._armed.get((kind, key))
        if armed is not None and armed <= at:
            return
        self._armed[kind, key] = at
        heapq.heappush(self._wakes, (at, kind, key))
        if at < self.wake_at:
            self.wake_at = at

    def _plan(self) -> None:
        wakes = [self._cycle_deadline(), self.diffs.deadline()]
        wakes.append(self._wakes[0][0] if self._wakes else None)
        self.wake_at = min(wake for wake in wakes if wake is not None)

    # -- life cycle ---------------------------------------------------------------------------------------------------

    def _incarnated(self, event: Incarnated, now: int) -> list[Effect]:
        self.state.epoch += 1
        for user_id, member in self.state.members.items():
            if member.sources:
                self._disconnect(member)
                member.restart(now + self.rules.grace_ms)
                self._dirty_members.add(user_id)
                deadline = member.deadline()
                if deadline is not None:
                    self._arm("member", user_id, deadline)
        self._plan()
        return [JOURNAL]

    def _disconnect(self, member: Member) -> None:
        """The member's connections go: from here on their sessions wait for samples like all others."""
        for session_id, source in member.sources.items():
            if source.connected:
                self._silence(session_id, self.state.sessions[session_id], source.evidence)

    def _silence(self, session_id: str, session: WatchState, evidence: int) -> None:
        session.heard_at = max(session.heard_at, evidence)
        self._arm("session", session_id, session.heard_at + self.rules.idle_ms)

    def _scheduled(self, event: Scheduled, now: int) -> list[Effect]:
        state = self.state
        state.name, state.product_id = event.name, event.product_id
        state.scheduled_start, state.scheduled_end = event.scheduled_start, event.scheduled_end
        # Lateness follows the schedule: every learner's figures are written anew.
        self._dirty_members.update(state.members)
        effects: list[Effect] = [JOURNAL, *self._open_if_due(now)] if self.present else [JOURNAL]
        self._plan()
        return effects

    def _open_if_due(self, now: int) -> list[Effect]:
        """Somebody came: the first one at or after 15 minutes before the scheduled start opens the class."""
        state = self.state
        if state.status != "scheduled":
            return []
        if state.scheduled_start is not None and now < state.scheduled_start - OPENS_BEFORE_MS:
            return []
        return self._go_live(now)

    def _go_live(self, at: int) -> list[Effect]:
        state = self.state
        state.status = "live"
        state.ended_at = None
        if state.started_at is None:
            state.started_at = at
        if not self.present:
            state.empty_since = at
        state.peak = max(state.peak, self.present)
        self._dirty_members.update(state.members)
        # A class that is reopened is no longer the end of its sessions.
        self._dirty_sessions.update(state.sessions)
        self._plan()
        return [RoomTurned("live", at)]

    def _started(self, event: Started, now: int) -> list[Effect]:
        state = self.state
        if state.status == "cancelled":
            return [Refused("room_cancelled", "the class was cancelled")]
        if state.status == "live":
            return []
        if state.status == "ended" and not self._may_reopen(now):
            return [Refused("room_ended", "the class is over and its scheduled time has passed")]
        return [JOURNAL, *self._go_live(min(event.at, now))]

    def _may_reopen(self, now: int) -> bool:
        start, end = self.state.scheduled_start, self.state.scheduled_end
        return (start is None or now >= start - OPENS_BEFORE_MS) and (end is None or now <= end + IDLE_END_MS)

    def _finished(self, event: Finished, now: int) -> list[Effect]:
        if self.state.status == "cancelled":
            return [Refused("room_cancelled", "the class was cancelled")]
        if self.state.status == "ended":
            return []
        return [JOURNAL, *self._finish(min(event.at, now))]

    def _finish(self, at: int) -> list[Effect]:
        state = self.state
        state.status = "ended"
        state.ended_at = at if state.started_at is None else max(at, state.started_at)
        # Segments stand at their last sample. They stay open for samples that were kept offline: a segment cut here
        # would lose what is shorter than half a second on either side of the cut.
        self._dirty_sessions.update(state.sessions)
        for member in state.members.values():
            self._disconnect(member)
            if member.finish(state.ended_at):
                self._gone(member)
        self._dirty_members.update(state.members)
        self._plan()
        return [RoomTurned("ended", state.ended_at)]

    def _cancelled(self, event: Cancelled, now: int) -> list[Effect]:
        state = self.state
        # A class with presence or an end is never cancelled (events.md, more readings 4).
        if state.status in ("ended", "cancelled") or state.members:
            return []
        state.status = "cancelled"
        self._plan()
        return [JOURNAL, RoomTurned("cancelled", event.at)]

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
            session = session if session is not None and session.ended_at is None else None
        if session is not None and event.resume is not None:
            session_id = event.resume
        elif state.status == "ended":
            return [Refused("room_ended", "the class is over; only kept samples of its sessions are taken")]
        resumed = session is not None
        if session is None:
            session = self._begin(session_id, event.user_id, event.device_id, STREAM, event.interval, now)
        session.track.tell(event.interval)
        effects: list[Effect] = [JOURNAL]
        member = self._member(event.user_id, event.role, event.name)
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

    def _index(self, session_id: str, session: WatchState) -> None:
        if session.ended_at is not None:
            return
        self._arm("session", session_id, session.heard_at + self.rules.idle_ms)
        if session.door == HTTP and not session.superseded:
            self._http[session.user_id, session.device_id] = session_id

    def _member(self, user_id: str, role: str, name: str | None) -> Member:
        member = self.state.members.get(user_id)
        if member is None:
            member = self.state.members[user_id] = Member(user_id, role)
        member.role = role
        if name is not None:
            member.name = name
        return member

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

    def _end_session(self, session_id: str, session: WatchState, at: int) -> None:
        session.track.close()
        session.ended_at = at
        self._dirty_sessions.add(session_id)
        key = (session.user_id, session.device_id)
        if self._http.get(key) == session_id:
            del self._http[key]

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
        member = self._member(event.user_id, event.role, event.name)
        effects: list[Effect] = [JOURNAL]
        if fresh:
            session.heard_at = now
            self._prove(member, proofs, HTTP, event.device_id)
            effects += self._hold(member, session_id, session, event, now)
        if event.leave:
            self._depart(session_id, session, now)
            effects.append(SessionEnded(session_id))
        self._dirty_sessions.add(session_id)
        self._dirty_members.add(event.user_id)
        effects.append(self._answer(session_id, session, member, now, resumed=resumed))
        self._plan()
        return effects

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
        if session_id is None or session is None or session.ended_at is not None:
            return event.fresh_id, None, Track(event.interval, ClientClock(), told=event.interval)
        return session_id, session, session.track

    def _hold(self, member: Member, session_id: str, session: WatchState, event: Posted, now: int) -> list[Effect]:
        at = session.track.at
        until = at + silence_ms(session.track.interval)
        if self.state.status == "ended" or until <= now:
            return []
        if member.hold_by_sample(session_id, event.device_id, at, until):
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
        state.unwritten.append(InteractionRow(self.room_id, session.user_id, event.kind, key, event.value, now))
        return [JOURNAL, Taken()]

    # -- who is here --------------------------------------------------------------------------------------------------

    def _came(self, member: Member, now: int) -> None:
        self.present += 1
        self.state.empty_since = None
        if self.state.status == "live":
            self.state.peak = max(self.state.peak, self.present)
        self.diffs.join(self._announced(member))
        self._wake_for_diff(now)

    def _gone(self, member: Member) -> None:
        self.present -= 1
        # Who lapses last need not be who was there last.
        self.state.last_leave = max(self.state.last_leave, member.evidence)
        if not self.present:
            self.state.empty_since = self.state.last_leave
        self.diffs.leave(member.user_id, member.evidence)
        self._wake_for_diff(member.evidence)

    def _tell(self, member: Member, now: int) -> None:
        before = self.diffs.announced.get(member.user_id)
        if before is None or (before.name, before.metadata) != (member.name, member.metadata):
            self.diffs.update(self._announced(member))
            self._wake_for_diff(now)

    def _wake_for_diff(self, now: int) -> None:
        due = self.diffs.deadline()
        if due is not None:
            self.wake_at = min(self.wake_at, max(due, now))

    def _announced(self, member: Member) -> Announced:
        return Announced(member.user_id, member.name, member.role, member.metadata, member.since or member.evidence)

    def late(self, member: Member, now: int) -> bool:
        """Whether the learner came late, by what is known `now`."""
        times = self.state.times()
        arrived = attendance.arrival(self._presences(member, now), times)
        return attendance.is_late(arrived, times, self.rules.late_grace_ms)

    def _presences(self, member: Member, now: int) -> list[int]:
        """Presence for questions of arrival: whoever is here now has arrived, also in this very millisecond."""
        if member.since is None:
            return member.past
        united = member.past.copy()
        ranges.add(united, member.since, max(now, member.since) + 1, FAR)
        return united

    # -- coming back --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """The state comes out of the store, whose rows were written with it: nothing of it waits to be written.

        Sessions that are over stay until the next checkpoint: a journaled input may name one, and must find it over,
        not unknown.
        """
        state = self.state
        state.unwritten.clear()
        for member in state.members.values():
            member.unwritten.clear()
        for session_id, session in state.sessions.items():
            session.track.closed.clear()
            if session.ended_at is not None:
                self._dirty_sessions.add(session_id)

    def mark_all(self) -> None:
        """It is not known what the store has of this state: write all of it with the next checkpoint."""
        self._dirty_members.update(self.state.members)
        self._dirty_sessions.update(self.state.sessions)

    def take_over(self, other: Room) -> None:
        """Go on from another machine of the same state: what it had to write is written from here."""
        self._dirty_members |= other._dirty_members
        self._dirty_sessions |= other._dirty_sessions

    # -- writing ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> RoomState:
        """All that a rebuilt actor needs."""
        return self.state

    def rows(self) -> Rows:
        """What a checkpoint writes; `written` or `unwritten` must follow before the next call.

        Open presences run to their latest evidence, not to the clock: the same inputs give the same rows.
        """
        state = self.state
        members = [state.members[user_id] for user_id in sorted(self._dirty_members)]
        sessions = [(key, state.sessions[key]) for key in sorted(self._dirty_sessions) if key in state.sessions]
        self._dirty_members, self._dirty_sessions = set(), set()
        return Rows(
            sessions=[self.session_row(key, session) for key, session in sessions],
            segments=[row for key, session in sessions for row in segment_rows(key, session, self.room_id)],
            presences=[row for member in members for row in member.rows(self.room_id)],
            attendances=[self.attendance(member) for member in members],
            interactions=list(state.unwritten),
            room=self.row(),
        )

    def session_row(self, session_id: str, session: WatchState) -> SessionRow:
        """A session's figures so far."""
        row = session_row(session_id, session, self.room_id, self.rules.completion_threshold)
        if row.ended_at is None and self.state.ended_at is not None:
            # Late samples may still come, but the class is over for whoever reads the row.
            return msgspec.structs.replace(row, ended_at=max(self.state.ended_at, row.started_at))
        return row

    def attendance(self, member: Member, now: int | None = None) -> AttendanceRow:
        """A learner's figures in this class: up to `now`, or up to the latest evidence."""
        times = self.state.times()
        presences = member.presences(now or 0)
        arrived = attendance.arrival(self._presences(member, now or 0), times)
        counted = self._counted(member, now)
        return AttendanceRow(
            room_id=self.room_id,
            user_id=member.user_id,
            name=member.name,
            role=member.role,
            first_join=presences[0] if presences else member.since,
            last_leave=presences[-1] if presences else member.since,
            presence_ms=counted,
            late_ms=attendance.late_ms(arrived, times),
            late=attendance.is_late(arrived, times, self.rules.late_grace_ms),
            attended=counted >= self.rules.attended_min_ms,
        )

    def _counted(self, member: Member, now: int | None) -> int:
        until = FAR if now is None else now
        return attendance.presence_ms(member.presences(now or 0), self.state.times(), until)

    def row(self, now: int | None = None) -> RoomRow:
        """The room's own row, with figures up to `now` or up to the latest evidence."""
        state = self.state
        return RoomRow(
            room_id=self.room_id,
            name=state.name,
            product_id=state.product_id,
            state=state.status,
            scheduled_start=state.scheduled_start,
            scheduled_end=state.scheduled_end,
            started_at=state.started_at,
            ended_at=state.ended_at,
            peak=state.peak,
            attended=sum(
                member.role == "learner" and self._counted(member, now) >= self.rules.attended_min_ms
                for member in state.members.values()
            ),
        )

    def written(self, rows: Rows) -> None:
        """Those rows are durable: forget what the store keeps from now on."""
        state = self.state
        numbers: dict[str, set[int]] = {}
        for row in rows.segments:
            if not row.open:
                numbers.setdefault(row.session_id, set()).add(row.segment.number)
        for session_id, closed in numbers.items():
            if session_id in state.sessions:
                state.sessions[session_id].track.forget(closed)
        closed_rows: dict[str, set[tuple[int, int]]] = {}
        for presence in rows.presences:
            if not presence.open:
                closed_rows.setdefault(presence.user_id, set()).add((presence.number, presence.left_at))
        for user_id, keys in closed_rows.items():
            state.members[user_id].written(keys)
        for session_row_ in rows.sessions:
            session = state.sessions.get(session_row_.session_id)
            over = session is not None and session.ended_at is not None
            if over and session_row_.session_id not in self._dirty_sessions:
                del state.sessions[session_row_.session_id]
        del state.unwritten[: len(rows.interactions)]

    def unwritten(self, rows: Rows) -> None:
        """Those rows did not become durable: write them with the next checkpoint."""
        self._dirty_sessions.update(row.session_id for row in rows.sessions)
        self._dirty_members.update(row.user_id for row in rows.attendances)


def begins_anew(track: Track, samples: list[Sample]) -> bool:
    """Whether a post without `session_id` is another session: its `seq` 1 is not the one we know (reading 4)."""
    first = samples[0] if samples else None
    return first is not None and first.seq == 1 and track.first_seq_at >= 0 and first.at != track.first_seq_at
