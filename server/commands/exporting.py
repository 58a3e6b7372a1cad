"""`rollcall export`: lists for people and spreadsheets."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final
from zoneinfo import ZoneInfo

from actors.figures.facts import Rules
from actors.figures.spans import BadSpan, Span, span
from actors.ports import StoreAway
from server import config
from server.attendance_list import ROWS, AttendanceList
from server.commands import FAILED, OK, USAGE, CommandError, action, data_dir_option, overrides, tell, tell_warnings
from server.commands.database import opened
from server.learners.requests import until_done
from server.xapi.exporting import statements
from storage.attendance import AttendanceBook
from storage.learners import Learners
from storage.xapi import PostgresXapi

HELP = "write attendance as CSV, watch sessions as xAPI statements"
DESCRIPTION = """
Write who was in a class, or in all classes of a product that began in a range, as CSV: a row a learner, or a row a
stay. Or write watch sessions that are over as statements of the xAPI Video Profile. Works beside a running server,
which first writes what it holds in memory.
"""
EPILOG = """
examples:
  rollcall export attendance --room algebra-7 --bom -o algebra-7.csv
  rollcall export attendance --product 15 --from 2024-02-01 --to 2024-02-29 --rows intervals
  rollcall export xapi --from 2024-02-01 --to 2024-02-29 -o february.ndjson
"""
_DATES = "Dates are days of ROLLCALL_TIMEZONE; a time with its zone will do too. At most 400 days."

SAVE_S: Final = 100.0
_NOBODY: Final = ""
"""Asked on nobody's behalf."""


def configure(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    listing = kinds.add_parser("attendance", **action("who was there, as CSV", _DATES))
    which = listing.add_mutually_exclusive_group(required=True)
    which.add_argument("--room", metavar="ID", help="one class")
    which.add_argument("--product", metavar="ID", help="the classes of a product")
    listing.add_argument("--from", dest="start", metavar="DATE", help="with --product; default: 30 days before the end")
    listing.add_argument(
        "--to",
        dest="end",
        metavar="DATE",
        help="with --product; that day too; default: today, or 30 days from the start",
    )
    listing.add_argument("--rows", choices=ROWS, default=ROWS[0], help="one a learner, or one a stay")
    listing.add_argument("--bom", action="store_true", help="begin with a byte order mark, for spreadsheets")
    listing.add_argument("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    data_dir_option(listing)
    told = kinds.add_parser("xapi", **action("watch sessions that are over, as xAPI statements (NDJSON)", _DATES))
    told.add_argument("--from", dest="start", metavar="DATE", help="when they began; default: 30 days before the end")
    told.add_argument(
        "--to", dest="end", metavar="DATE", help="that day too; default: today, or 30 days from the start"
    )
    told.add_argument("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    data_dir_option(told)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    if arguments.kind == "attendance" and arguments.room is not None and (arguments.start or arguments.end):
        raise CommandError("--from and --to go with --product", USAGE)
    if arguments.output == "-":
        return asyncio.run(_export(settings, arguments, sys.stdout.buffer))
    with Path(arguments.output).open("wb") as file:
        return asyncio.run(_export(settings, arguments, file))


async def _export(settings: config.Settings, arguments: Namespace, file: IO[bytes]) -> int:
    async with opened(settings) as database:
        await _saved(Learners(database))
        if arguments.kind == "xapi":
            store = PostgresXapi(database)
            async for page in statements(store, _span(settings, arguments), settings.xapi_home_page):
                file.write(page)
        else:
            book = AttendanceBook(database)
            rules = Rules(round(settings.late_grace_s * 1000), round(settings.attended_min_s * 1000))
            pieces = await _pieces(settings, arguments, AttendanceList(book, rules, _now, _nothing))
            if pieces is None:
                tell(f"rollcall: {arguments.room}: no such class")
                return FAILED
            async for piece in pieces:
                file.write(piece.encode())
    file.flush()
    return OK


def _span(settings: config.Settings, arguments: Namespace) -> Span:
    try:
        return span(arguments.start, arguments.end, ZoneInfo(settings.timezone), _now())
    except BadSpan as bad:
        option = "--from" if bad.name == "start_at" else "--to"
        raise CommandError(f"{option}: expected {bad.why.replace('`start_at`', '--from')}", USAGE) from None


async def _pieces(settings: config.Settings, arguments: Namespace, made: AttendanceList) -> AsyncIterator[str] | None:
    if arguments.room is not None:
        return await made.of_class(arguments.room, arguments.rows, bom=arguments.bom)
    within = _span(settings, arguments)
    return made.of_product(arguments.product, within.start, within.end, arguments.rows, bom=arguments.bom)


async def _saved(learners: Learners) -> None:
    """A running server writes what it holds; without it the list is as of the last checkpoint, and says so."""
    if await learners.server_lives():
        try:
            await until_done(learners, _NOBODY, "save", SAVE_S)
        except StoreAway as error:
            tell(f"rollcall: warning: up to the last minute may be missing: {error}")


async def _nothing(_: str) -> None:
    """All is written already."""


def _now() -> int:
    return time.time_ns() // 1_000_000
