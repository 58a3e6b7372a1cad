"""A history as a server would have written it: checkpoints that overtake, repeat and grow."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from actors.machines.rows import Rows, SegmentRow, SessionRow
from actors.machines.track import Segment
from actors.ports import WATCH, Checkpoint, Fence, Snapshot, SnapshotStore
from tests.figures.engagement_spec import History, Piece, Visit, playheads, size

PARTITION: Final = 0


def session_row(visit: Visit) -> SessionRow:
    """As the machine would tell it; `coverage` and `completed` are of the client's D and nothing is read from them."""
    credited = visit.credited
    return SessionRow(
        session_id=visit.session_id,
        user_id=visit.user_id,
        kind=visit.video[0],
        content_id=visit.video[1],
        room_id=None,
        device_id="d1",
        door="http",
        started_at=visit.started_at,
        ended_at=visit.ended_at,
        last_sample_at=visit.last_sample_at,
        last_seq=0 if visit.last_sample_at is None else len(visit.pieces) + 1,
        first_seq_at=visit.started_at,
        position=visit.position,
        duration=visit.told,
        watch_ms=sum(each.end_at - each.start_at for each in credited),
        content_ms=sum(each.end - each.start for each in credited),
        covered_ms=size(playheads(credited), 0, visit.told),
        coverage=0.0,
        completed=False,
    )


def segment_row(visit: Visit, piece: Piece, *, is_open: bool = False) -> SegmentRow:
    wall = piece.end_at - piece.start_at
    played = Segment(
        piece.number, piece.start_at, piece.end_at, piece.start, piece.end, float(wall), wall, 1.0, piece.verified
    )
    return SegmentRow(visit.session_id, visit.user_id, *visit.video, None, played, open=is_open)


def _part(visit: Visit, pieces: tuple[Piece, ...]) -> Visit:
    """The session as it stood when it had come so far."""
    last = pieces[-1].end_at if pieces else None
    position = pieces[-1].end if pieces else 0
    return Visit(
        visit.session_id, visit.user_id, visit.video, visit.started_at, None, last, position, visit.told, pieces
    )


def stages(visit: Visit, random: Random) -> list[Rows]:
    """Checkpoints of one session in their order: segments half grown and whole, some skipped; the last is the end."""
    found: list[Rows] = []
    waiting: list[SegmentRow] = []
    for index, piece in enumerate(visit.pieces):
        before = visit.pieces[:index]
        half = Piece(
            piece.number,
            piece.start_at,
            (piece.start_at + piece.end_at) // 2,
            piece.start,
            (piece.start + piece.end) // 2,
            piece.verified,
        )
        if random.random() < 0.5:
            part = _part(visit, (*before, half))
            found.append(
                Rows(sessions=[session_row(part)], segments=[*waiting, segment_row(visit, half, is_open=True)])
            )
            waiting = []
        waiting.append(segment_row(visit, piece))
        if random.random() < 0.5:
            found.append(Rows(sessions=[session_row(_part(visit, (*before, piece)))], segments=waiting))
            waiting = []
    is_open = visit.ended_at is None
    last = [msgspec.structs.replace(each, open=is_open and number == 1) for number, each in enumerate(waiting[::-1], 1)]
    return [*found, Rows(sessions=[session_row(visit)], segments=last[::-1])]


def checkpoints(history: History, random: Random) -> list[list[Checkpoint]]:
    """Saves of several sessions at once, in a random order that keeps each session's own.

    Some are given twice, and some once more after newer ones: those are to be passed over. A session that has ended
    leaves no snapshot, so nothing older comes after its end.
    """
    left = [
        [
            Checkpoint(
                Snapshot(WATCH, visit.session_id, PARTITION, number, _body(visit, rows), None),
                rows,
            )
            for number, rows in enumerate(stages(visit, random), 1)
        ]
        for visit in history.visits
    ]
    saves: list[list[Checkpoint]] = []
    while left := [each for each in left if each]:
        chosen = random.sample(left, random.randint(1, len(left)))
        saves.append([each.pop(0) for each in chosen])
        if random.random() < 0.3:
            saves.append(saves[-1])
        stale = [each for save in saves[:-1] for each in save if each.snapshot.body is not None]
        over = {each.snapshot.key for save in saves for each in save if each.snapshot.body is None}
        stale = [each for each in stale if each.snapshot.key not in over]
        if stale and random.random() < 0.3:
            saves.append([random.choice(stale)])
    return saves


def _body(visit: Visit, rows: Rows) -> bytes | None:
    over = visit.ended_at is not None and rows.sessions[0].ended_at is not None
    return None if over else b"\x01"


async def write(store: SnapshotStore, fence: Fence, history: History, random: Random) -> None:
    """Save all of it."""
    for save in checkpoints(history, random):
        await store.save(fence, save)
