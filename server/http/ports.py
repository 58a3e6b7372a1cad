"""Questions of the HTTP edge to the store, out of what `storage.reading` offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from actors.machines.rows import PresenceRow, RoomRow, SegmentRow
from storage.reading import Rating


class ClassStore(Protocol):
    """What the store knows of classes; memory knows better where a class is there. Raises StoreAway, StoreRefused."""

    async def rooms_page(self, state: str | None, after_id: str | None, limit: int) -> Sequence[RoomRow]:
        """At most `limit` rooms behind `after_id`, by id in the order of code points; in one state, or in any."""
        ...

    async def segments_of(self, room_id: str, user_id: str) -> Sequence[SegmentRow]:
        """All segments of one learner in one class."""
        ...

    async def presences_of(self, room_id: str, user_id: str) -> Sequence[PresenceRow]:
        """When a learner was in a class, by number; rows may overlap."""
        ...

    async def rating(self, live_class_id: str, user_id: str) -> Rating | None:
        """What a learner thought of a class."""
        ...

    async def rate(self, rating: Rating) -> None:
        """Keep it; rating twice replaces."""
        ...
