"""What the statements of one session prove (video-engagement.md, "xAPI"). Pure; times Unix ms, playheads ms.

    any statement tells `played-segments`    these alone prove, exactly as told
    none does                                what lies between two statements by the rules of `machines/track.py`

Players tell what they have played so far, so a later telling mostly holds an earlier one: of tellings of which one lies
wholly within another, and is no longer, that other one stands. The same statements prove the same in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.machines import ranges
from actors.machines.clock import ClientClock
from actors.machines.track import PAUSED, PLAYING, SEEKING, Track
from protocol.xapi import profile
from protocol.xapi.statements import Heard

SEGMENTS_MAX: Final = 4_096
"""Of a session. Beyond it the union is kept: coverage stays exact, what was played twice counts once."""
NO_SILENCE: Final = 2**60
"""Heartbeat interval of players that send none: between two verbs nothing is expected."""


class Proof(msgspec.Struct, frozen=True, gc=False):
    """A segment; `at` is when it was first told."""

    at: int
    from_ms: int
    to_ms: int
    verified: bool = True


class Proven(msgspec.Struct, frozen=True, gc=False):
    """A session. `length` None: nobody has told it. `progress`: the client's own claim, the last one."""

    started_at: int
    last_at: int
    ended_at: int | None
    statements: int
    position: int
    length: int | None
    proofs: list[Proof]
    content_ms: int
    covered_ms: int
    progress: float | None

    @property
    def share(self) -> float:
        """Covered / length, 0..1, floored to 3 decimals; 0 while the length is unknown."""
        return min(1000, self.covered_ms * 1000 // self.length) / 1000 if self.length else 0.0


def prove(told: Sequence[tuple[str, Heard]], length: int | None) -> Proven:
    """`told`: the session's statements with their ids, at least one; `length`: the catalog's, else the first heard."""
    heard = [each for _, each in sorted(told, key=lambda one: (one[1].at, one[0]))]
    length = length or next((each.length for each in heard if each.length), None)
    tells = any(each.played is not None for each in heard)
    proofs = _told(heard) if tells else _between(heard)
    counted = [(_within(one.from_ms, length), _within(one.to_ms, length)) for one in proofs if one.verified]
    covered: list[int] = []
    for start, end in counted:
        ranges.add(covered, start, end, len(counted))
    last_at = heard[-1].at
    return Proven(
        started_at=heard[0].at,
        last_at=last_at,
        ended_at=last_at if any(each.verb == profile.TERMINATED for each in heard) else None,
        statements=len(heard),
        position=_position(heard),
        length=length,
        proofs=proofs,
        content_ms=sum(end - start for start, end in counted),
        covered_ms=ranges.length(covered),
        progress=next((each.progress for each in reversed(heard) if each.progress is not None), None),
    )


def _within(position: int, length: int | None) -> int:
    return position if length is None else min(position, length)


def _position(heard: Sequence[Heard]) -> int:
    """Where the playhead stood last, as far as it was told."""
    for each in reversed(heard):
        where = each.seek_to if each.seek_to is not None else each.position
        if where is not None:
            return where
        if each.played:
            return each.played[-1]
    return 0


# -- segments that were told ------------------------------------------------------------------------------------------


class _Telling(msgspec.Struct, gc=False):
    at: int
    played: list[int]
    union: list[int]
    total: int
    covered: int


def _told(heard: Sequence[Heard]) -> list[Proof]:
    tellings: dict[tuple[int, ...], _Telling] = {}
    first: dict[tuple[int, int, int], int] = {}
    for each in heard:
        key = tuple(each.played or ())
        if key and key not in tellings:
            tellings[key] = _telling(each.at, list(key))
            for part in _numbered(key):
                first.setdefault(part, each.at)
    standing = _standing(list(tellings.values()))
    if sum(len(one.played) for one in standing) > 2 * SEGMENTS_MAX:
        return _united(standing)
    found = [(first[part], order, part) for order, one in enumerate(standing) for part in _numbered(tuple(one.played))]
    # By when each was told first, and otherwise as told: sorting keeps the order of equals.
    return [Proof(at, part[0], part[1]) for at, _, part in sorted(found, key=lambda each: each[:2])]


def _telling(at: int, played: list[int]) -> _Telling:
    union: list[int] = []
    for start, end in ranges.pairs(played):
        ranges.add(union, start, end, len(played))
    return _Telling(at, played, union, ranges.length(played), ranges.length(union))


def _numbered(played: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Each part with the how-manieth of its kind it is: what was played twice is told twice."""
    seen: dict[tuple[int, int], int] = {}
    made: list[tuple[int, int, int]] = []
    for pair in zip(played[::2], played[1::2], strict=True):
        seen[pair] = seen.get(pair, 0) + 1
        made.append((*pair, seen[pair]))
    return made


def _standing(tellings: list[_Telling]) -> list[_Telling]:
    """Those that lie in no other, in the order of time."""
    standing: list[_Telling] = []
    for one in sorted(tellings, key=lambda one: (-one.total, -one.covered)):
        if not any(_lies_in(one.union, other.union) for other in standing):
            standing.append(one)
    return sorted(standing, key=lambda one: one.at)


def _lies_in(inner: list[int], outer: list[int]) -> bool:
    if inner[0] < outer[0] or inner[-1] > outer[-1]:
        return False
    return all(ranges.covers(outer, start, end) for start, end in ranges.pairs(inner))


def _united(standing: Sequence[_Telling]) -> list[Proof]:
    """Each millisecond once, in pieces that never touch, with the time at which something of it was told first."""
    union: list[int] = []
    for one in standing:
        for start, end in ranges.pairs(one.union):
            ranges.add(union, start, end, SEGMENTS_MAX)
    at = standing[-1].at
    return [Proof(at, start, end) for start, end in ranges.pairs(union)]


# -- what lies between verbs ------------------------------------------------------------------------------------------


def _between(heard: Sequence[Heard]) -> list[Proof]:
    track = Track(NO_SILENCE, ClientClock())
    for each in heard:
        _take(track, each)
    track.close()
    return [Proof(one.end_at, one.start_position, one.end_position, one.verified) for one in track.closed]


def _take(track: Track, heard: Heard) -> None:
    rate = heard.rate or track.rate
    if heard.verb == profile.SEEKED:
        # Without `time-from` nothing is known of the time before: it earns nothing.
        before = track.position if heard.seek_from is None else heard.seek_from
        after = heard.seek_to if heard.seek_to is not None else heard.position
        state = track.state
        track.receive(before, SEEKING, rate, None, heard.at)
        track.receive(before if after is None else after, state, rate, None, heard.at)
    elif heard.position is not None:
        state = {profile.PLAYED: PLAYING, profile.INTERACTED: track.state}.get(heard.verb, PAUSED)
        track.receive(heard.position, state, rate, None, heard.at)
