"""Who is here, as those who are here see it."""

import msgspec
import pytest

from actors.machines.diffs import DIFFS_KEPT
from actors.machines.events import Cancelled, Finished, Scheduled, Started
from server.ws.hub import Limits
from tests.support.clients import BOTH, player
from tests.support.node import Node, until

MINUTE = 60_000


def _users(lines):
    return [line["user_id"] for line in lines]


# -- diffs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", BOTH)
async def test_ones_own_join_comes_in_the_diff_behind_joined(node, codec):
    async with player(node, name="One", codec=codec) as one:
        joined = await one.join(metadata={"x": 1})
        assert joined["presence"]["members"] == []
        diff = await one.hear("presence")
        at = diff["joins"][0].pop("at")
        assert joined["room"]["started_at"] == at
        assert diff == {
            "type": "presence",
            "room": "r1",
            "epoch": joined["epoch"],
            "seq": joined["seq"] + 1,
            "count": 1,
            "joins": [{"user_id": "27", "name": "One", "metadata": {"x": 1}}],
            "leaves": [],
            "updates": [],
            "truncated": False,
        }


async def test_a_diff_that_the_page_already_holds_does_not_come(node):
    async with player(node, "a") as one, player(node, "b") as two:
        actor = await node.room("r1")
        node.memory.faults.stalled = True
        await one.say("join", ref=1, room="r1")
        await until(lambda: actor.room.diffs.seq == 1)
        await two.say("join", ref=1, room="r1")
        await until(lambda: actor.room.present == 2)
        node.memory.faults.stalled = False
        joined = await two.answer(1)
        assert (joined["seq"], _users(joined["presence"]["members"])) == (1, ["a"])
        node.pass_time(1)
        assert (await two.hear("presence"))["seq"] == 2
        assert two.passed == []


async def test_one_diff_a_second_however_many_come_and_go(node):
    async with player(node, "a") as one:
        await one.join()
        await one.hear("presence")
        for user in ("b", "c", "d"):
            async with player(node, user) as other:
                stream = (await other.join())["stream"]
                if user == "d":
                    await other.say("leave", stream=stream)
                    await other.rest()
        await one.ask("presence", room="r1")
        assert [frame for frame in one.passed if frame["type"] == "presence"] == []
        node.pass_time(1.0)
        diff = await one.hear("presence")
        assert (sorted(_users(diff["joins"])), diff["leaves"], diff["count"], diff["seq"]) == (["b", "c"], [], 3, 2)


async def test_seq_rises_by_one_a_diff(node):
    async with player(node, "a") as one:
        seqs = []
        await one.join()
        for number in range(5):
            seqs.append((await one.hear("presence"))["seq"])
            await one.join(metadata={"n": number})
            node.pass_time(1.0)
        assert seqs == [1, 2, 3, 4, 5]


async def test_metadata_changes_are_updates_and_not_a_leave_and_a_join(node):
    async with player(node, "a") as one, player(node, "b") as two:
        await one.join()
        await one.hear("presence")
        await two.join(metadata={"x": 1})
        node.pass_time(1)
        await one.hear("presence")
        await two.join(metadata={"x": 2})
        await two.join(metadata={"x": 3})
        node.pass_time(1)
        diff = await one.hear("presence")
        assert (diff["joins"], diff["leaves"], diff["count"]) == ([], [], 2)
        assert [(line["user_id"], line["metadata"]) for line in diff["updates"]] == [("b", {"x": 3})]


async def test_a_second_device_is_no_second_person(node):
    async with player(node, "a") as one, player(node, "b") as phone, player(node, "b") as tablet:
        await one.join()
        await one.hear("presence")
        first = await phone.join()
        node.pass_time(1)
        assert (await one.hear("presence"))["count"] == 2
        second = await tablet.join()
        assert second["count"] == 2
        await phone.say("leave", stream=first["stream"])
        await phone.ask("presence", room="r1")
        node.pass_time(2)
        assert (await one.ask("presence", room="r1"))["count"] == 2
        await tablet.say("leave", stream=second["stream"])
        await tablet.rest()
        node.pass_time(2)
        assert _users((await one.hear("presence"))["leaves"]) == ["b"]


# -- leaving ----------------------------------------------------------------------------------------------------------


