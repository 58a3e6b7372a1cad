"""Webhooks of plugNmeet: a body in any of its forms to one typed form (plugnmeet.md, "What it tolerates", readings).

    body -> one pass of msgspec (protocol/plugnmeet_wire.py) -> read what the event needs -> `Webhook`
              | not JSON, or no `event`                -> `NotAnEvent`     the sender's bug
              | a field that cannot be what it must be -> `Undecodable`    names the field; the message is kept raw

No clock: reception is an argument. Times are Unix ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from protocol import plugnmeet_wire as wire
from protocol.limits import ID_CHARS, NAME_CHARS
from protocol.plugnmeet_json import decoded, inside
from protocol.plugnmeet_values import Device, Wrong, device_of, flag, ident, kind_of, moment, number, reason_of, text

AHEAD_MAX_MS: Final = 60_000
"""A time further ahead of reception than this is reception (reading 3)."""

SESSION_EVENTS: Final = frozenset({"room_created", "room_started", "room_finished", "session_ended"})
PARTICIPANT_EVENTS: Final = frozenset({"participant_joined", "participant_left"})
TRACK_EVENTS: Final = frozenset({"track_published", "track_unpublished"})
RECORDER_EVENTS: Final = frozenset({"start_recording", "end_recording", "start_rtmp", "end_rtmp"})
READ_EVENTS: Final = (
    SESSION_EVENTS
    | PARTICIPANT_EVENTS
    | TRACK_EVENTS
    | RECORDER_EVENTS
    | {"recording_proceeded", "artifact_created", "analytics_proceeded"}
)
"""Events whose fields are read; of all others only `event` and `id` are."""
KNOWN_EVENTS: Final = READ_EVENTS | {"recording_transcoding_finished"}
SPEECH_TO_TEXT: Final = "speech_to_text_"


class NotAnEvent(Exception):
    """Not JSON, or no string `event`; the message says which."""


class Undecodable(Exception):
    """An event of which a field cannot be read. The message names the field, as `$.room.room_id`.

    `id` is the event's own, "" where it has none that can be kept.
    """

    def __init__(self, event: str, id: str, message: str) -> None:  # noqa: A002 - the message's own word
        super().__init__(message)
        self.event = event
        self.id = id
        self.message = message


class Place(msgspec.Struct, frozen=True, gc=False):
    """Which room, and which session of it. `breakout` None: the message does not say."""

    room_id: str
    sid: str
    title: str | None = None
    began_at: int | None = None
    breakout: bool | None = None
    parent_room_id: str | None = None
    """Set where `breakout` is and the message names it."""


class Participant(msgspec.Struct, frozen=True, gc=False):
    """`identity` as sent: a native twin (`<user>-native`) stays apart from its user (reading 11)."""

    sid: str
    identity: str
    joined_at: int | None = None
    name: str | None = None
    moderator: bool = False
    telephone: bool = False
    hidden: bool = False
    bot: bool = False
    reason: str | None = None


class Track(msgspec.Struct, frozen=True, gc=False):
    """`device` None: a track that is not counted; "" where an unpublished one does not say."""

    sid: str
    device: Device | None


class Recording(msgspec.Struct, frozen=True, gc=False):
    """`ready`: the file can be fetched. `failure`: what the recorder said instead of `success`."""

    record_id: str
    ready: bool
    failure: str | None = None
    size_mb: float | None = None


class Artifact(msgspec.Struct, frozen=True, gc=False):
    """`analytics`: it can be fetched and read. `older`: its id came as `analytics.file_id`."""

    artifact_id: str
    analytics: bool
    older: bool


class Webhook(msgspec.Struct, frozen=True, gc=False):
    """One event. `at` is when the message was made, or its reception. `place` None: an event that is only kept.

    `id` "": it has none, and no natural key either.
    """

    event: str
    id: str
    at: int
    place: Place | None = None
    participant: Participant | None = None
    track: Track | None = None
    recording: Recording | None = None
    artifact: Artifact | None = None


_ENVELOPE: Final = msgspec.json.Decoder(wire.Envelope)
_HEAD: Final = msgspec.json.Decoder(wire.Head)
_ROOM_METADATA: Final = msgspec.json.Decoder(wire.RoomMetadata)
_PARTICIPANT_METADATA: Final = msgspec.json.Decoder(wire.ParticipantMetadata)

T = TypeVar("T")


def decode(body: bytes, now: int) -> Webhook:
    """Read a body that was received at `now` (Unix ms). Raises `NotAnEvent`, `Undecodable`."""
    try:
        sent = _decoded(_ENVELOPE, body)
    except msgspec.ValidationError as error:
        return _misfit(body, now, str(error))
    event = sent.event
    if not event:
        raise NotAnEvent("Expected the name of an event - at `$.event`")
    if event not in READ_EVENTS:
        return Webhook(_label(event), _kept_id(sent.id), now)
    try:
        return _READERS[event](event, sent, now)
    except Wrong as wrong:
        raise Undecodable(event, _kept_id(sent.id), str(wrong)) from None


# -- what is not as it should be --------------------------------------------------------------------------------------


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises `msgspec.ValidationError`, `NotAnEvent`."""
    try:
        return decoded(decoder, body)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise NotAnEvent("nested too deeply - at `$`") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise NotAnEvent(f"not JSON: {error} - at `$`") from None


