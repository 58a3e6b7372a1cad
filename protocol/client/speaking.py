"""What a client says on one connection: hello, what it asks for, and the samples that are owed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from protocol import limits
from protocol.client.context import ContentTarget, Context
from protocol.client.facts import Asked
from protocol.client.hearing import Hearing
from protocol.client.pace import Pace
from protocol.client.room import RoomStream
from protocol.client.stream import Stream
from protocol.client.tokens import TokenAway, expiry_s
from protocol.client_frames import ClientFrame, ClientInfo, Heartbeat, Heartbeats, Hello, Join, Leave, Watch
from protocol.sample import Sample

FRESH_MS: Final = 5
"""A sample older than this does not go as `heartbeat`, whose `at` is read as the time of sending."""
ACK_PATIENCE_S: Final = 15.0
"""Unacknowledged for so long, samples are sent again: a message between two nodes may be lost on its way."""
RENEW_BEFORE_S: Final = 60.0
"""A token is renewed so long before it expires, or in the last tenth of its time."""
RENEW_AGAIN_S: Final = 5.0
_FRAME_ROOM: Final = limits.FRAME_BYTES - 1024
_GONE: Final = (OSError, WebSocketException, TimeoutError)


class Speaking:
    """One connection's mouth. `token` is what it was opened with."""

    def __init__(self, context: Context, socket: ClientConnection, hearing: Hearing, pace: Pace, token: str) -> None:
        self._context = context
        self._socket = socket
        self._hearing = hearing
        self._pace = pace
        self._work = asyncio.Event()
        self._patience: dict[int, float] = {}
        self._renew_at: float | None = None
        self.token = token
        self.mute = False
        """Cut: what is said now is lost, and must not count as said."""

    def nudge(self) -> None:
        """There may be something to send."""
        self._work.set()

    def welcomed(self) -> None:
        """The server took the token."""
        self._renew_at = self._when_to_renew()

    async def speak(self, client: ClientInfo, *, token_in_header: bool) -> None:
        """Say hello, and then whatever there is to say, until the connection is gone."""
        context = self._context
        token = None if token_in_header else self.token
        with suppress(*_GONE):  # the reader sees the end of the connection too, and deals with it
            await self._say(Hello(token=token, device_id=context.device_id, client=client))
            while True:
                self._work.clear()
                if self._hearing.welcomed:
                    await self._renew()
                    for stream in list(context.streams.values()):
                        await self._serve(stream)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._idle_s()):
                        await self._work.wait()

    async def _say(self, frame: ClientFrame) -> None:
        loop = asyncio.get_running_loop()
        if (wait := self._pace.wait_s(loop.time())) > 0:
            await asyncio.sleep(wait)
        self._pace.take()
        codec = self._context.codec
        await self._socket.send(codec.encode(frame), text=not codec.binary)

    def _idle_s(self) -> float:
        until_renewal = ACK_PATIENCE_S if self._renew_at is None else self._renew_at - self._hearing.server_now_s()
        return min(ACK_PATIENCE_S / 4, max(0.05, until_renewal))

    async def _serve(self, stream: Stream) -> None:
        now = asyncio.get_running_loop().time()
        if not self._serves(stream) or now < stream.not_before:
            return
        if stream.number is None:
            if not stream.asked:
                stream.asked = True
                self._context.listener(Asked(stream.ref))
                await self._say(_request(stream))
            return
        await self._ask(stream, stream.number, now)
        self._lose_patience(stream, now)
        while self._serves(stream) and stream.kept.unsent_count and stream.is_open(now):
            await self._send_batch(stream)
        if stream.leaving and not stream.kept and self._serves(stream) and stream.is_open(now):
            await self._say(Leave(stream=stream.number))
            self._hearing.forget(stream.number)
            self._patience.pop(stream.ref, None)
            self._context.streams.pop(stream.ref, None)
            stream.gone()

    def _serves(self, stream: Stream) -> bool:
        return not (self.mute or stream.has_failed() or stream.by_http)

    async def _ask(self, stream: Stream, number: int, now: float) -> None:
        for request in self._context.requests.due(stream, now):
            request.sent = True
            await self._say(request.make(request.ref, number))

    async def _send_batch(self, stream: Stream) -> None:
        loop = asyncio.get_running_loop()
        if (wait := self._pace.wait_s(loop.time())) > 0:  # what is sampled meanwhile goes in the same message
            await asyncio.sleep(wait)
            return
        assert stream.number is not None
        frame, batch = self._batch(stream, stream.number)
        stream.was_sent(batch, loop.time())
        await self._say(frame)

    def _batch(self, stream: Stream, number: int) -> tuple[ClientFrame, list[Sample]]:
        batch = stream.kept.unsent(min(stream.batch_most, limits.SAMPLES_PER_FRAME))
        now_ms = self._context.clock()
        if len(batch) == 1 and 0 <= now_ms - batch[0].at <= FRESH_MS:
            fields: dict[str, Any] = msgspec.structs.asdict(batch[0])
            return Heartbeat(stream=number, **fields), batch
        while True:
            frame = Heartbeats(stream=number, sent_at=now_ms, samples=batch)
            if len(batch) == 1 or len(self._context.codec.encode(frame)) <= _FRAME_ROOM:
                return frame, batch
            batch = batch[: len(batch) // 2]

    def _lose_patience(self, stream: Stream, now: float) -> None:
        oldest = stream.oldest_in_flight()
        if oldest is None:
            self._patience.pop(stream.ref, None)
            return
        patience = self._patience.get(stream.ref, ACK_PATIENCE_S)
        if now - oldest > patience:
            self._patience[stream.ref] = patience * 2
            stream.kept.rewind()

    # The token's time.

    def _when_to_renew(self) -> float | None:
        expires = expiry_s(self.token) if self._context.tokens.renewable else None
        if expires is None:
            return None
        left = expires - self._hearing.server_now_s()
        return expires - min(RENEW_BEFORE_S, left / 10)

    async def _renew(self) -> None:
        if self._renew_at is None or self._hearing.server_now_s() < self._renew_at:
            return
        self._renew_at = self._hearing.server_now_s() + RENEW_AGAIN_S
        try:
            fresh = await self._context.tokens.renewed()
        except TokenAway:
            return  # the present one still holds for a while
        if fresh != self.token:
            self.token = fresh
            self._renew_at = self._when_to_renew()
            await self._say(Hello(token=fresh))


def _request(stream: Stream) -> ClientFrame:
    target = stream.target
    if isinstance(target, ContentTarget):
        return Watch(ref=stream.ref, content=target.content, session_id=stream.session_id, duration=target.duration)
    presence = stream.watched_presence if isinstance(stream, RoomStream) else None
    return Join(
        ref=stream.ref,
        room=target.room,
        metadata=target.metadata,
        session_id=stream.session_id,
        after=None if presence is None else presence.after,
        observe=True if target.observe else None,
    )
