"""What the stand-in tells: one struct a message, before it is dressed for the wire.

`at` is the envelope's `created_at`, Unix seconds; `*_ms` are Unix milliseconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "room_created",
    "room_started",
    "participant_joined",
    "participant_left",
    "track_published",
    "track_unpublished",
    "start_recording",
    "end_recording",
    "session_ended",
    "room_finished",
]
PersonKind = Literal["", "SIP", "AGENT", "EGRESS"]
Source = Literal["CAMERA", "MICROPHONE", "SCREEN_SHARE", "SCREEN_SHARE_AUDIO"]
HARD: frozenset[str] = frozenset({"CLIENT_INITIATED", "PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"})
"""After these presence ends at once (plugnmeet.md, reading 6)."""
SOFT: tuple[str | None, ...] = (
    None,
    "DUPLICATE_IDENTITY",
    "SERVER_SHUTDOWN",
    "STATE_MISMATCH",
    "JOIN_FAILURE",
    "MIGRATION",
    "SIGNAL_CLOSE",
    "CONNECTION_TIMEOUT",
)
TWIN = "-native"
"""Behind the identity of a hybrid client's second, publishing half."""
NOBODIES = ("RECORDER_BOT", "RTMP_BOT", "ingres_", "pnm_agent-", "pnm_tts_agent-")


class Person(msgspec.Struct, frozen=True):
    """A participant as a message names them."""

    sid: str
    identity: str
    name: str
    joined_ms: int
    moderator: bool = False
    hidden: bool = False
    kind: PersonKind = ""
    reason: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One webhook. `lost` is never sent: its sender crashed or gave up."""

    event: Kind
    room_id: str
    sid: str
    at: int
    id: str
    person: Person | None = None
    track: tuple[str, Source] | None = None
    record_id: str | None = None
    parent_id: str | None = None
    """The room that this breakout belongs to."""
    lost: bool = False


class Room(msgspec.Struct, frozen=True):
    """One class: its time-table, everybody who may be asked for, and all messages in the order of their making."""

    room_id: str
    title: str
    scheduled: tuple[int, int] | None
    """Start and end, Unix seconds; None where nobody scheduled it."""
    older: bool
    """Told by the older integration throughout: camelCase, `room.identity`, no `room.sid`."""
    messages: tuple[Message, ...]
    acts: tuple[tuple[str, str], ...]
    """Who does what: (user id, behaviour)."""
    nobodies: tuple[str, ...]
    """Identities that must not be known as learners."""

    def breakouts(self) -> list[str]:
        """Room ids of its breakouts, as far as they can be known as such: their first message was not lost."""
        made = [one for one in self.messages if one.event == "room_created" and not one.lost]
        return sorted({one.room_id for one in made if one.parent_id is not None})


def user_of(identity: str) -> str:
    """Whom an identity is."""
    return identity.removesuffix(TWIN)
