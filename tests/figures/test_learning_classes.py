"""Offered, attended, late, absent, streaks, time, participation: a claim each, at the boundaries (learning-api.md)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.figures import activities, attendance, classes, participation, rates, study
from actors.figures.class_parts import CatalogPart, EventPart, RoomPart, Told, live_class
from actors.figures.classes import Seen
from actors.figures.facts import (
    Answer,
    Content,
    Enrolment,
    ExamOffer,
    ExamSession,
    Interval,
    Learner,
    LiveClass,
    Quiz,
    Rules,
)
from actors.figures.roster import Roster
from actors.figures.spans import Span
from actors.machines.rows import PresenceRow

ZONE = ZoneInfo("UTC")
RULES = Rules()
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_707_300_000_000  # 2024-02-07T10:00:00Z
LATER = START + 10 * DAY
RANGE = Span(START - 7 * DAY, START + 7 * DAY)


def cls(key: str = "15", start: int = START, **more: Any) -> LiveClass:
    """An hour of product 1 that took place as planned."""
    end = start + HOUR
    planned: dict[str, Any] = {"scheduled_start": start, "scheduled_end": end, "room_start": start, "room_end": end}
    return LiveClass(key, "1", **(planned | more))


def seen(one: LiveClass, *presences: Interval, now: int = LATER) -> Seen:
    return classes.seen(one, presences, RULES, now)


def enrolled(*found: LiveClass, start: int | None = None, end: int | None = None, **more: Any) -> Learner:
    return Learner([Enrolment("1", start, end)], classes=list(found), **more)


# -- attended and late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "attended"), [(0, False), (59, False), (60, True), (61, True)])
def test_sixty_seconds_are_attendance(seconds: int, attended: object):
    assert seen(cls(), (START, START + seconds * 1000)).attended is attended


def test_the_minimum_is_met_by_several_short_visits_but_not_by_two_devices():
    assert seen(cls(), (START, START + 30_000), (START + MINUTE, START + 90_000)).attended
    assert not seen(cls(), (START, START + 30_000), (START, START + 30_000)).attended


@pytest.mark.parametrize(("ms", "late"), [(-MINUTE, False), (0, False), (300_000, False), (300_001, True)])
def test_late_is_more_than_the_grace(ms: int, late: object):
    assert seen(cls(), (START + ms, START + HOUR)).late is late


def test_only_who_attended_was_late():
    assert not seen(cls(), (START + 10 * MINUTE, START + 10 * MINUTE + 59_000)).late


def test_a_first_arrival_in_time_is_not_late_however_long_one_was_away():
    assert not seen(cls(), (START, START + 1000), (START + 30 * MINUTE, START + HOUR)).late


def test_presence_that_was_over_before_the_class_is_no_arrival():
    assert seen(cls(), (START - HOUR, START - MINUTE), (START + 10 * MINUTE, START + HOUR)).late


def test_without_a_schedule_nobody_is_late():
    unplanned = cls(scheduled_start=None, scheduled_end=None)
    assert not seen(unplanned, (START + 50 * MINUTE, START + HOUR)).late


# -- the class interval -----------------------------------------------------------------------------------------------


def test_presence_counts_inside_the_class_only():
    found = seen(cls(), (START - HOUR, START + 2 * HOUR))
    assert (found.length_s, found.present_s) == (3600, 3600)


def test_a_class_begins_with_its_room_or_its_schedule_whichever_is_later():
    assert classes.interval(cls(room_start=START + MINUTE), LATER) == (START + MINUTE, START + HOUR)
    assert classes.interval(cls(room_start=START - MINUTE), LATER) == (START, START + HOUR)
    assert classes.interval(cls(room_start=None, room_end=None), LATER) == (START, START + HOUR)


def test_a_room_that_has_not_ended_has_its_scheduled_end_or_now():
    live = cls(room_end=None, live=True)
    assert classes.interval(live, START + MINUTE) == (START, START + HOUR)
    assert classes.interval(live, START + 2 * HOUR) == (START, START + 2 * HOUR)
    assert classes.interval(cls(room_end=None, live=True, scheduled_end=None), START + 5) == (START, START + 5)


def test_a_class_that_ended_before_it_was_to_begin_has_no_length():
    found = seen(cls(room_start=START - HOUR, room_end=START - MINUTE), (START - HOUR, START))
    assert (found.length_s, found.present_s, found.attended) == (0, 0, False)


def test_both_ends_are_floored_to_the_second_first():
    found = seen(cls(), (START + 900, START + 2_100), (START + 2_900, START + 3_100))
    assert (found.present_s, found.length_s) == (3, 3600)


# -- ended and absent -------------------------------------------------------------------------------------------------


def test_absent_is_who_missed_a_class_that_is_over():
    assert seen(cls()).absent
    assert not seen(cls(), (START, START + MINUTE)).absent


def test_a_running_class_makes_nobody_absent():
    live = cls(room_end=None, live=True)
    running = seen(live, now=START + 2 * HOUR)
    assert (running.attended, running.absent) == (False, False)


def test_a_class_that_never_was_held_is_over_at_its_scheduled_end():
    unheld = cls(room_start=None, room_end=None)
    assert [seen(unheld, now=START + HOUR + ms).absent for ms in (-1, 0)] == [False, True]


# -- offered ----------------------------------------------------------------------------------------------------------


def offered(learner: Learner, within: Span = RANGE, now: int = LATER) -> list[str]:
    return [one.live_class_id for one in classes.offered(learner, within, now)]


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        (None, None, True),
        (START, None, True),
        (START + 1, None, False),
        (None, START + 1, True),
        (None, START, False),
    ],
)
def test_an_enrolment_counts_at_the_classs_start(start: int | None, end: int | None, counts: object):
    assert bool(offered(enrolled(cls(), start=start, end=end))) is counts


def test_a_range_is_half_open():
    found = [cls("a", START - 1), cls("b", START), cls("c", START + DAY - 1), cls("d", START + DAY)]
    assert offered(enrolled(*found), Span(START, START + DAY)) == ["b", "c"]


def test_what_begins_in_the_future_is_not_offered_yet():
    assert offered(enrolled(cls()), now=START - 1) == []
    assert offered(enrolled(cls()), now=START) == ["15"]


def test_a_cancelled_class_is_not_offered_and_an_optional_one_does_not_count():
    learner = enrolled(cls("cancelled", cancelled=True), cls("optional", required=False))
    assert offered(learner) == ["optional"]
    assert classes.required(learner, RANGE, RULES, LATER) == []


def test_activity_counts_only_where_no_enrolment_ever_was_known():
    never = Learner(active_products=frozenset({"1"}), classes=[cls()])
    once = Learner([Enrolment("2", None, START)], frozenset({"1"}), [cls()])
    assert (offered(never), offered(once)) == (["15"], [])
    assert never.ever("1")
    assert once.ever("1")
    assert not once.ever("3")
    assert not once.ever(None)


# -- days -------------------------------------------------------------------------------------------------------------


def days(*found: tuple[LiveClass, bool], full_before: bool = False, now: int = LATER) -> list[attendance.Day]:
    """Classes, and whether each was attended."""
    rows = [
        seen(one, *([(start, start + HOUR)] if was else []), now=now) for one, was in found if (start := one.start_at)
    ]
    return attendance.days(rows, ZONE, full_before=full_before)


def test_the_outcome_of_a_day():
    live = cls("live", room_end=None, live=True)
    assert [day.outcome for day in days((cls(), True))] == ["all"]
    assert [day.outcome for day in days((cls(), True), (cls("b"), False))] == ["some"]
    assert [day.outcome for day in days((cls(), False))] == ["none"]
    assert [day.outcome for day in days((live, False), now=START + 1)] == ["upcoming"]
    assert [day.outcome for day in days((cls(), False), (live, False), now=START + HOUR)] == ["none"]


def test_a_streak_is_two_full_days_with_classes_in_a_row():
    rows = days((cls("a"), True), (cls("b", START + 3 * DAY), True), (cls("c", START + 4 * DAY), False))
    assert [day.is_sticky for day in rows] == [False, True, False]
    after = days((cls("c", START), False), (cls("d", START + DAY), True), (cls("e", START + 2 * DAY), True))
    assert [day.is_sticky for day in after] == [False, False, True]


def test_a_streak_may_begin_before_the_first_row():
    assert days((cls(), True), full_before=True)[0].is_sticky
    assert not days((cls(), False), full_before=True)[0].is_sticky


def test_a_class_belongs_to_the_local_day_of_its_start():
    late = cls(start=START + 14 * HOUR - 1)
    dhaka = attendance.days([seen(late)], ZoneInfo("Asia/Dhaka"))
    assert (days((late, False))[0].start, dhaka[0].start) == (START - 10 * HOUR, START + 8 * HOUR)


def test_products_come_by_number_and_then_by_name():
    rows = [seen(LiveClass("c", key, scheduled_start=START)) for key in ("b", "10", "9", "a")]
    assert [key for key, _ in attendance.by_product(rows)] == ["9", "10", "a", "b"]


# -- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [(0, 0, 0.0), (1, 3, 33.33), (2, 3, 66.67), (1, 800, 0.13), (1, 1600, 0.06), (3, 3, 100.0), (201, 400, 50.25)],
)
def test_rates_are_rounded_half_up_to_the_cent(part: int, whole: int, percent: float):
    assert rates.percent(part, whole) == percent


def test_a_mean_is_rounded_once():
    assert rates.rounded(rates.mean([Fraction(1, 3), Fraction(1, 3), Fraction(2, 3)])) == 44.44
    assert rates.mean([]) == 0


# -- quizzes and polls ------------------------------------------------------------------------------------------------


def answer(quiz: str, of: str = "15", *, correct: bool = True, at: int = START) -> Answer:
    return Answer(quiz, of, correct, at)


def test_participation_is_the_mean_over_ended_classes_that_offered_something():
    found = [
        cls("both", quizzes=2, polls=2),
        cls("absent", quizzes=1),
        cls("nothing"),
        cls("optional", quizzes=9, required=False),
        cls("live", quizzes=9, live=True, room_end=None),
    ]
    there = {"both": [(START, START + HOUR)], "absent": [(START, START + 59_000)]}
    answers = [answer("q1", "both"), answer("q1", "absent")]
    learner = enrolled(*found, presences=there, answers=answers, polls_answered={"both": 2})
    shown = activities.activities(learner, RANGE, ZONE, RULES, START + 30 * MINUTE + HOUR).participation

    assert (shown.classes, shown.attended, shown.rate) == (2, 1, 37.5)


def test_correctness_is_of_what_was_offered_and_practice_of_what_was_answered():
    mock, other = Quiz("m1", "mock", "1", START), Quiz("m2", "mock", "2", START)
    answers = [
        answer("q1"),
        answer("q2", correct=False, at=RANGE.end),
        answer("x", "not offered"),
        answer("m1", "mock"),
    ]
    learner = enrolled(cls(quizzes=3), answers=answers, quizzes=[mock, other])
    found = activities.activities(learner, RANGE, ZONE, RULES, LATER)

    assert found.quizzes_practised == 3
    assert (found.correctness.offered, found.correctness.answered, found.correctness.rate) == (4, 3, 66.67)


def test_assignments_are_exams_of_that_type_finished_at_any_time():
    offers = [
        ExamOffer("a", "1", "assignment", START),
        ExamOffer("b", "1", "assignment", RANGE.end),
        ExamOffer("c", "1", "exam", START),
        ExamOffer("d", "2", "assignment", START),
        ExamOffer("e", "1", "assignment", START),
    ]
    sessions = [ExamSession("a", START - 90 * DAY, 1.0), ExamSession("a", LATER, 1.0), ExamSession("b", START, 1.0)]
    found = activities.activities(enrolled(exams=offers, sessions=sessions), RANGE, ZONE, RULES, LATER)
    assert (found.assignments, found.assignments_done) == (2, 1)


# -- time -------------------------------------------------------------------------------------------------------------


def test_two_types_at_once_are_one_hour_of_learning():
    learner = enrolled(cls(), presences={"15": [(START, START + HOUR)] * 2}, watched=[(START, START + HOUR)])
    found = study.times(learner, RANGE, ZONE, LATER)
    assert (found.total_s, found.engaged) == (3600, {"live_class": 3600, "video": 3600, "exam": 0})


def test_presence_in_a_class_that_was_not_offered_is_time_all_the_same():
    found = study.times(Learner(classes=[cls()], presences={"15": [(START, START + HOUR)]}), RANGE, ZONE, LATER)
    assert (found.total_s, found.offered_s) == (3600, 0)


def test_an_exam_is_as_long_as_it_took_before_it_ended():
    sessions = [ExamSession("e", START, 600.9), ExamSession("f", START, None)]
    found = study.times(enrolled(sessions=sessions), Span(START - MINUTE, START), ZONE, LATER)
    assert found.engaged["exam"] == 60
    assert study.times(enrolled(sessions=sessions), RANGE, ZONE, LATER).total_s == 601


def test_an_interval_over_midnight_is_cut_there_and_buckets_add_up():
    midnight = START + 14 * HOUR
    learner = Learner(watched=[(midnight - 1_500, midnight + 1_500)])
    found = study.times(learner, Span(START - DAY, START + DAY), ZONE, LATER)
    assert [one.total_s for one in found.slices if one.total_s] == [2, 1]
    assert sum(one.total_s for one in found.slices) == found.total_s == 3


def test_every_type_is_in_every_bucket():
    found = study.times(Learner(), RANGE, ZONE, LATER)
    assert all(one.by_type == {"live_class": 0, "video": 0, "exam": 0} for one in found.slices)
    assert (len(found.slices), found.average_s) == (15 // 7 + 1, 0)


def test_the_average_is_over_the_days_that_have_begun():
    midnight = START - 10 * HOUR
    learner = Learner(watched=[(START - DAY, START - DAY + 10_000)])
    within = Span(midnight - 2 * DAY, midnight + 30 * DAY)
    assert study.times(learner, within, ZONE, START).average_s == 10 // 3
    assert study.times(learner, within, ZONE, midnight - 1).average_s == 10 // 2
    assert study.times(learner, Span(LATER, LATER + DAY), ZONE, START).average_s == 0


@pytest.mark.parametrize(
    ("published_at", "first_at", "product", "counts"),
    [
        (START, None, "1", True),
        (RANGE.start, None, "1", True),
        (RANGE.end, None, "1", False),
        (None, START, "1", True),
        (None, None, "1", False),
        (START, None, "2", False),
        (START - 30 * DAY, START - 30 * DAY, "1", False),
        (START - 30 * DAY, RANGE.end - 1, "1", True),
    ],
)
def test_lessons_offered(published_at: int | None, first_at: int | None, product: str, counts: object):
    lesson = Content("video", "9", product, 60_999, published_at, first_at)
    assert study.times(enrolled(contents=[lesson]), RANGE, ZONE, LATER).offered["video"] == (60 if counts else 0)


def test_a_lesson_is_offered_while_its_product_is_the_learners():
    lesson = Content("video", "9", "1", MINUTE, START, START + DAY)
    before = enrolled(contents=[lesson], start=START + 1)
    assert study.times(before, RANGE, ZONE, LATER).offered["video"] == 60
    assert study.times(enrolled(contents=[lesson], end=START), RANGE, ZONE, LATER).offered["video"] == 0


def test_offered_time_is_of_optional_classes_too():
    found = study.times(enrolled(cls("a"), cls("b", required=False)), RANGE, ZONE, LATER)
    assert found.offered == {"live_class": 7200, "video": 0, "exam": 0}


# -- who is believed --------------------------------------------------------------------------------------------------


def test_the_catalog_decides_the_day_and_the_end_that_was_told_the_length():
    catalog = CatalogPart("Waves", "1", "7", "Physics", START, START + HOUR, required=True, cancelled=False)
    event = EventPart("2", "8", START + MINUTE, START + 50 * MINUTE, required=True, quizzes=3, polls=None)
    room = RoomPart("Room", "3", "ended", START + DAY, START + 2 * DAY, START - MINUTE, START + 2 * HOUR)
    found = live_class(Told("15", catalog, event, room), 2, 4)

    assert (found.name, found.product_id, found.program_id) == ("Waves", "1", "7")
    assert (found.start_at, found.scheduled_end) == (START, START + HOUR)
    assert classes.interval(found, LATER) == (START + MINUTE, START + 50 * MINUTE)
    assert (found.quizzes, found.polls) == (3, 4)


def test_a_room_that_runs_again_has_not_ended():
    room = RoomPart(None, "3", "live", START, START + HOUR, START, None)
    event = EventPart(None, None, START, START + MINUTE, required=True, quizzes=None, polls=None)
    found = live_class(Told("15", None, event, room))
    assert (found.live, found.room_end, found.product_id) == (True, None, "3")


def test_either_may_cancel_and_either_may_call_it_optional():
    catalog = CatalogPart("Waves", "1", None, None, START, START, required=True, cancelled=False)
    event = EventPart(None, None, None, START, required=False, quizzes=None, polls=None)
    room = RoomPart(None, None, "cancelled", None, None, None, None)
    assert live_class(Told("15", catalog, None, room)).cancelled
    assert not live_class(Told("15", catalog, event)).required
    assert not Told("15").known


def test_answers_beyond_what_was_offered_are_no_more_than_all():
    assert participation.share(cls(quizzes=1), 2, 1) == 1
    assert participation.share(cls(), 2, 1) == 0


# -- attendance lists --------------------------------------------------------------------------------------------------

_moments = st.one_of(st.none(), st.integers(-70, 130).map(lambda minute: START + minute * 61_001))


@given(
    times=st.tuples(_moments, _moments, _moments, _moments),
    live=st.booleans(),
    stays=st.lists(st.tuples(st.integers(-4_000_000, 8_000_000), st.integers(0, 4_000_000)), max_size=3),
)
def test_a_line_of_the_attendance_list_says_what_the_dashboards_say(
    *, times: tuple[int | None, ...], live: bool, stays: list[tuple[int, int]]
):
    one = LiveClass(
        "15", scheduled_start=times[0], scheduled_end=times[1], room_start=times[2], room_end=times[3], live=live
    )
    pieces = [(START + after, START + after + length) for after, length in stays]
    rows = [
        PresenceRow("15", "ann", number, *piece, "player", "d1", open=False) for number, piece in enumerate(pieces, 1)
    ]

    line = Roster(one, RULES, LATER).line(rows)

    found = seen(one, *pieces)
    assert (line.present_s, line.class_s) == (found.present_s, found.length_s)
    assert (line.attended, line.late) == (found.attended, found.late)
    assert line.percent == min(100.0, rates.percent(found.present_s, found.length_s))
