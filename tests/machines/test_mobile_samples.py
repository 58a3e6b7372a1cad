"""Samples of mobile batches: in any order, any number of times, the session is the same (decision 0011)."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors import snapshots
from actors.machines import placing
from actors.machines.effects import JOURNAL, Acked, Refused
from actors.machines.events import Incarnated, Left, Opened, Placed, RoomPlaced, Sampled, Tick
from actors.machines.placing import KEPT_MAX
from actors.machines.room import Room
from actors.machines.rows import Rows
from actors.machines.state import RoomRules, RoomState
from actors.machines.track import BUFFERING, ENDED, OLDEST_MS, PAUSED, PLAYING, SEEKING, Sample
from actors.machines.watch import MOBILE, WatchRules, WatchSession, WatchState
from tests.machines.builders import HOUR, INTERVAL, SEC, T0

PHONE = "phone"


def at(time: int, position: int, state: int = PLAYING, rate: float = 1.0) -> Sample:
    """A sample at `time` (ms behind T0), numbered by it."""
    return Sample(time * 8 + 8, T0 + time, position, state, rate)


class Watching:
    """A learner's session at the mobile door, and the rows of the store."""

    def __init__(self) -> None:
        self.machine = WatchSession("s", None, WatchRules())
        self.stored: dict[tuple[int, int], Any] = {}
        self.now = T0

    @property
    def state(self) -> WatchState:
        assert self.machine.state is not None
        return self.machine.state

    def take(self, *samples: Sample, now: int = 2 * HOUR) -> list[Any]:
        self.now = T0 + now
        if self.machine.state is None:
            self.machine.step(Opened("ann", "video", "v", PHONE, MOBILE, INTERVAL), self.now)
        return self.machine.step(Placed(list(samples), INTERVAL), self.now)

    def rows(self) -> Rows:
        """As the store keeps them: what was worked out anew and is no more goes."""
        rows = self.machine.rows()
        for redone in rows.redone:
            new = {(row.segment.number, row.segment.start_at) for row in rows.segments}
            self.stored = {key: one for key, one in self.stored.items() if key[0] < redone.first or key in new}
        for row in rows.segments:
            self.stored[row.segment.number, row.segment.start_at] = msgspec.structs.replace(row.segment)
        return rows

    def checkpoint(self) -> None:
        self.machine.written(self.rows())

    def rebuild(self) -> None:
        """As after a restart from a checkpoint, whose rows and snapshot are of one moment."""
        self.rows()
        body = snapshots.PLAIN + snapshots.encode(self.machine.state)
        self.machine = WatchSession("s", snapshots.watch_state(body), WatchRules())
        self.machine.settle()

    def figures(self) -> tuple[int, int]:
        """Watch time and distinct content."""
        track = self.state.track
        growing = track.credit_open()
        return track.watch_ms + (growing.wall_ms if growing else 0), track.covered_ms()

    def weights(self) -> list[tuple[float, int, bool]]:
        """Of the segments, in their order: rate by wall, sight, whether they count."""
        self.rows()
        return [(one.rate_ms, one.visible_ms, one.verified) for _, one in sorted(self.stored.items())]

    def segments(self) -> list[tuple[int, int, int, int]]:
        """What is read of it now: memory over store."""
        self.rows()
        return sorted((one.start_at, one.end_at, one.start_position, one.end_position) for one in self.stored.values())


def test_samples_in_order_are_one_segment():
    learner = Watching()
    for time in range(0, 60, 10):
        assert JOURNAL in learner.take(at(time * SEC, time * SEC))
    assert learner.figures() == (50 * SEC, 50 * SEC)
    assert learner.rows().redone == []


def test_a_repeat_is_acknowledged_and_not_journaled():
    learner = Watching()
    learner.take(at(0, 0), at(10 * SEC, 10 * SEC))
    effects = learner.take(at(10 * SEC, 10 * SEC), at(0, 0))
    assert effects == [Acked("s", at(10 * SEC, 0).seq, 0)]
    assert learner.figures() == (10 * SEC, 10 * SEC)


