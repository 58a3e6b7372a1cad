"""Rows of the sessions that statements prove, out of all that is kept of each. Pure: large ones take a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from actors.figures.xapi import Proof, Proven, prove
from actors.machines.rows import SessionRow
from protocol.xapi.statements import Heard, Statement
from storage.engaging import Pair

DOOR: Final = "xapi"
BATCH_ROWS: Final = 500

Key = tuple[str, str]
Values = tuple[Any, ...]
pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(Heard).decode


class Session(msgspec.Struct):
    """A session of a client, and the watch sessions that are worked out for it."""

    key: str
    user_id: str
    kind: str
    content_id: str
    news: list[Statement]
    session_id: str = ""
    count: int = 0
    was_there: bool = False
    named: bool = False
    """The content is one that the catalog gave this name: a video, whatever the statements say."""
    touched: list[str] = []


class Made(msgspec.Struct):
    """Rows in the order of their keys, as the statements want them."""

    sessions: list[Values]
    segments: list[Values]
    pairs: set[Pair]
    former: list[tuple[list[str], list[Values]]] = []
    """Of sessions that may have segments already, a piece at a time: which, and what stays."""


def prove_all(
    told: Mapping[str, Sequence[tuple[str, bytes]]],
    owners: Mapping[str, Session],
    lengths: Mapping[Key, int | None],
    threshold: float,
) -> Made:
    """Of sessions that are about a video at all."""
    made = Made([], [], set())
    for session_id in sorted(told):
        heard = [(name, _unpack(body)) for name, body in told[session_id]]
        one = owners[session_id]
        if one.named or any(each.marked for _, each in heard):
            proven = prove(heard, lengths.get((one.kind, one.content_id)))
            made.sessions.append(_session_row(session_id, one, proven, threshold))
            segments = [_segment_row(session_id, one, number, each) for number, each in enumerate(proven.proofs, 1)]
            made.segments += segments
            made.pairs.add((one.kind, one.content_id, one.user_id))
            if one.was_there:
                _note_former(made, session_id, [(row[0], row[1], row[6]) for row in segments])
    return made


def _note_former(made: Made, session_id: str, stays: list[Values]) -> None:
    if not made.former or len(made.former[-1][1]) >= BATCH_ROWS or len(made.former[-1][0]) >= BATCH_ROWS:
        made.former.append(([], []))
    made.former[-1][0].append(session_id)
    made.former[-1][1].extend(stays)


def _session_row(session_id: str, one: Session, made: Proven, threshold: float) -> Values:
    return astuple(
        SessionRow(
            session_id=session_id,
            user_id=one.user_id,
            kind=one.kind,
            content_id=one.content_id,
            room_id=None,
            device_id="",
            door=DOOR,
            started_at=made.started_at,
            ended_at=made.ended_at,
            last_sample_at=made.last_at,
            last_seq=made.statements,
            first_seq_at=None,
            position=made.position,
            duration=made.length,
            watch_ms=0,
            content_ms=made.content_ms,
            covered_ms=made.covered_ms,
            coverage=made.share,
            completed=bool(made.length) and made.covered_ms >= threshold * (made.length or 0),
        )
    )


def _segment_row(session_id: str, one: Session, number: int, made: Proof) -> Values:
    """Without wall time: when it was told says nothing of how long it was watched."""
    what = (session_id, number, one.user_id, one.kind, one.content_id, None, made.at, made.at, made.from_ms, made.to_ms)
    rate, visible_ms, offline, is_open = 1.0, 0, False, False
    return (*what, rate, 0.0, visible_ms, made.verified, offline, is_open)
