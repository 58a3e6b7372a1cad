"""Anything at all on a live socket: the server answers or closes, tells which field it minds, and serves the next one.

`HYPOTHESIS_PROFILE=thorough` for 20,000 examples of each of the six kinds: half a million frames.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
from collections.abc import Coroutine, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import psutil
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.ws.connection import Connection
from server.ws.hub import Limits
from tests.support.clients import BINARY, BOTH, CLOSE, MSGPACK, PING, TEXT, Wire, frame_bytes, upgrade_bytes
from tests.support.node import DEADLINE_S, Node, until

EXAMPLES = {"quick": 60, "usual": 150, "mutants": 1_500, "thorough": 20_000}
FUZZ = settings(
    max_examples=EXAMPLES.get(os.environ.get("HYPOTHESIS_PROFILE", "quick"), EXAMPLES["quick"]),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NAMES_A_FIELD = re.compile(r"\$|`|\bJSON\b|\bmsgpack\b|nested too deeply|takes (text|binary) frames|^Number out")
"""What a refusal must tell; a number too large, alone in its message, has no field."""


class Lab:
    """A node that lives through all examples, and a witness who must be served all the time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.faults: list[dict[str, Any]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def start(self) -> None:
        limits = Limits(messages_burst=10**9, bad_messages_per_minute=10**9, connections_per_user=10**6)
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.node = await Node(limits, accept_unknown=False).__aenter__()
        await self.node.room("r1")
        await self.node.desk._contents.known("video", "7", create=True)
        self.witness = await self.connect()
        self.tasks = len(asyncio.all_tasks())

    async def stop(self) -> None:
        self.witness.writer.transport.abort()
        await self.node.__aexit__(None, None, None)

    async def connect(self, codec: str | None = None) -> Wire:
        one = Wire(*await asyncio.open_connection("127.0.0.1", self.node.port))
        await one.write(upgrade_bytes(*([f"Sec-WebSocket-Protocol: {codec}"] if codec else [])))
        assert " 101 " in await one.read_head()
        hello = {"type": "hello", "token": self.node.token()}
        await one.write(_encoded(hello, binary=codec == MSGPACK))
        assert (await one.read_frame())[0] in (TEXT, BINARY)
        return one

    async def still_serving(self) -> None:
        """The witness is answered, and nothing has gone wrong inside."""
        await self.witness.write(frame_bytes(PING, b"?"))
        while await self.witness.read_frame() != (10, b"?"):
            pass
        faults, self.faults[:] = list(self.faults), []
        assert faults == []
        assert self.node.system.failed is None
        assert self.node.system.counters.crashes == 0
        assert self.node.system.counters.released_with_error == 0

    async def gone(self, one: Wire) -> None:
        """The client leaves; nothing may be left of it."""
        one.writer.transport.abort()
        await until(lambda: len(self.node.hub.connections) == 1)
        await until(lambda: len(asyncio.all_tasks()) <= self.tasks + 1)


def _encoded(message: Any, *, binary: bool) -> bytes:
    if binary:
        return frame_bytes(BINARY, msgspec.msgpack.encode(message))
    return frame_bytes(TEXT, json.dumps(message).encode())


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    loop = uvloop.new_event_loop()
    one = Lab(loop)
    one.run(one.start())
    yield one
    one.run(one.stop())
    loop.close()


# -- messages that are almost right -----------------------------------------------------------------------------------

ODD_INTS = st.sampled_from([0, 1, -1, 2, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)])
ODD_FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1e9, 1e308, -1.0, 16.0])
ODD_TEXT = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "r1", "video", "7", "playing", "doubt", "x" * 129, "\U0010ffff", "'; DROP TABLE rooms", "hello"]
)
SCALARS = st.none() | st.booleans() | ODD_INTS | ODD_FLOATS | ODD_TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXT, inner, max_size=3), max_leaves=6
)
GOOD: dict[str, dict[str, Any]] = {
    "hello": {"device_id": "d", "client": {"name": "n", "version": "1"}},
    "join": {"ref": 1, "room": "r1", "metadata": {"x": 1}, "after": {"epoch": 1, "seq": 0}, "observe": False},
    "watch": {"ref": 1, "content": {"kind": "video", "id": "7"}, "duration": 10},
    "heartbeat": {"stream": 1, "seq": 1, "at": 1, "position": 0, "state": "playing", "rate": 1},
    "heartbeats": {
        "stream": 1,
        "sent_at": 1,
        "samples": [{"seq": 1, "at": 1, "position": 0, "state": "playing", "visible": True}],
    },
    "interact": {"ref": 1, "stream": 1, "kind": "doubt", "id": "1", "value": 1},
    "presence": {"ref": 1, "room": "r1", "after": {"epoch": 1, "seq": 1}, "cursor": "a"},
    "leave": {"stream": 1},
    "surprise": {"ref": 1, "stream": 1},
}


