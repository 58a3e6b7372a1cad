"""Processes of a cluster that nobody owns: found by their working directory, stopped in good order.

PostgreSQL's own interlock is `postmaster.pid`. It can be stale, and its pid can be another program's by now, which
keeps PostgreSQL from starting; but removing it while an orphaned backend still writes would corrupt the cluster. So
the truth is taken from the kernel: a process belongs to the cluster when it is called `postgres` and works in its
directory. The caller holds the directory's lock.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from storage.embedded.layout import EmbeddedError

FAST_S: Final = 20.0
IMMEDIATE_S: Final = 5.0
_KILLED_S: Final = 5.0
_POLL_S: Final = 0.01
_READY_LINE: Final = 7  # of postmaster.pid, counted from 0


def ready_pid(cluster: Path) -> int | None:
    """Return the pid in `postmaster.pid` when it says that connections are accepted. It may be stale."""
    lines = _pid_file(cluster)
    if len(lines) > _READY_LINE and lines[_READY_LINE].strip() == "ready":
        return _number(lines[0])
    return None


def processes(cluster: Path) -> list[int]:
    """Return the pids of PostgreSQL processes that work in `cluster`."""
    try:
        wanted = cluster.stat()
    except FileNotFoundError:
        return []
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            here = os.stat(f"/proc/{entry.name}/cwd")  # noqa: PTH116 - through the kernel's link, by inode
            if (here.st_dev, here.st_ino) != (wanted.st_dev, wanted.st_ino):
                continue
            if Path(f"/proc/{entry.name}/comm").read_text("utf-8", "replace").startswith("postgres"):
                found.append(int(entry.name))
        except OSError:  # it is gone, or another user's
            continue
    return found


async def clear(cluster: Path) -> bool:
    """Stop what still works in `cluster`, then remove a stale `postmaster.pid`. True when something was stopped.

    Raises `EmbeddedError` when it cannot.
    """
    left = processes(cluster)
    for number, bound_s in ((signal.SIGINT, FAST_S), (signal.SIGQUIT, IMMEDIATE_S), (signal.SIGKILL, _KILLED_S)):
        if not processes(cluster):
            break
        _signal(cluster, number)
        await _gone(cluster, bound_s)
    if remaining := processes(cluster):
        raise EmbeddedError(f"{cluster} is still in use by PostgreSQL processes {remaining}, which do not end")
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    return bool(left)


def _signal(cluster: Path, number: signal.Signals) -> None:
    """Tell the postmaster, who tells the others; without one, tell each (they end by the same signals)."""
    pids = processes(cluster)
    lines = _pid_file(cluster)
    postmaster = _number(lines[0]) if lines else None
    targets = [postmaster] if postmaster in pids and number != signal.SIGKILL else pids
    for pid in targets:
        try:
            os.kill(pid, signal.SIGTERM if number == signal.SIGINT and pid != postmaster else number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise EmbeddedError(f"{cluster} is in use by process {pid} of another user") from error


async def _gone(cluster: Path, bound_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bound_s
    while processes(cluster) and loop.time() < deadline:  # noqa: ASYNC110 - not our children: nobody tells us
        await asyncio.sleep(_POLL_S)


def _pid_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None
