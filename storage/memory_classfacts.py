"""`ClassFacts` in memory: the tables as dictionaries, under the rules of the statements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.machines.rows import InteractionRow, SegmentRow
from actors.machines.track import Segment
from protocol.events_in import LIVE_CLASS, ClassOver, ExamOffered, ExamTaken, QuizAnswered, QuizOffered
from storage import classfacts
from storage.classfacts import E, End, Facts, Rank, SegmentFact, SegmentKey, Span, Told, Values, Written
from storage.memory_rows import check_text

if TYPE_CHECKING:
    from storage.memory import Memory

_EARLIEST: Final = float("-inf")

Table = dict[Values, Values]
"""Key -> the columns of the statement, `told_at` last."""


class FactTables:
    """The tables. `required` holds who said last whether something is required: (value, when)."""

    def __init__(self) -> None:
        self.classes: Table = {}
        self.quizzes: Table = {}
        self.exams: Table = {}
        self.exam_sessions: Table = {}
        self.responses: Table = {}
        self.required: dict[tuple[str, Values], tuple[bool, float]] = {}
        self.ends_told: dict[str, End] = {}
        self.interactions_told: dict[tuple[str, str, str, str], float] = {}
        self.segments_told: dict[SegmentKey, float] = {}
        self.messages: dict[str, float] = {}
        """Id -> when it was taken in, oldest first."""


class MemoryClassFacts:
    """`ClassFacts`."""

    def __init__(
        self,
        memory: Memory,
        *,
        kept_messages: int = classfacts.KEPT_MESSAGES,
        kept_s: float = classfacts.KEPT_S,
    ) -> None:
        self._memory = memory
        self._tables = memory.facts
        self._kept_messages = kept_messages
        self._kept_s = kept_s

    async def known(self, message_ids: Collection[str]) -> frozenset[str]:
        async with self._memory.faults.call():
            return frozenset(each for each in message_ids if each in self._tables.messages)

    async def write(self, facts: Facts) -> Written:
        _check(facts)
        tables = self._tables
        async with self._memory.faults.call():
            self._write_required("classes", tables.classes, 1, facts.classes)
            self._write_required("quizzes", tables.quizzes, 2, facts.quizzes)
            self._write_required("exams", tables.exams, 1, facts.exams)
            _write(tables.exam_sessions, 3, classfacts.rows_of(facts.exam_sessions))
            _write(tables.responses, 3, classfacts.rows_of(facts.responses), classfacts.answer_rank)
            self._write_interactions(facts)
            segments = {fact.key: self._write_segment(fact, told_at) for fact, told_at in facts.segments}
            self._write_messages(facts.message_ids)
            return Written(self._ends_untold({fact.live_class_id for fact, _ in facts.classes}), segments)

    def _write_required(self, name: str, table: Table, key_columns: int, facts: Iterable[Told[Any]]) -> None:
        rows = classfacts.rows_of(facts)
        _write(table, key_columns, rows)
        for row in classfacts.required_rows(rows, key_columns):
            identity = (name, row[:key_columns])
            known = self._tables.required.get(identity)
            if known is None or classfacts.told_rank(row) > known[1]:
                self._tables.required[identity] = (row[-2], classfacts.told_rank(row))

    def _write_interactions(self, facts: Facts) -> None:
        rows, told = self._memory.rows.interactions, self._tables.interactions_told
        for fact, told_at in facts.interactions:
            key = (fact.room_id, fact.user_id, fact.kind, fact.id)
            known = rows.get(key)
            later = (_EARLIEST if told_at is None else told_at) > told.get(key, _EARLIEST)
            if known is None or (later and known.value is None):
                rows[key] = InteractionRow(*key, None, fact.at)
                told[key] = _EARLIEST if told_at is None else told_at

    def _write_segment(self, fact: SegmentFact, told_at: int | None) -> Span:
        rows, told = self._memory.rows.segments, self._tables.segments_told
        known = rows.get(fact.key)
        rank = _EARLIEST if told_at is None else told_at
        if known is not None and not (fact.clocked and rank > told.get(fact.key, _EARLIEST)):
            return known.segment.start_at, known.segment.end_at
        wall = fact.end_at - fact.start_at
        segment = Segment(
            number=fact.number,
            start_at=fact.start_at,
            end_at=fact.end_at,
            start_position=fact.playhead_start,
            end_position=fact.playhead_end,
            rate_ms=wall,
            visible_ms=wall,
            rate=1.0,
            verified=True,
        )
        rows[fact.key] = SegmentRow(fact.session_id, fact.user_id, None, None, fact.room_id, segment, open=False)
        told[fact.key] = rank
        return fact.start_at, fact.end_at

    def _ends_untold(self, live_class_ids: Iterable[str]) -> dict[str, End]:
        ends = {each: self._end(each) for each in live_class_ids}
        untold = {each: end for each, end in ends.items() if self._tables.ends_told.get(each) != end}
        for each in untold:
            self._tables.ends_told.pop(each, None)
        return untold

    def _end(self, live_class_id: str) -> End:
        found = ClassOver(*self._tables.classes[live_class_id,][:-1])
        return End(live_class_id, found.start_at, found.end_at)

    def _write_messages(self, message_ids: Iterable[str]) -> None:
        for each in message_ids:
            self._tables.messages.setdefault(each, self._memory.clock())

    async def settle(self, message_ids: Collection[str], ends: Collection[End]) -> None:
        async with self._memory.faults.call():
            self._tables.ends_told.update(
                {end.live_class_id: end for end in ends if self._end(end.live_class_id) == end}
            )
            self._write_messages(message_ids)

    async def trim(self) -> int:
        messages = self._tables.messages
        async with self._memory.faults.call():
            oldest = list(messages)[: classfacts.TRIM_ROWS]
            too_many = set(oldest[: max(0, len(messages) - self._kept_messages)])
            since = self._memory.clock() - self._kept_s * 1000
            gone = [each for each in oldest if each in too_many or messages[each] < since]
            for each in gone:
                del messages[each]
            return len(gone)

    async def class_over(self, live_class_id: str) -> ClassOver | None:
        async with self._memory.faults.call():
            return self._read("classes", self._tables.classes, (live_class_id,), ClassOver)

    async def quizzes_of(self, live_class_id: str) -> Sequence[QuizOffered]:
        async with self._memory.faults.call():
            keys = [key for key in self._tables.quizzes if key[1] == live_class_id]
            found = [self._read("quizzes", self._tables.quizzes, key, QuizOffered) for key in keys]
            quizzes = [each for each in found if each is not None and each.identification_type == LIVE_CLASS]
            return sorted(quizzes, key=lambda each: (each.at, each.quiz_id))

    async def exam(self, exam_id: str) -> ExamOffered | None:
        async with self._memory.faults.call():
            return self._read("exams", self._tables.exams, (exam_id,), ExamOffered)

    def _read(self, name: str, table: Table, key: Values, make: Callable[..., E]) -> E | None:
        row = table.get(key)
        return None if row is None else make(*row[:-2], self._tables.required.get((name, key), (True,))[0])

    async def responses_of(self, user_id: str, since: int, until: int) -> Sequence[QuizAnswered]:
        async with self._memory.faults.call():
            found = [QuizAnswered(*row[:-1]) for key, row in self._tables.responses.items() if key[0] == user_id]
            mine = [each for each in found if since <= each.at < until]
            return sorted(mine, key=lambda each: (each.at, each.quiz_id, each.identification_id))

    async def exam_sessions_of(self, user_id: str, since: int, until: int) -> Sequence[ExamTaken]:
        async with self._memory.faults.call():
            found = [ExamTaken(*row[:-1]) for key, row in self._tables.exam_sessions.items() if key[1] == user_id]
            mine = [each for each in found if since <= each.end_at < until]
            return sorted(mine, key=lambda each: (each.end_at, each.exam_id, each.start_at is None, each.start_at or 0))


def _write(table: Table, key_columns: int, rows: Iterable[Values], rank: Rank = classfacts.told_rank) -> None:
    for row in rows:
        known = table.get(row[:key_columns])
        if known is None or rank(row) > rank(known):
            table[row[:key_columns]] = row


def _check(facts: Facts) -> None:
    told: tuple[list[Told[Any]], ...] = (
        facts.classes,
        facts.quizzes,
        facts.exams,
        facts.exam_sessions,
        facts.responses,
        facts.interactions,
        facts.segments,
    )
    for row in (row for each in told for row in classfacts.rows_of(each)):
        for value in row:
            if isinstance(value, str):
                check_text(value)
    for message_id in facts.message_ids:
        check_text(message_id)