@st.composite
def almost_right(draw: st.DrawFn) -> Any:
    """A message of the protocol with some fields changed, dropped or added."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    message: dict[str, Any] = {"type": kind, **GOOD[kind]}
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from([*sorted(message), "surprise"]))
        how = draw(st.sampled_from(["replace", "drop", "inside"]))
        inside = message.get(field)
        if how == "drop":
            message.pop(field, None)
        elif how == "inside" and isinstance(inside, dict):
            message[field] = inside | draw(st.dictionaries(st.sampled_from([*inside, "x"]), VALUES, max_size=2))
        elif how == "inside" and isinstance(inside, list):
            message[field] = inside + draw(st.lists(VALUES, max_size=2))
        else:
            message[field] = draw(VALUES)
    return message


async def _converse(lab: Lab, messages: list[Any], codec: str) -> None:
    binary = codec == MSGPACK
    one = await lab.connect(codec)
    data = b"".join(_encoded(message, binary=binary) for message in messages)
    await one.write(data + frame_bytes(PING, b"end"))
    await _listen(one, binary=binary)
    await lab.gone(one)
    await lab.still_serving()


async def _listen(one: Wire, *, binary: bool) -> None:
    """Hear all answers up to the pong or the close, and check each refusal."""
    while True:
        opcode, payload = await one.read_frame()
        if opcode == 10:
            return
        if opcode == CLOSE:
            assert int.from_bytes(payload[:2]) in {1000, 1002, 1009, 4400, 4401, 4429}
            return
        answer = msgspec.msgpack.decode(payload) if binary else json.loads(payload)
        if answer["type"] == "error" and answer["code"] == "bad_message":
            assert NAMES_A_FIELD.search(answer["message"]), answer


@pytest.mark.parametrize("codec", BOTH)
def test_messages_that_are_almost_right_are_answered(lab, codec):
    @FUZZ
    @given(st.lists(almost_right() | VALUES, min_size=1, max_size=8))
    def holds(messages):
        lab.run(_converse(lab, messages, codec))

    holds()


# -- payloads that are nothing ----------------------------------------------------------------------------------------

SEEDS = [json.dumps({"type": kind} | fields).encode() for kind, fields in GOOD.items()]
PACKED_SEEDS = [msgspec.msgpack.encode({"type": kind} | fields) for kind, fields in GOOD.items()]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Bytes of a good message, some of them changed, cut or doubled."""
    data = bytearray(draw(st.sampled_from(SEEDS + PACKED_SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if how == "change" and data:
            data[index] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[index : index + draw(st.integers(1, 9))]
        elif how == "double":
            data[index:index] = data[index : index + 20]
        else:
            data[index:index] = draw(st.binary(max_size=8))
    return bytes(data)


async def _throw(lab: Lab, payloads: list[bytes], codec: str) -> None:
    binary = codec == MSGPACK
    one = await lab.connect(codec)
    opcode = BINARY if binary else TEXT
    await one.write(b"".join(frame_bytes(opcode, payload) for payload in payloads) + frame_bytes(PING, b"end"))
    await _listen(one, binary=binary)
    await lab.gone(one)
    await lab.still_serving()


@pytest.mark.parametrize("codec", BOTH)
def test_payloads_that_are_nothing_are_bad_messages(lab, codec):
    @FUZZ
    @given(st.lists(st.binary(max_size=200) | damaged(), min_size=1, max_size=8))
    def holds(payloads):
        lab.run(_throw(lab, payloads, codec))

    holds()


# -- frames that are nothing ------------------------------------------------------------------------------------------

FRAMES = st.builds(
    frame_bytes,
    st.integers(0, 15),
    st.binary(max_size=130) | st.sampled_from(SEEDS),
    fin=st.booleans(),
    masked=st.booleans() | st.just(value=True),
    rsv=st.just(0) | st.integers(0, 7),
)


async def _pour(lab: Lab, data: bytes, cuts: list[int]) -> None:
    one = await lab.connect()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, stop in pairwise(edges):
            await one.write(data[start:stop])
            await asyncio.sleep(0)
        one.writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            await one.reader.read()
    except ConnectionError:
        pass
    await lab.gone(one)
    await lab.still_serving()


def test_frames_that_are_nothing_end_a_socket_and_no_more(lab):
    @FUZZ
    @given(
        st.lists(FRAMES | st.binary(max_size=40), max_size=6).map(b"".join), st.lists(st.integers(0, 999), max_size=4)
    )
    def holds(data, cuts):
        lab.run(_pour(lab, data, cuts))

    holds()


HEAD = upgrade_bytes()


async def _knock(lab: Lab, data: bytes) -> None:
    one = Wire(*await asyncio.open_connection("127.0.0.1", lab.node.port))
    try:
        await one.write(data)
        one.writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            await one.reader.read()
    except ConnectionError:
        pass
    await lab.gone(one)
    await lab.still_serving()


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """An upgrade request with some bytes wrong, or something else."""
    data = bytearray(HEAD)
    for _ in range(draw(st.integers(0, 4))):
        index = draw(st.integers(0, len(data) - 1))
        data[index : index + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
    return bytes(data)


def test_requests_that_are_nothing_end_a_socket_and_no_more(lab):
    @FUZZ
    @given(requests() | st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"GET /ws " + tail))
    def holds(data):
        lab.run(_knock(lab, data))

    holds()


# -- memory -----------------------------------------------------------------------------------------------------------


async def _garbage(lab: Lab, rounds: int) -> None:
    for number in range(rounds):
        one = await lab.connect()
        payloads = [seed[: number % len(seed)] for seed in SEEDS] + [bytes([number % 256]) * (number % 5000)]
        await one.write(b"".join(frame_bytes(TEXT, payload) for payload in payloads) + frame_bytes(PING, b"end"))
        await _listen(one, binary=False)
        await lab.gone(one)


@pytest.mark.slow
def test_garbage_does_not_make_the_server_grow(lab):
    process = psutil.Process()
    lab.run(_garbage(lab, 500))
    gc.collect()
    before = process.memory_info().rss
    lab.run(_garbage(lab, 3_000))
    gc.collect()
    assert process.memory_info().rss - before < 6 * 2**20
    assert sum(type(thing) is Connection for thing in gc.get_objects()) == 1
