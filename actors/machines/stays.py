"""Stays: presence that a conference server tells of (plugnmeet.md, readings 3 to 7 and 13).

A stay is one participant of one conference session. Messages about it come in any order, late, twice or never, so a
stay keeps what it was told and its end is worked out anew whenever one of these changes:

    end = the first of    what ended this participant: the earliest `left`, else the last poll that saw them
                          the end of their session
                          where no `left` came: the next participant of the same identity in that session
                          the end of the class
    else open

A stay that a message ended for another reason than leaving on purpose reaches on by the reconnect grace: where the
learner is present again within it, from whatever source, the gap was presence.

All times are Unix milliseconds.
"""

from __future__ import annotations

from typing import Final

import msgspec

PLUGNMEET: Final = "plugnmeet"
ON_PURPOSE: Final = frozenset({"CLIENT_INITIATED", "PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"})
STAYS_MAX: Final = 2_000
"""Stays of one learner in one class; one more is not taken in (`places.py`)."""
NATIVE: Final = "-native"
"""A phone's screen is shared by a twin of its participant: the same person, under a participant sid of its own."""

HOLDS: Final = 0
FREE: Final = -1


class Stay(msgspec.Struct, array_like=True):
    """One participant of one session. What follows `reason` is worked out, except for the row's keys."""

    sid: str
    identity: str
    joined_at: int
    seen_at: int
    """Latest proof: they joined, a track was switched, a poll saw them."""
    left_at: int | None = None
    missed_at: int | None = None
    """The latest poll that did not see them."""
    reason: str | None = None
    telephone: bool = False
    join_told: bool = True
    """Otherwise only its end was told, and it is empty."""
    number: int = 0
    """Key of its row; a stay whose beginning moves gets another."""
    dirty: bool = True
    row_end: int = -1
    """Where its row ended when it was last written."""
    end: int | None = None
    reach: int = 0
    """Up to when a return makes the gap presence; not behind `end` where none does."""
    counts: bool = True
    """Its session lies in the class's time."""
    until: int = FREE
    """Whether it holds the member present now: `HOLDS` without limit, `FREE` not, else until then."""

    def begun(self, at: int | None) -> int:
        """When it began, with what is told now: the earliest join; where none was told, its end."""
        if at is not None:
            return min(at, self.joined_at) if self.join_told else at
        return self.joined_at if self.join_told or self.left_at is None else self.left_at

    @property
    def own_end(self) -> int | None:
        """What ended this participant alone: they left, or a poll missed them; then it was when they were seen last."""
        return self.left_at if self.left_at is not None or not self.missed else max(self.joined_at, self.seen_at)

    @property
    def missed(self) -> bool:
        """Whether a poll did not see them, and nothing has since."""
        return self.missed_at is not None and self.seen_at < self.missed_at

    def settle(self, others: list[int | None], grace_ms: int, *, counts: bool) -> bool:
        """Work the end out; `others` are the ends that its surroundings give. Returns whether anything changed."""
        own = self.own_end
        ends = [end for end in (own, *others) if end is not None]
        end = max(self.joined_at, min(ends)) if ends else None
        gap_counts = own is not None and own == min(ends) and self.reason not in ON_PURPOSE
        reach = 0 if end is None else end + grace_ms if gap_counts else end
        if (end, reach, counts) == (self.end, self.reach, self.counts):
            return False
        self.end, self.reach, self.counts = end, reach, counts
        self.dirty = True
        return True

    def hold(self, now: int, *, open_class: bool) -> None:
        """Work out whether it holds the member present."""
        if not self.counts or not open_class:
            self.until = FREE
        elif self.end is None:
            self.until = HOLDS
        else:
            self.until = self.reach if self.reach > max(now, self.end) else FREE

    def until_when(self, now: int) -> int:
        """Its end, or `now` while it is open; 0 as `now` asks for what is proven."""
        return self.end if self.end is not None else max(self.joined_at, self.seen_at, now)


def lapse(left_at: int, until: int, number: int) -> Stay:
    """A dropped stream that did not come back: a return until `until`, told late by another source, makes presence."""
    return Stay("", "", left_at, left_at, left_at, number=number, end=left_at, reach=until)


def back_at(end: int, reach: int, starts: list[int]) -> int:
    """Up to when presence goes on that ended at `end`: the return in time, or `end` itself."""
    return min((start for start in starts if end < start <= reach), default=end)


def supersede(stays: list[Stay]) -> list[int | None]:
    """For each stay whose `left` was lost, when the same identity came anew in the same session (reading 7)."""
    nexts: list[int | None] = []
    for stay in stays:
        if stay.left_at is not None:
            nexts.append(None)
            continue
        later = [
            other.joined_at
            for other in stays
            if other is not stay
            and (other.sid, other.identity) == (stay.sid, stay.identity)
            and other.joined_at > stay.joined_at
        ]
        nexts.append(min(later, default=None))
    return nexts


def base_identity(identity: str) -> str:
    """The person behind a participant."""
    return identity.removesuffix(NATIVE) or identity