async def test_who_leaves_on_purpose_is_gone_at_once(node):
    async with player(node, "a") as one, player(node, "b") as two:
        await one.join()
        await one.hear("presence")
        stream = (await two.join())["stream"]
        node.pass_time(1)
        await one.hear("presence")
        await two.say("leave", stream=stream)
        await two.rest()
        before = node.now
        node.pass_time(1)
        diff = await one.hear("presence")
        ((user, at),) = [(line["user_id"], line["at"]) for line in diff["leaves"]]
        assert (user, diff["count"]) == ("b", 1)
        assert before - 2000 < at <= before
        assert [frame for frame in await two.rest() if frame["type"] == "presence"] == []


@pytest.mark.parametrize("how", ["close", "vanish"])
async def test_who_drops_leaves_when_the_grace_is_over_at_the_last_evidence(node, how):
    async with player(node, "a") as one:
        await one.join()
        await one.hear("presence")
        async with player(node, "b") as two:
            await two.join()
            node.pass_time(1)
            await one.hear("presence")
            await (two.vanish() if how == "vanish" else two.socket.close())
        await until(lambda: len(node.hub.connections) == 1)
        await one.ask("presence", room="r1")
        dropped = node.now
        node.pass_time(19)
        assert (await one.ask("presence", room="r1"))["count"] == 2
        node.pass_time(2)
        diff = await one.hear("presence")
        assert (_users(diff["leaves"]), diff["count"]) == (["b"], 1)
        assert dropped - 1000 < diff["leaves"][0]["at"] <= dropped


@pytest.mark.parametrize("resume", [True, False])
async def test_who_is_back_within_the_grace_never_left(node, resume):
    async with player(node, "a") as one:
        await one.join()
        await one.hear("presence")
        async with player(node, "b") as two:
            joined = await two.join()
            node.pass_time(1)
            await one.hear("presence")
            await two.vanish()
        await until(lambda: len(node.hub.connections) == 1)
        await one.ask("presence", room="r1")
        node.pass_time(15)
        async with player(node, "b") as two:
            back = await two.join(**({"session_id": joined["session_id"]} if resume else {}))
            assert (back["resumed"], back["count"]) == (resume, 2)
            node.pass_time(60)
            assert (await one.ask("presence", room="r1"))["count"] == 2
            assert [frame for frame in one.passed if frame["type"] == "presence"] == []


# -- pages ------------------------------------------------------------------------------------------------------------


async def _crowd(node, size, room="r1"):
    """So many learners, put into the room by its own door, and told in one diff."""
    from server.auth import Claims

    actor = await node.room(room)
    for number in range(size):
        claims = Claims(f"u{number:04}", "learner", 2**40, None)
        node.system.post(actor, node.desk.joined(actor, claims, None, "", None, 10_000))
    await until(lambda: actor.room.present >= size)
    node.pass_time(2)
    return actor


async def test_pages_of_a_hundred_by_cursor(node):
    await _crowd(node, 250)
    async with player(node) as one:
        joined = await one.join()
        assert joined["count"] == 251
        seen, following = _users(joined["presence"]["members"]), joined["presence"]["next"]
        assert len(seen) == 100
        while following is not None:
            page = await one.ask("presence", room="r1", cursor=following)
            assert page["type"] == "members"
            assert page["epoch"] == joined["epoch"]
            seen += _users(page["members"])
            following = page["next"]
        assert [user for user in seen if user != "27"] == [f"u{number:04}" for number in range(250)]


async def test_a_page_is_the_state_at_its_seq(node):
    async with player(node, "a") as one, player(node, "b") as two:
        await one.join()
        await one.hear("presence")
        await two.join()
        page = await one.ask("presence", room="r1")
        assert (page["seq"], page["count"], _users(page["members"]), page["next"]) == (1, 1, ["a"], None)
        node.pass_time(1)
        page = await one.ask("presence", room="r1")
        assert (page["seq"], page["count"], _users(page["members"])) == (2, 2, ["a", "b"])


@pytest.mark.parametrize("cursor", ["", "zzzz", "\ud7ff" * 100, "u0099\u0000"])
async def test_any_cursor_is_a_place_in_the_order(node, cursor):
    await _crowd(node, 3)
    async with player(node) as one:
        page = await one.ask("presence", room="r1", cursor=cursor)
        assert _users(page["members"]) == [user for user in ("u0000", "u0001", "u0002") if user > cursor]


