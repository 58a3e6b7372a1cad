"""Repair: the conference server's own list of a room, beside what its messages told (plugnmeet.md, reading 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.machines import places
from actors.machines.conference import YOUNG_MS, Conference, ConferenceSession
from actors.machines.effects import JOURNAL, Corrected, Effect, Unplaced
from actors.machines.events import Polled, Seen
from actors.machines.stays import Stay, base_identity

if TYPE_CHECKING:
    from actors.machines.conference_rules import ConferenceRules, HostRoom


class Polls:
    """The handler of polls; part of a room's machine."""

    def __init__(self, room: HostRoom, rules: ConferenceRules) -> None:
        self._room = room
        self._rules = rules

    @property
    def _conference(self) -> Conference:
        return self._room.state.conference

    def polled(self, event: Polled, now: int) -> list[Effect]:
        if not event.active:
            return self._polled_inactive(event, now)
        conference = self._conference
        if not places.has_session(conference, event.sid):
            return [Unplaced(places.SESSIONS)]
        conference.inactive_since = None
        session = conference.session(event.sid, event.at)
        session.absent_at = None
        found = 0
        here = {each.participant_sid for each in event.seen}
        touched: set[str] = set()
        for seen in event.seen:
            found += self._seen(event, session, seen, touched, now)
        for owner, member in self._room.state.members.items():
            for participant_sid, stay in member.stays.items():
                if stay.sid == event.sid and participant_sid not in here:
                    found += self._missed(stay, event.at)
                    touched.add(owner)
        for owner in touched:
            self._rules.settle(self._room.state.members[owner], now)
        self._room.changed(touched)
        effects = self._rules.follow(session, now)
        return [*effects, Corrected(found)] if found else effects

    def _seen(self, event: Polled, session: ConferenceSession, seen: Seen, touched: set[str], now: int) -> int:
        """One participant of the list; returns how many things had not been told."""
        conference = self._conference
        if seen.participant_sid in conference.hidden:
            return 0
        if seen.user_id is not None:
            self._alias(base_identity(seen.identity), seen.user_id, now)
        owner = conference.owners.get(seen.participant_sid)
        known = owner is not None
        if not known and seen.joined_at > event.at - YOUNG_MS:
            return 0
        if not places.has_stay(conference, self._room.state.members, seen.participant_sid, seen.identity):
            return 0
        member, stay = self._rules.stay_of(
            event.sid, seen.participant_sid, seen.identity, seen.joined_at, seen.name, moderator=seen.moderator
        )
        member.begin(stay, seen.joined_at)
        session.start(stay.joined_at)
        session.touch(seen.joined_at)
        missed = stay.missed and stay.left_at is None
        if event.at > stay.seen_at:
            stay.seen_at, stay.dirty = event.at, True
        stay.telephone = stay.telephone or seen.telephone
        touched.add(member.user_id)
        return 1 if missed or not known else 0

    def _missed(self, stay: Stay, at: int) -> bool:
        """A participant who is open here is not on the list: closed where they were seen last."""
        if stay.joined_at > at - YOUNG_MS or stay.seen_at >= at:
            return False
        stay.missed_at = at if stay.missed_at is None else max(stay.missed_at, at)
        return stay.end is None

    def _polled_inactive(self, event: Polled, now: int) -> list[Effect]:
        conference, state = self._conference, self._room.state
        counted = conference.counted(state.scheduled_start, state.scheduled_end)
        if not counted or self._rules.sessions[counted[-1][0]][1] is not None:
            return []
        session = counted[-1][1]
        if conference.inactive_since is None or (session.started_at or 0) > conference.inactive_since:
            conference.inactive_since = event.at
            return [JOURNAL]
        session.absent_at = max(conference.inactive_since, session.started_at or 0)
        conference.inactive_since = None
        return [*self._rules.follow(session, now), Corrected(1)]

    def _alias(self, base: str, user_id: str, now: int) -> None:
        """An identity turns out to be a user's: what is stored under it is theirs (reading 13)."""
        conference, room = self._conference, self._room
        if base == user_id or conference.aliases.get(base) == user_id or not places.has_alias(conference, base):
            return
        conference.aliases[base] = user_id
        self._rules.tracks.setdefault(user_id, []).extend(self._rules.tracks.pop(base, []))
        former = room.state.members.get(base)
        if former is None:
            return
        member = room.state.members.get(user_id) or room.member(user_id, former.role, former.name)
        member.name = member.name or former.name
        moved = {key: stay for key, stay in former.stays.items() if base_identity(stay.identity) == base}

        def give() -> None:
            for key, stay in moved.items():
                del former.stays[key]
                former.empty_row(stay)

        def take() -> None:
            for key, stay in moved.items():
                member.take_stay(key, stay)
                conference.owners[key] = user_id
            member.talk_ms += former.talk_ms
            member.hand_raises += former.hand_raises
            member.polls_answered += former.polls_answered
            former.talk_ms = former.hand_raises = former.polls_answered = 0

        room.around(former, give, now)
        room.around(member, take, now)
        room.changed([base, user_id])
        if not former.stays and not former.matters:
            room.forget(former, now)
