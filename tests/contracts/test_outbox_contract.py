"""What every outbox promises the publisher: order per room, one publisher at a time, nothing forgotten unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from storage.memory_outbox import MemoryOutbox, OutboxTable
from storage.outbox import FRONT, ROOM_MOST, Failure, Outbox, Outgoing, PostgresOutbox
from tests.support.postgres import Databases
from tests.support.servers import POSTGRES
from tests.support.stores import PostgresStore

_ADD = """
INSERT INTO outbox (room_id, event_name, exchange, routing_key, body)
SELECT room_id, 'liveclass.end', 'classes', 'liveclass.end', convert_to(n::text, 'UTF8')
  FROM unnest($1::text[]) WITH ORDINALITY AS r (room_id, n)
"""


class Place(Protocol):
    async def node(self) -> Outbox:
        """The outbox of another node of one cluster."""
        ...

    async def add(self, *rooms: str) -> None:
        """An event of each of these rooms; its body is its number in this call."""
        ...

    async def pass_time(self, seconds: float) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.table = OutboxTable(lambda: self.now)

    async def node(self) -> Outbox:
        return MemoryOutbox(self.table)

    async def add(self, *rooms: str) -> None:
        for number, room_id in enumerate(rooms, 1):
            self.table.add(room_id, "liveclass.end", "classes", "liveclass.end", str(number).encode())

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds * 1000


class InPostgres:
    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    async def node(self) -> Outbox:
        return PostgresOutbox(await self._store.database())

    async def add(self, *rooms: str) -> None:
        connection = await self._store.connection()
        await connection.execute(_ADD, list(rooms))

    async def pass_time(self, seconds: float) -> None:
        connection = await self._store.connection()
        await connection.execute(
            "UPDATE outbox SET retry_at = retry_at - make_interval(secs => $1), "
            "created_at = created_at - make_interval(secs => $1)",
            seconds,
        )


@pytest.fixture(params=[pytest.param("memory", id="memory"), *POSTGRES])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "memory":
        yield InMemory()
        return
    databases: Databases = request.getfixturevalue(request.param)
    store = PostgresStore(await databases.migrated())
    yield InPostgres(store)
    await store.close()
    await databases.drop(store.dsn)


@pytest.fixture
async def outbox(place: Place) -> Outbox:
    return await place.node()


async def look(outbox: Outbox, limit: int = 500, busy: tuple[str, ...] = ()) -> list[Outgoing]:
    found = await outbox.next(limit, busy)
    assert found is not None, "another has the turn"
    return list(found)


async def test_gives_events_in_the_order_they_were_written(place: Place, outbox: Outbox):
    await place.add("a", "b", "a")

    found = await look(outbox)

    assert [(each.room_id, each.body) for each in found] == [("a", b"1"), ("b", b"2"), ("a", b"3")]
    assert {each.exchange for each in found} == {"classes"}
    assert len({each.message_id for each in found}) == 3


async def test_gives_the_same_again_until_it_is_settled(place: Place, outbox: Outbox):
    await place.add("a", "b")
    before = await look(outbox)

    assert await look(outbox) == before
    await outbox.settle([before[0].id], [])
    assert await look(outbox) == before[1:]


async def test_settling_twice_changes_nothing(place: Place, outbox: Outbox):
    await place.add("a", "a")
    first, second = await look(outbox)

    await outbox.settle([first.id], [])
    await outbox.settle([first.id], [Failure(first.id, "late", 9)])

    assert await look(outbox) == [second]


async def test_leaves_out_rooms_that_somebody_works_on(place: Place, outbox: Outbox):
    await place.add("a", "b", "c")

    assert [each.room_id for each in await look(outbox, busy=("a", "c"))] == ["b"]


async def test_a_failure_holds_up_its_room_and_no_other(place: Place, outbox: Outbox):
    await place.add("a", "a", "b")
    first = (await look(outbox))[0]

    await outbox.settle([], [Failure(first.id, "nobody wants it", 30)])

    assert [each.room_id for each in await look(outbox)] == ["b"]
    await place.pass_time(31)
    again = await look(outbox)
    assert [each.room_id for each in again] == ["a", "a", "b"]
    assert [each.attempts for each in again] == [1, 0, 0]


async def test_retry_makes_everything_due_as_if_it_had_never_failed(place: Place, outbox: Outbox):
    await place.add("a", "b")
    await outbox.settle([], [Failure(each.id, "no", 3600) for each in await look(outbox)])

    assert await outbox.retry() == 2
    assert [(each.room_id, each.attempts) for each in await look(outbox)] == [("a", 0), ("b", 0)]
    assert await outbox.retry() == 0


async def test_people_see_what_failed_and_why(place: Place, outbox: Outbox):
    await place.add("a", "b")
    first = (await look(outbox))[0]
    await outbox.settle([], [Failure(first.id, "odd \0 words", 60)])

    (failing,) = await outbox.failing(10)

    assert (failing.room_id, failing.event_name, failing.attempts) == ("a", "liveclass.end", 1)
    assert failing.failure.startswith("odd")
    assert failing.retry_at is not None


async def test_one_publisher_has_the_turn_until_it_gives_it_up(place: Place, outbox: Outbox):
    await place.add("a")
    other = await place.node()

    assert await look(outbox)
    assert await other.next(10, ()) is None
    await outbox.release()
    assert await look(other)
    assert await outbox.next(10, ()) is None


async def test_a_long_backlog_of_one_room_shuts_out_no_other(place: Place, outbox: Outbox):
    await place.add(*["long"] * (ROOM_MOST + 50), "short")

    found = await look(outbox)

    assert [each.room_id for each in found] == ["long"] * ROOM_MOST + ["short"]
    assert [int(each.body) for each in found[:-1]] == list(range(1, ROOM_MOST + 1))


async def test_a_look_is_bounded_and_stays_in_order(place: Place, outbox: Outbox):
    await place.add(*[f"room {number % 40}" for number in range(FRONT)])

    found = await look(outbox, limit=70)

    assert [int(each.body) for each in found] == list(range(1, 71))


async def test_tells_depth_and_age(place: Place, outbox: Outbox):
    assert await outbox.state() == (await outbox.state())
    assert (await outbox.state()).depth == 0
    assert (await outbox.state()).age_s == 0

    await place.add("a", "b")
    await place.pass_time(60)

    state = await outbox.state()
    assert state.depth == 2
    assert 60 <= state.age_s < 90
