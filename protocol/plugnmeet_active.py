"""The answer of `getActiveRoomInfo`: who is in a room of the conference server now (plugnmeet.md, reading 13).

The same loose forms as a webhook's. Everything of it is read or nothing: a participant that was passed over would look
as if they had gone. Times are Unix ms.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocol import plugnmeet_wire as wire
from protocol.limits import NAME_CHARS
from protocol.plugnmeet_json import inside
from protocol.plugnmeet_values import Wrong, flag, ident, kind_of, moment, number, text

GONE: Final = frozenset({"DISCONNECTED", 3, "3"})
"""A participant's state, while the server has not let go of them yet."""


class Unreadable(Exception):
    """The answer cannot be read; the message names the field."""


class ActiveParticipant(msgspec.Struct, frozen=True):
    """A learner. `user_id` is set where the room gives out identities of its own and says whose this one is."""

    sid: str
    identity: str
    joined_at: int
    name: str | None
    moderator: bool
    telephone: bool
    user_id: str | None


class ActiveRoom(msgspec.Struct, frozen=True):
    """One session of a room. Bots and hidden participants are left out of `participants`.

    `doubtful`: the server counts participants and lists none, as it does when its media server does not answer it.
    """

    sid: str
    participants: list[ActiveParticipant]
    doubtful: bool


class _Features(wire.Sent):
    auto_gen_user_id: wire.Flag = None
    auto_gen_user_id_older: wire.Flag = None


class _RoomMetadata(wire.Sent):
    room_features: _Features | None = None
    room_features_older: _Features | None = None


class _UserMetadata(wire.Sent):
    is_admin: wire.Flag = None
    is_admin_older: wire.Flag = None
    ex_user_id: wire.Text = None
    ex_user_id_older: wire.Text = None


class _Info(wire.Sent):
    sid: wire.Text = None
    joined_participants: wire.Whole = None
    joined_participants_older: wire.Whole = None
    metadata: Any = None


class _Listed(wire.Participant):
    state: wire.Text = None


class _Answer(wire.Sent):
    room_info: _Info | None = None
    room_info_older: _Info | None = None
    participants_info: list[_Listed] | None = None
    participants_info_older: list[_Listed] | None = None


_ROOM_METADATA: Final = msgspec.json.Decoder(_RoomMetadata)
_USER_METADATA: Final = msgspec.json.Decoder(_UserMetadata)


def decode(room: dict[str, Any]) -> ActiveRoom:
    """Read the answer's `room`. Raises `Unreadable`."""
    try:
        return _read(msgspec.convert(room, _Answer))
    except (msgspec.ValidationError, Wrong) as error:
        raise Unreadable(str(error)) from None


def _read(answer: _Answer) -> ActiveRoom:
    """Raises `Wrong`."""
    info = answer.room_info or answer.room_info_older or _Info()
    sid = ident(info.sid, "$.room_info.sid")
    if not sid:
        raise Wrong("Missing - at `$.room_info.sid`")
    metadata = inside(info.metadata, _ROOM_METADATA, _RoomMetadata) or _RoomMetadata()
    features = metadata.room_features or metadata.room_features_older or _Features()
    own_ids = flag(features.auto_gen_user_id) or flag(features.auto_gen_user_id_older)
    listed = answer.participants_info or answer.participants_info_older or []
    found = [_participant(each, own_ids=own_ids) for each in listed if each.state not in GONE]
    said = info.joined_participants if info.joined_participants is not None else info.joined_participants_older
    counted = number(said, "$.room_info.joined_participants")
    return ActiveRoom(sid, [each for each in found if each is not None], doubtful=not listed and bool(counted))


def _participant(sent: _Listed, *, own_ids: bool) -> ActiveParticipant | None:
    """None for whoever is no learner. Raises `Wrong`."""
    sid, identity = ident(sent.sid, "$.participant.sid"), ident(sent.identity, "$.participant.identity")
    if not sid or not identity:
        raise Wrong(f"Missing - at `$.participant.{'identity' if sid else 'sid'}`")
    bot, telephone = kind_of(identity, sent.kind)
    if bot or (sent.permission is not None and flag(sent.permission.hidden)):
        return None
    joined_at = moment(sent.joined_at_ms or sent.joined_at_ms_older, 1, "$.participant.joined_at_ms")
    if joined_at is None:
        joined_at = moment(sent.joined_at or sent.joined_at_older, 1000, "$.participant.joined_at")
    if joined_at is None:
        raise Wrong("Missing - at `$.participant.joined_at`")
    metadata = inside(sent.metadata, _USER_METADATA, _UserMetadata) or _UserMetadata()
    moderator = flag(metadata.is_admin) or flag(metadata.is_admin_older)
    user_id = ident(metadata.ex_user_id or metadata.ex_user_id_older, "$.participant.metadata.ex_user_id")
    name = text(sent.name, NAME_CHARS)
    return ActiveParticipant(
        sid, identity, joined_at, name, moderator, telephone, (user_id or None) if own_ids else None
    )
