"""One place that turns the driver's errors into those of the ports (`actors/ports.py`).

    cannot connect, connection lost, time-outs, shut down, out of space or memory, read-only   -> StoreAway
    deadlock, serialization failure                                                              -> Conflicted
    everything else that the server or the driver says no to                                     -> StoreRefused

`Conflicted` is a `StoreAway`: nothing was written, and the same again may well work.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import asyncpg

from actors.ports import StoreAway, StoreRefused

# By class, the first two characters: connection, authorization, resources, intervention (also `statement_timeout`),
# system. A wrong password is the world's fault too: somebody will set it right, and nothing is lost until then.
_AWAY_CLASSES: Final = frozenset({"08", "28", "53", "57", "58"})
_AWAY_STATES: Final = frozenset(
    {
        "3D000",  # no such database (yet)
        "25006",  # read-only: a standby that is about to be promoted
        "25P03",  # idle in transaction for too long: this process stood still
        "25P04",  # transaction_timeout
        "26000",  # a prepared statement that the server has forgotten
        "55P03",  # lock_timeout
    }
)
_CONFLICTS: Final = frozenset({"40001", "40P01"})


class Conflicted(StoreAway):
    """Two transactions were in each other's way, and the server ended this one."""


def translated(error: BaseException) -> BaseException:
    """Return the port's error for `error`; what is no business of a store (a cancellation, ours) as it is."""
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error)
    if isinstance(error, TimeoutError):
        return StoreAway("the database did not answer in time")
    if isinstance(error, OSError):
        return StoreAway(f"the database cannot be reached: {error}")
    if isinstance(error, UnicodeError | OverflowError) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    ):
        return StoreRefused(str(error))  # the driver could not even encode it
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return StoreAway(f"the connection to the database is gone: {error}")
    return error


def forgets_statements(error: BaseException) -> bool:
    """Whether the connection's prepared statements are no good any more: a migration came between, or a pooler."""
    return isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.InvalidSQLStatementNameError)


def _of_server(error: asyncpg.PostgresError) -> Exception:
    state = str(error.sqlstate or "")
    message = f"{error} ({state})"
    if state in _CONFLICTS:
        return Conflicted(message)
    if state[:2] in _AWAY_CLASSES or state in _AWAY_STATES or forgets_statements(error):
        return StoreAway(message)
    # Not the detail: it quotes the row, and learners' names do not belong into logs.
    named = [str(name) for name in (error.table_name, error.constraint_name, error.column_name) if name]
    return StoreRefused(" ".join([message, *named]))


@contextmanager
def translate() -> Generator[None]:
    """Raise the port's errors instead of the driver's."""
    try:
        yield
    except Exception as error:
        ours = translated(error)
        if ours is error:
            raise
        raise ours from error
