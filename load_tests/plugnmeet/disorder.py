"""In which order, and how often, a class's messages reach the server. Pure and seeded.

The sender has one worker a room, so a room's messages are a line; what breaks their order are its causes: several
machines that make them, retries, a queue that was restored. A breakout is a room of its own there.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random

import msgspec

from load_tests.plugnmeet.facts import Message, Room
from load_tests.plugnmeet.wire import Form, body, draw


class Disorder(StrEnum):
    """How a line is upset."""

    NONE = "none"
    JOSTLED = "jostled"
    LATE = "late"
    REVERSED = "reversed"
    SHUFFLED = "shuffled"


class Delivery(msgspec.Struct, frozen=True):
    """One request to make: `message` is its place among the room's messages, for those that are lost on the way."""

    at: int
    content: bytes
    message: int


def lines(room: Room, random: Random, disorder: Disorder, repeats: float) -> dict[str, list[Delivery]]:
    """Room id (the class's, its breakouts') -> the requests of its worker, in their order."""
    found: dict[str, list[tuple[int, Message]]] = {}
    for place, message in enumerate(room.messages):
        if not message.lost:
            found.setdefault(message.room_id, []).append((place, message))
    return {room_id: _line(room, line, random, disorder, repeats) for room_id, line in sorted(found.items())}


def _line(
    room: Room, line: list[tuple[int, Message]], random: Random, disorder: Disorder, repeats: float
) -> list[Delivery]:
    told: list[Delivery] = []
    for place, message in line:
        form = draw(random, message, older=room.older)
        told.append(Delivery(message.at, body(message, room.title, form), place))
    ordered = _upset(told, random, disorder)
    if line[0][1].parent_id is not None:
        # What is told first of a breakout has to say whose it is; nobody could know otherwise.
        first = next(one for one in ordered if room.messages[one.message].event == "room_created")
        ordered = [first, *(one for one in ordered if one is not first)]
    again: list[Delivery] = []
    for index, delivery in enumerate(ordered):
        again.append(delivery)
        if random.random() < repeats:
            again.append(_again(room, delivery, random))
        if random.random() < repeats:  # and long after
            again.append(ordered[random.randrange(index + 1)])
    return again


def _again(room: Room, delivery: Delivery, random: Random) -> Delivery:
    """The same request; or the same fact in another form and under a new id."""
    message = room.messages[delivery.message]
    if random.random() < 0.5:
        return delivery
    form: Form = draw(random, message, older=room.older)
    content = body(message, room.title, form, f"{message.id}-{random.randrange(10**6)}")
    return Delivery(delivery.at, content, delivery.message)


def _upset(line: list[Delivery], random: Random, disorder: Disorder) -> list[Delivery]:
    if disorder is Disorder.REVERSED:
        return line[::-1]
    if disorder is Disorder.SHUFFLED:
        return random.sample(line, len(line))
    if disorder is Disorder.JOSTLED:
        places = [index + random.uniform(0, 12) for index in range(len(line))]
        return [line[index] for index in sorted(range(len(line)), key=places.__getitem__)]
    if disorder is Disorder.LATE:
        late = {index for index in range(len(line)) if random.random() < 0.15}
        return [one for index, one in enumerate(line) if index not in late] + [line[index] for index in sorted(late)]
    return line
