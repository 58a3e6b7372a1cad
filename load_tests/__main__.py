"""`python -m load_tests SCENARIO`: measure, print, and keep the figures in `load_tests/results/`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from load_tests import scenarios
from load_tests.step import step

RESULTS = Path(__file__).parent / "results"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    parser.add_argument("scenario", choices=["heartbeats", "http", "idle", "step"])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=15_000.0, help="heartbeats (http: requests) a second in all")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--samples", type=int, default=10, help="samples a request (http)")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--what", choices=["join", "watch"], default="join", help="rooms of 40, or watch sessions")
    parser.add_argument("--name", help="name of the result; default: the scenario")
    return parser


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    if options.scenario == "step":
        return step(options.steps)
    if options.scenario == "idle":
        return uvloop.run(scenarios.idle(options.connections))
    if options.scenario == "http":
        return uvloop.run(scenarios.http(options.connections, options.rate, options.seconds, options.samples))
    return uvloop.run(scenarios.heartbeats(options.connections, options.rate, options.seconds, options.what))


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
    options = _parser().parse_args()
    figures = _measure(options)
    result = {
        "scenario": options.scenario,
        "commit": _commit(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "parameters": {key: value for key, value in vars(options).items() if key not in ("scenario", "name")},
        "figures": figures,
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name or options.scenario}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
