"""One live class out of what catalog, other systems and the room tell of it (learning-api.md, readings 2, 3).

| what | who is believed |
| --- | --- |
| name, product, program, schedule | the catalog, then other systems, then the room |
| when it really was | `liveclass.end`, then the room; a room that runs again has not ended |
| cancelled | either, catalog or room |
| required | unless either, catalog or `liveclass.end`, says that it is optional |
"""

from __future__ import annotations

import msgspec

from actors.figures.facts import LiveClass


class CatalogPart(msgspec.Struct, frozen=True):
    """As its owner tells it."""

    name: str
    product_id: str | None
    program_id: str | None
    subject: str | None
    start_at: int
    end_at: int
    required: bool
    cancelled: bool


class EventPart(msgspec.Struct, frozen=True):
    """As `liveclass.end` tells it."""

    product_id: str | None
    program_id: str | None
    start_at: int | None
    end_at: int | None
    required: bool
    quizzes: int | None
    polls: int | None


class RoomPart(msgspec.Struct, frozen=True):
    """As the room has it."""

    name: str | None
    product_id: str | None
    state: str
    scheduled_start: int | None
    scheduled_end: int | None
    started_at: int | None
    ended_at: int | None


class Told(msgspec.Struct, frozen=True):
    """All of them; `known` False where nobody tells of the class."""

    live_class_id: str
    catalog: CatalogPart | None = None
    event: EventPart | None = None
    room: RoomPart | None = None

    @property
    def known(self) -> bool:
        """Whether there is such a class."""
        return not (self.catalog is None and self.event is None and self.room is None)


_NO_CATALOG = CatalogPart("", None, None, None, 0, 0, required=True, cancelled=False)
_NO_EVENT = EventPart(None, None, None, None, required=True, quizzes=None, polls=None)
_NO_ROOM = RoomPart(None, None, "scheduled", None, None, None, None)


def live_class(told: Told, quizzes: int = 0, polls: int = 0) -> LiveClass:
    """The class; `quizzes`, `polls`: how many are known by their ids."""
    catalog, event, room = told.catalog or _NO_CATALOG, told.event or _NO_EVENT, told.room or _NO_ROOM
    live = room.state == "live"
    return LiveClass(
        live_class_id=told.live_class_id,
        product_id=_first(catalog.product_id, event.product_id, room.product_id),
        name=catalog.name if told.catalog is not None else room.name,
        subject=catalog.subject,
        program_id=_first(catalog.program_id, event.program_id),
        scheduled_start=catalog.start_at if told.catalog is not None else room.scheduled_start,
        scheduled_end=catalog.end_at if told.catalog is not None else room.scheduled_end,
        room_start=room.started_at if event.start_at is None else event.start_at,
        room_end=None if live else room.ended_at if event.end_at is None else event.end_at,
        live=live,
        cancelled=catalog.cancelled or room.state == "cancelled",
        required=catalog.required and event.required,
        quizzes=max(event.quizzes or 0, quizzes),
        polls=max(event.polls or 0, polls),
    )


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)
