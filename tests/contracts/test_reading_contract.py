"""What is asked of the store: sessions, rooms, ratings; and what is set aside in it."""

from __future__ import annotations

import pytest

from actors.machines.rows import RoomRow, Rows
from actors.ports import ROOM, WATCH, Checkpoint, Fence, Quarantined, StoredSession, StoreRefused
from storage.reading import Rating
from tests.support.examples import NAME, T0, entry, presence, room, segment, session, snapshot
from tests.support.stores import QUARANTINE_KEPT, Node, Store


async def put(node: Node, *rows: Rows) -> None:
    mine = Fence("node-1", await node.leases.acquire("node-1", "a", [0], 60, force=True))
    await node.snapshots.save(mine, [Checkpoint(snapshot(f"a{place}"), each) for place, each in enumerate(rows)])


# -- sessions -----------------------------------------------------------------------------------------------------


async def test_a_session_comes_with_its_segments_by_number(node: Node):
    segments = [segment(number=number, open=number == 12) for number in (3, 1, 12, 2)]
    await put(node, Rows(sessions=[session(), session("s2")], segments=[*segments, segment("s2")]))

    found = await node.sessions.session_with_segments("s1")

    assert found == StoredSession(session(), sorted(segments, key=lambda each: each.segment.number))


async def test_a_session_without_samples_has_no_segments(node: Node):
    fresh = session(last_sample_at=None, last_seq=0, first_seq_at=None)
    await put(node, Rows(sessions=[fresh]))

    assert await node.sessions.session_with_segments("s1") == StoredSession(fresh, [])


async def test_an_unknown_session_is_none(node: Node):
    assert await node.sessions.session("s1") is None
    assert await node.sessions.session_with_segments("s1") is None


async def test_the_open_http_session_is_the_latest_of_its_key(node: Node):
    latest = session("s2", started_at=T0 + 2)
    others = [
        session("s1", started_at=T0 + 1),
        session("s3", started_at=T0 + 3, ended_at=T0 + 4),
        session("s4", started_at=T0 + 4, door="websocket"),
        session("s5", started_at=T0 + 5, device_id="d2"),
        session("s6", started_at=T0 + 6, user_id="u2"),
        session("s7", started_at=T0 + 7, content_id="c2"),
        session("s8", started_at=T0 + 8, kind="audio"),
    ]
    await put(node, Rows(sessions=[*others, latest]))

    assert await node.sessions.open_session("u1", "video", "c1", "d1") == latest
    assert await node.sessions.open_session("u3", "video", "c1", "d1") is None


# -- rooms --------------------------------------------------------------------------------------------------------


async def test_rooms_come_by_pages_in_the_order_of_ids(node: Node):
    ids = ["10", "9", "B", "a", "ক", "ঘ"]  # by code points, not by a dictionary's rules
    rooms = {key: room(key) for key in ids}
    await put(node, *(Rows(room=each) for each in reversed(rooms.values())))
    found: list[RoomRow] = []
    after = None

    while page := await node.reading.rooms_page(None, after, 4):
        found += page
        after = page[-1].room_id

    assert found == list(rooms.values())


async def test_a_page_of_rooms_may_be_of_one_state(node: Node):
    rooms = [room(f"r{number}", state="live" if number % 2 else "ended") for number in range(6)]
    await put(node, *(Rows(room=each) for each in rooms))

    assert await node.reading.rooms_page("live", None, 2) == [rooms[1], rooms[3]]
    assert await node.reading.rooms_page("live", "r3", 2) == [rooms[5]]
    assert await node.reading.rooms_page("cancelled", None, 2) == []


async def test_what_a_learner_watched_in_a_class_comes_in_the_order_of_time(node: Node):
    inside = {"room_id": "r1", "kind": None, "content_id": None}
    segments = [
        segment("s2", 1, start_at=T0, end_at=T0 + 9, **inside),
        segment("s1", 1, start_at=T0 + 5, end_at=T0 + 9, **inside),
        segment("s1", 2, start_at=T0 + 6, end_at=T0 + 9, **inside),
    ]
    others = [segment("s3", 1, **{**inside, "room_id": "r2"}), segment("s4", 1, user_id="u2", **inside)]
    await put(node, Rows(segments=[*reversed(segments), *others]))

    assert await node.reading.segments_of("r1", "u1") == segments


async def test_presences_of_a_learner_come_by_number(node: Node):
    presences = [presence(number=number, joined_at=T0 - number) for number in (1, 2, 10)]
    await put(node, Rows(presences=[*reversed(presences), presence("u2")]))

    assert await node.reading.presences_of("r1", "u1") == presences
    assert await node.reading.presences_of("r2", "u1") == []


async def test_unknown_rooms_and_figures_are_none(node: Node):
    assert await node.reading.room("r1") is None
    assert await node.reading.attendance_row("r1", "u1") is None


# -- ratings and contents -----------------------------------------------------------------------------------------


async def test_rating_twice_replaces(node: Node):
    last = Rating("r1", "u1", 5, NAME, T0 + 1)
    for rating in (Rating("r1", "u1", 1, None, T0), Rating("r1", "u2", 2, None, T0), last):
        await node.reading.rate(rating)

    assert await node.reading.rating("r1", "u1") == last
    assert await node.reading.rating("r1", "u2") == Rating("r1", "u2", 2, None, T0)
    assert await node.reading.rating("r2", "u1") is None


@pytest.mark.parametrize("stars", [0, 6])
async def test_there_are_one_to_five_stars(node: Node, stars: int):
    with pytest.raises(StoreRefused):
        await node.reading.rate(Rating("r1", "u1", stars, None, T0))


# -- quarantine ---------------------------------------------------------------------------------------------------


async def test_the_newest_are_kept_in_quarantine(store: Store, node: Node):
    keys = [f"k{number}" for number in range(QUARANTINE_KEPT + 3)]

    for key in keys:
        await node.quarantine.put(Quarantined(WATCH, key, T0, entry().event, "ValueError: কেন"))

    assert await store.quarantined() == keys[3:]


async def test_a_reason_may_hold_anything(store: Store, node: Node):
    await node.quarantine.put(Quarantined(ROOM, "r1", T0, entry().event, "nul \0, lone \ud800"))

    assert await store.quarantined() == ["r1"]
