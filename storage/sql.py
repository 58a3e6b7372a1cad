"""The named statements of `storage/sql/*.sql`, read once.

    -- name: append_journal
    -- Why it is written as it is.
    INSERT ...;

A name is unique over all files. A statement without a word on why is refused, so that none goes without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


class MalformedSql(Exception):
    """A `.sql` file of ours is not what it should be; the message names the statement."""


def parse(text: str) -> dict[str, str]:
    """Return the statements of one file by name, without their closing semicolon. Raises `MalformedSql`."""
    pieces = _NAME.split(text)
    if pieces[0].strip():
        raise MalformedSql("something stands before the first `-- name:`")
    statements: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in statements:
            raise MalformedSql(f"{name}: twice")
        lines = body.splitlines()
        words = next((index for index, line in enumerate(lines) if not line.startswith("--")), len(lines))
        statement = "\n".join(lines[words:]).strip()
        if not words or not statement.endswith(";"):
            raise MalformedSql(f"{name}: wants a line on why, a statement, and a semicolon")
        statements[name] = statement.removesuffix(";")
    return statements


@cache
def statements() -> Mapping[str, str]:
    """Return every statement by name. Raises `MalformedSql`."""
    found: dict[str, str] = {}
    for file in sorted((files("storage") / "sql").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        for name, statement in parse(file.read_text("utf-8")).items():
            if name in found:
                raise MalformedSql(f"{name}: twice")
            found[name] = statement
    return MappingProxyType(found)
