"""What opens a WebSocket, and what does not."""

import asyncio

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from server import listener
from tests.support.clients import BOTH, JSON, MSGPACK, TEXT, frame_bytes, player, upgrade_bytes, wire
from tests.support.node import Node

# -- subprotocols -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_each_subprotocol_is_taken_when_offered(node, codec):
    async with player(node, codec=codec) as one:
        assert one.socket.subprotocol == codec
        assert (await one.join())["type"] == "joined"


async def test_no_subprotocol_means_json(node):
    async with player(node, codec=None) as one:
        assert one.socket.subprotocol is None
        assert (await one.join())["type"] == "joined"


async def test_the_first_known_subprotocol_of_an_offer_is_taken(node):
    offer = [Subprotocol("chat"), Subprotocol(MSGPACK), Subprotocol(JSON)]
    async with connect(node.url, subprotocols=offer, proxy=None) as socket:
        assert socket.subprotocol == MSGPACK


async def test_an_offer_over_several_header_lines_is_one_offer(node):
    async with wire(node) as one:
        head = await one.upgrade("Sec-WebSocket-Protocol: chat", f"Sec-WebSocket-Protocol: {MSGPACK}")
        assert " 101 " in head
        assert f"Sec-WebSocket-Protocol: {MSGPACK}" in head


async def test_unknown_subprotocols_are_refused_by_name(node):
    async with wire(node) as one:
        head = await one.upgrade("Sec-WebSocket-Protocol: chat")
        assert head.startswith("HTTP/1.1 400 ")
        assert b"rollcall.v1.json" in await one.gone()


# -- the token's place ------------------------------------------------------------------------------------------------


async def test_the_token_may_travel_in_the_header(node):
    bearer = {"Authorization": f"Bearer {node.token()}"}
    async with player(node, None, headers=bearer) as one:
        assert (await one.hello())["type"] == "welcome"


async def test_the_token_may_travel_in_hello(node):
    async with player(node, None) as one:
        assert (await one.hello(node.token()))["type"] == "welcome"


async def test_the_token_in_hello_goes_before_that_in_the_header(node):
    async with player(node, None, headers={"Authorization": "Bearer forged"}) as one:
        assert (await one.hello(node.token()))["type"] == "welcome"


@pytest.mark.parametrize("name", ["token", "access_token", "authorization"])
async def test_a_token_in_the_url_is_no_token(node, name):
    async with player(node, None, path=f"?{name}={node.token()}") as one:
        await one.say("hello")
        assert await one.closed() == 4401


# -- origins ----------------------------------------------------------------------------------------------------------


async def test_another_origin_is_refused(node):
    with pytest.raises(InvalidStatus) as refused:
        async with player(node, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["null", "http://[", "http://", "", "file://", "http://127.0.0.1:1"])
async def test_an_origin_that_is_nowhere_is_refused(node, origin):
    async with wire(node) as one:
        assert (await one.upgrade(f"Origin: {origin}")).startswith("HTTP/1.1 403 ")


async def test_a_request_that_names_neither_host_nor_origin_host_is_refused(node):
    async with wire(node) as one:
        request = upgrade_bytes("Origin: null").replace(b"Host: 127.0.0.1", b"Host: ")
        await one.write(request)
        assert (await one.read_head()).startswith("HTTP/1.1 403 ")


async def test_our_own_page_may_connect(node):
    async with player(node, origin=f"http://127.0.0.1:{node.port}") as one:
        assert await one.join()


async def test_a_program_without_origin_may_connect(node):
    async with player(node, origin=None) as one:
        assert await one.join()


async def test_an_origin_on_the_list_may_connect_and_others_may_not():
    async with Node(origins=["https://school.example"]) as node:
        async with player(node, origin="https://school.example") as one:
            assert await one.join()
        async with wire(node) as one:
            assert (await one.upgrade("Origin: https://school.example.evil")).startswith("HTTP/1.1 403 ")


# -- one port ---------------------------------------------------------------------------------------------------------


async def test_http_and_websocket_share_the_port(node):
    async with player(node) as one, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(f"http://127.0.0.1:{node.port}/hello") as answer:
                assert (answer.status, await answer.json()) == (200, {"path": "/hello"})
        assert await one.join()


@pytest.mark.parametrize("path", ["/wsx", "/ws/", "/ws/more", "/w", "/"])
async def test_paths_that_only_look_like_it_are_http(node, path):
    async with wire(node) as one:
        assert (await one.upgrade(path=path)).startswith("HTTP/1.1 404 ")


async def test_a_plain_get_of_the_path_is_told_what_is_missing(node):
    async with wire(node) as one:
        await one.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await one.read_head()).startswith("HTTP/1.1 400 ")
        assert b"Upgrade" in await one.gone()


