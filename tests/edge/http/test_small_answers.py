"""`server.http.small`: answers that leave in one piece, and what holds them back."""

import asyncio
import socket

from aiohttp import web

from server.http.small import UNREAD_BYTES, Small

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"x" * 8192
MANY = 400


async def test_answers_that_nobody_reads_do_not_pile_up():
    answered = 0

    async def handler(_request: web.Request) -> web.Response:
        nonlocal answered
        answered += 1
        return Small(BODY)

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    reader, writer = await asyncio.open_connection(host, port, limit=16_384)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    writer.write(REQUEST)
    await reader.readuntil(BODY)
    assert runner.server is not None
    transport = runner.server.connections[0].transport
    assert isinstance(transport, asyncio.Transport)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    writer.write(REQUEST * MANY)
    for _ in range(20 * MANY):
        await asyncio.sleep(0)
    waiting, taken = transport.get_write_buffer_size(), answered

    for _ in range(MANY):
        await reader.readuntil(BODY)
    writer.close()
    await runner.cleanup()
    assert UNREAD_BYTES < waiting < UNREAD_BYTES + 3 * len(BODY)
    assert taken < MANY < answered == MANY + 1
