"""Taking part in a class and watching a content: every answer, every refusal."""

import pytest

from actors.actor import Status
from actors.machines.events import Cancelled, Finished, Resumed, Scheduled, Started
from protocol import ids
from server.ws.hub import Limits
from server.ws.requests import LINE_MAX
from tests.support.clients import BOTH, MSGPACK, TEXT, frame_bytes, player, upgraded
from tests.support.node import Node, until

HOUR = 3_600_000
MINUTE = 60_000

# -- rooms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_joined_has_every_field(node, codec):
    start, end = node.now - 6 * MINUTE, node.now + HOUR
    await node.happens("r1", Scheduled("Algebra", start, end, None))
    async with player(node, name="রহিমা", codec=codec) as one:
        before = node.now
        joined = await one.join("r1", ref=5, metadata={"seat": 3})
        after = node.now
        assert before <= joined["room"].pop("started_at") <= after
        assert ids.session_partition(joined.pop("session_id")) is not None
        assert joined == {
            "type": "joined",
            "ref": 5,
            "stream": 1,
            "room": {
                "id": "r1",
                "state": "live",
                "ended_at": None,
                "scheduled_start": start,
                "scheduled_end": end,
            },
            "count": 1,
            "late": True,
            "resumed": False,
            "last_seq": 0,
            "epoch": 1,
            "seq": 0,
            "presence": {"members": [], "next": None},
            "recovered": False,
        }


async def test_a_room_id_may_be_a_number_and_is_the_same_room(node):
    async with player(node, "1") as one, player(node, "2") as two:
        assert (await one.join(15))["room"]["id"] == "15"
        assert (await two.join("15"))["count"] == 2


async def test_a_page_of_members_says_who_is_here(node):
    async with player(node, "1", name="One") as one, player(node, "2") as two:
        await one.hello(node.token("1"))
        await one.join(metadata={"a": [1, None, "x"]})
        await one.hear("presence")
        joined = await two.join()
        (member,) = joined["presence"]["members"]
        assert node.now - 60_000 < member.pop("joined_at") <= node.now
        assert member == {
            "user_id": "1",
            "name": None,
            "role": "learner",
            "sources": ["websocket"],
            "devices": [],
            "late": False,
            "telephone": False,
            "metadata": {"a": [1, None, "x"]},
        }
        assert joined["seq"] == 1


async def test_the_device_of_hello_is_shown(node):
    async with player(node, None) as one:
        await one.hello(node.token(name="One"), device_id="tablet")
        await one.join()
        await one.hear("presence")
        (member,) = (await one.ask("presence", room="r1"))["members"]
        assert (member["devices"], member["name"]) == (["tablet"], "One")


async def test_joining_again_changes_the_metadata_of_the_same_stream(node):
    async with player(node) as one:
        first = await one.join(metadata={"hand": False})
        await one.hear("presence")
        await one.beat(first["stream"], 1)
        await one.hear("ack")
        again = await one.join(metadata={"hand": True})
        assert (again["stream"], again["session_id"]) == (first["stream"], first["session_id"])
        assert (again["resumed"], again["last_seq"], again["count"]) == (True, 1, 1)
        node.pass_time(1.1)
        diff = await one.hear("presence")
        assert [(line["user_id"], line["metadata"]) for line in diff["updates"]] == [("27", {"hand": True})]
        assert (diff["joins"], diff["leaves"], diff["count"]) == ([], [], 1)


async def test_joining_again_without_metadata_leaves_it_as_it_is(node):
    async with player(node) as one:
        await one.join(metadata={"hand": True})
        await one.hear("presence")
        await one.join()
        await one.join(metadata=None)
        node.pass_time(2)
        (member,) = (await one.ask("presence", room="r1"))["members"]
        assert member["metadata"] == {"hand": True}
        assert [frame for frame in one.passed if frame["type"] == "presence"] == []
        await one.join(metadata={})
        node.pass_time(2)
        assert (await one.hear("presence"))["updates"][0]["metadata"] == {}


async def test_joining_twice_in_one_packet_is_one_stream(node):
    async with upgraded(node) as one:
        await one.write(b"".join(frame_bytes(TEXT, b'{"type":"join","ref":%d,"room":"r1"}' % ref) for ref in (1, 2)))
        first, second = await one.hear("joined"), await one.hear("joined")
        assert (first["stream"], first["session_id"]) == (second["stream"], second["session_id"])
        (connection,) = node.hub.connections
        assert len(connection.streams) == 1


