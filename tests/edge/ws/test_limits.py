"""A bound on everything a client may do, and what happens at the bound."""

import asyncio
import contextlib
import json
import socket
import struct

import msgspec
import pytest

from server.ws import outlet
from server.ws.hub import Limits
from tests.support.clients import (
    BINARY,
    BOTH,
    CLOSE,
    CONTINUATION,
    JSON,
    MSGPACK,
    PING,
    PONG,
    TEXT,
    frame_bytes,
    frame_head,
    player,
    upgraded,
    wire,
)
from tests.support.node import Node, until

UNKNOWN = json.dumps({"type": "what", "ref": 1}).encode()


def _padded(size):
    """A message of exactly this size that is answered."""
    return UNKNOWN[:-1] + b" " * (size - len(UNKNOWN)) + b"}"


# -- frames -----------------------------------------------------------------------------------------------------------


async def test_the_largest_frame_is_taken_and_one_byte_more_closes_1009(node):
    async with upgraded(node) as one:
        await one.write(frame_bytes(TEXT, _padded(64 * 1024)))
        assert (await one.hear("error"))["code"] == "unknown_type"
        await one.write(frame_bytes(TEXT, _padded(64 * 1024 + 1)))
        assert await one.close_code() == 1009


async def test_the_largest_message_is_taken_in_pieces_and_one_byte_more_closes_1009(node):
    async with upgraded(node) as one:
        for size in (64 * 1024, 64 * 1024 + 1):
            data = _padded(size)
            await one.write(
                frame_bytes(TEXT, data[:30_000], fin=False)
                + frame_bytes(CONTINUATION, data[30_000:60_000], fin=False)
                + frame_bytes(CONTINUATION, data[60_000:])
            )
            if size == 64 * 1024:
                assert (await one.hear("error"))["code"] == "unknown_type"
        assert await one.close_code() == 1009


@pytest.mark.parametrize("size", [2**16, 2**20, 2**31, 2**62])
async def test_a_frame_too_big_is_refused_by_its_head(node, size):
    async with upgraded(node) as one:
        await one.write(frame_head(TEXT, size + 1))
        assert await one.close_code() == 1009


async def test_the_code_arrives_though_the_client_is_still_sending_what_is_too_big(node):
    async with upgraded(node) as one:
        await one.write(frame_head(TEXT, 2**30))
        sending = asyncio.create_task(_send_on(one, b"x" * 50_000))
        await asyncio.wait([sending], timeout=0.3)
        assert not sending.done(), "the connection was reset"
        assert await one.close_code() == 1009
        sending.cancel()
        # Not at an end either: a proxy would pass that on, and reset a client that is still sending.
        ending = asyncio.create_task(one.gone())
        await asyncio.wait([ending], timeout=0.1)
        assert not ending.done()
        ending.cancel()


async def test_the_client_library_sees_1009(node):
    async with player(node) as one:
        await one.socket.send("x" * 3_000_000)
        assert await one.closed() == 1009


@pytest.mark.parametrize("codec", BOTH)
async def test_fragments_make_a_message_also_with_a_ping_between(node, codec):
    async with player(node, codec=codec) as one:
        message = one.encoded(type="join", ref="f", room="r1")
        pieces = [message[index : index + 1] for index in range(len(message))]
        await one.socket.send(iter(pieces))
        assert (await one.answer("f"))["type"] == "joined"
    async with upgraded(node) as raw:
        await raw.write(
            frame_bytes(TEXT, UNKNOWN[:5], fin=False)
            + frame_bytes(PING, b"between")
            + frame_bytes(CONTINUATION, b"", fin=False)
            + frame_bytes(CONTINUATION, UNKNOWN[5:])
        )
        assert await raw.read_frame() == (PONG, b"between")
        assert (await raw.hear("error"))["ref"] == 1


