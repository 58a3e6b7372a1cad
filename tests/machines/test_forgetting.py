"""A learner who is forgotten: nothing in the room's state says anything of them, and the others notice a leave."""

from __future__ import annotations

import msgspec
import pytest

from actors import snapshots
from actors.machines.effects import JOURNAL, SessionEnded
from actors.machines.events import (
    Analysed,
    Forgotten,
    Interacted,
    Joined,
    Left,
    Opened,
    ParticipantJoined,
    Sampled,
    SessionTold,
    TrackTold,
    UserFigures,
)
from actors.machines.forgetting import mentions
from actors.machines.room import Room
from actors.machines.state import RoomRules, RoomState
from actors.machines.track import Sample
from actors.machines.watch import WatchRules, WatchSession

T0 = 1_700_000_000_000
MINUTE = 60_000


def room_with(*users: str) -> Room:
    room = Room("r", RoomState(), RoomRules())
    for number, user in enumerate(users):
        room.step(Joined(user, "learner", user.upper(), f"s{number}", None, "phone", None, 10_000), T0 + number)
    return room


def says(room: Room, user: str) -> bool:
    return user.encode() in snapshots.encode(room.snapshot())


def test_the_member_the_sessions_and_the_presence_go():
    room = room_with("ann", "bob")
    effects = room.step(Forgotten("ann"), T0 + MINUTE)

    assert effects[0] is JOURNAL
    assert SessionEnded("s0") in effects
    assert not says(room, "ann")
    assert (room.present, set(room.state.members), set(room.state.sessions)) == (1, {"bob"}, {"s1"})
    assert [row.user_id for row in room.rows().attendances] == ["bob"]


def test_viewers_are_told_of_a_leave():
    room = room_with("ann", "bob")
    room.step(Forgotten("nobody"), T0 + 2_000)
    room.diffs.cut(T0 + 2_000)
    room.step(Forgotten("ann"), T0 + 5_000)
    diff = room.diffs.cut(T0 + 6_000)

    assert [line.user_id for line in diff.leaves] == ["ann"]
    assert diff.count == 1


def test_what_the_conference_server_told_goes_with_its_identities():
    room = room_with("bob")
    room.step(SessionTold("S", "started", T0), T0)
    room.step(ParticipantJoined("S", "P1", "ann", T0, T0), T0 + 1)
    room.step(ParticipantJoined("S", "P2", "ann-native", T0, T0), T0 + 2)
    room.step(TrackTold("S", "P1", "ann", "T1", "camera", published=True, at=T0 + 3), T0 + 3)
    room.step(Analysed("A", [UserFigures("guest-7", "ann", 1000, 1, 1)]), T0 + 4)
    assert mentions(room.state, "ann")

    room.step(Forgotten("ann"), T0 + MINUTE)

    assert not mentions(room.state, "ann")
    assert not says(room, "ann")
    assert room.state.conference.tracks == {}


def test_what_waits_to_be_written_goes_when_it_is_asked_again_after_a_checkpoint():
    room = room_with("ann")
    room.step(Interacted("s0", "comment", "c", b'"hi"'), T0 + 1)
    rows = room.rows()
    room.step(Forgotten("ann"), T0 + 2)
    room.step(Joined("bob", "learner", None, "s9", None, "", None, 10_000), T0 + 3)
    room.step(Interacted("s9", "comment", "d", b'"ho"'), T0 + 4)
    room.written(rows)

    # The checkpoint under way took the first row and nothing of bob's.
    assert [row.user_id for row in room.state.unwritten] == ["bob"]
    room.step(Forgotten("ann"), T0 + 5)
    assert not says(room, "ann")


def test_a_room_that_knows_nothing_of_them_stays_as_it_was():
    room = room_with("bob")
    before = snapshots.encode(room.snapshot())
    room.step(Forgotten("ann"), T0 + 1)
    assert snapshots.encode(room.snapshot()) == before


@pytest.mark.parametrize("further", [Left(), Sampled(T0, [Sample(1, T0, 0, 0)], 0), Forgotten("ann")])
def test_a_watch_session_is_as_if_it_never_had_been(further: Left | Sampled | Forgotten):
    watch = WatchSession("w", None, WatchRules())
    watch.step(Opened("ann", "lms_lesson", "9", "phone", "http", 10_000), T0)
    assert watch.step(Forgotten("ann"), T0 + 1)[0] is JOURNAL

    watch.step(further, T0 + 2)

    assert watch.snapshot() is None
    assert msgspec.structs.asdict(watch.rows())["sessions"] == []


def test_the_session_of_another_is_not_forgotten():
    watch = WatchSession("w", None, WatchRules())
    watch.step(Opened("bob", "lms_lesson", "9", "phone", "http", 10_000), T0)
    assert watch.step(Forgotten("ann"), T0 + 1) == []
    assert watch.snapshot() is not None
