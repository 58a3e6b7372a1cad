"""A stream: one connection's part in a room, or its hold of a watch session. It is also who gets the acks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.machines.effects import Acked, Effect, Failed, Refused
from protocol.codes import ErrorCode
from protocol.server_frames import Error

if TYPE_CHECKING:
    from actors.actor import Actor
    from server.ws.connection import Connection


class Stream:
    """`session_id` None: an observer, who sees and is not seen."""

    __slots__ = ("actor", "connection", "is_room", "no", "owed", "session_id", "told")

    def __init__(
        self, connection: Connection, no: int, actor: Actor, session_id: str | None, told: int, *, is_room: bool
    ) -> None:
        self.connection = connection
        self.no = no
        self.actor = actor
        self.session_id = session_id
        self.told = told
        """The heartbeat interval (ms) that the client knows; 0 to tell it again."""
        self.is_room = is_room
        self.owed = 0
        """`seq` of the first sample refused as busy, 0 for none: nothing behind it is taken before it."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """An ack needs nothing of the machine's state."""

    def release(self, effects: list[Effect]) -> None:
        """The samples are durable, or were refused."""
        effect = effects[-1]
        if type(effect) is Acked:
            self.connection.ack(self.no, effect.seq, effect.interval)
        elif type(effect) is Refused:
            code = ErrorCode(effect.code)
            self.connection.hub.counted.refused += 1
            if code is ErrorCode.UNKNOWN_STREAM:
                self.connection.hub.detach(self)
            # What came with the samples was not taken in either.
            self.told = 0
            self.connection.send(Error(code, effect.message, stream=self.no))
        elif type(effect) is Failed:
            self.told = 0
            self.connection.send(Error(ErrorCode.BAD_MESSAGE, effect.message, stream=self.no))
