"""What the webhook door needs of the store."""

from __future__ import annotations

from typing import Protocol


class Jobs(Protocol):
    """Work that follows a webhook. Durable when a call returns; asking twice is asking once. Raises StoreAway."""

    async def recording(self, record_id: str, room_id: str, sid: str, size_mb: float | None, reported_at: int) -> None:
        """Fetch a recording that is ready, once per `record_id`. `reported_at` is the message's time, Unix ms."""
        ...

    async def analytics(self, artifact_id: str, room_id: str, sid: str, *, older: bool) -> None:
        """Fetch the analytics of a conference session, once per `artifact_id`.

        `older`: the id came as `file_id`, which has download routes of its own (plugnmeet.md, reading 14).
        """
        ...


class WebhookStore(Protocol):
    """Messages kept as they came, and which sessions are breakout rooms. Raises StoreAway, StoreRefused."""

    async def keep(self, id: str, event: str, room_id: str | None, received_at: int, why: str, body: bytes) -> None:  # noqa: A002 - the message's own word
        """Keep a message, once per (`id`, `event`). `why` says why it is kept. The newest 100,000 stay."""
        ...

    async def put_breakout(self, sid: str, room_id: str, parent_room_id: str) -> None:
        """Remember that session `sid` is a breakout room of `parent_room_id`. The newest 100,000 stay."""
        ...

    async def breakout_parent(self, sid: str) -> str | None:
        """The room that a breakout session counts towards; None where `sid` is not known as one."""
        ...
