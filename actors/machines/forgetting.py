"""A learner's right to be forgotten: everything a room knows of one person goes, and its figures follow.

What waits to be written of them (`unwritten` interactions) stays until the next checkpoint has written it, since a
checkpoint under way counts its rows by their place. So whoever forgets asks twice, with a checkpoint in between
(`server/learners/`). Viewers are told that the member left, as of anybody who leaves.
"""

from __future__ import annotations

from actors.machines.effects import JOURNAL, Effect, SessionEnded
from actors.machines.events import Forgotten
from actors.machines.here import RoomHere
from actors.machines.state import RoomState
from actors.machines.stays import base_identity


class RoomForgets(RoomHere):
    """A room that can forget a member."""

    def _forgotten(self, event: Forgotten, now: int) -> list[Effect]:
        identities = self._identities(event.user_id)
        ended = self._forget_sessions(event.user_id)
        for identity in identities:
            self._forget_member(identity)
        self._forget_in_conference(identities)
        self._wake_for_diff(now)
        self._plan()
        return [JOURNAL, *map(SessionEnded, ended)]

    def _identities(self, user_id: str) -> set[str]:
        """The learner's id, and what the conference server calls them."""
        aliases = self.state.conference.aliases
        return {user_id, *(identity for identity, user in aliases.items() if user == user_id)}

    def _forget_sessions(self, user_id: str) -> list[str]:
        sessions = self.state.sessions
        ended = [session_id for session_id, session in sessions.items() if session.user_id == user_id]
        for session_id in ended:
            del sessions[session_id]
            self._dirty_sessions.discard(session_id)
        for key in [key for key in self._http if key[0] == user_id]:
            del self._http[key]
        for key in [key for key in self._mobile if key[0] == user_id]:
            del self._mobile[key]
        return ended

    def _forget_member(self, user_id: str) -> None:
        member = self.state.members.get(user_id)
        if member is not None:
            if member.present:
                self._gone(member)
            del self.state.members[user_id]
        self._dirty_members.discard(user_id)
        self.state.gone = [row for row in self.state.gone if row.user_id != user_id]

    def _forget_in_conference(self, identities: set[str]) -> None:
        conference = self.state.conference
        # In place: the room's index of tracks and the one who keeps it are one object.
        for index in (conference.owners, conference.aliases):
            for key in [key for key, user in index.items() if user in identities or base_identity(key) in identities]:
                del index[key]
        tracks = conference.tracks
        for sid in [sid for sid, track in tracks.items() if base_identity(track.identity) in identities]:
            del tracks[sid]
        for identity in identities:
            self.tracks.pop(identity, None)


def mentions(state: RoomState, user_id: str) -> bool:
    """Whether a room's state says anything of the learner; a product or a session of the same name is another thing."""
    conference = state.conference
    return (
        user_id in state.members
        or any(session.user_id == user_id for session in state.sessions.values())
        or any(row.user_id == user_id for row in state.unwritten)
        or any(row.user_id == user_id for row in state.gone)
        or user_id in conference.aliases
        or any(user_id in index.values() for index in (conference.owners, conference.aliases))
        or any(base_identity(track.identity) == user_id for track in conference.tracks.values())
    )
