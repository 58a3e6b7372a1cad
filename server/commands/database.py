"""The database that `serve` uses, for a command that looks at it or changes a row: also while the server runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from actors.ports import StoreAway, StoreRefused
from server.config import Settings
from storage.embedded import EmbeddedPostgres, InUseError, has_database, running_dsn
from storage.migrate import pending
from storage.postgres import Database

PATIENCE_S: Final = 30.0


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Database]:
    """The database, open and with the schema. Starts the embedded one where no server runs it, and never makes one.

    Raises StoreAway, StoreRefused, EmbeddedError.
    """
    async with AsyncExitStack() as stack:
        url = settings.database_url or await _embedded(settings, stack)
        if await pending(url):
            message = "the database lacks migrations: start the server once, or run `rollcall migrate`"
            raise StoreRefused(message)
        timeout_s = max(PATIENCE_S, settings.statement_timeout_s)
        database = Database(url, pool_size=1, statement_timeout_s=timeout_s, application_name="rollcall command")
        stack.push_async_callback(database.close)
        await database.open()
        yield database


async def _embedded(settings: Settings, stack: AsyncExitStack) -> str:
    if not has_database(settings.data_dir):
        message = f"{settings.data_dir} holds no database: is --data-dir right? A server makes one at its first start"
        raise StoreRefused(message)
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        url = await embedded.start()
    except InUseError:
        running = running_dsn(settings.data_dir)
        if running is None:
            message = "the embedded database of a running server cannot be reached"
            raise StoreAway(message) from None
        return running
    stack.push_async_callback(embedded.stop)
    return url