@pytest.mark.parametrize(
    "frames",
    [
        frame_bytes(CONTINUATION, b"of nothing"),
        frame_bytes(TEXT, b"{", fin=False) + frame_bytes(TEXT, UNKNOWN),
        frame_bytes(TEXT, b"{", fin=False) + frame_bytes(BINARY, b"", fin=False),
        frame_bytes(TEXT, UNKNOWN, masked=False),
        frame_bytes(3, b"reserved"),
        frame_bytes(11, b"reserved"),
        frame_bytes(PING, b"x" * 126),
        frame_bytes(PING, b"", fin=False),
        frame_bytes(CLOSE, b"\x03"),
        frame_bytes(CLOSE, struct.pack(">H", 1005)),
        bytes([0x81, 0x80 | 127]) + struct.pack(">Q", 2**63) + bytes(4),
    ],
)
async def test_what_breaks_the_websocket_protocol_closes_1002(node, frames):
    async with upgraded(node) as one:
        await one.write(frames)
        assert await one.close_code() == 1002
    async with player(node) as other:
        assert await other.join()


@pytest.mark.parametrize(("sent", "echoed"), [(b"", 1000), (struct.pack(">H", 1001), 1001), (b"\x0f\xa0bye", 4000)])
async def test_a_close_is_answered_and_the_socket_ends(node, sent, echoed):
    async with upgraded(node) as one:
        await one.write(frame_bytes(CLOSE, sent))
        assert await one.close_code() == echoed
        assert await one.gone() == b""
    await until(lambda: node.nothing_held)


async def test_a_half_closed_socket_is_gone(node):
    async with upgraded(node) as one:
        one.writer.write_eof()
        assert await one.gone() == b""
    await until(lambda: node.nothing_held)


# -- encodings --------------------------------------------------------------------------------------------------------


async def test_each_codec_takes_its_own_kind_of_frame(node):
    async with player(node, codec=JSON) as one:
        await one.socket.send(UNKNOWN)
        assert "text frames" in (await one.refused("bad_message"))["message"]
    async with player(node, codec=MSGPACK) as two:
        await two.socket.send(UNKNOWN.decode())
        assert "binary frames" in (await two.refused("bad_message"))["message"]


BAD_JSON = {
    "nul in an id": rb'{"type":"join","ref":1,"room":"a\u0000b"}',
    "nul in a ref": rb'{"type":"join","ref":"\u0000","room":"a"}',
    "nul in metadata": rb'{"type":"join","ref":1,"room":"a","metadata":{"x":"\u0000"}}',
    "nul in a metadata key": rb'{"type":"join","ref":1,"room":"a","metadata":{"\u0000":1}}',
    "lone high surrogate": rb'{"type":"join","ref":1,"room":"\ud800"}',
    "lone low surrogate": rb'{"type":"join","ref":1,"room":"\udc00x"}',
    "surrogate in metadata": rb'{"type":"join","ref":1,"room":"a","metadata":{"x":"\ud800"}}',
    "broken utf-8": b'{"type":"join","ref":1,"room":"\xff"}',
    "utf-8 of a surrogate": b'{"type":"join","ref":1,"room":"\xed\xa0\x80"}',
    "nan": b'{"type":"heartbeat","stream":1,"seq":1,"at":1,"position":NaN,"state":"playing"}',
    "infinity": b'{"type":"heartbeat","stream":1,"seq":1,"at":1,"position":1e999,"state":"playing"}',
    "nan in metadata": b'{"type":"join","ref":1,"room":"a","metadata":{"x":NaN}}',
    "infinity in metadata": b'{"type":"join","ref":1,"room":"a","metadata":{"x":1e999}}',
    "65 bits in a ref": b'{"type":"join","ref":18446744073709551616,"room":"a"}',
    "65 bits in a room": b'{"type":"join","ref":1,"room":18446744073709551616}',
    "65 bits in metadata": b'{"type":"join","ref":1,"room":"a","metadata":{"x":[18446744073709551616]}}',
    "-65 bits in metadata": b'{"type":"join","ref":1,"room":"a","metadata":{"x":-9223372036854775809}}',
    "a very long number": b'{"type":"join","ref":1,"room":"a","metadata":{"x":' + b"9" * 900 + b"}}",
    "deep nesting": b'{"type":"join","ref":1,"room":"a","metadata":{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    "a long id": b'{"type":"join","ref":1,"room":"' + b"x" * 129 + b'"}',
    "an empty id": b'{"type":"join","ref":1,"room":""}',
    "a long ref": b'{"type":"join","ref":"' + b"x" * 129 + b'","room":"a"}',
    "no ref": b'{"type":"join","room":"a"}',
    "a negative room": b'{"type":"join","ref":1,"room":-1}',
    "an array": b'["join",1,"a"]',
    "no type": b'{"ref":1}',
    "type of another kind": b'{"type":5}',
    "null": b"null",
    "nothing": b"",
    "half": b'{"type":"join","ref":1,"ro',
    "two at once": b'{"type":"leave","stream":1}{"type":"leave","stream":1}',
    "a trailing nul": b'{"type":"leave","stream":1}\x00',
}


