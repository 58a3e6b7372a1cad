"""The HTTP door: `POST /api/v1/heartbeats`, where no WebSocket gets through, and for what is left after a class.

One request after the other, the streams in turn. A stream that goes on with a session of a former life of this program
asks first which numbers that session has (`GET /api/v1/sessions/{id}`), since lower ones would be taken for repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from protocol import limits
from protocol.client.context import ContentTarget, Context
from protocol.client.errors import refusal
from protocol.client.stream import Stream
from protocol.codes import ErrorCode, HttpError
from protocol.rest import ErrorEnvelope, HeartbeatsAnswer, HeartbeatsBody
from protocol.sample import Sample

POST_TIMEOUT_S: Final = 20.0
PROBE_TIMEOUT_S: Final = 5.0
PATH: Final = "/api/v1/heartbeats"
_BODY_ROOM: Final = limits.HTTP_BODY_BYTES // 2
_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405
_TOO_LARGE: Final = 413
_RATE_LIMITED: Final = 429
_AWAY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REQUEST: Final = msgspec.json.Encoder()
_ANSWER: Final = msgspec.json.Decoder(HeartbeatsAnswer)
_ENVELOPE: Final = msgspec.json.Decoder(ErrorEnvelope)
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError)


class _LastSeq(msgspec.Struct):
    """All that is needed of `GET /api/v1/sessions/{id}`."""

    last_seq: int
    ended_at: str | None = None


_SESSION: Final = msgspec.json.Decoder(_LastSeq)


class _Reply(msgspec.Struct):
    status: int
    text: bytes
    retry_after_s: float | None


class HttpDoor:
    """Posts the unsent samples of those streams that go by HTTP."""

    def __init__(
        self,
        context: Context,
        http: aiohttp.ClientSession,
        *,
        on_lost: Callable[[], None] = lambda: None,
        on_rejected: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """`on_lost`: posts are not answered any more. `on_rejected`: the token opens nothing."""
        self._context = context
        self._http = http
        self._on_lost = on_lost
        self._on_rejected = on_rejected
        self._work = asyncio.Event()
        self._online = True
        self._post: asyncio.Task[None] | None = None

    def cut(self) -> None:
        """The network is gone: the request under way is given up, its samples are kept."""
        self._online = False
        if self._post is not None:
            self._post.cancel()

    def restore(self) -> None:
        """The network is back."""
        self._online = True
        self._work.set()

    def nudge(self) -> None:
        """There may be something to send."""
        self._work.set()

    async def probe(self) -> bool:
        """Whether the server answers here: it says that this is to be posted to (405)."""
        try:
            async with (
                asyncio.timeout(PROBE_TIMEOUT_S),
                self._http.get(self._context.base_url + PATH) as response,
            ):
                works = self._online and response.status == _NOT_ALLOWED
                works = works and _ENVELOPE.decode(await response.read()).error == HttpError.METHOD_NOT_ALLOWED
        except _UNREACHABLE:
            works = False
        self._context.http_works = works
        return works

    async def run(self) -> None:
        """Post for as long as the client lives."""
        try:
            await self._post_for_ever()
        except Exception as error:
            self._on_rejected(error)
            raise

    async def _post_for_ever(self) -> None:
        while True:
            self._work.clear()
            if self._online:
                for stream in list(self._context.streams.values()):
                    while self._has_work(stream):
                        self._post = asyncio.create_task(self._serve(stream))
                        try:
                            await asyncio.wait({self._post})
                            if not self._post.cancelled():
                                self._post.result()
                        finally:
                            self._post.cancel()
            await self._work.wait()

    def _has_work(self, stream: Stream) -> bool:
        now = asyncio.get_running_loop().time()
        if stream.has_failed() or not stream.by_http or not self._online or now < stream.not_before:
            return False
        if stream.leaving and not stream.kept and (stream.room_over or stream.session_id is None):
            self._over(stream)  # the class is over, or the server has never heard of it: there is nothing to leave
            return False
        return bool(stream.kept) or stream.leaving

    def _over(self, stream: Stream) -> None:
        self._context.streams.pop(stream.ref, None)
        stream.gone()

    async def _serve(self, stream: Stream) -> None:
        try:
            if stream.numbered:
                await self._deliver(stream)
            else:
                await self._number(stream)
        except _UNREACHABLE:
            self._failed(stream, "unreachable", None)
        except asyncio.CancelledError:
            stream.kept.rewind()
            raise

    async def _deliver(self, stream: Stream) -> None:
        batch = stream.kept.unsent(stream.batch_most)
        leave = stream.leaving and len(batch) == stream.kept.unsent_count
        body = self._body(stream, batch, leave=leave)
        while len(body) > _BODY_ROOM and len(batch) > 1:
            batch, leave = batch[: len(batch) // 2], False
            body = self._body(stream, batch, leave=leave)
        token = await self._context.tokens.current()
        if batch:
            stream.was_sent(batch, asyncio.get_running_loop().time())
        was_blind = stream.posted_blind
        stream.posted_blind = was_blind or stream.session_id is None
        self._context.counters.posts += 1
        try:
            reply = await self._ask("POST", PATH, token, body)
        except aiohttp.ClientConnectorError:  # nobody has seen it
            stream.posted_blind = was_blind
            raise
        if reply.status not in _AWAY and reply.status != _OK:  # nothing of it was stored
            stream.posted_blind = was_blind
        if reply.status == _OK:
            self._works()
            self._accepted(stream, _ANSWER.decode(reply.text), leave=leave)
        else:
            self._refused(stream, token, reply)

    async def _number(self, stream: Stream) -> None:
        token = await self._context.tokens.current()
        reply = await self._ask("GET", f"/api/v1/sessions/{quote(stream.session_id or '', safe='')}", token, None)
        if reply.status == _OK:
            self._works()
            session = _SESSION.decode(reply.text)
            stream.number_from(session.last_seq if session.ended_at is None else 0)
        else:
            self._refused(stream, token, reply)

    async def _ask(self, method: str, path: str, token: str, body: bytes | None) -> _Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with (
            asyncio.timeout(POST_TIMEOUT_S),
            self._http.request(method, self._context.base_url + path, data=body, headers=headers) as response,
        ):
            text = await response.read()
            retry_after = response.headers.get("Retry-After", "")
            return _Reply(response.status, text, float(retry_after) if retry_after.isdecimal() else None)

    def _body(self, stream: Stream, batch: list[Sample], *, leave: bool) -> bytes:
        target = stream.target
        where: dict[str, Any] = (
            {"content": target.content} if isinstance(target, ContentTarget) else {"room": target.room}
        )
        return _REQUEST.encode(
            HeartbeatsBody(
                sent_at=self._context.clock(),
                samples=batch,
                session_id=stream.session_id,
                device_id=self._context.device_id,
                leave=leave or None,
                **where,
            )
        )

    def _works(self) -> None:
        self._context.http_works = True
        self._context.tokens.accepted()

    def _failed(self, stream: Stream, code: str, retry_after_s: float | None) -> None:
        """The way is closed for now."""
        was_working, self._context.http_works = self._context.http_works, False
        self._wait_out(stream, code, retry_after_s)
        if was_working:
            self._on_lost()

    def _wait_out(self, stream: Stream, code: str, retry_after_s: float | None) -> None:
        if stream.by_http:  # else it has gone over to the WebSocket meanwhile
            stream.wait_out(code, retry_after_s)

    def _refused(self, stream: Stream, token: str, reply: _Reply) -> None:
        if reply.status == _RATE_LIMITED:
            self._wait_out(stream, f"http_{reply.status}", reply.retry_after_s)
        elif reply.status in _AWAY:
            self._failed(stream, f"http_{reply.status}", reply.retry_after_s)
        elif reply.status == _TOO_LARGE:
            stream.too_large()
        else:
            self._told(stream, token, reply.status, _ENVELOPE.decode(reply.text))

    def _told(self, stream: Stream, token: str, status: int, envelope: ErrorEnvelope) -> None:
        stream.kept.rewind()
        if status == _UNAUTHENTICATED:
            self._context.counters.refusals[envelope.error] += 1
            if not self._context.tokens.refused(token):
                self._on_rejected(refusal(envelope.error, "the server refuses the token"))
        elif status == _NOT_FOUND and stream.session_id is not None:
            stream.session_unknown()  # begin without it
        elif envelope.error == HttpError.VALIDATION_FAILED and ErrorCode.TOO_OLD in envelope.message:
            stream.too_old(self._context.clock() - limits.SAMPLE_AGE_MS)
        else:
            stream.fail(refusal(envelope.error, envelope.message))

    def _accepted(self, stream: Stream, answer: HeartbeatsAnswer, *, leave: bool) -> None:
        stream.posted_blind = False
        stream.told_interval(answer.heartbeat_interval)
        if answer.coverage is not msgspec.UNSET:
            stream.coverage = answer.coverage
        if answer.session_id != stream.session_id:
            late = None if answer.late is msgspec.UNSET else answer.late
            stream.adopt(answer.session_id, resumed=False, last_seq=0, number=None, late=late)
        stream.acknowledge(answer.last_seq)
        stream.kept.rewind()
        if leave:
            self._over(stream)
        elif not stream.by_http:  # the WebSocket came back meanwhile
            self._context.nudge()
