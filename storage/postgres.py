"""The connections to PostgreSQL: a pool for reads and checkpoints, and two lines of their own.

    pool            checkpoints, recovery, REST reads, housekeeping
    journal line    appends, and nothing that could stand before them
    lease line      who owns what: a lease must be prolonged however busy the rest is

Every call ends: PostgreSQL cancels what takes longer than `statement_timeout_s`, and where not even that comes back (a
dead peer, a stopped server) the client gives up `GRACE_S` later and throws the connection away. A broken connection is
replaced at the next call. Waiting and trying again is the caller's business; errors are those of `actors/ports.py`.

Needs a session of its own per connection (no pooler that changes servers between transactions).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.prepared_stmt import PreparedStatement

from actors.ports import LeaseLost, StoreAway, StoreRefused
from storage import instants
from storage.errors import forgets_statements, translate, translated
from storage.sql import statements

GRACE_S: Final = 1.0
"""How much longer than the server the client waits."""
IDLE_IN_TRANSACTION_S: Final = 2.0
"""A process that stands still in a transaction holds the fence's rows. It loses them before its lease can run out, or
nobody could take over in time (DESIGN.md: 6 s in all, 5 s of them the lease)."""
LEASE_TIMEOUT_S: Final = 2.0
LEASE_LOCK_TIMEOUT_S: Final = 0.5
"""A take-over that waits for a writer must not keep this node's own leases from being prolonged."""

Connection = asyncpg.Connection | PoolConnectionProxy
Argument = object


