"""`python -m load_tests mobile`: against a running server, or against one of its own that it may kill meanwhile.

A running one needs a staff token, learners' tokens (`rollcall token --count 56 --prefix m --role learner > FILE`) and a
project (`rollcall keys create --name phones --right mobile`). Exit code 1 where something differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import uvloop
from rich.console import Console

from load_tests.bench_server import BenchServer, bench_server
from load_tests.mobile.drive import Options, Outcome, drive, show

PROJECT: Final = "stand-in"
NONE_PROJECT: Final = "stand-in-none"
KILL_AFTER_S: Final = (3.0, 6.0)


def main(arguments: Sequence[str]) -> int:
    """Run it. Returns the exit code."""
    asked = _parser().parse_args(arguments)
    options = Options(project=asked.project, none_project=asked.none_project, seconds=asked.seconds, seed=asked.seed)
    if asked.url:
        if not (asked.token and asked.learner_tokens):
            raise SystemExit("mobile: --url needs --token and --learner-tokens")
        tokens = asked.learner_tokens.read_text().split()
        outcome = uvloop.run(drive(options, asked.url, asked.token, tokens))
    else:
        outcome = on_own_server(options, learners=asked.learners, kills=asked.kills, token_s=asked.token_seconds)
    show(outcome, Console(stderr=True))
    sys.stdout.write(json.dumps({**outcome.figures, "differences": len(outcome.differences)}, indent=2) + "\n")
    return 1 if outcome.differences else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load_tests mobile", description=__doc__)
    parser.add_argument("--learners", type=int, default=56, help="on a server of its own; fourteen acts in turn")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long those who watch now do so")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="kill -9 the server so often meanwhile; only its own one")
    parser.add_argument("--token-seconds", type=int, default=7200, help="life of an app's token; on its own server")
    parser.add_argument("--url", help="a running server; default: one of its own")
    parser.add_argument("--token", help="of staff, as `rollcall token --role staff` prints it; with --url")
    parser.add_argument("--learner-tokens", type=Path, metavar="FILE", help="one a line; with --url")
    parser.add_argument("--project", default=PROJECT, help="a write key's name with the right mobile")
    parser.add_argument("--none-project", help="one with --sample-rate 0; with --url")
    return parser


def on_own_server(options: Options, *, learners: int, kills: int = 0, token_s: int = 7200) -> Outcome:
    """The same against a server that is started for it, killed `kills` times meanwhile, and stopped.

    Its tokens live `token_s`.
    """
    # Lists of viewers are read from tables: without this they are told a minute later.
    settings = {"ROLLCALL_CHECKPOINT_SECONDS": "4", "ROLLCALL_MOBILE_TOKEN_SECONDS": str(token_s)}
    with bench_server(**settings) as server:
        _make_project(server, options.project, 100)
        _make_project(server, NONE_PROJECT, 0)
        asked = Options(
            project=options.project,
            none_project=NONE_PROJECT,
            seconds=options.seconds,
            seed=options.seed,
            read_back_s=options.read_back_s,
        )
        harm = _killer(server, kills, options.seed) if kills else None
        outcome = uvloop.run(drive(asked, server.url, server.staff_token(), server.tokens(learners, "m"), harm))
        outcome.figures["kills"] = kills
        if outcome.differences:
            Console(stderr=True).print(server.log()[-4000:], markup=False, highlight=False, soft_wrap=True)
        return outcome


def _make_project(server: BenchServer, name: str, sample_rate: int) -> None:
    program = str(Path(sys.executable).with_name("rollcall"))
    what = ["keys", "create", "--name", name, "--right", "mobile", "--sample-rate", str(sample_rate)]
    subprocess.run([program, *what, "--data-dir", str(server.data_dir)], check=True, capture_output=True)


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
