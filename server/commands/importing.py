"""`rollcall import`: facts of any age from an older system."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from server import config
from server.commands import FAILED, OK, USAGE, CommandError, data_dir_option, overrides, tell, tell_warnings
from server.commands.database import opened
from server.history.reading import Problem, Read, chunks
from storage.history import History, SessionTaken

HELP = "bring in facts of any age from an older system"
DESCRIPTION = """
Read facts as NDJSON, one a line: presence, segments, attendance, the catalog, and events as other systems publish them
(docs/IMPORT.md). Every 10,000 lines are written all or not at all; what is wrong is told by line and field, and the
other chunks are written. Reading the same file again changes nothing. Works beside a running server.
"""
EPILOG = """
exit codes: 0 all is in; 1 some lines are not, or the database is away;
2 asked wrongly

examples:
  rollcall import --check year.ndjson
  rollcall import year.ndjson
  zcat year.ndjson.gz | rollcall import -
"""

PROBLEMS_TOLD: Final = 100
_STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"


class Progress(msgspec.Struct):
    """How far it is."""

    lines: int = 0
    facts: int = 0
    refused: int = 0
    problems: int = 0


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="NDJSON; - for standard input")
    parser.add_argument("--check", action="store_true", help="read only: tell what is wrong, and write nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    with _stream(arguments.file) as stream:
        if arguments.check:
            return _finish(_check(stream, quiet=arguments.quiet), "right", 0.0)
        return asyncio.run(_import(settings, stream, quiet=arguments.quiet))


@contextmanager
def _stream(name: str) -> Generator[IO[bytes]]:
    if name == _STDIN:
        yield sys.stdin.buffer
        return
    path = Path(name)
    if not path.exists() or path.is_dir():
        raise CommandError(f"{name}: {'is a directory' if path.is_dir() else 'no such file'}", USAGE)
    with path.open("rb") as file:
        if file.read(len(_GZIP)) == _GZIP:
            raise CommandError(f"{name} is packed: zcat {name} | rollcall import -", USAGE)
        file.seek(0)
        yield file


def _check(stream: IO[bytes], *, quiet: bool) -> Progress:
    progress = Progress()
    for read in chunks(stream, _now):
        _count(progress, read, read.problems)
        _show(progress, quiet=quiet)
    return progress


async def _import(settings: config.Settings, stream: IO[bytes], *, quiet: bool) -> int:
    from server.rules import engagement_rules, rules_of  # noqa: PLC0415 - the other commands start without loading it

    progress, started = Progress(), time.monotonic()
    async with opened(settings) as database:
        history = History(database, settings.partitions, rules_of(settings).room, engagement_rules(settings), _now)
        for read in chunks(stream, _now):
            problems = read.problems or await _write(history, read)
            _count(progress, read, problems)
            _show(progress, quiet=quiet)
    return _finish(progress, "in", time.monotonic() - started)


async def _write(history: History, read: Read) -> list[Problem]:
    try:
        await history.write(read.chunk)
    except SessionTaken as error:
        return [Problem(read.session_lines[error.session_id], "session_id", str(error))]
    return []


def _count(progress: Progress, read: Read, problems: list[Problem]) -> None:
    for problem in problems:
        progress.problems += 1
        if progress.problems <= PROBLEMS_TOLD:
            where = f"line {problem.line}" + (f", {problem.field}" if problem.field else "")
            tell(f"rollcall: {where}: {problem.message}")
    progress.lines += read.lines
    if problems:
        progress.refused += read.facts
        tell(f"rollcall: lines {read.first} to {read.first + read.lines - 1} were not taken in")
    else:
        progress.facts += read.facts


def _show(progress: Progress, *, quiet: bool) -> None:
    if not quiet:
        tell(f"{progress.lines:,} lines")


def _finish(progress: Progress, what: str, took_s: float) -> int:
    if progress.problems > PROBLEMS_TOLD:
        tell(f"rollcall: {progress.problems - PROBLEMS_TOLD:,} more lines are wrong")
    speed = f" in {took_s:.1f} s, {progress.lines / took_s:,.0f} lines/s" if took_s else ""
    tell(f"{progress.facts:,} facts are {what}, {progress.refused:,} are not{speed}")
    return FAILED if progress.problems else OK


def _now() -> int:
    return time.time_ns() // 1_000_000