def test_what_comes_in_between_is_put_between():
    learner = Watching()
    learner.take(at(0, 0), at(30 * SEC, 20 * SEC))
    assert learner.figures() == (30 * SEC, 20 * SEC)
    learner.take(at(10 * SEC, 10 * SEC, PAUSED), at(20 * SEC, 10 * SEC))
    assert learner.figures() == (20 * SEC, 20 * SEC)
    assert len(learner.segments()) == 2


def test_segments_that_are_no_more_leave_the_store():
    learner = Watching()
    learner.take(at(0, 0), at(10 * SEC, 10 * SEC), at(20 * SEC, 90 * SEC), at(30 * SEC, 100 * SEC))
    learner.checkpoint()
    assert len(learner.segments()) == 2
    learner.take(at(5 * SEC, 5 * SEC, ENDED), at(15 * SEC, 85 * SEC, PAUSED))
    learner.checkpoint()
    assert learner.segments() == [
        (T0, T0 + 5 * SEC, 0, 5 * SEC),
        (T0 + 20 * SEC, T0 + 30 * SEC, 90 * SEC, 100 * SEC),
    ]


def test_what_was_worked_out_anew_while_it_was_being_written_is_written_again():
    learner = Watching()
    learner.take(at(0, 0), at(10 * SEC, 10 * SEC), at(20 * SEC, 90 * SEC))
    learner.take(at(5 * SEC, 5 * SEC, PAUSED))
    being_written = learner.rows()
    learner.take(at(3 * SEC, 3 * SEC, PAUSED))
    learner.machine.written(being_written)
    assert learner.machine.rows().redone != []
    learner.checkpoint()
    assert learner.machine.rows().redone == []
    assert learner.segments() == [(T0, T0 + 3 * SEC, 0, 3 * SEC)]


def test_an_earlier_sample_is_a_new_beginning():
    learner = Watching()
    learner.take(at(20 * SEC, 20 * SEC))
    learner.take(at(0, 0), at(10 * SEC, 10 * SEC))
    assert learner.figures() == (20 * SEC, 20 * SEC)
    assert learner.rows().sessions[0].started_at == T0


def test_a_sample_older_than_a_day_changes_nothing():
    learner = Watching()
    learner.take(at(0, 0), now=OLDEST_MS)
    before = learner.figures()
    assert learner.take(at(10 * SEC, 10 * SEC), now=OLDEST_MS + 10 * SEC + 1) == [Acked("s", at(0, 0).seq, 0)]
    assert learner.figures() == before


def test_a_sample_of_the_future_is_where_it_was_received():
    learner = Watching()
    learner.take(at(0, 0), at(60 * SEC, 20 * SEC), now=20 * SEC)
    assert learner.figures() == (20 * SEC, 20 * SEC)


def test_the_window_is_bounded_and_what_comes_too_late_for_it_changes_nothing():
    learner = Watching()
    for number in range(KEPT_MAX + 10):
        learner.take(at(number * SEC, number * SEC))
    assert learner.state.window is not None
    assert learner.state.window.count == KEPT_MAX
    before = learner.figures()
    assert learner.take(at(5 * SEC + 1, 0, PAUSED)) == [Acked("s", at((KEPT_MAX + 9) * SEC, 0).seq, 0)]
    assert learner.figures() == before
    learner.take(at(11 * SEC + 1, 11 * SEC, PAUSED))
    assert learner.figures()[0] == before[0] - SEC + 1


def test_a_session_that_is_over_takes_no_samples():
    learner = Watching()
    learner.take(at(0, 0))
    learner.machine.step(Left(), learner.now)
    assert learner.take(at(0, 0)) == [Refused("unknown_stream", "the session has ended: watch again")]


def test_a_socket_cannot_go_on_with_a_session_of_the_mobile_door():
    learner = Watching()
    learner.take(at(0, 0))
    assert not learner.state.takes_numbers


# -- properties -------------------------------------------------------------------------------------------------------

STATES = st.sampled_from([PLAYING, PLAYING, PLAYING, PAUSED, BUFFERING, SEEKING, ENDED])


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    """A player's samples, whatever it does; gaps at the bounds of silence."""
    time, position, found = 0, 0, list[Sample]()
    for _ in range(draw(st.integers(1, 30))):
        gap = draw(st.sampled_from([1, 499, 500, 5_000, 10_000, 34_999, 35_000, 35_001, 60_000]))
        moved = draw(st.sampled_from([0, gap, gap, gap, gap + 999, gap + 1_001, -1_000, 60_000]))
        time, position = time + gap, max(0, position + moved)
        found.append(at(time, position, draw(STATES), draw(st.sampled_from([1.0, 1.0, 2.0]))))
    return found


