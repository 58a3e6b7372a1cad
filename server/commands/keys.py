"""`rollcall keys`: make, list and revoke the keys with which other servers write."""

from __future__ import annotations

import asyncio
import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Final

from protocol import catalog, loose
from protocol.rest import rfc3339
from protocol.xapi.values import MAILTO, iri
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
from server.commands.token import parse_ttl
from storage.keys import KEYS_MAX, RIGHTS, PostgresKeys, WriteKey, checked_rights, digest_of, new_key

HELP = "make, list or revoke the keys with which other servers write"
DESCRIPTION = """
Make, list or revoke write keys (the header X-Write-Key). A new key is shown once, alone on standard output; only its
digest is kept. Works beside a running server, which knows of the change within seconds.
"""
EPILOG = """
examples:
  rollcall keys create --name shop --right catalog --right collect --expires 365d
  rollcall keys create --name lms --right xapi --xapi-home-page https://lms.example
  rollcall keys list
  rollcall keys revoke --name shop
"""

_CREATE = "The key is alone on standard output: KEY=$(rollcall keys create ...). A running server takes it within 5 s."
_LIST = "Names, rights and times; never a key."
_REVOKE = "A running server refuses it within 5 s. Its name stays taken."

NAME_CHARS: Final = 64
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS - 1}}}")
_COLUMNS: Final = ("number", "name", "rights", "state", "created", "expires", "revoked", "sample %", "home pages")


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", **action("make a key and show it, once", _CREATE))
    create.add_argument("--name", required=True, type=_name, metavar="NAME", help="what it is called here; unique")
    create.add_argument(
        "--right",
        required=True,
        action="append",
        choices=RIGHTS,
        help="what it may write (may be repeated)",
    )
    create.add_argument(
        "--expires",
        type=_expiry,
        metavar="TIME",
        help="when it ends: 90s 15m 2h 365d from now, or a date or time such as 2027-01-31 (default: never)",
    )
    create.add_argument(
        "--sample-rate",
        type=_share,
        metavar="PERCENT",
        help="with --right mobile: how many of its sessions are recorded, 0 to 100 (default 100)",
    )
    create.add_argument(
        "--xapi-home-page",
        action="append",
        default=[],
        type=_home_page,
        metavar="IRI",
        help="with --right xapi: of which learners it may speak: the home page of their accounts, or mailto: for those "
        "named by a mailbox (may be repeated; default: anybody)",
    )
    data_dir_option(create)
    data_dir_option(actions.add_parser("list", **action("what keys there are", _LIST)))
    revoke = actions.add_parser("revoke", **action("end a key, for good", _REVOKE))
    revoke.add_argument("--name", required=True, metavar="NAME", help="which")
    data_dir_option(revoke)


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    if arguments.action == "create":
        return asyncio.run(_create(settings, arguments))
    if arguments.action == "revoke":
        return asyncio.run(_revoke(settings, arguments.name))
    return asyncio.run(_list(settings))


async def _create(settings: config.Settings, arguments: Namespace) -> int:
    if arguments.sample_rate is not None and "mobile" not in arguments.right:
        raise CommandError("--sample-rate goes with --right mobile", USAGE)
    if arguments.xapi_home_page and "xapi" not in arguments.right:
        raise CommandError("--xapi-home-page goes with --right xapi", USAGE)
    secret = new_key()
    key = WriteKey(
        name=arguments.name,
        digest=digest_of(secret),
        rights=checked_rights(arguments.right),
        created_at=_now(),
        expires_at=arguments.expires,
        revoked_at=None,
        sample_rate=1.0 if arguments.sample_rate is None else arguments.sample_rate,
        home_pages=arguments.xapi_home_page,
    )
    async with opened(settings) as database:
        keys = PostgresKeys(database)
        if not await keys.create(key):
            there = await keys.key(key.name) is not None
            tell(f"rollcall: {key.name}: {'there is such a key already' if there else f'{KEYS_MAX} keys are enough'}")
            return FAILED
    out(secret)
    until = "for ever" if key.expires_at is None else f"until {rfc3339(key.expires_at)}"
    tell(f"{key.name} may write {', '.join(key.rights)} {until}; this key is not shown again")
    return OK


async def _revoke(settings: config.Settings, name: str) -> int:
    async with opened(settings) as database:
        if not await PostgresKeys(database).revoke(name, _now()):
            tell(f"rollcall: {name}: no such key")
            return FAILED
    tell(f"rollcall: {name} is revoked")
    return OK


async def _list(settings: config.Settings) -> int:
    async with opened(settings) as database:
        found = await PostgresKeys(database).keys()
    for line in table(found, _now()):
        out(line)
    return OK


def table(keys: Sequence[WriteKey], now: int) -> list[str]:
    """Columns for people; never a key."""
    rows = [_COLUMNS, *(_row(key, now) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(key: WriteKey, now: int) -> tuple[str, ...]:
    times = (rfc3339(at) or "-" for at in (key.created_at, key.expires_at, key.revoked_at))
    name = (str(key.number), key.name)
    pages = ",".join(key.home_pages) or "-"
    return *name, ",".join(key.rights), key.state(now), *times, f"{100 * key.sample_rate:.6g}", pages


def _now() -> int:
    return time.time_ns() // 1_000_000


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ArgumentTypeError(f"must be 1 to {NAME_CHARS} letters, digits, dots, dashes and underscores")
    return value


def _expiry(value: str) -> int:
    """Unix ms: so long from now, or a date (its beginning, UTC) or time."""
    try:
        at = _now() + round(parse_ttl(value) * 1000)
    except ArgumentTypeError:
        at = _moment(value)
    if at <= _now():
        raise ArgumentTypeError("must lie ahead")
    return at


def _moment(value: str) -> int:
    try:
        return catalog.moment(f"{value}T00:00:00Z" if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else value)
    except loose.Unfit:
        raise ArgumentTypeError("must be a time such as 365d, 2027-01-31 or 2027-01-31T18:00:00Z") from None


def _home_page(value: str) -> str:
    try:
        return iri(value) if value != MAILTO else value
    except loose.Unfit as error:
        raise ArgumentTypeError(f"{error}; such as https://lms.example") from None


def _share(value: str) -> float:
    """A share, given in percent."""
    try:
        percent = float(value)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:  # noqa: PLR2004 - of a hundred
        raise ArgumentTypeError("must be 0 to 100")
    return percent / 100
