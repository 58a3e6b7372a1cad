"""Samples: when they are acknowledged, and when and how they are not."""

from typing import Any

import msgspec
import pytest

from actors.machines.state import RoomRules
from actors.system import Rules
from tests.support.clients import BOTH, player
from tests.support.node import Node, until

DAY_MS = 24 * 3600 * 1000


async def _streams(one):
    """Both kinds of stream, which take samples alike."""
    return (await one.join())["stream"], (await one.watch())["stream"]


async def _backlog(node, size):
    await until(lambda: node.system.committer.backlog == size)


def _journaled(node):
    """All samples in the journal, which is what an ack promises."""
    from storage.journal import EntryCodec

    codec = EntryCodec()
    entries = [entry for batch in node.memory.batches.values() for entry in codec.decode(batch.body)]
    return [sample.seq for entry in entries for sample in getattr(entry.event, "samples", [])]


# -- acknowledged -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_a_heartbeat_is_acknowledged_once_it_is_durable(node, codec):
    async with player(node, codec=codec) as one:
        for stream in await _streams(one):
            before = len(_journaled(node))
            node.memory.faults.stalled = True
            await one.beat(stream, 1)
            await until(lambda: node.memory.faults.waiting)
            assert await one.rest() == []
            assert len(_journaled(node)) == before
            node.memory.faults.stalled = False
            assert await one.next() == {"type": "ack", "stream": stream, "seq": 1}
            assert len(_journaled(node)) == before + 1


