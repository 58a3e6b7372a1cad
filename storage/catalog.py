"""The catalog's own copy: what its owners told, written in one transaction a body, read by key for memories in front.

Nothing is ever deleted: an enrolment that ended says what was offered before. Of two tellings of one thing the one with
the later `updated_at` stays, of equals the last (learning-api.md, "What feeds these: the catalog").
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

import asyncpg
import msgspec

from protocol.catalog import Enrolment, Entity, Lesson, LiveClass, Product, Program, Status, lasting
from storage.postgres import Connection, Database
from storage.sql import statements

BATCH_ROWS: Final = 1_000

Values = tuple[Any, ...]
ContentKey = tuple[str, str]
"""Kind and id."""
EnrolmentKey = tuple[str, str]
"""Product and user."""


class ContentFacts(msgspec.Struct, frozen=True):
    """`contents`, key (`kind`, `content_id`). Times Unix ms; `duration_ms` is the catalog's length.

    `stub`: made because a player named it; nothing else is known, and the defaults stand.
    """

    kind: str
    content_id: str
    title: str | None
    catalog_product_id: str | None
    course_id: str | None
    has_video: bool
    published: bool
    published_at: int | None
    duration_ms: int | None
    sequential: bool
    requires: tuple[tuple[str, str], ...]
    completion_threshold: float | None
    ignore_tail: bool
    stub: bool


def stub_of(kind: str, content_id: str) -> ContentFacts:
    """A content of which the id alone is known, with the defaults of the table."""
    return ContentFacts(
        kind=kind,
        content_id=content_id,
        title=None,
        catalog_product_id=None,
        course_id=None,
        has_video=True,
        published=True,
        published_at=None,
        duration_ms=None,
        sequential=False,
        requires=(),
        completion_threshold=None,
        ignore_tail=False,
        stub=True,
    )


class EnrolmentFacts(msgspec.Struct, frozen=True):
    """What is known of a learner in a product. `open_to_all`: nobody was ever enrolled in it."""

    product_id: str
    user_id: str
    known: bool
    enrolled_at: int | None
    ended_at: int | None
    open_to_all: bool


class Changes(msgspec.Struct, frozen=True):
    """What was written since a horizon, and the next one. None: more than one wants to hear of."""

    horizon: int
    contents: Collection[ContentKey] | None
    enrolments: Collection[EnrolmentKey] | None


class Untold(msgspec.Struct, frozen=True):
    """A class as its room is to know it. `told_status` is what the room was told last, None for nothing."""

    live_class_id: str
    name: str
    catalog_product_id: str
    start_at: int
    end_at: int
    status: Status
    told_status: Status | None
    updated_at: int


class CatalogStore(Protocol):
    """Raises StoreAway, StoreRefused."""

    async def write(self, entities: Collection[Entity]) -> int:
        """Write all or nothing; an older `updated_at` changes nothing. Returns how many are new."""
        ...

    async def end_enrolment(self, product_id: str, user_id: str, at: int) -> bool:
        """It ends at `at`, unless it has ended; whether there is one."""
        ...

    async def contents(self, keys: Collection[ContentKey]) -> Sequence[ContentFacts]:
        """Those of these that exist."""
        ...

    async def enrolments(self, keys: Collection[EnrolmentKey]) -> Sequence[EnrolmentFacts]:
        """One for each of these, known or not."""
        ...

    async def put_content_stub(self, kind: str, content_id: str) -> None:
        """Make a content known by name alone; one that is known stays as it is."""
        ...

    async def changes(self, horizon: int, limit: int) -> Changes:
        """Contents and enrolments written since `horizon`, which an earlier answer gave; 0 for ever.

        At most `limit` of each kind are told. Nothing is missed; something may be told twice.
        """
        ...

    async def untold(self, live_class_ids: Collection[str] | None, limit: int) -> Sequence[Untold]:
        """Classes whose room does not know what stands here, of these or of any, by id."""
        ...

    async def told(self, classes: Collection[Untold]) -> None:
        """Their rooms know this of them now."""
        ...


# -- rows -------------------------------------------------------------------------------------------------------------


def row_of(entity: Entity) -> Values:
    """In the order of its statement's columns."""
    if isinstance(entity, Lesson):
        requires = msgspec.json.encode([{"kind": kind, "id": content_id} for kind, content_id in entity.requires])
        return msgspec.structs.astuple(msgspec.structs.replace(entity, requires=requires.decode()))
    return msgspec.structs.astuple(entity)


