"""What the simple door remembers is bounded; who is forgotten is asked about again."""

from contextlib import suppress

from msgspec.structs import replace

from actors.actor import Actor
from actors.directory import SIMPLE
from actors.machines import ranges
from actors.machines.events import Opened, Reported
from actors.machines.track import PLAYING
from actors.machines.watch import WatchRules, WatchSession
from server.auth import Claims
from server.http.answers import Problem
from server.http.gating import ASK_AGAIN_MS, Gate
from server.simple_door import SimpleDoor
from storage.catalog import stub_of
from storage.memory_watched import MemoryWatched
from tests.edge.http.conftest import World
from tests.edge.http.test_video_heartbeat import KIND, lesson
from tests.support.examples import session

END = Reported(10_000, PLAYING, told_at=1_700_000_000_000, ended=True)
LESSON = (KIND, "8")


def door_of(world: World, kept: int) -> SimpleDoor:
    return SimpleDoor(world.system, world.desk, MemoryWatched(world.memory), 0.95, over_max=kept)


def ended(user: str, now: int) -> WatchSession:
    machine = WatchSession(f"session of {user}", None, WatchRules())
    machine.step(Opened(user, *LESSON, "", SIMPLE, 10_000), now)
    machine.step(END, now)
    return machine


def learner(user: str) -> Claims:
    return Claims(user, "learner", 2**53)


async def test_of_sessions_that_are_over_the_oldest_is_forgotten(world):
    door, now = door_of(world, 2), world.now()
    for user in ("u1", "u2", "u3"):
        door.remember(ended(user, now))

    known = [door.told_before((user, *LESSON), END, now) for user in ("u1", "u2", "u3")]
    assert [session and session.session_id for session in known] == [None, "session of u2", "session of u3"]


async def test_a_session_that_is_over_is_known_for_a_minute(world):
    door, now = door_of(world, 2), world.now()
    door.remember(ended("u1", now))

    assert door.told_before(("u1", *LESSON), END, now + 60_000) is not None
    assert door.told_before(("u1", *LESSON), END, now + 60_001) is None


async def test_of_sessions_that_clients_name_though_they_are_over_the_latest_are_known(world, monkeypatch):
    door, now = door_of(world, 2), world.now()
    asked: list[str] = []
    running = world.desk.running

    async def counting(session_id: str, *watcher: str) -> Actor | None:
        asked.append(session_id)
        return await running(session_id, *watcher)

    monkeypatch.setattr(world.desk, "running", counting)
    facts = stub_of(*LESSON)
    names = [world.system.new_session_id(0) for _ in range(3)]
    for name in names:
        world.memory.rows.sessions[name] = session(name, user_id="u1", kind=KIND, content_id="8")
    for name in (*names, names[2], names[1], names[0]):
        await door.session(learner("u1"), facts, name, Reported(1_000, PLAYING, told_at=now))

    assert asked == [*names, names[0]]


async def test_of_what_other_doors_covered_the_latest_sessions_keep_theirs(world):
    door = door_of(world, 2)
    sessions = [ended(user, world.now()) for user in ("u1", "u2", "u3")]
    kept = [door._elsewhere_of(session) for session in sessions]
    ranges.add(kept[0], 0, 5_000)
    ranges.add(kept[2], 0, 7_000)

    facts = replace(stub_of(*LESSON), duration_ms=100_000)
    covered = [door.progress(session, facts).covered for session in sessions]
    assert covered == [0, 0, 7_000]


async def gate_of(world: World, kept: int) -> Gate:
    await world.services.catalog_writer.write([lesson("1"), lesson("8", sequential=True, requires=((KIND, "1"),))])
    watched = MemoryWatched(world.memory)
    return Gate(world.catalog, door_of(world, 2), watched, accept_unknown=False, completed_max=kept)


async def asked(world: World, gate: Gate, user: str, now: int) -> int:
    """How often the store was asked for this one."""
    before = world.faults.calls
    with suppress(Problem):
        await gate.content(learner(user), *LESSON, now)
    return world.faults.calls - before


def has_completed(world: World, *users: str) -> None:
    for user in users:
        row = session(f"session of {user}", user_id=user, kind=KIND, content_id="1", completed=True)
        world.memory.rows.sessions[row.session_id] = row


async def test_that_something_is_completed_is_asked_once_until_it_is_pushed_out(make_world):
    world = await make_world(rules={"lease_renew_s": 600.0, "lease_ttl_s": 6000.0})
    gate, now = await gate_of(world, 2), world.now()
    has_completed(world, "u1", "u2", "u3")
    await asked(world, gate, "u0", now)

    assert [await asked(world, gate, user, now) for user in ("u1", "u1", "u2", "u1", "u3", "u1", "u2")] == [
        *(1, 0, 1, 0, 1, 0, 1)
    ]


async def test_that_something_is_not_completed_is_believed_for_a_while(make_world):
    world = await make_world(rules={"lease_renew_s": 600.0, "lease_ttl_s": 6000.0})
    gate, now = await gate_of(world, 2), world.now()
    await asked(world, gate, "u0", now)

    assert await asked(world, gate, "u0", now + ASK_AGAIN_MS - 1) == 0
    has_completed(world, "u0")
    assert await asked(world, gate, "u0", now + ASK_AGAIN_MS) == 1
    assert (await gate.content(learner("u0"), *LESSON, now)).content_id == "8"


async def test_an_erased_learner_is_forgotten_here_too(make_world):
    world = await make_world(rules={"lease_renew_s": 600.0, "lease_ttl_s": 6000.0})
    door, gate, now = door_of(world, 2), await gate_of(world, 2), world.now()
    door.remember(ended("u1", now))
    has_completed(world, "u1")
    await asked(world, gate, "u1", now)
    door.forget("u1")
    gate.forget("u1")

    assert door.told_before(("u1", *LESSON), END, now) is None
    assert await asked(world, gate, "u1", now) == 1
