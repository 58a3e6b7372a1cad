"""The simulation knows what a class should come to: rules by small stories, scenarios the same for the same seed."""

from __future__ import annotations

import msgspec
import pytest

from load_tests.simulate import scenario, truth
from load_tests.simulate.comparing import Answers, Comparison
from load_tests.simulate.playhead import JUMP_MIN_MS, Playhead
from load_tests.simulate.record import Class, Device, Hold, Learner, Outage, Told, Track
from load_tests.simulate.scenario import Arrival, Main, Shape, write
from protocol.rest import (
    AttendanceAnswer,
    ClassDetails,
    ClassDetailsAnswer,
    LiveClassAnswer,
    ProgramAnswer,
    SegmentAnswer,
    SessionAnswer,
    StudyLogAnswer,
    rfc3339,
)

SHAPE = Shape(learners=50, seconds=60, seed=7, watch_share=0.3, grace_s=20, late_grace_s=300, heartbeat_s=10)
RULES = truth.Rules()


def told(*samples: tuple[float, float, str], rate: float = 1.0, by_http: bool = False) -> list[Told]:
    """(second, position, state) each."""
    return [
        Told(seq, round(at * 1000), position, state, rate, visible=True, by_http=by_http)  # type: ignore[arg-type]
        for seq, (at, position, state) in enumerate(samples, 1)
    ]


def pieces(samples: list[Told], interval_s: float = 10.0) -> list[tuple[float, float]]:
    return [(one.playhead_start / 1000, one.playhead_end / 1000) for one in truth.segments(samples, interval_s)]


# -- segments --------------------------------------------------------------------------------------------------------


def test_what_is_played_is_one_segment():
    assert pieces(told((0, 0, "playing"), (10, 10, "playing"), (15, 15, "paused"))) == [(0, 15)]


def test_a_pause_ends_the_segment_and_playing_begins_the_next():
    story = told((0, 0, "playing"), (5, 5, "paused"), (9, 5, "playing"), (12, 8, "playing"))
    assert pieces(story) == [(0, 5), (5, 8)]


def test_a_stall_credits_just_what_was_played():
    assert pieces(told((0, 0, "playing"), (10, 4, "playing"), (20, 14, "playing"))) == [(0, 14)]


def test_a_seek_forward_breaks():
    story = told((0, 0, "playing"), (5, 5, "playing"), (5, 60, "playing"), (10, 65, "playing"))
    assert pieces(story) == [(0, 5), (60, 65)]


def test_a_seek_back_breaks_however_small():
    story = told((0, 10, "playing"), (5, 15, "playing"), (5.5, 14.999, "playing"), (8, 17.499, "playing"))
    assert pieces(story) == [(10, 15), (14.999, 17.499)]


@pytest.mark.parametrize(("played", "whole"), [(6.0, True), (6.001, False)])
def test_the_slack_of_a_pair_is_a_second(played, whole):
    assert pieces(told((0, 0, "playing"), (5, played, "playing"))) == ([(0, played)] if whole else [])


@pytest.mark.parametrize(("played", "whole"), [(22.0, True), (22.001, False)])
def test_or_a_tenth_where_that_is_more(played, whole):
    assert pieces(told((0, 0, "playing"), (20, played, "playing"))) == ([(0, played)] if whole else [])


@pytest.mark.parametrize(("wall", "whole"), [(35.0, True), (35.001, False)])
def test_silence_is_over_three_and_a_half_intervals(wall, whole):
    assert pieces(told((0, 0, "playing"), (wall, 30, "playing"))) == ([(0, 30)] if whole else [])


@pytest.mark.parametrize(("length", "kept"), [(0.499, False), (0.5, True)])
def test_a_segment_under_half_a_second_is_dropped(length, kept):
    assert bool(pieces(told((0, 0, "playing"), (1, length, "paused")))) is kept


def test_a_change_of_rate_splits_nothing():
    slow, fast = (
        told((0, 0, "playing"), (4, 2, "playing"), rate=0.5),
        told((4, 2, "playing"), (8, 10, "paused"), rate=2.0),
    )
    assert pieces([slow[0], fast[0], fast[1]]) == [(0, 10)]


