"""Events of other systems become facts and rooms: durable before they are answered for, once, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from actors.directory import NotOwned
from actors.machines.events import Finished, Started, Tick
from actors.ports import StoreAway, StoreRefused
from actors.system import Rules
from protocol.events import EVENT_NAMES
from server.feeds import intake, rooms
from server.feeds.intake import Feeds
from storage.amqp.ports import Delivery, Outcome
from storage.classfacts import Facts, PostgresClassFacts, Written
from storage.memory_classfacts import MemoryClassFacts
from storage.memory_rows import MemoryReading
from storage.postgres import Database
from storage.reading import PostgresReading
from tests.support.events import SENT, TEN, delivery, sample
from tests.support.node import Node, until
from tests.support.stores import PostgresStore

HOUR = 3_600_000
LEAVE = "live_class_user_leave"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node() as node:
        yield node


@pytest.fixture
def feeds(node: Node) -> Feeds:
    return Feeds(node.system, MemoryClassFacts(node.memory))


def told(name: str, message_id: str | None = None, *, sent_at: int | None = SENT, **changes: Any) -> Delivery:
    return delivery(sample(name, **changes), message_id, sent_at=sent_at)


async def take(feeds: Feeds, *batch: Delivery) -> list[str]:
    return [outcome.result for outcome in await feeds.take(batch)]


async def presences(node: Node, user_id: str = "27") -> list[int]:
    member = (await node.room("15")).room.state.members.get(user_id)
    return [] if member is None else list(member.presences(node.now))


async def segments(node: Node) -> list[tuple[int, int]]:
    rows = await MemoryReading(node.memory).segments_of("15", "27")
    return [(row.segment.start_at, row.segment.end_at) for row in rows]


# -- what each does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(EVENT_NAMES))
async def test_every_event_is_taken_and_its_copy_is_known(feeds: Feeds, name: str):
    assert await feeds.take([told(name, "m1")]) == [Outcome(name, "taken")]
    assert await feeds.take([told(name, "m1")]) == [Outcome(name, "repeated")]


async def test_facts_are_in_their_tables(node: Node, feeds: Feeds):
    facts = MemoryClassFacts(node.memory)

    await take(feeds, *(told(name, name) for name in sorted(EVENT_NAMES)))

    assert await facts.class_over("15") is not None
    assert len(await facts.quizzes_of("15")) == 1
    assert await facts.exam("5") is not None
    assert len(await facts.exam_sessions_of("27", TEN, SENT)) == 1
    assert len(await facts.responses_of("27", TEN, SENT)) == 1
    assert node.memory.rows.interactions.keys() == {("15", "27", "doubt_asked", "d1")}


async def test_a_start_opens_the_room_and_an_end_ends_it(node: Node, feeds: Feeds):
    await take(feeds, told("liveclass.start"))
    state = (await node.room("15")).room.state
    assert (state.status, state.started_at) == ("live", TEN)

    await take(feeds, told("liveclass.end"))

    assert (state.status, state.started_at, state.ended_at) == ("ended", TEN, TEN + HOUR + 500)


async def test_a_cancelled_class_refuses_to_start(node: Node, feeds: Feeds):
    assert await take(feeds, told("liveclass.cancel"), told("liveclass.start", "m1")) == ["taken", "ignored"]

    assert (await node.room("15")).room.state.status == "cancelled"
    assert await take(feeds, told("liveclass.start", "m1")) == ["repeated"]


async def test_a_segment_is_presence_and_study_time(node: Node, feeds: Feeds):
    await take(feeds, told(LEAVE, start_timestamp=TEN / 1000, end_timestamp=(TEN + 130_000) / 1000))

    assert await presences(node) == [TEN, TEN + 130_000]
    assert await segments(node) == [(TEN, TEN + 130_000)]


@pytest.mark.parametrize(
    ("said", "sent_at", "end"),
    [
        ({}, SENT, SENT),
        ({}, None, SENT + 1_000),
        ({}, SENT + 9_000, SENT + 1_000),
        ({"end_timestamp": TEN}, SENT, TEN),
        ({"start_timestamp": TEN}, SENT, TEN + 120_250),
    ],
)
async def test_a_segment_without_its_times_ends_when_it_was_told(
    node: Node, feeds: Feeds, said: dict[str, Any], sent_at: int | None, end: int
):
    await take(feeds, told(LEAVE, sent_at=sent_at, **said))

    assert await segments(node) == [(end - 120_250, end)]
    assert await presences(node) == [end - 120_250, end]


@pytest.mark.parametrize("kind", ["comment", "reaction", "hand_raise"])
async def test_an_interaction_without_an_id_goes_by_its_message_else_by_its_moment(node: Node, feeds: Feeds, kind: str):
    await take(feeds, *(told("liveclass.interaction", message_id, kind=kind, id=None) for message_id in ("m1", None)))

    at = TEN + 300_250
    assert node.memory.rows.interactions.keys() == {("15", "27", kind, "m1"), ("15", "27", kind, str(at))}


async def test_what_is_nobodys_has_no_learner(node: Node, feeds: Feeds):
    await take(feeds, told("liveclass.interaction", kind="poll_offered", auth_user_id=""))

    assert node.memory.rows.interactions.keys() == {("15", "", "poll_offered", "d1")}


# -- what is not taken --------------------------------------------------------------------------------------------


async def test_each_delivery_has_its_own_outcome(feeds: Feeds):
    batch = [
        delivery(b"{"),
        told("liveclass.quiz", "m1"),
        told("liveclass.quiz", "m1"),
        delivery(b'{"event_name": "liveclass.dance"}', "m2"),
        told("quiz_response", "m3", identification_type="video"),
        told("quiz_response", "m4", is_correct="yes"),
        told("quiz_response", "m4"),
    ]

    assert await feeds.take([]) == []
    assert await feeds.take(batch) == [
        Outcome("other", "bad", "body", "not JSON: Input data was truncated"),
        Outcome("liveclass.quiz", "taken"),
        Outcome("liveclass.quiz", "repeated"),
        Outcome("other", "unknown"),
        Outcome("quiz_response", "ignored"),
        Outcome("quiz_response", "bad", "data.payload.is_correct", "neither true nor false"),
        Outcome("quiz_response", "taken"),
    ]


class Choosy(MemoryClassFacts):
    """Like a table that a row does not fit."""

    async def write(self, facts: Facts) -> Written:
        if any(quiz.platform == "unfit" for quiz, _ in facts.quizzes):
            raise StoreRefused("does not fit")
        return await super().write(facts)


async def test_a_fact_that_the_store_refuses_keeps_nobody_else_back(node: Node):
    feeds = Feeds(node.system, Choosy(node.memory))
    quizzes = [told("liveclass.quiz", "m1", platform="unfit"), told("liveclass.quiz", "m2")]

    assert await feeds.take([*quizzes, told("liveclass.start")]) == [
        Outcome("liveclass.quiz", "bad", "body", "the store refuses it: does not fit"),
        Outcome("liveclass.quiz", "taken"),
        Outcome("liveclass.start", "taken"),
    ]


async def test_an_event_that_crashes_its_room_is_put_aside(node: Node, feeds: Feeds, monkeypatch: pytest.MonkeyPatch):
    def crash(*_: object) -> None:
        raise ZeroDivisionError

    room = (await node.room("15")).room
    monkeypatch.setattr(type(room), "step", _crashing_on(type(room).step, Started, crash))

    found = await feeds.take([told("liveclass.start", "m1"), told("liveclass.cancel", "m2")])

    assert [(outcome.result, outcome.field) for outcome in found] == [("bad", "body"), ("taken", "")]
    assert node.memory.facts.messages.keys() == {"m2"}
    assert len(node.memory.quarantine) == 1


def _crashing_on(step: Any, kind: type, crash: Any) -> Any:
    return lambda room, event, now: crash() if type(event) is kind else step(room, event, now)


# -- once ---------------------------------------------------------------------------------------------------------


async def test_a_message_is_known_in_the_next_life(node: Node, feeds: Feeds):
    batch = [told(name, name) for name in sorted(EVENT_NAMES)]
    first = await take(feeds, *batch)
    await node.system.drain(10)

    async with Node(memory=node.memory) as heir:
        again = await take(Feeds(heir.system, MemoryClassFacts(heir.memory)), *batch)

    assert set(first) <= {"taken", "ignored"}
    assert set(again) == {"repeated"}


async def test_one_segment_under_two_messages_is_one(node: Node, feeds: Feeds):
    for number in range(3):
        assert await take(feeds, told(LEAVE, f"m{number}", sent_at=SENT + number)) == ["taken"]

    assert await segments(node) == [(SENT - 120_250, SENT)]
    assert await presences(node) == [SENT - 120_250, SENT]


async def test_a_copy_of_an_end_does_not_end_a_class_that_was_opened_again(node: Node, feeds: Feeds):
    await take(feeds, told("liveclass.end", "m1"))
    await node.happens("15", Started(TEN + 2 * HOUR, "rest"))

    assert await take(feeds, told("liveclass.end", "m2", sent_at=SENT + 1)) == ["taken"]
    assert (await node.room("15")).room.state.status == "live"

    await take(feeds, told("liveclass.end", "m3", sent_at=SENT + 2, end_at=(TEN + 3 * HOUR) / 1000))
    state = (await node.room("15")).room.state
    assert (state.status, state.ended_at) == ("ended", TEN + 3 * HOUR)


async def test_an_older_message_about_the_end_changes_nothing(node: Node, feeds: Feeds):
    await take(feeds, told("liveclass.end", sent_at=SENT + 1))
    await take(feeds, told("liveclass.end", sent_at=SENT, end_at=(TEN + 9 * HOUR) / 1000))

    assert (await node.room("15")).room.state.ended_at == TEN + HOUR + 500


async def test_ids_that_cannot_be_kept_are_no_ids(node: Node, feeds: Feeds):
    odd = ["", "a\0b", "x" * 256]

    for _ in range(2):
        assert await take(feeds, *(told("liveclass.quiz", each) for each in odd)) == ["taken"] * 3
    assert not node.memory.facts.messages


async def test_message_ids_are_bounded(node: Node):
    feeds = Feeds(node.system, MemoryClassFacts(node.memory, kept_messages=7))
    quiz = sample("liveclass.quiz")

    for start in range(0, intake.TRIM_EVERY, 250):
        await feeds.take([delivery(quiz, f"m{start + number}") for number in range(250)])

    assert list(node.memory.facts.messages) == [f"m{number}" for number in range(intake.TRIM_EVERY - 7, 1000)]


# -- durable ------------------------------------------------------------------------------------------------------

ALL = [told(name, name) for name in sorted(EVENT_NAMES)]


async def test_nothing_is_taken_while_the_store_is_away(node: Node, feeds: Feeds):
    node.memory.faults.away = True

    with pytest.raises(StoreAway):
        await feeds.take(ALL)

    node.memory.faults.away = False
    assert set(await take(feeds, *ALL)) <= {"taken", "ignored"}


async def test_what_was_stored_without_an_answer_is_not_doubled(node: Node, feeds: Feeds):
    node.memory.faults.lose_answers = True
    for _ in range(2):
        with pytest.raises(StoreAway):
            await feeds.take(ALL)

    node.memory.faults.lose_answers = False
    assert "bad" not in await take(feeds, *ALL)
    assert len(await segments(node)) == 1


class StallsTheJournal(MemoryClassFacts):
    """From the last question before rooms are told, nothing is stored."""

    async def write(self, facts: Facts) -> Written:
        written = await super().write(facts)
        self._memory.faults.stalled = True
        return written


@pytest.mark.parametrize("name", [LEAVE, "liveclass.end"])
async def test_a_room_has_it_for_good_before_its_message_is_answered_for(node: Node, name: str):
    actor = await node.room("15")
    before = actor.version
    feeds = Feeds(node.system, StallsTheJournal(node.memory))
    taking = asyncio.create_task(take(feeds, told("liveclass.quiz", "m0"), told(name, "m1")))
    await until(lambda: actor.version > before and node.memory.faults.waiting)

    assert not taking.done()
    assert node.memory.facts.messages.keys() == {"m0"}

    node.memory.faults.stalled = False
    assert await taking == ["taken", "taken"]
    assert node.memory.facts.messages.keys() == {"m0", "m1"}


@pytest.mark.parametrize("name", [LEAVE, "liveclass.end"])
async def test_rooms_that_do_not_answer_are_told_again(node: Node, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rooms, "WAIT_S", 0.01)
    actor = await node.room("15")

    with pytest.raises(StoreAway):
        await take(Feeds(node.system, StallsTheJournal(node.memory)), told(name, "m1"))

    node.memory.faults.stalled = False
    before = actor.version
    feeds = Feeds(node.system, MemoryClassFacts(node.memory))
    assert await take(feeds, told(name, "m1")) == ["taken"]
    assert actor.version > before


async def test_a_small_mailbox_takes_a_large_batch():
    async with Node(rules=Rules(partitions=4, mailbox=3)) as node:
        feeds = Feeds(node.system, MemoryClassFacts(node.memory))
        batch = [told(LEAVE, f"m{user}", auth_user_id=user) for user in range(50)]

        assert await take(feeds, *batch) == ["taken"] * 50
        assert len((await node.room("15")).room.state.members) == 50


async def test_a_mailbox_that_others_fill_is_waited_for():
    async with Node(rules=Rules(partitions=4, mailbox=3)) as node:
        feeds = Feeds(node.system, MemoryClassFacts(node.memory))
        actor = await node.room("15")
        await feeds.take([told("liveclass.start")])
        while node.system.post(actor, Tick()):
            pass

        with pytest.raises(StoreAway):
            await feeds.take([told(LEAVE)])
        await until(lambda: not actor.pending)
        assert await take(feeds, told(LEAVE)) == ["taken"]


async def test_a_node_that_leaves_takes_nothing(node: Node, feeds: Feeds):
    await node.system.drain(10)

    with pytest.raises((StoreAway, NotOwned)):
        await feeds.take([told("liveclass.start")])


# -- in any order -------------------------------------------------------------------------------------------------


def history(draw: random.Random) -> list[Delivery]:
    """A class as several systems tell it, and correct themselves."""
    times = iter(draw.sample(range(SENT, SENT + 1_000), 16))

    def say(name: str, **changes: Any) -> Delivery:
        sent_at = next(times)
        return told(name, str(sent_at), sent_at=sent_at, **changes)

    return [
        say("liveclass.start", start_at=TEN),
        say("liveclass.end", end_at=TEN + HOUR),
        say("liveclass.end", end_at=TEN + 2 * HOUR, total_poll=9, is_required=...),
        say("liveclass.end", start_at=TEN - 1_000, end_at=TEN + HOUR + 1),
        say("liveclass.quiz"),
        say("liveclass.quiz", total_marks=9),
        *(say("quiz_response", is_correct=correct, particiapte_at=TEN + correct) for correct in (0, 1)),
        *(say("liveclass.interaction", timestamp=TEN + late) for late in (1, 2)),
        *(
            say(LEAVE, auth_user_id=user, start_timestamp=TEN + 1, end_timestamp=TEN + 60_000)
            for user in ("27", "27", "28")
        ),
        say(LEAVE, start_timestamp=TEN + 50_000, end_timestamp=TEN + 170_250),
        say("exam.start"),
        say("session.end"),
    ]


async def seen(batches: Sequence[Sequence[Delivery]], database: Database | None = None) -> list[Any]:
    """What there is of the class in the end; its facts in a database where one is given."""
    async with Node() as node:
        facts = MemoryClassFacts(node.memory) if database is None else PostgresClassFacts(database)
        reading = MemoryReading(node.memory) if database is None else PostgresReading(database)
        feeds = Feeds(node.system, facts)
        for batch in batches:
            await feeds.take(batch)
        state = (await node.room("15")).room.state
        return [
            (state.status, state.started_at, state.ended_at),
            [await presences(node, user) for user in ("27", "28")],
            [await reading.segments_of("15", user) for user in ("27", "28")],
            await facts.class_over("15"),
            await facts.quizzes_of("15"),
            await facts.responses_of("27", TEN, SENT),
            await facts.exam("5"),
            await facts.exam_sessions_of("27", TEN, SENT),
        ]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_order_the_class_is_the_same(seed: int):
    draw = random.Random(seed)
    told = history(draw)
    other = draw.sample(told, len(told))
    cut = draw.randrange(len(told))

    first = await seen([told])

    assert await seen([other[:cut], other[cut:], draw.sample(told, 5)]) == first


async def test_a_database_keeps_the_class_as_memory_does(postgres: PostgresStore):
    draw = random.Random(1)
    told = history(draw)
    batches = [told[:9], told[5:], draw.sample(told, 7)]

    assert await seen(batches, await postgres.database()) == await seen(batches)


async def test_an_end_told_by_rest_is_corrected_by_the_owner_of_the_class(node: Node, feeds: Feeds):
    await node.happens("15", Started(TEN + 5, "rest"))
    await node.happens("15", Finished(TEN + 9, "rest"))

    await take(feeds, told("liveclass.end"))

    state = (await node.room("15")).room.state
    assert (state.started_at, state.ended_at) == (TEN, TEN + HOUR + 500)
