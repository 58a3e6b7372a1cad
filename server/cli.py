"""`rollcall`, the command line. An expected fault is one clear line on standard error and an exit code.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | it failed: the line says why |
| 2 | asked wrongly: options or settings |
| 130 | interrupted by Ctrl-C |
| 141 | whoever read the output went away |
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Final

from actors.ports import StoreAway, StoreRefused
from server.commands import (
    FAILED,
    USAGE,
    CommandError,
    config,
    doctor,
    explained,
    exporting,
    importing,
    keys,
    migrate,
    outbox,
    recordings,
    replay,
    serve,
    simulate,
    tell,
    token,
    user,
)
from server.config import ConfigError
from server.devsecret import DevSecretError
from server.jwks import KeySourceError
from storage.embedded import EmbeddedError

INTERRUPTED: Final = 130
READER_GONE: Final = 141

DESCRIPTION: Final = "Presence and watch time for live classes and videos, to the second."
EPILOG: Final = """
Settings come from the environment; `rollcall config` lists them.
`rollcall COMMAND --help` says more.

exit codes: 0 done; 1 it failed, and standard error says why; 2 asked wrongly;
130 interrupted; 141 whoever read the output went away

examples:
  rollcall serve --dev                       a server to try things on
  rollcall token --user 27                   a token that it accepts
  rollcall doctor                            what a real one still needs
"""

COMMANDS: Final[dict[str, ModuleType]] = {
    "serve": serve,
    "migrate": migrate,
    "config": config,
    "token": token,
    "simulate": simulate,
    "replay": replay,
    "recordings": recordings,
    "outbox": outbox,
    "keys": keys,
    "import": importing,
    "export": exporting,
    "user": user,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. `arguments` as in `sys.argv[1:]`, which is the default."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        tell("rollcall: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more on its way out: give it something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        parsed = _parser().parse_args(arguments)
        return int(COMMANDS[parsed.command].run(parsed))
    except SystemExit as ended:  # argparse has printed help, or what was wrong
        return ended.code if isinstance(ended.code, int) else USAGE
    except ConfigError as error:
        for problem in error.problems:
            tell(f"rollcall: {problem}")
        return USAGE
    except CommandError as error:
        tell(f"rollcall: {error}")
        return error.code
    except BrokenPipeError:
        raise
    except (EmbeddedError, DevSecretError, KeySourceError, StoreAway, StoreRefused) as error:
        tell(f"rollcall: {error}")
    except OSError as error:
        tell(f"rollcall: {error.filename or 'the system said'}: {error.strerror or error}")
    return FAILED


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="rollcall", **explained(DESCRIPTION, EPILOG))
    parser.add_argument("--version", action="version", version=f"rollcall {version('rollcall')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        told = explained(module.DESCRIPTION, getattr(module, "EPILOG", ""))
        module.configure(commands.add_parser(name, help=module.HELP, **told))
    return parser


if __name__ == "__main__":
    sys.exit(main())
