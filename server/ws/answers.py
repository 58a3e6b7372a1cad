"""Answers that need the machine as it was at the step: taken down by `stage`, sent by `release` once durable.

`stage` is also where a stream begins to exist, so that whatever happens to its connection from then on is about it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from actors.actor import Actor
from actors.machines.effects import Effect, Failed, Refused, SessionOpened
from actors.machines.events import AnyEvent, Dropped
from protocol.client_frames import Interact, Join, PresencePage, Watch
from protocol.codes import ErrorCode
from protocol.server_frames import Done, Joined, MembersPage, ServerFrame, Watching
from server.desk import Denied
from server.ws import render
from server.ws.stream import Stream

if TYPE_CHECKING:
    from server.ws.connection import Connection


class Asked(msgspec.Struct, frozen=True):
    """A request, as mail."""

    actor: Actor
    event: AnyEvent


class Answer:
    """What all answers share: a frame that is ready when the step is, and refusals."""

    __slots__ = ("_frame", "_replaced", "connection", "ref", "staged")

    def __init__(self, connection: Connection, ref: str | int) -> None:
        self.connection = connection
        self.ref = ref
        self._frame: ServerFrame | None = None
        self._replaced: Stream | None = None
        self.staged: asyncio.Future[None] | None = None
        """Done with the step, for whoever must not go on before."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Take down what the answer needs."""
        if self.staged is not None and not self.staged.done():
            self.staged.set_result(None)
        for effect in effects:
            if isinstance(effect, Refused | Failed):
                return
        self._frame = self.compose(actor, effects, now)

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> ServerFrame | None:
        """The frame of a success."""
        raise NotImplementedError

    def release(self, effects: list[Effect]) -> None:
        """All is durable: answer."""
        for effect in effects:
            if isinstance(effect, Refused):
                self.connection.refuse(Denied(ErrorCode(effect.code), effect.message), self.ref)
                return
            if isinstance(effect, Failed):
                self.connection.refuse(Denied(ErrorCode.BAD_MESSAGE, effect.message), self.ref)
                return
        if self._replaced is not None:
            self.connection.hub.replaced(self._replaced, self.connection)
        if self._frame is not None:
            self.connection.send(self._frame)

    def _begin(self, actor: Actor, session_id: str | None, *, is_room: bool) -> Stream:
        """A stream of this connection from now on."""
        connection = self.connection
        stream = Stream(connection, connection.next_stream, actor, session_id, connection.told, is_room=is_room)
        connection.next_stream += 1
        self._replaced = connection.hub.attach(stream)
        return stream


def _opened(effects: list[Effect]) -> SessionOpened:
    return next(effect for effect in effects if isinstance(effect, SessionOpened))


class JoinAnswer(Answer):
    """`joined`, for a new stream or (reading 11) for the one that `held` already is."""

    __slots__ = ("_held", "_request")

    def __init__(self, connection: Connection, request: Join, held: Stream | None) -> None:
        super().__init__(connection, request.ref)
        self._request = request
        self._held = held

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> ServerFrame | None:
        """The state of the room at this step."""
        opened = _opened(effects)
        connection = self.connection
        if connection.gone:
            # Gone between the request and the step: the arrival counts, and so does the drop.
            connection.hub.system.post(actor, Dropped(opened.session_id, now), always=True)
            return None
        stream = self._held or self._begin(actor, opened.session_id, is_room=True)
        room = actor.room
        connection.hub.see(connection, room)
        presence, recovered = render.first_presence(
            room, self._request.after, now, listed=connection.hub.listed(connection, room)
        )
        return Joined(
            ref=self.ref,
            stream=stream.no,
            session_id=opened.session_id,
            room=render.room_info(room),
            count=room.present,
            late=opened.late,
            resumed=opened.resumed if self._held is None else True,
            last_seq=opened.last_seq,
            epoch=room.state.epoch,
            seq=room.diffs.seq,
            presence=presence,
            recovered=recovered,
        )


class ObserveAnswer(Answer):
    """`joined` for somebody who sees the room without being in it."""

    __slots__ = ("_request",)

    def __init__(self, connection: Connection, request: Join) -> None:
        super().__init__(connection, request.ref)
        self._request = request

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> ServerFrame | None:  # noqa: ARG002
        """The room, and a stream that carries nothing up."""
        connection = self.connection
        if connection.gone:
            return None
        stream = self._begin(actor, None, is_room=True)
        room = actor.room
        connection.hub.see(connection, room)
        presence, recovered = render.first_presence(room, self._request.after, now, listed=True)
        return Joined(
            ref=self.ref,
            stream=stream.no,
            session_id=None,
            room=render.room_info(room),
            count=room.present,
            late=False,
            resumed=False,
            last_seq=0,
            epoch=room.state.epoch,
            seq=room.diffs.seq,
            presence=presence,
            recovered=recovered,
        )


class PageAnswer(Answer):
    """`members`."""

    __slots__ = ("_request",)

    def __init__(self, connection: Connection, request: PresencePage) -> None:
        super().__init__(connection, request.ref)
        self._request = request

    def release(self, effects: list[Effect]) -> None:
        """A page, or a refusal where the room is too large for learners."""
        if self._frame is None:
            self.connection.refuse(
                Denied(ErrorCode.FORBIDDEN, "the room is too large to be listed to learners"), self.ref
            )
            return
        super().release(effects)

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> MembersPage | None:  # noqa: ARG002
        """The members at (epoch, seq)."""
        room = actor.room
        if not self.connection.hub.listed(self.connection, room):
            return None
        return render.page(room, self.ref, self._request.cursor, now)


class WatchAnswer(Answer):
    """`watching`."""

    __slots__ = ()

    def __init__(self, connection: Connection, request: Watch) -> None:
        super().__init__(connection, request.ref)

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> ServerFrame | None:  # noqa: ARG002
        """Where to continue."""
        opened = _opened(effects)
        if self.connection.gone:
            return None
        stream = self._begin(actor, opened.session_id, is_room=False)
        return Watching(
            ref=self.ref,
            stream=stream.no,
            session_id=opened.session_id,
            resumed=opened.resumed,
            last_seq=opened.last_seq,
            position=opened.position / 1000,
            coverage=opened.coverage,
        )


class InteractAnswer(Answer):
    """`done`."""

    __slots__ = ()

    def __init__(self, connection: Connection, request: Interact) -> None:
        super().__init__(connection, request.ref)

    def compose(self, actor: Actor, effects: list[Effect], now: int) -> ServerFrame | None:  # noqa: ARG002
        """Nothing but the `ref`."""
        return Done(self.ref)
