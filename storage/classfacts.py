"""What other systems told of classes, quizzes, exams and learners: written in batches, each in one transaction.

One fact is one row, whatever it is told by. Of two tellings the one with the later message time stays; without a time
the first (events.md, more readings 4). So the order in which facts come changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

import msgspec

from protocol.events_in import LIVE_CLASS, ClassOver, ExamOffered, ExamTaken, QuizAnswered, QuizOffered
from storage.postgres import Connection, Database
from storage.sql import statements

BATCH_ROWS: Final = 1_000
KEPT_S: Final = 14 * 24 * 3600
KEPT_MESSAGES: Final = 2_000_000
"""Some 300 MB with its indexes: hours of the busiest day."""
TRIM_ROWS: Final = 5_000
"""At most so many at a time; more than come in between two trims."""

Values = tuple[Any, ...]
E = TypeVar("E", bound=msgspec.Struct)
Told = tuple[E, int | None]
"""A fact, and the time of the message that told it: Unix ms, None where it had none."""
Span = tuple[int, int]
"""Unix ms."""
SegmentKey = tuple[str, int]
"""`session_id` and `number` of a row of `study_logs`."""


class InteractionFact(msgspec.Struct, frozen=True):
    """A row of `interactions`; `user_id` is empty where it is nobody's."""

    room_id: str
    user_id: str
    kind: str
    id: str
    at: int


class SegmentFact(msgspec.Struct, frozen=True):
    """A row of `study_logs` that another system saw. Playheads ms.

    `clocked`: the message said when it began, and the key has that in it. Otherwise the first reception stays.
    """

    session_id: str
    number: int
    user_id: str
    room_id: str
    start_at: int
    end_at: int
    playhead_start: int
    playhead_end: int
    clocked: bool

    @property
    def key(self) -> SegmentKey:
        """Under which it is stored once."""
        return self.session_id, self.number


class End(msgspec.Struct, frozen=True):
    """When a class was, as it is stored."""

    live_class_id: str
    start_at: int | None
    end_at: int


class Facts(msgspec.Struct):
    """One batch, and the ids of the messages that told it and need nothing else."""

    classes: list[Told[ClassOver]] = []
    quizzes: list[Told[QuizOffered]] = []
    exams: list[Told[ExamOffered]] = []
    exam_sessions: list[Told[ExamTaken]] = []
    responses: list[Told[QuizAnswered]] = []
    interactions: list[Told[InteractionFact]] = []
    segments: list[Told[SegmentFact]] = []
    message_ids: list[str] = []


class Written(msgspec.Struct, frozen=True):
    """What rooms are to be told now.

    `ends`: of the batch's classes, those whose end their room has not taken in. `segments`: when each segment of the
    batch was, as it is stored.
    """

    ends: dict[str, End]
    segments: dict[SegmentKey, Span]


class ClassFacts(Protocol):
    """Raises StoreAway, StoreRefused (then nothing of the batch is written)."""

    async def known(self, message_ids: Collection[str]) -> frozenset[str]:
        """Those that were taken in before."""
        ...

    async def write(self, facts: Facts) -> Written:
        """Write a batch, all or nothing; writing it again changes nothing."""
        ...

    async def settle(self, message_ids: Collection[str], ends: Collection[End]) -> None:
        """The rooms have what they were told: these messages are taken in, these ends are known to them."""
        ...

    async def trim(self) -> int:
        """Forget message ids that are 14 days old or too many; returns how many."""
        ...

    async def class_over(self, live_class_id: str) -> ClassOver | None:
        """The figures of a class, where somebody told its end."""
        ...

    async def quizzes_of(self, live_class_id: str) -> Sequence[QuizOffered]:
        """The quizzes offered in a class, in the order of time."""
        ...

    async def exam(self, exam_id: str) -> ExamOffered | None:
        """An exam, where it was offered."""
        ...

    async def responses_of(self, user_id: str, since: int, until: int) -> Sequence[QuizAnswered]:
        """A learner's answers in [since, until), in the order of time."""
        ...

    async def exam_sessions_of(self, user_id: str, since: int, until: int) -> Sequence[ExamTaken]:
        """The exams that a learner finished in [since, until), in the order of time."""
        ...


# -- one of several tellings ------------------------------------------------------------------------------------------

Rank = Callable[[Values], Any]
"""Orders the tellings of one fact: the highest stays, the first among equals."""


def told_rank(row: Values) -> float:
    """By the message's time, which stands last."""
    return float("-inf") if row[-1] is None else row[-1]


def answer_rank(row: Values) -> tuple[int, float]:
    """The latest answer counts (events.md, "Readings")."""
    return row[10], told_rank(row)


def clocked_rank(row: Values) -> float:
    """Of a segment without a clock the first reception stays."""
    return told_rank(row) if row[9] else 0.0


def one_each(rows: Iterable[Values], key_columns: int, rank: Rank = told_rank) -> list[Values]:
    """One row a key: the one that would be there had they been written one after another. Ordered by key."""
    best: dict[Values, Values] = {}
    for row in rows:
        key = row[:key_columns]
        other = best.setdefault(key, row)
        if other is not row and rank(row) > rank(other):
            best[key] = row
    # Two writers that take rows in one order cannot wait for each other. A key may hold None: as text they compare.
    return [best[key] for key in sorted(best, key=repr)]


def rows_of(facts: Iterable[Told[Any]]) -> list[Values]:
    """Facts in the order of their statement's columns."""
    return [(*msgspec.structs.astuple(fact), told_at) for fact, told_at in facts]


