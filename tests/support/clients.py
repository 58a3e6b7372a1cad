"""Clients of `/ws`: one with manners (`Player`, by the `websockets` library), one without (`Wire`, a bare socket)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import struct
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from protocol.codec import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from tests.support.node import DEADLINE_S, Node

JSON = SUBPROTOCOL_JSON
MSGPACK = SUBPROTOCOL_MSGPACK
BOTH = [JSON, MSGPACK]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

Frame = dict[str, Any]


class Player:
    """A client in the words of the protocol. `passed` keeps the frames that a wait for another one passed over."""

    def __init__(self, node: Node, socket: ClientConnection, *, binary: bool) -> None:
        self.node = node
        self.socket = socket
        self.binary = binary
        self.passed: list[Frame] = []
        self._refs = itertools.count(1)

    # -- speaking -----------------------------------------------------------------------------------------------------

    def encoded(self, **message: Any) -> str | bytes:
        return msgspec.msgpack.encode(message) if self.binary else json.dumps(message)

    async def say(self, type: str, **fields: Any) -> None:  # noqa: A002 - the protocol's word
        await self.socket.send(self.encoded(type=type, **fields))

    async def ask(self, type: str, **fields: Any) -> Frame:  # noqa: A002 - the protocol's word
        """Say something that has a `ref`, and return its answer."""
        ref = fields.setdefault("ref", f"r{next(self._refs)}")
        await self.say(type, **fields)
        return await self.answer(ref)

    async def hello(self, token: str | None = None, **fields: Any) -> Frame:
        if token is not None:
            fields["token"] = token
        await self.say("hello", **fields)
        return await self.hear("welcome")

    async def join(self, room: str | int = "r1", **fields: Any) -> Frame:
        joined = await self.ask("join", room=room, **fields)
        assert joined["type"] == "joined", joined
        return joined

    async def watch(self, content: str | int = "7", **fields: Any) -> Frame:
        watching = await self.ask("watch", content={"kind": "video", "id": content}, **fields)
        assert watching["type"] == "watching", watching
        return watching

    async def beat(self, stream: int, seq: int, position: float = 0.0, **fields: Any) -> None:
        """One sample, taken now."""
        sample = {"stream": stream, "seq": seq, "at": self.node.now, "position": position, "state": "playing"}
        await self.say("heartbeat", **(sample | fields))

    def sample(self, seq: int, position: float = 0.0, **fields: Any) -> Frame:
        return {"seq": seq, "at": self.node.now, "position": position, "state": "playing"} | fields

    # -- hearing ------------------------------------------------------------------------------------------------------

    async def next(self) -> Frame:
        """The next frame, whatever it is."""
        async with asyncio.timeout(DEADLINE_S):
            data = await self.socket.recv()
        assert isinstance(data, bytes) is self.binary
        frame: Frame = msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
        return frame

    async def hear(self, type: str, **fields: Any) -> Frame:  # noqa: A002 - the protocol's word
        """The next frame of this type (and with these fields)."""
        while True:
            frame = await self.next()
            if frame["type"] == type and all(frame.get(key) == value for key, value in fields.items()):
                return frame
            self.passed.append(frame)

    async def answer(self, ref: str | int) -> Frame:
        """The frame that carries this `ref`."""
        while True:
            frame = await self.next()
            if frame.get("ref") == ref:
                return frame
            self.passed.append(frame)

    async def refused(self, code: str, **fields: Any) -> Frame:
        """The next `error`, which must have this code."""
        error = await self.hear("error")
        assert error["code"] == code, error
        assert {key: error.get(key) for key in fields} == fields, error
        return error

    async def rest(self) -> list[Frame]:
        """All frames that the server has sent until now (it answers in order, so an answer ends them)."""
        ref = f"rest{next(self._refs)}"
        await self.say("what-is-this", ref=ref)
        frames: list[Frame] = []
        while True:
            frame = await self.next()
            if frame.get("ref") == ref:
                return frames
            frames.append(frame)

    async def closed(self) -> int:
        """Wait for the close, and return its code; frames before it are in `passed`."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.passed.append(await self.next())
        async with asyncio.timeout(DEADLINE_S):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code

    async def vanish(self) -> None:
        """Be gone without a word."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


@contextlib.asynccontextmanager
async def player(
    node: Node,
    user: str | None = "27",
    *,
    codec: str | None = JSON,
    headers: dict[str, str] | None = None,
    origin: str | None = None,
    path: str = "",
    options: dict[str, Any] | None = None,
    **claims: Any,
) -> AsyncGenerator[Player]:
    """A connected client; with a `user` it has said `hello`."""
    socket = await connect(
        node.url + path,
        subprotocols=None if codec is None else [Subprotocol(codec)],
        additional_headers=headers,
        origin=None if origin is None else Origin(origin),
        proxy=None,
        **(
            {"compression": None, "ping_interval": None, "max_size": None, "max_queue": None, "close_timeout": 2}
            | (options or {})
        ),
    )
    one = Player(node, socket, binary=codec == MSGPACK)
    try:
        if user is not None:
            await one.hello(node.token(user, **claims))
        yield one
    finally:
        await socket.close()


class Wire:
    """A bare socket that says what it is told to, right or wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self.writer.drain()

    async def read_head(self) -> str:
        """An HTTP answer up to its blank line."""
        async with asyncio.timeout(DEADLINE_S):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def read_frame(self) -> tuple[int, bytes]:
        """A frame's opcode and payload."""
        async with asyncio.timeout(DEADLINE_S):
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "a server does not mask"
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def hear(self, type: str) -> Frame:  # noqa: A002 - the protocol's word
        """The next message of this type (JSON)."""
        while True:
            frame = await self.message()
            if frame["type"] == type:
                return frame

    async def message(self) -> Frame:
        """The next message (JSON)."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == TEXT:
                frame: Frame = json.loads(payload)
                return frame

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before it."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])

    async def gone(self) -> bytes:
        """Wait for the end of the stream; returns what came before it. A reset is an error."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()

    async def say(self, **message: Any) -> None:
        await self.write(frame_bytes(TEXT, json.dumps(message).encode()))

    async def upgrade(self, *extra: str, path: str = "/ws") -> str:
        await self.write(upgrade_bytes(*extra, path=path))
        return await self.read_head()


def upgrade_bytes(*extra: str, path: str = "/ws") -> bytes:
    """An upgrade request."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *extra,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame_bytes(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it (masked with zeros, which any server takes), or as none may."""
    return frame_head(opcode, len(payload), fin=fin, masked=masked, rsv=rsv) + payload


def frame_head(opcode: int, size: int, *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """What stands before a payload of `size` bytes."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, mask | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask | 127, size)
    return head + (bytes(4) if masked else b"")


@contextlib.asynccontextmanager
async def wire(node: Node) -> AsyncGenerator[Wire]:
    """A connected bare socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def upgraded(node: Node, user: str | None = "27") -> AsyncGenerator[Wire]:
    """A bare socket behind its upgrade; with a `user` it has said `hello`."""
    async with wire(node) as one:
        assert " 101 " in await one.upgrade()
        if user is not None:
            await one.say(type="hello", token=node.token(user))
            await one.hear("welcome")
        yield one
