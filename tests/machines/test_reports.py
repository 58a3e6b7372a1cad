"""A watch session at the simple door: reports without numbers, stamped by their clients or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors import snapshots
from actors.directory import SIMPLE
from actors.figures.progress import Progress, percent, progress
from actors.machines import ranges
from actors.machines.effects import JOURNAL, Effect, Refused, SessionEnded, Taken
from actors.machines.events import AnyEvent, Opened, Reported
from actors.machines.track import PAUSED, PLAYING
from actors.machines.watch import WatchRules, WatchSession, WatchState
from tests.machines import profiles
from tests.machines.builders import INTERVAL, MIN, T0

assert profiles.QUIET


@dataclass
class Simple:
    """A learner whose player tells its playhead, in seconds."""

    machine: WatchSession = field(default_factory=lambda: WatchSession("s1", None, WatchRules()))
    at: int = 0

    def __post_init__(self) -> None:
        self.machine.step(Opened("u1", "video", "c1", "", SIMPLE, INTERVAL), T0)

    @property
    def state(self) -> WatchState:
        assert self.machine.state is not None
        return self.machine.state

    def tells(self, at: float, position: float, **more: Any) -> list[Effect]:
        options = {"state": PLAYING, "interval": INTERVAL} | more
        return self.machine.step(Reported(int(position * 1000), **options), T0 + int(at * 1000))

    def figures(self, length: int = 100) -> Progress:
        return progress(self.state.track, self.state.prior, None, length * 1000)


def test_reports_ten_seconds_apart_are_ten_seconds_watched():
    learner = Simple()
    assert learner.tells(0, 0) == [JOURNAL, Taken()]
    learner.tells(10, 10)

    assert learner.figures() == Progress(watched=10_000, replayed=0, furthest=10_000, covered=10_000)
    assert learner.state.track.last_seq == 2


def test_the_time_of_a_report_is_its_reception_whatever_its_client_believes():
    learner = Simple()
    learner.tells(0, 0, told_at=5_000_000_000_000)
    learner.tells(10, 10, told_at=5_000_000_600_000)

    assert learner.state.track.at == T0 + 10_000
    assert learner.figures().watched == 10_000


def test_a_report_that_comes_again_changes_nothing():
    learner = Simple()
    learner.tells(0, 0, told_at=T0)
    learner.tells(10, 10, told_at=T0 + 10_000)
    before = msgspec.json.encode(learner.state)

    assert learner.tells(15, 10, told_at=T0 + 10_000) == []
    assert msgspec.json.encode(learner.state) == before


def test_a_report_that_was_overtaken_is_passed_over_and_costs_no_second():
    learner = Simple()
    learner.tells(0, 0, told_at=T0)
    learner.tells(20, 20, told_at=T0 + 20_000)
    learner.tells(20.1, 10, told_at=T0 + 10_000)
    learner.tells(20.2, 10, told_at=T0 + 10_000)
    learner.tells(30, 30, told_at=T0 + 30_000)

    assert learner.figures().watched == 30_000
    assert learner.state.track.last_seq == 3


def test_a_client_whose_clock_was_set_back_is_heard_again_with_its_second_report():
    learner = Simple()
    learner.tells(0, 0, told_at=T0 + 3_600_000)
    learner.tells(10, 10, told_at=T0 + 10_000)
    learner.tells(20, 20, told_at=T0 + 20_000)
    learner.tells(30, 30, told_at=T0 + 30_000)

    assert learner.figures().watched == 30_000


def test_without_stamps_every_report_is_taken():
    learner = Simple()
    learner.tells(0, 0)
    learner.tells(10, 10)
    assert learner.tells(10, 10) == [JOURNAL, Taken()]
    assert learner.state.track.last_seq == 3


def test_the_last_report_counts_and_ends_the_session_in_one():
    learner = Simple()
    learner.tells(0, 0)

    assert learner.tells(10, 10, ended=True) == [JOURNAL, Taken(), SessionEnded("s1")]
    assert learner.state.ended_at == T0 + 10_000
    assert learner.figures().watched == 10_000


def test_an_end_that_comes_again_changes_nothing_with_a_stamp_and_without():
    for stamp in ({}, {"told_at": T0 + 10_000}):
        learner = Simple()
        learner.tells(0, 0)
        learner.tells(10, 10, ended=True, **stamp)
        before = msgspec.json.encode(learner.state)

        assert learner.tells(12, 10, ended=True, **stamp) == []
        assert msgspec.json.encode(learner.state) == before


def test_what_comes_behind_the_end_belongs_to_another_session():
    learner = Simple()
    learner.tells(0, 0, told_at=T0)
    learner.tells(10, 10, told_at=T0 + 10_000, ended=True)

    assert isinstance(learner.tells(11, 0, told_at=T0 + 11_000)[0], Refused)
    assert learner.tells(12, 5, told_at=T0 + 5_000) == []
    assert isinstance(learner.tells(12 + 60, 5, told_at=T0 + 5_000)[0], Refused)


def test_half_an_hour_without_a_report_ends_it():
    learner = Simple()
    learner.tells(0, 0)

    effects = learner.tells(30 * MIN / 1000, 5)

    assert effects[:2] == [JOURNAL, SessionEnded("s1")]
    assert isinstance(effects[2], Refused)
    assert learner.state.ended_at == T0


def test_a_pause_is_no_watch_time_and_a_seek_is_no_content():
    learner = Simple()
    learner.tells(0, 0)
    learner.tells(10, 10, state=PAUSED)
    learner.tells(20, 10)
    learner.tells(30, 90)
    learner.tells(40, 100)

    assert learner.figures(200) == Progress(watched=20_000, replayed=0, furthest=100_000, covered=20_000)


def test_playing_the_same_again_is_replayed():
    learner = Simple()
    learner.tells(0, 0)
    learner.tells(10, 10)
    learner.tells(11, 0)
    learner.tells(21, 10)

    assert (learner.figures().watched, learner.figures().replayed) == (20_000, 10_000)


def test_what_earlier_sessions_covered_counts_for_the_learner_and_playing_it_is_replay():
    machine = WatchSession("s1", None, WatchRules())
    machine.step(Opened("u1", "video", "c1", "", SIMPLE, INTERVAL, prior=[0, 5_000, 50_000, 90_000]), T0)
    learner = Simple(machine)
    learner.tells(0, 0)
    learner.tells(10, 10)

    assert learner.figures() == Progress(watched=10_000, replayed=5_000, furthest=10_000, covered=50_000)


def test_percent_is_half_up_to_two_decimals_and_never_over_a_hundred():
    assert [percent(part, 80_000) for part in (0, 4, 3, 79_999, 80_000, 90_000)] == [
        0.0,
        0.01,
        0.0,
        100.0,
        100.0,
        100.0,
    ]
    assert percent(1, 3) == 33.33


def test_an_unknown_length_is_no_progress():
    learner = Simple()
    learner.tells(0, 0)
    learner.tells(10, 10)
    assert learner.figures(0).covered == 0
    assert percent(0, 0) == 0.0


# -- properties -------------------------------------------------------------------------------------------------------

REPORT = st.builds(
    Reported,
    position=st.integers(0, 40_000),
    state=st.sampled_from([PLAYING, PLAYING, PAUSED]),
    rate=st.sampled_from([1.0, 0.5, 2.0]),
    duration=st.none() | st.just(30_000),
    told_at=st.just(-1) | st.integers(0, 20),
    ended=st.integers(0, 9).map(lambda number: number == 0),
    interval=st.just(INTERVAL),
)
HISTORY = st.lists(st.tuples(st.sampled_from([0, 1, 500, 9_000, 10_000, 35_000, 35_001]), REPORT), max_size=30)
PRIOR = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=4)


def played(history: list[tuple[int, AnyEvent]], prior: list[tuple[int, int]]) -> WatchSession:
    before: list[int] = []
    for start, length in prior:
        ranges.add(before, start * 1000, (start + length) * 1000)
    machine = WatchSession("s1", None, WatchRules())
    machine.step(Opened("u1", "video", "c1", "", SIMPLE, INTERVAL, prior=before), T0)
    now = T0
    for gap, event in history:
        now += gap
        machine.step(event, now)
    return machine


@given(HISTORY, PRIOR)
def test_figures_equal_a_count_by_milliseconds(history, prior):
    machine = played(history, prior)
    state = machine.state
    assert state is not None
    pieces = [
        (row.segment.start_position, row.segment.end_position)
        for row in machine.rows().segments
        if row.segment.verified
    ]
    before = {ms for start, length in prior for ms in range(start * 1000, (start + length) * 1000)}
    seen, replayed = set(before), 0
    for start, end in pieces:
        moments = set(range(start, end))
        replayed += len(moments & seen)
        seen |= moments
    figures = progress(state.track, state.prior, None, 30_000)

    assert figures.replayed == replayed
    assert figures.covered == len(seen & set(range(30_000)))
    assert figures.watched == sum(row.segment.wall_ms for row in machine.rows().segments if row.segment.verified)


@given(HISTORY)
def test_a_session_out_of_its_snapshot_goes_on_as_if_it_had_never_been_away(history):
    half = len(history) // 2
    straight = played(history, [])
    broken = played(history[:half], [])
    assert broken.state is not None
    again = WatchSession("s1", snapshots.watch_state(snapshots.PLAIN + snapshots.encode(broken.state)), WatchRules())
    now = T0 + sum(gap for gap, _ in history[:half])
    for gap, event in history[half:]:
        now += gap
        again.step(event, now)

    assert msgspec.json.encode(again.state) == msgspec.json.encode(straight.state)


@given(HISTORY)
def test_every_stamped_report_told_twice_in_a_row_is_told_once(history):
    stamped = [(gap, event) for gap, event in history if event.told_at >= 0]
    doubled = [each for gap, event in stamped for each in ((gap, event), (0, event))]

    assert msgspec.json.encode(played(doubled, []).state) == msgspec.json.encode(played(stamped, []).state)


@given(HISTORY)
def test_no_report_however_forged_earns_more_than_time_that_passed(history):
    machine = played(history, [])
    state = machine.state
    assert state is not None
    elapsed = sum(gap for gap, _ in history)
    figures = progress(state.track, [], None, 0)

    assert figures.watched <= elapsed
    assert state.track.credited <= 3_000 + 1.05 * 2.0 * elapsed