def test_coverage_counts_a_second_once_and_ends_with_the_content():
    story = told((0, 0, "playing"), (10, 10, "playing"), (10, 5, "playing"), (30, 25, "paused"))
    assert truth.covered_ms(truth.segments(story, 10), 20.0) == 20_000


# -- presence --------------------------------------------------------------------------------------------------------


def held(begin: float, until: float, ending: str = "cut") -> Hold:
    return Hold(round(begin * 1000), round(begin * 1000), round(until * 1000), ending)  # type: ignore[arg-type]


def presence(
    *tracks: list[Hold], samples: list[Told] | None = None, outages: list[Outage] | None = None
) -> list[list[tuple[float, float]]]:
    """Every reading, as (begin, end) in seconds; the first track has the samples."""
    learner = Learner("u", "")
    accepted = {}
    for number, holds in enumerate(tracks):
        track = Track("room", holds=holds, interval_s=10.0)
        learner.devices.append(Device(f"d{number}", {"room": track}))
        accepted[number, "room"] = [samples or []] if number == 0 else []
    spans = truth.learner_spans(learner, accepted, RULES)
    return [
        [(one.begin.lo / 1000, one.end.hi / 1000) for one in reading]
        for reading in truth.alternatives(spans, outages or [])
    ]


def test_a_drop_within_the_grace_never_was():
    assert presence([held(0, 30), held(40, 60)]) == [[(0, 60)]]


def test_a_drop_beyond_the_grace_ended_at_the_drop():
    assert presence([held(0, 30), held(55, 60)]) == [[(0, 30), (55, 60)]]


def test_a_gap_as_long_as_the_grace_may_be_read_either_way():
    assert presence([held(0, 30), held(50, 60)]) == [[(0, 60)], [(0, 30), (50, 60)]]


def test_leaving_has_no_grace():
    assert presence([held(0, 30, "left"), held(33, 60)]) == [[(0, 30), (33, 60)]]


def test_two_devices_are_one_presence_first_in_last_out():
    assert presence([held(0, 30, "left")], [held(20, 60, "left")]) == [[(0, 60)]]


def test_a_device_that_comes_within_the_grace_of_another_keeps_the_presence():
    assert presence([held(0, 30)], [held(40, 60, "left")]) == [[(0, 60)]]


def test_a_device_inside_another_does_not_shorten_it():
    assert presence([held(0, 60, "left")], [held(10, 20)]) == [[(0, 60)]]


def test_samples_kept_offline_prove_presence_beyond_the_grace():
    kept = told((25, 0, "playing"), (35, 10, "playing"), (45, 20, "playing"), (58, 33, "playing"))
    assert presence([held(0, 30), held(58, 70)], samples=kept) == [[(0, 70)]]


def test_http_samples_hold_until_the_last_of_them():
    kept = told((0, 0, "playing"), (30, 30, "playing"), (64, 64, "playing"), by_http=True)
    assert presence([], samples=kept) == [[(0, 64)]]


def test_http_samples_too_far_apart_are_two_presences():
    kept = told((0, 0, "playing"), (10, 10, "playing"), (60, 60, "playing"), (70, 70, "playing"), by_http=True)
    assert presence([], samples=kept) == [[(0, 10), (60, 70)]]


def test_a_gap_beside_an_outage_may_be_read_either_way():
    away = [Outage(31_000, 40_000)]
    assert presence([held(0, 30, "lost"), held(58, 70)], outages=away) == [[(0, 70)], [(0, 30), (58, 70)]]


def test_whole_seconds_floor_both_ends():
    span = truth.Span(truth.Border(10_900, 10_900), truth.Border(20_100, 20_100), 0)
    bounds = truth.whole_seconds([span], 0.0)
    assert bounds.lo <= 10 <= bounds.hi
    assert bounds.hi - bounds.lo <= 2


