"""The commands of `rollcall`, one module each: `configure(parser)` and `run(arguments) -> exit code`.

What a command makes for other programs goes to standard output alone; words for people go to standard error.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import Any, Final

from server.config import Settings
from server.config_catalogue import DATA_DIR, DEV, HOST, PORT

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

HELP_COLUMNS_MOST: Final = 100
_OPTIONS: Final = {"host": HOST, "port": PORT, "data_dir": DATA_DIR}


class CommandError(Exception):
    """The command cannot do its work: one clear line, and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def out(line: str) -> None:
    """Write a line of the product."""
    sys.stdout.write(line + "\n")


def tell(line: str) -> None:
    """Write a line for people."""
    sys.stderr.write(line + "\n")


def tell_warnings(settings: Settings) -> None:
    for line in settings.warnings:
        tell(f"rollcall: warning: {line}")


def explained(description: str, epilog: str = "") -> dict[str, Any]:
    """What `ArgumentParser` takes to explain a command: paragraphs as wide as the terminal, the epilog as it stands."""
    columns = min(shutil.get_terminal_size().columns - 2, HELP_COLUMNS_MOST)
    paragraphs = (textwrap.fill(" ".join(part.split()), columns) for part in description.strip().split("\n\n"))
    return {
        "description": "\n\n".join(paragraphs),
        "epilog": epilog.strip() or None,
        "formatter_class": RawDescriptionHelpFormatter,
    }


def action(help_line: str, more: str = "", epilog: str = "") -> dict[str, Any]:
    """What `add_parser` takes for an action of a command: its line in the list begins its own help too."""
    return {"help": help_line, **explained(f"{help_line[0].upper()}{help_line[1:]}. {more}", epilog)}


def data_dir_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", help="the server's data directory (ROLLCALL_DATA_DIR, default .rollcall)"
    )


def listen_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dev", action="store_true", help="development mode: own signing secret, this machine only, unknown rooms made"
    )
    parser.add_argument("--host", metavar="HOST", help="address to listen on (ROLLCALL_HOST, default 127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", help="port to listen on (ROLLCALL_PORT or PORT, default 8080)")


def overrides(arguments: Namespace) -> dict[str, str]:
    """Turn the options that stand for settings into settings."""
    given = {
        setting: str(getattr(arguments, option))
        for option, setting in _OPTIONS.items()
        if getattr(arguments, option, None) is not None
    }
    if getattr(arguments, "dev", False):
        given[DEV] = "1"
    return given
