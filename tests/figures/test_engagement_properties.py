"""The figures of engagement are those of the slow specification, for any history; and the contract's identities hold.

`engagement_mutants.toml` lists mistakes that these properties notice.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - how hard to look
from actors.figures import concurrency, engagement, viewing
from actors.figures.watched import ALWAYS, Credited, Facts, Period, SessionFigures, Sitting, Watched, watched, worked_ms
from actors.machines.ranges import length_within
from tests.figures import engagement_spec as spec
from tests.figures.engagement_histories import BUCKETS, LEARNERS, LESSON, NOW, histories, ranges
from tests.figures.engagement_spec import History, Key, Piece, Range, Video, Visit

STEPS: Final = (10, 11, 60, 3_600)


# -- the fast figures, asked as the server asks them ------------------------------------------------------------------


class Fast:
    """One content in a range, through the pure functions alone."""

    def __init__(self, history: History, key: Key, asked: Range) -> None:
        video = next(each for each in history.videos if each.key == key)
        self.facts = Facts(spec.length_of(video), float(video.threshold), video.ignore_tail)
        self.period = Period(*(_or(asked.start, ALWAYS.start), _or(asked.end, ALWAYS.end)))
        self.now = history.now
        visits = [each for each in history.visits if each.video == key]
        self.sittings = {user: [_sitting(each) for each in visits if each.user_id == user] for user in LEARNERS}
        self.credited = {
            user: [row for each in visits if each.user_id == user for row in _credited(each)] for user in LEARNERS
        }
        self.learners = {user: self.watched(user, self.period) for user in LEARNERS}
        told = [each.told_ms for each in self.learners.values() if each.told_ms]
        self.length = self.facts.duration or engagement.median(told) or 0
        self.worked = worked_ms(self.length, ignore_tail=video.ignore_tail)

    def watched(self, user: str, period: Period = ALWAYS) -> Watched:
        return watched(self.sittings[user], self.credited[user], self.facts, period)

    def tally(self) -> engagement.Tally:
        return engagement.tally(self.learners.values(), self.length, self.worked, self.period.end)

    def covered(self, one: Watched) -> int:
        """Of what must be watched by the content's D, which is the median where clients told theirs (reading 4)."""
        return length_within(one.coverage, 0, self.worked) if self.worked else one.covered_ms

    def retention(self, buckets: int) -> engagement.Retention:
        made = self.tally()
        plays: dict[int, int] = {}
        seen: dict[int, int] = {}
        for one in self.learners.values():
            for second, more_plays, more_viewers in engagement.curves(one.passes):
                plays[second] = plays.get(second, 0) + more_plays
                seen[second] = seen.get(second, 0) + more_viewers
        stops = engagement.ends(self.learners.values(), self.length, buckets, self.period.end, self.now)
        drawn = engagement.drawn(plays, self.length, buckets), engagement.drawn(seen, self.length, buckets)
        return engagement.retention(stops, *drawn, made.views, made.viewers)

    def sessions(self) -> list[tuple[str, SessionFigures]]:
        return [
            (user, figures)
            for user in LEARNERS
            for figures in viewing.sessions(
                self.sittings[user],
                self.credited[user],
                self.facts,
                self.learners[user].told_ms,
                self.watched(user).completed_at,
            )
        ]


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _sitting(visit: Visit) -> Sitting:
    return Sitting(visit.session_id, visit.started_at, visit.ended_at, visit.last_sample_at, visit.position, visit.told)


def _credited(visit: Visit) -> list[Credited]:
    return [
        Credited(visit.session_id, each.number, each.start_at, each.end_at, each.start, each.end)
        for each in visit.pieces
        if each.verified
    ]


# -- equality ---------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_contents_rates_are_those_of_the_specification(data: st.DataObject):
    history = data.draw(histories())
    asked = data.draw(ranges(history))
    for video in history.videos:
        fast = Fast(history, video.key, asked)
        made = fast.tally()
        slow = spec.summary(history, video.key, asked)

        assert fast.length == round((slow["duration_seconds"] or 0) * 1000)
        assert (made.views, made.viewers, made.starts) == (slow["views"], slow["viewers"], slow["starts"])
        assert engagement.rate(made.completed, made.viewers) == slow["completion_rate"]
        assert engagement.rate(made.replayed, made.viewers) == slow["replay_rate"]
        stayed = made.starters - made.completed_starters
        assert engagement.rate(stayed, made.starters) == slow["drop_off_rate"]
        assert made.watch_ms / 1000 == slow["watch_seconds"]
        assert made.content_ms / 1000 == slow["content_seconds"]
        assert engagement.mean_seconds(made.watch_ms, made.views) == slow["average_view_duration"]
        assert engagement.rate(made.content_ms, made.views * fast.length) == slow["average_percentage_viewed"]
        coverage = engagement.coverage_of(made, fast.worked)
        assert {name: getattr(coverage, name) for name in ("mean", "q1", "median", "q3")} == slow["average_coverage"]