def split(samples: list[Sample], chance: random.Random) -> list[list[Sample]]:
    """Batches of them, in any order, some twice; what is in a batch need not have been together."""
    batches: list[list[Sample]] = []
    rest = samples if chance.random() < 0.5 else chance.sample(samples, len(samples))
    while rest:
        size = chance.randint(1, 5)
        batches.append(rest[:size])
        rest = rest[size:]
    batches += [chance.choice(batches) for _ in range(chance.randint(0, 4))]
    chance.shuffle(batches)
    return batches


@given(histories(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_any_order_splitting_and_repeating_gives_the_same_session(
    samples: list[Sample], chance: random.Random, restarts: int
):
    truth = Watching()
    truth.take(*samples)
    learner = Watching()
    for number, batch in enumerate(split(samples, chance)):
        learner.take(*batch)
        if chance.random() < 0.3:
            learner.checkpoint()
        if number < restarts:
            learner.rebuild()
    learner.checkpoint()
    assert learner.figures() == truth.figures()
    assert learner.segments() == truth.segments()
    assert learner.weights() == truth.weights()
    assert learner.rows().sessions[0].started_at == truth.rows().sessions[0].started_at


@given(histories(), st.randoms(use_true_random=False))
def test_what_has_left_the_window_stands_and_the_rest_is_still_put_in_order(
    samples: list[Sample], chance: random.Random
):
    window = 5
    truth = Watching()
    truth.take(*samples)
    order = sorted(range(len(samples)), key=lambda place: place + chance.uniform(0, window))
    learner = Watching()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placing, "KEPT_MAX", window + 1)
        for place in order:
            learner.take(samples[place])
            if chance.random() < 0.2:
                learner.checkpoint()
            if chance.random() < 0.1:
                learner.rebuild()
        learner.checkpoint()
    assert learner.figures() == truth.figures()
    assert learner.segments() == truth.segments()
    assert learner.weights() == truth.weights()


@given(histories(), st.randoms(use_true_random=False))
def test_in_a_room_as_well_and_the_learner_was_present_as_long(samples: list[Sample], chance: random.Random):
    rooms = [Room("r", RoomState(), RoomRules()) for _ in range(2)]
    orders = [[samples], split(samples, chance)]
    found: list[tuple[int, int, list[int]]] = []
    for room, batches in zip(rooms, orders, strict=True):
        room.step(Incarnated(), T0)
        for batch in batches:
            known = room.mobile_sessions("ann", PHONE)
            event = RoomPlaced("ann", "learner", None, PHONE, known[0] if known else None, "fresh", batch, INTERVAL)
            assert JOURNAL in room.step(event, T0 + 2 * HOUR) or known
        room.step(Tick(), T0 + 2 * HOUR)
        (session,) = room.state.sessions.values()
        growing = session.track.credit_open()
        wall = session.track.watch_ms + (growing.wall_ms if growing else 0)
        member = room.state.members["ann"]
        found.append((wall, session.track.covered_ms(), member.presences(T0 + 2 * HOUR)))
    (wall, covered, present), (other_wall, other_covered, other_present) = found
    assert (wall, covered) == (other_wall, other_covered)
    # Two samples that were neighbours, before another came in between, prove no less than the three.
    assert present == other_present or set(present) <= set(other_present)


@given(histories(), st.randoms(use_true_random=False))
def test_no_order_earns_wall_time_that_has_not_passed(samples: list[Sample], chance: random.Random):
    learner = Watching()
    chance.shuffle(samples)
    for number, sample in enumerate(samples):
        learner.take(sample, now=number * SEC)
    track = learner.state.track
    if track.started_at >= 0:
        assert learner.figures()[0] <= max(0, T0 + len(samples) * SEC - track.started_at)


def test_samples_of_other_doors_are_not_touched():
    machine = WatchSession("s", None, WatchRules())
    machine.step(Opened("ann", "video", "v", "", "http", INTERVAL), T0)
    machine.step(Sampled(T0, [Sample(1, T0, 0, PLAYING)]), T0)
    assert machine.state is not None
    assert machine.state.window is None
    assert machine.rows().redone == []


def test_two_corrections_between_checkpoints_are_both_written():
    learner = Watching()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placing, "KEPT_MAX", 4)
        learner.take(at(0, 0), at(4 * SEC, 4 * SEC), at(8 * SEC, 0), at(12 * SEC, 4 * SEC))
        learner.checkpoint()
        assert len(learner.stored) == 2
        learner.take(at(2 * SEC, 2 * SEC, PAUSED), at(6 * SEC, 5 * SEC, PAUSED))
        learner.take(*(at(second * SEC, second * SEC) for second in (20, 24, 40, 44)))
        learner.take(at(42 * SEC, 42 * SEC, PAUSED))
        learner.checkpoint()
    assert learner.segments() == [
        (T0, T0 + 2 * SEC, 0, 2 * SEC),
        (T0 + 4 * SEC, T0 + 6 * SEC, 4 * SEC, 5 * SEC),
        (T0 + 8 * SEC, T0 + 12 * SEC, 0, 4 * SEC),
        (T0 + 20 * SEC, T0 + 42 * SEC, 20 * SEC, 42 * SEC),
    ]


