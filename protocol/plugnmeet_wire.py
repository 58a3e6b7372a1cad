"""A webhook of plugNmeet as it may be written: loose types, every field also in camelCase (plugnmeet.md, reading 9).

Whatever is declared here takes int64 as number or text, enums as number or name, and any field absent; what is not
declared is passed over. A value of another kind is a `msgspec.ValidationError` that names its field as it was sent.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

Whole = int | float | str | None
"""An int64: protobuf's JSON writes it as text, others as a number."""
Text = str | int | None
Flag = bool | int | str | None

_OLDER: Final = "_older"


def _as_sent(name: str) -> str | None:
    """`joined_at_older` is sent as `joinedAt`."""
    if not name.endswith(_OLDER):
        return None
    first, *rest = name.removesuffix(_OLDER).split("_")
    return first + "".join(map(str.capitalize, rest))


class Sent(msgspec.Struct, rename=_as_sent, gc=False):
    """Any object of a body."""


class Room(Sent):
    """`identity` is the older name of `room_id`; `metadata` is JSON inside a string, or anything."""

    sid: Text = None
    room_id: Text = None
    room_id_older: Text = None
    identity: Text = None
    metadata: Any = None
    creation_time: Whole = None
    creation_time_older: Whole = None


class Permission(Sent):
    hidden: Flag = None


class Participant(Sent):
    """`metadata` as in a room."""

    sid: Text = None
    identity: Text = None
    name: Text = None
    joined_at: Whole = None
    joined_at_older: Whole = None
    joined_at_ms: Whole = None
    joined_at_ms_older: Whole = None
    metadata: Any = None
    permission: Permission | None = None
    disconnect_reason: Text = None
    disconnect_reason_older: Text = None
    kind: Text = None


class Track(Sent):
    sid: Text = None
    type: Text = None
    source: Text = None


class RecordingInfo(Sent):
    """`recordingId`, `fileName` and `status` are the older integration's (plugnmeet.md, the table of events)."""

    record_id: Text = None
    record_id_older: Text = None
    recording_id_older: Text = None
    recorder_msg: Text = None
    recorder_msg_older: Text = None
    file_size: Whole = None
    file_size_older: Whole = None
    file_name_older: Any = None
    status: Any = None


class Artifact(Sent):
    type: Text = None
    artifact_id: Text = None
    artifact_id_older: Text = None


class Analytics(Sent):
    file_id: Text = None
    file_id_older: Text = None


class Envelope(Sent):
    event: str | None = None
    id: Text = None
    created_at: Whole = None
    created_at_older: Whole = None
    room: Room | None = None
    participant: Participant | None = None
    track: Track | None = None
    recording_info: RecordingInfo | None = None
    recording_info_older: RecordingInfo | None = None
    room_artifact: Artifact | None = None
    room_artifact_older: Artifact | None = None
    analytics: Analytics | None = None


class Head(msgspec.Struct):
    """What can be told of a body whose fields are not what they should be."""

    event: Any = None
    id: Any = None


class RoomMetadata(Sent):
    """What stands inside `room.metadata`."""

    is_breakout_room: Flag = None
    is_breakout_room_older: Flag = None
    parent_room_id: Text = None
    parent_room_id_older: Text = None
    room_title: Text = None
    room_title_older: Text = None


class ParticipantMetadata(Sent):
    """What stands inside `participant.metadata`."""

    is_admin: Flag = None
    is_admin_older: Flag = None
