"""Takes deliveries in: facts into their tables, what concerns a room to its actor (`storage.amqp.ports.Intake`).

    decode -> known messages out -> facts, with the ids of messages that are nothing but facts, in one transaction
           -> rooms are told what the store has now -> their commits -> the other ids

Each step may be the last that happens; the batch comes again then, and what was done changes nothing. An id is
recorded only when all that its message says is durable, so a message is never left half told. Of a class's end the
table remembers whether the room has it, so that a copy under another id does not end a class that was opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from actors.machines.effects import Failed
from actors.machines.events import Cancelled, Finished, RoomEvent, Started, Witnessed
from actors.ports import StoreRefused
from actors.system import ActorSystem
from protocol.events import NAME_OF, BadEvent, decode
from protocol.events_in import (
    ClassBegan,
    ClassCancelled,
    ClassOver,
    ExamOffered,
    ExamTaken,
    Inbound,
    InteractionTold,
    NotOurs,
    QuizAnswered,
    QuizOffered,
    SegmentSeen,
)
from server.feeds import meaning
from server.feeds.rooms import Round, Told
from storage.amqp.counters import OTHER
from storage.amqp.ports import Delivery, Outcome
from storage.classfacts import ClassFacts, End, Facts, SegmentFact, Written

SOURCE: Final = "amqp"
TRIM_EVERY: Final = 1_000
"""Messages between two looks for ids that may be forgotten; each forgets more than that."""
MESSAGE_ID_CHARS: Final = 255
_REPEATED: Final = {name: Outcome(name, "repeated") for name in NAME_OF.values()}
_TAKEN: Final = {name: Outcome(name, "taken") for name in NAME_OF.values()}


class _Item(msgspec.Struct):
    """One delivery that is new."""

    place: int
    name: str
    event: Inbound
    delivery: Delivery
    segment: SegmentFact | None = None
    end: End | None = None
    told: Told | None = None

    @property
    def room_id(self) -> str | None:
        """The room that it is told to; None where it is nothing but a fact."""
        event = self.event
        if isinstance(event, ClassOver | SegmentSeen | ClassBegan | ClassCancelled):
            return event.live_class_id
        return None


class Feeds:
    """`Intake`. One a process."""

    def __init__(self, system: ActorSystem, facts: ClassFacts) -> None:
        self._system = system
        self._facts = facts
        self._untrimmed = 0

    async def take(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """As the port says."""
        try:
            return await self._take(batch)
        except StoreRefused as error:
            if len(batch) == 1:
                return [Outcome(_name(batch[0]), "bad", "body", f"the store refuses it: {error}")]
        # One of them does not fit: the others must not wait for it.
        return [outcome for each in batch for outcome in await self.take([each])]

    async def _take(self, batch: Sequence[Delivery]) -> list[Outcome]:
        outcomes, items = await self._new(batch)
        if items:
            told = [item for item in items if item.room_id is not None]
            written = await self._write(items)
            await self._tell(told, written)
            await self._settle(told)
        for item in items:
            outcomes[item.place] = _outcome(item)
        return [outcome for outcome in outcomes if outcome is not None]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _new(self, batch: Sequence[Delivery]) -> tuple[list[Outcome | None], list[_Item]]:
        """What is to be taken in, and the outcomes of all else."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        items: list[_Item] = []
        for place, delivery in enumerate(batch):
            found = _read(delivery)
            if isinstance(found, Outcome):
                outcomes[place] = found
            else:
                items.append(_Item(place, NAME_OF[type(found)], found, delivery))
        seen = set(await self._facts.known([each for item in items if (each := _id(item.delivery)) is not None]))
        fresh: list[_Item] = []
        for item in items:
            message_id = _id(item.delivery)
            if message_id is not None and message_id in seen:
                outcomes[item.place] = _REPEATED[item.name]
                continue
            if message_id is not None:
                seen.add(message_id)
            fresh.append(item)
        return outcomes, fresh

    # -- facts --------------------------------------------------------------------------------------------------------

    async def _write(self, items: Sequence[_Item]) -> Written:
        facts = Facts()
        for item in items:
            collect = _COLLECT.get(type(item.event))
            if collect is not None:
                collect(facts, item)
            message_id = _id(item.delivery)
            if message_id is not None and item.room_id is None:
                facts.message_ids.append(message_id)
        if all(type(item.event) in _NO_FACT for item in items):
            return Written({}, {})
        written = await self._facts.write(facts)
        self._untrimmed += len(facts.message_ids)
        return written

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def _tell(self, items: Sequence[_Item], written: Written) -> None:
        events = [(item, event) for item in items if (event := _room_event(item, written)) is not None]
        if not events:
            return
        round_ = Round(self._system)
        await round_.open({item.room_id: None for item, _ in events if item.room_id is not None})
        for item, event in events:
            assert item.room_id is not None
            item.told = await round_.tell(item.room_id, event)
        await round_.settled()

    async def _settle(self, items: Sequence[_Item]) -> None:
        done = [item for item in items if item.told is None or type(item.told.answer) is not Failed]
        ids = [each for item in done if (each := _id(item.delivery)) is not None]
        ends = [item.end for item in done if item.end is not None]
        if ids or ends:
            await self._facts.settle(ids, ends)
        self._untrimmed += len(ids)
        if self._untrimmed >= TRIM_EVERY:
            self._untrimmed = 0
            await self._facts.trim()


