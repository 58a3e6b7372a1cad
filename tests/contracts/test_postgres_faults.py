"""PostgreSQL goes away in the middle of things: every call ends, in an error of ours, and the next one works again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import asyncpg
import pytest

from actors.machines.rows import Rows
from actors.ports import Fence, Quarantined, StoreAway, StoreRefused
from storage.catalog import PostgresCatalog
from storage.errors import Conflicted, translate
from storage.postgres import Database
from storage.reading import Rating
from tests.support.examples import T0, checkpoint, entries, entry, room
from tests.support.postgres import Databases, Server, embedded_programs, running
from tests.support.stores import Node, PostgresStore, node

pytestmark = [pytest.mark.faults, pytest.mark.slow]

MINE = Fence("node-1", {0: 1})
SOON_S = 15.0
"""Far above every time-out that these tests set, and far below what a dead connection would take."""
CALLS: dict[str, Callable[[Node], Awaitable[object]]] = {
    "append": lambda node: node.journal.append(MINE, 1, entries(1)),
    "read": lambda node: anext(node.journal.read([0])),
    "trim": lambda node: node.journal.trim(MINE, 5),
    "adopt": lambda node: node.journal.adopt(MINE),
    "save": lambda node: node.snapshots.save(MINE, [checkpoint(Rows(room=room()))]),
    "load": lambda node: node.snapshots.load(0, ["r1"]),
    "awake": lambda node: anext(node.snapshots.awake([0])),
    "acquire": lambda node: node.leases.acquire("node-1", "a", [0], 60, force=True),
    "renew": lambda node: node.leases.renew(MINE, 60),
    "release": lambda node: node.leases.release(MINE),
    "quarantine": lambda node: node.quarantine.put(Quarantined(0, "r1", T0, entry().event, "why")),
    "session": lambda node: node.sessions.session_with_segments("s1"),
    "open_session": lambda node: node.sessions.open_session("u1", "video", "c1", "d1"),
    "rooms_page": lambda node: node.reading.rooms_page(None, None, 5),
    "rate": lambda node: node.reading.rate(Rating("r1", "u1", 5, None, T0)),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(embedded_programs()) as server:
        yield server


@pytest.fixture(scope="module")
def made(server: Server) -> Databases:
    return Databases(server.dsn())


@pytest.fixture
async def own(server: Server, made: Databases) -> AsyncIterator[PostgresStore]:
    """A store on a server that a test may treat badly."""
    server.start()
    store = PostgresStore(await made.migrated())
    yield store
    await store.close()


async def within(seconds: float, call: Awaitable[object]) -> None:
    """Ask for StoreAway in that time."""
    begun = time.monotonic()
    with pytest.raises(StoreAway):
        await call
    assert time.monotonic() - begun < seconds


async def all_away(seconds: float, nodes: Mapping[str, Node]) -> None:
    """Every port's every call, at once, ends in StoreAway in that time."""
    calls = (within(seconds, CALLS[name](ready)) for name, ready in nodes.items())
    ended = dict(zip(nodes, await asyncio.gather(*calls, return_exceptions=True), strict=True))
    assert {name: error for name, error in ended.items() if error is not None} == {}


async def prepared(database: Database) -> Node:
    """A node with all its connections made."""
    ready = node(database)
    await database.ping()
    await ready.leases.acquire("node-1", "a", [], 60, force=True)
    await ready.journal.append(MINE, 1, entries(1))
    return ready


async def a_node_for_each_call(own: PostgresStore, statement_timeout_s: float = 5.0) -> dict[str, Node]:
    await (await own.node()).leases.acquire("node-1", "a", [0], 60, force=True)
    return {
        name: await prepared(await own.database(pool_size=1, statement_timeout_s=statement_timeout_s)) for name in CALLS
    }


async def test_a_frozen_server_is_given_up(server: Server, own: PostgresStore):
    nodes = await a_node_for_each_call(own, statement_timeout_s=0.2)

    server.freeze()
    try:
        await all_away(SOON_S, nodes)
        await all_away(SOON_S, nodes)  # with new connections, which do not come about
    finally:
        server.thaw()

    for ready in nodes.values():
        await ready.journal.append(MINE, 1, entries(1))
        assert await ready.sessions.session("s1") is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shutdown", "crash"])
async def test_a_server_that_stops_in_the_middle_of_a_call_is_away(
    server: Server, own: PostgresStore, how: signal.Signals
):
    nodes = await a_node_for_each_call(own, statement_timeout_s=30)
    blocker = await own.connection()
    await blocker.execute(
        "BEGIN; LOCK journal, actors, partition_leases, lease_terms, rooms, watch_sessions, ratings, quarantine"
    )

    asked = asyncio.create_task(all_away(SOON_S, nodes))
    await own.until_waiting(len(CALLS))
    server.stop(how)
    await asked
    await all_away(SOON_S, nodes)

    server.start()
    for ready in nodes.values():
        await ready.journal.append(MINE, 1, entries(1))
        assert await ready.sessions.session("s1") is None


async def test_a_transaction_is_undone_when_its_server_stops(server: Server, own: PostgresStore):
    database = await own.database()

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO contents VALUES ('video', 'c1')")
            server.stop(signal.SIGQUIT)
            await connection.execute("INSERT INTO contents VALUES ('video', 'c2')")

    with pytest.raises(StoreAway):
        await write()

    server.start()
    assert await PostgresCatalog(database).contents([("video", "c1"), ("video", "c2")]) == []


