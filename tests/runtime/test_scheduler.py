"""Mailboxes and deadlines: in order, bounded, and never at the cost of the others."""

from __future__ import annotations

import asyncio

from actors import scheduler as scheduling
from actors.actor import Actor, Status
from actors.machines.effects import Effect
from actors.machines.events import Departed, Dropped, Left, Opened, Posted, Resumed, Tick
from tests.runtime.nodes import Asker, Node
from tests.runtime.virtual import passes, until


async def test_mail_of_one_actor_is_handled_in_order(node: Node):
    actor, _ = node.watch()
    asked = [node.heartbeat(actor) for _ in range(20)]
    await until(lambda: asked[-1].answer)

    assert [asker for asker, _ in node.told][-20:] == asked
    assert actor.watch.state is not None
    assert actor.watch.state.track.last_seq == 20


async def test_a_full_mailbox_refuses_and_keeps_what_it_took(node: Node):
    actor, opened = node.watch()
    limit = node.system.rules.mailbox
    taken = [node.heartbeat(actor) for _ in range(limit - 1)]

    assert not node.system.post(actor, Tick(), Asker())
    await until(lambda: taken[-1].answer)
    assert opened.answer is not None
    assert all(asker.answer is not None for asker in taken)
    assert node.system.post(actor, Tick(), Asker())


async def test_what_must_not_be_lost_enters_a_full_mailbox(node: Node):
    actor, _ = node.watch()
    while node.system.post(actor, Tick()):
        pass
    left = Asker()

    assert node.system.post(actor, Left(), left, always=True)
    await until(lambda: left.answer)
    assert actor.watch.ended


async def test_a_burst_yields_to_the_loop(node: Node):
    actors = [node.watch()[0] for _ in range(100)]
    await until(lambda: not node.system.scheduler.depth)
    for actor in actors * (scheduling.TURN_MAX // 50):
        assert node.system.post(actor, Tick())
    depths: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: depths.append(node.system.scheduler.depth))
    await asyncio.sleep(0)

    assert depths == [scheduling.TURN_MAX]
    await until(lambda: not node.system.scheduler.depth)


async def test_ticks_fire_at_the_deadline(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Dropped(session, node.clock.now()))
    grace_s = node.system.rules.room.grace_ms / 1000

    await passes(grace_s - 0.1)
    assert room.room.present == 1
    await passes(0.2)
    assert room.room.present == 0


async def test_a_deadline_may_move_to_the_front(node: Node):
    """The session's 30 minutes are armed first, then a grace of 20 s, then a diff within a second."""
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)
    node.ask(room, Dropped(session, node.clock.now()))
    await passes(2)
    assert (room.room.diffs.seq, room.room.present) == (1, 1)

    await passes(30)
    assert (room.room.diffs.seq, room.room.present) == (2, 0)
    await passes(31 * 60)
    assert not room.room.state.sessions


async def test_a_deadline_far_away_fires_too(node: Node):
    actor, asked = node.watch()
    await until(lambda: asked.answer)
    await passes(node.system.rules.watch.idle_ms / 1000 + 1)
    assert actor.watch.ended


async def test_a_retired_actor_gets_no_mail(node: Node):
    actor, asked = node.watch()
    await until(lambda: asked.answer)
    waiting = node.heartbeat(actor)
    node.system.directory.drop(actor)

    assert actor.status is Status.RETIRED
    assert not node.system.post(actor, Tick(), always=True)
    await passes(5)
    assert waiting.answer is None
    assert actor.watch.state is not None
    assert actor.watch.state.track.last_seq == 0


async def test_deadlines_that_moved_leave_no_litter(node: Node):
    """A busy class cuts a diff a second; the deadlines behind that stay the same for half an hour."""
    room = await node.room()
    session, _ = node.join(room, "u1")
    for turn in range(scheduling.WAKES_MIN + 200):
        node.join(room, "u1", session)
        node.ask(room, Dropped(session, node.clock.now()))
        room.armed_at = min(room.armed_at, node.clock.now() + 10_000 - turn)
        node.system.scheduler.arm(room)
        await passes(1.01)
    assert len(node.system.scheduler._wakes) <= scheduling.WAKES_MIN


class _Clumsy(Asker):
    """Cannot even take the answer down."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        super().stage(actor, effects, now)
        if not self.failed:
            raise RuntimeError("a bug at the edge")


async def test_an_asker_that_cannot_stage_hurts_nobody_else(node: Node):
    room = await node.room()
    clumsy = _Clumsy()
    session = node.system.new_session_id(room.partition)
    posted = Posted("u1", "learner", None, "d1", None, session, 0, [], leave=True, interval=10_000)
    node.system.post(room, posted, clumsy)
    _, joined = node.join(room, "u2")

    await until(lambda: joined.answer)
    assert clumsy.failed
    assert room.room.state.members.keys() == {"u1", "u2"}


async def test_an_audience_that_cannot_stage_hurts_nobody_else(node: Node):
    room = await node.room()
    session, joined = node.join(room, "u1")
    await until(lambda: joined.answer)

    def broken(*_: object) -> None:
        raise RuntimeError("a bug at the edge")

    node.audience.stage = broken  # type: ignore[assignment, method-assign]
    gone = node.ask(room, Departed(session))
    after, _ = node.watch()
    resumed = node.ask(after, Resumed(10_000))
    await until(lambda: resumed.answer and gone.answer)
    await passes(3)
    assert room.room.diffs.seq == 2


async def test_a_session_has_one_beginning(node: Node):
    actor, _ = node.watch()
    again = node.ask(actor, Opened("u2", "video", "c1", "d1", "http", 10_000))
    await until(lambda: again.answer)
    assert actor.watch.state is not None
    assert actor.watch.state.user_id == "u1"
