"""Golden frames: what stands on the wire, letter for letter, in both encodings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.machines.events import AnyEvent, RoomEvent, WatchEvent
from actors.machines.room import Room
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import WatchRules, WatchSession
from protocol.client_frames import ClientFrame
from protocol.codec import JSON, MSGPACK, BadFrame, Codec, UnknownType
from protocol.codes import BYE_CLOSE, CLOSE_CODES, ERROR_CODES, ByeReason, CloseCode, ErrorCode
from protocol.server_frames import ServerFrame
from tests.wire.goldens import CLIENT, EVENTS, SERVER

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_frames.json").read_text())
CODECS = {"json": JSON, "msgpack": MSGPACK}
READABLE_EVENTS: Any = AnyEvent
CLIENT_FRAMES: Any = ClientFrame
SERVER_FRAMES: Any = ServerFrame


def on_the_wire(side: str, name: str, encoding: str) -> bytes:
    text = GOLDEN[side][name][encoding]
    return text.encode() if encoding == "json" else bytes.fromhex(text)


@pytest.mark.parametrize("encoding", CODECS)
@pytest.mark.parametrize("name", CLIENT)
def test_a_client_frame_stands_on_the_wire_as_agreed(name: str, encoding: str):
    wire = on_the_wire("client", name, encoding)

    assert CODECS[encoding].decode(wire) == CLIENT[name]
    assert CODECS[encoding].encode(CLIENT[name]) == wire


@pytest.mark.parametrize("encoding", CODECS)
@pytest.mark.parametrize("name", SERVER)
def test_a_server_frame_stands_on_the_wire_as_agreed(name: str, encoding: str):
    wire = on_the_wire("server", name, encoding)

    assert CODECS[encoding].encode(SERVER[name]) == wire
    assert CODECS[encoding].decode_server(wire) == SERVER[name]


def test_there_is_a_golden_frame_of_every_type():
    assert {type(frame) for frame in CLIENT.values()} == set(CLIENT_FRAMES.__args__)
    assert {type(frame) for frame in SERVER.values()} == set(SERVER_FRAMES.__args__)
    assert set(GOLDEN["client"]) == set(CLIENT)
    assert set(GOLDEN["server"]) == set(SERVER)


# -- the journal ------------------------------------------------------------------------------------------------------

TAGS = {
    "Tick": 0, "Opened": 1, "Resumed": 2, "Sampled": 3, "Left": 4, "Incarnated": 20, "Scheduled": 21, "Started": 22,
    "Finished": 23, "Cancelled": 24, "Joined": 25, "Described": 26, "Dropped": 27, "Departed": 28, "RoomSampled": 29,
    "Posted": 30, "Interacted": 31,
}  # fmt: skip


def test_tags_of_events_are_for_ever():
    known = {event.__name__: event.__struct_config__.tag for event in READABLE_EVENTS.__args__}

    assert {name: known[name] for name in TAGS} == TAGS
    assert len(set(known.values())) == len(known)


@pytest.mark.parametrize("name", TAGS)
def test_an_old_journal_is_readable(name: str):
    old = bytes.fromhex(GOLDEN["journal"][name])
    assert msgspec.msgpack.decode(old, type=READABLE_EVENTS) == EVENTS[name]


def test_machines_handle_every_event_of_theirs_and_no_other():
    watch: Any = WatchEvent
    room: Any = RoomEvent

    assert set(WatchSession("s", None, WatchRules())._handlers) == set(watch.__args__)
    assert set(Room("r", RoomState(), RoomRules())._handlers) == set(room.__args__)
    assert set(watch.__args__) | set(room.__args__) == set(READABLE_EVENTS.__args__)


# -- codes ------------------------------------------------------------------------------------------------------------


def test_every_code_has_a_meaning_and_a_duty():
    assert set(CLOSE_CODES) == set(CloseCode)
    assert set(ERROR_CODES) == set(ErrorCode)
    assert set(BYE_CLOSE) == set(ByeReason)
    assert all(meaning and duty for meaning, duty in [*CLOSE_CODES.values(), *ERROR_CODES.values()])


def test_error_codes_are_those_of_the_contract():
    assert " ".join(ErrorCode) == (
        "bad_message unknown_type unauthenticated forbidden not_found unknown_stream room_ended room_cancelled "
        "too_many_streams too_many_connections too_large too_old rate_limited busy"
    )


# -- refusals ---------------------------------------------------------------------------------------------------------

BEAT = {"type": "heartbeat", "stream": 0, "seq": 1, "at": 1, "position": 0, "state": "playing"}
JOIN = {"type": "join", "ref": 1, "room": "r1"}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (BEAT | {"seq": 0}, "$.seq"),
        (BEAT | {"seq": 2**53}, "$.seq"),
        (BEAT | {"at": -1}, "$.at"),
        (BEAT | {"position": -0.1}, "$.position"),
        (BEAT | {"rate": 0}, "$.rate"),
        (BEAT | {"rate": 16.01}, "$.rate"),
        (BEAT | {"state": "flying"}, "$.state"),
        (BEAT | {"visible": "yes"}, "$.visible"),
        (BEAT | {"stream": "0"}, "$.stream"),
        ({"type": "heartbeat", "stream": 0}, "`seq`"),
        ({"type": "heartbeats", "stream": 0, "sent_at": 1, "samples": []}, "$.samples"),
        ({"type": "heartbeats", "stream": 0, "sent_at": 1, "samples": [BEAT] * 501}, "$.samples"),
        ({"type": "heartbeats", "stream": 0, "sent_at": 1, "samples": [BEAT, BEAT | {"at": "x"}]}, "$.samples[1].at"),
        (JOIN | {"room": ""}, "$.room"),
        (JOIN | {"room": "x" * 129}, "$.room"),
        (JOIN | {"room": "a\0b"}, "$.room"),
        (JOIN | {"ref": 2**53}, "$.ref"),
        (JOIN | {"metadata": {"a": "x" * 1024}}, "$.metadata"),
        (JOIN | {"metadata": {"a": "\0"}}, "$.metadata"),
        (JOIN | {"after": {"epoch": 1}}, "$.after"),
        ({"type": "interact", "ref": 1, "stream": 0, "kind": "doubt", "value": "x" * 2_000}, "$.value"),
        ({"type": "interact", "ref": 1, "stream": 0, "kind": "dance"}, "$.kind"),
        ({"type": "hello", "client": {"name": ""}}, "$.client.name"),
    ],
)
def test_a_refusal_names_the_field(codec: Codec, frame: dict[str, Any], field: str):
    with pytest.raises(BadFrame) as refused:
        codec.decode(codec.encode(frame))
    assert field in refused.value.message
    assert not isinstance(refused.value, UnknownType)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_refusal_tells_whose_message_it_was(codec: Codec):
    with pytest.raises(BadFrame) as refused:
        codec.decode(codec.encode({"type": "interact", "ref": "a", "stream": 4, "kind": 1}))
    assert (refused.value.ref, refused.value.stream) == ("a", 4)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_newer_clients_message_is_unknown_and_not_bad(codec: Codec):
    with pytest.raises(UnknownType) as refused:
        codec.decode(codec.encode({"type": "dance", "ref": 5}))
    assert ("'dance'" in refused.value.message, refused.value.ref) == (True, 5)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_unknown_fields_are_ignored_and_null_is_absent(codec: Codec):
    assert codec.decode(codec.encode(BEAT | {"mood": "good", "rate": None, "visible": None})) == codec.decode(
        codec.encode(BEAT)
    )


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"type":"leave","stream":1e400}',
        b'{"type":"leave","stream":NaN}',
        b"[" * 9_999,
    ],
)
def test_what_is_no_message_is_a_bad_one(wire: bytes):
    for codec in CODECS.values():
        with pytest.raises(BadFrame):
            codec.decode(wire)


def test_nan_and_infinity_are_refused_in_msgpack_too():
    for value in (float("nan"), float("inf")):
        with pytest.raises(BadFrame, match="position"):
            MSGPACK.decode(MSGPACK.encode(BEAT | {"position": value}))
        with pytest.raises(BadFrame, match="value"):
            MSGPACK.decode(MSGPACK.encode({"type": "interact", "ref": 1, "stream": 0, "kind": "doubt", "value": value}))
