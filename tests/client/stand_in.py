"""A small real server for tests of the client: it keeps what it took, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.client_frames import ClientFrame, Heartbeat, Heartbeats, Hello, Interact, Join, Leave, PresencePage, Watch
from protocol.codec import CODECS, SUBPROTOCOL_JSON, Codec
from protocol.codes import ByeReason, ErrorCode
from protocol.rest import ErrorEnvelope, HeartbeatsAnswer, HeartbeatsBody
from protocol.sample import Sample
from protocol.server_frames import (
    Ack,
    Bye,
    Done,
    Error,
    Joined,
    JoinedPresence,
    MembersPage,
    RoomInfo,
    ServerFrame,
    Watching,
    Welcome,
)
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
    """Accepts every token but `forged` and those in `expired`.

    The switches below change what it does from the next message on.
    """

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
        self.lose_post_answers = 0
        self.interval: float | None = None
        self._keyed: dict[tuple[str | None, str], str] = {}
        self.left: list[str] = []
        self.expired: set[str] = set()
        self.upgrade_status: int | None = None
        self.upgrades = 0
        self.post_refusals: list[tuple[int, str]] = []
        self.refuse_requests: list[Error] = []
        self.page = MembersPage("", "room1", 1, 1, 0, [], None)
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None
        self._next_stream = 0

    @property
    def url(self) -> str:
        return f"http{'' if self._tls is None else 's'}://127.0.0.1:{self.port}"

    async def speak_tls(self) -> ssl.SSLContext:
        """Start anew with a certificate of its own making; returns what trusts it."""
        await self.stop()
        self.port = 0
        self._tls, trusted = certified()
        await self.start()
        return trusted

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/api/v1/heartbeats", self._post)
        app.router.add_get("/api/v1/heartbeats", self._not_allowed)
        app.router.add_get("/api/v1/sessions/{id}", self._session)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._tls)
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

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        self.upgrades += 1
        if self.upgrade_status is not None:
            return web.Response(status=self.upgrade_status)
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
            Interact: self._request,
            PresencePage: self._request,
        }
        await answers[type(frame)](talk, frame)

    async def _hello(self, talk: Talk, frame: Hello) -> None:
        header = talk.request.headers.get("Authorization")
        self.hellos.append((frame.token, header))
        token = frame.token or (header or "").removeprefix("Bearer ")
        if token == "forged" or token in self.expired:
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

    async def _request(self, talk: Talk, frame: Interact | PresencePage) -> None:
        if self.refuse_requests:
            await talk.say(msgspec.structs.replace(self.refuse_requests.pop(0), ref=frame.ref))
        elif isinstance(frame, Interact):
            await talk.say(Done(frame.ref))
        else:
            await talk.say(msgspec.structs.replace(self.page, ref=frame.ref))

    async def _leave(self, talk: Talk, frame: Leave) -> None:
        self.left.append(talk.streams.pop(frame.stream).target)

    # -- HTTP -----------------------------------------------------------------------------------------------------

    async def _post(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=HeartbeatsBody)
        if request.headers["Authorization"].removeprefix("Bearer ") in self.expired:
            return refused(401, "UNAUTHENTICATED")
        if self.post_refusals:
            return refused(*self.post_refusals.pop(0))
        if self.post_answers:
            status, headers = self.post_answers.pop(0)
            return web.Response(status=status, headers=headers)
        self.posts.append(body)
        session_id = body.session_id or self._keyed.get((body.device_id, str(body.room or body.content)))
        if session_id is None:
            session_id = f"h{len(self.sessions) + 1}"
            self.sessions[session_id] = Session(str(body.room or body.content))
            self._keyed[body.device_id, str(body.room or body.content)] = session_id
        session = self.sessions[session_id]
        session.take(body.samples)
        if body.leave:
            self.left.append(session.target)
        if self.lose_post_answers:
            self.lose_post_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        answer = HeartbeatsAnswer(session_id, session.last_seq, self.interval or 10.0)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _not_allowed(self, request: web.Request) -> web.Response:
        return refused(405, "METHOD_NOT_ALLOWED")

    async def _session(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        if session is None:
            return refused(404, "NOT_FOUND")
        return web.json_response({"last_seq": session.last_seq, "ended_at": None})


def refused(status: int, error: str) -> web.Response:
    body = msgspec.json.encode(ErrorEnvelope("no", error, success=False, status_code=status))
    return web.Response(status=status, body=body, content_type="application/json")


def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for 127.0.0.1, signed by itself, and the context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + secret)
        file.flush()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file.name)
    return server, ssl.create_default_context(cadata=certificate.decode())
