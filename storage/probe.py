"""Is a service there, and is it fit? Short questions for people who set one up; not used while serving."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import asyncpg
import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from storage.amqp.connection import BrokerAway, TopologyMismatch, connected
from storage.amqp.topology import Topology, missing

PROBE_S: Final = 5.0


class ProbeError(Exception):
    """The service did not answer as it should; the message has no password in it."""


class DatabaseFacts(msgspec.Struct, frozen=True):
    """What a PostgreSQL said of itself. `version` as in `server_version_num`, e.g. 150004."""

    version: int
    version_text: str
    timescaledb: str | None
    job_errors: int | None
    """Failures of TimescaleDB's policy jobs in the last 7 days: they show nowhere else. None without TimescaleDB."""
    clock_ahead_s: float
    """How far the database's clock is ahead of ours, give or take half the round trip."""


async def probe_database(dsn: str, timeout_s: float = PROBE_S) -> DatabaseFacts:
    """Connect and ask. Raises `ProbeError`."""
    try:
        async with asyncio.timeout(timeout_s):
            connection = await asyncpg.connect(dsn)
            try:
                return await _facts(connection)
            finally:
                connection.terminate()
    except TimeoutError as error:
        raise ProbeError(f"no answer within {timeout_s:g} s") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise ProbeError(_words(error)) from error


async def _facts(connection: asyncpg.Connection[asyncpg.Record]) -> DatabaseFacts:
    before_s = time.time()
    theirs_s: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    ours_s = (before_s + time.time()) / 2
    extension: str | None = await connection.fetchval(
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
    )
    errors: int | None = None
    if extension is not None:
        errors = await connection.fetchval(
            "SELECT count(*) FROM timescaledb_information.job_errors WHERE finish_time > now() - interval '7 days'"
        )
    return DatabaseFacts(
        version=int(await connection.fetchval("SHOW server_version_num")),
        version_text=str(await connection.fetchval("SHOW server_version")),
        timescaledb=extension,
        job_errors=errors,
        clock_ahead_s=theirs_s - ours_s,
    )


def _redis(url: str) -> Any:  # noqa: ANN401 - the client's types are partly unknown
    return redis.asyncio.Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]


async def probe_redis(url: str, timeout_s: float = PROBE_S) -> str:
    """Ask for the server's version. Raises `ProbeError`."""
    try:
        async with asyncio.timeout(timeout_s), _redis(url) as client:
            return str((await client.info("server")).get("redis_version", "unknown version"))
    except TimeoutError as error:
        raise ProbeError(f"no answer within {timeout_s:g} s") from error
    except (OSError, RedisError, ValueError) as error:
        raise ProbeError(_words(error)) from error


async def probe_amqp(url: str, topology: Topology, timeout_s: float = PROBE_S) -> list[str]:
    """Connect, and return what a server would still have to make there. Raises `ProbeError`."""
    try:
        async with asyncio.timeout(timeout_s), connected(url, "rollcall doctor") as connection:
            return await missing(connection, topology)
    except TimeoutError as error:
        raise ProbeError(f"no answer within {timeout_s:g} s") from error
    except (BrokerAway, TopologyMismatch) as error:
        raise ProbeError(_words(error)) from error


async def probe_outbox(dsn: str, timeout_s: float = PROBE_S) -> int:
    """Return how many events wait to be published; 0 too where nobody has made the table. Raises `ProbeError`."""
    try:
        async with asyncio.timeout(timeout_s):
            connection = await asyncpg.connect(dsn)
            try:
                if await connection.fetchval("SELECT to_regclass('outbox')") is None:
                    return 0
                return int(await connection.fetchval("SELECT count(*) FROM outbox"))
            finally:
                connection.terminate()
    except TimeoutError as error:
        raise ProbeError(f"no answer within {timeout_s:g} s") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise ProbeError(_words(error)) from error


def _words(error: BaseException) -> str:
    """One line. Drivers put no password into these: they name the host and the role."""
    return " ".join(str(error).split()) or type(error).__name__
