"""Seeded lives of a node: clients who ask at random, a store that fails at random, a node that dies at random.

    world: players and classes, one node at a time (or two, where the first does not know that it is dead)
    move:  something that a client, the store or fate does
    check: after each death, recovery from what the store holds gives what the specification gives

The specification of recovery is `nodes.replayed`: a fresh machine that takes the same inputs in again, one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from actors.actor import Actor, Status
from actors.machines import ranges
from actors.machines.events import (
    AnyEvent,
    Departed,
    Dropped,
    Finished,
    Interacted,
    Left,
    Opened,
    Posted,
    Resumed,
    Sampled,
    Started,
    Tick,
)
from actors.machines.track import PLAYING, Sample
from actors.ports import ROOM, WATCH, StoreAway
from storage.memory import Lease, Memory
from tests.runtime.nodes import EPOCH_S, RULES, Asker, Node, recovered, replayed, state_of
from tests.runtime.virtual import until

Key = tuple[int, str]
ROOMS = ("r1", "r2", "r3")
LEAVING: list[AnyEvent] = [Left(), Resumed(10_000, 600_000)]
USERS = ("u1", "u2", "u3", "u4")


class World:
    """One history. Everything random comes from `random`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        loop = asyncio.get_running_loop()
        self.memory = Memory(lambda: (EPOCH_S + loop.time()) * 1000)
        self.node = Node(self.memory)
        self.zombies: list[Node] = []
        self.askers: list[Asker] = []
        self.watches: list[Actor] = []
        self.sessions: list[tuple[Actor, str]] = []
        self.acknowledged: dict[Key, int] = {}
        self.deaths = 0
        self.answers = 0

    # -- clients --------------------------------------------------------------------------------------------------

    def ask(self, actor: Actor, event: AnyEvent) -> None:
        asker = Asker()
        asker.actor = actor
        if self.node.system.post(actor, event, asker):
            self.askers.append(asker)

    async def opens(self) -> None:
        actor = self.node.system.new_watch(self.random.randrange(RULES.partitions))
        user, door = self.random.choice(USERS), self.random.choice(["http", "websocket"])
        self.ask(actor, Opened(user, "video", "c1", "d1", door, 10_000))
        self.watches.append(actor)

    async def plays(self) -> None:
        for actor in self.random.sample(self.watches, min(3, len(self.watches))):
            self.ask(actor, self._sampled(actor))

    def _sampled(self, actor: Actor) -> Sampled:
        state = actor.watch.state
        seq = (state.track.last_seq if state else 0) + self.random.choice([0, 1, 1, 1, 2])
        return Sampled(self.node.clock.now(), [self._sample(max(1, seq))])

    def _sample(self, seq: int) -> Sample:
        now = self.node.clock.now()
        return Sample(seq, now, now % 1_000_000 + self.random.choice([0, 0, 0, 50_000]), PLAYING)

    async def leaves(self) -> None:
        if self.watches:
            self.ask(self.random.choice(self.watches), self.random.choice(LEAVING))

    async def joins(self) -> None:
        actor = await self._room()
        if actor is None:
            return
        resume = None
        if self.sessions and self.random.random() < 0.4:
            resume = self.random.choice(self.sessions)[1]
        session, asker = self.node.join(actor, self.random.choice(USERS), resume)
        self.askers.append(asker)
        self.sessions.append((actor, resume or session))

    async def _room(self) -> Actor | None:
        room_id = self.random.choice(ROOMS)
        if self.node.faults.stalled:
            return self.node.system.directory.find(ROOM, room_id)
        try:
            return await self.node.room(room_id)
        except StoreAway:
            return None

    async def takes_part(self) -> None:
        for actor, session in self.random.sample(self.sessions, min(3, len(self.sessions))):
            now = self.node.clock.now()
            known = actor.room.state.sessions.get(session)
            user = known.user_id if known else "u1"
            seq = (known.track.last_seq if known else 0) + 1
            events: list[AnyEvent] = [
                Dropped(session, now - 500),
                Departed(session),
                Interacted(session, "doubt", None, b"1"),
                Posted(
                    user,
                    "learner",
                    None,
                    "d1",
                    self.random.choice([None, session if known else None]),
                    self.node.system.new_session_id(actor.partition),
                    now,
                    [self._sample(seq)],
                    self.random.random() < 0.2,
                    10_000,
                ),
                Tick(),
            ]
            if self.random.random() < 0.5:
                self.askers.append(self.node.heartbeat(actor, session)) if actor.status is not Status.RETIRED else None
            else:
                self.ask(actor, self.random.choice(events))

    async def teaches(self) -> None:
        actor = await self._room()
        if actor is not None:
            now = self.node.clock.now()
            turns: list[AnyEvent] = [Started(now, "rest"), Finished(now, "rest")]
            self.ask(actor, self.random.choice(turns))

    async def poisons(self) -> None:
        """An input that no handler knows: the machine raises."""
        if self.watches and self.random.random() < 0.5:
            self.ask(self.random.choice(self.watches), Started(0, "poison"))
        elif self.sessions:
            self.ask(self.random.choice(self.sessions)[0], Left())

    # -- the store and fate -----------------------------------------------------------------------------------------

    async def time_passes(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0.001, 0.02, 0.3, 1.0, 3.0, 25.0]))

    async def much_time_passes(self) -> None:
        self.heals()
        await asyncio.sleep(1_900)

    async def store_changes(self) -> None:
        await self._bury()
        faults = self.node.faults
        fault = self.random.choice(["away", "stalled", "lose_answers", "none", "none"])
        faults.away = fault == "away"
        faults.lose_answers = fault == "lose_answers"
        faults.stalled = fault == "stalled"

    def heals(self) -> None:
        self.node.faults.away = self.node.faults.lose_answers = self.node.faults.stalled = False

    async def dies(self) -> None:
        """The node is killed; another one takes over, by force or when the lease has expired."""
        await self._bury()
        await self.node.die()
        await self._succeed(by_force=self.random.random() < 0.7)

    async def is_cut_off(self) -> None:
        """The node hangs for longer than its lease, does not know it, and comes back beside its successor."""
        await self._bury()
        zombie = self.node
        zombie.faults.stalled = True
        await asyncio.sleep(RULES.lease_ttl_s + 1)
        self._note()
        await self._succeed(by_force=False)
        zombie.faults.stalled = False
        self.zombies.append(zombie)

    async def loses_and_regains(self) -> None:
        """Another owner came and went, and this node did not hear of it."""
        await self._bury()
        self.heals()
        for partition in self.random.sample(range(RULES.partitions), 2):
            self.memory.leases[partition] = Lease(epoch=self.memory.leases[partition].epoch + 1)
        self.node.lost_some = True
        if self.random.random() < 0.5:
            await self.plays()
        await asyncio.sleep(self.random.choice([2.0, 3.0, 6.0]))
        self._note()
        self._look_again()

    async def dies_twice(self) -> None:
        await self.dies()
        await self.plays()
        await asyncio.sleep(self.random.choice([0, 0.01, 0.3, 1.0, 2.0]))
        await self.dies()

    async def hands_over(self) -> None:
        await self._bury()
        self.heals()
        await self.node.system.drain(20.0)
        await self._succeed(by_force=False)

    async def _bury(self) -> None:
        """Before they take over in their turn: a history has one owner at a time."""
        for zombie in self.zombies:
            await zombie.die()
        self.zombies.clear()

    async def _succeed(self, *, by_force: bool) -> None:
        self.deaths += 1
        await self.check()
        self.node = Node(self.memory, alone=by_force, truth=await self._truth())
        self.askers.clear()
        await self.node.ready()
        self._look_again()

    def _look_again(self) -> None:
        directory = self.node.system.directory
        live = (directory.find(WATCH, actor.key) for actor in self.watches)
        self.watches = [actor for actor in live if actor is not None]
        rooms = [(directory.find(ROOM, actor.key), session) for actor, session in self.sessions]
        self.sessions = [(actor, session) for actor, session in rooms if actor is not None]

    async def _truth(self) -> dict[Key, list[Any]]:
        """The inputs that outlived the node."""
        found = await recovered(self.memory)
        known = self._sessions_in_store() | found.keys()
        return {
            key: history[: found[key].version] if key in found else list(history)
            for key, history in self.node.journaled.items()
            if key in known
        }

    # -- what must be true ------------------------------------------------------------------------------------------

    def _note(self) -> None:
        """What was answered is a promise."""
        for asker in self.askers:
            if asker.answer is not None and asker.actor is not None and not asker.failed:
                key = (asker.actor.kind, asker.actor.key)
                self.answers += 1
                self.acknowledged[key] = max(self.acknowledged.get(key, 0), asker.version)
        self.askers = [asker for asker in self.askers if asker.answer is None]

    async def check(self) -> None:
        """The node is dead: what the store holds is what was acknowledged, and nothing that never was."""
        self._note()
        found = await recovered(self.memory)
        again = await recovered(self.memory)
        for key, history in self.node.journaled.items():
            acknowledged = self.acknowledged.get(key, 0)
            actor = found.get(key)
            if actor is None or (actor.kind == WATCH and actor.watch.state is None):
                self._check_gone(key, history, acknowledged)
                continue
            assert acknowledged <= actor.version <= len(history), (key, acknowledged, actor.version, len(history))
            specified = replayed(key, history[: actor.version])
            assert state_of(actor.machine) == state_of(specified), key
            assert state_of(again[key].machine) == state_of(actor.machine), key
            if actor.kind == WATCH and not actor.watch.ended:
                assert actor.watch.state is not None
                assert actor.machine.wake_at <= actor.watch.state.heard_at + RULES.watch.idle_ms

    def _check_gone(self, key: Key, history: list[Any], acknowledged: int) -> None:
        """No snapshot and no journal: never acknowledged, or a session that is over, with its rows."""
        if not acknowledged and key not in self._sessions_in_store():
            return
        assert key[0] == WATCH
        specified = replayed(key, history)
        assert specified.ended, (key, acknowledged, len(history))
        self._check_rows(key, history)

    def _sessions_in_store(self) -> set[Key]:
        return {(WATCH, session_id) for session_id in self.memory.rows.sessions}

    def _check_rows(self, key: Key, history: list[Any]) -> None:
        """The rows are those of a machine that never died and was never written before."""
        specified = replayed(key, history)
        stored = self.memory.rows
        rows = specified.rows()
        sessions = [row.session_id for row in rows.sessions]
        for row in rows.sessions:
            written = stored.sessions[row.session_id]
            if row.ended_at is None and rows.room is not None:
                # Written while its class was over; the class was reopened since, the session has not spoken again.
                written = msgspec.structs.replace(written, ended_at=None)
            assert written == row
        for session_id in sessions:
            mine = {place: row for place, row in stored.segments.items() if place[0] == session_id}
            assert mine == {
                (row.session_id, row.segment.number): row for row in rows.segments if row.session_id == session_id
            }
        if rows.room is None:
            return
        assert stored.rooms[key[1]] == rows.room
        for row in rows.attendances:
            assert stored.attendances[row.room_id, row.user_id] == row
            there = [
                each for each in stored.presences.values() if (each.room_id, each.user_id) == (key[1], row.user_id)
            ]
            united: list[int] = []
            for each in there:
                ranges.add(united, each.joined_at, each.left_at)
            assert united == specified.state.members[row.user_id].presences(0)
        took_part = [each for each in stored.interactions.values() if each.room_id == key[1]]
        assert sorted(took_part, key=repr) == sorted(rows.interactions, key=repr)

    async def ends(self) -> None:
        """Everything heals: every question is answered, every row is there, and the journal is empty."""
        await self._bury()
        self.heals()
        system = self.node.system
        await until(lambda: not system.supervisor.rebuilding and not system.scheduler.depth, 120)
        await until(lambda: all(asker.answer is not None for asker in self.askers if self._is_here(asker)), 120)
        assert await system.drain(30.0)
        await self.check()
        for key, history in (await self._truth()).items():
            self._check_rows(key, history)
        successor = await Node(self.memory, truth=await self._truth()).ready()
        await until(lambda: not self.memory.batches or not successor.system.checkpointer.dirty, 60)
        await asyncio.sleep(10)
        assert not [batch for batch in self.memory.batches.values() if batch.owner != successor.system.leases.owner]
        await successor.die()

    @staticmethod
    def _is_here(asker: Asker) -> bool:
        return asker.actor is None or asker.actor.status is not Status.RETIRED


async def live(seed: int, moves: int) -> World:
    """One history of so many moves."""
    world = World(seed)
    await world.node.ready()
    random = world.random
    often: list[Callable[[], Any]] = [
        *([world.opens] * 2),
        *([world.plays] * 8),
        world.leaves,
        *([world.joins] * 3),
        *([world.takes_part] * 6),
        world.teaches,
        *([world.time_passes] * 12),
        *([world.store_changes] * 3),
    ]
    seldom: list[Callable[[], Any]] = [
        world.dies,
        world.dies_twice,
        world.is_cut_off,
        world.loses_and_regains,
        world.hands_over,
        *([world.poisons] * 2),
    ]
    for _ in range(moves):
        if random.random() < 0.05:
            await random.choice(seldom)()
        elif random.random() < 0.005:
            await world.much_time_passes()
        else:
            await random.choice(often)()
    await world.ends()
    return world
