"""What the statements of one session prove: stories, then properties."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - how hard to look
from actors.figures import watched
from actors.figures.watched import Credited, Facts, Sitting
from actors.figures.xapi import SEGMENTS_MAX, Proven, prove
from protocol.xapi import profile
from protocol.xapi.profile import COMPLETED, INITIALIZED, INTERACTED, PAUSED, PLAYED, SEEKED, TERMINATED
from protocol.xapi.statements import Heard

AT = 1_700_000_000_000


def told(second: float, verb: int = PAUSED, *played: int, position: float | None = None, **more: object) -> Heard:
    """A statement so many seconds after the first; `played` are seconds, `None` where there are none."""
    where = None if position is None else round(position * 1000)
    segments = [each * 1000 for each in played] if played else None
    return Heard(AT + round(second * 1000), verb, True, where, played=segments, **more)  # type: ignore[arg-type]  # noqa: FBT003


def proven(*heard: Heard, length: float | None = 100) -> Proven:
    return prove(
        [(str(number), one) for number, one in enumerate(heard)], None if length is None else round(length * 1000)
    )


def pieces(made: Proven) -> list[tuple[float, float]]:
    return [(one.from_ms / 1000, one.to_ms / 1000) for one in made.proofs if one.verified]


# -- tellings ----------------------------------------------------------------------------------------------------------


def test_a_longer_telling_stands_for_the_one_before():
    made = proven(told(1, PAUSED, 0, 10), told(2, PAUSED, 0, 10, 20, 30), told(3, PAUSED, 0, 30))

    assert pieces(made) == [(0, 30)]
    assert (made.content_ms, made.covered_ms) == (30_000, 30_000)


def test_what_was_played_twice_counts_twice_and_covers_once():
    made = proven(told(1, PAUSED, 0, 10, 0, 10))

    assert (made.content_ms, made.covered_ms) == (20_000, 10_000)


def test_a_player_that_tells_each_piece_alone_is_believed():
    made = proven(told(1, PAUSED, 0, 10), told(2, PAUSED, 10, 20), told(3, PAUSED, 50, 60))

    assert pieces(made) == [(0, 10), (10, 20), (50, 60)]


def test_a_segment_is_dated_by_when_it_was_told_first():
    made = proven(told(1, PAUSED, 0, 10), told(2, PAUSED, 0, 10, 20, 30), told(3, PAUSED, 0, 10, 20, 30, 0, 10))

    assert [(one.at - AT, one.from_ms) for one in made.proofs] == [(1000, 0), (2000, 20_000), (3000, 0)]


def test_segments_stand_in_the_order_in_which_they_were_told():
    """Some players sort what they tell."""
    made = proven(told(1, PAUSED, 20, 30), told(2, PAUSED, 0, 10, 20, 30))

    assert [(one.at - AT, one.from_ms) for one in made.proofs] == [(1000, 20_000), (2000, 0)]


def test_segments_are_told_exactly_and_counted_within_the_content():
    made = proven(told(1, PAUSED, 90, 500, 600, 700), length=100)

    assert pieces(made) == [(90, 500), (600, 700)]
    assert (made.content_ms, made.covered_ms, made.share) == (10_000, 10_000, 0.1)


def test_length_is_the_catalogs_else_the_first_heard_else_unknown():
    first, later = told(1, PAUSED, 0, 10, length=20_000), told(2, PAUSED, 0, 10, length=50_000)

    assert proven(later, first, length=None).length == 20_000
    assert proven(later, first, length=100).length == 100_000
    assert (proven(told(1, PAUSED, 0, 10), length=None).length, proven(told(1, PAUSED, 0, 10), length=None).share) == (
        None,
        0,
    )


def test_a_share_is_floored():
    assert proven(told(1, PAUSED, 0, 2), length=3).share == 0.666


def test_it_ends_where_it_is_terminated_and_not_before():
    assert proven(told(0, INITIALIZED), told(9, PAUSED, 0, 9)).ended_at is None
    assert proven(told(0, INITIALIZED), told(9, TERMINATED, 0, 9), told(10, COMPLETED)).ended_at == AT + 10_000


def test_the_last_claim_and_the_last_position_are_kept():
    made = proven(told(1, PAUSED, 0, 10, position=10, progress=0.2), told(2, SEEKED, seek_to=70_000, progress=0.9))

    assert (made.position, made.progress) == (70_000, 0.9)


def test_more_segments_than_the_bound_are_kept_as_their_union():
    """The full case: coverage stays exact."""
    twice = [edge for start in range(0, 2 * (SEGMENTS_MAX // 2 + 1), 2) for edge in (start, start + 1)] * 2
    made = proven(told(1, PAUSED, *twice), length=1_000_000)

    assert len(made.proofs) == SEGMENTS_MAX // 2 + 1
    assert made.content_ms == made.covered_ms == 1000 * (SEGMENTS_MAX // 2 + 1)


# -- verbs -------------------------------------------------------------------------------------------------------------


def test_between_played_and_paused_lies_what_was_watched():
    made = proven(
        told(0, INITIALIZED, position=0), told(1, PLAYED, position=0), told(601, PAUSED, position=600), length=700
    )

    assert pieces(made) == [(0, 600)]


def test_more_than_time_allows_is_not_credited():
    assert pieces(proven(told(0, PLAYED, position=0), told(10, PAUSED, position=60))) == []
    assert pieces(proven(told(0, PLAYED, position=0, rate=2.0), told(30, PAUSED, position=60))) == [(0, 60)]


def test_a_seek_ends_a_piece_and_begins_another():
    made = proven(
        told(0, PLAYED, position=0),
        told(10, SEEKED, seek_from=10_000, seek_to=50_000),
        told(20, PAUSED, position=60),
        told(30, SEEKED, seek_from=60_000, seek_to=0),
        told(40, PAUSED, position=10),  # it was paused all the time
    )

    assert pieces(made) == [(0, 10), (50, 60)]


def test_a_seek_of_unknown_origin_earns_nothing_before_it():
    made = proven(told(0, PLAYED, position=0), told(10, SEEKED, seek_to=12_000), told(20, PAUSED, position=22))

    assert pieces(made) == [(12, 22)]


def test_a_change_of_volume_goes_on_with_what_was():
    heard = told(0, PLAYED, position=0), told(10, INTERACTED, position=10), told(20, TERMINATED, position=20)

    assert pieces(proven(*heard)) == [(0, 20)]


def test_statements_that_tell_no_position_are_passed_over():
    assert pieces(proven(told(0, PLAYED, position=0), told(5, INTERACTED), told(10, PAUSED, position=10))) == [(0, 10)]


def test_one_telling_of_segments_and_verbs_prove_nothing():
    assert pieces(proven(told(0, PLAYED, position=0), Heard(AT + 10_000, PAUSED, True, 10_000, played=[]))) == []  # noqa: FBT003


# -- properties --------------------------------------------------------------------------------------------------------

EDGES = st.sampled_from([0, 1, 499, 500, 1000, 10_000, 50_000, 99_999, 100_000, 100_001])
PAIR = st.tuples(EDGES, EDGES).filter(lambda pair: pair[0] < pair[1])
PLAYED_LISTS = st.none() | st.lists(PAIR, max_size=4).map(lambda pairs: [edge for pair in pairs for edge in pair])


@st.composite
def statements(draw: st.DrawFn, *, tells: bool) -> list[tuple[str, Heard]]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        heard = Heard(
            AT + draw(st.integers(0, 20)) * 5_000,
            draw(st.sampled_from(sorted(profile.VERB_IDS))),
            marked=True,
            position=draw(st.none() | EDGES),
            seek_from=draw(st.none() | EDGES),
            seek_to=draw(st.none() | EDGES),
            rate=draw(st.sampled_from([None, 0.5, 1.0, 2.0])),
            length=draw(st.sampled_from([None, None, 100_000, 50_000])),
            played=draw(PLAYED_LISTS) if tells else None,
        )
        made.append((f"id-{number}", heard))
    return made


@given(statements(tells=True) | statements(tells=False), st.randoms(use_true_random=False))
def test_any_order_proves_the_same(heard, chance: random.Random):
    mixed = chance.sample(heard, len(heard))

    assert prove(mixed, None) == prove(heard, None)


@given(statements(tells=True))
def test_tellings_prove_their_union_and_no_more(heard):
    """And count at least what any one of them tells, and no more than all together."""
    lists = [each.played or [] for _, each in heard]
    pairs = [pair for played in lists for pair in zip(played[::2], played[1::2], strict=True)]
    edges = sorted({edge for pair in pairs for edge in pair})
    cells = [(low, high) for low, high in pairwise(edges) if any(one[0] <= low and high <= one[1] for one in pairs)]
    made = prove(heard, 10**9)

    if any(each.played is not None for _, each in heard):
        assert made.covered_ms == sum(high - low for low, high in cells)
        totals = [sum(played[1::2]) - sum(played[::2]) for played in lists]
        assert max(totals) <= made.content_ms <= sum(totals)


@given(statements(tells=False))
def test_verbs_never_credit_more_than_time_allows(heard):
    made = prove(heard, 10**9)
    elapsed = made.last_at - made.started_at

    assert made.content_ms <= 3_000 + 1.05 * 2.0 * elapsed


# -- among other sessions ----------------------------------------------------------------------------------------------


def sitting(name: str, covers: int | None, **changes: object) -> Sitting:
    fields = {"started_at": AT, "ended_at": AT + 1, "last_sample_at": AT, "position": 5_000, "duration": 100_000}
    return Sitting(name, told_ms=covers, **(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("covers", "views"), [(2_999, 0), (3_000, 1)])
def test_a_told_session_is_a_view_by_what_it_covers(covers, views):
    made = watched.watched([sitting("s", covers)], [Credited("s", 1, AT, AT, 0, covers)], Facts(100_000))

    assert (made.views, made.starts, made.watch_ms, made.view_content_ms) == (views, 1, 0, covers if views else 0)


def test_a_session_of_ours_is_none_without_watch_time():
    made = watched.watched([sitting("s", None)], [Credited("s", 1, AT, AT, 0, 50_000)], Facts(100_000))

    assert (made.views, made.covered_ms) == (0, 50_000)


def test_told_and_watched_cover_together():
    sittings = [sitting("told", 20_000), sitting("ours", None)]
    credited = [Credited("told", 1, AT, AT, 0, 20_000), Credited("ours", 1, AT, AT + 20_000, 10_000, 30_000)]
    made = watched.watched(sittings, credited, Facts(100_000))

    assert (made.views, made.covered_ms, made.content_ms, made.watch_ms) == (2, 30_000, 40_000, 20_000)
    assert made.rewatched_ms == 10_000


def test_a_view_whose_segments_are_gone_is_still_one():
    made = watched.watched([sitting("s", 30_000)], [], Facts(100_000))

    assert (made.views, made.exit_ms, made.first_from_ms) == (1, 5_000, None)
