"""The HTTP door of a player: `POST /api/v1/heartbeats`, where no WebSocket gets through or the class is over."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import msgspec

from load_tests.stream import ContentTarget, Context, PlayerStream, Refused
from protocol import limits
from protocol.codes import ErrorCode, HttpError
from protocol.rest import ErrorEnvelope, HeartbeatsAnswer, HeartbeatsBody
from protocol.sample import Sample

POST_TIMEOUT_S: Final = 20.0
_BODY_ROOM: Final = limits.HTTP_BODY_BYTES // 2
_OK: Final = 200
_TOO_LARGE: Final = 413
_AWAY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REQUEST: Final = msgspec.json.Encoder()
_ANSWER: Final = msgspec.json.Decoder(HeartbeatsAnswer)
_ENVELOPE: Final = msgspec.json.Decoder(ErrorEnvelope)


class HttpDoor:
    """Posts the unsent samples of those streams that go by HTTP, one request after the other."""

    def __init__(self, context: Context, http: aiohttp.ClientSession) -> None:
        self._context = context
        self._http = http
        self._work = asyncio.Event()
        self._online = True
        self._post: asyncio.Task[None] | None = None
        self._all = False

    def serve_all(self, *, wanted: bool) -> None:
        """Whether every stream goes by HTTP, or only those whose room is over."""
        self._all = wanted
        self._work.set()

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

    async def run(self) -> None:
        """Post for as long as the player lives."""
        try:
            await self._post_for_ever()
        except Exception as error:
            for stream in self._context.streams.values():
                stream.fail(error)
            raise

    async def _post_for_ever(self) -> None:
        while True:
            self._work.clear()
            if self._online:
                for stream in list(self._context.streams.values()):
                    while self._has_work(stream):
                        self._post = asyncio.create_task(self._deliver(stream))
                        try:
                            await asyncio.wait({self._post})
                            if not self._post.cancelled():
                                self._post.result()
                        finally:
                            self._post.cancel()
            await self._work.wait()

    def _has_work(self, stream: PlayerStream) -> bool:
        now = asyncio.get_running_loop().time()
        if stream.has_failed() or not stream.by_http or not self._online or now < stream.not_before:
            return False
        if stream.room_over and stream.leaving and not stream.kept:
            self._over(stream)  # the class is over: there is nothing left to leave
            return False
        return bool(stream.kept) or stream.leaving

    def _over(self, stream: PlayerStream) -> None:
        self._context.streams.pop(stream.ref, None)
        stream.gone()

    async def _deliver(self, stream: PlayerStream) -> None:
        batch = stream.kept.unsent(stream.batch_most)
        leave = stream.leaving and len(batch) == stream.kept.unsent_count
        body = self._body(stream, batch, leave=leave)
        while len(body) > _BODY_ROOM and len(batch) > 1:
            batch, leave = batch[: len(batch) // 2], False
            body = self._body(stream, batch, leave=leave)
        if batch:
            stream.was_sent(batch, asyncio.get_running_loop().time())
        headers = {"Authorization": f"Bearer {self._context.token()}", "Content-Type": "application/json"}
        url = f"{self._context.base_url}/api/v1/heartbeats"
        self._context.counters.posts += 1
        try:
            async with (
                asyncio.timeout(POST_TIMEOUT_S),
                self._http.post(url, data=body, headers=headers) as response,
            ):
                text = await response.read()
                retry_after = response.headers.get("Retry-After", "")
                self._answered(stream, response.status, text, retry_after, leave=leave)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
            stream.wait_out("unreachable", None)
        except asyncio.CancelledError:
            stream.kept.rewind()
            raise

    def _body(self, stream: PlayerStream, batch: list[Sample], *, leave: bool) -> bytes:
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

    def _answered(self, stream: PlayerStream, status: int, text: bytes, retry_after: str, *, leave: bool) -> None:
        if status == _OK:
            self._accepted(stream, _ANSWER.decode(text), leave=leave)
        elif status in _AWAY:
            stream.wait_out(f"http_{status}", float(retry_after) if retry_after.isdigit() else None)
        elif status == _TOO_LARGE:
            stream.too_large()
        else:
            envelope = _ENVELOPE.decode(text)
            if envelope.error == HttpError.VALIDATION_FAILED and ErrorCode.TOO_OLD in envelope.message:
                stream.too_old(self._context.clock() - limits.SAMPLE_AGE_MS)
            else:
                stream.fail(Refused(envelope.error, envelope.message))

    def _accepted(self, stream: PlayerStream, answer: HeartbeatsAnswer, *, leave: bool) -> None:
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