async def test_unknown_rooms_are_refused_or_made():
    async with Node(accept_unknown=False) as node, player(node) as one:
        assert (await one.ask("join", room="r1"))["code"] == "not_found"
        assert (await one.ask("presence", room="r1"))["code"] == "not_found"
        assert not node.system.directory.rooms
        await node.happens("r1", Scheduled("Algebra", None, None, None))
        assert await one.join("r1")
    async with Node(accept_unknown=True) as node, player(node) as one:
        assert await one.join("r1")
        assert (await one.ask("presence", room="r2"))["code"] == "not_found"


async def test_a_cancelled_room_refuses(node):
    await node.happens("r1", Cancelled(node.now))
    async with player(node) as one:
        assert (await one.ask("join", room="r1"))["code"] == "room_cancelled"


async def test_an_ended_room_refuses_newcomers(node):
    await node.happens("r1", Started(node.now, "rest"))
    await node.happens("r1", Finished(node.now, "rest"))
    async with player(node) as one:
        assert (await one.ask("join", room="r1"))["code"] == "room_ended"


async def test_an_ended_room_takes_the_kept_samples_of_its_sessions(node):
    async with player(node) as one:
        joined = await one.join()
        await one.beat(joined["stream"], 1, 0.0)
        await one.hear("ack")
        kept = [one.sample(2, 5.0, at=node.now + 5000), one.sample(3, 9.0, at=node.now + 9000)]
    node.pass_time(10)
    await node.happens("r1", Finished(node.now, "rest"))
    node.pass_time(30)
    async with player(node) as one:
        back = await one.join(session_id=joined["session_id"])
        assert (back["resumed"], back["last_seq"], back["room"]["state"]) == (True, 1, "ended")
        await one.say("heartbeats", stream=back["stream"], sent_at=node.now, samples=kept)
        await one.hear("ack", seq=3)
        (actor,) = node.system.directory.rooms.values()
        (session,) = actor.room.state.sessions.values()
        assert actor.room.session_row(joined["session_id"], session).content_ms == 9000
        assert actor.room.present == 0


# -- resuming ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_resumed_by_its_learner(node):
    async with player(node) as one:
        joined = await one.join()
        await one.beat(joined["stream"], 7, 3.5)
        await one.hear("ack")
    async with player(node) as one:
        back = await one.join(session_id=joined["session_id"])
        assert (back["session_id"], back["resumed"], back["last_seq"]) == (joined["session_id"], True, 7)


async def test_another_learners_session_is_forbidden(node):
    async with player(node, "1") as one, player(node, "2") as two:
        room, content = await one.join(), await one.watch()
        assert (await two.ask("join", room="r1", session_id=room["session_id"]))["code"] == "forbidden"
        refused = await two.ask("watch", content={"kind": "video", "id": "7"}, session_id=content["session_id"])
        assert refused["code"] == "forbidden"


@pytest.mark.parametrize("session_id", ["nonsense", "01a1fe1e-8862-4030-93ef-190dad5dbc92", ids.session_id(1, 1, 5)])
async def test_an_unknown_session_is_not_found(node, session_id):
    async with player(node) as one:
        assert (await one.ask("join", room="r1", session_id=session_id))["code"] == "not_found"
        refused = await one.ask("watch", content={"kind": "video", "id": "7"}, session_id=session_id)
        assert refused["code"] == "not_found"


async def test_a_session_of_another_place_is_not_found(node):
    async with player(node) as one:
        room, content = await one.join("r1"), await one.watch("7")
        assert (await one.ask("join", room="r2", session_id=room["session_id"]))["code"] == "not_found"
        assert (await one.ask("join", room="r2", session_id=content["session_id"]))["code"] == "not_found"
        for session_id in (room["session_id"], content["session_id"]):
            refused = await one.ask("watch", content={"kind": "video", "id": "8"}, session_id=session_id)
            assert refused["code"] == "not_found"


async def test_a_session_that_was_left_begins_anew(node):
    async with player(node) as one:
        room, content = await one.join(), await one.watch()
        await one.say("leave", stream=room["stream"])
        await one.say("leave", stream=content["stream"])
        again = await one.join(session_id=room["session_id"])
        assert again["resumed"] is False
        assert again["session_id"] != room["session_id"]
        again = await one.watch(session_id=content["session_id"])
        assert again["resumed"] is False
        assert again["session_id"] != content["session_id"]


