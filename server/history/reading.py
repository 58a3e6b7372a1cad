"""Lines of history into chunks that are written as a whole: 10,000 lines, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, cast

import msgspec

from actors.history import Stay, natural_number
from protocol import catalog
from protocol.events_in import (
    ClassOver,
    ExamOffered,
    ExamTaken,
    InteractionTold,
    QuizAnswered,
    QuizOffered,
    SegmentSeen,
)
from protocol.history import Attended, BadLine, Line, Played, Presence, read_line, unix_ms
from protocol.types import canonical_id
from server.feeds import meaning
from storage.amqp.ports import Delivery
from storage.history import Chunk, Piece, Told

CHUNK_LINES: Final = 10_000
SESSION_PREFIX: Final = "import-"
ATTENDANCE: Final = "attendance"
"""Source of presence of which only the sum was known."""
AHEAD_MS: Final = 60_000


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a line; `field` is empty for the whole line."""

    line: int
    field: str
    message: str


class Read(msgspec.Struct):
    """Up to 10,000 lines, the first of them `first`. Written only where nothing is wrong."""

    first: int
    lines: int = 0
    facts: int = 0
    chunk: Chunk = msgspec.field(default_factory=Chunk)
    problems: list[Problem] = []
    session_lines: dict[str, int] = {}
    """By session, the first line that names it."""


def chunks(lines: Iterable[bytes], now: Callable[[], int], size: int = CHUNK_LINES) -> Iterator[Read]:
    """The lines in chunks; empty lines are passed over and counted."""
    stream, first = iter(lines), 1
    while True:
        batch = list(islice(stream, size))
        if not batch:
            return
        yield read_chunk(batch, first, now())
        first += len(batch)


def read_chunk(batch: list[bytes], first: int, now: int) -> Read:
    """One chunk; every line is read, whatever is wrong with others."""
    found = Read(first, len(batch))
    for number, data in enumerate(batch, first):
        line = data.strip()
        if not line:
            continue
        found.facts += 1
        try:
            _take(found, read_line(line), number, now)
        except BadLine as error:
            found.problems.append(Problem(number, error.field, error.message))
    return found


def _take(read: Read, line: Line, number: int, now: int) -> None:
    # By type, here and in `protocol.history`: `isinstance` asks a struct's metaclass, which is ten times as slow.
    take = _TAKE.get(type(line))
    if take is not None:
        take(read, line, number, now)
    else:
        read.chunk.entities.append(cast("catalog.Entity", line))


# -- forms of their own -----------------------------------------------------------------------------------------------


def _take_presence(read: Read, line: Presence, number: int, now: int) -> None:  # noqa: ARG001 - one signature
    room_id, user_id = canonical_id(line.live_class_id), canonical_id(line.user_id)
    start, end = unix_ms(line.joined_at), unix_ms(line.left_at)
    _past(end, "left_at", now)
    stay = Stay(room_id, user_id, start, end, line.source, line.device_id, line.name, line.role, line.disconnect_reason)
    read.chunk.stays.append(stay)


def _take_attended(read: Read, line: Attended, number: int, now: int) -> None:  # noqa: ARG001
    room_id, user_id = canonical_id(line.live_class_id), canonical_id(line.user_id)
    start = unix_ms(line.first_join)
    end = start + round(line.presence_seconds * 1000)
    _past(end, "presence_seconds", now)
    read.chunk.stays.append(Stay(room_id, user_id, start, end, ATTENDANCE, "", line.name, line.role))
    told = Told(
        room_id, user_id, line.role, line.name, round(line.talk_seconds * 1000), line.hand_raises, line.polls_answered
    )
    read.chunk.told.append(told)


def _take_played(read: Read, line: Played, number: int, now: int) -> None:
    start, end = unix_ms(line.start_timestamp), unix_ms(line.end_timestamp)
    _past(end, "end_timestamp", now)
    head, tail = round(line.playhead_start_at * 1000), round(line.playhead_end_at * 1000)
    user_id = canonical_id(line.user_id)
    room_id = None if line.live_class_id is None else canonical_id(line.live_class_id)
    content_id = None if line.content_id is None else canonical_id(line.content_id)
    session_id = line.session_id
    if session_id is None:
        day = datetime.fromtimestamp(start // 1000, UTC).date()
        session_id = _session(user_id, room_id, line.content_kind, content_id, line.device_id, day)
    wall = end - start
    rate = line.rate if line.rate is not None else (round((tail - head) / wall, 4) if wall else 1.0)
    piece = Piece(
        session_id,
        1 + natural_number(start, head),
        user_id,
        line.content_kind,
        content_id,
        room_id,
        start,
        end,
        head,
        tail,
        rate,
        rate * wall,
        round(wall * line.visible_share),
        line.offline,
    )
    _add_piece(read, piece, line.device_id, number)
    if room_id is not None:
        read.chunk.stays.append(Stay(room_id, user_id, start, end, "import", line.device_id))


def _add_piece(read: Read, piece: Piece, device_id: str, number: int) -> None:
    read.chunk.pieces.append(piece)
    read.chunk.devices.setdefault(piece.session_id, device_id)
    read.session_lines.setdefault(piece.session_id, number)


def _session(*key: object) -> str:
    whole = "\0".join("" if part is None else str(part) for part in key)
    return SESSION_PREFIX + blake2b(whole.encode(), digest_size=16).hexdigest()


def _past(end: int, field: str, now: int) -> None:
    if end > now + AHEAD_MS:
        raise BadLine(field, "still to come")


# -- events of other systems ------------------------------------------------------------------------------------------


def _take_seen(read: Read, line: SegmentSeen, number: int, now: int) -> None:
    if line.start_at is None:
        raise BadLine("data.payload.start_timestamp", "missing: history has no time of reception to go by")
    fact = meaning.segment_of(line, Delivery(b"", "", "", None, None, now))
    _past(fact.end_at, "data.payload.end_timestamp", now)
    wall = fact.end_at - fact.start_at
    piece = Piece(
        fact.session_id,
        fact.number,
        fact.user_id,
        None,
        None,
        fact.room_id,
        fact.start_at,
        fact.end_at,
        fact.playhead_start,
        fact.playhead_end,
        1.0,
        float(wall),
        wall,
        offline=False,
    )
    _add_piece(read, piece, "", number)
    read.chunk.stays.append(Stay(fact.room_id, fact.user_id, fact.start_at, fact.end_at, "amqp", ""))


def _take_interaction(read: Read, line: InteractionTold, number: int, now: int) -> None:  # noqa: ARG001
    read.chunk.facts.interactions.append((meaning.interaction_of(line, Delivery(b"", "", "", None, None, now)), None))


def _as_is(table: Callable[[Chunk], list[Any]]) -> Callable[[Read, Any, int, int], None]:
    def take(read: Read, line: Any, number: int, now: int) -> None:  # noqa: ANN401, ARG001 - one of several structs
        table(read.chunk).append((line, None))

    return take


_TAKE: Final[dict[type, Callable[[Read, Any, int, int], None]]] = {
    Presence: _take_presence,
    Attended: _take_attended,
    Played: _take_played,
    SegmentSeen: _take_seen,
    InteractionTold: _take_interaction,
    ClassOver: _as_is(lambda chunk: chunk.facts.classes),
    QuizOffered: _as_is(lambda chunk: chunk.facts.quizzes),
    ExamOffered: _as_is(lambda chunk: chunk.facts.exams),
    ExamTaken: _as_is(lambda chunk: chunk.facts.exam_sessions),
    QuizAnswered: _as_is(lambda chunk: chunk.facts.responses),
}
