"""Memory and store as one, whatever a checkpoint did in between."""

from __future__ import annotations

from actors.machines.rows import SegmentRow, SessionRow
from actors.machines.track import Segment
from server.http.merging import Known, answer, of_class, segments


def segment(number: int, start: int, end: int, *, verified: bool = True) -> Segment:
    """Played at normal rate, the playhead as the clock."""
    return Segment(number, start, end, start, end, float(end - start), end - start, 1.0, verified)


def row(session_id: str = "s1", duration: int | None = 100_000) -> SessionRow:
    return SessionRow(
        session_id, "u1", "lesson", "7", None, "", "http", 0, None, 0, 1, 0, 0, duration, 0, 0, 0, 0.0, completed=False
    )


def stored(session_id: str, one: Segment) -> SegmentRow:
    return SegmentRow(session_id, "u1", None, None, "r1", one, open=False)


def test_memory_wins_over_an_older_checkpoint() -> None:
    known = Known(row(), [segment(2, 20, 35)], newest=2)

    assert segments(known, [segment(1, 0, 10), segment(2, 20, 30)]) == [segment(1, 0, 10), segment(2, 20, 35)]


def test_what_was_written_since_memory_was_read_is_of_another_moment() -> None:
    known = Known(row(), [segment(2, 20, 30)], newest=2)
    newer = [segment(1, 0, 10), segment(2, 20, 40), segment(3, 50, 60)]

    assert segments(known, newer) == [segment(1, 0, 10), segment(2, 20, 30)]


def test_what_memory_has_forgotten_comes_from_the_store() -> None:
    known = Known(row(), [], newest=2)

    assert segments(known, [segment(2, 20, 30), segment(1, 0, 10)]) == [segment(1, 0, 10), segment(2, 20, 30)]
    assert segments(None, [segment(1, 0, 10)]) == [segment(1, 0, 10)]


def test_segments_of_several_sessions_stand_in_the_order_of_time() -> None:
    known = [Known(row("s2"), [segment(1, 15, 25)], newest=1)]
    those = [stored("s1", segment(1, 10, 20)), stored("s1", segment(2, 30, 40)), stored("s2", segment(9, 0, 5))]

    assert of_class(known, those) == [segment(1, 10, 20), segment(1, 15, 25), segment(2, 30, 40)]


def test_covered_is_the_union_within_the_length() -> None:
    merged = [segment(1, 0, 60_000), segment(2, 40_000, 80_000), segment(3, 90_000, 130_000)]
    told = answer(row(), [*merged, segment(4, 0, 100_000, verified=False)], 0.9)

    assert (told.content_seconds, told.covered_seconds, told.coverage, told.completed) == (140, 90, 0.9, True)
    assert answer(row(duration=None), merged, 0.9).covered_seconds == 120
    assert not answer(row(duration=None), merged, 0.9).completed


def test_coverage_is_floored_and_completion_is_not() -> None:
    almost = answer(row(), [segment(1, 0, 94_999)], 0.95)
    just = answer(row(), [segment(1, 0, 95_000)], 0.95)

    assert (almost.coverage, almost.completed) == (0.949, False)
    assert (just.coverage, just.completed) == (0.95, True)