@pytest.mark.parametrize("message", BAD_JSON.values(), ids=BAD_JSON)
async def test_bad_json_is_a_bad_message_and_the_connection_lives(node, message):
    async with upgraded(node) as one:
        await one.write(frame_bytes(TEXT, message))
        error = await one.hear("error")
        assert error["code"] == "bad_message"
        assert error["message"]
        await one.say(type="join", ref=2, room="r1")
        assert (await one.hear("joined"))["ref"] == 2
        assert list(node.system.directory.rooms) == ["r1"]


NAN = float("nan")
BAD_MSGPACK = {
    "nan position": {"type": "heartbeat", "stream": 1, "seq": 1, "at": 1, "position": NAN, "state": "playing"},
    "nan rate": {"type": "heartbeat", "stream": 1, "seq": 1, "at": 1, "position": 0, "state": "playing", "rate": NAN},
    "infinity": {"type": "heartbeat", "stream": 1, "seq": 1, "at": 1, "position": float("inf"), "state": "playing"},
    "nan duration": {"type": "watch", "ref": 1, "content": {"kind": "v", "id": "1"}, "duration": NAN},
    "nan in metadata": {"type": "join", "ref": 1, "room": "a", "metadata": {"x": [NAN]}},
    "infinity in metadata": {"type": "join", "ref": 1, "room": "a", "metadata": {"x": float("inf")}},
    "nul": {"type": "join", "ref": 1, "room": "\0"},
    "bytes for text": {"type": "join", "ref": 1, "room": b"abc"},
    "an extension": {"type": "join", "ref": 1, "room": msgspec.msgpack.Ext(5, b"x")},
    "a key that is no text": {"type": "join", "ref": 1, "room": "a", "metadata": {1: 2}},
    "a large integer": {"type": "heartbeat", "stream": 2**64 - 1, "seq": 1, "at": 1, "position": 0, "state": "playing"},
}


@pytest.mark.parametrize("message", BAD_MSGPACK.values(), ids=BAD_MSGPACK)
async def test_bad_msgpack_is_a_bad_message_and_the_connection_lives(node, message):
    async with player(node, codec=MSGPACK) as one:
        await one.socket.send(msgspec.msgpack.encode(message))
        await one.refused("bad_message")
        assert await one.join("r1")
        assert list(node.system.directory.rooms) == ["r1"]


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x81", b"\xdf\xff\xff\xff\xff", b"\xa5\xff\xff\xff\xff\xff", b"\x91" * 9999]
)
async def test_broken_msgpack_is_a_bad_message_and_the_connection_lives(node, data):
    async with player(node, codec=MSGPACK) as one:
        await one.socket.send(data)
        await one.refused("bad_message")
        assert await one.join("r1")


# -- rates ------------------------------------------------------------------------------------------------------------


async def test_a_burst_is_taken_and_the_message_behind_it_closes_4429_at_once():
    async with Node(Limits(messages_per_second=0.001, messages_burst=20)) as node, upgraded(node) as one:
        for _ in range(19):
            await one.write(frame_bytes(TEXT, UNKNOWN))
            assert (await one.hear("error"))["code"] == "unknown_type"
        await one.write(frame_bytes(TEXT, UNKNOWN))
        assert await one.close_code() == 4429