def test_presence_is_counted_inside_the_class_only():
    times = truth.ClassTruth(truth.Border(0, 0), truth.Border(5_000, 5_000), truth.Border(50_000, 50_000))
    span = truth.Span(truth.Border(1_000, 1_000), truth.Border(60_000, 60_000), 0)
    (inside,) = truth.clipped([span], times)
    assert (inside.begin.lo, inside.end.hi) == (5_000, 50_000)


@pytest.mark.parametrize(("arrives_s", "late"), [(298.0, False), (300.0, None), (302.0, True)])
def test_late_is_strictly_over_the_grace_and_unknown_at_the_border(arrives_s, late):
    at = round(arrives_s * 1000)
    reading = [truth.Span(truth.Border(at, at), truth.Border(at + 60_000, at + 60_000), 0)]
    assert truth.lateness(reading, Class("r", 0), RULES) is late


# -- truth beside answers --------------------------------------------------------------------------------------------


def text(at_ms: int) -> str:
    return rfc3339(at_ms) or ""


SESSION = SessionAnswer(
    session_id="s1",
    user_id="u",
    content=None,
    room="r",
    started_at=text(1_000),
    ended_at=text(91_000),
    last_seq=2,
    position=30.0,
    duration=None,
    watch_seconds=30.0,
    content_seconds=30.0,
    covered_seconds=30.0,
    coverage=0.0,
    completed=False,
    segments=[SegmentAnswer(text(1_000), text(31_000), 0.0, 30.0, 30.0, 1.0, 1.0, offline=False, verified=True)],
)
ATTENDANCE = AttendanceAnswer(
    was_present=True,
    was_late=False,
    total_live_class_duration=90,
    total_presence_duration=90,
    total_absence_duration=0,
)


def differing(session: SessionAnswer = SESSION, attendance: AttendanceAnswer = ATTENDANCE) -> set[str]:
    """Fields that differ for a learner who was there from second 1 to 91 and played 30 s, both samples acknowledged."""
    samples = told((1, 0, "playing"), (31, 30, "paused"))
    track = Track(
        "room", told=samples, holds=[held(1, 91, "left")], sessions=[("s1", 1)], acked={"s1": 2}, sent=2, interval_s=10
    )
    learner = Learner("u", "stay", [Device("d", {"room": track})])
    record = Class("r", 0, {"u": learner}, end_asked=91_000, end_told=91_000)
    live_class = LiveClassAnswer("r", "", None, None, ProgramAnswer(None, ""), "pending")
    log = StudyLogAnswer(text(1_000), text(31_000), 0, 30, 30)
    details = ClassDetailsAnswer(ClassDetails("", live_class, attendance, [log]))
    answers = Answers({"s1": session}, {"u": details})
    _, _, found = Comparison(record, truth.class_truth(record), RULES, answers).learner(learner)
    return {one.field.rsplit(" ", 1)[-1] for one in found}


def test_right_answers_do_not_differ():
    assert differing() == set()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_seconds", 30.002),
        ("covered_seconds", 29.998),
        ("watch_seconds", 30.6),
        ("position", 30.01),
        ("last_seq", 1),
        ("last_seq", 3),
        ("segments", []),
    ],
)
def test_a_wrong_figure_of_a_session_is_named(field, value):
    assert field in differing(session=msgspec.structs.replace(SESSION, **{field: value}))


@pytest.mark.parametrize("seconds", [88, 92])
def test_a_second_of_presence_missing_or_doubled_is_named(seconds):
    wrong = msgspec.structs.replace(ATTENDANCE, total_presence_duration=seconds, total_absence_duration=90 - seconds)
    assert differing(attendance=wrong) == {"total_presence_duration"}


def test_presence_and_absence_that_do_not_make_the_class_are_named():
    assert differing(attendance=msgspec.structs.replace(ATTENDANCE, total_absence_duration=1)) == {
        "total_absence_duration"
    }


def test_late_though_in_time_is_named():
    assert differing(attendance=msgspec.structs.replace(ATTENDANCE, was_late=True)) == {"was_late"}


# -- scenarios -------------------------------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_class():
    assert write(SHAPE) == write(SHAPE)


def test_another_seed_writes_another():
    assert write(SHAPE) != write(Shape(50, 60, 8, 0.3, 20, 300, 10))