def _misfit(body: bytes, now: int, message: str) -> Webhook:
    """A body in which a field has the wrong type: of an event that nobody reads it does not matter."""
    try:
        head = _decoded(_HEAD, body)
    except msgspec.ValidationError as error:
        raise NotAnEvent(f"{error} - at `$`") from None
    if not isinstance(head.event, str) or not head.event:
        raise NotAnEvent("Expected the name of an event - at `$.event`")
    if head.event not in READ_EVENTS:
        return Webhook(_label(head.event), _kept_id(head.id), now)
    raise Undecodable(head.event, _kept_id(head.id), message)


def _label(event: str) -> str:
    """An event's name as it can be stored."""
    return text(event, ID_CHARS) or "?"


def _kept_id(value: object) -> str:
    """An event's id, "" where it cannot be kept."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= ID_CHARS and "\0" not in value else ""


# -- the room ---------------------------------------------------------------------------------------------------------


def _place(sent: wire.Envelope, now: int) -> Place:
    room = sent.room
    if room is None:
        raise Wrong("Missing - at `$.room`")
    room_id = (
        ident(room.room_id, "$.room.room_id")
        or ident(room.room_id_older, "$.room.roomId")
        or ident(room.identity, "$.room.identity")
    )
    if not room_id:
        raise Wrong("Missing - at `$.room.room_id`")
    sid = ident(room.sid, "$.room.sid") or room_id
    began_at = _moment(room.creation_time, room.creation_time_older, 1000, "$.room.creation_time", now)
    metadata = inside(room.metadata, _ROOM_METADATA, wire.RoomMetadata)
    if metadata is None:
        return Place(room_id, sid, None, began_at)
    title = text(metadata.room_title or metadata.room_title_older, NAME_CHARS)
    said = metadata.is_breakout_room if metadata.is_breakout_room is not None else metadata.is_breakout_room_older
    if not flag(said):
        return Place(room_id, sid, title, began_at, None if said is None else False)
    return Place(room_id, sid, None, began_at, breakout=True, parent_room_id=_parent(metadata, room_id))


def _parent(metadata: wire.RoomMetadata, room_id: str) -> str | None:
    parent = ident(metadata.parent_room_id or metadata.parent_room_id_older, "$.room.metadata.parent_room_id")
    return parent if parent and parent != room_id else None


def _moment(value: wire.Whole, older: wire.Whole, scale: int, field: str, now: int) -> int | None:
    """A time in Unix ms, of which `scale` make the unit it is sent in; None where it is absent or zero."""
    at = moment(value, scale, field)
    if at is None:
        at = moment(older, scale, field)
        if at is None:
            return None
    return now if at > now + AHEAD_MAX_MS else at


def _at(sent: wire.Envelope, now: int) -> int:
    at = _moment(sent.created_at, sent.created_at_older, 1000, "$.created_at", now)
    return now if at is None else at


# -- events -----------------------------------------------------------------------------------------------------------


def _session(event: str, sent: wire.Envelope, now: int) -> Webhook:
    place = _place(sent, now)
    return Webhook(event, _kept_id(sent.id) or place.sid, _at(sent, now), place)


def _participant(event: str, sent: wire.Envelope, now: int) -> Webhook:
    place = _place(sent, now)
    who = _who(sent.participant, now)
    return Webhook(event, _kept_id(sent.id) or who.sid, _at(sent, now), place, who)


def _who(sent: wire.Participant | None, now: int) -> Participant:
    if sent is None:
        raise Wrong("Missing - at `$.participant`")
    sid = ident(sent.sid, "$.participant.sid")
    identity = ident(sent.identity, "$.participant.identity")
    if not sid or not identity:
        raise Wrong(f"Missing - at `$.participant.{'identity' if sid else 'sid'}`")
    joined_at = _moment(sent.joined_at_ms, sent.joined_at_ms_older, 1, "$.participant.joined_at_ms", now)
    if joined_at is None:
        joined_at = _moment(sent.joined_at, sent.joined_at_older, 1000, "$.participant.joined_at", now)
    metadata = inside(sent.metadata, _PARTICIPANT_METADATA, wire.ParticipantMetadata)
    bot, telephone = kind_of(identity, sent.kind)
    return Participant(
        sid,
        identity,
        joined_at,
        text(sent.name, NAME_CHARS),
        moderator=metadata is not None and (flag(metadata.is_admin) or flag(metadata.is_admin_older)),
        telephone=telephone,
        hidden=sent.permission is not None and flag(sent.permission.hidden),
        bot=bot,
        reason=reason_of(sent.disconnect_reason or sent.disconnect_reason_older),
    )


def _track(event: str, sent: wire.Envelope, now: int) -> Webhook:
    place = _place(sent, now)
    who = _who(sent.participant, now)
    track = sent.track
    sid = ident(track.sid, "$.track.sid") if track is not None else ""
    if track is None or not sid:
        raise Wrong("Missing - at `$.track.sid`")
    device = device_of(track.source, track.type)
    if device == "" and event == "track_published":
        device = None
    return Webhook(event, _kept_id(sent.id) or sid, _at(sent, now), place, who, Track(sid, device))


def _recording(event: str, sent: wire.Envelope, now: int) -> Webhook:
    place = _place(sent, now)
    info = sent.recording_info or sent.recording_info_older or wire.RecordingInfo()
    field = "$.recording_info.record_id"
    record_id = ident(info.record_id, field) or ident(info.record_id_older, field)
    older = ident(info.recording_id_older, "$.recording_info.recordingId")
    record_id = record_id or older
    if not record_id:
        if event == "recording_proceeded":
            raise Wrong(f"Missing - at `{field}`")
        # The state of the room is told all the same.
        record_id = place.sid
    said = text(info.recorder_msg or info.recorder_msg_older, NAME_CHARS)
    failure = None if said == "success" else said
    finished = bool(older) and (bool(info.file_name_older) or info.status == "FINISHED")
    ready = event == "recording_proceeded" or (event == "end_recording" and finished)
    size = info.file_size if info.file_size is not None else info.file_size_older
    recording = Recording(record_id, ready, failure, number(size, "$.recording_info.file_size"))
    return Webhook(event, _kept_id(sent.id) or record_id, _at(sent, now), place, recording=recording)


def _artifact(event: str, sent: wire.Envelope, now: int) -> Webhook:
    place = _place(sent, now)
    if event == "analytics_proceeded":
        field, older, analytics = "$.analytics.file_id", True, True
        its = sent.analytics or wire.Analytics()
        artifact_id = ident(its.file_id, field) or ident(its.file_id_older, field)
    else:
        field, older = "$.room_artifact.artifact_id", False
        made = sent.room_artifact or sent.room_artifact_older or wire.Artifact()
        analytics = made.type in {"MEETING_ANALYTICS", 1, "1"}
        artifact_id = ident(made.artifact_id, field) or ident(made.artifact_id_older, field)
    if not artifact_id and analytics:
        raise Wrong(f"Missing - at `{field}`")
    artifact = Artifact(artifact_id, analytics, older)
    return Webhook(event, _kept_id(sent.id) or artifact_id, _at(sent, now), place, artifact=artifact)


Reader = Callable[[str, wire.Envelope, int], Webhook]

_READERS: Final[dict[str, Reader]] = {
    **dict.fromkeys(SESSION_EVENTS, _session),
    **dict.fromkeys(PARTICIPANT_EVENTS, _participant),
    **dict.fromkeys(TRACK_EVENTS, _track),
    **dict.fromkeys(RECORDER_EVENTS | {"recording_proceeded"}, _recording),
    **dict.fromkeys(["artifact_created", "analytics_proceeded"], _artifact),
}
