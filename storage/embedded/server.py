"""The life of the embedded PostgreSQL: start, watch, restart, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Generator
from enum import StrEnum
from pathlib import Path
from typing import Final

from storage.embedded import cluster, launch, orphans
from storage.embedded.binaries import program_directory
from storage.embedded.layout import Account, DirectoryLock, EmbeddedError, InUseError, Layout
from storage.embedded.log_file import LogFile

START_S: Final = 300.0
"""Recovery after a power cut reads the whole write-ahead log since the last checkpoint: minutes on a slow disk."""
INITDB_S: Final = 120.0
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 5.0
STEADY_S: Final = 30.0
"""Having run this long, the next failure starts again with the shortest back-off."""
LOG_CHECK_S: Final = 30.0
_READY_POLL_S: Final = 0.005
_IN_USE_POLL_S: Final = 0.05
_PREFLIGHT_S: Final = 10
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}  # no PG* variable may interfere


class EmbeddedState(StrEnum):
    """What `supervise` reports."""

    RUNNING = "running"
    DOWN = "down"


class EmbeddedPostgres:
    """One PostgreSQL for one data directory. `start` once, `supervise` in a task, `stop` at the end.

    To be used from one event loop, in a thread that lives as long as the server: when the thread that started it ends,
    the kernel shuts PostgreSQL down.
    """

    def __init__(self, data_dir: Path, *, start_s: float = START_S, in_use_s: float = 0.0) -> None:
        """`in_use_s`: how long `start` waits for another process to leave, e.g. a migration run just before."""
        self._layout = Layout(data_dir)
        self._lock = DirectoryLock(self._layout.lock)
        self._log = LogFile(self._layout.log)
        self._start_s = start_s
        self._in_use_s = in_use_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()  # start, restart and stop do not overlap
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def alive(self) -> bool:
        """Whether the process runs. It was ready when `start` returned."""
        return self.pid is not None

    async def start(self) -> str:
        """Start PostgreSQL, making the cluster first when there is none; return its address (a secret).

        Raises `EmbeddedError`: in use by another process, not installed, no room, wrong version, corrupt.
        """
        async with self._turn:
            self._stopping.clear()
            try:
                self._layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                await self._acquire()
            except OSError as error:
                raise _world(self._layout, error) from error
            try:
                return await self._run()
            except BaseException:
                self._lock.release()
                raise

    async def stop(self) -> None:
        """Stop PostgreSQL in good order (fast shutdown, then immediate) and free the directory. May be repeated."""
        self._stopping.set()
        async with self._turn:
            await self._end_process()
            if self._lock.held:
                self._layout.drop_socket_directory()
            self._lock.release()

    async def wait_exit(self) -> int | None:
        """Wait until the process has ended; return its exit code, None when it was never started."""
        return None if self._process is None else await self._process.wait()

    async def supervise(self, on_change: Callable[[EmbeddedState, str], None] | None = None) -> None:
        """Restart PostgreSQL whenever it ends, with growing back-off, until `stop`; also keeps its log bounded.

        `on_change` hears DOWN with the reason (again for each failed attempt) and RUNNING. The address stays the same.
        """
        tell = on_change or _nobody
        loop = asyncio.get_running_loop()
        delay_s = BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began_s = loop.time()
            code = await self._watch()
            if self._stopping.is_set():
                return
            tell(EmbeddedState.DOWN, f"PostgreSQL ended ({code}): {self._log.complaint()}")
            if loop.time() - began_s >= STEADY_S:
                delay_s = BACKOFF_FIRST_S
            while not self._stopping.is_set():
                await _sleep_unless(self._stopping, delay_s)
                delay_s = min(delay_s * 2, BACKOFF_MOST_S)
                try:
                    await self._restart()
                except EmbeddedError as error:
                    tell(EmbeddedState.DOWN, str(error))
                else:
                    break
            if self.alive():
                tell(EmbeddedState.RUNNING, "")

    async def _acquire(self) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._in_use_s
        while True:
            try:
                return self._lock.acquire()
            except InUseError:
                if self._stopping.is_set() or loop.time() >= deadline_s:
                    raise
            await asyncio.sleep(_IN_USE_POLL_S)

    async def _watch(self) -> int | None:
        ended = asyncio.ensure_future(self.wait_exit())
        try:
            while not (await asyncio.wait({ended}, timeout=LOG_CHECK_S))[0]:
                with contextlib.suppress(OSError):  # a full disk is reported by those who must write
                    self._log.trim()
            return ended.result()
        finally:
            ended.cancel()

    async def _restart(self) -> None:
        async with self._turn:
            if not self._stopping.is_set():
                await self._run()

    async def _run(self) -> str:
        """Bring the cluster into order and PostgreSQL up. The lock is held."""
        try:
            account = self._layout.account()
            programs = await asyncio.to_thread(program_directory, account)
            self._layout.make(account)
            if not self._layout.has_cluster:
                await self._make_cluster(programs, account)
            cluster.check(self._layout)
            await orphans.clear(self._layout.cluster)
            self._log.trim()
            socket_directory = self._layout.make_socket_directory(account)
            self._layout.clear_socket(socket_directory)
            await self._launch(programs, account, socket_directory)
        except OSError as error:
            raise _world(self._layout, error) from error
        return self._layout.dsn(socket_directory)

    async def _make_cluster(self, programs: Path, account: Account | None) -> None:
        cluster.clear_drafts(self._layout)
        cluster.hand_password(self._layout, account)
        with _directory(self._layout.root) as handle:
            command = cluster.initdb_command(programs, handle)
            process = await _spawn(command, account, handle, output=PIPE, death_signal=signal.SIGKILL)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), INITDB_S)
        except TimeoutError as error:
            raise EmbeddedError(f"initdb did not end within {INITDB_S:g} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            (self._layout.root / cluster.PASSWORD_FILE).unlink(missing_ok=True)
        if process.returncode != 0:
            said = output.decode("utf-8", "replace").strip().splitlines()
            raise EmbeddedError(f"initdb failed in {self._layout.root}: {'; '.join(said[-3:])}")
        cluster.move_in(self._layout)

    async def _launch(self, programs: Path, account: Account | None, socket_directory: Path) -> None:
        log = self._log.open()
        try:
            with _directory(self._layout.root) as handle:
                command = cluster.server_command(programs, self._layout, handle, socket_directory)
                # SIGINT is the fast shutdown: without its parent PostgreSQL has no one to serve.
                self._process = await _spawn(command, account, handle, output=log, death_signal=signal.SIGINT)
        finally:
            os.close(log)
        try:
            await self._ready(self._process)
        except BaseException:
            await self._end_process()
            raise

    async def _ready(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._start_s
        while orphans.ready_pid(self._layout.cluster) != process.pid:
            if process.returncode is not None:
                raise EmbeddedError(f"PostgreSQL did not start ({process.returncode}): {self._log.complaint()}")
            if self._stopping.is_set():
                raise EmbeddedError("PostgreSQL was stopped while it started")
            if loop.time() > deadline_s:
                raise EmbeddedError(f"PostgreSQL was not ready within {self._start_s:g} s: {self._log.complaint()}")
            await asyncio.sleep(_READY_POLL_S)

    async def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        for number, bound_s in (
            (signal.SIGINT, orphans.FAST_S),
            (signal.SIGQUIT, orphans.IMMEDIATE_S),
            (signal.SIGKILL, None),
        ):
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), bound_s)


def has_database(data_dir: Path) -> bool:
    """Whether a database was ever made in `data_dir`. Changes nothing."""
    return Layout(data_dir).has_cluster


def running_dsn(data_dir: Path) -> str | None:
    """Return the address of a database that another process runs in `data_dir` right now, else None.

    For tools that work beside a server. Needs the right to read the directory and to see the processes (the same user,
    or root).
    """
    layout = Layout(data_dir)
    place = layout.socket_directory()
    if place is None or orphans.ready_pid(layout.cluster) not in orphans.processes(layout.cluster):
        return None
    return layout.dsn(place)


def preflight(data_dir: Path) -> str:
    """Return the version of PostgreSQL that would run for `data_dir`, having run its program as the right account.

    Blocks. Raises `EmbeddedError` when it could not be started, or would refuse the cluster that is there.
    """
    layout = Layout(data_dir)
    try:
        account = layout.account()
        said = subprocess.run(  # noqa: S603 - our own program
            [str(program_directory(account) / "postgres"), "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            cwd="/",
            env=_ENVIRONMENT,
            timeout=_PREFLIGHT_S,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
        if layout.has_cluster:
            cluster.check(layout)
    except OSError as error:
        raise _world(layout, error) from error
    except subprocess.SubprocessError as error:
        raise EmbeddedError(f"PostgreSQL's program does not run here: {error}") from error
    return said.stdout.decode("utf-8", "replace").strip()


async def _spawn(
    command: list[str], account: Account | None, handle: int, *, output: int, death_signal: signal.Signals
) -> Process:
    """Start a child through `launch`, in a session of its own: Ctrl-C is for us, who then stop it in order."""
    uid, gid = (account.uid, account.gid) if account is not None else (-1, -1)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", launch.__file__),
        *(str(uid), str(gid), str(os.getpid()), str(int(death_signal))),
        *command,
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        cwd="/",
        env=_ENVIRONMENT,
        pass_fds=(handle,),
        start_new_session=True,
    )


@contextlib.contextmanager
def _directory(path: Path) -> Generator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    # Not `wait_for`: in Python 3.11 it can swallow a cancellation that comes with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _world(layout: Layout, error: OSError) -> EmbeddedError:
    place = error.filename or layout.data_dir
    return EmbeddedError(f"the embedded database cannot start: {place}: {error.strerror}")


def _nobody(_state: EmbeddedState, _reason: str) -> None:
    """Hear nothing."""
