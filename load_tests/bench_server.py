"""A server of one's own to measure: started by its command, pinned to a core, its CPU and memory read from the system.

The server runs on core 0; the generator and PostgreSQL on core 1. On one core everything shares it, and the report says
so. The database is the embedded one in a temporary directory: its durability settings are those of production.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil

START_S: Final = 60.0
STOP_S: Final = 30.0


class Cpu(NamedTuple):
    """CPU seconds so far."""

    server: float
    database: float
    generator: float

    def since(self, before: Cpu) -> Cpu:
        """What was used between two readings."""
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


class BenchServer:
    """A running server, and what it costs."""

    def __init__(self, port: int, data_dir: Path, settings: dict[str, str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.data_dir = data_dir
        self._settings = settings
        self.start()

    def start(self) -> None:
        """Start it; `wait_ready` tells when it serves."""
        command = [_rollcall(), "serve", "--dev", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        environment = {**os.environ, "ROLLCALL_LOG_LEVEL": "warning", **self._settings}
        with self._log.open("ab") as output:
            self._child = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        self._process = psutil.Process(self._child.pid)

    def wait_ready(self) -> None:
        """Wait until it serves. Raises RuntimeError with the end of its log where it does not come to that."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                message = f"the server ended with {self._child.returncode}: {self.log()[-2000:]}"
                raise RuntimeError(message)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        message = f"the server was not ready within {START_S} s: {self.log()[-2000:]}"
        raise RuntimeError(message)

    def kill(self) -> None:
        """Kill -9 it; its PostgreSQL is stopped by the kernel with it."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """Stop it in good order."""
        self._child.terminate()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def metrics(self) -> dict[str, float]:
        """`/metrics`: each series by its name and labels as they are written."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    @property
    def _log(self) -> Path:
        return self.data_dir / "server.log"

    def pin(self) -> bool:
        """Server on one core, everything else on another; False where there is only one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return False
        os.sched_setaffinity(0, {cores[1]})
        self._process.cpu_affinity([cores[0]])
        for child in self._process.children(recursive=True):
            child.cpu_affinity([cores[1]])
        return True

    def cpu(self) -> Cpu:
        """CPU used so far by the server, by its PostgreSQL and by this process."""
        database = 0.0
        for child in self._process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            database += times.user + times.system + times.children_user + times.children_system
        own = self._process.cpu_times()
        mine = psutil.Process().cpu_times()
        return Cpu(own.user + own.system, database, mine.user + mine.system)

    def rss(self) -> int:
        """Resident bytes of the server process alone."""
        return int(self._process.memory_info().rss)

    def tokens(self, count: int, prefix: str = "u") -> list[str]:
        """Learners' tokens for `prefix`1 to `prefix`COUNT."""
        return self._tokens("--count", str(count), "--prefix", prefix, "--role", "learner")

    def staff_token(self) -> str:
        """A token of staff."""
        return self._tokens("--user", "bench-staff", "--role", "staff")[0]

    def write_key(self, name: str, right: str) -> str:
        """A new write key."""
        command = [_rollcall(), "keys", "create", "--data-dir", str(self.data_dir), "--name", name, "--right", right]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _tokens(self, *options: str) -> list[str]:
        command = [_rollcall(), "token", "--data-dir", str(self.data_dir), "--ttl", "6h", *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _rollcall() -> str:
    beside = Path(sys.executable).with_name("rollcall")
    return str(beside) if beside.exists() else "rollcall"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def bench_server(**settings: str) -> Generator[BenchServer]:
    """Start a development server with these `ROLLCALL_*` settings; stop it and remove its data at the end."""
    data_dir = Path(tempfile.mkdtemp(prefix="rollcall-bench-"))
    port = _free_port()
    server = BenchServer(port, data_dir, settings)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()
        shutil.rmtree(data_dir, ignore_errors=True)
