"""`rollcall token`: make tokens for development, tests and scripts."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Final, cast, get_args

from protocol.limits import ID_CHARS
from server import auth, config, devsecret
from server.commands import OK, USAGE, CommandError, data_dir_option, out, overrides, tell, tell_warnings

HELP = "make a token that the server accepts"
DESCRIPTION = """
Print a token, alone on standard output; or one a line with --count and --prefix.

Signed with ROLLCALL_JWT_SECRET where that is set, else with the development secret of the data directory, which a
server started with --dev on the same directory accepts. Works before the server's first start.
"""
EPILOG = """
examples:
  rollcall token --user 27 --role learner --ttl 2h
  rollcall token --count 1000 --prefix u            tokens of u1 to u1000
"""

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_TTL_MOST_S: Final = 3650 * 86_400
_COUNT_MOST: Final = 1_000_000


def configure(parser: ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="ID", help="the user that the token speaks for")
    who.add_argument("--count", type=_count, metavar="N", help="make N tokens, for the users PREFIX1 to PREFIXN")
    parser.add_argument("--prefix", help="what the users of --count are called")
    parser.add_argument("--role", choices=get_args(auth.Role), default="learner", help="default: learner")
    parser.add_argument(
        "--ttl",
        type=parse_ttl,
        default=parse_ttl("12h"),
        metavar="TIME",
        help="seconds, or 90s 15m 2h 7d; default: 12h",
    )
    parser.add_argument("--name", help="the name that others see")
    parser.add_argument("--room", action="append", metavar="ID", help="may enter this room only (may be repeated)")
    parser.add_argument(
        "--content", action="append", type=_content, metavar="KIND:ID", help="may watch this only (may be repeated)"
    )
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    users = _users(arguments)
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    mint = minter(settings, ttl_s=arguments.ttl, name=arguments.name, rooms=arguments.room, contents=arguments.content)
    for user in users:
        out(mint(user, arguments.role))
    whose = users[0] if len(users) == 1 else f"{users[0]} to {users[-1]}"
    signer = "ROLLCALL_JWT_SECRET" if settings.jwt_secret else f"the development secret in {settings.data_dir}"
    tell(f"{arguments.role} {whose}, valid for {arguments.ttl:g} s, signed with {signer}")
    return OK


def minter(
    settings: config.Settings,
    *,
    ttl_s: float,
    name: str | None = None,
    rooms: list[str] | None = None,
    contents: list[tuple[str, str]] | None = None,
) -> Callable[[str, str], str]:
    """Return what makes a token of (user id, role) that a server with these settings accepts.

    Raises `DevSecretError`; what it returns raises `CommandError` for a user id that no server takes.
    """
    secret = settings.jwt_secret or devsecret.read_or_create(settings.data_dir)

    def mint(user_id: str, role: str) -> str:
        try:
            return auth.sign(
                secret,
                user_id=user_id,
                now_s=time.time(),
                ttl_s=ttl_s,
                role=cast("auth.Role", role),  # checked by `sign`
                name=name,
                rooms=rooms,
                contents=contents,
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
            )
        except ValueError as error:
            raise CommandError(f"no such token can be made: {error}", USAGE) from error

    return mint


def parse_ttl(value: str) -> float:
    """Read how long a token lives: `90s`, `15m`, `2h`, `7d`, or seconds (realtime.md, reading 19)."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhd]?)", value)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= _TTL_MOST_S:
        raise ArgumentTypeError("must be seconds, or a time such as 90s, 15m, 2h or 7d")
    return seconds


def _users(arguments: Namespace) -> list[str]:
    if arguments.count is None:
        if arguments.prefix is not None:
            raise CommandError("--prefix goes with --count", USAGE)
        if not 1 <= len(arguments.user) <= ID_CHARS:
            raise CommandError(f"--user must have from 1 to {ID_CHARS} characters", USAGE)
        return [arguments.user]
    if not arguments.prefix:
        raise CommandError("--count needs --prefix", USAGE)
    return [f"{arguments.prefix}{number}" for number in range(1, arguments.count + 1)]


def _count(value: str) -> int:
    if re.fullmatch(r"[0-9]{1,7}", value) and 1 <= int(value) <= _COUNT_MOST:
        return int(value)
    raise ArgumentTypeError(f"must be a whole number from 1 to {_COUNT_MOST}")


def _content(value: str) -> tuple[str, str]:
    kind, colon, ident = value.partition(":")
    if not (kind and colon and ident):
        raise ArgumentTypeError("must be KIND:ID, e.g. lesson:15")
    return kind, ident