async def test_the_bucket_fills_again(node):
    async with player(node) as one:
        for _ in range(5):
            for _ in range(60):
                await one.say("what")
            for _ in range(60):
                await one.refused("unknown_type")
            node.pass_time(1.3)


async def test_samples_in_a_batch_do_not_count():
    async with Node(Limits(messages_per_second=0.001, messages_burst=5)) as node, player(node) as one:
        stream = (await one.watch())["stream"]
        samples = [one.sample(seq) for seq in range(1, 501)]
        await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
        await one.hear("ack", seq=500)


async def test_a_flood_of_pings_or_fragments_closes_4429():
    for flood in (
        frame_bytes(PING),
        frame_bytes(PONG),
        frame_bytes(TEXT, fin=False) + frame_bytes(CONTINUATION, fin=False) * 9,
    ):
        async with Node(Limits(messages_per_second=0.001, messages_burst=5)) as node, upgraded(node) as one:
            await one.write(flood * 200)
            assert await one.close_code() in {4429, 1002}


async def test_the_tenth_malformed_message_in_a_minute_closes_4400(node):
    async with upgraded(node) as one:
        for _ in range(10):
            await one.write(frame_bytes(TEXT, b"{"))
        for _ in range(10):
            assert (await one.hear("error"))["code"] == "bad_message"
        assert await one.close_code() == 4400


async def test_malformed_messages_are_forgiven_after_a_minute(node):
    async with player(node) as one:
        for _ in range(3):
            for _ in range(9):
                await one.socket.send("{")
                await one.refused("bad_message")
            node.pass_time(61)
        assert await one.join()


async def test_unknown_types_and_refusals_by_meaning_do_not_count(node):
    async with player(node) as one:
        for _ in range(12):
            await one.say("from-the-future", ref="x", stream=3, field={"new": [1]})
            await one.refused("unknown_type", ref="x", stream=3)
            await one.beat(99, 1)
            await one.refused("unknown_stream")
        assert (await one.join(field_of_the_future=1))["type"] == "joined"


# -- connections ------------------------------------------------------------------------------------------------------


async def test_the_ninth_connection_replaces_the_oldest(node):
    async with contextlib.AsyncExitStack() as stack:
        first, second, *_ = [await stack.enter_async_context(player(node)) for _ in range(8)]
        await first.rest()
        ninth = await stack.enter_async_context(player(node))
        assert await first.closed() == 1000
        assert first.passed[-1]["reason"] == "replaced"
        assert await second.rest() == []
        assert await ninth.join()
        other = await stack.enter_async_context(player(node, "other"))
        assert await other.join()


async def test_sockets_that_said_nothing_are_nobodys(node):
    async with player(node) as one, contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(player(node, None))
        assert await one.join()


# -- readers ----------------------------------------------------------------------------------------------------------