@given(st.data())
def test_curves_and_exits_are_those_of_the_specification(data: st.DataObject):
    history = data.draw(histories(contents=1))
    asked = data.draw(ranges(history))
    buckets = data.draw(st.sampled_from(BUCKETS[:3]))
    slow = spec.retention(history, LESSON, buckets, asked)
    fast = Fast(history, LESSON, asked)
    if not fast.length:
        return

    drawn = fast.retention(buckets)

    for name in drawn.__struct_fields__:
        assert getattr(drawn, name) == slow[name], name


@given(st.data())
def test_a_learners_figures_are_those_of_the_specification(data: st.DataObject):
    history = data.draw(histories(contents=1))
    asked = data.draw(ranges(history))
    fast = Fast(history, LESSON, asked)
    for row in spec.viewers(history, LESSON, asked):
        one = fast.learners[row["user_id"]]
        covered = fast.covered(one)

        assert one.views == row["views"]
        assert covered / 1000 == row["covered_seconds"]
        assert engagement.share(covered, fast.worked) == row["coverage"]
        assert one.content_ms / 1000 == row["content_seconds"]
        assert one.rewatched_ms / 1000 == row["rewatched_seconds"]
        assert one.watch_ms / 1000 == row["watch_seconds"]
        assert one.position_ms / 1000 == row["position"]
        completed_at = one.completed_at if one.completed_at is not None and one.completed_at < fast.period.end else None
        assert spec.instant(completed_at) == row["completed_at"]


@given(histories(contents=1))
def test_passes_bridge_half_a_second_and_no_more(history: History):
    fast = Fast(history, LESSON, spec.EVERYTHING)
    asked = spec.Asked(spec.Content(history, LESSON), spec.EVERYTHING)
    for user, one in fast.learners.items():
        assert one.passes == [span for view in asked.views_of(user) for span in spec.passes(view)]


@given(st.data())
def test_what_a_learner_sees_of_themself_is_that_of_the_specification(data: st.DataObject):
    history = data.draw(histories(contents=1))
    fast = Fast(history, LESSON, spec.EVERYTHING)
    for user in LEARNERS:
        slow = spec.me(history, LESSON, user)
        one = fast.watched(user)
        length = fast.facts.duration or one.told_ms
        worked = worked_ms(length, ignore_tail=fast.facts.ignore_tail)

        assert spec.seconds(length) == slow["duration_seconds"]
        assert engagement.share(one.covered_ms, worked) == slow["coverage"]
        assert one.position_ms / 1000 == slow["position"]
        assert spec.instant(one.completed_at) == slow["completed_at"]


@given(st.data())
def test_the_admins_figures_are_those_of_the_specification(data: st.DataObject):
    history = data.draw(histories())
    asked = data.draw(ranges(history))
    slow = spec.dashboard(history, asked)["videos"]
    rows = [
        (user, key, figures)
        for key in (each.key for each in history.videos)
        for user, figures in Fast(history, key, asked).sessions()
        if asked.holds(figures.started_at)
    ]
    known = [row for row in rows if row[2].known]
    replays = [row for row in known if row[2].replay]

    assert len(rows) == slow["total_watch_sessions"]
    assert sum(figures.completed for _, _, figures in known) == slow["completed_sessions"]
    assert len(replays) == slow["replay_sessions"]
    assert len({(user, key) for user, key, _ in known}) == slow["unique_video_starts"]
    assert len({user for user, _, _ in replays}) == slow["users_who_replayed"]
    *shares, end = slow["drop_off_by_checkpoint"]
    for place, point in enumerate(shares):
        assert sum(figures.reached > place for _, _, figures in known) == point["viewers_reached"], point
    assert sum(figures.at_end for _, _, figures in known) == end["viewers_reached"], end


@given(st.data())
def test_how_many_watch_at_once_is_that_of_the_specification(data: st.DataObject):
    history = data.draw(histories())
    start = data.draw(st.sampled_from((NOW - 3_700_000, NOW - 3_600_001, NOW - 700_000, NOW)))
    end = start + data.draw(st.sampled_from((1, 9_999, 10_000, 125_001)))
    step = data.draw(st.sampled_from(STEPS))
    slow = spec.concurrent(history, start, end, step)["steps"]

    made = concurrency.steps(_edges(history, start, end), start, end, step * 1000)

    assert [
        {"start_at": spec.instant(each.start_at), "peak": each.peak, "mean": engagement.rate(each.area, each.length)}
        for each in made
    ] == slow


