"""One WebSocket: frames in, frames out, and everything that bounds a client (realtime.md, "WebSocket").

    opened --hello in time--> welcomed --...--> closing (reads and drops for 1 s, so that the code arrives) --> gone

Limits: frame size (picows), messages a second (token bucket), malformed messages a minute, streams, requests that wait
for the store, and the outbox (`outlet.py`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport  # pyright: ignore[reportMissingTypeStubs]

from actors.actor import Actor
from actors.machines.events import Dropped, RoomSampled, Sampled
from protocol.client_frames import ClientFrame, Heartbeat, Heartbeats, Hello, Leave
from protocol.codec import BadFrame, Codec, UnknownType
from protocol.codes import CloseCode, ErrorCode
from protocol.server_frames import Welcome
from server.auth import AuthError, Claims, UnknownKeyError
from server.desk import Denied, sample_of, samples_of
from server.http.throttle import address_key
from server.ws.outlet import BINARY, TEXT, Outlet, end
from server.ws.requests import Requests

if TYPE_CHECKING:
    from server.ws.hub import Hub
    from server.ws.stream import Stream

log = structlog.get_logger(__name__)

MINUTE_MS: Final = 60_000
PART_COST: Final = 0.05
"""What a control frame or a fragment takes from the message bucket: cheap for whoever needs them, yet bounded."""


class Connection(Outlet):
    """A client's socket. Created by the listener, known to the hub from its first byte to its last."""

    __slots__ = (
        "_bad",
        "_bucket",
        "_bucket_at",
        "_hello_timer",
        "_parts",
        "_requests",
        "address",
        "claims",
        "device_id",
        "header_token",
        "heard_at",
        "id",
        "next_stream",
        "pings_missed",
        "slot",
        "streams",
        "told",
    )

    def __init__(self, hub: Hub, codec: Codec, header_token: str | None, address: str) -> None:
        super().__init__(hub, codec)
        self.header_token = header_token
        self.address = address_key(address)
        self.id = ""
        self.claims: Claims | None = None
        self.device_id = ""
        self.streams: dict[int, Stream] = {}
        self.next_stream = 1
        self.told = 0
        """The heartbeat interval (ms) of the last `welcome`."""
        self.heard_at = 0
        self.pings_missed = 0
        self.slot = -1
        self._bucket = float(hub.limits.messages_burst)
        self._bucket_at = 0
        self._bad: list[int] | None = None
        self._parts: bytearray | None = None
        self._requests: Requests | None = None
        self._hello_timer: asyncio.TimerHandle | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done; the client has `ROLLCALL_HELLO_SECONDS` to say who it is."""
        self.transport = transport
        # picows keeps the request as long as the socket; its headers have served.
        transport.request.headers.clear()
        self.heard_at = self._bucket_at = self.hub.clock.now()
        transport.underlying_transport.set_write_buffer_limits(high=self.hub.limits.outbox_bytes // 2)
        self.hub.opened(self)
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(self.hub.limits.hello_s, self._hello_late)
        if self.hub.crowded(self):
            message = "too many connections from this address"
            self.refuse(Denied(ErrorCode.TOO_MANY_CONNECTIONS, message, self.hub.limits.retry_after_s))
            self.close(CloseCode.TOO_MANY_MESSAGES, message)

    def requests_done(self) -> None:
        """No request is under way."""
        self._requests = None

    def lost(self, actor: Actor) -> None:
        """An actor is gone from here: a request that waits for it must not wait for ever."""
        if self._requests is not None:
            self._requests.lost(actor)

    def _hello_late(self) -> None:
        self._hello_timer = None
        if self.claims is None and self._requests is None:
            self.close(CloseCode.HELLO_TIMEOUT, "no hello in time")

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The socket is gone, for whatever reason: a close without `leave` is a drop."""
        self.gone = True
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
        self.hub.closed(self)
        evidence = self.hub.clock.now() if self.evidence is None else self.evidence
        for stream in list(self.streams.values()):
            if stream.is_room and stream.session_id is not None:
                self.hub.system.post(stream.actor, Dropped(stream.session_id, evidence), always=True)
            self.hub.detach(stream)
        self.transport = None

    def abort(self) -> None:
        """The peer is not there any more: no close code will reach it."""
        if self.evidence is None:
            self.evidence = self.heard_at
        if self.transport is not None:
            self.transport.disconnect(graceful=False)

    # -- in -----------------------------------------------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame arrived."""
        try:
            self._frame(transport, frame)
        except Exception:
            # Ours, and not the node's end: picows would close as well, and tell nobody.
            self.hub.counts["crashed"] += 1
            log.exception("connection.crashed", connection=self.id)
            self.close(CloseCode.INTERNAL_ERROR)

    def _frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = self.heard_at = self.hub.clock.now()
        self.pings_missed = 0
        kind = frame.msg_type
        if self._closing:
            if kind == WSMsgType.CLOSE:
                end(transport)
            return
        if kind is TEXT or kind is BINARY:
            if self._parts is not None:
                self.close(CloseCode.PROTOCOL_ERROR, "a message within a message")
            elif frame.fin:
                self._message(frame.get_payload_as_memoryview(), now, binary=kind == BINARY)
            elif self._take(PART_COST, now):
                self._parts = bytearray(b"\x01" if kind == BINARY else b"\x00")
                self._parts += frame.get_payload_as_memoryview()
        elif kind == WSMsgType.CLOSE or self._take(PART_COST, now):
            self._control(transport, frame, now)

    def _control(self, transport: WSTransport, frame: WSFrame, now: int) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            if self._slow:
                self._check_outbox(transport)
        elif kind == WSMsgType.CLOSE:
            self._closing = True
            code = frame.get_close_code()
            # A close without a code is answered by one with: no code at all cannot be sent, and 0 is none.
            transport.send_close(WSCloseCode.OK if code == WSCloseCode.NO_INFO else code)
            end(transport)
        elif kind == WSMsgType.CONTINUATION:
            if self._parts is None:
                self.close(CloseCode.PROTOCOL_ERROR, "continuation of nothing")
                return
            self._parts += frame.get_payload_as_memoryview()
            if len(self._parts) - 1 > self.hub.limits.frame_bytes:
                self.close(CloseCode.TOO_BIG, "message too big")
            elif frame.fin:
                parts, self._parts = self._parts, None
                self._message(memoryview(parts)[1:], now, binary=bool(parts[0]))

    def _message(self, data: memoryview, now: int, *, binary: bool) -> None:
        if not self._take(1.0, now):
            return
        try:
            if binary is not self.codec.binary:
                expected = "binary" if self.codec.binary else "text"
                message = f"{self.codec.name} takes {expected} frames"
                raise BadFrame(message)  # noqa: TRY301 - one place answers bad frames
            frame = self.codec.decode(data)
        except UnknownType as error:
            if self.claims is None:
                self.close(CloseCode.BAD_MESSAGE, "the first message must be hello")
                return
            self.refuse(Denied(ErrorCode.UNKNOWN_TYPE, error.message), error.ref, error.stream)
        except BadFrame as error:
            self._bad_frame(error, now)
        else:
            if type(frame) is Heartbeat:
                self._heartbeat(frame)
            else:
                self._other(frame)

    def _take(self, cost: float, now: int) -> bool:
        """Take from the message bucket; an empty one closes the connection."""
        bucket = self._bucket + (now - self._bucket_at) * self.hub.message_rate
        self._bucket_at = now
        if bucket > self.hub.limits.messages_burst:
            bucket = self.hub.limits.messages_burst
        if bucket < cost:
            self.hub.counts["rate_limited"] += 1
            self.close(CloseCode.TOO_MANY_MESSAGES, "too many messages")
            return False
        self._bucket = bucket - cost
        return True

    def _bad_frame(self, error: BadFrame, now: int) -> None:
        self.hub.counts["bad_message"] += 1
        if self.claims is None:
            self.close(CloseCode.BAD_MESSAGE, "the first message must be hello")
            return
        self.refuse(Denied(ErrorCode.BAD_MESSAGE, error.message), error.ref, error.stream)
        bad = self._bad = [at for at in self._bad or () if at > now - MINUTE_MS]
        bad.append(now)
        if len(bad) >= self.hub.limits.bad_messages_per_minute:
            self.close(CloseCode.BAD_MESSAGE, "too many malformed messages")

    def _heartbeat(self, frame: Heartbeat) -> None:
        stream = self.streams.get(frame.stream)
        if stream is None or stream.session_id is None:
            self._no_stream(frame.stream)
            return
        self.hub.counted.taken += 1
        interval = self.hub.system.interval_ms
        tell = 0 if interval == stream.told else interval
        sample = sample_of(frame)
        if stream.is_room:
            self._post(stream, RoomSampled(stream.session_id, frame.at, [sample], tell), sample.seq, interval)
        else:
            self._post(stream, Sampled(frame.at, [sample], tell), sample.seq, interval)

    def _post(self, stream: Stream, event: RoomSampled | Sampled, first_seq: int, interval: int) -> None:
        system = self.hub.system
        if (
            system.committer.full
            or (stream.owed and first_seq > stream.owed)
            or not system.scheduler.post(stream.actor, event, stream)
        ):
            self._busy(stream, first_seq)
        else:
            stream.owed = 0
            stream.told = interval

    def _no_stream(self, stream: int) -> None:
        if self.claims is None:
            self.close(CloseCode.BAD_MESSAGE, "the first message must be hello")
            return
        self.refuse(Denied(ErrorCode.UNKNOWN_STREAM, "no such stream on this connection"), stream=stream)

    def _busy(self, stream: Stream, seq: int) -> None:
        """Refuse samples from `seq` on.

        What follows is refused too until they come again: taken before them, it would make them repeats of what was
        never stored, and they would be lost.
        """
        if not stream.owed or seq < stream.owed:
            stream.owed = seq
        self.hub.counted.refused += 1
        self.refuse(
            Denied(ErrorCode.BUSY, "cannot be stored now: keep the samples", self.hub.limits.retry_after_s),
            stream=stream.no,
        )

    def _other(self, frame: ClientFrame) -> None:
        if isinstance(frame, Hello):
            self._hello(frame)
        elif self.claims is None and self._requests is None:
            self.close(CloseCode.BAD_MESSAGE, "the first message must be hello")
        elif isinstance(frame, Heartbeats):
            self._heartbeats(frame)
        elif isinstance(frame, Leave):
            self._leave(frame.stream)
        else:
            if self._requests is None:
                self._requests = Requests(self)
            self._requests.take(frame)

    def _heartbeats(self, frame: Heartbeats) -> None:
        stream = self.streams.get(frame.stream)
        if stream is None or stream.session_id is None:
            self._no_stream(frame.stream)
            return
        try:
            samples = samples_of(frame.samples)
        except Denied as denied:
            self.refuse(denied, stream=frame.stream)
            return
        self.hub.counted.taken += len(samples)
        interval = self.hub.system.interval_ms
        tell = 0 if interval == stream.told else interval
        if stream.is_room:
            event: RoomSampled | Sampled = RoomSampled(stream.session_id, frame.sent_at, samples, tell)
        else:
            event = Sampled(frame.sent_at, samples, tell)
        self._post(stream, event, samples[0].seq, interval)

    def _leave(self, number: int) -> None:
        stream = self.streams.get(number)
        if stream is None:
            self._no_stream(number)
            return
        self.hub.leave(stream)

    # -- who it is ----------------------------------------------------------------------------------------------------

    def _hello(self, frame: Hello) -> None:
        token = frame.token if frame.token is not None else self.header_token
        if token is None:
            self.close(CloseCode.UNAUTHENTICATED, "no token")
            return
        try:
            claims = self.hub.verifier.verify(token, self.heard_at / 1000)
        except UnknownKeyError:
            # The key must be fetched; what the client asks meanwhile waits in the same line.
            if self._requests is None:
                self._requests = Requests(self)
            self._requests.take(msgspec.structs.replace(frame, token=token))
        except AuthError as error:
            self.unauthenticated(error)
        else:
            self.welcome(claims, frame)

    def unauthenticated(self, error: AuthError) -> None:
        """The token does not open the door."""
        self.hub.counts["unauthenticated"] += 1
        self.close(CloseCode.UNAUTHENTICATED, error.reason)

    def welcome(self, claims: Claims, frame: Hello) -> None:
        """The token is good: a first one opens the door, a later one keeps it open."""
        if not self.open:
            return
        first = self.claims is None
        if self.claims is not None and claims.user_id != self.claims.user_id:
            self.close(CloseCode.UNAUTHENTICATED, "the new token is another learner's")
            return
        self.hub.not_expiring(self)
        self.claims = claims
        self.header_token = None
        if frame.device_id is not None and first:
            self.device_id = frame.device_id
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
        hub = self.hub
        hub.welcomed(self, first=first)
        self.told = hub.system.interval_ms
        self.send(Welcome(self.id, hub.clock.now(), self.told / 1000, hub.limits.samples_per_frame))
