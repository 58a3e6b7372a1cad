"""A message as bytes, in any of the forms that senders have used, and its signature.

The forms (plugnmeet.md, "What it tolerates", readings 9 and 10): 64-bit integers as strings or numbers, enums as names
or numbers, zero values absent or spelt out, unknown fields, `room.metadata` as JSON in a string, and the older
integration's camelCase with `room.identity`. The signature is made by hand: nothing is shared with who checks it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from random import Random
from typing import Any, Final, Literal, cast

import msgspec

from load_tests.plugnmeet.facts import Message, Person

_SOURCES: Final = {"CAMERA": 1, "MICROPHONE": 2, "SCREEN_SHARE": 3, "SCREEN_SHARE_AUDIO": 4}
_REASONS: Final = {
    "CLIENT_INITIATED": 1,
    "DUPLICATE_IDENTITY": 2,
    "SERVER_SHUTDOWN": 3,
    "PARTICIPANT_REMOVED": 4,
    "ROOM_DELETED": 5,
    "STATE_MISMATCH": 6,
    "JOIN_FAILURE": 7,
    "MIGRATION": 8,
    "SIGNAL_CLOSE": 9,
    "ROOM_CLOSED": 10,
    "CONNECTION_TIMEOUT": 14,
}
_KINDS: Final = {"EGRESS": 2, "SIP": 3, "AGENT": 4}
_JWT_HEAD: Final = b'{"alg":"HS256","typ":"JWT"}'
TOKEN_S: Final = 300

Json = dict[str, Any]


class Form(msgspec.Struct, frozen=True):
    """How one message is written."""

    older: bool = False
    integers: Literal["text", "number"] = "text"
    enums: Literal["name", "number"] = "name"
    zeros: bool = False
    """Zero values spelt out."""
    metadata: Literal["json", "", "invalid", "absent"] = "json"
    spaced: bool = False
    without_id: bool = False
    """Only where repeats are known by their natural key anyway."""


PLAIN: Final = Form()
_METADATA: Final[tuple[Literal["json", "", "invalid", "absent"], ...]] = ("json", "json", "", "invalid", "absent")
_TOLD_BY: Final = ("room_created", "participant_joined", "participant_left")


def draw(random: Random, message: Message, *, older: bool) -> Form:
    """A form for this message; `older` classes stay with theirs."""
    metadata = random.choice(_METADATA)
    told = message.parent_id is not None or message.event == "room_created"
    return Form(
        older=older,
        integers=random.choice(("text", "number")),
        enums=random.choice(("name", "number")),
        zeros=random.random() < 0.3,
        # Titles and breakouts are known by it: it may be missing where another message of the session has it.
        metadata="json" if message.event in _TOLD_BY and told else metadata,
        spaced=random.random() < 0.5,
        without_id=older and random.random() < 0.3,
    )


def body(message: Message, title: str, form: Form, message_id: str | None = None) -> bytes:
    """The request's body; `message_id` for a fact that is told again under a new id."""
    envelope: Json = {"event": message.event, "room": _room(message, title, form)}
    if message.person is not None:
        envelope["participant"] = _participant(message, message.person, form)
    if message.track is not None:
        envelope["track"] = _track(message.track, form)
    if message.record_id is not None:
        envelope["recording_info"] = {
            "record_id": message.record_id,
            "recorder_id": "node_01",
            "recorder_msg": "success",
            "file_path": "",
            "file_size": 0,
        }
    if not form.without_id:
        envelope["id"] = message_id or message.id
    envelope["created_at"] = _integer(message.at, form)
    if form.older:
        envelope = _camel(envelope)
    separators = (", ", ": ") if form.spaced else (",", ":")
    return json.dumps(envelope, ensure_ascii=form.spaced, separators=separators).encode()


