"""`rollcall outbox`: what waits to be published, what holds it up, and another try at once."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Final

from protocol.rest import rfc3339
from server import config
from server.commands import OK, action, data_dir_option, out, overrides, tell, tell_warnings
from server.commands.database import opened
from storage.outbox import Failing, OutboxState, PostgresOutbox

HELP = "show events that wait to be published, or have them tried at once"
DESCRIPTION = """
Show how many events wait to be published, for how long the oldest has, and which the broker did not take; or let those
be tried at once. Works beside a running server.
"""
EPILOG = """
examples:
  rollcall outbox status
"""

SHOWN: Final = 20


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    data_dir_option(actions.add_parser("status", **action("what waits, and why")))
    data_dir_option(actions.add_parser("retry", **action("try at once what failed")))


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    return asyncio.run(_retry(settings) if arguments.action == "retry" else _status(settings))


async def _status(settings: config.Settings) -> int:
    async with opened(settings) as database:
        outbox = PostgresOutbox(database)
        state, failing = await outbox.state(), await outbox.failing(SHOWN)
    for line in lines(state, failing):
        out(line)
    if settings.amqp_url is None:
        tell("rollcall: AMQP_URL is not set: nothing is published")
    return OK


async def _retry(settings: config.Settings) -> int:
    async with opened(settings) as database:
        count = await PostgresOutbox(database).retry()
    tell(f"rollcall: {count} to be tried at once")
    return OK


def lines(state: OutboxState, failing: Sequence[Failing]) -> list[str]:
    """What people read."""
    told = [f"waiting  {state.depth}", f"oldest   {state.age_s:.0f} s"]
    for each in failing:
        due = "now" if each.retry_at is None else rfc3339(each.retry_at)
        what = f"{each.event_name} after {each.attempts} attempts, next {due}"
        told.append(f"held up  room {_printable(each.room_id)}: {what}: {_printable(each.failure)}")
    return told


def _printable(text: str) -> str:
    """Room ids come from outside: nothing of them may speak to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
