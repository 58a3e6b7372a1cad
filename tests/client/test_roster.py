"""Who is in a room: whatever the order of pages and diffs, the roster is the room, or knows that it is not."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.client import (
    Backoff,
    Closed,
    CountChanged,
    Counters,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Presence,
    RoomStream,
    RoomTarget,
)
from protocol.client.context import Context
from protocol.client.kept import Kept
from protocol.client.requests import Requests
from protocol.client.roster import DIFFS_HELD, Attendee, OutOfStep, Roster, difference
from protocol.client.tokens import Tokens
from protocol.client_frames import After
from protocol.codec import JSON
from protocol.server_frames import Change, Member, MembersPage, PresenceDiff
from tests.machines import profiles  # noqa: F401 - how hard the properties look


def member(user_id: str, at: int = 1) -> Member:
    return Member(user_id, None, "learner", [], [], at, late=False, telephone=False)


def page(*users: str, seq: int = 5, epoch: int = 1, following: str | None = None, count: int | None = None) -> Any:
    members = [member(user) for user in users]
    return MembersPage("q", "r", epoch, seq, len(users) if count is None else count, members, following)


def diff(seq: int, joins: str = "", leaves: str = "", updates: str = "", **fields: Any) -> PresenceDiff:
    come, gone, changed = ([Change(user, seq * 10) for user in users] for users in (joins, leaves, updates))
    settings: dict[str, Any] = {"epoch": 1, "count": 0, "truncated": False} | fields
    return PresenceDiff("r", settings["epoch"], seq, settings["count"], come, gone, changed, settings["truncated"])


def in_step(*users: str) -> Roster:
    roster = Roster()
    roster.collect()
    roster.page(page(*users))
    return roster


def test_a_page_and_the_diffs_behind_it_are_the_room():
    roster = Roster()
    roster.collect()
    _, events = roster.page(page("a", "b"))
    assert [type(one) for one in events] == [MemberJoined, MemberJoined]
    assert roster.diff(diff(6, joins="c", leaves="a")) == [
        MemberLeft(Attendee("a", 1, role="learner"), 60),
        MemberJoined(Attendee("c", 60)),
    ]
    assert [type(one) for one in roster.diff(diff(7, updates="b"))] == [MemberUpdated]
    assert sorted(roster.members) == ["b", "c"]
    assert roster.after == After(1, 7)


def test_a_gap_or_a_higher_epoch_asks_for_the_pages_again():
    with pytest.raises(OutOfStep):
        in_step().diff(diff(7))
    with pytest.raises(OutOfStep):
        in_step().diff(diff(1, epoch=2))


def test_a_zombies_diff_and_a_repeat_change_nothing():
    roster = in_step("a")
    assert roster.diff(diff(9, leaves="a", epoch=0)) == []
    assert roster.diff(diff(5, leaves="a")) == []
    assert list(roster.members) == ["a"]


def test_pages_of_two_epochs_are_no_room():
    roster = Roster()
    roster.collect()
    roster.page(page("a", following="a"))
    with pytest.raises(OutOfStep):
        roster.page(page("b", epoch=2))


def test_after_a_gap_only_what_has_changed_is_told():
    roster = in_step("a", "b")
    roster.collect()
    _, events = roster.page(page("b", "c", seq=9))
    assert [(type(one).__name__, one.member.user_id) for one in events if not isinstance(one, CountChanged)] == [
        ("MemberLeft", "a"),
        ("MemberJoined", "c"),
    ]


def test_diffs_that_a_later_page_knew_already_are_not_told_again():
    roster = Roster()
    roster.collect()
    roster.page(page("a", seq=5, following="a"))
    _, events = roster.page(page("x", seq=7))
    assert len(events) == 2
    assert roster.diff(diff(6, leaves="x")) == []
    assert roster.diff(diff(7, joins="x")) == []
    assert len(roster.diff(diff(8, leaves="x"))) == 1


def test_a_gap_among_the_diffs_held_keeps_what_was_known():
    roster = in_step("a")
    roster.collect()
    roster.diff(diff(8))
    with pytest.raises(OutOfStep):
        roster.page(page("b", seq=6))
    assert list(roster.members) == ["a"]


def test_more_diffs_than_are_held_while_pages_come_begin_them_anew():
    roster = Roster()
    roster.collect()
    for seq in range(DIFFS_HELD):
        roster.diff(diff(seq))
    with pytest.raises(OutOfStep):
        roster.diff(diff(DIFFS_HELD))


def test_a_room_that_grows_too_large_to_be_listed_is_counted_and_listed_again_when_it_has_shrunk():
    roster = in_step("a", "b")
    assert roster.diff(diff(6, count=600, truncated=True)) == [CountChanged(600)]
    assert (roster.listed, roster.members, roster.count) == (False, {}, 600)
    assert roster.diff(diff(9, count=601, truncated=True)) == [CountChanged(601)]
    with pytest.raises(OutOfStep):
        roster.diff(diff(10, count=499))


def test_a_room_above_the_rosters_own_bound_is_counted():
    roster = Roster(most=2)
    roster.collect()
    cursor, events = roster.page(page("a", "b", following="b", count=3))
    assert (cursor, events, roster.listed) == (None, [CountChanged(3)], False)
    assert roster.diff(diff(6, joins="d", count=4)) == [CountChanged(4)]
    assert roster.members == {}


@given(st.data())
def test_any_history_read_in_any_slices_is_the_room(data):
    """The room is a set per diff; pages are cut of it at any moment, their answers come late, diffs in order."""
    users = "abcdef"
    rooms: list[set[str]] = [set(data.draw(st.sets(st.sampled_from(users))))]
    diffs: list[PresenceDiff] = []
    for seq in range(1, data.draw(st.integers(0, 8)) + 1):
        now = rooms[-1]
        flips = data.draw(st.sets(st.sampled_from(users), max_size=3))
        diffs.append(diff(seq, joins="".join(flips - now), leaves="".join(flips & now)))
        rooms.append(now ^ flips)
    roster = Roster()
    roster.collect()
    heard, taken, cursor, done = 0, 0, "", False
    while not done:
        taken = data.draw(st.integers(max(taken, heard), len(diffs)))  # a page may be newer than the diffs heard
        rest = sorted(user for user in rooms[taken] if user > cursor)
        cut = rest[:3]
        following = cut[-1] if len(rest) > 3 else None
        for _ in range(data.draw(st.integers(0, taken - heard))):
            roster.diff(diffs[heard])
            heard += 1
        next_cursor, _ = roster.page(page(*cut, seq=taken, following=following))
        cursor, done = next_cursor or "", next_cursor is None
    for one in diffs[heard:]:
        roster.diff(one)
    assert set(roster.members) == rooms[-1]


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_whoever_is_told_the_difference_knows_the_room(before, after):
    known = {user: Attendee(user, 1) for user in before}
    wanted = {user: Attendee(user, 2 if user in "abc" else 1) for user in after}
    for event in difference(known, wanted):
        match event:
            case MemberLeft(gone):
                del known[gone.user_id]
            case MemberJoined(new) | MemberUpdated(new):
                known[new.user_id] = new
            case _:
                raise AssertionError(event)
    assert known == wanted


async def test_a_slow_reader_is_told_the_difference_instead_of_every_event():
    requests = Requests()
    context = Context(
        base_url="http://nowhere",
        tokens=Tokens("t"),
        codec=JSON,
        device_id="d",
        clock=lambda: 0,
        random=Random(1),
        backoff=Backoff(),
        counters=Counters(),
        listener=lambda _: None,
        requests=requests,
    )
    stream = RoomStream(1, RoomTarget("r"), context, Kept(10))
    presence = Presence(stream, "r", context, events_most=4)
    await asyncio.sleep(0)
    (asked,) = requests.due(stream, 0.0)
    requests.answered(asked.ref, page("a", "b"))
    assert await anext(presence) == MemberJoined(Attendee("a", 1, role="learner"))
    for seq in range(6, 16):
        presence.hear(diff(seq, joins="c", leaves="b") if seq % 2 else diff(seq, joins="b", leaves="c"))
    stream.fail(Closed("over"))
    assert [event async for event in presence] == [MemberJoined(Attendee("c", 150))]
