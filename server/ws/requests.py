"""Requests of a connection that need an answer: join, watch, interact, presence. One at a time, in order.

A join may have to wait for the store; what comes behind it on the same connection waits in line. Bound: `LINE_MAX`
requests; the next one is refused with `rate_limited`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from actors.actor import Actor
from actors.machines.events import Described, Interacted, Tick
from protocol.client_frames import ClientFrame, Hello, Interact, Join, PresencePage, Watch
from protocol.codes import ErrorCode
from protocol.types import canonical_id
from server.auth import AuthError
from server.desk import Denied, busy
from server.ws.answers import Answer, Asked, InteractAnswer, JoinAnswer, ObserveAnswer, PageAnswer, WatchAnswer

if TYPE_CHECKING:
    from server.ws.connection import Connection

LINE_MAX: Final = 64


class Requests:
    """The line of one connection."""

    __slots__ = ("_connection", "_line", "_task", "_waiting")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._line: deque[ClientFrame] = deque()
        self._task: asyncio.Task[None] | None = None
        self._waiting: tuple[Actor, asyncio.Future[None]] | None = None

    def take(self, frame: ClientFrame) -> None:
        """Put a request in line."""
        if len(self._line) >= LINE_MAX:
            denied = Denied(ErrorCode.RATE_LIMITED, "too many requests wait on this connection", 1.0)
            self._connection.refuse(denied, getattr(frame, "ref", None))
            return
        self._line.append(frame)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def lost(self, actor: Actor) -> None:
        """The actor will not answer."""
        if self._waiting is not None and self._waiting[0] is actor and not self._waiting[1].done():
            self._waiting[1].set_exception(busy("what was asked for has moved: ask again"))

    async def _work(self) -> None:
        try:
            while self._line and self._connection.open:
                frame = self._line.popleft()
                try:
                    await self._answer(frame)
                except Denied as denied:
                    self._connection.refuse(denied, getattr(frame, "ref", None))
        finally:
            self._task = None
            if not self._line:
                # Most connections ask once and then only beat: their line would be a kilobyte of nothing.
                self._connection.requests_done()

    async def _answer(self, frame: ClientFrame) -> None:
        if isinstance(frame, Hello):
            await self._authenticate(frame)
        elif isinstance(frame, Join):
            await self._join(frame)
        elif isinstance(frame, Watch):
            await self._watch(frame)
        elif isinstance(frame, PresencePage):
            await self._page(frame)
        elif isinstance(frame, Interact):
            self._interact(frame)

    async def _authenticate(self, frame: Hello) -> None:
        """A token names a key that was not known: fetch the keys, which takes a moment."""
        connection = self._connection
        try:
            claims = await connection.hub.verifier.authenticate(frame.token or "", connection.hub.clock.now() / 1000)
            if claims.expires_at_ms <= connection.hub.clock.now():
                raise AuthError("token has expired")  # noqa: TRY301 - while it was looked up
        except AuthError as error:
            connection.unauthenticated(error)
        else:
            connection.welcome(claims, frame)

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def _join(self, frame: Join) -> None:
        connection = self._connection
        claims = connection.claims
        assert claims is not None
        hub = connection.hub
        room_id = canonical_id(frame.room)
        if frame.observe and claims.role == "learner":
            raise Denied(ErrorCode.FORBIDDEN, "only staff may observe")
        actor = await hub.desk.room(claims, room_id)
        held = hub.stream_in_room(connection, room_id)
        metadata = None if frame.metadata is None else msgspec.json.encode(frame.metadata)
        if held is not None and held.session_id is not None:
            if metadata is None:
                # Not told is not changed.
                member = actor.room.state.members.get(claims.user_id)
                metadata = None if member is None else member.metadata
            described = Described(held.session_id, metadata)
            await self._step(Asked(actor, described), JoinAnswer(connection, frame, held))
            return
        if held is not None:
            hub.detach(held)
        self._check_streams()
        if frame.observe:
            await self._step(Asked(actor, Tick()), ObserveAnswer(connection, frame))
            return
        resume = await hub.desk.resumable(actor, frame.session_id, claims.user_id)
        if not connection.open:
            return
        event = hub.desk.joined(actor, claims, resume, connection.device_id, metadata, connection.told)
        await self._step(Asked(actor, event), JoinAnswer(connection, frame, None))

    async def _page(self, frame: PresencePage) -> None:
        connection = self._connection
        claims = connection.claims
        assert claims is not None
        room_id = canonical_id(frame.room)
        connection.hub.desk.check_room(claims, room_id)
        actor = await connection.hub.desk.find_room(room_id, create=False)
        if actor is None:
            raise Denied(ErrorCode.NOT_FOUND, "no such room")
        await connection.hub.desk.check_enrolment(claims, actor.room.state.product_id)
        self._post(Asked(actor, Tick()), PageAnswer(connection, frame))

    def _interact(self, frame: Interact) -> None:
        stream = self._connection.streams.get(frame.stream)
        if stream is None or stream.session_id is None:
            raise Denied(ErrorCode.UNKNOWN_STREAM, "no such stream on this connection")
        if not stream.is_room:
            raise Denied(ErrorCode.BAD_MESSAGE, "interactions belong to a room - at `$.stream`")
        value = None if frame.value is None else msgspec.json.encode(frame.value)
        key = None if frame.id is None else canonical_id(frame.id)
        event = Interacted(stream.session_id, frame.kind, key, value)
        self._post(Asked(stream.actor, event), InteractAnswer(self._connection, frame))

    # -- contents -----------------------------------------------------------------------------------------------------

    async def _watch(self, frame: Watch) -> None:
        connection = self._connection
        claims = connection.claims
        assert claims is not None
        self._check_streams()
        duration = None if frame.duration is None else int(frame.duration * 1000 + 0.5)
        actor, event = await connection.hub.desk.watch(
            claims,
            frame.content.kind,
            canonical_id(frame.content.id),
            frame.session_id,
            connection.device_id,
            duration,
            connection.told,
        )
        if not connection.open:
            return
        await self._step(Asked(actor, event), WatchAnswer(connection, frame))

    # -- common -------------------------------------------------------------------------------------------------------

    def _check_streams(self) -> None:
        limits = self._connection.hub.limits
        if len(self._connection.streams) >= limits.streams_per_connection:
            message = f"a connection holds at most {limits.streams_per_connection} streams"
            raise Denied(ErrorCode.TOO_MANY_STREAMS, message)

    async def _step(self, asked: Asked, answer: Answer) -> None:
        """Post, and wait until it was taken in: what comes behind must see the stream that it makes."""
        answer.staged = asyncio.get_running_loop().create_future()
        self._waiting = asked.actor, answer.staged
        try:
            self._post(asked, answer)
            await answer.staged
        finally:
            self._waiting = None

    def _post(self, asked: Asked, answer: Answer) -> None:
        system = self._connection.hub.system
        if system.busy or not system.post(asked.actor, asked.event, answer):
            raise busy("cannot be stored now")
