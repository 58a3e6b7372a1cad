"""`rollcall replay`: rebuild history from the journal, and compare it with the stored rows."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from server import config
from server.commands import data_dir_option, overrides, tell_warnings

HELP = "rebuild a room or session from the journal and compare"
DESCRIPTION = """
Rebuild a room or a watch session from the journal, as a restart would, and compare the outcome with the stored rows.
Only reads, beside a running server too.
"""
EPILOG = """
exit codes: 0 they are equal; 1 they differ, or it failed; 2 asked wrongly, or
neither a checkpoint nor the journal knows that room or session

examples:
  rollcall replay --room algebra-7
"""


def configure(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--room", metavar="ID", help="the room to rebuild")
    what.add_argument("--session", metavar="ID", help="the watch session to rebuild")
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    from server.replay import run as replay  # noqa: PLC0415 - the other commands start without loading it

    return replay(settings, room=arguments.room, session=arguments.session)
