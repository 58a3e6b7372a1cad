r"""What others tell of a room: the conference server's messages and polls, and what other systems saw.

The room's life, as far as the conference server decides it, follows from all sessions that count, whatever the order in
which their messages come (plugnmeet.md, readings 4 and 5):

    not yet live        a session that counts has started                       -> live
    live                every session that counts is over                       -> ended, at the latest end
    ended by a session  another end is known now                                -> corrected
                        a session that counts is not over                       -> live again
    ended by others     a session began after that end, and is not over         -> live again
    cancelled           somebody was present                                    -> as if it never had been cancelled
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

from actors.machines import places
from actors.machines.conference import Conference, ConferenceSession, DeviceTrack, RecordingState
from actors.machines.effects import JOURNAL, Effect, Unplaced
from actors.machines.events import (
    Analysed,
    Event,
    ParticipantJoined,
    ParticipantLeft,
    Polled,
    RecordingTold,
    SessionTold,
    TrackTold,
    Witnessed,
)
from actors.machines.polls import Polls
from actors.machines.presence import Member
from actors.machines.state import BY_CONFERENCE, BY_IDLENESS, RoomState
from actors.machines.stays import Stay, base_identity, supersede

PARTICIPANT: Final = "participant"
MODERATOR: Final = "moderator"
LEARNER: Final = "learner"
ELSEWHERE: Final = "amqp"
"""Source of presence that another system saw."""


class HostRoom(Protocol):
    """What is needed of the room."""

    state: RoomState

    @property
    def grace_ms(self) -> int: ...

    def member(self, user_id: str, role: str, name: str | None) -> Member: ...

    def changed(self, user_ids: Iterable[str]) -> None: ...

    def around(self, member: Member, change: Callable[[], None], now: int) -> None: ...

    def forget(self, member: Member, now: int) -> None: ...

    def go_live(self, at: int) -> list[Effect]: ...

    def finish(self, at: int, source: str) -> list[Effect]: ...

    def correct(self, started_at: int | None, ended_at: int | None) -> None: ...


class ConferenceRules:
    """The handlers; part of a room's machine."""

    def __init__(self, room: HostRoom) -> None:
        self._room = room
        self.tracks: dict[str, list[DeviceTrack]] = {}
        """By user; beside the state for speed."""
        for track in self._conference.tracks.values():
            self._index(track)
        self.sessions = self._sessions()
        """Whether each session lies in the class's time, and when it was over, as far as is known now."""
        self.handlers: dict[type[Event], Callable[[Any, int], list[Effect]]] = {
            SessionTold: partial(self._placed, self._session_told),
            ParticipantJoined: partial(self._placed, self._participant_joined),
            ParticipantLeft: partial(self._placed, self._participant_left),
            TrackTold: partial(self._placed, self._track_told),
            RecordingTold: partial(self._placed, self._recording_told),
            Polled: Polls(room, self).polled,
            Analysed: self._analysed,
            Witnessed: self._witnessed,
        }

    def part(self) -> None:
        """The room is put away (`RoomLife.part`)."""
        self.handlers.clear()
        del self._room

    @property
    def _conference(self) -> Conference:
        return self._room.state.conference

    def _placed(self, take: Callable[[Any, int], list[Effect]], event: places.Message, now: int) -> list[Effect]:
        """A message, where there is a place for it."""
        full = places.beyond(self._conference, self._room.state.members, event)
        return [Unplaced(full)] if full else take(event, now)

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _session_told(self, event: SessionTold, now: int) -> list[Effect]:
        session = self._conference.session(event.sid, event.at, breakout=event.breakout)
        if event.began_at is not None:
            session.touch(min(event.began_at, event.at))
        if event.phase == "started":
            session.start(event.at)
        elif event.phase == "ended":
            session.ended_at = event.at if session.ended_at is None else min(session.ended_at, event.at)
        state = self._room.state
        if state.name is None and event.title and not session.breakout:
            state.name = event.title
        return self.follow(session, now)

    def follow(self, session: ConferenceSession, now: int) -> list[Effect]:
        """What a change of `session` means for stays and for the room."""
        effects = self.resettle(now)
        state = self._room.state
        if not session.within(state.scheduled_start, state.scheduled_end):
            effects.append(Unplaced())
        return effects

    def resettle(self, now: int) -> list[Effect]:
        """Work out everything anew that sessions and the schedule decide."""
        sessions = self._sessions()
        changed = {sid for sid, session in sessions.items() if self.sessions.get(sid) != session}
        if changed:
            self.sessions.update(sessions)
            for member in self._room.state.members.values():
                if any(stay.sid in changed for stay in member.stays.values()):
                    self.settle(member, now)
            self._room.changed(self.tracks.keys() & self._room.state.members.keys())
        return [JOURNAL, *self._cycle(now)]

    def settle_all(self, now: int) -> None:
        """Every stay anew: sessions, the schedule or the room's own state changed."""
        for member in self._room.state.members.values():
            if member.stays:
                self.settle(member, now)

    def _sessions(self) -> dict[str, tuple[bool, int | None]]:
        state = self._room.state
        start, end = state.scheduled_start, state.scheduled_end
        ends = self._conference.ends(start, end)
        return {sid: (session.within(start, end), ends[sid]) for sid, session in self._conference.sessions.items()}

    def _cycle(self, now: int) -> list[Effect]:
        room, state = self._room, self._room.state
        counted = self._conference.counted(state.scheduled_start, state.scheduled_end)
        if not counted:
            return []
        if state.status == "cancelled" and not any(member.was_here for member in state.members.values()):
            return []
        begun = min(session.started_at or now for _, session in counted)
        known = [self.sessions[sid][1] for sid, _ in counted]
        over = None if None in known else max(end for end in known if end is not None)
        if over is not None and state.status in ("scheduled", "cancelled"):
            return [*room.go_live(begun), *room.finish(over, BY_CONFERENCE)]
        if state.status in ("scheduled", "cancelled"):
            return room.go_live(begun)
        room.correct(begun, None)
        if state.status == "live":
            reopened = state.reopened_at is not None and over is not None and over <= state.reopened_at
            return [] if over is None or reopened else room.finish(over, BY_CONFERENCE)
        last = counted[-1][1].started_at or 0
        return self._when_ended(over, last)

    def _when_ended(self, over: int | None, last_began: int) -> list[Effect]:
        room, state = self._room, self._room.state
        if over is not None:
            if state.ended_by in (BY_CONFERENCE, BY_IDLENESS):
                room.correct(None, over)
            return []
        after = state.ended_at is not None and last_began > state.ended_at
        if after or state.ended_by == BY_CONFERENCE:
            return room.go_live(last_began)
        return self._when_idle(last_began) if state.ended_by == BY_IDLENESS else []

    def _when_idle(self, last_began: int) -> list[Effect]:
        """The class was taken to be over since nobody was there; told afterwards, somebody was, or still is."""
        state = self._room.state
        stays = [stay for member in state.members.values() for stay in member.stays.values() if stay.counts]
        if any(stay.end is None for stay in stays):
            return self._room.go_live(last_began)
        latest = max((stay.until_when(0) for stay in stays), default=0)
        if state.ended_at is not None and latest > state.ended_at:
            self._room.correct(None, latest)
        return []

    # -- participants -------------------------------------------------------------------------------------------------

    def _participant_joined(self, event: ParticipantJoined, now: int) -> list[Effect]:
        session = self._conference.session(event.sid, event.at, breakout=event.breakout)
        session.touch(event.told_at)
        if self._is_hidden(event, now):
            return self.follow(session, now)
        session.start(event.at)
        member, stay = self._stay(event, event.at)
        member.begin(stay, event.at)
        stay.seen_at = max(stay.seen_at, event.at)
        stay.telephone = stay.telephone or event.telephone
        self.settle(member, now)
        return self.follow(session, now)

    def _participant_left(self, event: ParticipantLeft, now: int) -> list[Effect]:
        session = self._conference.session(event.sid, event.at, breakout=event.breakout)
        if self._is_hidden(event, now):
            return self.follow(session, now)
        joined_at = event.at if event.joined_at is None else min(event.joined_at, event.at)
        session.touch(joined_at)
        if event.joined_at is not None:
            session.start(joined_at)
        member, stay = self._stay(event, joined_at)
        if stay.left_at is None or event.at < stay.left_at:
            stay.left_at, stay.reason, stay.dirty = event.at, event.reason, True
        member.begin(stay, None if event.joined_at is None else joined_at)
        stay.telephone = stay.telephone or event.telephone
        self.settle(member, now)
        return self.follow(session, now)

    def _is_hidden(self, event: ParticipantJoined | ParticipantLeft, now: int) -> bool:
        hidden = self._conference.hidden
        if not event.hidden:
            return event.participant_sid in hidden
        hidden[event.participant_sid] = True
        # Their cameras count no more, with or without a stay.
        self._room.changed({self._conference.user_of(base_identity(event.identity))} & self._room.state.members.keys())
        self._drop_stay(event.participant_sid, now)
        return True

    def _drop_stay(self, participant_sid: str, now: int) -> None:
        """An earlier message did not say that this one is hidden."""
        owner = self._conference.owners.pop(participant_sid, None)
        if owner is None:
            return
        member = self._room.state.members[owner]
        stay = member.stays[participant_sid]

        def drop() -> None:
            del member.stays[participant_sid]
            member.empty_row(stay)

        self._room.around(member, drop, now)
        # Another stay may have been taken for the one before it.
        self.settle(member, now)
        if not member.stays and not member.matters:
            self._room.forget(member, now)

    def _stay(self, event: ParticipantJoined | ParticipantLeft, joined_at: int) -> tuple[Member, Stay]:
        return self.stay_of(
            event.sid, event.participant_sid, event.identity, joined_at, event.name, moderator=event.moderator
        )

    def stay_of(
        self, sid: str, participant_sid: str, identity: str, joined_at: int, name: str | None, *, moderator: bool
    ) -> tuple[Member, Stay]:
        conference, state = self._conference, self._room.state
        base = base_identity(identity)
        user_id = conference.owners.get(participant_sid) or conference.user_of(base)
        member = state.members.get(user_id)
        if member is None:
            member = self._room.member(user_id, PARTICIPANT, None)
        if member.role == PARTICIPANT and moderator:
            member.role = MODERATOR
        if member.name is None:
            member.name = name
        stay = member.stay(participant_sid, sid, identity, joined_at)
        if participant_sid not in conference.owners:
            conference.owners[participant_sid] = user_id
            own = [each.seen_at for each in self.tracks.get(user_id, ()) if each.participant_sid == participant_sid]
            stay.seen_at = max([stay.seen_at, *own])
        return member, stay

    def settle(self, member: Member, now: int) -> None:
        """Work the member's stays out anew, and whether they are present."""
        state = self._room.state
        stays = list(member.stays.values())
        # That nobody was there is no end: whoever was there after all is told later.
        closed = state.ended_at if state.status == "ended" and state.ended_by != BY_IDLENESS else None

        def settle() -> None:
            for stay, following in zip(stays, supersede(stays), strict=True):
                counts, session_end = self.sessions.get(stay.sid, (True, None))
                others = [session_end, following, closed]
                stay.settle(others, self._room.grace_ms, counts=counts)
                stay.hold(now, open_class=state.status in ("scheduled", "live"))

        self._room.around(member, settle, now)

    # -- devices, recordings, analytics -------------------------------------------------------------------------------

    def _track_told(self, event: TrackTold, now: int) -> list[Effect]:
        conference = self._conference
        session = conference.session(event.sid, event.at, breakout=event.breakout)
        track = conference.tracks.get(event.track_sid)
        if track is None:
            track = DeviceTrack(event.sid, event.participant_sid, event.identity, event.device)
            conference.tracks[event.track_sid] = track
            self._index(track)
        track.device = track.device or event.device
        if event.published:
            track.published_at = _earliest(track.published_at, event.at)
        else:
            track.unpublished_at = _earliest(track.unpublished_at, event.at)
        track.seen_at = max(track.seen_at, event.at)
        owner = conference.owners.get(event.participant_sid)
        if owner is not None:
            member = self._room.state.members[owner]
            stay = member.stays[event.participant_sid]
            if event.at > stay.seen_at:
                stay.seen_at, stay.dirty = event.at, True
                if stay.missed_at is not None:
                    self.settle(member, now)
        user_id = conference.user_of(base_identity(event.identity))
        self._room.changed({owner or user_id, user_id} & self._room.state.members.keys())
        return self.follow(session, now)

    def _index(self, track: DeviceTrack) -> None:
        conference = self._conference
        user_id = conference.user_of(base_identity(track.identity))
        self.tracks.setdefault(user_id, []).append(track)

    def _recording_told(self, event: RecordingTold, now: int) -> list[Effect]:
        conference = self._conference
        session = conference.session(event.sid, event.at)
        recording = conference.recordings.get(event.record_id)
        if recording is None:
            recording = conference.recordings[event.record_id] = RecordingState(event.kind)
        if event.started:
            recording.started_at = _earliest(recording.started_at, event.at)
        else:
            recording.ended_at = _earliest(recording.ended_at, event.at)
        recording.failure = event.failure or recording.failure
        return self.follow(session, now)

    def _analysed(self, event: Analysed, now: int) -> list[Effect]:
        conference = self._conference
        if event.artifact_id in conference.artifacts:
            return []
        if not places.has_artifact(conference):
            return [Unplaced(places.ARTIFACTS)]
        conference.artifacts[event.artifact_id] = True
        for figures in event.users:
            base = base_identity(figures.identity)
            user_id = conference.aliases.get(base) or figures.user_id or base
            member = self._room.state.members.get(user_id) or self._room.state.members.get(base)
            if member is None:
                # The analytics say what members did, not who was there: presence is untouched (reading 14).
                member = self._room.member(user_id, PARTICIPANT, None)
            member.talk_ms += figures.talk_ms
            member.hand_raises += figures.hand_raises
            member.polls_answered += figures.polls_answered
            self._room.changed([member.user_id])
        return [JOURNAL]

    def _witnessed(self, event: Witnessed, now: int) -> list[Effect]:
        state = self._room.state
        member = state.members.get(event.user_id) or self._room.member(event.user_id, LEARNER, None)
        member.prove(event.start, event.end, ELSEWHERE, "")
        self._room.changed([event.user_id])
        if state.status == "cancelled":
            # A class with presence is never cancelled (events.md, more readings 4).
            state.status = "scheduled"
            if state.started_at is not None:
                return [JOURNAL, *self._room.go_live(state.started_at)]
        return [JOURNAL]


def _earliest(known: int | None, at: int) -> int:
    return at if known is None else min(known, at)
