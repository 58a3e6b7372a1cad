"""Memory and store as one: what an actor holds wins over what a checkpoint wrote. Pure.

Memory is read first. A checkpoint in between then shows the same segment twice, under the same number; read the other
way round it could show it not at all. Stored segments that memory had not begun yet belong to a later moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

import msgspec

from actors.machines import ranges
from actors.machines.room import Room
from actors.machines.rows import SegmentRow, SessionRow
from actors.machines.track import Segment
from actors.machines.watch import WatchSession, WatchState, session_row
from protocol.rest import ContentAnswer, SegmentAnswer, SessionAnswer, rfc3339
from storage.xapi_rows import DOOR


class Known(msgspec.Struct, frozen=True):
    """A session as an actor holds it: its figures so far, and the segments that the store need not have."""

    row: SessionRow
    segments: list[Segment]
    newest: int
    """The highest number that the store may have as it stands: what it has beyond is of another moment."""


def of_watch(watch: WatchSession, threshold: float) -> Known | None:
    """A watch session; None before it is opened."""
    state = watch.state
    return None if state is None else _known(session_row(watch.session_id, state, None, threshold), state)


def of_room(room: Room, session_id: str) -> Known | None:
    """A session of a room; None once it is over and written."""
    state = room.state.sessions.get(session_id)
    return None if state is None else _known(room.session_row(session_id, state), state)


def of_learner(room: Room, user_id: str) -> list[Known]:
    """All sessions of a learner that the room holds."""
    return [
        _known(room.session_row(session_id, state), state)
        for session_id, state in room.state.sessions.items()
        if state.user_id == user_id
    ]


def _known(row: SessionRow, state: WatchState) -> Known:
    growing = state.track.open_copy()
    # What the store has of segments that were worked out anew is out of date until the next checkpoint.
    redone = 0 if state.window is None else state.window.redone_from
    newest = redone - 1 if redone else state.track.number
    return Known(row, [*state.track.closed, growing] if growing else state.track.closed.copy(), newest)


def stands(known: Known | None, number: int) -> bool:
    """Whether a stored segment of this number may be told; one that memory holds as well is told from there."""
    return known is None or number <= known.newest


def segments(known: Known | None, stored: Iterable[Segment]) -> list[Segment]:
    """A session's segments in the order of wall-clock time."""
    numbered = {segment.number: segment for segment in stored if stands(known, segment.number)}
    if known is not None:
        numbered.update((segment.number, segment) for segment in known.segments)
    return sorted(numbered.values(), key=lambda segment: (segment.start_at, segment.number))


def of_class(known: Iterable[Known], stored: Iterable[SegmentRow]) -> list[Segment]:
    """The segments of all sessions of a learner in a class, in the order of wall-clock time."""
    sessions = {one.row.session_id: one for one in known}
    by_session: dict[str, list[Segment]] = {session_id: [] for session_id in sessions}
    for row in stored:
        by_session.setdefault(row.session_id, []).append(row.segment)
    merged = [
        (segment.start_at, session_id, segment.number, segment)
        for session_id, those in by_session.items()
        for segment in segments(sessions.get(session_id), those)
    ]
    return [entry[3] for entry in sorted(merged, key=lambda entry: entry[:3])]


def answer(row: SessionRow, merged: list[Segment], threshold: float) -> SessionAnswer:
    """The session with its figures made of its segments; what is not verified counts in none."""
    counted = [segment for segment in merged if segment.verified]
    covered = _covered_ms(counted, row.duration)
    content = None if row.kind is None or row.content_id is None else ContentAnswer(row.kind, row.content_id)
    return SessionAnswer(
        session_id=row.session_id,
        user_id=row.user_id,
        content=content,
        room=row.room_id,
        started_at=rfc3339(row.started_at) or "",
        ended_at=rfc3339(row.ended_at),
        last_seq=row.last_seq,
        position=row.position / 1000,
        duration=None if row.duration is None else row.duration / 1000,
        watch_seconds=sum(segment.wall_ms for segment in counted) / 1000,
        content_seconds=sum(segment.content_ms for segment in counted) / 1000,
        covered_seconds=covered / 1000,
        coverage=_share(covered, row),
        completed=bool(row.duration) and covered >= threshold * (row.duration or 0),
        segments=[_segment(segment) for segment in merged],
    )


def _share(covered: int, row: SessionRow) -> float | None:
    """None where other systems told the session (xAPI) and nobody told how long the content is."""
    if not row.duration:
        return None if row.door == DOOR else 0.0
    return floor(min(1.0, covered / row.duration) * 1000) / 1000


def _covered_ms(counted: list[Segment], duration: int | None) -> int:
    covered: list[int] = []
    for segment in counted:
        ranges.add(covered, segment.start_position, segment.end_position, len(counted))
    return ranges.length_within(covered, 0, duration) if duration else ranges.length(covered)


def _segment(segment: Segment) -> SegmentAnswer:
    return SegmentAnswer(
        start_timestamp=rfc3339(segment.start_at) or "",
        end_timestamp=rfc3339(segment.end_at) or "",
        playhead_start_at=segment.start_position / 1000,
        playhead_end_at=segment.end_position / 1000,
        duration=segment.content_ms / 1000,
        rate=segment.mean_rate,
        visible_share=segment.visible_share,
        offline=segment.offline,
        verified=segment.verified,
    )