@pytest.mark.parametrize("value", ["keep-alive, Upgrade", "Upgrade, keep-alive", "upgrade", "keep-alive,Upgrade"])
async def test_browsers_may_list_more_in_the_connection_header(node, value):
    """Firefox sends `keep-alive, Upgrade`."""
    async with wire(node) as one:
        await one.write(upgrade_bytes().replace(b"Connection: Upgrade", f"Connection: {value}".encode()))
        assert " 101 " in await one.read_head()


@pytest.mark.parametrize("value", ["keep-alive", "close", "upgraded", ""])
async def test_a_connection_header_without_upgrade_is_refused(node, value):
    async with wire(node) as one:
        await one.write(upgrade_bytes().replace(b"Connection: Upgrade", f"Connection: {value}".encode()))
        assert (await one.read_head()).startswith("HTTP/1.1 400 ")


# -- packets ----------------------------------------------------------------------------------------------------------


async def test_a_request_in_single_bytes_is_read(node):
    async with wire(node) as one:
        request = upgrade_bytes()
        for index in range(len(request)):
            await one.write(request[index : index + 1])
            await asyncio.sleep(0)
        assert " 101 " in await one.read_head()


@pytest.mark.parametrize("cut", [1, 3, 7, 8, 9, 60])
async def test_a_request_in_two_packets_is_read_wherever_it_is_cut(node, cut):
    async with wire(node) as one:
        request = upgrade_bytes(path="/ws?a=b")
        await one.write(request[:cut])
        await _server_has_read(node)
        await one.write(request[cut:])
        assert " 101 " in await one.read_head()


async def test_http_in_single_bytes_is_read(node):
    async with wire(node) as one:
        for byte in b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n":
            await one.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await one.read_head()).startswith("HTTP/1.1 200 ")


async def test_a_frame_right_behind_the_request_is_not_lost(node):
    async with wire(node) as one:
        hello = frame_bytes(TEXT, b'{"type":"hello","token":"%s"}' % node.token().encode())
        await one.write(upgrade_bytes() + hello)
        assert " 101 " in await one.read_head()
        assert (await one.hear("welcome"))["max_samples"] == 500


async def test_many_frames_right_behind_a_large_request_are_not_lost(node):
    async with wire(node) as one:
        hello = frame_bytes(TEXT, b'{"type":"hello","token":"%s"}' % node.token().encode())
        ask = frame_bytes(TEXT, b'{"type":"unheard-of","ref":"%s"}' % (b"x" * 100))
        await one.write(upgrade_bytes(f"X-Large: {'x' * 7000}") + hello + ask * 50)
        assert " 101 " in await one.read_head()
        await one.hear("welcome")
        for _ in range(50):
            assert (await one.hear("error"))["code"] == "unknown_type"


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /w", b"GET /ws", b"GET /ws HTTP/1.1\r\nHost: x\r\nUpg"])
async def test_slow_first_bytes_are_cut(node, monkeypatch, sent):
    monkeypatch.setattr(listener, "FIRST_BYTES_S", 0.05)
    monkeypatch.setattr(listener, "UPGRADE_S", 0.05)
    async with wire(node) as one:
        await one.write(sent)
        assert await one.gone() == b""


@pytest.mark.parametrize("size", [15_000, 17_000, 100_000, 2_000_000])
async def test_oversized_headers_are_cut(node, size):
    async with wire(node) as one:
        request = upgrade_bytes(f"X-Large: {'x' * size}")
        one.writer.write(request)
        if size < 16_000:
            assert " 101 " in await one.read_head()
        else:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await one.read_head()


async def test_a_refused_request_with_much_behind_it_still_gets_its_answer(node):
    async with wire(node) as one:
        await one.write(upgrade_bytes("Origin: https://evil.example") + frame_bytes(TEXT, b"x" * 50_000))
        assert (await one.read_head()).startswith("HTTP/1.1 403 ")
        assert b"origin" in await one.gone()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /ws HTTP/1.0\r\n\r\n",
        b"GET /ws HTTP/1.1\r\n: \r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nOrigin: \xff\xfe\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: \xff\r\n\r\n",
        b"GET /ws \xff\xff\r\n\r\n",
        upgrade_bytes().replace(b"Version: 13", b"Version: 99"),
        upgrade_bytes().replace(b"Version: 13", b"Version: \xff"),
        upgrade_bytes().replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: \xff"),
        upgrade_bytes("Transfer-Encoding: chunked"),
        upgrade_bytes("Content-Length: 5") + b"12345",
        upgrade_bytes(*[f"X-{number}: y" for number in range(200)]),
    ],
)
async def test_a_broken_request_is_refused_and_the_next_one_served(node, request_):
    async with wire(node) as one:
        await one.write(request_)
        status = (await one.read_head()).split()[1]
        assert status in {"400", "403"}
    async with player(node) as one:
        assert await one.join()


async def _server_has_read(node: Node) -> None:
    """Another connection's whole exchange: what was written before it has been read."""
    async with wire(node) as other:
        assert " 101 " in await other.upgrade()
