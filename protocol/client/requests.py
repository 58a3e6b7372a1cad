"""Questions about a stream that need an answer: an interaction, new metadata, a page of members.

They go by the WebSocket, and wait for it. One that the connection loses is asked again on the next: all of them may be
repeated without harm (an interaction carries an id). Bound: `REQUESTS_MOST` at a time, then `BufferFull`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from protocol.client.errors import BufferFull, Refused
from protocol.client_frames import ClientFrame
from protocol.codes import ErrorCode
from protocol.server_frames import Done, Joined, MembersPage

if TYPE_CHECKING:
    from protocol.client.delivery import Delivery

REQUESTS_MOST: Final = 48
"""A connection may have 64 requests in line (docs/CLIENTS.md, "Limits"); joins need some of them."""

Answer = Done | Joined | MembersPage
Make = Callable[[str, int], ClientFrame]
"""Makes the frame of a `ref` and the stream's number on this connection."""


class Request:
    """One question, until it is answered."""

    def __init__(self, ref: str, stream: Delivery, make: Make) -> None:
        self.ref = ref
        self.stream = stream
        self.make = make
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.sent = False
        self.not_before = 0.0
        self.refusals = 0


class Requests:
    """All questions of one client."""

    def __init__(self) -> None:
        self._open: dict[str, Request] = {}
        self._count = 0

    async def ask(self, stream: Delivery, make: Make, nudge: Callable[[], None]) -> Answer:
        """Ask, however many connections it takes. Raises `BufferFull`, and what the stream or the server refuses."""
        if stream.failure is not None:
            raise stream.failure
        if stream.room_over:
            raise Refused(ErrorCode.ROOM_ENDED, "the class is over")
        if len(self._open) >= REQUESTS_MOST:
            raise BufferFull(REQUESTS_MOST, "requests")
        self._count += 1
        request = Request(f"q{self._count}", stream, make)
        self._open[request.ref] = request
        nudge()
        try:
            return await request.answer
        finally:
            self._open.pop(request.ref, None)

    def find(self, ref: str | int) -> Request | None:
        """The question that an answer belongs to."""
        return self._open.get(ref) if isinstance(ref, str) else None

    def due(self, stream: Delivery, now: float) -> list[Request]:
        """What is to be asked on this stream now, oldest first."""
        return [one for one in self._open.values() if one.stream is stream and not one.sent and now >= one.not_before]

    def answered(self, ref: str | int, answer: Answer) -> bool:
        """An answer came; returns whether it was to one of these."""
        request = self.find(ref)
        if request is not None and not request.answer.done():
            request.answer.set_result(answer)
        return request is not None

    def lost(self, stream: Delivery) -> None:
        """The connection is gone: whatever is unanswered is asked again on the next."""
        for request in self._open.values():
            if request.stream is stream:
                request.sent = False

    def fail(self, stream: Delivery, error: Exception) -> None:
        """Nothing more will come of this stream."""
        for request in list(self._open.values()):
            if request.stream is stream and not request.answer.done():
                request.answer.set_exception(error)
