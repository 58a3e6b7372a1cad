"""What is known of contents and enrolments: from memory, bounded, and never older than a second."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from actors.ports import StoreAway
from protocol.catalog import Enrolment, Entity, Lesson
from server.catalog import Catalog
from server.catalog.memory import AT_ONCE, Facts
from storage.memory import Memory
from storage.memory_catalog import CatalogTables, MemoryCatalog
from tests.support.examples import T0

Key = tuple[str, str]


class Library:
    """A store that counts its questions, and answers when it is let."""

    def __init__(self) -> None:
        self.questions: list[list[Key]] = []
        self.said = "first"
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, keys: Collection[Key]) -> Mapping[Key, str]:
        self.questions.append(list(keys))
        said = self.said
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {key: f"{key[1]} {said}" for key in keys}


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def facts(library: Library) -> Facts[Key, str]:
    return Facts(library.read, 3, waiting_max=2)


async def ask(facts: Facts[Key, str], *names: str) -> list[str]:
    return [await facts.get(("k", name)) for name in names]


async def until_asked(library: Library, questions: int) -> None:
    async with asyncio.timeout(5):
        while len(library.questions) < questions:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def test_what_is_asked_twice_is_read_once(library: Library, facts: Facts[Key, str]):
    assert await ask(facts, "a", "a", "a") == ["a first"] * 3
    assert library.questions == [[("k", "a")]]


async def test_those_who_ask_at_once_are_answered_by_one_question(library: Library):
    facts: Facts[Key, str] = Facts(library.read, 5_000)
    found = await asyncio.gather(*(facts.get(("k", str(number % 40))) for number in range(400)))

    assert found == [f"{number % 40} first" for number in range(400)]
    assert [len(keys) for keys in library.questions] == [40]


async def test_a_question_has_an_end(library: Library):
    facts: Facts[Key, str] = Facts(library.read, 5_000)
    await asyncio.gather(*(facts.get(("k", str(number))) for number in range(AT_ONCE + 5)))

    assert [len(keys) for keys in library.questions] == [AT_ONCE, 5]


async def test_the_fact_that_nobody_asked_for_longest_goes(library: Library, facts: Facts[Key, str]):
    await ask(facts, "a", "b", "c", "a", "d")
    assert len(facts) == 3
    library.questions.clear()

    await ask(facts, "a", "c", "d")
    assert library.questions == []
    await ask(facts, "b")
    assert library.questions == [[("k", "b")]]


async def test_what_is_forgotten_is_read_again(library: Library, facts: Facts[Key, str]):
    await ask(facts, "a", "b")
    library.said = "second"

    facts.forget([("k", "a"), ("k", "z")])
    assert await ask(facts, "a", "b") == ["a second", "b first"]

    facts.forget_all()
    assert await ask(facts, "b") == ["b second"]


@pytest.mark.parametrize("everything", [False, True])
async def test_what_changes_while_it_is_read_is_answered_and_not_kept(
    library: Library, facts: Facts[Key, str], *, everything: bool
):
    library.open.clear()
    early = asyncio.ensure_future(facts.get(("k", "a")))
    await until_asked(library, 1)
    library.said = "second"
    if everything:
        facts.forget_all()
    else:
        facts.forget([("k", "a")])
    late = asyncio.ensure_future(facts.get(("k", "a")))
    await asyncio.sleep(0)
    library.open.set()

    assert await early == "a first"
    assert await late == "a second"
    assert await ask(facts, "a") == ["a second"]


async def test_who_gives_up_takes_the_answer_from_nobody(library: Library, facts: Facts[Key, str]):
    library.open.clear()
    impatient, patient = (asyncio.ensure_future(facts.get(("k", "a"))) for _ in range(2))
    await until_asked(library, 1)
    impatient.cancel()
    await asyncio.sleep(0)
    library.open.set()

    assert await patient == "a first"


@pytest.mark.parametrize("error", [StoreAway("away"), KeyError("a fault of ours")])
async def test_a_failure_is_told_to_all_who_wait_and_to_nobody_else(
    library: Library, facts: Facts[Key, str], error: Exception
):
    library.error = error
    found = await asyncio.gather(*(facts.get(("k", "a")) for _ in range(3)), return_exceptions=True)
    library.error = None

    assert {type(each) for each in found} == {type(error)}
    assert await ask(facts, "a") == ["a first"]


async def test_more_questions_than_can_wait_are_refused(library: Library, facts: Facts[Key, str]):
    library.open.clear()
    waiting = [asyncio.ensure_future(facts.get(("k", "a")))]
    await until_asked(library, 1)
    waiting += [asyncio.ensure_future(facts.get(("k", name))) for name in "bc"]
    await asyncio.sleep(0)

    with pytest.raises(StoreAway):
        await facts.get(("k", "d"))
    library.open.set()

    assert await asyncio.gather(*waiting) == ["a first", "b first", "c first"]


# -- two nodes --------------------------------------------------------------------------------------------------------


def lesson(content_id: str, at: int = T0, **changes: Any) -> Lesson:
    fields: dict[str, Any] = {
        "title": "Algebra",
        "catalog_product_id": None,
        "course_id": None,
        "has_video": True,
        "published": True,
        "published_at": None,
        "duration_ms": None,
        "sequential": False,
        "requires": (),
        "completion_threshold": None,
        "ignore_tail": False,
    }
    return Lesson("lesson", content_id, updated_at=at, **(fields | changes))


class Cluster:
    """Two nodes on one store."""

    def __init__(self, **bounds: int) -> None:
        self.memory = Memory()
        self.here, self.there = (Catalog(MemoryCatalog(self.memory), **bounds) for _ in range(2))

    async def write(self, *entities: Entity) -> None:
        """The other node takes it in."""
        await MemoryCatalog(self.memory).write(entities)
        self.there.wrote(entities)


async def test_a_node_knows_at_once_what_it_has_written_itself():
    nodes = Cluster()
    assert not await nodes.there.known("lesson", "c1", create=False)
    assert await nodes.there.enrolled("u1", "p1", T0)

    await nodes.write(lesson("c1"), Enrolment("p1", "u2", None, None, T0))

    assert await nodes.there.known("lesson", "c1", create=False)
    assert not await nodes.there.enrolled("u1", "p1", T0)


async def test_a_node_knows_what_another_has_written_when_it_has_looked():
    nodes = Cluster()
    assert await nodes.here.content("lesson", "c1") is None
    assert await nodes.here.enrolled("u1", "p1", T0)

    await nodes.write(lesson("c1", title="one"), Enrolment("p1", "u2", None, None, T0))
    assert await nodes.here.content("lesson", "c1") is None
    await nodes.here.refresh()

    found = await nodes.here.content("lesson", "c1")
    assert found is not None
    assert found.title == "one"
    assert not await nodes.here.enrolled("u1", "p1", T0)
    assert await nodes.here.enrolled("u2", "p1", T0)


@pytest.mark.parametrize("count", [2, 3])
async def test_many_changes_at_once_are_known_too(count: int):
    nodes = Cluster(changes_max=2)
    for number in range(count):
        await nodes.here.content("lesson", f"c{number}")
        await nodes.here.enrolled(f"u{number}", "p1", T0)

    await nodes.write(*(lesson(f"c{number}") for number in range(count)))
    await nodes.write(*(Enrolment("p1", f"u{number}", None, None, T0) for number in range(count)))
    await nodes.here.refresh()

    assert [await nodes.here.known("lesson", f"c{number}", create=False) for number in range(count)] == [True] * count
    assert [await nodes.here.takes_part(f"u{number}", "p1", T0) for number in range(count)] == [True] * count
    assert not await nodes.here.enrolled("stranger", "p1", T0)


async def test_a_store_that_was_set_back_is_believed():
    nodes = Cluster()
    await nodes.write(lesson("c1", title="of tomorrow"))
    await nodes.here.refresh()
    await nodes.here.content("lesson", "c1")
    vars(nodes.memory.catalog).update(vars(CatalogTables()))  # a backup of an earlier day

    await nodes.here.refresh()

    assert await nodes.here.content("lesson", "c1") is None


async def test_what_is_known_is_said_while_the_store_is_away():
    nodes = Cluster()
    await nodes.write(lesson("c1"), Enrolment("p1", "u1", None, None, T0))
    assert await nodes.here.known("lesson", "c1", create=False)
    assert await nodes.here.enrolled("u1", "p1", T0)
    nodes.memory.faults.away = True

    assert await nodes.here.known("lesson", "c1", create=False)
    assert await nodes.here.enrolled("u1", "p1", T0)
    with pytest.raises(StoreAway):
        await nodes.here.known("lesson", "c2", create=False)
    with pytest.raises(StoreAway):
        await nodes.here.refresh()


async def test_the_memory_is_bounded_and_right_all_the_same():
    nodes = Cluster(contents_max=2, enrolments_max=2)
    await nodes.write(*(lesson(f"c{number}") for number in range(5)))
    await nodes.write(*(Enrolment("p1", f"u{number}", None, None, T0) for number in range(5)))

    for _ in range(2):
        assert [await nodes.here.known("lesson", f"c{number}", create=False) for number in range(6)] == [True] * 5 + [
            False
        ]
        assert [await nodes.here.enrolled(f"u{number}", "p1", T0) for number in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("enrolled_at", "ended_at", "expected"),
    [
        (None, None, True),
        (T0, None, True),
        (T0 + 1, None, False),
        (None, T0, False),
        (None, T0 + 1, True),
        (T0, T0, False),
    ],
)
async def test_an_enrolment_is_half_open(enrolled_at: int | None, ended_at: int | None, *, expected: bool):
    nodes = Cluster()
    await nodes.write(Enrolment("p1", "u1", enrolled_at, ended_at, T0))

    assert await nodes.here.enrolled("u1", "p1", T0) is expected