async def test_whoever_may_enter_may_ask_without_being_there(node):
    await _crowd(node, 1)
    async with player(node) as one:
        assert (await one.ask("presence", room="r1", ref=9)) | {"members": []} == {
            "type": "members",
            "ref": 9,
            "room": "r1",
            "epoch": 1,
            "seq": 1,
            "count": 1,
            "members": [],
            "next": None,
        }


# -- coming back ------------------------------------------------------------------------------------------------------


async def test_who_knows_the_last_diff_gets_only_what_was_missed(node):
    async with player(node, "a") as one:
        await one.join()
        await one.hear("presence")
        async with player(node, "b") as two:
            first = await two.join()
            node.pass_time(1)
            known = await two.hear("presence")
        async with player(node, "c") as three:
            await three.join()
            node.pass_time(1)
            await one.hear("presence")
            await one.hear("presence")
            async with player(node, "b") as two:
                after = {"epoch": known["epoch"], "seq": known["seq"]}
                back = await two.join(session_id=first["session_id"], after=after)
                assert back["recovered"] is True
                (missed,) = back["presence"]["diffs"]
                assert (_users(missed["joins"]), missed["seq"], back["seq"]) == (["c"], 3, 3)
                assert "members" not in back["presence"]
                now_known = {"epoch": back["epoch"], "seq": back["seq"]}
                again = await two.join(after=now_known, metadata={})
                assert (again["recovered"], again["presence"]) == (True, {"diffs": []})


@pytest.mark.parametrize(("epoch", "seq"), [(0, 1), (2, 1), (1, 2), (1, 2**53 - 1), (2**53 - 1, 0)])
async def test_an_unknown_place_gets_a_page(node, epoch, seq):
    async with player(node, "a") as one, player(node, "b") as two:
        await one.join()
        await one.hear("presence")
        joined = await two.join(after={"epoch": epoch, "seq": seq})
        assert joined["recovered"] is False
        assert _users(joined["presence"]["members"]) == ["a"]


async def test_an_old_place_gets_a_page(node):
    async with player(node, "a") as one, player(node, "b") as two:
        await one.join()
        actor = await node.room("r1")
        for number in range(DIFFS_KEPT + 1):
            node.system.scheduler.run(actor, _metadata(actor, number), None, node.now)
            node.pass_time(1)
        assert actor.room.diffs.seq > DIFFS_KEPT
        assert (await two.join(after={"epoch": 1, "seq": 0}))["recovered"] is False


def _metadata(actor, number):
    from actors.machines.events import Described

    (session_id,) = actor.room.state.sessions
    return Described(session_id, b"%d" % number)


async def test_a_new_life_of_the_room_has_a_higher_epoch():
    async with Node() as first, player(first) as one:
        joined = await one.join()
        memory = first.memory
    async with Node(memory=memory) as second, player(second) as one:
        back = await one.join(session_id=joined["session_id"], after={"epoch": joined["epoch"], "seq": 1})
        assert back["epoch"] > joined["epoch"]
        assert (back["resumed"], back["recovered"], back["count"]) == (True, False, 1)


# -- large rooms ------------------------------------------------------------------------------------------------------


async def test_over_the_limit_learners_get_counts_and_staff_everything():
    async with (
        Node(Limits(presence_list=2)) as node,
        player(node, "a") as one,
        player(node, "boss", role="staff") as boss,
        player(node, "c") as three,
    ):
        await one.join()
        assert (await one.hear("presence"))["truncated"] is False
        await boss.join(observe=True)
        await _crowd(node, 1)
        assert (await one.hear("presence"))["truncated"] is False
        await boss.hear("presence")
        joined = await three.join()
        assert (joined["count"], joined["presence"]) == (3, {"members": [], "next": None})
        node.pass_time(1)
        short, full = await one.hear("presence"), await boss.hear("presence")
        assert (short["truncated"], short["joins"], short["count"]) == (True, [], 3)
        assert (full["truncated"], _users(full["joins"]), full["count"]) == (False, ["c"], 3)
        assert (await one.ask("presence", room="r1"))["code"] == "forbidden"
        assert (await boss.ask("presence", room="r1"))["count"] == 3
        missed = await three.join(after={"epoch": 1, "seq": 0})
        assert [diff["truncated"] for diff in missed["presence"]["diffs"]] == [True] * 3


# -- the room's own life ----------------------------------------------------------------------------------------------


