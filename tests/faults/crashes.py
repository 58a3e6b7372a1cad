"""Kill things while a class goes on, then ask whether a second is missing or doubled.

    python tests/faults/crashes.py --kill server --times 20 --learners 500     # the long form, by hand
    python tests/faults/crashes.py --kill both --times 3 --learners 60

A simulated class (`rollcall simulate`, players over real sockets) knows the truth that it acted. Meanwhile this script
kills -9 the server, its PostgreSQL or both, at random moments or in the middle of checkpoints, and starts the server
again. The class reads its answers back; it exits with 1 when a second is missing or doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket
from typing import Any, Final

import psutil

START_S: Final = 60.0
PROGRAM: Final = str(Path(sys.executable).with_name("rollcall"))
TARGETS: Final = ("server", "database", "both", "checkpoint", "server-while-database-down")


class Node:
    """A server in a process of its own, to be killed."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, "ROLLCALL_LOG_LEVEL": "warning", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.longest_start_s = 0.0

    def start(self) -> None:
        """Start it and wait until it serves."""
        begin = time.monotonic()
        command = [PROGRAM, "serve", "--dev", "--port", str(self.port), "--data-dir", str(self.directory / "data")]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self.until_ready()
        self.starts += 1
        self.longest_start_s = max(self.longest_start_s, time.monotonic() - begin)

    def until_ready(self) -> None:
        """Wait for `/readyz`."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            process = self._process
            assert process is None or process.poll() is None, self.log()[-3000:]
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.02)
        message = f"not ready within {START_S} s: {self.log()[-3000:]}"
        raise AssertionError(message)

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it has said."""
        return (self.directory / "server.log").read_text()

    def checkpoints(self) -> float:
        """How many checkpoints it has written."""
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/metrics", timeout=1) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("rollcall_checkpoints_total "):
                    return float(line.split()[1])
        return -1.0

    def postmaster(self) -> psutil.Process | None:
        """Its PostgreSQL."""
        if self._process is None:
            return None
        children = psutil.Process(self._process.pid).children()
        return next((child for child in children if "postgres" in child.name()), None)

    def kill_database(self) -> None:
        """Kill -9 the postmaster and all its children, as a power cut would."""
        postmaster = self.postmaster()
        if postmaster is not None:
            for process in (postmaster, *postmaster.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def kill(self) -> None:
        """Kill -9 the server."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Stop it in good order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None


@contextmanager
def node(**settings: str) -> Iterator[Node]:
    """A running server with a data directory of its own."""
    with tempfile.TemporaryDirectory(prefix="rollcall-faults-", ignore_cleanup_errors=True) as directory:
        server = Node(Path(directory), **settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def strike(server: Node, target: str, chance: random.Random) -> None:
    """One accident, and the restart after it."""
    if target == "checkpoint":
        before = server.checkpoints()
        deadline = time.monotonic() + 5
        # The next one begins as soon as something is due: right behind the last is in the middle of it.
        while server.checkpoints() == before and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.01))
        server.kill()
    elif target == "database":
        server.kill_database()
        server.until_ready()
        return
    elif target == "both":
        server.kill_database()
        server.kill()
    elif target == "server-while-database-down":
        server.kill_database()
        time.sleep(chance.uniform(0, 0.1))
        server.kill()
    else:
        server.kill()
    server.start()


def _strike_now_and_then(
    server: Node, class_: subprocess.Popen[bytes], target: str, times: int, minutes: float, chance: random.Random
) -> int:
    pause = minutes * 60 * 0.9 / (times + 1)
    strikes = 0
    while strikes < times and class_.poll() is None:
        time.sleep(chance.uniform(0.3, 1.7) * pause)
        if class_.poll() is None:
            strike(server, target, chance)
            strikes += 1
    return strikes


def run(target: str, times: int, learners: int, minutes: float, seed: int) -> dict[str, Any]:
    """Act a class while things are killed; returns the simulation's report with our counts, `exit_code` among them."""
    chance = random.Random(seed)
    settings = {"ROLLCALL_CHECKPOINT_SECONDS": "1"} if target == "checkpoint" else {"ROLLCALL_CHECKPOINT_SECONDS": "8"}
    with node(**settings) as server:
        report = server.directory / "report.json"
        command = [PROGRAM, "simulate", "--url", server.url, "--data-dir", str(server.directory / "data")]
        command += ["--learners", str(learners), "--minutes", str(minutes), "--speed", "1", "--seed", str(seed)]
        command += ["--tolerate-restarts", "--report", str(report)]
        with (server.directory / "simulate.log").open("wb") as log:
            class_ = subprocess.Popen(command, stdout=log, stderr=log)
        begin = time.monotonic()
        try:
            strikes = _strike_now_and_then(server, class_, target, times, minutes, chance)
            code = class_.wait(minutes * 60 + 240)
        finally:
            class_.kill()
        said = (server.directory / "simulate.log").read_text()
        found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        return {
            "exit_code": code,
            "target": target,
            "strikes": strikes,
            "longest_restart_s": round(server.longest_start_s, 2),
            "seconds": round(time.monotonic() - begin, 1),
            "said": said,
            "log": server.log()[-4000:],
            "report": found,
        }


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill", choices=TARGETS, default="server")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--learners", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", help="where to keep the simulation's report (JSON)")
    options = parser.parse_args()
    outcome = run(options.kill, options.times, options.learners, options.minutes, options.seed)
    print(outcome["said"][-6000:])
    if options.report:
        Path(options.report).write_text(json.dumps(outcome["report"], indent=1))
    print({key: value for key, value in outcome.items() if key not in ("said", "log", "report")})
    return int(outcome["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
