"""All connections together: fan-out, drain, rooms that fall and rise, and nothing left behind."""

import asyncio
import contextlib
import gc
import time
import weakref
from itertools import pairwise

import pytest

from actors.machines.events import Resumed
from server.ws import fanout
from server.ws.hub import Limits
from tests.support.clients import BOTH, JSON, MSGPACK, TEXT, Wire, frame_bytes, player, upgrade_bytes, upgraded
from tests.support.node import DEADLINE_S, Node, until

# -- draining ---------------------------------------------------------------------------------------------------------


async def test_drain_sends_everybody_away_each_to_come_back_at_another_moment(node):
    async with contextlib.AsyncExitStack() as stack:
        everybody = [await stack.enter_async_context(player(node, f"u{number}")) for number in range(6)]
        nobody_yet = await stack.enter_async_context(player(node, None))
        stream = (await everybody[0].join())["stream"]
        await everybody[0].beat(stream, 1)
        await everybody[0].hear("ack")
        assert await node.system.drain(DEADLINE_S)
        assert (await everybody[1].ask("join", room="r1"))["code"] == "busy"
        node.hub.drain(500)
        byes = []
        for one in [*everybody, nobody_yet]:
            assert await one.closed() == 1012
            bye = one.passed[-1]
            assert (bye["type"], bye["reason"]) == ("bye", "draining")
            byes.append(bye["reconnect_after_ms"])
        assert min(byes) == 500
        assert max(byes) < 3500
        assert len(set(byes)) == len(byes)
        assert min(later - earlier for earlier, later in pairwise(sorted(byes))) > 400


async def test_what_is_sent_during_a_drain_is_not_acknowledged_and_not_lost():
    async with Node() as node, player(node) as one:
        watching = await one.watch()
        assert await node.system.drain(DEADLINE_S)
        await one.beat(watching["stream"], 1)
        assert [frame for frame in await one.rest() if frame["type"] == "ack"] == []


async def test_after_a_drain_presence_goes_on_in_the_next_life(node):
    async with Node() as first, player(first) as one:
        joined = await one.join()
        await first.system.drain(DEADLINE_S)
        first.hub.drain(0)
        assert await one.closed() == 1012
    async with Node(memory=first.memory) as second, player(second) as one:
        back = await one.join(session_id=joined["session_id"])
        assert (back["resumed"], back["count"]) == (True, 1)
        (member,) = back["presence"]["members"]
        assert member["joined_at"] == joined["room"]["started_at"]


# -- fan-out ----------------------------------------------------------------------------------------------------------


async def _observers(node, number, stack):
    """So many sockets of one staff member that see `r1`; returns them once each has its `joined`."""
    hello = frame_bytes(TEXT, b'{"type":"hello","token":"%s"}' % node.token("boss", "staff").encode())
    join = frame_bytes(TEXT, b'{"type":"join","ref":1,"room":"r1","observe":true}')
    sockets = []
    for start in range(0, number, 100):
        some = [Wire(*await asyncio.open_connection("127.0.0.1", node.port)) for _ in range(min(100, number - start))]
        for one in some:
            stack.callback(one.writer.transport.abort)
            one.writer.write(upgrade_bytes() + hello + join)
        for one in some:
            assert " 101 " in await one.read_head()
            await one.hear("joined")
        sockets += some
    return sockets


async def test_a_frame_for_many_is_written_in_slices(monkeypatch):
    monkeypatch.setattr(fanout, "SLICE", 10)
    async with Node(Limits(connections_per_user=1000)) as node, contextlib.AsyncExitStack() as stack:
        sockets = await _observers(node, 35, stack)
        written = _count_writes(node, monkeypatch)
        async with player(node) as one:
            await one.join()
            for each in sockets:
                assert (await each.hear("presence"))["count"] == 1
        diffs = [turn for turn in written if turn]
        assert max(diffs) <= 10 + 3
        assert sum(diffs) >= 35


def _count_writes(node, monkeypatch):
    """How many frames were sent to room members in each turn of the loop, from now on."""
    turns = [0]
    loop = asyncio.get_running_loop()
    real = fanout.Fanout._turn

    def turn(self):
        before = node.hub._fanout._line and sum(len(item[1]) - item[2] for item in self._line)
        real(self)
        after = sum(len(item[1]) - item[2] for item in self._line)
        turns.append((before or 0) - after)

    monkeypatch.setattr(fanout.Fanout, "_turn", turn)
    assert loop.is_running()
    return turns


async def test_both_encodings_get_the_same_diff(node):
    async with player(node, "a", codec=JSON) as one, player(node, "b", codec=MSGPACK) as two:
        await one.join(metadata={"x": 1.5})
        await two.join()
        node.pass_time(1.1)
        first, second = await one.hear("presence", seq=2), await two.hear("presence", seq=2)
        assert first == second


async def test_frames_of_a_room_keep_their_order_also_when_sliced(monkeypatch):
    monkeypatch.setattr(fanout, "SLICE", 3)
    async with Node(Limits(connections_per_user=1000)) as node, contextlib.AsyncExitStack() as stack:
        sockets = await _observers(node, 20, stack)
        async with player(node) as one:
            for number in range(10):
                await one.join(metadata={"n": number})
                node.pass_time(1)
            for each in sockets:
                seqs = [(await each.hear("presence"))["seq"] for _ in range(8)]
                assert seqs == sorted(seqs)
                assert seqs[0] == 1


