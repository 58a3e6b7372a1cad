"""What a checkpoint tells others is written with it: each closed segment once, each end of a class once, in order."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.machines.rows import GoneRow, Rows, SegmentRow
from actors.ports import Fence
from tests.support.examples import T0, attendance, checkpoint, end, presence, room, segment
from tests.support.stores import Node, PostgresStore

CATALOG = ("catalog_product_id", "catalog_sku_id", "program_id", "course_id", "platform")


async def owned(node: Node) -> Fence:
    return Fence("node-1", await node.leases.acquire("node-1", "node-1:1", [0], 60.0, force=True))


def in_class(number: int = 1, **changes: Any) -> SegmentRow:
    return segment("s1", number, room_id="15", kind=None, content_id=None, user_id="27", **changes)


async def saved(node: Node, *each: Rows) -> None:
    mine = await owned(node)
    for version, rows in enumerate(each, 1):
        await node.snapshots.save(mine, [checkpoint(rows, version=version)])


async def told(node: Node) -> list[tuple[str, str, Any]]:
    """(room, exchange, payload) of all that waits to be published, in its order."""
    waiting = await node.outbox.next(1_000, [])
    assert waiting is not None
    return [(each.room_id, each.exchange, msgspec.json.decode(each.body)["data"]["payload"]) for each in waiting]


async def test_a_segment_is_told_when_it_is_closed_and_once(node: Node):
    growing = in_class(open=True)
    closed = in_class(end_at=T0 + 61_000, end_position=61_020)

    await saved(node, Rows(segments=[growing]), Rows(segments=[closed]), Rows(segments=[closed]))

    [(room_id, exchange, payload)] = await told(node)
    assert (room_id, exchange) == ("15", "activity")
    assert payload == dict.fromkeys(CATALOG, "") | {
        "auth_user_id": 27,
        "identification_id": 15,
        "identification_type": "live_class",
        "media_type": "live_class",
        "media_id": 15,
        "playhead_start_at": 0.02,
        "playhead_end_at": 61.02,
        "duration": 61,
        "start_timestamp": "2025-11-24T16:00:00.000Z",
        "end_timestamp": "2025-11-24T16:01:01.000Z",
    }


async def test_segments_of_lessons_and_unverified_ones_are_nobodys_business(node: Node):
    await saved(node, Rows(segments=[segment("s2"), in_class(2, verified=False)]))

    assert await told(node) == []


async def test_an_end_is_told_in_both_forms_and_once(node: Node):
    ended = Rows(room=room("r1", state="ended"), end=end())

    await saved(node, ended, ended)

    full, short = await told(node)
    assert full[:2] == ("r1", "classes")
    assert full[2]["avg_watch_time"] == 1234
    assert full[2]["catalog_product_id"] == "p1"
    assert full[2]["duration"] == 3600
    assert short[:2] == ("r1", "liveclass")
    assert short[2].keys() == {"live_class_id", "platform", "start_at", "end_at", "duration", "is_required"}


async def test_a_class_that_its_owner_ended_is_told_in_short(node: Node):
    await saved(node, Rows(room=room("r1", state="ended"), end=end(full=False)))

    assert [exchange for _, exchange, _ in await told(node)] == ["liveclass"]


async def test_a_class_that_is_over_again_is_told_again(node: Node):
    first = Rows(room=room("r1", state="ended"), end=end(1))
    again = Rows(room=room("r1", state="ended"), end=end(2, end_at=T0 + 7_200_000))

    await saved(node, first, again, first)

    assert [payload["duration"] for _, _, payload in await told(node)] == [3600, 3600, 7200, 7200]


async def test_segments_come_before_the_end_that_closed_them_and_in_the_order_of_time(node: Node):
    late, early = in_class(2), in_class(1)
    ended = Rows(segments=[late, early], room=room("15", state="ended"), end=end(room_id="15"))

    await saved(node, ended)

    names = [payload.get("start_timestamp", "end") for _, _, payload in await told(node)]
    assert names == ["2025-11-24T16:00:00.000Z", "2025-11-24T16:00:01.000Z", "end", "end"]


async def test_an_identity_that_was_somebody_else_leaves_no_rows(node: Node):
    known = Rows(presences=[presence("u1"), presence("u2")], attendances=[attendance("u1"), attendance("u2")])

    await saved(node, known, Rows(gone=[GoneRow("r1", "u1")]))

    assert await node.reading.presences_of("r1", "u1") == []
    assert await node.reading.attendance_row("r1", "u1") is None
    assert await node.reading.presences_of("r1", "u2") == [presence("u2")]


async def test_what_is_gone_and_came_back_in_one_checkpoint_is_there(node: Node):
    await saved(node, Rows(attendances=[attendance("u1")], gone=[GoneRow("r1", "u1")]))

    assert await node.reading.attendance_row("r1", "u1") == attendance("u1")


async def test_the_totals_are_what_is_known_here_and_what_the_owner_said(postgres: PostgresStore):
    node = await postgres.node()
    connection = await postgres.connection()
    await connection.execute(
        "INSERT INTO classes (live_class_id, platform, catalog_product_id, is_required, total_comments, total_quiz) "
        "VALUES ('r1', 'k12', '7', false, 9, 1)"
    )
    await connection.execute(
        "INSERT INTO interactions (room_id, user_id, kind, id, at) VALUES "
        "('r1', 'u1', 'comment', 'c1', now()), ('r1', 'u1', 'doubt_asked', 'd1', now()), "
        "('r1', 'u2', 'poll_response', 'p1', now()), ('r1', '', 'poll_offered', 'p1', now()), "
        "('r1', '', 'poll_offered', 'p2', now()), ('r1', '', 'doubt_resolved', 'd1', now())"
    )
    await connection.execute(
        "INSERT INTO quiz_responses (user_id, quiz_id, identification_id, is_correct, answered_at) VALUES "
        "('u2', 'q1', 'r1', true, now()), ('u3', 'q2', 'r1', false, now())"
    )

    await saved(node, Rows(room=room("r1", state="ended"), end=end(product_id=None)))

    full = (await told(node))[0][2]
    totals = {name: value for name, value in full.items() if name.startswith("total_")}
    assert totals == {
        "total_comments": 9,
        "total_doubts": 1,
        "total_doubt_resolved": 1,
        "total_quiz": 2,
        "total_poll": 2,
        "total_participation": 3,
    }
    assert (full["platform"], full["catalog_product_id"], full["is_required"]) == ("k12", 7, False)
