"""What a player does with the frames it hears on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from load_tests.facts import ClockCompared
from load_tests.stream import ContentTarget, Context, PlayerStream, Refused
from protocol import limits
from protocol.codes import ErrorCode
from protocol.server_frames import Ack, Bye, Error, Joined, RoomChanged, ServerFrame, Watching, Welcome

_WAIT_CODES: Final = frozenset({ErrorCode.BUSY, ErrorCode.RATE_LIMITED, ErrorCode.TOO_MANY_CONNECTIONS})


class Hearing:
    """One connection's ears: changes the streams, and remembers what the connection itself was told."""

    def __init__(
        self, context: Context, *, to_http: Callable[[PlayerStream], None], wake_sender: Callable[[], None]
    ) -> None:
        """`to_http` moves a stream to the other door; `wake_sender` says that there may be something to send."""
        self._context = context
        self._to_http = to_http
        self._wake_sender = wake_sender
        self._by_number: dict[int, PlayerStream] = {}
        self._interval_s: float | None = None
        self._since = asyncio.get_running_loop().time()
        self.welcomed = False
        self.bye: Bye | None = None
        self.hint_s: float | None = None
        self._acts: dict[type[object], Callable[[Any], None]] = {
            Welcome: self._on_welcome,
            Joined: self._on_joined,
            Watching: self._on_watching,
            Ack: self._on_ack,
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

    def _on_welcome(self, frame: Welcome) -> None:
        self.welcomed = True
        self._interval_s = frame.heartbeat_interval
        self._context.tell(ClockCompared(frame.server_time, asyncio.get_running_loop().time() - self._since))
        self._wake_sender()

    def _on_joined(self, frame: Joined) -> None:
        stream = self._stream(frame.ref)
        if stream is not None and frame.session_id is not None:
            stream.room_over = frame.room.state == "ended"
            self._adopt(stream, frame, frame.session_id, frame.late)

    def _on_watching(self, frame: Watching) -> None:
        stream = self._stream(frame.ref)
        if stream is not None:
            stream.coverage, stream.position = frame.coverage, frame.position
            self._adopt(stream, frame, frame.session_id, None)

    def _stream(self, ref: str | int) -> PlayerStream | None:
        return self._context.streams.get(ref) if isinstance(ref, int) else None

    def _adopt(self, stream: PlayerStream, answer: Joined | Watching, session_id: str, late: bool | None) -> None:  # noqa: FBT001
        self._by_number[answer.stream] = stream
        if self._interval_s is not None:
            stream.told_interval(self._interval_s)
        stream.adopt(session_id, resumed=answer.resumed, last_seq=answer.last_seq, number=answer.stream, late=late)
        self._wake_sender()

    def _on_ack(self, frame: Ack) -> None:
        stream = self._by_number.get(frame.stream)
        if stream is None:
            return
        if frame.heartbeat_interval is not msgspec.UNSET:
            stream.told_interval(frame.heartbeat_interval)
        stream.acknowledge(frame.seq)

    def _on_room(self, frame: RoomChanged) -> None:
        for stream in self._context.streams.values():
            if isinstance(stream.target, ContentTarget) or stream.target.room != frame.room:
                continue
            stream.room_over = frame.state != "live"
            if stream.room_over:  # its streams close (reading 13): late samples go by HTTP with their session
                stream.lost()
                self._to_http(stream)
            stream.changed()

    def _on_bye(self, frame: Bye) -> None:
        self.bye = frame

    def _on_error(self, frame: Error) -> None:
        retry_after = None if frame.retry_after is msgspec.UNSET else frame.retry_after
        if frame.ref is not msgspec.UNSET:
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

    def _refused(self, stream: PlayerStream, frame: Error, retry_after: float | None) -> None:
        asked = stream.number is None
        if frame.code in _WAIT_CODES:
            stream.asked = stream.asked and not asked
            stream.wait_out(frame.code, retry_after)
        elif frame.code == ErrorCode.UNKNOWN_STREAM:
            stream.lost()
            if stream.refusals_in_a_row:
                stream.wait_out(frame.code, retry_after)
            else:  # at once the first time, with growing waits when it happens again before anything is acknowledged
                self._context.counters.refusals[str(frame.code)] += 1
                stream.refusals_in_a_row = 1
        elif frame.code == ErrorCode.ROOM_ENDED and stream.session_id is not None:
            stream.room_over = True
            stream.lost()
            self._to_http(stream)
        elif frame.code == ErrorCode.NOT_FOUND and asked and stream.session_id is not None:
            stream.session_id = None  # the session is unknown: begin without it (`ERROR_CODES`)
            stream.asked = False
        elif frame.code == ErrorCode.TOO_LARGE:
            stream.too_large()
        elif frame.code == ErrorCode.TOO_OLD:
            stream.too_old(self._context.clock() - limits.SAMPLE_AGE_MS)
        else:
            stream.fail(Refused(frame.code, frame.message))
        self._wake_sender()