async def test_resumed_elsewhere_the_only_stream_closes_its_socket(node):
    async with player(node) as old, player(node) as new:
        joined = await old.join()
        back = await new.join(session_id=joined["session_id"])
        assert (back["resumed"], back["count"]) == (True, 1)
        assert await old.closed() == 1000
        assert old.passed[-1] == {"type": "bye", "reason": "replaced", "reconnect_after_ms": 0}
        await new.beat(back["stream"], 1)
        await new.hear("ack", seq=1)
        assert [member["user_id"] for member in (await new.ask("presence", room="r1"))["members"]] == ["27"]


async def test_resumed_elsewhere_one_of_several_streams_is_told(node):
    async with player(node) as old, player(node) as new:
        joined, watching = await old.join(), await old.watch()
        await new.watch(session_id=watching["session_id"])
        await old.refused("unknown_stream", stream=watching["stream"])
        await old.beat(watching["stream"], 1)
        await old.refused("unknown_stream", stream=watching["stream"])
        await old.beat(joined["stream"], 1)
        await old.hear("ack", stream=joined["stream"], seq=1)


async def test_resumed_on_the_same_connection_the_number_changes(node):
    async with player(node) as one:
        first = await one.watch()
        second = await one.watch(session_id=first["session_id"])
        assert second["stream"] != first["stream"]
        assert [*one.passed, *await one.rest()] == []
        assert second["resumed"] is True
        await one.beat(first["stream"], 1)
        await one.refused("unknown_stream", stream=first["stream"])
        await one.beat(second["stream"], 1)
        await one.hear("ack", stream=second["stream"])


# -- contents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_watching_has_every_field(node, codec):
    async with player(node, codec=codec) as one:
        watching = await one.watch(7, ref="w", duration=20)
        assert ids.session_partition(watching["session_id"]) is not None
        assert watching == {
            "type": "watching",
            "ref": "w",
            "stream": 1,
            "session_id": watching["session_id"],
            "resumed": False,
            "last_seq": 0,
            "position": 0.0,
            "coverage": 0.0,
        }


async def test_a_resumed_watch_continues_where_it_stopped(node):
    async with player(node) as one:
        watching = await one.watch(duration=20)
        await one.beat(watching["stream"], 1, 0)
        await one.hear("ack")
        node.pass_time(10)
        await one.beat(watching["stream"], 2, 10)
        await one.hear("ack", seq=2)
        await one.vanish()
    async with player(node) as one:
        back = await one.watch(session_id=watching["session_id"])
        assert (back["resumed"], back["last_seq"], back["position"], back["coverage"]) == (True, 2, 10.0, 0.5)


async def test_two_watches_of_one_content_are_two_sessions(node):
    async with player(node) as one:
        first, second = await one.watch(), await one.watch()
        assert first["session_id"] != second["session_id"]
        assert first["stream"] != second["stream"]


async def test_unknown_contents_are_refused():
    async with Node(accept_unknown=False) as node, player(node) as one:
        assert (await one.ask("watch", content={"kind": "video", "id": "7"}))["code"] == "not_found"
        assert not node.system.directory.watches


# -- observers --------------------------------------------------------------------------------------------------------


async def test_learners_may_not_observe(node):
    async with player(node) as one:
        assert (await one.ask("join", room="r1", observe=True))["code"] == "forbidden"


@pytest.mark.parametrize("role", ["staff", "admin"])
async def test_an_observer_sees_and_is_not_seen(node, role):
    async with player(node, "boss", role=role) as boss, player(node, "1") as one:
        seen = await boss.join(observe=True)
        assert (seen["session_id"], seen["count"], seen["room"]["state"]) == (None, 0, "scheduled")
        assert (await one.join())["count"] == 1
        diff = await boss.hear("presence")
        assert ([line["user_id"] for line in diff["joins"]], diff["count"]) == (["1"], 1)
        assert [frame["state"] for frame in boss.passed if frame["type"] == "room"] == ["live"]
        await boss.beat(seen["stream"], 1)
        await boss.refused("unknown_stream")
        assert (await boss.ask("interact", stream=seen["stream"], kind="doubt"))["code"] == "unknown_stream"


async def test_an_observer_may_take_part_and_leave(node):
    async with player(node, "boss", role="staff") as boss:
        await boss.join(observe=True)
        joined = await boss.join()
        assert (joined["count"], joined["room"]["state"]) == (1, "live")
        await boss.say("leave", stream=joined["stream"])
        seen = await boss.join(observe=True)
        await boss.say("leave", stream=seen["stream"])
        await boss.rest()
        assert not node.hub._seers


# -- bounds -----------------------------------------------------------------------------------------------------------


