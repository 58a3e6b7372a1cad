"""A user's stream into a live class: what a content has not, which is other people."""

from __future__ import annotations

import uuid
from typing import Any

from protocol.client.context import Context, RoomTarget
from protocol.client.errors import Refused
from protocol.client.kept import Kept
from protocol.client.presence import Presence
from protocol.client.stream import Stream
from protocol.client_frames import ClientFrame, Interact, InteractionKind, Join
from protocol.codes import ErrorCode
from protocol.server_frames import RoomInfo
from protocol.types import Metadata, check_metadata


class RoomStream(Stream):
    """What `Client.join` and `Client.observe` give. `info`: the room as the server last told it; times are Unix ms."""

    def __init__(
        self, ref: int, target: RoomTarget, context: Context, kept: Kept, session_id: str | None = None
    ) -> None:
        super().__init__(ref, target, context, kept, session_id)
        self.room = target
        self.info: RoomInfo | None = None
        self._presence: Presence | None = None

    async def interact(
        self,
        kind: InteractionKind,
        *,
        id: str | None = None,  # noqa: A002 - the wire's word
        value: Any = None,  # noqa: ANN401 - any JSON
    ) -> None:
        """Take part: `poll_response` `quiz_response` `doubt` `comment` `reaction` `hand_raise`. Returns when durable.

        The same kind and `id` again replaces the first; without one each call is another interaction, counted once
        however often it had to be sent. Waits for the WebSocket. Raises `Refused`, `Closed`, `BufferFull`.
        """
        key = id or uuid.uuid4().hex

        def make(ref: str, number: int) -> ClientFrame:
            return Interact(ref=ref, stream=number, kind=kind, id=key, value=value)

        await self._context.requests.ask(self, make, self._context.nudge)

    async def update_metadata(self, metadata: Metadata) -> None:
        """Replace one's metadata, up to 1 KiB of JSON: what is left out is gone. Returns when durable.

        Raises `msgspec.ValidationError` for what the server would refuse, and as `interact`.
        """
        check_metadata(metadata)
        if self.observing:
            raise Refused(ErrorCode.FORBIDDEN, "an observer has no metadata")
        self.room.metadata = metadata

        def make(ref: str, number: int) -> ClientFrame:
            del number
            return Join(ref=ref, room=self.room.room, metadata=metadata)

        await self._context.requests.ask(self, make, self._context.nudge)

    def presence(self) -> Presence:
        """Who is here, as an asynchronous iterator of changes. One a stream: asked again it is the same."""
        if self._presence is None:
            self._presence = Presence(self, self.room.room, self._context)
        return self._presence

    @property
    def watched_presence(self) -> Presence | None:
        """The presence, where somebody asked for it."""
        return self._presence

    def room_ended(self) -> None:
        """The class is over: presence ends, and what is still owed goes by posts."""
        self.room_over = True
        self.lost()
        self._context.requests.fail(self, Refused(ErrorCode.ROOM_ENDED, "the class is over"))
        if self._presence is not None:
            self._presence.wake()
        self.changed()

    def over(self) -> None:
        """Heartbeats and presence end."""
        super().over()
        if self._presence is not None and (self.failure is not None or self.left):
            self._presence.stop()
