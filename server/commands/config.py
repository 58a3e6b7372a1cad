"""`rollcall config`: every setting, its value, default and meaning."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from itertools import groupby

from server import config
from server.commands import OK, data_dir_option, listen_options, out, overrides, tell_warnings

HELP = "print every setting, its value, default and meaning"
DESCRIPTION = """
Print every setting as this environment and these options give it. A * marks what is set. Secrets are masked.
"""
EPILOG = """
exit codes: 0 all settings are right; 2 each line names one that is wrong
"""


def configure(parser: ArgumentParser) -> None:
    listen_options(parser)
    data_dir_option(parser)
    parser.add_argument("--markdown", action="store_true", help="a table for documentation: names, defaults, meanings")


def run(arguments: Namespace) -> int:
    settings = config.from_environment(overrides(arguments))
    tell_warnings(settings)
    rows = config.describe(settings)
    for line in _markdown(rows) if arguments.markdown else _text(rows):
        out(line)
    return OK


def _text(rows: list[config.Row]) -> list[str]:
    name = max(len(row.name) for row in rows)
    value = max(len(row.value) for row in rows)
    default = max(len("default"), *(len(row.default) for row in rows))
    lines = [f"  {'setting':{name}}  {'value':{value}}  {'default':{default}}  meaning"]
    for group, members in groupby(rows, key=lambda row: row.group):
        lines += ["", group]
        lines += [
            f"{'*' if row.given else ' '} {row.name:{name}}  {row.value or '-':{value}}  "
            f"{row.default or '-':{default}}  {_meaning(row)}"
            for row in members
        ]
    return lines


def _markdown(rows: list[config.Row]) -> list[str]:
    lines: list[str] = []
    for group, members in groupby(rows, key=lambda row: row.group):
        lines += ["", f"### {group}", "", "| setting | default | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {_meaning(row)} |" for row in members
        ]
    return lines[1:]


def _meaning(row: config.Row) -> str:
    return f"{row.meaning} ({row.unit})" if row.unit else row.meaning