class Line:
    """One connection: made when first needed, and again after it broke. Calls wait for each other in turn."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._turn = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None
        self._prepared: dict[str, PreparedStatement] = {}

    async def fetchrow(self, name: str, *arguments: Argument) -> asyncpg.Record | None:
        """Run a named statement, prepared once a connection; returns its first row.

        Raises StoreAway, StoreRefused.
        """
        async with self._turn:
            try:
                prepared = self._prepared.get(name)
                if prepared is None or self._connection is None or self._connection.is_closed():
                    prepared = await self._prepare(name)
                return await prepared.fetchrow(*arguments)
            except BaseException as error:
                ours = self._failed(error)
                if ours is error:
                    raise
                raise ours from error

    async def fetch(self, name: str, *arguments: Argument) -> list[asyncpg.Record]:
        """Run a named statement. Raises StoreAway, StoreRefused."""
        async with self._use() as connection:
            return await connection.fetch(statements()[name], *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[asyncpg.Connection]:
        """Lend the connection for one transaction. Raises StoreAway, StoreRefused."""
        async with self._use() as connection, _transaction(connection):
            yield connection

    async def close(self) -> None:
        """End the connection; whoever uses the line again makes a new one."""
        async with self._turn:
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
            self._prepared.clear()

    @asynccontextmanager
    async def _use(self) -> AsyncGenerator[asyncpg.Connection]:
        async with self._turn:
            try:
                yield await self._connected()
            except BaseException as error:
                ours = self._failed(error)
                if ours is error:
                    raise
                raise ours from error

    async def _connected(self) -> asyncpg.Connection:
        connection = self._connection
        if connection is None or connection.is_closed():
            self._prepared.clear()
            connection = self._connection = await self._connect()
        return connection

    async def _prepare(self, name: str) -> PreparedStatement:
        connection = await self._connected()
        prepared = self._prepared[name] = await connection.prepare(statements()[name])
        return prepared

    def _failed(self, error: BaseException) -> BaseException:
        if not _leaves_connection_usable(error) and self._connection is not None:
            self._connection.terminate()
            self._connection = None
        return translated(error)


class Database:
    """All connections of one process. `open` first, `close` last; between them every call connects as it needs to."""

    def __init__(
        self,
        dsn: str,
        *,
        pool_size: int = 4,
        statement_timeout_s: float = 5.0,
        application_name: str = "rollcall",
    ) -> None:
        self._dsn = dsn
        self._pool_size = pool_size
        self._timeout_s = statement_timeout_s
        self._name = application_name
        self._pool: asyncpg.Pool | None = None
        self._lines: list[Line] = []
        self.journal_line = Line(self._connect_journal)
        self.lease_line = Line(self._connect_leases)

    async def open(self) -> None:
        """Make the pool and see that the database answers. Raises StoreAway, StoreRefused; may be tried again."""
        if self._pool is None:
            with translate():
                self._pool = asyncpg.create_pool(
                    self._dsn,
                    min_size=0,  # a database that is away is the next call's business, not the pool's
                    max_size=self._pool_size,
                    init=_prepare_session,
                    reset=_keep_session,
                    **self._options("", self._timeout_s),
                )
                await self._pool
        await self.ping()

    async def close(self) -> None:
        """End all connections; calls under way fail with StoreAway."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()
        for line in (self.journal_line, self.lease_line, *self._lines):
            await line.close()

    def line(self, name: str) -> Line:
        """One more line of its own: for a lock that lasts as long as its connection."""
        made = Line(lambda: self._connect(name, self._timeout_s))
        self._lines.append(made)
        return made

    # -- asking ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection of the pool. Raises StoreAway, StoreRefused."""
        pool = self._pool
        if pool is None:
            raise StoreAway("the database is not open")
        with translate():
            connection = await pool.acquire(timeout=self._timeout_s + GRACE_S)
            try:
                yield connection
            except BaseException as error:
                if not _leaves_connection_usable(error):
                    connection.terminate()
                raise
            finally:
                await pool.release(connection, timeout=GRACE_S)

    @asynccontextmanager
    async def transaction(self, begin: str = "begin") -> AsyncGenerator[Connection]:
        """Lend a connection for one transaction; `begin` names the statement that opens it.

        Raises StoreAway, StoreRefused.
        """
        async with self.connection() as connection, _transaction(connection, begin):
            yield connection

    async def fetch(self, name: str, *arguments: Argument) -> list[asyncpg.Record]:
        """Run a named statement. Raises StoreAway, StoreRefused."""
        async with self.connection() as connection:
            return await connection.fetch(statements()[name], *arguments)

    async def fetchrow(self, name: str, *arguments: Argument) -> asyncpg.Record | None:
        """Run a named statement; returns its first row. Raises StoreAway, StoreRefused."""
        async with self.connection() as connection:
            return await connection.fetchrow(statements()[name], *arguments)

    async def ping(self) -> None:
        """Return when the database answers. Raises StoreAway."""
        await self.fetchrow("ping")

    async def version(self) -> int:
        """Return the server's version as a number: 150018 is 15.18. Raises StoreAway."""
        row = await self.fetchrow("server_version")
        return int(row[0]) if row is not None else 0

    async def timescale(self) -> str | None:
        """Return the version of TimescaleDB in this database; None where it is plain. Raises StoreAway."""
        row = await self.fetchrow("timescale_version")
        return None if row is None else str(row[0])

    # -- connecting -----------------------------------------------------------------------------------------------

    async def _connect_journal(self) -> asyncpg.Connection:
        # One statement with one good plan: no CPU for planning it again.
        return await self._connect("journal", self._timeout_s, plan_cache_mode="force_generic_plan")

    async def _connect_leases(self) -> asyncpg.Connection:
        timeout_s = min(self._timeout_s, LEASE_TIMEOUT_S)
        return await self._connect("leases", timeout_s, lock_timeout=_ms(min(timeout_s, LEASE_LOCK_TIMEOUT_S)))

    async def _connect(self, name: str, timeout_s: float, **settings: str) -> asyncpg.Connection:
        connection: asyncpg.Connection = await asyncpg.connect(self._dsn, **self._options(name, timeout_s, **settings))
        try:
            await _prepare_session(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _options(self, name: str, timeout_s: float, **settings: str) -> dict[str, Any]:
        return {
            "timeout": timeout_s + GRACE_S,
            "command_timeout": timeout_s + GRACE_S,
            "max_cached_statement_lifetime": 0,
            "server_settings": {
                "application_name": f"{self._name} {name}".strip(),
                "statement_timeout": _ms(timeout_s),
                "idle_in_transaction_session_timeout": _ms(IDLE_IN_TRANSACTION_S),
                "jit": "off",
                # How soon the server notices that this machine is gone, and frees what it held.
                "tcp_keepalives_idle": "5",
                "tcp_keepalives_interval": "2",
                "tcp_keepalives_count": "3",
                **settings,
            },
        }


@asynccontextmanager
async def _transaction(connection: Connection, begin: str = "begin") -> AsyncGenerator[None]:
    """BEGIN, COMMIT or ROLLBACK by hand: the driver's own would wait for a dead server again, to roll back."""
    await connection.execute(statements()[begin])
    try:
        yield
    except BaseException as error:
        if _leaves_connection_usable(error) and not connection.is_closed():
            await connection.execute(statements()["rollback"])
        raise
    if await connection.execute(statements()["commit"]) != "COMMIT":
        raise StoreRefused("the transaction had failed before its commit")


async def _prepare_session(connection: Connection) -> None:
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=instants.to_wire, decoder=instants.from_wire, format="tuple"
    )
    await connection.execute(statements()["make_commits_durable"])


async def _keep_session(connection: Connection) -> None:
    """Return to the pool without a round trip: nothing here changes a session after it was prepared."""


def _leaves_connection_usable(error: BaseException) -> bool:
    """Whether the server has answered, so that the connection stands where it should."""
    answered = isinstance(error, asyncpg.PostgresError | LeaseLost | StoreRefused | ValueError)
    return answered and not forgets_statements(error)


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
