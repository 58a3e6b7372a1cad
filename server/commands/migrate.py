"""`rollcall migrate`: bring the database's schema up to date."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from server import config
from server.commands import OK, CommandError, data_dir_option, overrides, tell, tell_warnings
from storage.embedded import EmbeddedPostgres, InUseError, running_dsn

HELP = "bring the database up to date"
DESCRIPTION = """
Apply the migrations that the database lacks. Safe to repeat, and beside running servers.

Without DATABASE_URL it is the database in the data directory: the running one where a server runs, else it is started
for this and stopped again.
"""
EPILOG = """
examples:
  DATABASE_URL=postgresql://rollcall@db/rollcall rollcall migrate
"""

_STARTING_S: Final = 30.0
_POLL_S: Final = 0.1


def configure(parser: ArgumentParser) -> None:
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    applied = asyncio.run(_migrate(settings))
    for name in applied:
        tell(f"applied {name}")
    tell(f"{len(applied)} migrations applied" if applied else "the database is up to date")
    return OK


async def _migrate(settings: config.Settings) -> list[str]:
    from storage.migrate import migrate  # noqa: PLC0415 - the other commands start without loading it

    if settings.database_url is not None:
        return await migrate(settings.database_url)
    database = EmbeddedPostgres(settings.data_dir)
    try:
        dsn = await database.start()
    except InUseError:
        return await migrate(await _beside_server(settings.data_dir))
    try:
        return await migrate(dsn)
    finally:
        await database.stop()


async def _beside_server(data_dir: Path) -> str:
    """Wait for the address of a database that another process has, or is about to have, running."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _STARTING_S
    while (dsn := running_dsn(data_dir)) is None:
        if loop.time() > deadline_s:
            raise CommandError(f"{data_dir} is in use by a process whose database is not ready")
        await asyncio.sleep(_POLL_S)
    return dsn
