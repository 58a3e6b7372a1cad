"""The actor system of one node: what the edges speak to.

Life: `start` waits for the database and for the leases, replays the journal and is `ready`. While the database is away
a ready system goes on in memory; answers wait. `drain` writes everything, gives the leases up and ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from actors.actor import Actor, Reply, Status
from actors.checkpointer import Checkpointer
from actors.clock import ServerClock
from actors.committer import Committer
from actors.counters import Counters
from actors.directory import Directory, NotOwned
from actors.leases import Leases, Watchdog
from actors.loader import Loader
from actors.machines.events import AnyEvent, Incarnated
from actors.machines.room import Room
from actors.machines.state import RoomRules
from actors.machines.watch import WatchRules
from actors.ports import (
    ROOM,
    WATCH,
    Fence,
    JournalStore,
    LeaseLost,
    LeaseStore,
    QuarantineStore,
    SnapshotStore,
    StoreAway,
    StoreRefused,
)
from actors.recovery import Recovery
from actors.scheduler import Audience, Scheduler
from actors.supervisor import Supervisor
from protocol import ids

log = structlog.get_logger(__name__)

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 2.0
HOUSEKEEPING_S: Final = 1.0
SWEEP_EVERY: Final = 10
LET_GO: Final = 1
"""As the time of an actor's last mail: nobody waits for it to be idle for long."""
STRETCH: Final = 0.25
"""Share of the journal's bound that waits, from which on players are asked for half as many heartbeats."""
STRETCH_MORE: Final = 0.5
"""The same, for a third as many."""


class Rules(msgspec.Struct, frozen=True):
    """What an operator sets of the actors' world."""

    room: RoomRules = RoomRules()
    watch: WatchRules = WatchRules()
    partitions: int = 64
    heartbeat_ms: int = 10_000
    lease_ttl_s: float = 5.0
    lease_renew_s: float = 1.6
    checkpoint_ms: int = 60_000
    journal_pending: int = 200_000
    mailbox: int = 10_000
    actor_idle_ms: int = 300_000


class Stores(msgspec.Struct, frozen=True):
    """The ports, fulfilled."""

    journal: JournalStore
    snapshots: SnapshotStore
    leases: LeaseStore
    quarantine: QuarantineStore


