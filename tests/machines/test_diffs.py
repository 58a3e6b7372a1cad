"""Presence as viewers are told it (realtime.md, "presence" and reading 1)."""

from __future__ import annotations

from actors.machines.diffs import Announced, DiffLog
from actors.machines.effects import DiffDue
from tests.machines.builders import SEC, T0, Lesson


def somebody(user: str, at: int = 0, metadata: bytes | None = None) -> Announced:
    return Announced(user, None, "learner", metadata, at)


def told(log: DiffLog, now: int = 0) -> tuple[list[str], list[str], list[str]]:
    diff = log.cut(now)
    return tuple([line.user_id for line in lines] for lines in (diff.joins, diff.leaves, diff.updates))  # type: ignore[return-value]


def test_the_first_diff_is_due_at_once_and_the_next_a_second_later():
    lesson = Lesson()
    lesson.joins("u1", 0)
    assert DiffDue() in lesson.time_passes(0)
    lesson.joins("u2", 1)

    assert lesson.time_passes(SEC - 1) == []
    assert DiffDue() in lesson.time_passes(SEC)


def test_who_came_and_went_within_the_second_is_not_told():
    log = DiffLog()
    log.join(somebody("u1"))
    log.leave("u1", 5)
    assert log.deadline() is None


def test_who_went_and_came_within_the_second_never_left():
    log = DiffLog()
    log.join(somebody("u1"))
    log.cut(0)
    log.leave("u1", 5)
    log.join(somebody("u1", 6))

    assert told(log) == ([], [], ["u1"])
    assert list(log.announced) == ["u1"]


def test_changed_metadata_is_an_update_and_no_leave():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.time_passes(SEC)
    lesson.describes("u1/1", b'{"hand":true}', 2 * SEC)
    lesson.time_passes(3 * SEC)

    [diff] = lesson.room.diffs.since(1) or []
    assert (diff.joins, diff.leaves, [line.metadata for line in diff.updates]) == ([], [], [b'{"hand":true}'])


def test_metadata_changed_before_the_join_was_told_are_part_of_it():
    log = DiffLog()
    log.join(somebody("u1"))
    log.update(somebody("u1", metadata=b"1"))
    diff = log.cut(0)

    assert ([line.metadata for line in diff.joins], diff.updates) == ([b"1"], [])


def test_a_page_is_the_state_at_seq_and_not_later():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.time_passes(SEC)
    lesson.joins("u2", SEC + 1)

    members, _ = lesson.room.diffs.page(None)
    assert [member.user_id for member in members] == ["u1"]
    assert lesson.room.diffs.seq == 1


def test_pages_hold_a_hundred_in_order_and_tell_where_they_go_on():
    log = DiffLog()
    for number in reversed(range(250)):
        log.join(somebody(f"u{number:03}"))
    log.cut(0)
    sizes, cursor, seen = [], None, []
    while True:
        members, cursor = log.page(cursor)
        sizes.append(len(members))
        seen += [member.user_id for member in members]
        if cursor is None:
            break

    assert sizes == [100, 100, 50]
    assert seen == sorted(seen)


def test_exactly_a_hundred_are_one_page():
    log = DiffLog()
    for number in range(100):
        log.join(somebody(f"u{number}"))
    log.cut(0)
    assert log.page(None)[1] is None


def test_three_hundred_diffs_are_kept():
    log = DiffLog()
    for number in range(310):
        log.join(somebody(f"u{number}"))
        log.cut(number)

    assert log.since(9) is None
    assert [diff.seq for diff in log.since(10) or []] == list(range(11, 311))


def test_the_newest_has_nothing_behind_it_and_the_future_is_unknown():
    log = DiffLog()
    log.join(somebody("u1"))
    log.cut(0)

    assert log.since(1) == []
    assert log.since(2) is None


def test_a_leave_is_told_with_its_evidence():
    lesson = Lesson()
    lesson.joins("u1", 0)
    lesson.time_passes(SEC)
    lesson.drops("u1/1", 10 * SEC, evidence=7 * SEC)
    lesson.time_passes(60 * SEC)

    [diff] = lesson.room.diffs.since(1) or []
    assert [(line.user_id, line.at - T0) for line in diff.leaves] == [("u1", 7 * SEC)]
    assert diff.count == 0