def everything(shape: Shape) -> list[scenario.Act]:
    return [step.act for learner in write(shape).learners for device in learner.devices for step in device.steps]


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_fifty_has_every_behaviour(seed):
    shape = Shape(50, 12, seed, 0.3, 20, 300, 10)
    written = write(shape)
    devices = [device for learner in written.learners for device in learner.devices]
    assert {learner.main for learner in written.learners} == set(Main)
    assert {learner.arrival for learner in written.learners} == set(Arrival)
    assert {type(act) for act in everything(shape)} == set(scenario.Act.__args__)
    assert any(learner.content for learner in written.learners)
    assert any(device.clock_skew_ms for device in devices)
    assert any(device.starts_by_http for device in devices)
    assert {device.encoding for device in devices} == {"json", "msgpack"}
    assert any(not learner.user_id.isascii() for learner in written.learners)
    assert len({learner.user_id for learner in written.learners}) == 50


@pytest.mark.parametrize("seconds", [12, 60, 200, 1200])
@pytest.mark.parametrize("grace", [2, 20, 45])
def test_no_act_comes_before_its_arrival_or_out_of_order(seconds, grace):
    written = write(Shape(100, seconds, 3, 0.5, grace, 300, 10))
    for learner in written.learners:
        for device in learner.devices:
            times = [step.at_s for step in device.steps]
            assert times == sorted(times)
            assert isinstance(device.steps[0].act, scenario.Enter)
            assert times[-1] < written.seconds


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [12, 60, 200])
def test_nobody_drops_for_good_so_late_that_the_class_ends_within_the_grace(seconds, seed):
    written = write(Shape(60, seconds, seed, 0.3, 20, 300, 10))
    for learner in written.learners:
        for device in learner.devices:
            gone = [step.at_s for step in device.steps if isinstance(step.act, scenario.Vanish)]
            if learner.main not in {Main.SECOND_DEVICE, Main.BLACKOUT} and gone:
                assert gone[0] + 20 < written.seconds


@pytest.mark.parametrize("seed", range(20))
def test_arrivals_keep_away_from_the_border_of_lateness(seed):
    written = write(Shape(60, 60, seed, 0.3, 20, 300, 10))
    border = written.scheduled_start_s + 300
    arrivals = [learner.devices[0].steps[0].at_s for learner in written.learners]
    assert all(abs(arrival - border) >= 1 for arrival in arrivals)
    assert min(arrivals) < border < max(arrivals)


# -- the playhead that is acted --------------------------------------------------------------------------------------


def test_a_playhead_moves_only_while_playing_and_at_its_rate():
    head = Playhead(0, None)
    head.turn(1_000, state="playing")
    head.turn(3_000, rate=2.0)
    head.turn(4_000, state="paused")
    assert head.position_ms(9_000) == 4_000


def test_a_content_that_has_played_out_is_ended():
    head = Playhead(0, 5_000)
    head.turn(0, state="playing")
    assert (head.position_ms(6_000), head.state) == (5_000, "ended")


@pytest.mark.parametrize("by", [-40_000, -5_000, 5_000, 40_000])
def test_a_seek_is_far_enough_to_be_a_jump_or_is_none(by):
    head = Playhead(0, 60_000)
    head.turn(0, state="playing")
    head.jump(2_000, by)
    assert head.position_ms(2_000) == 2_000 or abs(head.position_ms(2_000) - 2_000) >= JUMP_MIN_MS


def test_two_pieces_of_one_stretch_are_one_in_the_comparison():
    one = truth.Segment(0, 10_000, 5_000, 15_000, {1.0}, 10_000)
    two = truth.Segment(10_000, 12_000, 15_000, 17_000, {1.5}, 0)
    apart = truth.Segment(12_000, 13_000, 18_000, 19_000)

    whole, rest = truth.joined([one, two, apart])

    assert (whole.start, whole.end, whole.playhead_start, whole.playhead_end) == (0, 12_000, 5_000, 17_000)
    assert (whole.rates, whole.seen_ms, rest) == ({1.0, 1.5}, 10_000, apart)