def required_rows(rows: Iterable[Values], key_columns: int) -> list[Values]:
    """Who says whether it is required at all: key, `is_required`, `told_at`; one a key."""
    return one_each(((*row[:key_columns], *row[-2:]) for row in rows if row[-2] is not None), key_columns)


def segment_rows(facts: Iterable[Told[SegmentFact]]) -> list[Values]:
    """As `save_told_segments` wants them."""
    return [
        (
            fact.session_id,
            fact.number,
            fact.user_id,
            fact.room_id,
            fact.start_at,
            fact.end_at,
            fact.playhead_start,
            fact.playhead_end,
            fact.end_at - fact.start_at,
            fact.clocked,
            told_at,
        )
        for fact, told_at in facts
    ]


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


class PostgresClassFacts:
    """`ClassFacts` in PostgreSQL."""

    def __init__(self, database: Database, *, kept_messages: int = KEPT_MESSAGES, kept_s: float = KEPT_S) -> None:
        self._database = database
        self._kept_messages = kept_messages
        self._kept_s = kept_s

    async def known(self, message_ids: Collection[str]) -> frozenset[str]:
        if not message_ids:
            return frozenset()
        return frozenset(map(itemgetter(0), await self._database.fetch("known_messages", list(message_ids))))

    async def write(self, facts: Facts) -> Written:
        async with self._database.transaction() as connection:
            return await write_facts(connection, facts)

    async def settle(self, message_ids: Collection[str], ends: Collection[End]) -> None:
        async with self._database.transaction() as connection:
            rows = sorted((end.live_class_id, end.start_at, end.end_at) for end in ends)
            await _write(connection, "mark_ends_told", rows)
            await _write_messages(connection, message_ids)

    async def trim(self) -> int:
        return len(await self._database.fetch("trim_messages", self._kept_s, self._kept_messages, TRIM_ROWS))

    async def class_over(self, live_class_id: str) -> ClassOver | None:
        record = await self._database.fetchrow("class_over", live_class_id)
        return None if record is None else ClassOver(*record)

    async def quizzes_of(self, live_class_id: str) -> Sequence[QuizOffered]:
        found = await self._database.fetch("quizzes_of", live_class_id, LIVE_CLASS)
        return [QuizOffered(*record) for record in found]

    async def exam(self, exam_id: str) -> ExamOffered | None:
        record = await self._database.fetchrow("exam", exam_id)
        return None if record is None else ExamOffered(*record)

    async def responses_of(self, user_id: str, since: int, until: int) -> Sequence[QuizAnswered]:
        found = await self._database.fetch("responses_of", user_id, since, until)
        return [QuizAnswered(*record) for record in found]

    async def exam_sessions_of(self, user_id: str, since: int, until: int) -> Sequence[ExamTaken]:
        found = await self._database.fetch("exam_sessions_of", user_id, since, until)
        return [ExamTaken(*record) for record in found]


async def write_facts(connection: Connection, facts: Facts) -> Written:
    """Write a batch within a transaction. Raises the driver's errors."""
    await _write(connection, "save_classes", one_each(classes := rows_of(facts.classes), 1))
    await _write(connection, "require_classes", required_rows(classes, 1))
    await _write(connection, "save_quizzes", one_each(quizzes := rows_of(facts.quizzes), 2))
    await _write(connection, "require_quizzes", required_rows(quizzes, 2))
    await _write(connection, "save_exams", one_each(exams := rows_of(facts.exams), 1))
    await _write(connection, "require_exams", required_rows(exams, 1))
    await _write(connection, "save_exam_sessions", one_each(rows_of(facts.exam_sessions), 3))
    await _write(connection, "save_quiz_responses", one_each(rows_of(facts.responses), 3, answer_rank))
    await _write(connection, "save_told_interactions", one_each(rows_of(facts.interactions), 4))
    segments = await _write_segments(connection, facts.segments)
    ends = await _ends_untold(connection, sorted({fact.live_class_id for fact, _ in facts.classes}))
    await _write_messages(connection, facts.message_ids)
    return Written(ends, segments)


async def _write(connection: Connection, name: str, rows: Sequence[Values]) -> None:
    for start in range(0, len(rows), BATCH_ROWS):
        await connection.execute(statements()[name], *zip(*rows[start : start + BATCH_ROWS], strict=True))


async def _write_segments(connection: Connection, facts: Sequence[Told[SegmentFact]]) -> dict[SegmentKey, Span]:
    if not facts:
        return {}
    rows = one_each(segment_rows(facts), 2, clocked_rank)
    if not all(row[9] for row in rows):
        await connection.execute(statements()["lock_told_segments"])
    stored: dict[SegmentKey, Span] = {}
    for start in range(0, len(rows), BATCH_ROWS):
        columns = zip(*rows[start : start + BATCH_ROWS], strict=True)
        found = await connection.fetch(statements()["save_told_segments"], *columns)
        stored.update({(record[0], record[1]): (record[2], record[3]) for record in found})
    missing = [key for row in rows if (key := (row[0], row[1])) not in stored]
    if missing:
        found = await connection.fetch(statements()["told_segments"], *zip(*missing, strict=True))
        stored.update({(record[0], record[1]): (record[2], record[3]) for record in found})
    return stored


async def _ends_untold(connection: Connection, live_class_ids: Sequence[str]) -> dict[str, End]:
    if not live_class_ids:
        return {}
    found = await connection.fetch(statements()["ends_untold"], live_class_ids)
    return {record[0]: End(*record) for record in found}


async def _write_messages(connection: Connection, message_ids: Collection[str]) -> None:
    if message_ids:
        await connection.execute(statements()["save_messages"], sorted(set(message_ids)))
