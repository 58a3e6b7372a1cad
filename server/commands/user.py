"""`rollcall user`: everything that is known of a learner, given out or erased."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from contextlib import aclosing
from pathlib import Path
from typing import IO, Final

import msgspec

from protocol.limits import ID_CHARS
from server import config, logs
from server.commands import OK, USAGE, CommandError, action, data_dir_option, overrides, tell, tell_warnings
from server.commands.database import opened
from server.learners.alone import alone
from server.learners.erasing import Eraser
from server.learners.requests import until_done
from server.mobile.images_sweeping import ImageSweeper, exported, work_of
from server.recordings.parts import files_of
from storage.learners import Learners
from storage.mobile_images import MobileImages
from storage.postgres import Database

HELP = "give out, or erase, everything that is known of a learner"
DESCRIPTION = """
Give out, or erase, everything that is known of a learner.

`export` writes every row that names the learner as NDJSON, {"table": ..., "content": {...}} a line, and what actors
keep of them. `erase` takes it all away: from every table, snapshots, the journal, raw webhooks, messages that wait;
figures follow at once. Beside a running server it is the server that writes or erases what it holds in memory.
"""
EPILOG = """
Take the learner's account away first: a player with a token that still holds
begins anew.

examples:
  rollcall user export --user 27 -o 27.ndjson
  rollcall user erase --user 27
"""

SAVE_S: Final = 100.0
ERASE_S: Final = 120.0


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = actions.add_parser(
        "export", **action("give out everything, as NDJSON", "One who is not known has no rows.")
    )
    export.add_argument("--user", required=True, metavar="ID", help="whose")
    export.add_argument("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    data_dir_option(export)
    erase = actions.add_parser(
        "erase", **action("erase everything, from everywhere, for ever", "Asks for the id once more on a terminal.")
    )
    erase.add_argument("--user", required=True, metavar="ID", help="whose")
    erase.add_argument("--yes", action="store_true", help="do not ask; needed where standard input is no terminal")
    data_dir_option(erase)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    user_id: str = arguments.user
    if not 1 <= len(user_id) <= ID_CHARS or "\0" in user_id:
        raise CommandError(f"--user must have from 1 to {ID_CHARS} characters", USAGE)
    if arguments.action == "export":
        if arguments.output == "-":
            return asyncio.run(_export(settings, user_id, sys.stdout.buffer))
        with Path(arguments.output).open("wb") as file:
            return asyncio.run(_export(settings, user_id, file))
    if not arguments.yes:
        _confirm(user_id)
    return asyncio.run(_erase(settings, user_id))


def _confirm(user_id: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("erasing cannot be undone: say --yes", USAGE)
    sys.stderr.write(f"Erase everything that is known of {user_id!r}? It cannot be undone. Type the id to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().rstrip("\n") != user_id:
        raise CommandError("nothing was erased")


async def _export(settings: config.Settings, user_id: str, file: IO[bytes]) -> int:
    count = 0
    encode = msgspec.json.Encoder().encode
    async with opened(settings) as database:
        learners = Learners(database)
        if await learners.server_lives():
            await until_done(learners, user_id, "save", SAVE_S)
        async with aclosing(learners.rows(user_id)) as rows:
            async for held in rows:
                if held.table != "learner_requests":
                    file.write(encode(held) + b"\n")
                    count += 1
        async for held in exported(MobileImages(database), files_of(settings), user_id):
            file.write(encode(held) + b"\n")
            count += 1
    file.flush()
    tell(f"rollcall: {count} rows")
    return OK


async def _erase(settings: config.Settings, user_id: str) -> int:
    async with opened(settings) as database:
        learners = Learners(database)
        if await learners.server_lives():
            await until_done(learners, user_id, "erase", ERASE_S)
            tell("rollcall: erased by the running server")
        else:
            gone = await _erase_alone(settings, database, learners, user_id)
            for table, rows in sorted(gone.items()):
                tell(f"{table}: {rows}")
            tell(f"rollcall: {sum(gone.values())} rows erased")
    return OK


async def _erase_alone(
    settings: config.Settings, database: Database, learners: Learners, user_id: str
) -> dict[str, int]:
    from server.rules import engagement_rules, rules_of  # noqa: PLC0415 - the other commands start without loading it

    logs.set_up("warning", settings.log_format)
    rules, sole = rules_of(settings), settings.database_url is None
    async with alone(database, rules, engagement_rules(settings), sole_owner=sole) as system:
        eraser = Eraser(system, learners, lambda _: None)
        images = ImageSweeper(MobileImages(database), files_of(settings), work_of(settings.data_dir))
        eraser.after.append(images.sweep)
        return await eraser.erase(user_id)
