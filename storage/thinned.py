"""Sessions whose segments are no longer kept (ROLLCALL_RETENTION_DAYS): what their figures are made of instead.

A session's own row stays, and so does the learner's coverage. Out of these come stand-ins for the segments that went:

    one for each session, of its watch time, without content, where its playhead stood at last
    one for each stretch of coverage that no kept segment holds, without watch time, in the earliest such session

So views, watch time, coverage, completion and the furthest playhead stay. What was watched again does not: only the
segments told it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.figures.watched import Credited, Sitting
from actors.machines import ranges
from storage.postgres import Connection
from storage.sql import statements

Pair = tuple[str, str, str]


class Thinned(msgspec.Struct):
    """Of one learner on one content: the watch time that segments told, by session; and what was covered."""

    missing_ms: dict[str, int]
    coverage: list[tuple[int, int]]


NOTHING_GONE: Final = Thinned({}, [])


async def thinned(connection: Connection, pairs: Sequence[Pair]) -> dict[Pair, Thinned]:
    """Those of whom segments are gone. Raises the driver's errors."""
    columns = list(zip(*pairs, strict=True))
    found: dict[Pair, Thinned] = {}
    for row in await connection.fetch(statements()["engagement_thinned"], *columns):
        pieces: list[Any] = row["coverage"] or []
        coverage = [(piece.lower, piece.upper) for piece in pieces]
        one = found.setdefault((row["kind"], row["content_id"], row["user_id"]), Thinned({}, coverage))
        one.missing_ms[row["session_id"]] = row["missing_ms"]
    return found


def stand_ins(gone: Thinned, sittings: Sequence[Sitting], kept: Sequence[Credited]) -> list[Credited]:
    """For the segments that are gone, beside those that are kept."""
    mine = sorted((one for one in sittings if one.session_id in gone.missing_ms), key=lambda one: one.started_at)
    made: list[Credited] = []
    for one in mine:
        until = one.started_at + gone.missing_ms[one.session_id]
        made.append(Credited(one.session_id, 0, one.started_at, until, one.position, one.position))
    if mine:
        first = mine[0]
        at = first.started_at
        made += [Credited(first.session_id, -1, at, at, low, high) for low, high in _without(gone.coverage, kept)]
    return made


def _without(coverage: Sequence[tuple[int, int]], kept: Sequence[Credited]) -> list[tuple[int, int]]:
    """Coverage, less what kept segments hold."""
    held: list[int] = []
    for one in kept:
        ranges.add(held, one.from_ms, one.to_ms, len(kept))
    made: list[tuple[int, int]] = []
    for low, high in coverage:
        begin = low
        for start, end in ranges.pairs(held):
            if end > begin and start < high:
                if start > begin:
                    made.append((begin, start))
                begin = end
        if begin < high:
            made.append((begin, high))
    return made
