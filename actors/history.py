"""Classes of the past: a room's state made of what an older system knows, so that every figure follows by one rule.

An imported class is kept as a snapshot like any other. Whatever comes later (a late event, a learner who is forgotten)
finds a room that knows its members. Nothing of it is told to others, and nothing of it is journaled: the snapshot and
the rows are written in the transaction that brings the facts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from actors import snapshots
from actors.actor import Actor
from actors.machines import ranges
from actors.machines.holding import INTERVALS_MAX
from actors.machines.presence import Member
from actors.machines.room import Room
from actors.machines.rows import PresenceRow
from actors.machines.state import BY_EVENT, RoomRules, RoomState
from actors.ports import ROOM, Snapshot

IMPORTED_FROM: Final = 2**30
"""Numbers of imported presences: rooms count theirs from 1 and never come so far."""
_SPREAD: Final = 2**30


class Stay(msgspec.Struct, frozen=True):
    """A learner was in a class during [`start`, `end`), Unix ms."""

    room_id: str
    user_id: str
    start: int
    end: int
    source: str
    device_id: str
    name: str | None = None
    role: str = "learner"
    reason: str | None = None


class Times(msgspec.Struct, frozen=True):
    """What is known elsewhere of when a class was. `told_*`: by the system that owns it, when it was over."""

    name: str | None = None
    product_id: str | None = None
    scheduled_start: int | None = None
    scheduled_end: int | None = None
    cancelled: bool = False
    told_start: int | None = None
    told_end: int | None = None


def natural_number(*key: object) -> int:
    """A number of 30 bits that a fact's key gives."""
    digest = blake2b("\0".join(map(str, key)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % _SPREAD


def presence_row(stay: Stay) -> PresenceRow:
    """The row of a stay, whose number is its natural key."""
    number = IMPORTED_FROM + natural_number(stay.start, stay.source, stay.device_id)
    return PresenceRow(
        stay.room_id,
        stay.user_id,
        number,
        stay.start,
        stay.end,
        stay.source,
        stay.device_id,
        open=False,
        disconnect_reason=stay.reason,
    )


class PastRoom:
    """A class as far as it is being imported. `body` is the snapshot of an earlier import."""

    def __init__(self, room_id: str, body: bytes | None, rules: RoomRules) -> None:
        state = snapshots.room_state(body) if body is not None else RoomState()
        self.room = Room(room_id, state, rules)
        self.touched: set[str] = set()

    def take(self, stay: Stay) -> bool:
        """Presence. Returns whether it says anything new; beyond the bound of separate stretches it is not kept."""
        member = self._member(stay.user_id, stay.role, stay.name)
        if stay.source not in member.kinds:
            member.kinds.append(stay.source)
        before = ranges.length(member.past)
        ranges.add(member.past, stay.start, stay.end, INTERVALS_MAX)
        return ranges.length(member.past) != before

    def take_figures(self, user_id: str, role: str, name: str | None, told: tuple[int, int, int]) -> None:
        """`told`: talk time ms, raised hands, answered polls."""
        member = self._member(user_id, role, name)
        member.talk_ms, member.hand_raises, member.polls_answered = told

    def _member(self, user_id: str, role: str, name: str | None) -> Member:
        member = self.room.member(user_id, role, name)
        member.role = role
        self.touched.add(user_id)
        return member

    def settle(self, times: Times, now: int) -> None:
        """When the class was, by all that is known; a class that is not over by `now` stays to be held."""
        state, members = self.room.state, self.room.state.members
        before = state.times()
        state.name, state.product_id = times.name or state.name, times.product_id or state.product_id
        if times.scheduled_start is not None:
            state.scheduled_start, state.scheduled_end = times.scheduled_start, times.scheduled_end
        begun, over = self._bounds(times)
        if over is not None and over <= now and (members or not times.cancelled):
            state.status, state.ended_by, state.ends = "ended", BY_EVENT, 1
            state.started_at, state.ended_at = begun, over
            state.times_told = times.told_end is not None
        elif times.cancelled:
            state.status = "cancelled"
        state.last_leave = max((member.past[-1] for member in members.values() if member.past), default=0)
        if state.times() != before:
            self.touched.update(members)

    def _bounds(self, times: Times) -> tuple[int | None, int | None]:
        """Told, else scheduled, else seen."""
        pasts = [member.past for member in self.room.state.members.values() if member.past]
        seen = (min(past[0] for past in pasts), max(past[-1] for past in pasts)) if pasts else (None, None)
        begun = _first(times.told_start, self.room.state.scheduled_start, seen[0], times.told_end)
        over = _first(times.told_end, self.room.state.scheduled_end, seen[1])
        return begun, over if begun is None or over is None else max(begun, over)

    def snapshot(self, partition: int) -> Snapshot:
        """As it is kept, of version 0: no server has run it."""
        return snapshots.take(Actor(ROOM, self.room.room_id, partition, self.room, 0))


def _first(*moments: int | None) -> int | None:
    return next((moment for moment in moments if moment is not None), None)
