"""App sessions and their messages, in memory and in PostgreSQL alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.machines.rows import RedoneRow, Rows, SessionRow
from actors.ports import WATCH, Fence, StoreRefused
from storage.memory_mobile import MemoryMobile
from storage.mobile import (
    LATE_MS,
    Allowed,
    AppSession,
    Brought,
    Change,
    MobileStore,
    PostgresMobile,
    Stored,
    Target,
)
from tests.support.examples import T0, checkpoint, segment
from tests.support.examples import session as watch_session
from tests.support.stores import MemoryStore, Node, PostgresStore, Store

SEC = 1000
SILENCE = 150 * SEC
PHONE = "0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a10"


class Kept:
    """A store, and what stands in its tables."""

    def __init__(self, mobile: MobileStore, store: Store) -> None:
        self.mobile = mobile
        self.store = store

    async def app(self, session_id: int = 1) -> dict[str, Any]:
        if isinstance(self.mobile, MemoryMobile):
            app = self.mobile.apps[session_id]
            return {
                "active_at": app.active_at,
                "newest_at": app.session.newest_at,
                "ended_at": app.ended_at,
                "user_label": app.session.user_label,
                "anonymous_label": app.anonymous_label,
                "undecodable": app.undecodable,
            }
        assert isinstance(self.store, PostgresStore)
        database = await self.store.database()
        async with database.connection() as connection:
            record = await connection.fetchrow(
                "SELECT active_at, newest_at, ended_at, user_label, anonymous_label, undecodable FROM mobile_sessions"
                " WHERE session_id = $1",
                session_id,
            )
        assert record is not None
        return dict(record)

    async def messages(self) -> list[tuple[int, bytes]]:
        if isinstance(self.mobile, MemoryMobile):
            return sorted((row.session_id, row.body) for row in self.mobile.messages.values())
        assert isinstance(self.store, PostgresStore)
        database = await self.store.database()
        async with database.connection() as connection:
            found = await connection.fetch("SELECT session_id, body FROM mobile_messages ORDER BY 1, 2")
        return [tuple(record) for record in found]

    async def watching(self) -> list[tuple[int, str]]:
        if isinstance(self.mobile, MemoryMobile):
            return sorted(each[:2] for each in self.mobile.watching)
        assert isinstance(self.store, PostgresStore)
        database = await self.store.database()
        async with database.connection() as connection:
            found = await connection.fetch(
                "SELECT session_id, watch_session_id FROM mobile_watch_sessions ORDER BY 1, 2"
            )
        return [tuple(record) for record in found]


@pytest.fixture
async def kept(store: Store) -> Kept:
    if isinstance(store, MemoryStore):
        return Kept(MemoryMobile(store.memory), store)
    assert isinstance(store, PostgresStore)
    return Kept(PostgresMobile(await store.database()), store)


def session(session_id: int = 1, started_at: int = T0, **more: Any) -> AppSession:
    known = AppSession(session_id, "app", PHONE, "ann", Allowed(), None, started_at, started_at, 40, Target())
    return msgspec.structs.replace(known, **more)


def row(body: bytes = b"body", *, session_id: int = 1, at: int = T0, undecodable: bool = False) -> Stored:
    return Stored(session_id, at, 100, body[:1] * 16, at, body, undecodable, "ann")


def brought(*rows: Stored, change: Change | None = None, received_at: int = T0, **more: Any) -> Brought:
    changes = [change or Change(1, 0, 0)]
    return msgspec.structs.replace(Brought(received_at, [], list(rows), changes, []), **more)


async def test_a_session_comes_back_as_it_began(kept: Kept):
    allowed = Allowed("staff", "Ann", ["r"], [("video", "1")])
    for number, target in enumerate([Target(), Target(room="r"), Target(content=("video", "1"))]):
        begun = session(number, allowed=allowed, target=target, offset=-5)
        assert await kept.mobile.start(begun, T0, b'{"model":"x"}')
        assert await kept.mobile.session(number) == begun
    assert await kept.mobile.session(7) is None


async def test_an_id_is_given_once(kept: Kept):
    assert await kept.mobile.start(session(), T0, b"{}")
    assert not await kept.mobile.start(session(user_id="bob"), T0, b"{}")
    found = await kept.mobile.session(1)
    assert found is not None
    assert found.user_id == "ann"


async def test_a_session_that_cannot_be_text_is_refused(kept: Kept):
    with pytest.raises(StoreRefused):
        await kept.mobile.start(session(user_uuid="a\0b"), T0, b"{}")


async def test_a_message_is_kept_once_however_often_it_comes(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    first = brought(row(b"a"), row(b"b"), row(b"a"))
    assert await kept.mobile.write([first]) == [2]
    assert await kept.mobile.write([first, brought(row(b"c"), row(b"b"))]) == [1, 1]
    assert await kept.messages() == [(1, b"a"), (1, b"b"), (1, b"c")]


async def test_what_does_not_decode_is_counted_once(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    for _ in range(2):
        await kept.mobile.write([brought(row(b"a", undecodable=True), row(b"b"))])
    assert (await kept.app())["undecodable"] == 1


async def test_a_session_that_is_gone_takes_nothing_and_the_others_do(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    gone = brought(row(session_id=2), change=Change(2, T0, T0), watching=[(2, "w", "ann")])
    await kept.mobile.write([gone, brought(row(b"a"), watching=[(1, "w", "ann")])])
    assert await kept.messages() == [(1, b"a")]
    assert await kept.watching() == [(1, "w")]


async def test_a_session_goes_on_with_its_activity_and_never_back(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    await kept.mobile.write([brought(change=Change(1, T0 + 9, T0 + 20, "ann", "x"))])
    await kept.mobile.write([brought(change=Change(1, T0 + 3, T0 + 4))])
    app = await kept.app()
    assert (app["active_at"], app["newest_at"], app["ended_at"]) == (T0 + 9, T0 + 20, None)
    assert (app["user_label"], app["anonymous_label"]) == ("ann", "x")


async def test_how_long_a_start_was_under_way_is_known_ever_better_and_never_less(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    await kept.mobile.write([brought(change=Change(1, 0, 0, lag=700)), brought(change=Change(1, 0, 0, lag=300))])
    await kept.mobile.write([brought(change=Change(1, 0, 0, lag=500), begun=[session(2, lag=700)])])
    for session_id in (1, 2):
        found = await kept.mobile.session(session_id)
        assert found is not None
        assert found.lag == 700
    assert [one.lag for one in await kept.mobile.before("app", PHONE, T0)] == [700, 700]


async def test_batches_of_one_moment_are_one_change(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    first, second = Change(1, T0 + 9, T0 + 9, "ann"), Change(1, T0 + 5, T0 + 30, "bob", closing=True)
    await kept.mobile.write([brought(change=first), brought(change=second)])
    app = await kept.app()
    assert (app["active_at"], app["newest_at"], app["ended_at"], app["user_label"]) == (T0 + 9, T0 + 30, T0 + 9, "bob")


async def test_a_stream_150_s_behind_its_last_activity_ends_it(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    await kept.mobile.write([brought(change=Change(1, 0, T0 + SILENCE))])
    assert (await kept.app())["ended_at"] is None
    await kept.mobile.write([brought(change=Change(1, 0, T0 + SILENCE + 1))])
    assert (await kept.app())["ended_at"] == T0


async def test_activity_brings_a_silent_session_back_and_its_end_moves_on(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    assert await kept.mobile.end_silent(T0 + 1) == 1
    assert (await kept.app())["ended_at"] == T0
    await kept.mobile.write([brought(change=Change(1, T0 + 5, T0 + 5), received_at=T0 + 200 * SEC)])
    assert (await kept.app())["ended_at"] is None
    assert await kept.mobile.end_silent(T0 + 200 * SEC) == 0
    assert await kept.mobile.end_silent(T0 + 200 * SEC + 1) == 1
    assert (await kept.app())["ended_at"] == T0 + 5


async def test_messages_without_activity_bring_no_session_back(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    assert await kept.mobile.end_silent(T0 + 1) == 1
    await kept.mobile.write([brought(change=Change(1, 0, T0 + 5), received_at=T0 + 200 * SEC)])
    assert (await kept.app())["ended_at"] == T0


async def test_a_session_that_said_so_stays_over_and_its_end_only_grows(kept: Kept):
    await kept.mobile.start(session(), T0, b"{}")
    await kept.mobile.write([brought(change=Change(1, T0 + 5, T0 + 9, closing=True))])
    assert (await kept.app())["ended_at"] == T0 + 5
    await kept.mobile.write([brought(change=Change(1, T0 + 8, T0 + 8))])
    assert (await kept.app())["ended_at"] == T0 + 8


async def test_sessions_of_a_device_are_found_by_time(kept: Kept):
    for number, at in enumerate([T0 - LATE_MS - 1, T0 - 20, T0 - 10, T0, T0 + 1]):
        await kept.mobile.start(session(number, at), at, b"{}")
    await kept.mobile.start(session(20, T0, user_uuid="other"), T0, b"{}")
    await kept.mobile.start(session(21, T0, project="other"), T0, b"{}")
    found = await kept.mobile.before("app", PHONE, T0)
    assert [each.session_id for each in found] == [3, 2, 1]


async def test_late_data_makes_its_session_with_its_messages(kept: Kept):
    late = session(5, T0 - 50, target=Target(room="r"))
    own = brought(row(session_id=5), change=Change(5, T0 - 40, T0 - 30), begun=[late])
    for _ in range(2):
        await kept.mobile.write([own])
    assert await kept.mobile.session(5) == msgspec.structs.replace(late, newest_at=T0 - 30)
    assert (await kept.app(5))["active_at"] == T0 - 40
    assert await kept.messages() == [(5, b"body")]


# -- watch sessions ---------------------------------------------------------------------------------------------------


async def written(store: Store, *rows: Rows) -> Node:
    """Checkpoints of one watch session, one after the other."""
    node = await store.node()
    leases = await node.leases.acquire("node-1", "a", [0], 60.0, force=True)
    for version, each in enumerate(rows, 1):
        await node.snapshots.save(Fence("node-1", leases), [checkpoint(each, key="s1", version=version, kind=WATCH)])
    return node


async def test_segments_that_were_worked_out_anew_replace_the_others_from_their_number_on(store: Store):
    first = [segment(number=number) for number in (1, 2, 3, 4)]
    others = [segment("s2"), segment(number=1)]
    again = [segment(number=2, start_at=T0 + 900), first[2]]
    node = await written(
        store,
        Rows(sessions=[watch_session(), watch_session("s2")], segments=[*first, others[0]]),
        Rows(sessions=[watch_session()], segments=again, redone=[RedoneRow("s1", "u1", 2, 1)]),
    )
    for session_id, expected in (("s1", [first[0], *again]), ("s2", [others[0]])):
        found = await node.sessions.session_with_segments(session_id)
        assert found is not None
        assert [(row.segment.number, row.segment.start_at) for row in found.segments] == [
            (row.segment.number, row.segment.start_at) for row in expected
        ]


async def test_nothing_may_be_left_of_what_was_worked_out_anew(store: Store):
    redone = Rows(sessions=[watch_session()], redone=[RedoneRow("s1", "u1", 1, 1)])
    node = await written(store, Rows(sessions=[watch_session()], segments=[segment()]), redone)
    found = await node.sessions.session_with_segments("s1")
    assert found is not None
    assert found.segments == []


async def test_watch_sessions_of_the_mobile_door_are_found_by_their_time(kept: Kept):
    def mobile(session_id: str, at: int, **more: Any) -> SessionRow:
        given = {"door": "mobile", "device_id": PHONE, "started_at": at, "last_sample_at": at + 100} | more
        return watch_session(session_id, **given)

    room = {"room_id": "r", "kind": None, "content_id": None}
    rows = [
        mobile("a", T0),
        mobile("b", T0 + 1000),
        mobile("c", T0 + 1000, **room),
        mobile("d", T0, door="http"),
        mobile("e", T0, device_id="other"),
        mobile("f", T0, user_id="u2"),
        mobile("g", T0, content_id="other"),
        mobile("h", T0 + 500, last_sample_at=None),
    ]
    await written(kept.store, Rows(sessions=rows))
    content, live = Target(content=("video", "c1")), Target(room="r")
    for target, start, end, expected in (
        (content, T0 + 50, T0 + 60, "a"),
        (content, T0 + 100, T0 + 1000, "ahb"),
        (content, T0 + 101, T0 + 499, ""),
        (live, T0, T0 + 5000, "c"),
    ):
        found = await kept.mobile.watched("u1", PHONE, target, start, end)
        assert "".join(each.session_id for each in found) == expected
