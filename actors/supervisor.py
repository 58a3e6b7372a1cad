"""An actor that crashes is rebuilt from its snapshot and the journal; its mail waits meanwhile.

The input that crashed it is tried once more on the rebuilt actor. Crashing again, it is set aside with the reason and
answered as failed, and the actor goes on.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from actors.actor import Actor, Reply, Status
from actors.checkpointer import Checkpointer
from actors.clock import ServerClock
from actors.committer import Committer
from actors.counters import Counters
from actors.loader import Loader
from actors.machines.effects import Effect, Failed
from actors.machines.events import AnyEvent, Incarnated, Tick
from actors.ports import ROOM, JournalStore, SnapshotStore, StoreAway, StoreRefused
from actors.scheduler import Audience, Scheduler

log = structlog.get_logger(__name__)

RETRY_S: Final = 0.5
TICK_HOLD_MS: Final = 60_000
"""An actor whose deadlines crash it is not rebuilt without end."""
REBUILDS_AT_ONCE: Final = 4


class Supervisor:
    """Takes over when a machine raises."""

    def __init__(
        self,
        loader: Loader,
        snapshots: SnapshotStore,
        journal: JournalStore,
        committer: Committer,
        checkpointer: Checkpointer,
        scheduler: Scheduler,
        audience: Audience,
        clock: ServerClock,
        counters: Counters,
    ) -> None:
        self._loader = loader
        self._snapshots = snapshots
        self._journal = journal
        self._committer = committer
        self._checkpointer = checkpointer
        self._scheduler = scheduler
        self._audience = audience
        self._clock = clock
        self._counters = counters
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(REBUILDS_AT_ONCE)

    @property
    def rebuilding(self) -> int:
        """Actors that are being rebuilt."""
        return len(self._tasks)

    def crashed(self, actor: Actor, event: AnyEvent, reply: Reply | None, now: int, error: Exception) -> None:
        """Called by the scheduler, in the middle of its turn."""
        self._counters.crashes += 1
        log.error("actor.crashed", actor=actor.key, event_type=type(event).__name__, exc_info=error)
        actor.status = Status.REBUILDING
        task = asyncio.create_task(self._rebuild(actor, event, reply, now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rebuild(self, actor: Actor, event: AnyEvent, reply: Reply | None, now: int) -> None:
        # A room goes on as a new incarnation: its epoch is higher, its streams join again.
        anew = actor.kind == ROOM and type(event) is not Incarnated
        first: list[tuple[AnyEvent, Reply | None]] = [(Incarnated(), None)] if anew else []
        tick_after = 0
        if not await self._restored(actor):
            return
        error = self._try_again(actor, [*(each for each, _ in first), event])
        if error is None:
            first.append((event, reply))
        else:
            await self._set_aside(actor, event, now, error)
            if reply is not None:
                self._tell_failed(actor, reply)
            if type(event) in (Tick, Incarnated):
                tick_after = self._clock.now() + TICK_HOLD_MS
        if actor.status is Status.RETIRED:
            return
        if actor.kind == ROOM:
            self._audience.lost(actor)
        actor.status = Status.RUNNING
        self._scheduler.resume(actor, first, tick_after)

    async def _restored(self, actor: Actor) -> bool:
        """Rebuild it, however long the store is away; False where it was lost to another owner meanwhile."""
        while actor.status is not Status.RETIRED:
            try:
                async with self._gate:
                    # Inputs that were taken in and wait for their commit are part of what is rebuilt; a checkpoint
                    # that is under way would be told of another machine than it was taken from.
                    await self._committer.settled()
                    await self._checkpointer.at_rest()
                    await self._restore(actor)
                break
            except (StoreAway, StoreRefused) as error:
                log.warning("actor.rebuild_waits", actor=actor.key, reason=str(error))
            except Exception:  # a fault of ours must not leave the actor's mail waiting for ever
                log.exception("actor.not_rebuilt", actor=actor.key)
            await asyncio.sleep(RETRY_S)
        return actor.status is not Status.RETIRED

    async def _restore(self, actor: Actor) -> None:
        snapshot = (await self._snapshots.load(actor.kind, [actor.key])).get(actor.key)
        rebuilt = self._loader.actor(actor.kind, actor.key, actor.partition, snapshot)
        async for batch in self._journal.read([actor.partition]):
            for entry in batch:
                if entry.key == actor.key and entry.kind == actor.kind:
                    await self._loader.replay(rebuilt, entry)
        self._loader.renew(rebuilt)
        actor.machine = rebuilt.machine
        actor.version = max(actor.version, rebuilt.version)
        if actor.kind == ROOM:
            actor.room.incarnated = True

    def _try_again(self, actor: Actor, events: list[AnyEvent]) -> Exception | None:
        """What is to come next, on a copy of the machine that is thrown away. Returns what it raised."""
        copy = self._loader.from_copy(actor.kind, actor.key, self._loader.copy_state(actor.machine.state))
        now = self._clock.now()
        try:
            for event in events:
                copy.step(event, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller decides
            return error
        return None

    async def _set_aside(self, actor: Actor, event: AnyEvent, now: int, error: Exception) -> None:
        while actor.status is not Status.RETIRED:
            try:
                await self._loader.set_aside(actor, event, now, error)
            except StoreAway as away:
                log.warning("quarantine.waits", actor=actor.key, reason=str(away))
                await asyncio.sleep(RETRY_S)
            except StoreRefused as refused:
                log.error("quarantine.failed", actor=actor.key, reason=str(refused))  # noqa: TRY400 - a reason, no fault
                return
            else:
                return

    def _tell_failed(self, actor: Actor, reply: Reply) -> None:
        effects: list[Effect] = [Failed("the message could not be processed and was set aside")]
        try:
            reply.stage(actor, effects, self._clock.now())
            reply.release(effects)
        except Exception:
            self._counters.released_with_error += 1
            log.exception("reply.failed", actor=actor.key)

    async def close(self) -> None:
        """Give up on what is being rebuilt."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