class _Required(msgspec.Struct):
    kind: str
    id: str


_requires: Final = msgspec.json.Decoder(list[_Required]).decode
_REQUIRES_AT: Final = ContentFacts.__struct_fields__.index("requires")


def _facts(record: asyncpg.Record) -> ContentFacts:
    values = list(record)
    values[_REQUIRES_AT] = tuple((each.kind, each.id) for each in _requires(values[_REQUIRES_AT]))
    return ContentFacts(*values)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


class PostgresCatalog:
    """`CatalogStore` in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entities: Collection[Entity]) -> int:
        # Half a second of work for the largest body: beside the loop, on which players wait.
        rows = await asyncio.to_thread(_rows, entities) if len(entities) > BATCH_ROWS else _rows(entities)
        async with self._database.transaction() as connection:
            return await _write_rows(connection, rows)

    async def end_enrolment(self, product_id: str, user_id: str, at: int) -> bool:
        record = await self._database.fetchrow("end_enrolment", product_id, user_id, at)
        return record is not None and record[0] > 0

    async def contents(self, keys: Collection[ContentKey]) -> Sequence[ContentFacts]:
        return [_facts(record) for record in await self._database.fetch("content_facts", *_columns(keys))]

    async def enrolments(self, keys: Collection[EnrolmentKey]) -> Sequence[EnrolmentFacts]:
        found = await self._database.fetch("enrolment_facts", *_columns(keys))
        return [EnrolmentFacts(*record) for record in found]

    async def put_content_stub(self, kind: str, content_id: str) -> None:
        await self._database.fetch("put_content_stub", kind, content_id)

    async def changes(self, horizon: int, limit: int) -> Changes:
        found = await self._database.fetch("catalog_changes", horizon, limit + 1)
        keys: dict[str, list[tuple[str, str]]] = {"content": [], "enrolment": []}
        for _, entity, first, second in found:
            if entity is not None:
                keys[entity].append((first, second))
        contents, enrolments = keys["content"], keys["enrolment"]
        return Changes(
            found[0]["horizon"],
            contents if len(contents) <= limit else None,
            enrolments if len(enrolments) <= limit else None,
        )

    async def untold(self, live_class_ids: Collection[str] | None, limit: int) -> Sequence[Untold]:
        wanted = None if live_class_ids is None else list(live_class_ids)
        return [Untold(*record) for record in await self._database.fetch("classes_untold", wanted, limit)]

    async def told(self, classes: Collection[Untold]) -> None:
        rows = sorted(msgspec.structs.astuple(each)[:6] for each in classes)
        if rows:
            await self._database.fetch("mark_classes_told", *zip(*rows, strict=True))


async def write_entities(connection: Connection, entities: Collection[Entity]) -> int:
    """Write them within a transaction; returns how many are new. Raises the driver's errors."""
    return await _write_rows(connection, _rows(entities))


Tables = dict[type, list[Values]]


def _rows(entities: Collection[Entity]) -> Tables:
    """By table, in the order of their keys: bodies that take the tables in one order cannot wait for each other."""
    rows: Tables = {kind: [] for kind in (Product, Program, LiveClass, Lesson, Enrolment)}
    for entity in lasting(entities):
        rows[type(entity)].append(row_of(entity))
    return rows


async def _write_rows(connection: Connection, rows: Tables) -> int:
    new = await _write(connection, "save_products", rows[Product])
    new += await _write(connection, "save_programs", rows[Program])
    new += await _write(connection, "save_catalog_classes", rows[LiveClass])
    new += await _write(connection, "save_contents", rows[Lesson])
    new += await _write(connection, "save_enrolments", rows[Enrolment])
    return new


async def _write(connection: Connection, name: str, rows: Sequence[Values]) -> int:
    """Returns how many are new."""
    new = 0
    for start in range(0, len(rows), BATCH_ROWS):
        columns = zip(*rows[start : start + BATCH_ROWS], strict=True)
        new += sum(record[-1] for record in await connection.fetch(statements()[name], *columns))
    return new


def _columns(keys: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [first for first, _ in keys], [second for _, second in keys]
