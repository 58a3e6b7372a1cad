"""Whatever the bytes: a frame, or a refusal that says what is wrong. `HYPOTHESIS_PROFILE=thorough` tries 100,000."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol.client_frames import ClientFrame
from protocol.codec import JSON, MSGPACK, BadFrame, Codec
from protocol.limits import METADATA_BYTES
from tests.wire.goldens import CLIENT

FRAMES: Any = ClientFrame
CODECS = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
TRIES = settings(max_examples=settings().max_examples * (5 if settings().max_examples >= 20_000 else 1))
NAMES = re.compile(r"\$\.|`\w+`|\$|^not (JSON|msgpack): |^nested too deeply|^unknown type ")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=200),
    st.sampled_from([0, 1, 128, 129, 2**53 - 1, 2**53, "x" * 128, "x" * 129, "\0", "", 1e9, 1e9 + 1, 16, 16.01]),
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
FIELDS = st.sampled_from(sorted({name for frame in FRAMES.__args__ for name in frame.__struct_fields__} | {"type"}))


def read(codec: Codec, wire: bytes) -> Any:
    """The frame, or None; nothing but a named refusal leaves the codec."""
    try:
        return codec.decode(wire)
    except BadFrame as refused:
        refusal = refused
    assert NAMES.search(refusal.message), refusal.message
    assert refusal.ref is None or isinstance(refusal.ref, str | int)
    assert refusal.stream is None or isinstance(refusal.stream, int)
    return None


def holds(codec: Codec, frame: Any) -> None:
    """What was read can be written, and read again as the same."""
    assert isinstance(frame, FRAMES)
    assert codec.decode(codec.encode(frame)) == frame
    metadata = getattr(frame, "metadata", None)
    if metadata is not None:
        assert len(msgspec.json.encode(metadata)) <= METADATA_BYTES


@CODECS
@given(wire=st.binary(max_size=300))
@TRIES
def test_bytes_from_strangers(codec: Codec, wire: bytes):
    frame = read(codec, wire)
    if frame is not None:
        holds(codec, frame)


@CODECS
@given(name=st.sampled_from(sorted(CLIENT)), data=st.data())
@TRIES
def test_a_frame_with_bytes_changed_cut_or_doubled(codec: Codec, name: str, data: st.DataObject):
    wire = bytearray(codec.encode(CLIENT[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(wire) - 1)))
        how = data.draw(st.sampled_from(["set", "cut", "insert", "double"]))
        if how == "set" and wire:
            wire[place] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del wire[place : place + data.draw(st.integers(1, 8))]
        elif how == "insert":
            wire[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            wire += wire[place:]
    frame = read(codec, bytes(wire))
    if frame is not None:
        holds(codec, frame)


@CODECS
@given(name=st.sampled_from(sorted(CLIENT)), field=FIELDS, junk=JUNK)
@TRIES
def test_a_frame_with_junk_in_one_field(codec: Codec, name: str, field: str, junk: Any):
    built = msgspec.to_builtins(CLIENT[name])
    built[field] = junk
    frame = read(codec, encoded(codec, built))
    if frame is not None:
        holds(codec, frame)


@CODECS
@given(junk=JUNK)
@TRIES
def test_any_value_at_all(codec: Codec, junk: Any):
    frame = read(codec, encoded(codec, junk))
    if frame is not None:
        holds(codec, frame)


@CODECS
@given(depth=st.sampled_from([10, 100, 990, 1_010, 20_000]), inner=st.sampled_from(["[", '{"a":']))
def test_deep_nests(codec: Codec, depth: int, inner: str):
    close = {"[": "]", '{"a":': "}"}[inner]
    text = '{"type":"interact","ref":1,"stream":0,"kind":"doubt","value":' + inner * depth + "1" + close * depth + "}"
    packed = b"\x85" + b"".join(map(msgspec.msgpack.encode, ("type", "interact", "ref", 1, "stream", 0)))
    packed += b"".join(map(msgspec.msgpack.encode, ("kind", "doubt", "value")))
    packed += (b"\x91" if inner == "[" else b"\x81\xa1a") * depth + b"\x01"
    wire = packed if codec.binary else text.encode()
    frame = read(codec, wire)
    assert frame is None or depth <= 1_010


def encoded(codec: Codec, value: Any) -> bytes:
    try:
        return codec.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return b"\xff"
