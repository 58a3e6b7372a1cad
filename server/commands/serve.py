"""`rollcall serve`: run the server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from server import config
from server.commands import data_dir_option, listen_options, overrides, tell_warnings

HELP = "run the server"
DESCRIPTION = """
Run the server until it is told to stop (Ctrl-C or SIGTERM).

Without DATABASE_URL it runs a PostgreSQL of its own in the data directory. Without --dev it needs a signing key:
ROLLCALL_JWT_SECRET, ROLLCALL_JWKS_FILE or ROLLCALL_JWKS_URL. `rollcall config` lists every setting.
"""
EPILOG = """
examples:
  rollcall serve --dev
  rollcall serve --host 0.0.0.0 --port 8080 --data-dir /var/lib/rollcall
"""


def configure(parser: ArgumentParser) -> None:
    listen_options(parser)
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments), serving=True)
    tell_warnings(settings)
    from server.process import serve  # noqa: PLC0415 - the other commands start without loading the server

    return serve(settings)
