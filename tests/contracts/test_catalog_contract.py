"""The catalog's own copy, in memory and in PostgreSQL alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.ports import StoreRefused
from protocol.catalog import Enrolment, Entity, Lesson, LiveClass, Product, Program
from storage.catalog import CatalogStore, EnrolmentFacts, PostgresCatalog, Untold, stub_of
from storage.memory_catalog import MemoryCatalog
from tests.support.examples import T0
from tests.support.stores import MemoryStore, PostgresStore, Store

MINUTE = 60_000


@pytest.fixture
async def catalog(store: Store) -> CatalogStore:
    if isinstance(store, MemoryStore):
        return MemoryCatalog(store.memory)
    assert isinstance(store, PostgresStore)
    return PostgresCatalog(await store.database())


def lesson(content_id: str = "c1", at: int = T0, **changes: Any) -> Lesson:
    fields: dict[str, Any] = {
        "kind": "lesson",
        "content_id": content_id,
        "title": "বীজগণিত",
        "catalog_product_id": "p1",
        "course_id": "k1",
        "has_video": True,
        "published": True,
        "published_at": T0,
        "duration_ms": 600_500,
        "sequential": True,
        "requires": (("lesson", "c0"), ("quiz", '"q"\\')),
        "completion_threshold": 0.9,
        "ignore_tail": True,
        "updated_at": at,
    }
    return Lesson(**(fields | changes))


def live_class(live_class_id: str = "r1", at: int = T0, **changes: Any) -> LiveClass:
    fields: dict[str, Any] = {
        "live_class_id": live_class_id,
        "name": "Algebra",
        "catalog_product_id": "p1",
        "program_id": None,
        "course_id": None,
        "subject": "Maths",
        "platform": None,
        "start_at": T0,
        "end_at": T0 + 60 * MINUTE,
        "is_required": True,
        "status": "scheduled",
        "updated_at": at,
    }
    return LiveClass(**(fields | changes))


def enrolment(user_id: str = "u1", product_id: str = "p1", at: int = T0, **changes: Any) -> Enrolment:
    return Enrolment(product_id, user_id, changes.get("enrolled_at"), changes.get("ended_at"), at)


def untold(row: LiveClass, told_status: Any = None) -> Untold:
    times = (row.start_at, row.end_at)
    return Untold(row.live_class_id, row.name, row.catalog_product_id, *times, row.status, told_status, row.updated_at)


async def title(catalog: CatalogStore) -> str | None:
    [found] = await catalog.contents([("lesson", "c1")])
    return found.title


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_what_is_new_is_counted_and_what_is_told_again_is_not(catalog: CatalogStore):
    all_kinds: list[Entity] = [
        Product("p1", "Class 9", T0),
        Program("g1", "School", T0),
        live_class(),
        lesson(),
        enrolment(),
    ]

    assert await catalog.write(all_kinds) == 5
    assert await catalog.write(all_kinds) == 0
    assert await catalog.write([*all_kinds, Product("p2", "Class 10", T0)]) == 1


async def test_a_content_comes_back_as_it_was_told(catalog: CatalogStore):
    await catalog.write([lesson()])

    [found] = await catalog.contents([("lesson", "c1"), ("lesson", "c2")])
    assert (found.title, found.catalog_product_id, found.course_id) == ("বীজগণিত", "p1", "k1")
    assert (found.has_video, found.published, found.published_at) == (True, True, T0)
    assert (found.duration_ms, found.sequential, found.ignore_tail) == (600_500, True, True)
    assert found.requires == (("lesson", "c0"), ("quiz", '"q"\\'))
    assert (found.completion_threshold, found.stub) == (0.9, False)


async def test_an_older_telling_never_overwrites_a_newer_one(catalog: CatalogStore):
    await catalog.write([lesson(at=T0 + 5, title="newer")])

    assert await catalog.write([lesson(at=T0 + 4, title="older")]) == 0
    assert await title(catalog) == "newer"

    await catalog.write([lesson(at=T0 + 5, title="as new")])
    assert await title(catalog) == "as new"


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_within_one_body_the_newest_stays_wherever_it_stands(catalog: CatalogStore, places: tuple[int, ...]):
    assert await catalog.write([lesson(at=T0 + place, title=f"title {place}") for place in places]) == 1

    assert await title(catalog) == "title 2"


async def test_of_equals_within_one_body_the_last_stays(catalog: CatalogStore):
    await catalog.write([lesson(title="first"), lesson(title="last")])

    assert await title(catalog) == "last"


async def test_bodies_at_the_same_time_leave_the_newest(catalog: CatalogStore):
    bodies = [[lesson(f"c{each}", at=T0 + turn, title=f"t{turn}") for each in range(30)] for turn in (3, 1, 4, 2)]
    # Against each other's order: they must not wait for each other.
    bodies[1].reverse()

    await asyncio.gather(*(catalog.write(body) for body in bodies))

    found = await catalog.contents([("lesson", f"c{each}") for each in range(30)])
    assert {each.title for each in found} == {"t4"}


async def test_a_body_that_does_not_fit_changes_nothing(catalog: CatalogStore):
    with pytest.raises(StoreRefused):
        await catalog.write([lesson(), live_class(name="nul \0")])

    assert await catalog.contents([("lesson", "c1")]) == []


async def test_more_than_one_statement_takes_is_one_body_all_the_same(catalog: CatalogStore):
    body = [enrolment(f"u{number}") for number in range(2_500)]

    assert await catalog.write(body) == 2_500
    assert await catalog.write([*body, enrolment("one more")]) == 1


# -- stubs ------------------------------------------------------------------------------------------------------------


async def test_a_stub_makes_a_content_known_and_is_filled_in(catalog: CatalogStore):
    assert await catalog.contents([("lesson", "c1")]) == []

    for _ in range(2):
        await catalog.put_content_stub("lesson", "c1")
    assert await catalog.contents([("lesson", "c1")]) == [stub_of("lesson", "c1")]

    assert await catalog.write([lesson(at=0)]) == 0
    [found] = await catalog.contents([("lesson", "c1")])
    assert (found.title, found.stub) == ("বীজগণিত", False)


async def test_a_stub_leaves_a_known_content_alone(catalog: CatalogStore):
    await catalog.write([lesson()])
    await catalog.put_content_stub("lesson", "c1")

    assert await title(catalog) == "বীজগণিত"


async def test_a_content_from_before_there_was_a_catalog_is_filled_in(postgres: PostgresStore):
    connection = await postgres.connection()
    await connection.execute("INSERT INTO contents VALUES ('lesson', 'c1', 'Algebra', 600000)")
    catalog = PostgresCatalog(await postgres.database())
    assert await title(catalog) == "Algebra"

    await catalog.write([lesson(at=0)])
    assert await title(catalog) == "বীজগণিত"


# -- enrolments -------------------------------------------------------------------------------------------------------


async def test_an_enrolment_is_told_beside_those_who_have_none(catalog: CatalogStore):
    await catalog.write([enrolment("u1", enrolled_at=T0, ended_at=T0 + 9)])

    found = await catalog.enrolments([("p1", "u2"), ("p2", "u1"), ("p1", "u1")])
    assert sorted(found, key=lambda each: (each.product_id, each.user_id)) == [
        EnrolmentFacts("p1", "u1", known=True, enrolled_at=T0, ended_at=T0 + 9, open_to_all=False),
        EnrolmentFacts("p1", "u2", known=False, enrolled_at=None, ended_at=None, open_to_all=False),
        EnrolmentFacts("p2", "u1", known=False, enrolled_at=None, ended_at=None, open_to_all=True),
    ]


async def test_an_enrolment_ends_once(catalog: CatalogStore):
    await catalog.write([enrolment()])

    assert await catalog.end_enrolment("p1", "u1", T0 + 5)
    assert await catalog.end_enrolment("p1", "u1", T0 + 9)
    assert not await catalog.end_enrolment("p1", "u2", T0 + 9)

    [found] = await catalog.enrolments([("p1", "u1")])
    assert found.ended_at == T0 + 5
    assert not found.open_to_all


async def test_an_end_that_lies_ahead_is_brought_forward(catalog: CatalogStore):
    await catalog.write([enrolment(ended_at=T0 + 100)])
    await catalog.end_enrolment("p1", "u1", T0 + 5)

    [found] = await catalog.enrolments([("p1", "u1")])
    assert found.ended_at == T0 + 5


async def test_what_was_told_before_the_end_does_not_undo_it(catalog: CatalogStore):
    await catalog.write([enrolment()])
    await catalog.end_enrolment("p1", "u1", T0 + 5)

    await catalog.write([enrolment(at=T0 + 4)])
    [found] = await catalog.enrolments([("p1", "u1")])
    assert found.ended_at == T0 + 5

    await catalog.write([enrolment(at=T0 + 6)])
    [found] = await catalog.enrolments([("p1", "u1")])
    assert found.ended_at is None


async def test_an_end_holds_though_its_owners_clock_runs_ahead(catalog: CatalogStore):
    await catalog.write([enrolment(at=T0 + 1000)])
    await catalog.end_enrolment("p1", "u1", T0)

    await catalog.write([enrolment(at=T0 + 999)])
    [found] = await catalog.enrolments([("p1", "u1")])
    assert found.ended_at == T0


# -- what changed -----------------------------------------------------------------------------------------------------


async def test_what_others_write_is_heard_of(catalog: CatalogStore):
    await catalog.write([lesson("before"), enrolment("before")])
    start = (await catalog.changes(0, 10)).horizon

    await catalog.write([lesson("c1"), enrolment("u1"), Product("p1", "x", T0)])
    await catalog.put_content_stub("lesson", "c2")
    await catalog.end_enrolment("p1", "before", T0)
    changes = await catalog.changes(start, 10)

    assert changes.contents is not None
    assert changes.enrolments is not None
    assert {("lesson", "c1"), ("lesson", "c2")} <= set(changes.contents)
    assert {("p1", "u1"), ("p1", "before")} <= set(changes.enrolments)
    later = await catalog.changes(changes.horizon, 10)
    assert (later.contents, later.enrolments) == ([], [])


async def test_what_changed_nothing_is_not_heard_of(catalog: CatalogStore):
    await catalog.write([lesson(), enrolment()])
    horizon = (await catalog.changes(0, 10)).horizon

    await catalog.write([lesson(), enrolment()])
    await catalog.write([lesson(at=T0 - 1, title="older")])
    await catalog.put_content_stub("lesson", "c1")

    changes = await catalog.changes(horizon, 10)
    assert (changes.contents, changes.enrolments) == ([], [])


async def test_more_changes_than_one_wants_are_not_listed(catalog: CatalogStore):
    await catalog.write([lesson(f"c{number}") for number in range(3)])
    await catalog.write([enrolment(f"u{number}") for number in range(2)])

    changes = await catalog.changes(0, 2)

    assert changes.contents is None
    assert changes.enrolments is not None
    assert len(changes.enrolments) == 2


async def test_a_slow_writer_is_heard_of_behind_a_quick_one(postgres: PostgresStore):
    catalog = PostgresCatalog(await postgres.database())
    slow = await postgres.connection()
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("INSERT INTO enrolments VALUES ('p1', 'slow', NULL, NULL, now())")
    await catalog.write([enrolment("quick")])
    first = await catalog.changes(0, 10)
    await transaction.commit()

    second = await catalog.changes(first.horizon, 10)

    assert first.enrolments == [("p1", "quick")]
    assert second.enrolments is not None
    assert ("p1", "slow") in second.enrolments


async def test_rows_restored_from_another_server_are_not_news_for_ever(postgres: PostgresStore):
    connection = await postgres.connection()
    await connection.execute("INSERT INTO enrolments VALUES ('p1', 'u1', NULL, NULL, now(), 1::bigint << 60)")

    changes = await PostgresCatalog(await postgres.database()).changes(0, 10)

    assert changes.enrolments == []


# -- classes and their rooms ------------------------------------------------------------------------------------------


async def test_a_class_is_untold_until_its_room_knows_it(catalog: CatalogStore):
    await catalog.write([live_class("r2"), live_class("r1"), live_class("r3")])

    assert await catalog.untold(None, 2) == [untold(live_class("r1")), untold(live_class("r2"))]
    assert await catalog.untold(["r3", "r9"], 10) == [untold(live_class("r3"))]

    await catalog.told([untold(live_class(each)) for each in ("r1", "r2", "r3")])
    assert await catalog.untold(None, 10) == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Geometry"},
        {"catalog_product_id": "p2"},
        {"start_at": T0 + 1},
        {"end_at": T0 + 61 * MINUTE},
        {"status": "cancelled"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_a_room_knows_is_untold_again_when_it_changes(catalog: CatalogStore, change: dict[str, Any]):
    await catalog.write([live_class()])
    await catalog.told([untold(live_class())])

    await catalog.write([live_class(at=T0 + 1, **change)])

    assert await catalog.untold(None, 10) == [untold(live_class(at=T0 + 1, **change), "scheduled")]


async def test_what_a_room_does_not_know_anyway_is_not_told(catalog: CatalogStore):
    await catalog.write([live_class()])
    await catalog.told([untold(live_class())])

    await catalog.write([live_class(at=T0 + 1, subject="Physics", is_required=False, platform="web")])
    await catalog.write([live_class(at=T0 + 2, subject="Physics")])

    assert await catalog.untold(None, 10) == []


async def test_a_class_that_changed_while_its_room_was_told_is_untold(catalog: CatalogStore):
    await catalog.write([live_class()])
    [told] = await catalog.untold(None, 10)
    await catalog.write([live_class(at=T0 + 1, status="cancelled")])
    await catalog.told([told])

    assert await catalog.untold(None, 10) == [untold(live_class(at=T0 + 1, status="cancelled"), "scheduled")]
