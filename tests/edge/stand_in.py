"""A small real server for tests of the player: it keeps what it took, and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from protocol.client_frames import ClientFrame, Heartbeat, Heartbeats, Hello, Join, Leave, Watch
from protocol.codec import CODECS, SUBPROTOCOL_JSON, Codec
from protocol.codes import ByeReason, ErrorCode
from protocol.rest import HeartbeatsAnswer, HeartbeatsBody
from protocol.sample import Sample
from protocol.server_frames import Ack, Bye, Error, Joined, JoinedPresence, RoomInfo, ServerFrame, Watching, Welcome
from protocol.types import canonical_id


class Session:
    """Durable: it survives a restart of the stand-in."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.taken: list[Sample] = []
        self.repeats = 0

    @property
    def last_seq(self) -> int:
        return self.taken[-1].seq if self.taken else 0

    def take(self, samples: list[Sample]) -> None:
        for sample in samples:
            if sample.seq <= self.last_seq:
                self.repeats += 1
            else:
                self.taken.append(sample)

    @property
    def seqs(self) -> list[int]:
        return [sample.seq for sample in self.taken]


class Talk:
    """One connection."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, codec: Codec) -> None:
        self.socket = socket
        self.request = request
        self.codec = codec
        self.streams: dict[int, Session] = {}

    async def say(self, frame: ServerFrame) -> None:
        data = self.codec.encode(frame)
        if self.codec.binary:
            await self.socket.send_bytes(data)
        else:
            await self.socket.send_str(data.decode())

    def reset(self) -> None:
        transport = self.request.transport
        if transport is not None:
            transport.abort()


class StandIn:
    """Accepts every token but `forged`. The switches below change what it does from the next message on."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.heard: list[ClientFrame] = []
        self.posts: list[HeartbeatsBody] = []
        self.talks: list[Talk] = []
        self.hellos: list[tuple[str | None, str | None]] = []
        self.asked: list[float] = []
        self.withhold_acks = False
        self.deaf = False
        self.refuse_samples: list[Error] = []
        self.refuse_joins: list[Error] = []
        self.post_answers: list[tuple[int, dict[str, str]]] = []
        self.interval: float | None = None
        self.left: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._next_stream = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/api/v1/heartbeats", self._post)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        """As a kill: every connection is reset, the port closes."""
        if self._runner is not None:
            for talk in self.talks:
                talk.reset()
            await self._runner.cleanup()
            self._runner = None

    def the_session(self) -> Session:
        (session,) = self.sessions.values()
        return session

    async def bye(self, reconnect_after_ms: int) -> None:
        for talk in list(self.talks):
            await talk.say(Bye(ByeReason.DRAINING, reconnect_after_ms))
            await talk.socket.close(code=1012)

    # -- WebSocket ------------------------------------------------------------------------------------------------

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=tuple(CODECS), autoping=True)
        await socket.prepare(request)
        talk = Talk(socket, request, CODECS[socket.ws_protocol or SUBPROTOCOL_JSON])
        self.talks.append(talk)
        try:
            async for message in socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY} and not self.deaf:
                    data = message.data if isinstance(message.data, bytes) else message.data.encode()
                    await self._answer(talk, talk.codec.decode(data))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.talks.remove(talk)
        return socket

    async def _answer(self, talk: Talk, frame: ClientFrame) -> None:
        self.heard.append(frame)
        answers: dict[type, Callable[[Talk, Any], Any]] = {
            Hello: self._hello,
            Join: self._join,
            Watch: self._join,
            Heartbeat: self._samples,
            Heartbeats: self._samples,
            Leave: self._leave,
        }
        await answers[type(frame)](talk, frame)

    async def _hello(self, talk: Talk, frame: Hello) -> None:
        header = talk.request.headers.get("Authorization")
        self.hellos.append((frame.token, header))
        if frame.token == "forged":
            await talk.socket.close(code=4401)
            return
        await talk.say(Welcome("c", 0, 10.0, 500))

    async def _join(self, talk: Talk, frame: Join | Watch) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        if self.refuse_joins:
            await talk.say(msgspec.structs.replace(self.refuse_joins.pop(0), ref=frame.ref))
            return
        session_id = frame.session_id
        resumed = session_id is not None
        if session_id is None:
            session_id = f"s{len(self.sessions) + 1}"
            self.sessions[session_id] = Session(str(frame.room if isinstance(frame, Join) else frame.content.id))
        session = self.sessions[session_id]
        self._next_stream += 1
        talk.streams[self._next_stream] = session
        if isinstance(frame, Watch):
            watching = Watching(
                frame.ref, self._next_stream, session_id, resumed, session.last_seq, position=0, coverage=0
            )
            await talk.say(watching)
            return
        await talk.say(
            Joined(
                ref=frame.ref,
                stream=self._next_stream,
                session_id=session_id,
                room=RoomInfo(canonical_id(frame.room), "live", 0, None, None, None),
                count=1,
                late=False,
                resumed=resumed,
                last_seq=session.last_seq,
                epoch=1,
                seq=1,
                presence=JoinedPresence(members=[]),
                recovered=False,
            )
        )

    async def _samples(self, talk: Talk, frame: Heartbeat | Heartbeats) -> None:
        if self.refuse_samples:
            error = msgspec.structs.replace(self.refuse_samples.pop(0), stream=frame.stream)
            if error.code == ErrorCode.UNKNOWN_STREAM:
                talk.streams.pop(frame.stream, None)
            await talk.say(error)
            return
        session = talk.streams.get(frame.stream)
        if session is None:
            await talk.say(Error(ErrorCode.UNKNOWN_STREAM, "closed", stream=frame.stream))
            return
        if isinstance(frame, Heartbeat):
            session.take([Sample(frame.seq, frame.at, frame.position, frame.state, frame.rate)])
        else:
            session.take(frame.samples)
        if not self.withhold_acks:
            interval = msgspec.UNSET if self.interval is None else self.interval
            await talk.say(Ack(frame.stream, session.last_seq, interval))

    async def _leave(self, talk: Talk, frame: Leave) -> None:
        self.left.append(talk.streams.pop(frame.stream).target)

    # -- HTTP -----------------------------------------------------------------------------------------------------

    async def _post(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=HeartbeatsBody)
        if self.post_answers:
            status, headers = self.post_answers.pop(0)
            return web.Response(status=status, headers=headers)
        self.posts.append(body)
        session_id = body.session_id
        if session_id is None:
            session_id = f"h{len(self.sessions) + 1}"
            self.sessions[session_id] = Session(str(body.room))
        session = self.sessions[session_id]
        session.take(body.samples)
        if body.leave:
            self.left.append(session.target)
        answer = HeartbeatsAnswer(session_id, session.last_seq, self.interval or 10.0)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
