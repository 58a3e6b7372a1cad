"""`python -m load_tests plugnmeet`: against a running server, or against one of its own that it may kill meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import uvloop
from rich.console import Console

from load_tests.bench_server import BenchServer, bench_server
from load_tests.plugnmeet.disorder import Disorder
from load_tests.plugnmeet.drive import Options, Outcome, drive, show
from load_tests.plugnmeet.sender import Key

OWN_KEY: Final = Key("stand-in", "a-secret-of-the-stand-in-and-of-nobody-else")
KILL_AFTER_S: Final = (1.0, 4.0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be asked for."""
    group = parser.add_argument_group("plugnmeet (and webhooks: --rooms)")
    group.add_argument("--rooms", type=int, default=50)
    group.add_argument("--participants", type=int, default=40, help="of each room")
    group.add_argument("--minutes", type=int, default=50, help="length of a class; it lies in the past")
    group.add_argument("--speed", type=float, default=0.0, help="seconds of class a second; 0 = all at once")
    group.add_argument("--seed", type=int, default=1)
    group.add_argument("--disorder", choices=["mixed", *(str(each) for each in Disorder)], default="mixed")
    group.add_argument("--repeats", type=float, default=0.1, help="share of messages that come again")
    group.add_argument("--scale", type=float, default=1.0, help="stretches the pauses between attempts (1 s, 2 s)")
    group.add_argument("--kills", type=int, default=0, help="kill -9 the server so often meanwhile; only its own one")
    group.add_argument("--url", help="a running server; default: one of its own")
    group.add_argument("--token", help="of staff, as `rollcall token --role staff` prints it; with --url")
    group.add_argument("--key", help="name:secret, one of ROLLCALL_PLUGNMEET_KEYS; with --url")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Figures; `differences` is how many there are, and they are printed."""
    asked = Options(
        rooms=options.rooms,
        participants=options.participants,
        minutes=options.minutes,
        seed=options.seed,
        speed=options.speed,
        disorder=options.disorder,
        repeats=options.repeats,
        scale=options.scale,
    )
    if options.url:
        name, _, secret = (options.key or "").partition(":")
        if not (secret and options.token):
            raise SystemExit("plugnmeet: --url needs --token and --key name:secret")
        outcome = uvloop.run(drive(asked, options.url, options.token, Key(name, secret)))
    else:
        outcome = on_own_server(asked, kills=options.kills)
    show(outcome, Console(stderr=True))
    return {**outcome.figures, "differences": len(outcome.differences)}


def on_own_server(asked: Options, *, kills: int = 0) -> Outcome:
    """The same against a server that is started for it, killed `kills` times meanwhile, and stopped."""
    with bench_server(ROLLCALL_PLUGNMEET_KEYS=f"{OWN_KEY.name}:{OWN_KEY.secret}") as server:
        harm = _killer(server, kills, asked.seed) if kills else None
        # A server that is killed takes its count along.
        cost = None if kills else lambda: server.cpu().server
        outcome = uvloop.run(drive(asked, server.url, server.staff_token(), OWN_KEY, harm, cost))
        outcome.figures["kills"] = kills
        return outcome


def _killer(server: BenchServer, kills: int, seed: int) -> Callable[[], Awaitable[None]]:
    async def kill() -> None:
        random = Random(seed)
        for _ in range(kills):
            await asyncio.sleep(random.uniform(*KILL_AFTER_S))
            begin = time.monotonic()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.wait_ready)
            Console(stderr=True).print(f"killed; back after {time.monotonic() - begin:.2f} s")

    return kill
