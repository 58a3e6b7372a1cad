"""`python -m load_tests SCENARIO`: measure, print, and keep the figures in `load_tests/results/`.

`plugnmeet` also compares what it reads back with the truth; its exit code is 1 where something differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from load_tests import scenarios
from load_tests.collector import collector
from load_tests.events import events
from load_tests.mobile import command as mobile
from load_tests.plugnmeet import classes
from load_tests.step import step
from load_tests.webhooks import webhooks
from load_tests.year import dashboards, history

RESULTS = Path(__file__).parent / "results"
SCENARIOS = ["heartbeats", "http", "video", "idle", "step", "webhooks", "events", "plugnmeet", "collector"]
NOT_KEPT = frozenset({"scenario", "name", "amqp", "token", "key"})
"""Options that say nothing of what was measured, or are secrets."""


OWN_OPTIONS: dict[str, Callable[[Sequence[str]], int]] = {
    "history": history.main,
    "dashboards": dashboards.main,
    "mobile": mobile.main,
}
"""Commands that take other options, and write elsewhere."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=15_000.0, help="heartbeats, requests or events a second in all")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--samples", type=int, default=10, help="samples a request (http)")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--what", choices=["join", "watch"], default="join", help="rooms of 40, or watch sessions")
    parser.add_argument("--amqp", default=os.environ.get("AMQP_URL"), help="the broker (events); default: AMQP_URL")
    classes.add_options(parser)
    parser.add_argument("--name", help="name of the result; default: the scenario")
    return parser


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    ask: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "heartbeats": lambda ask: uvloop.run(scenarios.heartbeats(ask.connections, ask.rate, ask.seconds, ask.what)),
        "http": lambda ask: uvloop.run(scenarios.http(ask.connections, ask.rate, ask.seconds, ask.samples)),
        "video": lambda ask: uvloop.run(scenarios.video(ask.connections, ask.rate, ask.seconds)),
        "idle": lambda ask: uvloop.run(scenarios.idle(ask.connections)),
        "step": lambda ask: step(ask.steps),
        "webhooks": lambda ask: uvloop.run(webhooks(ask.rooms, ask.rate, ask.seconds)),
        "events": _events,
        "plugnmeet": classes.run,
        "collector": lambda ask: uvloop.run(collector(ask.connections, ask.rate, ask.seconds, ask.samples)),
    }
    return ask[options.scenario](options)


def _events(options: argparse.Namespace) -> dict[str, Any]:
    if not options.amqp:
        sys.exit("events: name a broker by --amqp or AMQP_URL")
    return uvloop.run(events(options.amqp, options.rate, options.seconds))


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return found.stdout.strip() or "unknown"


def main() -> int:
    """Run one scenario."""
    own = OWN_OPTIONS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if own is not None:
        return own(sys.argv[2:])
    options = _parser().parse_args()
    figures = _measure(options)
    result = {
        "scenario": options.scenario,
        "commit": _commit(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "parameters": {key: value for key, value in vars(options).items() if key not in NOT_KEPT},
        "figures": figures,
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name or options.scenario}.json").write_text(text + "\n")
    return 1 if figures.get("differences") else 0


if __name__ == "__main__":
    sys.exit(main())
