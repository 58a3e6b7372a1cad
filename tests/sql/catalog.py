"""A database's schema as text, from its own catalogues: what `schema.txt` holds.

    .venv/bin/python -m tests.sql.catalog DSN > tests/sql/schema.txt

writes it anew from a migrated, plain database.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import asyncpg

_TABLES: Final = """
SELECT oid, relname, array_to_string(ARRAY(SELECT unnest(reloptions) ORDER BY 1), ', ') AS options,
       (SELECT array_to_string(ARRAY(SELECT unnest(t.reloptions) ORDER BY 1), ', ')
          FROM pg_class AS t WHERE t.oid = c.reltoastrelid) AS toast_options
  FROM pg_class AS c
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
 ORDER BY relname
"""
_COLUMNS: Final = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attidentity, attgenerated, attstorage,
       CASE WHEN attcollation <> 0 THEN (SELECT collname FROM pg_collation WHERE oid = attcollation) END AS collation,
       pg_get_expr(adbin, adrelid) AS expression
  FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum
"""
_CONSTRAINTS: Final = """
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
 WHERE conrelid = $1 AND contype <> 'n' ORDER BY conname
"""
_INDEXES: Final = """
SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index JOIN pg_class ON oid = indexrelid
 WHERE indrelid = $1 ORDER BY relname
"""
_STORAGE: Final = {b"p": "plain", b"e": "external", b"m": "main", b"x": "extended"}


async def catalog(connection: asyncpg.Connection) -> str:
    """Return all tables with their columns, constraints, indexes and options."""
    lines: list[str] = []
    for table in await connection.fetch(_TABLES):
        lines.append(f"table {table['relname']}")
        lines += [f"    {_column(column)}" for column in await connection.fetch(_COLUMNS, table["oid"])]
        for each in await connection.fetch(_CONSTRAINTS, table["oid"]):
            lines.append(f"    constraint {each['conname']} {each['definition']}")
        lines += [f"    {each['definition']}" for each in await connection.fetch(_INDEXES, table["oid"])]
        lines += [f"    with {options}" for options in (table["options"],) if options]
        lines += [f"    with toast {options}" for options in (table["toast_options"],) if options]
        lines.append("")
    return "\n".join(lines)


def _column(column: asyncpg.Record) -> str:
    words = [column["attname"], column["type"]]
    words += [f"collate {column['collation']}"] if column["collation"] not in (None, "default") else []
    words += ["not null"] if column["attnotnull"] else []
    words += ["identity"] if column["attidentity"] != b"\0" else []
    kind = "generated" if column["attgenerated"] != b"\0" else "default"
    words += [f"{kind} {column['expression']}"] if column["expression"] is not None else []
    words += [_STORAGE[column["attstorage"]]] if column["attstorage"] == b"e" else []
    return " ".join(words)


async def _print(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    sys.stdout.write(await catalog(connection))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(_print(sys.argv[1]))