async def test_a_statement_that_takes_too_long_is_cancelled_by_the_server(own: PostgresStore):
    database = await own.database(statement_timeout_s=0.1)

    with pytest.raises(StoreAway, match="statement timeout"):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_sleep(60)")

    await database.ping()


async def test_waiting_for_a_free_connection_ends(own: PostgresStore):
    database = await own.database(statement_timeout_s=0.1, pool_size=1)

    async with database.connection():
        await within(SOON_S, database.ping())

    await database.ping()


async def test_reads_hold_up_neither_the_journal_nor_the_leases(own: PostgresStore):
    database = await own.database(pool_size=1)
    ready = node(database)
    await ready.leases.acquire("node-1", "a", [0], 60, force=True)

    async with database.connection():
        await ready.journal.append(MINE, 1, entries(1))
        assert await ready.leases.renew(MINE, 60) == {0}


async def test_a_call_that_is_cancelled_leaves_the_next_one_alone(own: PostgresStore):
    database, blocker = await own.database(pool_size=1), await own.connection()
    ready = node(database)
    await ready.leases.acquire("node-1", "a", [0], 60, force=True)
    for call in (CALLS["append"], CALLS["save"], CALLS["renew"], CALLS["load"]):
        await blocker.execute("BEGIN; LOCK journal, actors, lease_terms")
        task = asyncio.create_task(asyncio.wait_for(call(ready), 60))
        await own.until_waiting()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await blocker.execute("ROLLBACK")

        async with asyncio.timeout(2):
            await call(ready)


async def test_nobody_there_is_away(server: Server):
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere", statement_timeout_s=0.5)
    await within(SOON_S, database.open())
    await within(SOON_S, database.ping())
    await within(SOON_S, node(database).journal.append(MINE, 1, entries(1)))
    await database.close()


async def test_a_database_that_is_not_there_yet_may_be_opened_later(server: Server, made: Databases):
    database = Database(server.dsn("not_yet"))
    await within(SOON_S, database.open())
    connection = await asyncpg.connect(server.dsn())
    await connection.execute("CREATE DATABASE not_yet")
    try:
        await database.open()
        await database.ping()
    finally:
        await database.close()
        await connection.execute("DROP DATABASE not_yet WITH (FORCE)")
        await connection.close()


async def test_a_closed_database_is_away(own: PostgresStore):
    database = await own.database()
    await database.close()

    await within(SOON_S, database.ping())


async def test_a_dsn_that_makes_no_sense_is_refused():
    with pytest.raises(StoreRefused):
        await Database("http://example").open()


async def test_commits_are_durable_whatever_the_server_thinks(own: PostgresStore):
    database = await own.database()
    ask = "SELECT current_setting('synchronous_commit')"
    assert await (await own.connection()).fetchval(ask) == "off"

    async with database.connection() as connection:
        assert await connection.fetchval(ask) == "on"
    for line in (database.journal_line, database.lease_line):
        async with line.transaction() as connection:
            assert await connection.fetchval(ask) == "on"


async def test_a_stronger_setting_stays(own: PostgresStore):
    connection = await own.connection()
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = remote_apply')

    async with (await own.database()).connection() as ours:
        assert await ours.fetchval("SELECT current_setting('synchronous_commit')") == "remote_apply"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (asyncpg.DeadlockDetectedError("x"), Conflicted),
        (asyncpg.SerializationError("x"), Conflicted),
        (asyncpg.AdminShutdownError("x"), StoreAway),
        (asyncpg.TooManyConnectionsError("x"), StoreAway),
        (asyncpg.DiskFullError("x"), StoreAway),
        (asyncpg.ReadOnlySQLTransactionError("x"), StoreAway),
        (asyncpg.InvalidPasswordError("x"), StoreAway),
        (asyncpg.ConnectionDoesNotExistError("x"), StoreAway),
        (asyncpg.InterfaceError("x"), StoreAway),
        (ConnectionResetError("x"), StoreAway),
        (TimeoutError(), StoreAway),
        (asyncpg.CheckViolationError("x"), StoreRefused),
        (asyncpg.UndefinedTableError("x"), StoreRefused),
        (asyncpg.CharacterNotInRepertoireError("x"), StoreRefused),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), StoreRefused),
        (KeyError("x"), KeyError),
        (asyncio.CancelledError(), asyncio.CancelledError),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else "",
)
def test_each_error_belongs_to_a_family(error: BaseException, ours: type[BaseException]):
    with pytest.raises(ours) as raised, translate():
        raise error
    assert type(raised.value) is ours


async def test_a_schema_that_changes_under_a_prepared_statement_costs_one_call(own: PostgresStore):
    ready, migration = await own.node(), await own.connection()
    mine = Fence("node-1", await ready.leases.acquire("node-1", "a", [0], 60, force=True))
    await ready.journal.append(mine, 1, entries(1))
    await migration.execute("ALTER TABLE journal ALTER COLUMN id TYPE integer")

    with pytest.raises(StoreAway, match="cached statement"):
        await ready.journal.append(mine, 2, entries(2))

    await ready.journal.append(mine, 2, entries(2))


async def test_a_batch_that_this_version_cannot_read_is_named(own: PostgresStore):
    ready, connection = await own.node(), await own.connection()
    columns = "owner, number, partitions, epochs, entries, body"
    for body in (b"\x07later", b"\x01broken", b""):
        await connection.execute("TRUNCATE journal RESTART IDENTITY")
        await connection.execute(f"INSERT INTO journal ({columns}) VALUES ('n', 1, '{{0}}', '{{1}}', 1, $1)", body)

        with pytest.raises(StoreRefused, match="journal row 1 cannot be read"):
            await anext(ready.journal.read([0]))
