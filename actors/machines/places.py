"""Whether a room has a place for one more of what it is told: asked before anything changes.

What a room keeps of one kind has a bound (`conference.py`, `stays.py`). A message that would be one more changes
nothing and is answered `Unplaced`, so that whoever brought it keeps it instead. What is known has its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.machines import conference as bounds
from actors.machines import stays
from actors.machines.conference import Conference
from actors.machines.events import ParticipantJoined, ParticipantLeft, RecordingTold, SessionTold, TrackTold
from actors.machines.presence import Member

Message = SessionTold | ParticipantJoined | ParticipantLeft | TrackTold | RecordingTold
SESSIONS = "conference sessions"
ARTIFACTS = "analytics files"


def beyond(conference: Conference, members: Mapping[str, Member], event: Message) -> str:
    """What the room keeps no more of, in words; "" where the message has a place."""
    if not has_session(conference, event.sid):
        return SESSIONS
    if isinstance(event, TrackTold):
        full = event.track_sid not in conference.tracks and len(conference.tracks) >= bounds.TRACKS_MAX
        return "tracks" if full else ""
    if isinstance(event, RecordingTold):
        full = event.record_id not in conference.recordings and len(conference.recordings) >= bounds.RECORDINGS_MAX
        return "recordings" if full else ""
    if isinstance(event, SessionTold) or event.participant_sid in conference.hidden:
        return ""
    if event.hidden:
        return "hidden participants" if len(conference.hidden) >= bounds.HIDDEN_MAX else ""
    return "" if has_stay(conference, members, event.participant_sid, event.identity) else "stays of one learner"


def has_session(conference: Conference, sid: str) -> bool:
    """Whether the session is known, or may become so."""
    return sid in conference.sessions or len(conference.sessions) < bounds.SESSIONS_MAX


def has_stay(conference: Conference, members: Mapping[str, Member], participant_sid: str, identity: str) -> bool:
    """Whether the participant's stay is known, or may become so."""
    if participant_sid in conference.owners:
        return True
    member = members.get(conference.user_of(stays.base_identity(identity)))
    return member is None or len(member.stays) < stays.STAYS_MAX


def has_artifact(conference: Conference) -> bool:
    """Whether one more file of analytics has a place."""
    return len(conference.artifacts) < bounds.ARTIFACTS_MAX


def has_alias(conference: Conference, base: str) -> bool:
    """Whether an identity's user is known, or may become so."""
    return base in conference.aliases or len(conference.aliases) < bounds.ALIASES_MAX
