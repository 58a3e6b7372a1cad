"""What other systems told: one row a fact, however often, in whatever order and by whatever message it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors.machines.rows import InteractionRow, Rows
from actors.ports import Checkpoint, Fence, StoreAway, StoreRefused
from protocol.events_in import ClassOver, ExamOffered, ExamTaken, QuizAnswered, QuizOffered
from storage.classfacts import (
    ClassFacts,
    End,
    Facts,
    InteractionFact,
    PostgresClassFacts,
    SegmentFact,
    Written,
    _write_segments,
)
from storage.memory import Memory
from storage.memory_classfacts import MemoryClassFacts
from storage.memory_rows import MemoryReading
from storage.reading import Reading
from tests.support.examples import T0, snapshot
from tests.support.stores import MemoryStore, Node, PostgresStore, Store

KEPT = 5
HOUR = 3_600_000


def class_over(live_class_id: str = "15", **changes: Any) -> ClassOver:
    said = ClassOver(
        live_class_id,
        *("7", "70", "3", "4", "k12"),
        *(T0, T0 + HOUR, 3600.0, 1800.5),
        *(1, 2, 3, 4, 5, 6),
        is_required=None,
    )
    return msgspec.structs.replace(said, **changes)


def quiz(quiz_id: str = "9", **changes: Any) -> QuizOffered:
    said = QuizOffered(
        quiz_id, "15", "live_class", "7", "70", "3", "4", "k12", "mcq", 1, 30.0, 2.5, T0, is_required=None
    )
    return msgspec.structs.replace(said, **changes)


def exam(exam_id: str = "5", **changes: Any) -> ExamOffered:
    said = ExamOffered(
        exam_id, "assignment", "3", "7", "70", "3", "4", "k12", T0, T0 + HOUR, 3600.0, 10, 20.0, is_required=None
    )
    return msgspec.structs.replace(said, **changes)


def exam_taken(user_id: str = "27", **changes: Any) -> ExamTaken:
    catalog = ("7", "70", "3", "4", "k12")
    said = ExamTaken("5", user_id, T0, *catalog, "assignment", 600.0, 10, 8, 10, -1.5, T0 + HOUR, 9, 1)
    return msgspec.structs.replace(said, **changes)


def answer(user_id: str = "27", **changes: Any) -> QuizAnswered:
    said = QuizAnswered(user_id, "9", "15", "7", "70", "3", "4", "k12", "mcq", True, T0, "2", 3.5)  # noqa: FBT003
    return msgspec.structs.replace(said, **changes)


def segment(session_id: str = "amqp-1", number: int = 1, **changes: Any) -> SegmentFact:
    said = SegmentFact(session_id, number, "27", "15", T0, T0 + 9_000, 0, 9_000, clocked=True)
    return msgspec.structs.replace(said, **changes)


def nothing_else(kind: type[Any], **said: Any) -> Any:
    """An event of which only this was said."""
    return kind(**dict.fromkeys(kind.__struct_fields__) | said)


@pytest.fixture
async def facts(store: Store) -> ClassFacts:
    """One node that writes what it is told."""
    return await another(store)


async def another(store: Store) -> ClassFacts:
    if isinstance(store, MemoryStore):
        return MemoryClassFacts(store.memory, kept_messages=KEPT)
    assert isinstance(store, PostgresStore)
    return PostgresClassFacts(await store.database(), kept_messages=KEPT)


async def interactions(store: Store) -> dict[tuple[str, ...], tuple[int, bool]]:
    """Key -> when, and whether it has a value."""
    if isinstance(store, MemoryStore):
        rows = store.memory.rows.interactions.items()
        return {key: (row.at, row.value is not None) for key, row in rows}
    assert isinstance(store, PostgresStore)
    connection = await store.connection()
    found = await connection.fetch(
        "SELECT room_id, user_id, kind, id, floor(extract(epoch FROM at) * 1000)::bigint, value IS NOT NULL"
        "  FROM interactions"
    )
    return {tuple(record)[:4]: tuple(record)[4:] for record in found}


# -- one fact -----------------------------------------------------------------------------------------------------


async def test_what_is_written_is_read(facts: ClassFacts):
    await facts.write(
        Facts(
            classes=[(class_over(is_required=False), T0)],
            quizzes=[(quiz(), T0), (quiz("10", at=T0 - 1), None), (quiz("11", identification_type="video"), T0)],
            exams=[(exam(), T0)],
            exam_sessions=[(exam_taken(), T0)],
            responses=[(answer(), T0)],
        )
    )

    assert await facts.class_over("15") == class_over(is_required=False)
    assert await facts.quizzes_of("15") == [quiz("10", at=T0 - 1, is_required=True), quiz(is_required=True)]
    assert await facts.exam("5") == exam(is_required=True)
    assert await facts.exam_sessions_of("27", T0, T0 + 2 * HOUR) == [exam_taken()]
    assert await facts.responses_of("27", T0, T0 + 1) == [answer()]


async def test_what_nobody_told_is_none(facts: ClassFacts):
    assert await facts.class_over("15") is None
    assert await facts.exam("5") is None
    assert await facts.quizzes_of("15") == []


async def test_optional_fields_may_all_be_missing(facts: ClassFacts):
    over = nothing_else(ClassOver, live_class_id="15", end_at=T0)
    taken = nothing_else(ExamTaken, exam_id="5", user_id="27", end_at=T0)
    await facts.write(Facts(classes=[(over, None)], exam_sessions=[(taken, None)]))

    assert await facts.class_over("15") == msgspec.structs.replace(over, is_required=True)
    assert await facts.exam_sessions_of("27", T0, T0 + 1) == [taken]


async def test_a_stretch_of_time_is_half_open(facts: ClassFacts):
    answers = [answer(quiz_id=str(number), at=T0 + number) for number in range(4)]
    await facts.write(Facts(responses=[(each, None) for each in answers]))

    assert await facts.responses_of("27", T0 + 1, T0 + 3) == answers[1:3]
    assert await facts.responses_of("28", T0, T0 + 9) == []


# -- told more than once ------------------------------------------------------------------------------------------


async def test_the_later_message_decides(facts: ClassFacts):
    for told_at, comments in ((T0, 1), (T0 + 2, 3), (T0 + 1, 2)):
        await facts.write(Facts(classes=[(class_over(total_comments=comments), told_at)]))

    found = await facts.class_over("15")
    assert found is not None
    assert found.total_comments == 3


async def test_without_times_the_first_message_decides(facts: ClassFacts):
    for marks in (1.0, 2.0):
        await facts.write(Facts(quizzes=[(quiz(total_marks=marks), None)]))

    assert await facts.quizzes_of("15") == [quiz(total_marks=1.0, is_required=True)]


async def test_a_message_with_a_time_is_later_than_one_without(facts: ClassFacts):
    await facts.write(Facts(exams=[(exam(day="1"), None)]))
    await facts.write(Facts(exams=[(exam(day="2"), T0)]))
    await facts.write(Facts(exams=[(exam(day="3"), None)]))

    assert await facts.exam("5") == exam(day="2", is_required=True)


@pytest.mark.parametrize("together", [True, False])
async def test_silence_about_being_required_overwrites_nothing(facts: ClassFacts, *, together: bool):
    told: list[tuple[ClassOver, int | None]] = [
        (class_over(is_required=False), T0),
        (class_over(total_poll=9), T0 + 1),
    ]
    for batch in [told] if together else [[each] for each in told]:
        await facts.write(Facts(classes=batch))

    assert await facts.class_over("15") == class_over(total_poll=9, is_required=False)


async def test_the_last_word_on_being_required_counts_even_if_it_says_nothing_else_new(facts: ClassFacts):
    await facts.write(Facts(quizzes=[(quiz(), T0 + 9)]))
    await facts.write(Facts(quizzes=[(quiz(total_marks=1.0, is_required=False), T0 + 1)]))
    await facts.write(Facts(quizzes=[(quiz(is_required=True), T0)]))

    assert await facts.quizzes_of("15") == [quiz(is_required=False)]


async def test_the_latest_answer_counts_whatever_message_came_last(facts: ClassFacts):
    await facts.write(Facts(responses=[(answer(at=T0 + 5, is_correct=False), T0)]))
    await facts.write(Facts(responses=[(answer(at=T0 + 1), T0 + 9)]))

    assert await facts.responses_of("27", T0, T0 + 9) == [answer(at=T0 + 5, is_correct=False)]


async def test_an_exam_may_be_taken_twice(facts: ClassFacts):
    taken = [exam_taken(), exam_taken(start_at=T0 + 1), exam_taken(start_at=None)]
    for _ in range(2):
        await facts.write(Facts(exam_sessions=[(each, None) for each in taken]))

    assert await facts.exam_sessions_of("27", T0, T0 + 2 * HOUR) == taken


# -- segments -----------------------------------------------------------------------------------------------------


async def test_a_segment_is_among_what_the_learner_watched(facts: ClassFacts, node: Node):
    written = await facts.write(Facts(segments=[(segment(), None)]))

    (row,) = await node.reading.segments_of("15", "27")
    assert written.segments == {("amqp-1", 1): (T0, T0 + 9_000)}
    assert (row.session_id, row.kind, row.content_id, row.open) == ("amqp-1", None, None, False)
    assert (row.segment.number, row.segment.start_at, row.segment.end_at) == (1, T0, T0 + 9_000)
    assert (row.segment.start_position, row.segment.end_position) == (0, 9_000)
    assert (row.segment.mean_rate, row.segment.visible_share, row.segment.verified) == (1.0, 1.0, True)


async def test_without_a_clock_the_first_reception_is_kept(facts: ClassFacts, node: Node):
    for late in (5_000, 0, 5_000):
        moved = segment(clocked=False, start_at=T0 + late, end_at=T0 + late + 9_000)
        written = await facts.write(Facts(segments=[(moved, T0 + late)]))

        assert written.segments == {("amqp-1", 1): (T0 + 5_000, T0 + 14_000)}
    assert len(await node.reading.segments_of("15", "27")) == 1


async def test_with_a_clock_the_later_message_decides(facts: ClassFacts, node: Node):
    for told_at, end_at in ((T0 + 1, T0 + 20_000), (T0, T0 + 30_000), (None, T0 + 40_000)):
        written = await facts.write(Facts(segments=[(segment(end_at=end_at), told_at)]))

        assert written.segments == {("amqp-1", 1): (T0, T0 + 20_000)}
    (row,) = await node.reading.segments_of("15", "27")
    assert row.segment.wall_ms == row.segment.visible_ms == 20_000


async def test_two_nodes_at_once_keep_one_segment(postgres: PostgresStore):
    first, second = (segment(clocked=False, start_at=T0 + late, end_at=T0 + late + 9_000) for late in (0, 1))
    other = await another(postgres)
    database = await postgres.database()

    async with database.transaction() as connection:
        await _write_segments(connection, [(first, None)])
        writing = asyncio.create_task(other.write(Facts(segments=[(second, None)])))
        await postgres.until_waiting()

    assert (await writing).segments == {first.key: (T0, T0 + 9_000)}
    assert len(await (await postgres.node()).reading.segments_of("15", "27")) == 1


# -- interactions -------------------------------------------------------------------------------------------------


async def test_an_interaction_is_one_however_it_is_told(facts: ClassFacts, store: Store):
    told = InteractionFact("15", "27", "doubt_asked", "d1", T0)
    nobody = InteractionFact("15", "", "poll_offered", "p1", T0)
    for at, told_at in ((T0, T0), (T0 + 2, T0 + 2), (T0 + 1, T0 + 1), (T0 + 9, None)):
        moved = [(msgspec.structs.replace(each, at=at), told_at) for each in (told, nobody)]
        await facts.write(Facts(interactions=moved))

    assert await interactions(store) == {
        ("15", "27", "doubt_asked", "d1"): (T0 + 2, False),
        ("15", "", "poll_offered", "p1"): (T0 + 2, False),
    }


@pytest.mark.parametrize("player_first", [True, False])
async def test_what_a_player_said_is_the_better_account(
    facts: ClassFacts, node: Node, store: Store, *, player_first: bool
):
    async def player() -> None:
        mine = Fence("node-1", await node.leases.acquire("node-1", "a", [0], 60, force=True))
        row = InteractionRow("15", "27", "doubt_asked", "d1", b'"why"', T0)
        await node.snapshots.save(mine, [Checkpoint(snapshot("a1"), Rows(interactions=[row]))])

    if player_first:
        await player()
    await facts.write(Facts(interactions=[(InteractionFact("15", "27", "doubt_asked", "d1", T0 + 5), T0 + 5)]))
    if not player_first:
        await player()

    assert await interactions(store) == {("15", "27", "doubt_asked", "d1"): (T0, True)}


# -- ends and messages --------------------------------------------------------------------------------------------


async def test_an_end_is_to_be_told_until_the_room_has_it(facts: ClassFacts):
    end = End("15", T0, T0 + HOUR)
    for _ in range(2):
        written = await facts.write(Facts(classes=[(class_over(), T0)]))
        assert written == Written({"15": end}, {})

    await facts.settle(["m1"], [end])

    assert (await facts.write(Facts(classes=[(class_over(total_poll=9), T0 + 1)]))).ends == {}
    assert await facts.known(["m1", "m2"]) == {"m1"}


async def test_a_corrected_end_is_to_be_told_again(facts: ClassFacts):
    await facts.write(Facts(classes=[(class_over(), T0)]))
    await facts.settle([], [End("15", T0, T0 + HOUR)])
    corrected = End("15", None, T0 + 2 * HOUR)

    written = await facts.write(Facts(classes=[(class_over(start_at=None, end_at=T0 + 2 * HOUR), T0 + 1)]))
    await facts.settle([], [End("15", T0, T0 + HOUR)])  # the answer of the end before comes late

    assert written.ends == {"15": corrected}
    assert (await facts.write(Facts(classes=[(class_over(), T0)]))).ends == {"15": corrected}
    await facts.settle([], [corrected])
    assert (await facts.write(Facts(classes=[(class_over(), T0)]))).ends == {}


async def test_a_message_is_known_with_its_facts(facts: ClassFacts):
    assert await facts.known([]) == frozenset()
    assert await facts.known(["m1"]) == frozenset()

    for _ in range(2):
        await facts.write(Facts(quizzes=[(quiz(), None)], message_ids=["m1", "m1", "m2"]))

    assert await facts.known(["m1", "m2", "m3"]) == {"m1", "m2"}


async def test_a_batch_that_is_refused_leaves_nothing(facts: ClassFacts):
    with pytest.raises(StoreRefused):
        await facts.write(Facts(quizzes=[(quiz(), None), (quiz("10", platform="\0"), None)], message_ids=["m1"]))

    assert await facts.quizzes_of("15") == []
    assert await facts.known(["m1"]) == frozenset()


async def test_the_oldest_messages_are_forgotten_beyond_the_bound(facts: ClassFacts):
    ids = [f"m{number}" for number in range(KEPT + 3)]
    for each in ids:
        await facts.write(Facts(message_ids=[each]))

    assert await facts.trim() == 3
    assert await facts.known(ids) == frozenset(ids[3:])
    assert await facts.trim() == 0


async def test_messages_are_forgotten_after_their_time(store: Store):
    if isinstance(store, PostgresStore):
        facts: ClassFacts = PostgresClassFacts(await store.database(), kept_s=-1)
    else:
        assert isinstance(store, MemoryStore)
        facts = MemoryClassFacts(store.memory, kept_s=-1)
    await facts.write(Facts(message_ids=["m1"]))

    assert await facts.trim() == 1
    assert await facts.known(["m1"]) == frozenset()


async def test_a_store_that_is_away_says_so(postgres: PostgresStore):
    database = await postgres.database()
    facts = PostgresClassFacts(database)
    await database.close()

    with pytest.raises(StoreAway):
        await facts.write(Facts(message_ids=["m1"]))
    with pytest.raises(StoreAway):
        await facts.known(["m1"])


async def test_more_than_a_statement_takes_is_written_too(facts: ClassFacts):
    await facts.write(Facts(responses=[(answer(quiz_id=str(each), at=T0 + each), None) for each in range(2_500)]))

    assert len(await facts.responses_of("27", T0, T0 + 9_999)) == 2_500


# -- order --------------------------------------------------------------------------------------------------------

# Two tellings of one fact at one instant have no order: message times are drawn once each.
TOLD = st.lists(st.integers(T0, T0 + 10_000), min_size=12, max_size=12, unique=True)


def told_facts(draw: random.Random, told: Sequence[int]) -> list[tuple[str, Any, int]]:
    """Facts of few keys with much to disagree about: (field of `Facts`, fact, told_at)."""
    made: list[tuple[str, Any, int]] = []
    for told_at in told:
        key, length, said = draw.choice("12"), draw.randrange(1, 4) * 1000, draw.choice([None, True, False])
        fact: tuple[str, Any] = draw.choice(
            [
                ("classes", class_over(key, end_at=T0 + length, total_poll=length, is_required=said)),
                ("quizzes", quiz(key, total_marks=float(length), is_required=said)),
                ("exams", exam(key, day=str(length), is_required=said)),
                ("exam_sessions", exam_taken(key, total_score=float(length), start_at=draw.choice([None, T0]))),
                ("responses", answer(key, at=T0 + length, is_correct=draw.random() < 0.5)),
                ("interactions", InteractionFact("15", key, "comment", "c1", T0 + length)),
                ("segments", segment(number=int(key), end_at=T0 + length)),
            ]
        )
        made.append((*fact, told_at))
    return made


def in_batches(told: Sequence[tuple[str, Any, int | None]], draw: random.Random) -> list[Facts]:
    cuts = sorted({0, len(told), *(draw.randrange(len(told) + 1) for _ in range(3))})
    batches = []
    for begin, end in pairwise(cuts):
        batch = Facts()
        for field, fact, told_at in told[begin:end]:
            setattr(batch, field, [*getattr(batch, field), (fact, told_at)])
        batches.append(batch)
    return batches


async def seen(facts: ClassFacts, reading: Reading) -> list[Any]:
    return [
        *[await facts.class_over(key) for key in "12"],
        *[await facts.exam(key) for key in "12"],
        *[await facts.responses_of(key, 0, 2 * T0) for key in "12"],
        *[await facts.exam_sessions_of(key, 0, 2 * T0) for key in "12"],
        await facts.quizzes_of("15"),
        await reading.segments_of("15", "27"),
    ]


async def _after(batches: Sequence[Facts]) -> tuple[list[Any], dict[Any, Any]]:
    memory = Memory()
    facts = MemoryClassFacts(memory)
    for batch in batches:
        await facts.write(batch)
    rows = memory.rows.interactions
    return await seen(facts, MemoryReading(memory)), {key: row.at for key, row in rows.items()}


@given(told=TOLD, seed=st.integers(0, 2**32))
def test_whatever_the_order_the_tables_are_the_same(told: list[int], seed: int):
    draw = random.Random(seed)
    made = told_facts(draw, told)
    another_order = draw.sample(made, len(made)) + draw.sample(made, 3)

    first = asyncio.run(_after(in_batches(made, draw)))

    assert asyncio.run(_after(in_batches(another_order, draw))) == first


def without_clocks(told: Sequence[tuple[str, Any, int]], draw: random.Random) -> list[tuple[str, Any, int | None]]:
    """The same from messages without a time, and segments without a clock, here and there: then the order counts."""
    return [
        (
            field,
            msgspec.structs.replace(fact, number=fact.number + 2, clocked=False, start_at=T0 - draw.randrange(99))
            if field == "segments" and draw.random() < 0.5
            else fact,
            None if draw.random() < 0.3 else told_at,
        )
        for field, fact, told_at in told
    ]


async def test_postgresql_and_memory_agree(postgres: PostgresStore):
    node, connection = await postgres.node(), await postgres.connection()
    facts = await another(postgres)
    for seed in range(40):
        draw = random.Random(seed)
        made = without_clocks(told_facts(draw, draw.sample(range(T0, T0 + 99), 12)), draw)
        batches = in_batches(draw.sample(made, len(made)), draw)
        await connection.execute(
            "TRUNCATE classes, quizzes, exams, exam_sessions, quiz_responses, interactions, study_logs"
        )

        for batch in batches:
            await facts.write(batch)

        rows, said = await _after(batches)
        assert await seen(facts, node.reading) == rows, seed
        assert {key: at for key, (at, _) in (await interactions(postgres)).items()} == said, seed
