"""What a client does with the frames it hears on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from protocol import limits
from protocol.client.backoff import stretched
from protocol.client.context import Context
from protocol.client.errors import refusal
from protocol.client.facts import ClockCompared
from protocol.client.requests import Request
from protocol.client.room import RoomStream
from protocol.client.stream import Stream
from protocol.codes import ErrorCode
from protocol.server_frames import (
    Ack,
    Bye,
    Done,
    Error,
    Joined,
    MembersPage,
    PresenceDiff,
    RoomChanged,
    ServerFrame,
    Watching,
    Welcome,
)

_WAIT_CODES: Final = frozenset({ErrorCode.BUSY, ErrorCode.RATE_LIMITED, ErrorCode.TOO_MANY_CONNECTIONS})


class Hearing:
    """One connection's ears: changes the streams, and remembers what the connection itself was told."""

    def __init__(self, context: Context, *, on_welcome: Callable[[], None] = lambda: None) -> None:
        self._context = context
        self._on_welcomed = on_welcome
        self._by_number: dict[int, Stream] = {}
        self._interval_s: float | None = None
        self._since = asyncio.get_running_loop().time()
        self._server_ms = 0
        self.welcomed = False
        self.bye: Bye | None = None
        self.hint_s: float | None = None
        self._acts: dict[type[object], Callable[[Any], None]] = {
            Welcome: self._on_welcome,
            Joined: self._on_joined,
            Watching: self._on_watching,
            Ack: self._on_ack,
            PresenceDiff: self._on_presence,
            MembersPage: self._on_answer,
            Done: self._on_answer,
            RoomChanged: self._on_room,
            Error: self._on_error,
            Bye: self._on_bye,
        }

    def hear(self, data: bytes) -> None:
        """One message from the server; one that this client does not know changes nothing."""
        try:
            frame: ServerFrame = self._context.codec.decode_server(data)
        except msgspec.ValidationError:  # a newer server's message
            return
        act = self._acts.get(type(frame))
        if act is not None:
            act(frame)

    def server_now_s(self) -> float:
        """The server's clock, Unix seconds, as its `welcome` told it."""
        return self._server_ms / 1000 + asyncio.get_running_loop().time() - self._since

    def forget(self, number: int) -> None:
        """A stream of this connection is over."""
        self._by_number.pop(number, None)

    def _on_welcome(self, frame: Welcome) -> None:
        now = asyncio.get_running_loop().time()
        self._interval_s = frame.heartbeat_interval
        self._context.tokens.accepted()
        if not self.welcomed:
            self._context.listener(ClockCompared(frame.server_time, now - self._since))
            self._since, self._server_ms = now, frame.server_time
            self.welcomed = True
            self._on_welcomed()
        self._context.nudge()

    def _on_joined(self, frame: Joined) -> None:
        if self._context.requests.answered(frame.ref, frame):
            return
        stream = self._stream(frame.ref)
        if not isinstance(stream, RoomStream):
            return
        stream.info = frame.room
        if frame.session_id is None:
            self._by_number[frame.stream] = stream
            stream.observed(frame.stream)
        else:
            stream.room_over = frame.room.state == "ended"
            self._adopt(stream, frame, frame.session_id, frame.late)
        if stream.watched_presence is not None:
            stream.watched_presence.rejoined(frame)
        self._context.nudge()

    def _on_watching(self, frame: Watching) -> None:
        stream = self._stream(frame.ref)
        if stream is not None:
            stream.coverage, stream.resume_position = frame.coverage, frame.position
            self._adopt(stream, frame, frame.session_id, None)
            self._context.nudge()

    def _stream(self, ref: str | int) -> Stream | None:
        return self._context.streams.get(ref) if isinstance(ref, int) else None

    def _adopt(self, stream: Stream, answer: Joined | Watching, session_id: str, late: bool | None) -> None:  # noqa: FBT001
        self._by_number[answer.stream] = stream
        if self._interval_s is not None:
            stream.told_interval(self._interval_s)
        stream.adopt(session_id, resumed=answer.resumed, last_seq=answer.last_seq, number=answer.stream, late=late)

    def _on_ack(self, frame: Ack) -> None:
        stream = self._by_number.get(frame.stream)
        if stream is None:
            return
        if frame.heartbeat_interval is not msgspec.UNSET:
            stream.told_interval(frame.heartbeat_interval)
        stream.acknowledge(frame.seq)

    def _on_answer(self, frame: Done | MembersPage) -> None:
        self._context.requests.answered(frame.ref, frame)

    def _on_presence(self, frame: PresenceDiff) -> None:
        for stream in self._in_room(frame.room):
            if stream.watched_presence is not None:
                stream.watched_presence.hear(frame)

    def _in_room(self, room: str) -> list[RoomStream]:
        return [
            stream
            for stream in self._context.streams.values()
            if isinstance(stream, RoomStream) and stream.room.room == room
        ]

    def _on_room(self, frame: RoomChanged) -> None:
        for stream in self._in_room(frame.room):
            if stream.info is not None:
                stream.info = msgspec.structs.replace(stream.info, state=frame.state)
            if frame.state == "ended":  # its streams close (reading 13): late samples go by HTTP with their session
                if stream.number is not None:
                    self.forget(stream.number)
                stream.room_ended()
            elif frame.state == "cancelled":
                stream.fail(refusal(ErrorCode.ROOM_CANCELLED, "the class was cancelled"))
            else:
                stream.room_over = False
                stream.changed()
        self._context.nudge()

    def _on_bye(self, frame: Bye) -> None:
        self.bye = frame

    def _on_error(self, frame: Error) -> None:
        retry_after = None if frame.retry_after is msgspec.UNSET else frame.retry_after
        if frame.ref is not msgspec.UNSET:
            request = self._context.requests.find(frame.ref)
            if request is not None:
                self._refused_request(request, frame, retry_after)
                return
            stream = self._stream(frame.ref)
        elif frame.stream is not msgspec.UNSET:
            stream = self._by_number.get(frame.stream)
            if stream is not None and stream.number != frame.stream:
                return  # about a number that this connection has already given up
        else:
            self._context.counters.refusals[str(frame.code)] += 1
            self.hint_s = retry_after
            return
        if stream is not None:
            self._refused(stream, frame, retry_after)

    def _refused_request(self, request: Request, frame: Error, retry_after: float | None) -> None:
        context = self._context
        if frame.code in _WAIT_CODES or frame.code == ErrorCode.UNKNOWN_STREAM:
            request.refusals += 1
            request.sent = False
            wait = (
                context.backoff.delay_s(request.refusals, context.random)
                if retry_after is None
                else stretched(retry_after, context.random)
            )
            loop = asyncio.get_running_loop()
            request.not_before = loop.time() + wait
            loop.call_at(request.not_before, context.nudge)
        elif not request.answer.done():
            request.answer.set_exception(refusal(frame.code, frame.message))

    def _refused(self, stream: Stream, frame: Error, retry_after: float | None) -> None:
        asked = stream.number is None
        if frame.code in _WAIT_CODES:
            stream.asked = stream.asked and not asked
            stream.wait_out(frame.code, retry_after)
        elif frame.code == ErrorCode.UNKNOWN_STREAM:
            self._lost_stream(stream, frame.code, retry_after)
        elif frame.code == ErrorCode.ROOM_ENDED and stream.session_id is not None and isinstance(stream, RoomStream):
            stream.room_ended()
        elif frame.code == ErrorCode.NOT_FOUND and asked and stream.session_id is not None:
            stream.session_unknown()  # begin without it (`ERROR_CODES`)
        elif frame.code == ErrorCode.TOO_LARGE:
            stream.too_large()
        elif frame.code == ErrorCode.TOO_OLD:
            stream.too_old(self._context.clock() - limits.SAMPLE_AGE_MS)
        else:
            if stream.number is not None:
                self.forget(stream.number)
            stream.fail(refusal(frame.code, frame.message))
        self._context.nudge()

    def _lost_stream(self, stream: Stream, code: str, retry_after: float | None) -> None:
        if stream.number is not None:
            self.forget(stream.number)
        stream.lost()
        if stream.refusals_in_a_row:
            stream.wait_out(code, retry_after)
        else:  # at once the first time, with growing waits when it happens again before anything is acknowledged
            self._context.counters.refusals[str(code)] += 1
            stream.refusals_in_a_row = 1
