"""What actors in memory know of one learner that the store may not have yet.

Memory is asked first, then the store: what an actor writes in between is then seen twice, and counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from actors.actor import Actor
from actors.figures.class_parts import RoomPart
from actors.figures.facts import Interval
from actors.machines import ranges
from actors.machines.events import Tick
from actors.machines.room import Room
from actors.machines.rows import InteractionRow
from actors.system import ActorSystem
from server.http import asking, merging
from server.http.merging import Known


class RoomSeen(msgspec.Struct, frozen=True):
    """A room, and the learner in it. `presences` None: it does not know the learner.

    `unwritten`: interactions of everybody that the store does not have yet.
    """

    part: RoomPart
    presences: list[Interval] | None
    sessions: list[Known]
    unwritten: list[InteractionRow]


def rooms_with(system: ActorSystem, user_id: str) -> list[str]:
    """Rooms in memory that know the learner: a look at each, some tens of nanoseconds."""
    return [key for key, actor in system.directory.rooms.items() if user_id in actor.room.state.members]


async def rooms(system: ActorSystem, user_id: str, ids: Iterable[str]) -> dict[str, RoomSeen]:
    """Those of these rooms that are in memory. Raises `Problem` (503)."""
    known = system.directory.rooms
    asks = {
        key: asking.put(system, known[key], Tick(), lambda actor, now: seen_of(actor.room, user_id, now))
        for key in ids
        if key in known
    }
    answers = await asyncio.gather(*(ask.answer(asking.READ_S) for ask in asks.values()))
    return dict(zip(asks, answers, strict=True))


def seen_of(room: Room, user_id: str, now: int) -> RoomSeen:
    """A room by now."""
    state = room.state
    member = state.members.get(user_id)
    return RoomSeen(
        RoomPart(
            state.name,
            state.product_id,
            state.status,
            state.scheduled_start,
            state.scheduled_end,
            state.started_at,
            state.ended_at,
        ),
        None if member is None else ranges.pairs(member.presences(now)),
        merging.of_learner(room, user_id),
        state.unwritten.copy(),
    )


async def watched(system: ActorSystem, user_id: str) -> tuple[list[Interval], dict[str, int]]:
    """Wall time of recorded lessons that watch sessions in memory hold; of these, up to which number the store's stand.

    Raises `Problem` (503).
    """
    asks = [
        asking.put(system, actor, Tick(), _known)
        for actor in system.directory.watches.values()
        if (state := actor.watch.state) is not None and state.user_id == user_id
    ]
    answers = await asyncio.gather(*(ask.answer(asking.READ_S) for ask in asks))
    found = [known for known in answers if known is not None]
    intervals = [(part.start_at, part.end_at) for known in found for part in known.segments if part.verified]
    return intervals, {known.row.session_id: known.newest for known in found}


def _known(actor: Actor, _: int) -> Known | None:
    return merging.of_watch(actor.watch, 1.0)