def _small_socket(port):
    """A socket that takes little before its reader must read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)  # noqa: FBT003 - the name says it
    return sock


async def _slow_reader(node):
    """A connection in a room that asks for more than it reads; returns its socket and its stream."""
    loop = asyncio.get_running_loop()
    sock = _small_socket(node.port)
    from tests.support.clients import upgrade_bytes

    await loop.sock_sendall(sock, upgrade_bytes())
    await loop.sock_sendall(sock, frame_bytes(TEXT, json.dumps({"type": "hello", "token": node.token()}).encode()))
    return sock


async def test_a_slow_reader_closes_4409_and_its_samples_are_durable():
    limits = Limits(messages_per_second=1e6, messages_burst=1_000_000)
    async with Node(limits) as node, player(node, "other") as other:
        loop = asyncio.get_running_loop()
        sock = await _slow_reader(node)
        try:
            watch = {"type": "watch", "ref": 1, "content": {"kind": "video", "id": "1"}}
            await loop.sock_sendall(sock, frame_bytes(TEXT, json.dumps(watch).encode()))
            await until(lambda: node.system.directory.watches)
            (actor,) = node.system.directory.watches.values()
            beat = {"type": "heartbeat", "stream": 1, "seq": 1, "at": node.now, "position": 0, "state": "playing"}
            await loop.sock_sendall(sock, frame_bytes(TEXT, json.dumps(beat).encode()))
            await until(lambda: actor.watch.state is not None and actor.watch.state.track.last_seq == 1)
            ask = frame_bytes(TEXT, json.dumps({"type": "what" * 15, "ref": "r" * 128}).encode())
            flooding = asyncio.create_task(_flood(sock, ask * 100))
            await until(lambda: node.hub.counts["too_slow"])
            flooding.cancel()
            assert (await other.join())["count"] == 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            opcode, payload = await _last_frame(sock)
            assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, 4409)
        finally:
            sock.close()
        await until(lambda: len(node.hub.connections) == 1)
        async with player(node) as one:
            assert (await one.watch(1, session_id=actor.key))["last_seq"] == 1


async def test_a_reader_that_never_reads_is_cut(monkeypatch):
    monkeypatch.setattr(outlet, "CUT_SLOW_AFTER_S", 0.05)
    limits = Limits(messages_per_second=1e6, messages_burst=1_000_000)
    async with Node(limits) as node:
        sock = await _slow_reader(node)
        try:
            ask = frame_bytes(TEXT, json.dumps({"type": "what" * 15, "ref": "r" * 128}).encode())
            flooding = asyncio.create_task(_flood(sock, ask * 100))
            await until(lambda: node.hub.counts["too_slow"])
            await until(lambda: not node.hub.connections)
            flooding.cancel()
        finally:
            sock.close()


async def test_pongs_that_are_not_read_are_bounded_too():
    limits = Limits(messages_per_second=1e9, messages_burst=1_000_000_000)
    async with Node(limits) as node:
        sock = await _slow_reader(node)
        try:
            flooding = asyncio.create_task(_flood(sock, frame_bytes(PING, b"x" * 125) * 200))
            await until(lambda: node.hub.counts["too_slow"])
            flooding.cancel()
        finally:
            sock.close()
        await until(lambda: not node.hub.connections)


async def _flood(sock, data):
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(sock, data)


async def _last_frame(sock):
    """Read all that comes, and return the last whole frame."""
    loop = asyncio.get_running_loop()
    data = b""
    while True:
        async with asyncio.timeout(10):
            chunk = await loop.sock_recv(sock, 1 << 20)
        data += chunk
        frames, data_left = _frames(data)
        if frames and frames[-1][0] == CLOSE:
            return frames[-1]
        assert chunk, "ended in the middle of a frame" if data_left else "ended without a close"


def _frames(data):
    start = data.index(b"\r\n\r\n") + 4
    frames = []
    while len(data) - start >= 2:
        size, head = data[start + 1] & 0x7F, 2
        if size == 126:
            size, head = int.from_bytes(data[start + 2 : start + 4]), 4
        if len(data) - start < head + size:
            break
        frames.append((data[start] & 15, data[start + head : start + head + size]))
        start += head + size
    return frames, data[start:]


# -- being there ------------------------------------------------------------------------------------------------------


async def test_a_ping_every_interval_and_two_missed_close():
    async with Node(Limits(ping_s=3)) as node, upgraded(node) as silent, player(node, "other") as polite:
        for _ in range(2):
            node.second(3)
            assert (await silent.read_frame())[0] == PING
            await until(lambda: sum(connection.pings_missed for connection in node.hub.connections) in (1, 2))
            await polite.rest()
        node.second(3)
        assert await silent.gone() == b""
        assert await polite.join()
        assert node.hub.counts["ping_timeout"] == 1


async def test_whoever_was_cut_left_when_last_heard(node):
    async with player(node, "a") as one, upgraded(node, "b") as silent:
        await one.join()
        await one.hear("presence")
        await silent.say(type="join", ref=1, room="r1")
        await silent.hear("joined")
        heard = node.now
        node.pass_time(1)
        await one.hear("presence")
        for _ in range(3):
            node.pass_time(25)
            node.second(25)
            await one.rest()
        await until(lambda: len(node.hub.connections) == 1)
        await one.ask("presence", room="r1")
        node.pass_time(21)
        (line,) = (await one.hear("presence"))["leaves"]
        assert line["user_id"] == "b"
        assert abs(line["at"] - heard) < 1000


@pytest.mark.parametrize("payload", [b"", b"hello", b"x" * 125])
async def test_a_ping_of_the_client_gets_its_pong(node, payload):
    async with upgraded(node) as one:
        await one.write(frame_bytes(PING, payload))
        assert await one.read_frame() == (PONG, payload)


async def test_pongs_without_a_ping_are_nothing(node):
    async with upgraded(node) as one:
        await one.write(frame_bytes(PONG, b"?") + frame_bytes(TEXT, UNKNOWN))
        assert (await one.hear("error"))["code"] == "unknown_type"


# -- closing ----------------------------------------------------------------------------------------------------------


async def _send_on(one, data):
    """Send for ever; an error ends it."""
    while True:
        await one.write(data)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b'{"type":"join","ref":1,"room":"r"}', 4400),
        (b'{"type":"hello","token":"forged"}', 4401),
    ],
)
async def test_the_code_arrives_though_the_client_keeps_sending(node, first, code):
    async with upgraded(node, None) as one:
        await one.write(frame_bytes(TEXT, first))
        sending = asyncio.create_task(_send_on(one, frame_bytes(TEXT, _padded(20_000))))
        await asyncio.wait([sending], timeout=0.3)
        assert not sending.done(), "the connection was reset"
        assert await one.close_code() == code
        sending.cancel()
        await one.write(frame_bytes(CLOSE, struct.pack(">H", 1000)))


async def test_a_client_that_does_not_close_is_closed_after_a_moment(node, monkeypatch):
    monkeypatch.setattr(outlet, "DROP_AFTER_CLOSE_S", 0.05)
    async with wire(node) as one:
        await one.upgrade()
        await one.write(frame_bytes(TEXT, b"nonsense"))
        assert await one.close_code() == 4400
        assert await one.gone() == b""


async def test_a_fault_of_ours_closes_1011_and_the_next_one_is_served(node):
    async with player(node) as one, player(node, None) as other:
        verifier = node.hub.verifier
        node.hub.verifier = None
        await other.say("hello", token="x")
        assert await other.closed() == 1011
        node.hub.verifier = verifier
        assert await one.join()


async def test_what_is_said_behind_a_close_is_not_done(node):
    async with upgraded(node) as one:
        hello = json.dumps({"type": "hello", "token": "forged"}).encode()
        await one.write(frame_bytes(TEXT, hello) + frame_bytes(TEXT, b'{"type":"join","ref":1,"room":"r1"}'))
        assert await one.close_code() == 4401
        await one.write(frame_bytes(CLOSE))
        assert await one.gone() == b""
        await until(lambda: node.nothing_held)
        assert not node.system.directory.rooms


# -- addresses --------------------------------------------------------------------------------------------------------


async def test_connections_of_one_address_are_bounded_where_that_is_set():
    async with Node(Limits(connections_per_address=2)) as node, player(node, "a") as one:
        async with player(node, "b"):
            async with player(node, None) as third:
                assert (await third.refused("too_many_connections"))["retry_after"] > 0
                assert await third.closed() == 4429
            assert await one.join()
        await until(lambda: len(node.hub.connections) == 1)
        async with player(node, "c") as two:
            assert await two.join()
    assert node.nothing_held


async def test_a_school_behind_one_address_is_not_bounded(node):
    async with contextlib.AsyncExitStack() as stack:
        for number in range(40):
            await stack.enter_async_context(player(node, f"u{number}"))
        assert len(node.hub.connections) == 40
