"""`rollcall simulate`: a class of players that checks the server's answers against the truth."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Final

from server import config
from server.commands import data_dir_option, overrides, tell_warnings
from server.commands.token import minter

HELP = "act a class of players, and check every second of it"
DESCRIPTION = """
Act a class of players over real sockets against a running server: late, pausing, seeking, losing the network, on two
devices, leaving without a word. Then read the answers back and compare them with what was acted, second by second. The
same seed acts the same class. The server must accept tokens that these settings sign.

With --history nothing is acted: a year of a platform (20,000 learners, 5,000 classes, 2,000 videos, some 10 million
segments) is written as NDJSON, for `rollcall import` to read. It needs no server.
"""
EPILOG = """
exit codes: 0 truth and answers are the same; 1 a second is missing or doubled;
2 asked wrongly, or the class could not be acted: no server there, or it refuses

examples:
  rollcall simulate --learners 50 --minutes 2 --speed 10
  rollcall simulate --url https://rollcall.example --report class.json
  rollcall simulate --history year.ndjson --share 0.1
"""

_TOKEN_S: Final = 6 * 3600


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--url", type=_url, metavar="URL", help="where the server is; default: http://HOST:PORT of the settings"
    )
    parser.add_argument("--learners", type=_count, default=50, metavar="N", help="players; default: 50")
    parser.add_argument("--minutes", type=_positive, default=2.0, metavar="M", help="class as scripted; default: 2")
    parser.add_argument("--speed", type=_positive, default=10.0, metavar="X", help="times faster; default: 10")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which class; default: 1")
    parser.add_argument("--room", metavar="ID", help="the room's id; default: a new one")
    parser.add_argument("--report", metavar="FILE", help="also write truth, answers and differences as JSON")
    parser.add_argument(
        "--tolerate-restarts",
        action="store_true",
        help="the server may be killed meanwhile: presence without a return may end one interval early",
    )
    parser.add_argument("--history", metavar="FILE", help="write a year as NDJSON instead; - for standard output")
    parser.add_argument(
        "--share", type=_share, default=1.0, metavar="X", help="part of that year's platform; 0.1 is a tenth"
    )
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    if arguments.history is not None:
        from load_tests.year.history import last_midnight_ms, write  # noqa: PLC0415 - as below
        from load_tests.year.platform import Size  # noqa: PLC0415 - as below

        return write(Size().share(arguments.share), arguments.seed, last_midnight_ms(), arguments.history)
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    # The other commands start without loading these.
    from load_tests.simulate.options import SimulateOptions  # noqa: PLC0415
    from load_tests.simulate.simulation import run as simulate  # noqa: PLC0415

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    options = SimulateOptions(
        url=arguments.url or f"http://{host}:{settings.port}",
        learners=arguments.learners,
        minutes=arguments.minutes,
        speed=arguments.speed,
        seed=arguments.seed,
        room=arguments.room,
        report=arguments.report,
        tolerate_restarts=arguments.tolerate_restarts,
        reconnect_grace_seconds=settings.reconnect_grace_s,
        late_grace_seconds=settings.late_grace_s,
        attended_min_seconds=settings.attended_min_s,
        heartbeat_seconds=settings.heartbeat_s,
    )
    return simulate(options, minter(settings, ttl_s=_TOKEN_S))


def _count(value: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", value) and int(value):
        return int(value)
    raise ArgumentTypeError("must be a whole number above 0")


def _url(value: str) -> str:
    if value.startswith(("http://", "https://")):
        return value
    raise ArgumentTypeError("must begin with http:// or https://")


def _share(value: str) -> float:
    if (share := _positive(value)) <= 1:
        return share
    raise ArgumentTypeError("must be at most 1")


def _positive(value: str) -> float:
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) and float(value):
        return float(value)
    raise ArgumentTypeError("must be a number above 0")
