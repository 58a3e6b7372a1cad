"""`rollcall recordings`: what became of the recordings, and another try."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from server import config
from server.commands import (
    FAILED,
    OK,
    USAGE,
    CommandError,
    action,
    data_dir_option,
    out,
    overrides,
    tell,
    tell_warnings,
)
from server.commands.database import opened
from storage.jobs import STATES, JobStore, PostgresJobs, RecordingJob

HELP = "list recordings, or let failed ones be tried again"
DESCRIPTION = """
List recordings, newest first, or let them be tried again. Works beside a running server, which takes up what is to be
tried again within seconds.
"""
EPILOG = """
examples:
  rollcall recordings list --state failed
  rollcall recordings retry --failed
"""

LISTED: Final = 100
LISTED_MOST: Final = 10_000
_COLUMNS: Final = ("id", "room", "record", "state", "size", "next try", "reason")


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", **action("what there is, the newest first"))
    listing.add_argument("--state", choices=STATES, help="only these")
    listing.add_argument("--room", metavar="ID", help="only those of this room")
    listing.add_argument("--limit", type=int, default=LISTED, metavar="N", help=f"at most N (default {LISTED})")
    data_dir_option(listing)
    retry = actions.add_parser("retry", **action("try again, from now on for a day"))
    retry.add_argument("name", nargs="?", metavar="RECORDING", help="its id, or the conference server's record id")
    retry.add_argument("--failed", action="store_true", help="all that were given up")
    data_dir_option(retry)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    if arguments.action == "retry":
        if bool(arguments.name) == arguments.failed:
            raise CommandError("name one recording, or give --failed", USAGE)
        return asyncio.run(_retry(settings, arguments.name))
    if not 1 <= arguments.limit <= LISTED_MOST:
        raise CommandError(f"--limit must be from 1 to {LISTED_MOST}", USAGE)
    return asyncio.run(_list(settings, arguments))


async def _list(settings: config.Settings, arguments: Namespace) -> int:
    async with opened(settings) as database:
        found = await PostgresJobs(database).page(arguments.state, arguments.room, arguments.limit)
    for line in table(found):
        out(line)
    if settings.plugnmeet_url is None and any(job.state == "pending" for job in found):
        tell("rollcall: ROLLCALL_PLUGNMEET_URL is not set: nothing is fetched")
    return OK


async def _retry(settings: config.Settings, name: str | None) -> int:
    async with opened(settings) as database:
        jobs = PostgresJobs(database)
        count = await jobs.retry(name)
        if count or name is None:
            tell(f"rollcall: {count} to be tried again")
            return OK
        tell(f"rollcall: {await _why_not(jobs, name)}")
        return FAILED


async def _why_not(jobs: JobStore, name: str) -> str:
    known = [job for job in await jobs.page(None, None, LISTED_MOST) if name in (job.id, job.record_id)]
    return f"{name} is {known[0].state}: nothing to try again" if known else f"{name}: no such recording"


def table(jobs: Sequence[RecordingJob]) -> list[str]:
    """Columns for people; programs have the REST interface."""
    rows = [_COLUMNS, *map(_row, jobs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(job: RecordingJob) -> tuple[str, ...]:
    size = job.figures.size_bytes if job.figures is not None else job.expected_bytes
    reason = " ".join((job.reason or "").split())
    return (
        job.id,
        _printable(job.room_id),
        _printable(job.record_id),
        job.state,
        "-" if size is None else f"{size:,}",
        _time(job.next_at) if job.state == "pending" else "-",
        _printable(reason) or "-",
    )


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _printable(text: str) -> str:
    """Somebody else's words must not steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
