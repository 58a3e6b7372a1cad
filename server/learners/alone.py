"""Actors without a server: for a command that must change what they keep while nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from actors.actor import Actor, Reply
from actors.clock import ServerClock
from actors.machines.effects import Effect
from actors.ports import StoreAway
from actors.system import ActorSystem, Rules, Stores
from storage.engaging import Rules as EngagingRules
from storage.postgres import Database
from storage.stores import stores_over

READY_S: Final = 60.0
DRAIN_S: Final = 30.0


class Nobody:
    """An audience of none (`actors.scheduler.Audience`)."""

    def stage(self, actor: Actor, effect: Effect, now: int) -> Reply | None:  # noqa: ARG002 - the port's
        return None

    def lost(self, actor: Actor) -> None:
        """Nobody was attached."""


@asynccontextmanager
async def alone(
    database: Database, rules: Rules, engaging: EngagingRules, *, sole_owner: bool
) -> AsyncGenerator[ActorSystem]:
    """A system that holds every partition, ready. Raises StoreAway where another server has them."""
    stores = stores_over(database, engaging)
    system = ActorSystem(
        Stores(stores.journal, stores.snapshots, stores.leases, stores.quarantine),
        rules,
        Nobody(),
        clock=ServerClock(),
        address="rollcall command",
        sole_owner=sole_owner,
    )
    await system.start()
    try:
        async with asyncio.timeout(READY_S):
            await system.until_ready()
        yield system
    except TimeoutError:
        raise StoreAway("another server holds the partitions") from None
    finally:
        await system.drain(DRAIN_S)
