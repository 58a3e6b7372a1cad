"""Private PostgreSQL servers of the tests: in a temporary folder, reached by a socket in it, gone with the test run."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from storage.embedded import launch
from storage.embedded.binaries import program_directory
from storage.embedded.layout import Account
from storage.migrate import migrate

DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")
_START_S: Final = 60.0
_STOP_S: Final = 30.0
_ROOM_BYTES: Final = 2 * 1024**3
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # a power cut is not among the claims here
    "full_page_writes": "off",
    "max_connections": "60",
    "dynamic_shared_memory_type": "mmap",  # inside the folder, so that it goes with it
    "log_min_messages": "fatal",
    # What a careless operator may have set: the journal must not fall for it.
    "synchronous_commit": "off",
}


class Server:
    """A server of its own: `start` and `stop` it at will, `freeze` and `thaw` it as a dead peer would be."""

    def __init__(self, programs: Path, folder: Path, settings: dict[str, str]) -> None:
        self._programs = programs
        self._folder = folder
        self._options = [f"-c{name}={value}" for name, value in (_SETTINGS | settings).items()]
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def make(self) -> None:
        data = self._folder / "data"
        initdb: list[str | Path] = [self._programs / "initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", data]
        process = _spawn([*initdb, "-E", "UTF8", "--locale=C.UTF-8"], self._folder, self._log)
        assert process.wait(_START_S) == 0, self._log.read_text()

    def start(self) -> None:
        """Start it unless it runs. In the main thread: it dies with the thread that started it."""
        if self._process is not None:
            return
        data = self._folder / "data"
        command: list[str | Path] = [self._programs / "postgres", "-D", data, "-k", self._folder, *self._options]
        self._process = _spawn(command, self._folder, self._log)
        deadline = time.monotonic() + _START_S
        pid_file = data / "postmaster.pid"
        while not (pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, in good order. SIGQUIT: as in a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_STOP_S)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            os.kill(pid, number)

    @property
    def _log(self) -> Path:
        return self._folder / "log"


class Databases:
    """Fresh databases on one server, by copying one that has the schema.

    Not `by_copy` where TimescaleDB is: its workers sit in each database, and one in use cannot be copied.
    """

    def __init__(self, admin_dsn: str, *, by_copy: bool = True) -> None:
        self._admin_dsn = admin_dsn
        self._by_copy = by_copy
        self._made: set[str] = set()
        self._template: str | None = None

    async def empty(self, options: str = "ENCODING 'UTF8'") -> str:
        """The DSN of a new database with nothing in it."""
        return await self._create(f"TEMPLATE template0 {options}")

    async def migrated(self) -> str:
        """The DSN of a new database with the schema."""
        if self._template is not None:
            # By files: the other way, by the log, takes twice the time, and as long again to drop.
            return await self._create(f'TEMPLATE "{self._template}" STRATEGY FILE_COPY')
        dsn = await self.empty()
        await migrate(dsn)
        if not self._by_copy:
            return dsn
        self._template = _name(dsn)
        return await self.migrated()

    async def drop(self, *dsns: str) -> None:
        """Drop these; all that are left where none is named."""
        for dsn in dsns or sorted(self._made):
            await self._run(f'DROP DATABASE "{_name(dsn)}" WITH (FORCE)')
            self._made.discard(dsn)

    async def _create(self, options: str) -> str:
        name = f"rollcall_test_{secrets.token_hex(6)}"
        await self._run(f'CREATE DATABASE "{name}" {options}')
        dsn = urlunsplit(urlsplit(self._admin_dsn)._replace(path=f"/{name}"))
        self._made.add(dsn)
        return dsn

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._admin_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _name(dsn: str) -> str:
    return urlsplit(dsn).path.removeprefix("/")


def embedded_programs() -> Path:
    """Where the programs of the embedded PostgreSQL are."""
    return program_directory(_account())


@contextmanager
def running(programs: Path, **settings: str) -> Iterator[Server]:
    """Start a server of those programs; stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-test-", dir=_quick_place()))
    account = _account()
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    server = Server(programs, folder, settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nothing of it is kept, so nothing need be written
        shutil.rmtree(folder, ignore_errors=True)


def _spawn(command: list[str | Path], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    # As the embedded server does it: the child drops its privileges, and dies with us.
    account = _account()
    uid, gid = (-1, -1) if account is None else (account.uid, account.gid)
    launcher = [sys.executable, "-I", "-S", launch.__file__, uid, gid, os.getpid(), int(signal.SIGINT)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*map(str, launcher), *map(str, command)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        )


def _quick_place() -> str:
    """Memory, where there is room: a cluster is two thousand small files. A short path, for the socket in it."""
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > _ROOM_BYTES
    return str(shm) if roomy else "/tmp"


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid, nobody.pw_name)
