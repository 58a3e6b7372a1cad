"""`CatalogStore` in memory: the tables as dictionaries, under the rules of the statements."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.ports import StoreRefused
from protocol.catalog import Enrolment, Entity, Lesson, LiveClass, key_of, lasting
from storage.catalog import Changes, ContentFacts, ContentKey, EnrolmentFacts, EnrolmentKey, Untold, stub_of
from storage.memory_rows import check_text

if TYPE_CHECKING:
    from storage.memory import Memory

Key = tuple[type, str, str]

_TOLD_OF: Final = ("name", "catalog_product_id", "start_at", "end_at", "status")


class CatalogTables:
    """The tables. `changed` holds the write that changed a row last; `told` whether a class's room knows the class."""

    def __init__(self) -> None:
        self.rows: dict[Key, Entity] = {}
        self.contents: dict[ContentKey, ContentFacts] = {}
        self.changed: dict[Key, int] = {}
        self.writes = 0
        self.told: dict[str, bool] = {}
        self.told_status: dict[str, str] = {}


class MemoryCatalog:
    """`CatalogStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._tables = memory.catalog

    async def write(self, entities: Collection[Entity]) -> int:
        for entity in entities:
            _check(entity)
        tables = self._tables
        async with self._memory.faults.call():
            tables.writes += 1
            new = 0
            for entity in lasting(entities):
                key = key_of(entity)
                known = tables.rows.get(key)
                new += known is None and not self._is_stub(entity)
                if known is None or (entity.updated_at >= known.updated_at and entity != known):
                    self._put(key, entity, known)
            return new

    def _is_stub(self, entity: Entity) -> bool:
        return isinstance(entity, Lesson) and (entity.kind, entity.content_id) in self._tables.contents

    def _put(self, key: Key, entity: Entity, known: Entity | None) -> None:
        tables = self._tables
        tables.rows[key] = entity
        tables.changed[key] = tables.writes
        if isinstance(entity, Lesson):
            values = msgspec.structs.asdict(entity)
            del values["updated_at"], values["xapi_id"]
            tables.contents[entity.kind, entity.content_id] = ContentFacts(**values, stub=False)
        elif isinstance(entity, LiveClass):
            same = isinstance(known, LiveClass) and _told_of(known) == _told_of(entity)
            tables.told[entity.live_class_id] = same and tables.told.get(entity.live_class_id, False)

    async def end_enrolment(self, product_id: str, user_id: str, at: int) -> bool:
        key = (Enrolment, product_id, user_id)
        tables = self._tables
        async with self._memory.faults.call():
            known = tables.rows.get(key)
            if not isinstance(known, Enrolment):
                return False
            if known.ended_at is None or known.ended_at > at:
                tables.writes += 1
                changed = msgspec.structs.replace(known, ended_at=at, updated_at=max(known.updated_at, at))
                tables.rows[key], tables.changed[key] = changed, tables.writes
            return True

    async def contents(self, keys: Collection[ContentKey]) -> Sequence[ContentFacts]:
        async with self._memory.faults.call():
            known = self._tables.contents
            return [known[key] for key in keys if key in known]

    async def enrolments(self, keys: Collection[EnrolmentKey]) -> Sequence[EnrolmentFacts]:
        async with self._memory.faults.call():
            anybody = {each.product_id for each in self._tables.rows.values() if isinstance(each, Enrolment)}
            return [self._enrolment(*key, open_to_all=key[0] not in anybody) for key in keys]

    def _enrolment(self, product_id: str, user_id: str, *, open_to_all: bool) -> EnrolmentFacts:
        found = self._tables.rows.get((Enrolment, product_id, user_id))
        if not isinstance(found, Enrolment):
            return EnrolmentFacts(product_id, user_id, False, None, None, open_to_all)  # noqa: FBT003 - as a row
        return EnrolmentFacts(product_id, user_id, True, found.enrolled_at, found.ended_at, open_to_all)  # noqa: FBT003

    async def put_content_stub(self, kind: str, content_id: str) -> None:
        check_text(kind)
        check_text(content_id)
        key = (Lesson, kind, content_id)
        async with self._memory.faults.call():
            contents = self._tables.contents
            if (kind, content_id) not in contents:
                contents[kind, content_id] = stub_of(kind, content_id)
                self._tables.writes += 1
                self._tables.changed[key] = self._tables.writes

    async def changes(self, horizon: int, limit: int) -> Changes:
        async with self._memory.faults.call():
            contents = self._changed(Lesson, horizon)
            enrolments = self._changed(Enrolment, horizon)
            return Changes(
                self._tables.writes + 1,
                contents if len(contents) <= limit else None,
                enrolments if len(enrolments) <= limit else None,
            )

    def _changed(self, kind: type, horizon: int) -> list[tuple[str, str]]:
        return [key[1:] for key, write in self._tables.changed.items() if key[0] is kind and write >= horizon]

    async def untold(self, live_class_ids: Collection[str] | None, limit: int) -> Sequence[Untold]:
        tables = self._tables
        async with self._memory.faults.call():
            wanted = tables.told if live_class_ids is None else set(live_class_ids)
            ids = sorted(each for each, told in tables.told.items() if not told and each in wanted)
            return [self._untold(each) for each in ids[:limit]]

    def _untold(self, live_class_id: str) -> Untold:
        found = self._tables.rows[LiveClass, live_class_id, ""]
        assert isinstance(found, LiveClass)
        told_status: Any = self._tables.told_status.get(live_class_id)
        values = dict(zip(_TOLD_OF, _told_of(found), strict=True))
        return Untold(live_class_id=live_class_id, told_status=told_status, updated_at=found.updated_at, **values)

    async def told(self, classes: Collection[Untold]) -> None:
        async with self._memory.faults.call():
            for each in classes:
                now = self._untold(each.live_class_id)
                self._tables.told[each.live_class_id] = _told_of(now) == _told_of(each)
                self._tables.told_status[each.live_class_id] = each.status


def _told_of(row: LiveClass | Untold) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in _TOLD_OF)


def _check(entity: Entity) -> None:
    for value in msgspec.structs.astuple(entity):
        if isinstance(value, str):
            check_text(value)
    if isinstance(entity, LiveClass) and entity.end_at < entity.start_at:
        raise StoreRefused("a class ends before it starts")
