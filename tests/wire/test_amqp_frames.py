"""Content headers from the broker: what the driver cannot decode is left out, and nothing else is touched."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import FrameTypes, marshal, unmarshal
from pamqp.header import ContentHeader

from storage.amqp.frames import Reader, readable

SIZE = 77
FULL = commands.Basic.Properties(
    content_type="application/json",
    content_encoding="utf-8",
    headers={"a": 1, "b": ["x", True, None], "c": {"d": 2.5}},
    delivery_mode=2,
    priority=3,
    correlation_id="c",
    reply_to="r",
    expiration="1000",
    message_id="m",
    timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    message_type="t",
    user_id="u",
    app_id="rollcall",
)


def decoded(payload: bytes) -> ContentHeader:
    """As the driver does it."""
    header = ContentHeader()
    header.unmarshal(payload)
    return header


def header(flags: int, properties: bytes) -> bytes:
    return struct.pack(">HHQH", 60, 0, SIZE, flags) + properties


def test_what_can_be_read_is_the_same_object():
    payload = ContentHeader(body_size=SIZE, properties=FULL).marshal()

    assert readable(payload) is payload


@pytest.mark.parametrize(
    ("flag", "property_"),
    [
        pytest.param(1 << 6, struct.pack(">Q", 1_700_000_000_000_000), id="microseconds"),
        pytest.param(1 << 6, struct.pack(">Q", 2**64 - 1), id="the last timestamp"),
        pytest.param(1 << 7, b"\x02\xff\xfe", id="not UTF-8"),
        pytest.param(1 << 13, struct.pack(">I", 11) + b"\x01aT" + struct.pack(">Q", 2**63), id="a date in the headers"),
        pytest.param(1 << 13, struct.pack(">I", 3) + b"\x01a?", id="a header of no type"),
        pytest.param(1 << 13, struct.pack(">I", 3000) + b"\x01aF" * 1000, id="headers without end"),
    ],
)
def test_one_that_cannot_be_read_is_left_out_alone(flag: int, property_: bytes):
    app_id = b"\x03lms"

    found = decoded(readable(header(flag | 1 << 3, property_ + app_id)))

    assert found.body_size == SIZE
    assert found.properties.app_id == "lms"
    assert found.properties.marshal() == struct.pack(">H", 1 << 3) + app_id


@given(st.integers(0, 0xFFFF), st.binary(max_size=200))
def test_whatever_comes_the_driver_can_read_it_and_the_body_keeps_its_size(flags: int, rest: bytes):
    found = decoded(readable(header(flags, rest)))

    assert found.body_size == SIZE


@given(st.integers(1, 40))
async def test_frames_come_through_whole_however_they_are_cut(piece: int):
    frames: list[FrameTypes] = [
        commands.Basic.Deliver("tag", 1, exchange="e", routing_key="k"),
        ContentHeader(body_size=SIZE, properties=FULL),
        ContentBody(b"x" * SIZE),
    ]
    sent = [marshal(frame, 1) for frame in frames]
    stream = asyncio.StreamReader()
    everything = b"".join(sent)
    for at in range(0, len(everything), piece):
        stream.feed_data(everything[at : at + piece])
    stream.feed_eof()
    reader = Reader(stream)

    came = []
    while not reader.at_eof():
        head = await reader.readexactly(1) + await reader.readexactly(6)
        came.append(head + await reader.readexactly(int.from_bytes(head[3:7]) + 1))

    assert came == sent


async def test_a_frame_that_shrinks_keeps_its_channel_and_end():
    payload = header(1 << 6, struct.pack(">Q", 2**64 - 1))
    stream = asyncio.StreamReader()
    stream.feed_data(struct.pack(">BHI", 2, 9, len(payload)) + payload + b"\xce")
    stream.feed_eof()
    reader = Reader(stream)

    head = await reader.readexactly(7)
    rest = await reader.readexactly(int.from_bytes(head[3:7]) + 1)

    _, channel, frame = unmarshal(head + rest)
    assert channel == 9
    assert isinstance(frame, ContentHeader)
    assert frame.body_size == SIZE


async def test_a_stream_that_ends_within_a_frame_says_so():
    stream = asyncio.StreamReader()
    stream.feed_data(b"\x01\x00\x01\x00\x00\x00\x09abc")
    stream.feed_eof()

    with pytest.raises(asyncio.IncompleteReadError):
        await Reader(stream).readexactly(1)