async def test_sixteen_streams_a_connection(node):
    async with player(node) as one:
        streams = [(await one.watch(number))["stream"] for number in range(16)]
        assert (await one.ask("watch", content={"kind": "video", "id": "x"}))["code"] == "too_many_streams"
        assert (await one.ask("join", room="r1"))["code"] == "too_many_streams"
        await one.say("leave", stream=streams[0])
        assert await one.join()


async def test_sixteen_streams_also_when_asked_in_one_packet(node):
    async with upgraded(node) as one:
        ask = [b'{"type":"watch","ref":%d,"content":{"kind":"v","id":%d}}' % (ref, ref) for ref in range(20)]
        await one.write(b"".join(frame_bytes(TEXT, each) for each in ask))
        answers = {frame["ref"]: frame for frame in [await one.message() for _ in range(20)]}
        assert [answers[ref]["type"] for ref in range(16)] == ["watching"] * 16
        assert [answers[ref]["code"] for ref in range(16, 20)] == ["too_many_streams"] * 4
        (connection,) = node.hub.connections
        assert len(connection.streams) == 16


async def test_a_second_join_needs_no_stream_of_its_own():
    async with Node(Limits(streams_per_connection=1)) as node, player(node) as one:
        first = await one.join()
        assert (await one.join(metadata={}))["stream"] == first["stream"]


async def test_requests_that_wait_for_the_store_are_bounded(node):
    async with player(node) as one:
        node.memory.faults.stalled = True
        for number in range(LINE_MAX + 2):
            await one.say("join", ref=number, room=f"room{number}")
        refused = await one.refused("rate_limited", ref=LINE_MAX + 1)
        assert refused["retry_after"] > 0
        node.memory.faults.stalled = False
        answers = [await one.answer(number) for number in range(LINE_MAX + 1)]
        assert [answer["type"] for answer in answers[:16]] == ["joined"] * 16
        assert {answer["code"] for answer in answers[16:]} == {"too_many_streams"}


async def test_requests_of_a_client_that_is_gone_are_forgotten(node):
    async with player(node) as one:
        node.memory.faults.stalled = True
        for number in range(10):
            await one.say("join", ref=number, room=f"room{number}")
        await until(lambda: node.memory.faults.waiting)
        await one.vanish()
        await until(lambda: not node.hub.connections)
        node.memory.faults.stalled = False
    await until(lambda: node.nothing_held)
    assert len(node.system.directory.rooms) <= 1


async def test_while_the_store_is_away_requests_are_told_busy(node):
    async with player(node) as one:
        node.memory.faults.away = True
        refused = await one.ask("join", room="r1")
        assert (refused["code"], refused["retry_after"]) == ("busy", 2.0)
        refused = await one.ask("watch", content={"kind": "video", "id": "7"})
        assert refused["code"] == "busy"
        node.memory.faults.away = False
        assert await one.join()
        assert await one.watch()


async def test_who_vanishes_while_joining_came_and_was_dropped(node):
    async with player(node, "1") as witness, player(node, "2") as one:
        await witness.join()
        await witness.hear("presence")
        node.memory.faults.stalled = True
        await one.say("join", ref=1, room="r1")
        await until(lambda: "2" in (node.system.directory.rooms["r1"].room.state.members))
        await one.vanish()
        node.memory.faults.stalled = False
        node.pass_time(1.1)
        assert [line["user_id"] for line in (await witness.hear("presence"))["joins"]] == ["2"]
        node.pass_time(21)
        assert [line["user_id"] for line in (await witness.hear("presence"))["leaves"]] == ["2"]


async def test_who_is_gone_before_the_room_took_the_join_is_dropped_too(node):
    async with player(node, "1") as witness, player(node, "2") as one:
        actor = await node.room("r1")
        node.memory.faults.stalled = True
        node.system.post(actor, Resumed(0))  # an event that rooms do not have: the room is rebuilt
        await until(lambda: actor.status is Status.REBUILDING)
        await one.say("join", ref=1, room="r1")
        await until(lambda: actor.backlog)
        await one.vanish()
        await until(lambda: len(node.hub.connections) == 1)
        node.memory.faults.stalled = False
        await until(lambda: "2" in actor.room.state.members)
        assert (await witness.join())["count"] == 2
        node.pass_time(21)
        assert (await witness.ask("presence", room="r1"))["count"] == 1


async def test_metadata_over_a_kibibyte_is_refused_by_name(node):
    async with player(node, codec=MSGPACK) as one:
        refused = await one.ask("join", room="r1", metadata={"x": "y" * 1024})
        assert refused["code"] == "bad_message"
        assert "metadata" in refused["message"]
        assert await one.join(metadata={"x": "y" * 1000})