@pytest.mark.slow
async def test_three_thousand_recipients_leave_the_loop_its_turns():
    async with Node(Limits(connections_per_user=10_000)) as node, contextlib.AsyncExitStack() as stack:
        sockets = await _observers(node, 3_000, stack)
        for each in sockets:
            each.writer.transport.pause_reading()
        gaps: list[float] = []

        async def breathe():
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        breathing = asyncio.create_task(breathe())
        async with player(node) as one:
            await one.join()
            await one.hear("presence")
            await until(lambda: not node.hub._fanout._running)
        breathing.cancel()
        for each in sockets:
            each.writer.transport.resume_reading()
            assert (await each.hear("presence"))["count"] == 1
        assert len(gaps) > 3
        # A third of all writes and some slack for a busy machine; all at once would be three times as long.
        assert max(gaps) < 0.1


# -- rooms that fall and rise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_a_room_that_crashed_is_joined_again_and_nothing_is_lost(node, codec):
    async with player(node, codec=codec) as one:
        joined = await one.join(metadata={"x": 1})
        await one.beat(joined["stream"], 1, 2.5)
        await one.hear("ack")
        known = (joined["epoch"], joined["seq"])
        await node.happens("r1", Resumed(0))  # an event that rooms do not have
        error = await one.refused("unknown_stream", stream=joined["stream"])
        assert "join again" in error["message"]
        await one.beat(joined["stream"], 2)
        await one.refused("unknown_stream", stream=joined["stream"])
        back = await one.join(session_id=joined["session_id"], after={"epoch": known[0], "seq": known[1]})
        assert (back["resumed"], back["last_seq"], back["recovered"], back["count"]) == (True, 1, False, 1)
        assert back["epoch"] > joined["epoch"]
        await one.beat(back["stream"], 2, 3.5)
        await one.hear("ack", seq=2)
        assert len(node.memory.quarantine) == 1


async def test_a_join_that_comes_while_the_room_is_rebuilt_is_answered_after(node):
    async with player(node) as one, player(node, "other") as other:
        await one.join()
        await one.hear("presence")
        node.memory.faults.stalled = True
        happening = asyncio.create_task(node.happens("r1", Resumed(0)))
        await until(lambda: node.system.directory.rooms["r1"].status.name == "REBUILDING")
        await other.say("join", ref=1, room="r1")
        assert await other.rest() == []
        node.memory.faults.stalled = False
        await happening
        joined = await other.answer(1)
        assert (joined["type"], joined["epoch"]) == ("joined", 2)


async def test_lost_leases_send_players_away_and_leave_no_request_unanswered(node):
    async with player(node) as one, player(node, "other") as other:
        await one.join("r1")
        actor = await node.room("r2")
        node.memory.faults.stalled = True
        await node_waits(node, other, actor)
        node.system.abandon(frozenset(range(4)))
        assert await one.closed() == 1012
        assert one.passed[-1]["reason"] == "draining"
        node.memory.faults.stalled = False
        answer = await other.answer("late")
        assert answer["code"] == "busy"


async def node_waits(node, other, actor):
    """`other` asks to join `actor`'s room, which is being rebuilt."""
    node.system.post(actor, Resumed(0))
    await until(lambda: actor.status.name == "REBUILDING")
    await other.say("join", ref="late", room="r2")
    await until(lambda: actor.backlog)


# -- nothing left behind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "vanish", "replaced", "expired", "refused", "drained"])
async def test_nothing_is_held_of_those_who_left(how):
    async with Node(Limits(connections_per_user=3)) as node:
        held = []
        async with contextlib.AsyncExitStack() as stack:
            for number in range(6):
                user = "27" if how == "replaced" else f"u{number}"
                one = await stack.enter_async_context(player(node, user, ttl_s=60))
                await one.hello(node.token(user, ttl_s=60))
                await one.join("r1", metadata={"n": number})
                await one.watch(number)
                await one.ask("presence", room="r1")
                held += [weakref.ref(connection) for connection in node.hub.connections]
                await _go(node, one, how)
            if how == "drained":
                node.hub.drain(0)
        await until(lambda: node.nothing_held, "the hub still holds somebody")
        node.pass_time(30)
        await node.happens("r1", _tick())
        gc.collect()
        assert len(held) >= 6
        assert [ref() for ref in held if ref() is not None] == []


def _tick():
    from actors.machines.events import Started

    return Started(0, "rest")


async def _go(node, one, how):
    if how == "close":
        await one.socket.close()
    elif how == "vanish":
        await one.vanish()
    elif how == "expired":
        node.pass_time(61)
        node.second()
        assert await one.closed() == 4401
    elif how == "refused":
        await one.say("hello", token="forged")
        assert await one.closed() == 4401


async def test_sockets_that_never_said_hello_leave_nothing(node):
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(upgraded(node, None))
        refs = [weakref.ref(connection) for connection in node.hub.connections]
    await until(lambda: node.nothing_held)
    gc.collect()
    assert [ref() for ref in refs if ref() is not None] == []


async def test_a_client_that_comes_and_goes_with_a_long_token_leaves_nothing(node):
    """Its token stays good for an hour; what the server knows of its sockets does not."""
    refs = []
    for _ in range(50):
        async with player(node) as one:
            await one.join()
            refs += [weakref.ref(connection) for connection in node.hub.connections]
    await until(lambda: node.nothing_held)
    gc.collect()
    assert [ref() for ref in refs if ref() is not None] == []