class ActorSystem:
    """One a process. To be made inside a running event loop."""

    def __init__(
        self,
        stores: Stores,
        rules: Rules,
        audience: Audience,
        *,
        clock: ServerClock,
        address: str,
        sole_owner: bool,
        counters: Counters | None = None,
    ) -> None:
        self.rules = rules
        self.clock = clock
        self.counters = counters or Counters()
        self._stores = stores
        self._audience = audience
        owner = secrets.token_hex(8)
        self.leases = Leases(
            stores.leases,
            owner=owner,
            address=address,
            partitions=rules.partitions,
            ttl_s=rules.lease_ttl_s,
            force=sole_owner,
        )
        self.loader = Loader(rules.room, rules.watch, stores.quarantine, self.counters)
        self.directory = Directory(self.loader, stores.snapshots, rules.partitions)
        self.committer = Committer(
            stores.journal,
            clock,
            self.counters,
            owner=owner,
            epoch_of=self.leases.held.get,
            on_lost=self.abandon,
            limit=rules.journal_pending,
        )
        self.checkpointer = Checkpointer(
            stores.snapshots,
            stores.journal,
            self.committer,
            clock,
            self.counters,
            owner=owner,
            epoch_of=self.leases.held.get,
            on_lost=self.abandon,
            on_clean=self._clean,
            every_ms=rules.checkpoint_ms,
        )
        self.scheduler = Scheduler(
            clock, self.counters, self.committer, self.checkpointer, audience, mailbox_limit=rules.mailbox
        )
        self.supervisor = Supervisor(
            self.loader,
            stores.snapshots,
            stores.journal,
            self.committer,
            self.checkpointer,
            self.scheduler,
            audience,
            clock,
            self.counters,
        )
        self.scheduler.crashes = self.supervisor
        self._recovery = Recovery(self.loader, stores.snapshots, stores.journal, self.directory, clock)
        self._watchdog = Watchdog(self.leases, self._lapse_changed)
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self._draining = False
        self._recovered: list[tuple[Actor, int | None]] = []
        self._adopted = False
        self.lapsed = False
        """The leases could not be renewed in time; the database decides whether they are still ours."""
        self.interval_ms = rules.heartbeat_ms
        """The heartbeat interval to tell: stretched under load before anything is refused."""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Come to life; returns at once, `ready` tells when it may be used."""
        self._watchdog.start()
        for work in (self.committer.run, self.checkpointer.run, self._tend, self._keep_house):
            self._tasks.append(asyncio.create_task(work(), name=work.__qualname__))

    @property
    def ready(self) -> bool:
        """Every partition is held and rebuilt, and the system is not leaving."""
        return self._ready.is_set() and not self._draining

    async def until_ready(self) -> None:
        """Wait for `ready`."""
        await self._ready.wait()

    @property
    def draining(self) -> bool:
        """The system is leaving: it writes what it has and takes nothing more."""
        return self._draining

    @property
    def busy(self) -> bool:
        """New facts must be refused (`busy`, 503): they could not be kept."""
        return self._draining or self.committer.full

    @property
    def failed(self) -> BaseException | None:
        """What ended one of the tasks that must never end."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                return task.exception() or RuntimeError(f"{task.get_name()} ended")
        return None

    async def drain(self, deadline_s: float) -> bool:
        """Write everything, give the leases up, stop. Returns whether all was written."""
        self._draining = True
        clean = False
        try:
            async with asyncio.timeout(deadline_s):
                while self.scheduler.depth:  # noqa: ASYNC110 - a turn of the loop is what empties it
                    await asyncio.sleep(0)
                await self.committer.settled()
                clean = await self.checkpointer.write_all(deadline_s) and not self.supervisor.rebuilding
                await self.committer.settled()
        except TimeoutError:
            clean = False
        await self._end_tasks()
        await self.supervisor.close()
        self.scheduler.close()
        self._watchdog.stop()
        await self.leases.release()
        return clean

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- leases -------------------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Hold every partition, for ever: renew, take over what is free, rebuild what was gained."""
        wait = RETRY_FIRST_S
        while True:
            try:
                lost = await self.leases.renew()
                if lost:
                    self.abandon(lost)
                gained = await self.leases.take_missing()
                if gained:
                    await self._take_over(gained)
                await self._adopt()
                wait = RETRY_FIRST_S
            except LeaseLost as error:
                self.abandon(error.partitions)
            except (StoreAway, StoreRefused) as error:
                log.warning("leases.waiting_for_store", reason=str(error))
                await asyncio.sleep(wait)
                wait = min(RETRY_MOST_S, wait * 2)
                continue
            await asyncio.sleep(self.rules.lease_renew_s if self.leases.complete else RETRY_FIRST_S * 2)

    async def _take_over(self, gained: dict[int, int]) -> None:
        self._adopted = False
        self.checkpointer.recovering()
        # Renewed while the journal is replayed, which may take longer than a lease.
        self.leases.held.update(gained)
        renewing = asyncio.create_task(self._renew_meanwhile())
        try:
            actors = await self._recovery.run(gained.keys())
        except BaseException:
            for partition in gained:
                self.leases.held.pop(partition, None)
            raise
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        now = self.clock.now()
        # Without what was lost again meanwhile.
        still = {partition: epoch for partition, epoch in gained.items() if self.leases.held.get(partition) == epoch}
        actors = [actor for actor in actors if actor.partition in still]
        self.directory.owned.update(still)
        for actor in actors:
            self.directory.add(actor)
            self.checkpointer.mark_recovered(actor, now)
            self.scheduler.arm(actor)
        self._recovered += [(actor, actor.dirty_from) for actor in actors]
        if self.leases.complete:
            # Not before: the grace of lost connections starts when they can come back (realtime.md, reading 7).
            for actor in self.directory.rooms.values():
                self._incarnate(actor)
            self._ready.set()
            log.info("ready", partitions=len(self.leases.held), actors=len(self.directory))

    async def _renew_meanwhile(self) -> None:
        while True:
            await asyncio.sleep(self.rules.lease_renew_s)
            try:
                await self.leases.renew()
            except (StoreAway, StoreRefused) as error:
                log.warning("leases.not_renewed", reason=str(error))

    async def _adopt(self) -> None:
        """Once all that was rebuilt is checkpointed, the journal of the owners before can go."""
        if self._adopted or not self.leases.complete:
            return
        self._recovered = [
            (actor, mark)
            for actor, mark in self._recovered
            if actor.status is not Status.RETIRED and mark in (actor.dirty_from, actor.saving_from)
        ]
        if not self._recovered:
            await self._stores.journal.adopt(Fence(self.leases.owner, dict(self.leases.held)))
            self._adopted = True
            self.checkpointer.adopted()

    def abandon(self, partitions: frozenset[int]) -> None:
        """Another node owns these now: forget all that is in memory of them, and send their players away."""
        ours = frozenset(partition for partition in partitions if partition in self.leases.held)
        if not ours:
            return
        self._ready.clear()
        self.counters.leases_lost += len(ours)
        log.error("leases.lost", partitions=sorted(ours))
        for partition in ours:
            self.leases.held.pop(partition, None)
            self.directory.owned.pop(partition, None)
        # Before their actors go: whoever rebuilds them needs the journal.
        self.checkpointer.recovering()
        self.committer.forget(ours)
        for actor in self.directory.of_partitions(ours):
            self.directory.drop(actor)
            self._audience.lost(actor)

    def _lapse_changed(self, lapsed: bool) -> None:  # noqa: FBT001 - a callback's one argument, on the watchdog
        self.lapsed = lapsed
        log.warning("leases.lapsed" if lapsed else "leases.certain_again")

    # -- actors -------------------------------------------------------------------------------------------------------

    def post(self, actor: Actor, event: AnyEvent, reply: Reply | None = None, *, always: bool = False) -> bool:
        """Give an actor its mail; False where its mailbox is full or it is gone (answer `busy`)."""
        return self.scheduler.post(actor, event, reply, always=always)

    async def room(self, room_id: str, *, create: bool) -> Actor | None:
        """The room's actor; None where the room is not known and must not be made.

        Raises `NotOwned` (not ready: busy), `StoreAway`.
        """
        actor = self.directory.find(ROOM, room_id)
        if actor is None:
            actor = await self.directory.open(ROOM, room_id, create=create)
        if actor is not None:
            self._incarnate(actor)
            if actor.last_mail_at == LET_GO:
                # Somebody wants it after all, and may write soon.
                actor.last_mail_at = 0
        return actor

    def let_go(self, actors: Iterable[Actor]) -> None:
        """These came into memory only to be told something: they are written now, and then put away.

        Thousands of them at a time are not to wait for their checkpoint and their idle time in memory.
        """
        now = self.clock.now()
        for actor in actors:
            actor.last_mail_at = LET_GO
            self.checkpointer.hasten(actor, now)

    def _incarnate(self, actor: Actor) -> None:
        """Before any other mail of a room that came to life, whoever finds it first."""
        if not actor.room.incarnated:
            actor.room.incarnated = True
            self.scheduler.post(actor, Incarnated(), always=True)

    async def peek_room(self, room_id: str) -> Room | None:
        """A room that is not in memory, as the store has it: to be read, never to be changed. Raises as `room` does."""
        return await self.directory.peek(room_id)

    async def watch(self, session_id: str) -> Actor | None:
        """A watch session that has not ended; None where there is none."""
        return await self.directory.open(WATCH, session_id, create=False)

    def new_watch(self, partition: int | None = None) -> Actor:
        """An actor for a new watch session, in `partition` or any of this node's. Raises `NotOwned`."""
        owned = self.directory.owned
        if partition is None:
            if not owned:
                raise NotOwned(None)
            partition = secrets.choice(tuple(owned))
        session_id = self.new_session_id(self.directory.check(partition))
        actor = self.loader.actor(WATCH, session_id, partition, None)
        self.directory.add(actor)
        return actor

    def new_session_id(self, partition: int) -> str:
        """A fresh session id that routes to `partition`."""
        return ids.session_id(self.clock.now(), partition, secrets.randbits(62))

    def _clean(self, actor: Actor) -> None:
        """A checkpoint left nothing to write; a session that is over has no more to do."""
        if actor.kind != ROOM and actor.idle:
            self._put_away(actor)

    def _put_away(self, actor: Actor) -> None:
        """An idle actor leaves memory at once: a full collection, which would find its circles, comes very rarely."""
        self.directory.drop(actor)
        actor.machine.part()

    # -- housekeeping -------------------------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            turn += 1
            self.clock.discipline()
            self._stretch()
            if turn % SWEEP_EVERY == 0:
                self._retire()

    def _stretch(self) -> None:
        """Under load ask for fewer heartbeats before anything is refused: x2 at a quarter of the bound, x3 at half."""
        share = self.committer.backlog / self.rules.journal_pending
        factor = 3 if share >= STRETCH_MORE else 2 if share >= STRETCH else 1
        self.interval_ms = self.rules.heartbeat_ms * factor

    def _retire(self) -> None:
        now = self.clock.now()
        before = now - self.rules.actor_idle_ms
        idle: list[Actor] = [actor for actor in self.directory if actor.idle and actor.last_mail_at < before]
        for actor in idle:
            if actor.last_mail_at:
                self._put_away(actor)
            else:
                # Just loaded: whoever asked for it has not written yet.
                actor.last_mail_at = now
