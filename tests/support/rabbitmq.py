"""A private RabbitMQ of the tests: its own epmd, free loopback ports, data in a temporary folder, gone with the run.

`kill` and `start` keep the data: what a power cut and its end are to a broker.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path("/usr/lib/rabbitmq/bin")
"""Not the wrappers in /usr/sbin: those change the user and know one server a machine."""
EPMD: Final = shutil.which("epmd")
_START_S: Final = 90.0
_STOP_S: Final = 40.0
_ASK_S: Final = 30.0
_CONFIGURATION: Final = """
loopback_users = none
log.console = false
log.file.level = warning
# Smaller machines than a broker's own should be able to run this.
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
default_user = guest
default_pass = guest
"""


def is_installed() -> bool:
    """Whether there is a RabbitMQ to start."""
    return (PROGRAMS / "rabbitmq-server").exists() and EPMD is not None


class Broker:
    """One server. `start` and `stop` it at will, `kill` it as a power cut would, `freeze` it as a dead peer is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._dist_port, self._epmd_port = _free_ports(3)
        self._node = f"t{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(_CONFIGURATION)
        (folder / "enabled_plugins").write_text("[].")
        for name in ("home", "mnesia", "log", "generated"):
            (folder / name).mkdir()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it unless it runs; returns when it serves."""
        if self._server is not None:
            return
        self.launch()
        self.await_startup()

    def launch(self) -> None:
        """Start it, and do not wait until it serves."""
        self._start_epmd()
        # A stale one would name a process of others.
        (self._folder / "node.pid").unlink(missing_ok=True)
        with (self._folder / "out").open("ab") as output:
            self._server = subprocess.Popen(
                [PROGRAMS / "rabbitmq-server"],
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def await_startup(self) -> None:
        """Return when it serves."""
        deadline = time.monotonic() + _START_S
        while self.control("await_startup").returncode != 0:
            assert self._server is not None
            assert self._server.poll() is None, self.said()
            assert time.monotonic() < deadline, f"RabbitMQ did not start: {self.said()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it in good order."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                _kill_group(server)

    def kill(self) -> None:
        """Kill -9 everything of it at once; the data stay."""
        server, self._server = self._server, None
        if server is not None:
            _kill_group(server)

    def freeze(self) -> None:
        """Let it stand still: it holds its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `rabbitmqctl`."""
        return subprocess.run(
            [PROGRAMS / "rabbitmqctl", "--node", self._node, *arguments],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_ASK_S + _START_S,
            check=False,
        )

    def close(self) -> None:
        """End it for good, its epmd with it."""
        self.kill()
        epmd, self._epmd = self._epmd, None
        if epmd is not None:
            epmd.kill()
            epmd.wait(_STOP_S)

    def said(self) -> str:
        """What it wrote."""
        out = self._folder / "out"
        return out.read_text()[-4000:] if out.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, number)

    def _start_epmd(self) -> None:
        # In the foreground, of our own: otherwise the server would leave a daemon behind.
        if self._epmd is not None and self._epmd.poll() is None:
            return
        assert EPMD is not None
        self._epmd = subprocess.Popen(
            [EPMD, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
        )

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "node.pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Two schedulers are enough for a test, and idle ones need not spin.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }


@contextmanager
def running() -> Generator[Broker]:
    """A server of its own; gone at the end, with all that it kept."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-rabbit-"))
    broker = Broker(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


def _kill_group(server: subprocess.Popen[bytes]) -> None:
    """The shell, the virtual machine and its helpers share a group."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(_STOP_S)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