async def test_a_room_goes_live_for_those_who_came_early(node):
    await node.happens("r1", Scheduled("Algebra", node.now + 20 * MINUTE, node.now + 80 * MINUTE, None))
    async with player(node) as one:
        joined = await one.join()
        assert joined["room"]["state"] == "scheduled"
        before = node.now
        await node.happens("r1", Started(node.now, "rest"))
        turned = await one.hear("room")
        assert before <= turned.pop("at") <= node.now
        assert turned == {"type": "room", "room": "r1", "state": "live"}
        await one.beat(joined["stream"], 1)
        await one.hear("ack")


async def test_a_room_goes_live_by_the_clock(node):
    start = node.now + 20 * MINUTE
    await node.happens("r1", Scheduled("Algebra", start, None, None))
    async with player(node) as one:
        await one.join()
        node.pass_time(5 * 60 + 1)
        turned = await one.hear("room")
        assert (turned["state"], turned["at"]) == ("live", start - 15 * MINUTE)


async def test_at_the_end_streams_close_and_the_socket_stays(node):
    async with player(node) as one, player(node, "boss", role="staff") as boss:
        await boss.join(observe=True)
        room, content = await one.join(), await one.watch()
        ended = node.now
        await node.happens("r1", Finished(ended, "rest"))
        turned = await one.hear("room")
        assert (turned["state"], turned["room"]) == ("ended", "r1")
        await boss.hear("room", state="ended")
        await one.beat(room["stream"], 1)
        await one.refused("unknown_stream", stream=room["stream"])
        await one.beat(content["stream"], 1)
        await one.hear("ack", stream=content["stream"])
        assert (await one.ask("join", room="r1"))["code"] == "room_ended"
        assert not node.hub._seers
        assert [frame for frame in [*one.passed, *await one.rest()] if frame["type"] == "bye"] == []


async def test_two_streams_in_one_room_are_told_once(node):
    async with player(node) as one:
        await one.join("r1")
        await one.join("r1", metadata={})
        await node.happens("r1", Finished(node.now, "rest"))
        frames = [*one.passed, *await one.rest()]
        assert len([frame for frame in frames if frame["type"] == "room"]) == 1


async def test_a_restarted_class_is_the_same_room(node):
    async with player(node) as one:
        first = await one.join()
        await node.happens("r1", Finished(node.now, "rest"))
        await one.hear("room", state="ended")
        await node.happens("r1", Started(node.now, "rest"))
        again = await one.join(session_id=first["session_id"])
        assert (again["room"]["state"], again["session_id"], again["resumed"]) == ("live", first["session_id"], True)
        assert again["room"]["started_at"] == first["room"]["started_at"]


async def test_an_observer_is_told_that_a_class_was_cancelled(node):
    async with player(node, "boss", role="staff") as boss:
        await boss.join(observe=True)
        await node.happens("r1", Cancelled(node.now))
        assert (await boss.hear("room"))["state"] == "cancelled"
        assert not node.hub._seers


# -- participation ----------------------------------------------------------------------------------------------------

KINDS = ["poll_response", "quiz_response", "doubt", "comment", "reaction", "hand_raise"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", BOTH)
async def test_participation_is_answered_once_it_is_durable(node, codec, kind):
    async with player(node, codec=codec) as one:
        stream = (await one.join())["stream"]
        await one.hear("presence")
        node.memory.faults.stalled = True
        await one.say("interact", ref="i", stream=stream, kind=kind, id=5, value={"answer": ["ক", 1.5, None]})
        await until(lambda: node.memory.faults.waiting)
        assert await one.rest() == []
        node.memory.faults.stalled = False
        assert await one.next() == {"type": "done", "ref": "i"}
        (row,) = (await node.room("r1")).room.state.unwritten
        stored = "doubt_asked" if kind == "doubt" else kind  # as the events of other systems call it
        assert (row.user_id, row.kind, row.id) == ("27", stored, "5")
        assert msgspec.json.decode(row.value) == {"answer": ["ক", 1.5, None]}


async def test_participation_without_a_room_is_refused(node):
    async with player(node) as one:
        stream = (await one.watch())["stream"]
        assert (await one.ask("interact", stream=stream, kind="doubt"))["code"] == "bad_message"
        assert (await one.ask("interact", stream=99, kind="doubt"))["code"] == "unknown_stream"
        assert (await one.ask("interact", stream=stream, kind="dance"))["code"] == "bad_message"
        refused = await one.ask("interact", stream=stream, kind="doubt", value="x" * 2000)
        assert refused["code"] == "bad_message"
        assert "value" in refused["message"]
