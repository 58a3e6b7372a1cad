"""Acts a class and reads it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final

import aiohttp
from rich.console import Console

from load_tests.simulate import scenario as play
from load_tests.simulate import truth
from load_tests.simulate.acting import DeviceActor
from load_tests.simulate.comparing import Answers, Comparison, Difference, LearnerTruth
from load_tests.simulate.options import SimulateOptions
from load_tests.simulate.progress import follow
from load_tests.simulate.record import Class, Learner
from load_tests.simulate.report import Outcome, figures, show, write_json
from load_tests.simulate.rest import Declined, Rest, Unreachable
from load_tests.simulate.room_checks import Listing, check_listing, check_room, check_timeline
from load_tests.simulate.stage import Stage, true_ms
from protocol.rest import RoomBody

Mint = Callable[[str, str], str]

STAFF: Final = "simulate-staff"
ALL_MATCH: Final = 0
DIFFERS: Final = 1
NOT_REACHED: Final = 2
INTERRUPTED: Final = 130
LISTINGS: Final = 8
TIMELINE_POINTS: Final = 120
SCHEDULED_AFTER_S: Final = 900.0
"""The scheduled end lies this far behind the class, so that only the request ends it."""
AGAIN_S: Final = 0.5


def run(options: SimulateOptions, mint: Mint) -> int:
    """Act a class, read it back, print both, and return the exit code. Blocks; Ctrl-C stops it and returns 130.

    `mint(user_id, role)` makes a token; roles are `learner` and `staff`.
    """
    console = Console()
    try:
        outcome = asyncio.run(simulate(options, mint, console))
    except KeyboardInterrupt:
        console.print("stopped")
        return INTERRUPTED
    return outcome.exit_code


async def simulate(options: SimulateOptions, mint: Mint, console: Console) -> Outcome:
    """The same as a coroutine, with the whole outcome."""
    shape = play.Shape(
        learners=options.learners,
        seconds=options.minutes * 60 / options.speed,
        seed=options.seed,
        watch_share=options.watch_share,
        grace_s=options.reconnect_grace_seconds,
        late_grace_s=options.late_grace_seconds,
        heartbeat_s=options.heartbeat_seconds,
    )
    scenario = play.write(shape)
    if scenario.seconds > shape.seconds:
        console.print(
            f"the class takes {scenario.seconds:.0f} s instead of {shape.seconds:.0f}: a drop beyond the grace of "
            f"{shape.grace_s:.0f} s needs the time",
            highlight=False,
            soft_wrap=True,
        )
    room = options.room or f"sim-{options.seed}-{true_ms()}"
    outcome = Outcome(options, Class(room, 0))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        try:
            await _class(outcome, scenario, mint, http, console)
        except (Unreachable, Declined) as error:
            outcome.exit_code, outcome.problem = NOT_REACHED, str(error)
            console.print(f"[red]{error}[/]", highlight=False, soft_wrap=True)
    if options.report is not None:
        write_json(outcome, options.report)
    return outcome


async def _class(
    outcome: Outcome, scenario: play.Scenario, mint: Mint, http: aiohttp.ClientSession, console: Console
) -> None:
    options, record = outcome.options, outcome.record
    rest = Rest(options.url, http, options.connect_seconds)
    staff = mint(STAFF, "staff")
    record.scheduled_start = await _schedule(rest, staff, record.room, scenario)
    rest.patience_s = options.read_back_seconds
    stage = Stage(options, record, http, mint, (scenario.seconds, scenario.beat_s))
    listings: list[Listing] = []
    side = [
        asyncio.create_task(follow(stage, console)),
        asyncio.create_task(_list_members(stage, rest, staff, listings)),
    ]
    try:
        await _act(stage, scenario, rest, staff)
    except BaseException:
        with suppress(Exception):
            async with asyncio.timeout(2):
                await rest.end_room(staff, record.room)
        raise
    finally:
        for task in side:
            task.cancel()
        await asyncio.gather(*side, return_exceptions=True)
        outcome.counters = figures(stage.counters)
        outcome.acked = _acked(record)
    await _read_back(outcome, rest, mint, staff, listings)
    show(outcome, console)


async def _schedule(rest: Rest, staff: str, room: str, scenario: play.Scenario) -> int:
    """Create the room. Returns its scheduled start, server unix ms."""

    def body(start_ms: float) -> RoomBody:
        end_ms = start_ms + (scenario.seconds - min(0.0, scenario.scheduled_start_s) + SCHEDULED_AFTER_S) * 1000
        return RoomBody(
            name="সিমুলেশন ক্লাস",
            scheduled_start=datetime.fromtimestamp(round(start_ms) / 1000, UTC),
            scheduled_end=datetime.fromtimestamp(round(end_ms) / 1000, UTC),
        )

    start = true_ms() + round(scenario.scheduled_start_s * 1000)
    await rest.put_room(staff, room, body(start))
    start = true_ms() + round(rest.clock_ahead_ms) + round(scenario.scheduled_start_s * 1000)
    await rest.put_room(staff, room, body(start))
    return start


async def _act(stage: Stage, scenario: play.Scenario, rest: Rest, staff: str) -> None:
    seeds = Random(stage.options.seed)
    record = stage.record
    actors: list[DeviceActor] = []
    for learner in scenario.learners:
        record.learners[learner.user_id] = Learner(learner.user_id, learner.main)
        actors += [DeviceActor(stage, learner, script, seeds.getrandbits(64)) for script in learner.devices]
    try:
        async with asyncio.TaskGroup() as group:
            for actor in actors:
                group.create_task(actor.act())
            group.create_task(_end(stage, rest, staff))
    except ExceptionGroup as several:
        raise several.exceptions[0] from several


async def _end(stage: Stage, rest: Rest, staff: str) -> None:
    """End the room once everybody who stays to the end has been acknowledged."""
    await stage.all_at_end()
    record = stage.record
    record.end_asked, record.end_told = await rest.end_room(staff, record.room)
    for learner in record.learners.values():
        for device in learner.devices:
            for track in device.tracks.values():
                for hold in track.holds:
                    hold.until = hold.until or record.end_told
    stage.ended.set()


async def _list_members(stage: Stage, rest: Rest, staff: str, listings: list[Listing]) -> None:
    pause = max(1.0, stage.seconds / LISTINGS)
    while not stage.ended.is_set():
        await asyncio.sleep(pause)
        begin = true_ms()
        with suppress(Unreachable, Declined):
            members = await rest.presence(staff, stage.record.room)
            if not stage.ended.is_set():
                listings.append(Listing(begin, true_ms(), members))


def _acked(record: Class) -> dict[str, int]:
    return {
        session_id: seq
        for learner in record.learners.values()
        for device in learner.devices
        for track in device.tracks.values()
        for session_id, seq in track.acked.items()
    }


async def _read_back(outcome: Outcome, rest: Rest, mint: Mint, staff: str, listings: list[Listing]) -> None:
    """Read, compare, and read again what differs until the bound: an answer may trail its acknowledgement."""
    options, record = outcome.options, outcome.record
    rules = truth.Rules(
        options.reconnect_grace_seconds,
        options.late_grace_seconds,
        options.attended_min_seconds,
        options.tolerate_restarts,
    )
    times = truth.class_truth(record)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + options.read_back_seconds
    wrong = set(record.learners)
    while True:
        await _read(outcome.answers, record, wrong, rest, mint, staff)
        compared = Comparison(record, times, rules, outcome.answers)
        outcome.rows, outcome.differences = [], []
        known: dict[str, LearnerTruth] = {}
        for learner in record.learners.values():
            row, known[learner.user_id], found = compared.learner(learner)
            outcome.rows.append(row)
            outcome.differences += found
        outcome.room = await rest.room(staff, record.room)
        outcome.differences += check_room(record, times, known, outcome.room, rules)
        step = max(1, round((record.end_told - times.started.lo) / 1000 / TIMELINE_POINTS))
        outcome.timeline = await rest.timeline(staff, record.room, step)
        outcome.differences += check_timeline(record, known, times, outcome.timeline)
        wrong = {one.learner for one in outcome.differences if one.field != "acting"} & set(record.learners)
        settled = not outcome.differences or all(one.field == "acting" for one in outcome.differences)
        if settled or loop.time() > deadline:
            break
        await asyncio.sleep(AGAIN_S)
    for listing in listings:
        outcome.differences += check_listing(record, listing, rules)
    outcome.differences = _once(outcome.differences)
    outcome.exit_code = DIFFERS if outcome.differences else ALL_MATCH


def _once(differences: list[Difference]) -> list[Difference]:
    return list(dict.fromkeys(differences))


async def _read(answers: Answers, record: Class, users: set[str], rest: Rest, mint: Mint, staff: str) -> None:
    async with asyncio.TaskGroup() as group:
        for user_id in users:
            token = mint(user_id, "learner")
            group.create_task(_read_details(answers, rest, staff, record.room, user_id))
            for session_id in record.learners[user_id].sessions():
                group.create_task(_read_session(answers, rest, token, session_id))


async def _read_session(answers: Answers, rest: Rest, token: str, session_id: str) -> None:
    try:
        answers.sessions[session_id] = await rest.session(token, session_id)
        answers.refused.pop(session_id, None)
    except Declined as error:
        answers.refused[session_id] = str(error)


async def _read_details(answers: Answers, rest: Rest, staff: str, room: str, user_id: str) -> None:
    try:
        answers.details[user_id] = await rest.details(staff, room, user_id)
        answers.refused.pop(user_id, None)
    except Declined as error:
        answers.refused[user_id] = str(error)