def _room(message: Message, title: str, form: Form) -> Json:
    if form.older:
        room: Json = {"identity": message.room_id}
        if message.parent_id is not None:
            room["metadata"] = json.dumps(_metadata(message, title, form))
        return room
    room = {"sid": message.sid, "room_id": message.room_id, "empty_timeout": 1800}
    if message.event in ("room_started", "participant_joined", "participant_left", "room_finished"):
        room["enabled_codecs"] = [{"mime": mime} for mime in ("audio/opus", "audio/red", "video/VP8", "video/H264")]
    if message.event.startswith("track_") or form.zeros:
        room |= {"creation_time": _integer(0, form), "num_participants": 0, "max_participants": 0}
    if form.metadata == "json":
        room["metadata"] = json.dumps(_metadata(message, title, form), ensure_ascii=False)
    elif form.metadata != "absent":
        room["metadata"] = "" if form.metadata == "" else '{"room_title": '
    return room


def _metadata(message: Message, title: str, form: Form) -> Json:
    return {
        "room_title": title,
        "is_recording": False,
        "parent_room_id": message.parent_id or "",
        "is_breakout_room": message.parent_id is not None,
        "started_at": _integer(message.at, form),
        "room_features": {"allow_webcams": True, "auto_gen_user_id": False, "room_duration": "60"},
        "webhook_url": "http://127.0.0.1:9000/hooks/plugnmeet",
        "metadata_id": "0f4ab7f2-9b3a-4c34-8a0c-3a4c3c5a9a10",
        "extra_data": {"course_id": "42"},
    }


def _participant(message: Message, person: Person, form: Form) -> Json:
    if message.event.startswith("track_"):
        return {"sid": person.sid, "identity": person.identity}
    gone = message.event == "participant_left"
    found: Json = {
        "sid": person.sid,
        "identity": person.identity,
        "state": _enum("DISCONNECTED" if gone else "ACTIVE", 3 if gone else 2, form),
        "name": person.name,
        "joined_at": _integer(person.joined_ms // 1000, form),
        "joined_at_ms": _integer(person.joined_ms, form),
        "version": 3,
        "permission": {"can_subscribe": True, "can_publish": True},
        "some_field_of_tomorrow": {"a": [1, 2]},
    }
    if person.moderator:
        found["metadata"] = json.dumps({"is_admin": True, "ex_user_id": person.identity})
    if person.hidden or form.zeros:
        found["permission"]["hidden"] = person.hidden
    if person.kind:
        found["kind"] = _enum(person.kind, _KINDS[person.kind], form)
    elif form.zeros:
        found["kind"] = _enum("STANDARD", 0, form)
    if gone and person.reason is not None:
        found["disconnect_reason"] = _enum(person.reason, _REASONS[person.reason], form)
    elif form.zeros:
        found["disconnect_reason"] = _enum("UNKNOWN_REASON", 0, form)
    return found


def _track(track: tuple[str, str], form: Form) -> Json:
    sid, source = track
    found: Json = {"sid": sid, "source": _enum(source, _SOURCES[source], form), "mime_type": "audio/red"}
    if source in ("CAMERA", "SCREEN_SHARE"):
        found |= {"type": _enum("VIDEO", 1, form), "width": 1280, "height": 720, "mime_type": "video/VP8"}
    elif form.zeros:
        found["type"] = _enum("AUDIO", 0, form)
    return found


def _integer(value: int, form: Form) -> int | str:
    return str(value) if form.integers == "text" else value


def _enum(name: str, number: int, form: Form) -> int | str:
    return name if form.enums == "name" else number


def _camel(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        found = cast("Json", value)
        return {re.sub(r"_([a-z])", lambda at: at[1].upper(), key): _camel(inner) for key, inner in found.items()}
    return value


# -- who sent it -----------------------------------------------------------------------------------------------------


def token(content: bytes, key: str, secret: str, now_s: int) -> str:
    """The JWT that signs this body."""
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    claims = {"iss": key, "nbf": now_s, "exp": now_s + TOKEN_S, "sha256": digest}
    signed = _b64(_JWT_HEAD) + b"." + _b64(json.dumps(claims, separators=(",", ":")).encode())
    return (signed + b"." + _b64(hmac.digest(secret.encode(), signed, "sha256"))).decode()


def _b64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