def _read(delivery: Delivery) -> Inbound | Outcome:
    try:
        found = decode(delivery.body)
    except BadEvent as bad:
        return Outcome(bad.event or OTHER, "bad", bad.field, bad.reason)
    if isinstance(found, NotOurs):
        return Outcome(found.event, "ignored") if found.event else Outcome(OTHER, "unknown")
    return found


def _name(delivery: Delivery) -> str:
    found = _read(delivery)
    return found.event if isinstance(found, Outcome) else NAME_OF[type(found)]


def _id(delivery: Delivery) -> str | None:
    """The message's id, where it is one that can be kept."""
    found = delivery.message_id
    return found if found and len(found) <= MESSAGE_ID_CHARS and "\0" not in found else None


def _outcome(item: _Item) -> Outcome:
    answer = None if item.told is None else item.told.answer
    if answer is None:
        return _TAKEN[item.name]
    if isinstance(answer, Failed):
        return Outcome(item.name, "bad", "body", answer.message)
    return Outcome(item.name, "ignored")


def _room_event(item: _Item, written: Written) -> RoomEvent | None:
    """What the room is told: not what the message says, but what the store has of it."""
    event = item.event
    if isinstance(event, ClassOver):
        item.end = end = written.ends.pop(event.live_class_id, None)
        return None if end is None else Finished(end.end_at, SOURCE, end.start_at)
    if isinstance(event, SegmentSeen):
        assert item.segment is not None
        return Witnessed(event.user_id, *written.segments[item.segment.key])
    if isinstance(event, ClassBegan):
        return Started(event.start_at, SOURCE)
    delivery = item.delivery
    return Cancelled(delivery.received_at if delivery.sent_at is None else delivery.sent_at)


# -- which table ------------------------------------------------------------------------------------------------------


def _collect_segment(facts: Facts, item: _Item) -> None:
    assert isinstance(item.event, SegmentSeen)
    item.segment = meaning.segment_of(item.event, item.delivery)
    facts.segments.append((item.segment, item.delivery.sent_at))


def _collect_interaction(facts: Facts, item: _Item) -> None:
    assert isinstance(item.event, InteractionTold)
    facts.interactions.append((meaning.interaction_of(item.event, item.delivery), item.delivery.sent_at))


def _collect_as_is(table: Callable[[Facts], list[Any]]) -> Callable[[Facts, _Item], None]:
    def collect(facts: Facts, item: _Item) -> None:
        table(facts).append((item.event, item.delivery.sent_at))

    return collect


_COLLECT: Final[dict[type, Callable[[Facts, _Item], None]]] = {
    ClassOver: _collect_as_is(lambda facts: facts.classes),
    QuizOffered: _collect_as_is(lambda facts: facts.quizzes),
    ExamOffered: _collect_as_is(lambda facts: facts.exams),
    ExamTaken: _collect_as_is(lambda facts: facts.exam_sessions),
    QuizAnswered: _collect_as_is(lambda facts: facts.responses),
    SegmentSeen: _collect_segment,
    InteractionTold: _collect_interaction,
}
_NO_FACT: Final = frozenset({ClassBegan, ClassCancelled})
"""Told to the room, and in no table."""
