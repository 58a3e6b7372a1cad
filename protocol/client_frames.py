"""Frames that a client sends over `GET /ws` (realtime.md, "Client to server")."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol import limits
from protocol.sample import Sample
from protocol.types import (
    AfterSeq,
    Content,
    Cursor,
    Id,
    LooseId,
    Metadata,
    Name,
    PlayState,
    Rate,
    Ref,
    Seconds,
    Seq,
    StreamNo,
    Token,
    UnixMs,
)

InteractionKind = Literal["poll_response", "quiz_response", "doubt", "comment", "reaction", "hand_raise"]


class ClientInfo(msgspec.Struct, frozen=True):
    """Who wrote the player."""

    name: Name | None = None
    version: Name | None = None


class After(msgspec.Struct, frozen=True):
    """Presence that the client already knows: the room's epoch and the last diff's `seq`."""

    epoch: AfterSeq
    seq: AfterSeq


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """First message, within `ROLLCALL_HELLO_SECONDS`; a second one renews the token."""

    token: Token | None = None
    device_id: Id | None = None
    client: ClientInfo | None = None


class Join(msgspec.Struct, frozen=True, tag="join", tag_field="type"):
    """Take part in a live class, or with `observe` only see who does (staff)."""

    ref: Ref
    room: LooseId
    metadata: Metadata | None = None
    session_id: Id | None = None
    after: After | None = None
    observe: bool | None = None


class Watch(msgspec.Struct, frozen=True, tag="watch", tag_field="type"):
    """Begin or resume a watch session on a recorded content."""

    ref: Ref
    content: Content
    session_id: Id | None = None
    duration: Seconds | None = None


class Heartbeat(msgspec.Struct, frozen=True, gc=False, tag="heartbeat", tag_field="type"):
    """One sample, sent at once: its `at` is also the time of sending."""

    stream: StreamNo
    seq: Seq
    at: UnixMs
    position: Seconds
    state: PlayState
    rate: Rate | None = None
    duration: Seconds | None = None
    visible: bool | None = None


class Heartbeats(msgspec.Struct, frozen=True, tag="heartbeats", tag_field="type"):
    """Samples kept while offline or unacknowledged, oldest first."""

    stream: StreamNo
    sent_at: UnixMs
    samples: Annotated[list[Sample], Meta(min_length=1, max_length=limits.SAMPLES_PER_FRAME)]


class Interact(msgspec.Struct, frozen=True, tag="interact", tag_field="type"):
    """Participation in a class: an answered poll, a doubt, a raised hand."""

    ref: Ref
    stream: StreamNo
    kind: InteractionKind
    id: LooseId | None = None
    value: Any = None


class PresencePage(msgspec.Struct, frozen=True, tag="presence", tag_field="type"):
    """Ask for a page of who is here; answered by `members`."""

    ref: Ref
    room: LooseId
    after: After | None = None
    cursor: Cursor | None = None


class Leave(msgspec.Struct, frozen=True, tag="leave", tag_field="type"):
    """Go on purpose: no grace period, no answer."""

    stream: StreamNo


ClientFrame = Hello | Join | Watch | Heartbeat | Heartbeats | Interact | PresencePage | Leave
