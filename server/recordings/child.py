"""Runs a program on a file that a stranger made: bounded in time, memory, output and what it may write.

The program is the leader of a process group of its own, which is killed as a whole. It dies with this process too,
however that ends (`storage/embedded/launch.py`). It reads nothing from anywhere but its arguments and the file.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from storage.embedded import launch

NICE: Final = 10
MEMORY_BYTES: Final = 4 * 1024**3
WRITTEN_BYTES: Final = 64 * 1024 * 1024
OUTPUT_BYTES: Final = 256 * 1024
"""Of each of its outputs this much is kept; the rest is read and dropped."""
READ_BYTES: Final = 64 * 1024
KILLED_S: Final = 5.0
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class ProgramTimeout(Exception):
    """It took too long, and was killed."""


class Outcome(msgspec.Struct, frozen=True):
    """How it ended: exit code (negative: by that signal) and the beginning of what it said."""

    code: int
    output: bytes
    errors: bytes


async def run(program: Path, arguments: list[str], timeout_s: float) -> Outcome:
    """Run it to its end. Raises ProgramTimeout; OSError where nothing can be started at all."""
    process = await asyncio.create_subprocess_exec(
        *_launched(program, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    try:
        _restrain(process.pid, timeout_s)
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(timeout_s):
            output, errors, code = await asyncio.gather(
                _beginning(process.stdout), _beginning(process.stderr), process.wait()
            )
    except TimeoutError as error:
        raise ProgramTimeout(f"{program.name} did not end within {timeout_s:g} s") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # One that escaped from the group may keep the outputs open: it is not waited for.
            await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=KILLED_S)
    return Outcome(code, output, errors)


def _launched(program: Path, arguments: list[str]) -> list[str]:
    """The command that becomes the program once the kernel has been told to end it with us."""
    return [
        sys.executable,
        "-I",
        "-S",
        launch.__file__,
        "-1",
        "-1",
        str(os.getpid()),
        str(int(signal.SIGKILL)),
        str(program),
        *arguments,
    ]


def _restrain(pid: int, timeout_s: float) -> None:
    cpu_s = max(1, round(timeout_s))
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: WRITTEN_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    # It may have ended already.
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, pid, NICE)
        for limit, most in limits.items():
            resource.prlimit(pid, limit, (most, most))


async def _beginning(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(READ_BYTES):
        kept += chunk[: OUTPUT_BYTES - len(kept)]
    return bytes(kept)