def test_what_is_worked_out_anew_keeps_the_interval_that_was_told_meanwhile():
    learner = Watching()
    learner.take(at(0, 0))
    machine, now = learner.machine, learner.now
    (_, told) = machine.step(Placed([at(10 * SEC, 10 * SEC)], 2 * INTERVAL), now)
    assert told == Acked("s", at(10 * SEC, 0).seq, 2 * INTERVAL)
    machine.step(Placed([at(70 * SEC, 70 * SEC)], 2 * INTERVAL), now)
    assert learner.figures() == (70 * SEC, 70 * SEC), "a minute is no silence any more"
    late = machine.step(Placed([at(5 * SEC, 5 * SEC)], 2 * INTERVAL), now)
    assert late == [JOURNAL, Acked("s", at(70 * SEC, 0).seq, 0)]
    assert learner.figures() == (70 * SEC, 70 * SEC)


# -- starts that were long under way ----------------------------------------------------------------------------------


def said(sample: Sample, lag: int, known: int) -> Sample:
    """The sample as its door has it, who knows `known` of the `lag`; numbered by what its app said."""
    number = (sample.at + lag - placing.EPOCH_MS) * placing.PER_MS
    return msgspec.structs.replace(sample, seq=number, at=sample.at + lag - known)


@given(histories(), st.integers(1, 5_000), st.data())
def test_whenever_a_lag_is_known_the_session_is_as_if_it_always_was(
    samples: list[Sample], lag: int, data: st.DataObject
):
    truth = Watching()
    truth.take(*samples)
    since = (samples[0].at + lag - placing.EPOCH_MS) * placing.PER_MS
    learner = Watching()
    known = 0
    learner.take(now=2 * HOUR)
    for place, sample in enumerate(samples, 1):
        known = (
            lag
            if place == len(samples)
            else data.draw(st.sampled_from([known, known, lag // 2, lag]).filter(known.__le__))
        )
        # Nothing is later than its reception, which may be no later than when it was.
        learner.machine.step(
            Placed([said(sample, lag, known)], INTERVAL, known, since), sample.at + data.draw(st.integers(0, lag))
        )
        if data.draw(st.integers(0, 9)) == 0:
            learner.checkpoint()
    learner.checkpoint()
    assert learner.figures() == truth.figures()
    assert learner.segments() == truth.segments()


def test_a_lag_moves_what_its_app_said_and_nothing_before():
    learner = Watching()
    before, after = at(0, 0), [at(10 * SEC, 10 * SEC), at(20 * SEC, 20 * SEC)]
    since = (T0 + 5 * SEC - placing.EPOCH_MS) * placing.PER_MS
    learner.take(said(before, 0, 0), said(after[0], 3 * SEC, 0))
    learner.machine.step(Placed([said(after[1], 3 * SEC, 3 * SEC)], INTERVAL, 3 * SEC, since), learner.now)
    assert learner.state.window is not None
    assert [one.sample.at - T0 for one in learner.state.window.kept()] == [0, 10 * SEC, 20 * SEC]
