"""Every named statement is valid on the migrated schema, is used, and says why it is as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from storage import sql
from storage.sql import MalformedSql, parse, statements
from tests.support.stores import PostgresStore

STORAGE = Path(sql.__file__).parent
ASKS_ELSEWHERE = {"probe.py"}
"""It looks at servers that need not be ours, before there is a schema."""


async def test_every_statement_prepares_on_the_migrated_schema(postgres: PostgresStore):
    database = await postgres.database()
    async with database.connection() as connection:
        for name, statement in statements().items():
            try:
                await connection.prepare(statement)
            except Exception as error:
                error.add_note(f"in {name}")
                raise


def test_every_statement_is_used_and_every_name_is_there():
    code = "\n".join(path.read_text() for path in STORAGE.glob("*.py"))
    named = set(re.findall(r'statements\(\)\["(\w+)"\]', code))
    named |= set(re.findall(r'\.fetch(?:row)?\(\s*"(\w+)"', code))
    named |= set(re.findall(r'_write\(connection, "(\w+)"', code))
    named |= {"begin", "begin_reading"}  # the default, and what a reader asks for

    assert named == statements().keys()


def test_no_sql_stands_in_python():
    begins = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|BEGIN|SET|SHOW)\s+\w")
    found = [
        f"{path.name}:{node.lineno}"
        for path in STORAGE.glob("*.py")
        if path.name not in ASKS_ELSEWHERE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and begins.match(node.value)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "before the first"),
        ("-- name: a\nSELECT 1;", "line on why"),
        ("-- name: a\n-- Why.\nSELECT 1", "semicolon"),
        ("-- name: a\n-- Why.\n", "semicolon"),
        ("-- name: a\n-- Why.\nSELECT 1;\n-- name: a\n-- Why.\nSELECT 1;", "twice"),
    ],
)
def test_a_malformed_file_is_refused(text: str, complaint: str):
    with pytest.raises(MalformedSql, match=complaint):
        parse(text)


def test_a_file_is_split_into_its_statements():
    text = "-- name: a\n-- Why.\nSELECT ';' -- inside\n  FROM t;\n\n-- name: b\n-- Why,\n-- at length.\nSELECT 2;\n"

    assert parse(text) == {"a": "SELECT ';' -- inside\n  FROM t", "b": "SELECT 2"}
