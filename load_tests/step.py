"""The machines alone: nanoseconds a step, without sockets, journal or scheduler.

The one module of this folder that knows the actors: what it measures is the heart itself.
"""

from __future__ import annotations

import time
from typing import Any, Final

from actors.machines.events import Incarnated, Joined, Opened, RoomSampled, Sampled
from actors.machines.room import Room
from actors.machines.state import RoomRules, RoomState
from actors.machines.track import Sample
from actors.machines.watch import WatchRules, WatchSession

BEGIN: Final = 1_700_000_000_000
INTERVAL: Final = 10_000
MEMBERS: Final = 100


def watch_us(steps: int) -> float:
    """Microseconds a heartbeat of a watch session."""
    machine = WatchSession("s", None, WatchRules())
    machine.step(Opened("u", "kind", "1", "device", "websocket", INTERVAL, 3_600_000), BEGIN)
    events = [
        Sampled(BEGIN + n * INTERVAL, [Sample(n + 1, BEGIN + n * INTERVAL, n * INTERVAL, 0)]) for n in range(steps)
    ]
    begin = time.perf_counter()
    for number, event in enumerate(events):
        machine.step(event, BEGIN + number * INTERVAL + 50)
    return (time.perf_counter() - begin) / steps * 1e6


def room_us(steps: int) -> float:
    """Microseconds a heartbeat of a member of a room of a hundred."""
    room = Room("r", RoomState(), RoomRules())
    room.step(Incarnated(), BEGIN)
    for member in range(MEMBERS):
        room.step(Joined(f"u{member}", "learner", None, f"s{member}", None, "device", None, INTERVAL), BEGIN)
    events = [
        RoomSampled(
            f"s{n % MEMBERS}",
            BEGIN + n // MEMBERS * INTERVAL,
            [Sample(n // MEMBERS + 1, BEGIN + n // MEMBERS * INTERVAL, n // MEMBERS * INTERVAL, 0)],
        )
        for n in range(steps)
    ]
    begin = time.perf_counter()
    for number, event in enumerate(events):
        room.step(event, BEGIN + number // MEMBERS * INTERVAL + 50)
    return (time.perf_counter() - begin) / steps * 1e6


def step(steps: int, rounds: int = 5) -> dict[str, Any]:
    """Both, the least of some rounds."""
    return {
        "watch_us": round(min(watch_us(steps) for _ in range(rounds)), 3),
        "room_us": round(min(room_us(steps) for _ in range(rounds)), 3),
    }
