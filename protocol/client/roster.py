"""Who is in a room, put together from pages and diffs (realtime.md, `presence`, reading 1). Pure.

    out of step --pages asked--> collecting --last page--> in step --gap, or a higher epoch--> out of step

A page is the state at its own (epoch, seq), and a later page may be newer than the first. So diffs that come while
pages are collected are kept, and each is applied to whoever the pages did not know already.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocol.client_frames import After
from protocol.server_frames import Change, Member, MembersPage, PresenceDiff

ROSTER_MOST: Final = 50_000
"""Users a roster names; a room with more is not `listed`, and only its `count` is known."""
DIFFS_HELD: Final = 300
"""Diffs kept while pages come: as many as the server keeps. With more, the pages are asked for anew."""


class Attendee(msgspec.Struct, frozen=True):
    """A user in the room: since `joined_at`, server time in Unix ms. `role` where a page told it."""

    user_id: str
    joined_at: int
    name: str | None = None
    metadata: dict[str, Any] | None = None
    role: str | None = None


class MemberJoined(msgspec.Struct, frozen=True):
    """Somebody came, or was there already when the roster began."""

    member: Attendee


class MemberLeft(msgspec.Struct, frozen=True):
    """Somebody went, at `at` (Unix ms) where the server told it."""

    member: Attendee
    at: int | None = None


class MemberUpdated(msgspec.Struct, frozen=True):
    """Somebody's metadata or name changed."""

    member: Attendee


class CountChanged(msgspec.Struct, frozen=True):
    """In a room that is too large to be listed: how many are there."""

    count: int


PresenceEvent = MemberJoined | MemberLeft | MemberUpdated | CountChanged


class OutOfStep(Exception):
    """Something is missing: ask for the pages from the first on."""


class Roster:
    """`members` by user id, `count` of them all, and whether they are `listed` at all."""

    def __init__(self, most: int = ROSTER_MOST) -> None:
        self.members: dict[str, Attendee] = {}
        self.count = 0
        self.listed = True
        self._most = most
        self._epoch = -1
        self._seq: int = -1
        self._in_step = False
        self._known_at: dict[str, int] = {}
        self._pages: dict[str, Attendee] | None = None
        self._first_seq: int = -1
        self._held: list[PresenceDiff] = []

    @property
    def after(self) -> After | None:
        """What is known, for a `join` that wants only what was missed."""
        return After(self._epoch, self._seq) if self._in_step and self._epoch >= 0 else None

    def collect(self) -> None:
        """Pages are asked for, from the first on."""
        self._pages, self._known_at, self._held, self._in_step = {}, {}, [], False
        self._first_seq = -1

    def page(self, page: MembersPage) -> tuple[str | None, list[PresenceEvent]]:
        """A page came: the cursor of the one to ask for next, and with the last page what has changed.

        Raises `OutOfStep`.
        """
        if self._pages is None:
            return None, []
        if self._first_seq < 0:
            self._epoch, self._first_seq = page.epoch, page.seq
        elif page.epoch != self._epoch:
            raise OutOfStep
        self.count = page.count
        if page.count > self._most:
            return None, self.unlisted(page.epoch, page.seq)
        for member in page.members:
            self._pages[member.user_id] = _attendee(member)
            self._known_at[member.user_id] = page.seq
        return (page.next, []) if page.next is not None else (None, self._complete())

    def diff(self, diff: PresenceDiff) -> list[PresenceEvent]:
        """A diff came: what has changed. Raises `OutOfStep`."""
        if self._pages is not None:
            self._held.append(diff)
            if len(self._held) > DIFFS_HELD:
                raise OutOfStep
            return []
        if diff.epoch < self._epoch or (diff.epoch == self._epoch and diff.seq <= self._seq):
            return []  # a zombie's, or known
        too_large = diff.truncated or diff.count > self._most
        following = diff.epoch == self._epoch and diff.seq == self._seq + 1
        if too_large and (following or not self.listed):
            self.count = diff.count
            return self.unlisted(diff.epoch, diff.seq)
        if not (following and self.listed):  # a gap, or a room that is small enough again
            raise OutOfStep
        self._seq, self.count = diff.seq, diff.count
        return self._apply(diff)

    def unlisted(self, epoch: int, seq: int) -> list[PresenceEvent]:
        """The room is too large to be listed: names are given up, the count stays."""
        self._pages = None
        self._in_step, self._epoch, self._seq = True, epoch, seq
        self.listed = False
        self.members = {}
        return [CountChanged(self.count)]

    def _complete(self) -> list[PresenceEvent]:
        assert self._pages is not None
        before, self.members = self.members, self._pages
        self._pages, self.listed, self._in_step = None, True, True
        self._seq = self._first_seq
        held, self._held = self._held, []
        try:
            for diff in held:
                self.diff(diff)
        except OutOfStep:
            self.members = before  # what was told until now is still what is known
            raise
        return difference(before, self.members) if self.listed else [CountChanged(self.count)]

    def _apply(self, diff: PresenceDiff) -> list[PresenceEvent]:
        events: list[PresenceEvent] = []
        for change in diff.leaves:
            if self._is_news(change.user_id, diff.seq):
                gone = self.members.pop(change.user_id, None)
                if gone is not None:
                    events.append(MemberLeft(gone, change.at))
        news = [change for change in (*diff.joins, *diff.updates) if self._is_news(change.user_id, diff.seq)]
        return [*events, *(self._changed(change) for change in news)]

    def _changed(self, change: Change) -> PresenceEvent:
        known = self.members.get(change.user_id)
        member = Attendee(change.user_id, change.at, change.name, change.metadata, known.role if known else None)
        self.members[change.user_id] = member
        return MemberJoined(member) if known is None else MemberUpdated(member)

    def _is_news(self, user_id: str, seq: int) -> bool:
        return seq > self._known_at.get(user_id, -1)


def difference(before: dict[str, Attendee], after: dict[str, Attendee]) -> list[PresenceEvent]:
    """What somebody who knew `before` must be told to know `after`."""
    gone = [MemberLeft(member) for user_id, member in before.items() if user_id not in after]
    come = [MemberJoined(member) for user_id, member in after.items() if user_id not in before]
    changed = [
        MemberUpdated(member)
        for user_id, member in after.items()
        if (known := before.get(user_id)) is not None and _told(known) != _told(member)
    ]
    return [*gone, *come, *changed]


def _told(member: Attendee) -> tuple[int, str | None, dict[str, Any] | None]:
    return member.joined_at, member.name, member.metadata


def _attendee(member: Member) -> Attendee:
    return Attendee(member.user_id, member.joined_at, member.name, member.metadata, member.role)
