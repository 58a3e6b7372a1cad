"""Presence as a room's viewers know it: one diff a second at the most, numbered, the last 300 kept (reading 1).

    (epoch, seq)   epoch rises with every incarnation of the room's actor, seq with every diff of one incarnation

A page of members is the state at `seq`, not the latest: who pages and then applies the diffs behind `seq` is never
wrong. So the log keeps what it has announced apart from who is here. Nothing of this is durable except the epoch.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from typing import Final

import msgspec

DIFFS_KEPT: Final = 300
EVERY_MS: Final = 1_000
PAGE: Final = 100


class Announced(msgspec.Struct, frozen=True):
    """A member as announced."""

    user_id: str
    name: str | None
    role: str
    metadata: bytes | None
    at: int


class Line(msgspec.Struct, frozen=True):
    """One change of a diff."""

    user_id: str
    at: int
    name: str | None = None
    metadata: bytes | None = None


class Diff(msgspec.Struct, frozen=True):
    """What changed between `seq` - 1 and `seq`."""

    seq: int
    count: int
    joins: list[Line]
    leaves: list[Line]
    updates: list[Line]


class DiffLog:
    """What viewers were told, and what they are to be told next."""

    def __init__(self) -> None:
        self.seq = 0
        self.announced: dict[str, Announced] = {}
        self.kept: deque[Diff] = deque(maxlen=DIFFS_KEPT)
        self._order: list[str] = []
        self._joins: dict[str, Announced] = {}
        self._leaves: dict[str, int] = {}
        self._updates: dict[str, Announced] = {}
        self._next_at = 0

    def seed(self, member: Announced) -> None:
        """Somebody was here before this incarnation: part of the state at `seq` 0."""
        if member.user_id not in self.announced:
            insort(self._order, member.user_id)
        self.announced[member.user_id] = member

    # -- changes ------------------------------------------------------------------------------------------------------

    def join(self, member: Announced) -> None:
        """Somebody came; a leave that was not told yet is taken back."""
        if self._leaves.pop(member.user_id, None) is not None:
            self._updates[member.user_id] = member
        elif member.user_id not in self.announced:
            self._joins[member.user_id] = member

    def leave(self, user_id: str, at: int) -> None:
        """Somebody left; a join that was not told yet is taken back."""
        self._updates.pop(user_id, None)
        if self._joins.pop(user_id, None) is None and user_id in self.announced:
            self._leaves[user_id] = at

    def update(self, member: Announced) -> None:
        """Somebody's name or metadata changed."""
        if member.user_id in self._joins:
            self._joins[member.user_id] = member
        elif member.user_id in self.announced and member.user_id not in self._leaves:
            self._updates[member.user_id] = member

    # -- telling ------------------------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When the next diff is due; None while there is nothing to tell."""
        return self._next_at if self._joins or self._leaves or self._updates else None

    def cut(self, now: int) -> Diff:
        """Make the next diff of all that is waiting."""
        for user_id in self._leaves:
            del self.announced[user_id]
        for user_id, member in (*self._joins.items(), *self._updates.items()):
            if user_id not in self.announced:
                insort(self._order, user_id)
            self.announced[user_id] = member
        if self._leaves:
            self._order = [user_id for user_id in self._order if user_id not in self._leaves]
        self.seq += 1
        diff = Diff(
            self.seq,
            len(self.announced),
            [_line(member) for member in self._joins.values()],
            [Line(user_id, at) for user_id, at in self._leaves.items()],
            [_line(member) for member in self._updates.values()],
        )
        self._joins, self._leaves, self._updates = {}, {}, {}
        self._next_at = now + EVERY_MS
        self.kept.append(diff)
        return diff

    def since(self, seq: int) -> list[Diff] | None:
        """The diffs behind `seq`, or None where they are not all kept or `seq` lies ahead."""
        missed = self.seq - seq
        if missed < 0 or missed > len(self.kept):
            return None
        return list(self.kept)[len(self.kept) - missed :]

    def page(self, cursor: str | None) -> tuple[list[Announced], str | None]:
        """Members behind `cursor` (a user id) in order of user id, and the cursor of the next page."""
        start = 0 if cursor is None else bisect_right(self._order, cursor)
        users = self._order[start : start + PAGE]
        more = start + PAGE < len(self._order)
        return [self.announced[user] for user in users], users[-1] if more else None


def _line(member: Announced) -> Line:
    return Line(member.user_id, member.at, member.name, member.metadata)