def _edges(history: History, start: int, end: int) -> list[tuple[int, int]]:
    """Changes of the count of learners, by time."""
    changes: dict[int, int] = {}
    for user in {each.user_id for each in history.visits}:
        walls = spec.walls(piece for each in history.visits if each.user_id == user for piece in each.credited)
        for low, high in spec.united(walls, start, end):
            changes[low] = changes.get(low, 0) + 1
            changes[high] = changes.get(high, 0) - 1
    return sorted((at, change) for at, change in changes.items() if at < end and change)


# -- identities of the contract ---------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data())
def test_every_viewer_has_completed_or_left_or_is_still_at_it(data: st.DataObject):
    history = data.draw(histories(contents=1))
    fast = Fast(history, LESSON, data.draw(ranges(history)))
    buckets = data.draw(st.sampled_from(BUCKETS))
    viewers = [one for one in fast.learners.values() if one.views]
    if not fast.length or not viewers:
        return

    stops = engagement.ends(viewers, fast.length, buckets, fast.period.end, fast.now)

    assert Fraction(sum(stops.exits) + stops.completed + stops.censored, len(viewers)) == 1
    assert sum(stops.last) == sum(stops.reached) == len(viewers)


@pytest.mark.slow
@given(st.data())
def test_shares_are_shares_and_survival_only_falls(data: st.DataObject):
    history = data.draw(histories(contents=1))
    fast = Fast(history, LESSON, data.draw(ranges(history)))
    buckets = data.draw(st.sampled_from(BUCKETS))
    if not fast.length:
        return

    drawn = fast.retention(buckets)

    for name in ("unique", "survival", "exits", "hazard"):
        assert len(getattr(drawn, name)) == buckets
        assert all(0 <= each <= 1 for each in getattr(drawn, name)), name
    assert drawn.survival == sorted(drawn.survival, reverse=True)
    assert all(each >= 0 for each in (*drawn.absolute, *drawn.replays))


@pytest.mark.slow
@given(st.data())
def test_a_range_that_holds_everything_is_no_range(data: st.DataObject):
    history = data.draw(histories(contents=1))
    everything = Range(min([NOW, *(each.started_at for each in history.visits)]), NOW + 1)
    all_of_it, none = Fast(history, LESSON, everything), Fast(history, LESSON, spec.EVERYTHING)

    assert all_of_it.learners == none.learners
    assert all_of_it.tally() == none.tally()


@pytest.mark.slow
@given(st.data())
def test_the_order_of_rows_changes_nothing(data: st.DataObject):
    history = data.draw(histories(contents=1))
    fast = Fast(history, LESSON, data.draw(ranges(history)))
    for user, one in fast.learners.items():
        sittings: Any = data.draw(st.permutations(fast.sittings[user]))
        credited: Any = data.draw(st.permutations(fast.credited[user]))

        assert watched(sittings, credited, fast.facts, fast.period) == one


@given(histories(contents=1))
def test_what_is_watched_again_is_content_without_coverage(history: History):
    """Summed over sessions, what was covered before is what the learner's content has more than their coverage."""
    content = spec.Content(history, LESSON)
    for user in LEARNERS:
        visits = content.of(user)
        pieces = [piece for visit in visits for piece in visit.credited]
        again = sum(spec.replayed_of(content, visit) for visit in visits)

        assert again == sum(each.end - each.start for each in pieces) - spec.size(spec.playheads(pieces))


@pytest.mark.parametrize(("late", "replays"), [(0, 0), (1, 1)])
def test_a_session_that_begins_as_the_content_is_completed_is_no_replay(late: int, replays: int):
    """One that begins a millisecond later is."""
    video = Video(LESSON, lengths=((0, 100_000),), threshold="0.5")
    done = NOW - 10_000
    first = Piece(1, done - 50_000, done, 0, 50_000)
    second = Piece(1, done + late, done + late + 3_000, 60_000, 63_000)
    visits = tuple(
        Visit(name, "u1", LESSON, piece.start_at, piece.end_at, piece.end_at, piece.end, None, (piece,))
        for name, piece in (("s1", first), ("s2", second))
    )
    history = History((video,), visits, NOW)

    figures = [each for _, each in Fast(history, LESSON, spec.EVERYTHING).sessions()]

    assert sum(each.replay for each in figures) == replays
    assert spec.dashboard(history)["videos"]["replay_sessions"] == replays
