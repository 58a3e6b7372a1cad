"""Drive a server through classes over the conference server, read everything back, compare it with the truth."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from load_tests.plugnmeet import comparing, truth
from load_tests.plugnmeet.disorder import Delivery, Disorder, lines
from load_tests.plugnmeet.facts import Room
from load_tests.plugnmeet.scenario import Shape, write
from load_tests.plugnmeet.sender import Key, Sender
from load_tests.simulate.rest import Declined, Rest
from protocol.rest import RoomBody

NOT_FOUND: Final = 404
MARGIN_S: Final = 5
"""The last event lies so far in the past: an event ahead of the server's clock would be bent."""
PATIENCE_S: Final = 30.0
SHOWN: Final = 40


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. `speed`: seconds of the class per second, 0 for all at once."""

    rooms: int = 50
    participants: int = 40
    minutes: int = 50
    seed: int = 1
    speed: float = 0.0
    disorder: str = "mixed"
    repeats: float = 0.1
    scale: float = 1.0
    read_back_s: float = 30.0
    rules: truth.Rules = truth.Rules()


class Outcome(msgspec.Struct):
    """What came of it; nothing may differ."""

    figures: dict[str, Any]
    differences: list[comparing.Difference]


async def drive(
    options: Options,
    url: str,
    staff: str,
    key: Key,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
    cpu_s: Callable[[], float] | None = None,
) -> Outcome:
    """Send, read back, compare. `meanwhile` is awaited beside the sending: it may do harm to the server.

    `cpu_s` reads the server's CPU seconds so far.
    """
    rooms = write(_shape(options))
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=70)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        rest = Rest(url, http, PATIENCE_S)
        await _schedule(rooms, rest, staff)
        sender = Sender(http, url, key, scale=options.scale, pace=_pace(options, rooms))
        work = [_lines(options, room, place) for place, room in enumerate(rooms)]
        used, begin = cpu_s() if cpu_s is not None else 0.0, time.perf_counter()
        harm = asyncio.ensure_future(meanwhile()) if meanwhile is not None else None
        lost = await asyncio.gather(*(_send(sender, each) for each in work))
        elapsed = time.perf_counter() - begin
        used = cpu_s() - used if cpu_s is not None else 0.0
        if harm is not None:
            await harm
        told = [_without(room, gone) for room, gone in zip(rooms, lost, strict=True)]
        differences = await _read_back(told, rest, staff, options)
    figures = _figures(sender, told, elapsed, sum(map(len, lost)))
    if cpu_s is not None:
        figures["server_us_per_post"] = round(used * 1e6 / max(1, sender.sent.posts), 1)
    return Outcome(figures, differences)


def _shape(options: Options) -> Shape:
    return Shape(
        options.rooms,
        options.participants,
        options.seed,
        int(time.time()) - MARGIN_S,
        options.minutes,
        options.rules.grace_ms,
        options.rules.late_grace_ms // 1000,
        prefix=f"pnm-{int(time.time())}",
    )


async def _schedule(rooms: Sequence[Room], rest: Rest, staff: str) -> None:
    for room in rooms:
        if room.scheduled is not None:
            start, end = (datetime.fromtimestamp(at, UTC) for at in room.scheduled)
            await rest.put_room(staff, room.room_id, RoomBody(room.title, start, end))


def _lines(options: Options, room: Room, place: int) -> dict[str, list[Delivery]]:
    kinds = list(Disorder)
    kind = kinds[place % len(kinds)] if options.disorder == "mixed" else Disorder(options.disorder)
    return lines(room, Random(f"{options.seed} {place}"), kind, options.repeats)


def _pace(options: Options, rooms: Sequence[Room]) -> Callable[[int], float] | None:
    if not options.speed:
        return None
    first = min(room.messages[0].at for room in rooms)
    begin = time.monotonic()
    return lambda at: max(0.0, begin + (at - first) / options.speed - time.monotonic())


async def _send(sender: Sender, work: dict[str, list[Delivery]]) -> set[int]:
    """All workers of one class; returns the messages that never arrived."""
    return set[int]().union(*await asyncio.gather(*(sender.work(line) for line in work.values())))


def _without(room: Room, lost: set[int]) -> Room:
    messages = tuple(
        msgspec.structs.replace(one, lost=True) if place in lost else one for place, one in enumerate(room.messages)
    )
    return msgspec.structs.replace(room, messages=messages)


# -- reading back ----------------------------------------------------------------------------------------------------


async def _read_back(rooms: Sequence[Room], rest: Rest, staff: str, options: Options) -> list[comparing.Difference]:
    """What differs. Work follows an answer: what differs is read again until it agrees or time is up."""
    deadline = time.monotonic() + options.read_back_s
    open_rooms = list(rooms)
    while True:
        found = await asyncio.gather(*(_of_room(room, rest, staff, options.rules) for room in open_rooms))
        open_rooms = [room for room, differences in zip(open_rooms, found, strict=True) if differences]
        if not open_rooms or time.monotonic() > deadline:
            return [each for differences in found for each in differences]
        await asyncio.sleep(1.0)


async def _of_room(room: Room, rest: Rest, staff: str, rules: truth.Rules) -> list[comparing.Difference]:
    try:
        known = truth.of_class(room, rules)
    except truth.NotOver:
        return []
    path = f"/api/v1/rooms/{quote(room.room_id, safe='')}"
    say = comparing.sayer(room.room_id)
    try:
        read = msgspec.json.decode(await rest.look(staff, path), type=comparing.RoomRead)
        say.found += comparing.of_room(room, known, read)
    except (Declined, msgspec.ValidationError) as error:
        say.same("room", "readable", str(error))
    acts = dict(room.acts)
    for user, learner in known.learners.items():
        act = acts.get(user, "")
        try:
            text = await rest.look(staff, f"{path}/participants/{quote(user, safe='')}")
            answer = msgspec.json.decode(text, type=comparing.ParticipantRead)
            say.found += comparing.of_learner(room, act, learner, answer)
            figures = (await rest.details(staff, room.room_id, user)).class_details.attendance
            say.found += comparing.of_details(room, act, known, learner, figures)
        except (Declined, msgspec.ValidationError) as error:
            say.same(f"participant {user}", "readable", str(error))
    for nobody in room.nobodies:
        say.same(nobody, NOT_FOUND, await _status(rest, staff, f"{path}/participants/{quote(nobody, safe='')}"))
    for breakout in room.breakouts():
        say.same(breakout, NOT_FOUND, await _status(rest, staff, f"/api/v1/rooms/{quote(breakout, safe='')}"))
    return say.found


async def _status(rest: Rest, staff: str, path: str) -> int:
    try:
        await rest.look(staff, path)
    except Declined as declined:
        return declined.status
    return 200


# -- report ----------------------------------------------------------------------------------------------------------


def _figures(sender: Sender, rooms: Sequence[Room], elapsed: float, lost: int) -> dict[str, Any]:
    sent = sender.sent
    latencies = sorted(sent.latencies_s) or [0.0]
    return {
        "rooms": len(rooms),
        "learners": sum(len(room.acts) for room in rooms),
        "messages": sum(len(room.messages) for room in rooms),
        "lost_on_purpose_or_by_the_sender": sum(one.lost for room in rooms for one in room.messages),
        "given_up": lost,
        "posts": sent.posts,
        "accepted": sent.accepted,
        "retries": sent.retries,
        "refused": {str(status): count for status, count in sent.refused.items()},
        "seconds": round(elapsed, 2),
        "posts_a_second": round(sent.posts / elapsed),
        "answer_p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "answer_p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
        "answer_max_ms": round(latencies[-1] * 1000, 2),
    }


def show(outcome: Outcome, console: Console) -> None:
    """A list of what differs, and the verdict."""
    if outcome.differences:
        table = Table(title=f"{len(outcome.differences)} differences", title_justify="left")
        for heading in ("room", "learner", "what they did", "field", "truth", "answer"):
            table.add_column(heading, overflow="fold")
        for one in outcome.differences[:SHOWN]:
            table.add_row(one.room, one.learner, one.act, one.field, one.truth, one.answer)
        console.print(table)
        if len(outcome.differences) > SHOWN:
            console.print(f"and {len(outcome.differences) - SHOWN} more")
    kinds = Counter((one.field, one.act) for one in outcome.differences)
    for (field, act), count in kinds.most_common(SHOWN):
        console.print(f"{count:6} x {field}: {act or 'the room'}", soft_wrap=True)
    learners, rooms = outcome.figures["learners"], outcome.figures["rooms"]
    verdict = "truth = answers" if not outcome.differences else f"{len(outcome.differences)} differences"
    console.print(f"{verdict} for {learners} learners in {rooms} rooms")