async def test_an_ack_waits_while_the_store_is_away_and_comes_when_it_is_back(node):
    async with player(node) as one:
        stream = (await one.join())["stream"]
        await one.hear("presence")
        node.memory.faults.away = True
        for seq in range(1, 6):
            await one.beat(stream, seq, seq)
        await until(lambda: node.system.committer.away_since)
        assert await one.rest() == []
        node.memory.faults.away = False
        assert [(await one.hear("ack"))["seq"] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert _journaled(node) == [1, 2, 3, 4, 5]


async def test_a_commit_whose_answer_got_lost_is_acknowledged_once(node):
    async with player(node) as one:
        stream = (await one.join())["stream"]
        await one.hear("presence")
        node.memory.faults.lose_answers = True
        await one.beat(stream, 1)
        await until(lambda: node.system.committer.away_since)
        assert await one.rest() == []
        node.memory.faults.lose_answers = False
        await one.hear("ack", seq=1)
        assert await one.rest() == []
        assert _journaled(node) == [1]


async def test_a_repeat_is_acknowledged_again_and_stored_once(node):
    async with player(node) as one:
        for stream in await _streams(one):
            before = len(_journaled(node))
            for seq in (1, 2, 1, 2):
                await one.beat(stream, seq)
            acks = [await one.hear("ack") for _ in range(4)]
            assert [ack["seq"] for ack in acks] == [1, 2, 2, 2]
            await one.say("heartbeats", stream=stream, sent_at=node.now, samples=[one.sample(1), one.sample(2)])
            assert (await one.hear("ack"))["seq"] == 2
            assert len(_journaled(node)) == before + 2


async def test_a_repeat_is_not_acknowledged_before_the_original(node):
    async with player(node) as one:
        stream = (await one.watch())["stream"]
        node.memory.faults.stalled = True
        await one.beat(stream, 1)
        await until(lambda: node.memory.faults.waiting)
        await one.beat(stream, 1)
        assert await one.rest() == []
        node.memory.faults.stalled = False
        assert [(await one.hear("ack"))["seq"] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("codec", BOTH)
async def test_a_batch_is_acknowledged_as_one(node, codec):
    async with player(node, codec=codec) as one:
        for stream in await _streams(one):
            samples = [one.sample(seq, float(seq), rate=1, visible=None, duration=None) for seq in range(1, 501)]
            await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
            assert await one.hear("ack") == {"type": "ack", "stream": stream, "seq": 500}


@pytest.mark.parametrize("codec", BOTH)
async def test_gaps_in_seq_are_taken(node, codec):
    async with player(node, codec=codec) as one:
        for stream in await _streams(one):
            await one.beat(stream, 5)
            await one.beat(stream, 2**53 - 1)
            assert [(await one.hear("ack"))["seq"] for _ in range(2)] == [5, 2**53 - 1]


async def test_both_codecs_leave_the_same_session_behind(node):
    rows = []
    for codec in BOTH:
        async with player(node, codec=codec) as one:
            watching = await one.watch(duration=100)
            at = node.now
            samples = [
                {"seq": 1, "at": at, "position": 0, "state": "playing", "rate": 1.5},
                {"seq": 2, "at": at + 4000, "position": 6.0004, "state": "playing", "visible": False},
                {"seq": 3, "at": at + 9000, "position": 11.25, "state": "paused", "duration": 99.5},
            ]
            node.pass_time(9)
            await one.say("heartbeats", stream=watching["stream"], sent_at=at + 9000, samples=samples)
            await one.hear("ack")
            track = node.system.directory.watches[watching["session_id"]].watch.state.track
            segment = track.closed[0]
            rows.append(
                (
                    segment.content_ms,
                    segment.wall_ms,
                    segment.mean_rate,
                    segment.visible_share,
                    track.duration,
                    track.position,
                )
            )
    assert rows[0] == rows[1] == (11250, 9000, 1.2222, 0.4444, 99500, 11250)


# -- refused ----------------------------------------------------------------------------------------------------------

BAD_SAMPLES: dict[str, list[Any]] = {
    "seq": [0, -1, "1", 1.5, None, 2**53, 2**64 - 1],
    "at": [-1, "now", None, 1.5, 2**64 - 1],
    "position": [-0.001, "0", None, 1e10],
    "state": ["dancing", "", None, 1],
    "rate": [0, -1, 16.1, "1"],
    "duration": [-1, "long"],
    "visible": [1, "yes"],
}


@pytest.mark.parametrize("codec", BOTH)
@pytest.mark.parametrize(("field", "value"), [(field, value) for field, bad in BAD_SAMPLES.items() for value in bad])
async def test_a_bad_sample_refuses_its_batch_by_index_and_field(node, codec, field, value):
    async with player(node, codec=codec) as one:
        stream = (await one.watch())["stream"]
        samples = [one.sample(seq) for seq in (1, 2, 3)]
        samples[1][field] = value
        await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
        error = await one.refused("bad_message", stream=stream)
        assert f"$.samples[1].{field}" in error["message"] or f"$.samples[...].{field}" in error["message"]
        await one.beat(stream, 1)
        await one.hear("ack", seq=1)
        assert _journaled(node) == [1]


@pytest.mark.parametrize("field", ["seq", "at", "position", "state"])
async def test_a_heartbeat_without_a_field_is_refused_by_name(node, field):
    async with player(node) as one:
        stream = (await one.watch())["stream"]
        message = {"stream": stream} | one.sample(1)
        del message[field]
        await one.say("heartbeat", **message)
        assert f"`{field}`" in (await one.refused("bad_message", stream=stream))["message"]


async def test_a_batch_that_does_not_rise_is_refused_by_index(node):
    async with player(node) as one:
        for stream in await _streams(one):
            for seqs in ([1, 2, 2], [3, 2, 1], [1, 1]):
                index = next(index for index in range(1, 3) if seqs[index] <= seqs[index - 1])
                samples = [one.sample(seq) for seq in seqs]
                await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
                assert f"$.samples[{index}].seq" in (await one.refused("bad_message", stream=stream))["message"]
        assert _journaled(node) == []


@pytest.mark.parametrize("size", [0, 501])
async def test_a_batch_that_is_empty_or_too_long_is_refused(node, size):
    async with player(node) as one:
        stream = (await one.watch())["stream"]
        samples = [{"seq": seq, "at": 1, "position": 0, "state": "playing"} for seq in range(1, size + 1)]
        await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
        assert "$.samples" in (await one.refused("bad_message", stream=stream))["message"]


async def test_samples_over_a_day_old_are_refused_by_index(node):
    async with player(node) as one:
        for stream in await _streams(one):
            samples = [one.sample(1), one.sample(2, at=node.now - DAY_MS - 5000), one.sample(3)]
            await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
            assert "samples[1].at" in (await one.refused("too_old", stream=stream))["message"]
            samples[1]["at"] += 10_000
            await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
            await one.hear("ack", seq=3)


@pytest.mark.parametrize("message", ["heartbeat", "heartbeats", "leave"])
async def test_an_unknown_stream_is_named(node, message):
    async with player(node) as one, player(node, "other") as other:
        await other.join()
        fields = {"heartbeat": one.sample(1), "heartbeats": {"sent_at": 1, "samples": [one.sample(1)]}, "leave": {}}
        await one.say(message, stream=1, **fields[message])
        await one.refused("unknown_stream", stream=1)


async def test_a_stream_that_was_left_is_unknown(node):
    async with player(node) as one:
        for stream in await _streams(one):
            await one.say("leave", stream=stream)
            await one.beat(stream, 1)
            await one.refused("unknown_stream", stream=stream)


async def test_a_session_that_fell_asleep_is_told_once(node):
    async with player(node) as one:
        stream = (await one.watch())["stream"]
        await one.beat(stream, 1)
        await one.hear("ack")
        node.pass_time(1801)
        await one.refused("unknown_stream", stream=stream)
        (connection,) = node.hub.connections
        assert not connection.streams


# -- under load -------------------------------------------------------------------------------------------------------


async def test_when_the_journal_is_full_samples_are_told_busy_and_nothing_is_lost():
    async with Node(rules=Rules(partitions=4, journal_pending=3)) as node, player(node) as one:
        stream = (await one.watch())["stream"]
        node.memory.faults.stalled = True
        for seq in (1, 2, 3):
            await one.beat(stream, seq)
            await _backlog(node, seq)
        await one.beat(stream, 4)
        error = await one.refused("busy", stream=stream)
        assert error["retry_after"] > 0
        await one.say("heartbeats", stream=stream, sent_at=node.now, samples=[one.sample(5)])
        await one.refused("busy", stream=stream)
        assert (await one.ask("watch", content={"kind": "video", "id": "7"}))["code"] == "busy"
        node.memory.faults.stalled = False
        assert [(await one.hear("ack"))["seq"] for _ in range(3)] == [1, 2, 3]
        await one.beat(stream, 4)
        await one.hear("ack", seq=4)
        await one.beat(stream, 5)
        await one.hear("ack", seq=5)
        assert _journaled(node) == [1, 2, 3, 4, 5]


async def test_what_was_refused_as_busy_is_not_overtaken_by_what_came_later():
    """Taken first, the later sample would make the refused one a repeat, and it would be lost."""
    async with Node(rules=Rules(partitions=4, journal_pending=1)) as node, player(node) as one:
        stream = (await one.watch())["stream"]
        node.memory.faults.stalled = True
        await one.beat(stream, 1)
        await until(lambda: node.system.committer.backlog == 1)
        await one.beat(stream, 2)
        await one.refused("busy", stream=stream)
        node.memory.faults.stalled = False
        await one.hear("ack", seq=1)
        await one.beat(stream, 3)
        await one.refused("busy", stream=stream)
        await one.say("heartbeats", stream=stream, sent_at=node.now, samples=[one.sample(2), one.sample(3)])
        await one.hear("ack", seq=3)
        assert _journaled(node) == [1, 2, 3]


@pytest.mark.parametrize("codec", BOTH)
async def test_another_heartbeat_interval_is_told_once_a_stream(node, codec):
    async with player(node, codec=codec) as one:
        streams = await _streams(one)
        for stream in streams:
            await one.beat(stream, 1)
            assert "heartbeat_interval" not in await one.hear("ack")
        node.system.interval_ms = 20_000
        for stream in streams:
            await one.beat(stream, 2)
            assert (await one.hear("ack"))["heartbeat_interval"] == 20.0
            await one.beat(stream, 3)
            assert "heartbeat_interval" not in await one.hear("ack")
        node.system.interval_ms = 10_000
        await one.say("heartbeats", stream=streams[0], sent_at=node.now, samples=[one.sample(4)])
        assert (await one.hear("ack"))["heartbeat_interval"] == 10.0


async def test_an_interval_that_changed_between_hello_and_join_is_told(node):
    async with player(node) as one:
        node.system.interval_ms = 20_000
        for stream in await _streams(one):
            await one.beat(stream, 1)
            assert (await one.hear("ack"))["heartbeat_interval"] == 20.0


async def test_an_interval_that_went_with_a_refusal_is_told_again(node):
    async with player(node) as one:
        for stream in await _streams(one):
            node.system.interval_ms += 5_000
            samples = [one.sample(1), one.sample(2, at=node.now - DAY_MS - 60_000)]
            await one.say("heartbeats", stream=stream, sent_at=node.now, samples=samples)
            await one.refused("too_old", stream=stream)
            await one.beat(stream, 3)
            acks = [frame for frame in [*one.passed, await one.hear("ack", seq=3)] if frame["type"] == "ack"]
            assert [ack["heartbeat_interval"] for ack in acks if ack["stream"] == stream if len(ack) > 3]


async def test_the_interval_under_load_is_stretched_before_anything_is_refused():
    async with Node(rules=Rules(partitions=4, journal_pending=8)) as node, player(node) as one:
        stream = (await one.watch())["stream"]
        node.memory.faults.stalled = True
        for seq in range(1, 5):
            await one.beat(stream, seq)
            await _backlog(node, seq)
        node.system._stretch()
        await one.beat(stream, 5)
        await until(lambda: node.system.committer.backlog == 5)
        node.memory.faults.stalled = False
        assert (await one.hear("ack", seq=5))["heartbeat_interval"] == 30.0


# -- life -------------------------------------------------------------------------------------------------------------


async def test_acknowledged_samples_survive_the_node(node):
    """The next life of the same store finds them, whatever became of the first."""
    async with Node(memory=node.memory) as second, player(node) as one:
        pass
    rules = Rules(partitions=4, room=RoomRules(grace_ms=50))
    async with Node(rules=rules) as first, player(first) as one:
        watching = await one.watch(duration=100)
        await one.beat(watching["stream"], 1, 4.5)
        await one.hear("ack")
        batches = {key: msgspec.structs.replace(batch) for key, batch in first.memory.batches.items()}
    # As after a kill: the journal, and no checkpoint.
    second = Node(rules=rules)
    second.memory.batches.update(batches)
    async with second, player(second) as one:
        back = await one.watch(session_id=watching["session_id"])
        assert (back["resumed"], back["last_seq"], back["position"]) == (True, 1, 4.5)
