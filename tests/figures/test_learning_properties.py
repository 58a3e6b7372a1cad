"""A learner's figures, beside the slow specification (`learning_spec.py`): equal to the second and to the cent."""

from __future__ import annotations

import zoneinfo
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors.figures import spans
from tests.figures import histories, spec_days
from tests.figures import learning_spec as spec
from tests.figures.histories import Drawn
from tests.figures.seam import Figures
from tests.figures.spec_classes import Learner

# -- beside the specification -----------------------------------------------------------------------------------------


@given(histories.drawn())
def test_every_page_is_what_the_specification_says(drawn: Drawn):
    history, asked = drawn.history, drawn.asked
    figures = Figures(history, asked)

    assert figures.activities() == spec.activities(history, asked)
    assert figures.times() == spec.times(history, asked, with_details=True)
    assert figures.attendance() == spec.attendance(history, asked)
    assert figures.overview() == spec.overview(history, asked)
    for product in history.products:
        if figures.learner.ever(product):
            assert figures.details(product) == spec.details(history, asked, product)
        else:
            with pytest.raises(spec.NotFound):
                spec.details(history, asked, product)


@given(histories.drawn())
def test_each_class_is_what_the_specification_says(drawn: Drawn):
    figures = Figures(drawn.history, drawn.asked)
    learner = Learner(drawn.history, drawn.asked)

    for live in drawn.history.classes:
        seen = figures.one(live.id)
        assert (seen.ended, seen.absent) == (learner.is_ended(live), learner.absent(live))
        if learner.ever_had(live.product):
            told = spec.class_details(drawn.history, drawn.asked, live.id)["class_details"]["attendance"]
            assert figures.class_attendance(live.id) == told
            rate = spec.interaction(drawn.history, drawn.asked, live.id)["class_participation_rate"]
            assert figures.class_participation_rate(live.id) == rate


# -- ranges -----------------------------------------------------------------------------------------------------------


@st.composite
def moments(draw: st.DrawFn, calendar: histories.Calendar) -> int:
    return calendar.moment(draw)


@st.composite
def bounds(draw: st.DrawFn, calendar: histories.Calendar) -> str | None:
    """As a client writes it: nothing, a day, a moment in any zone."""
    at = calendar.moment(draw)
    match draw(st.integers(0, 3)):
        case 0:
            return None
        case 1:
            return spec_days.day_of(at, calendar.zone).isoformat()
        case 2:
            return spec_days.shown(at)
        case _:
            return spec_days.local(at, calendar.zone).isoformat()


@given(st.data())
def test_a_range_is_what_the_specification_says(data: st.DataObject):
    calendar = data.draw(histories.calendars())
    zone = zoneinfo.ZoneInfo(calendar.zone)
    start_at, end_at = data.draw(bounds(calendar)), data.draw(bounds(calendar))
    now = data.draw(moments(calendar))
    start, end = spec_days.period(start_at, end_at, calendar.zone, now)

    if end <= start:
        with pytest.raises(spans.BadSpan):
            spans.span(start_at, end_at, zone, now)
    else:
        assert spans.span(start_at, end_at, zone, now) == spans.Span(start, end)


@given(histories.calendars())
def test_a_range_may_have_400_local_days_and_not_a_second_more(calendar: histories.Calendar):
    zone = zoneinfo.ZoneInfo(calendar.zone)
    day = calendar.day + spec_days.DAY
    start_at, last = day.isoformat(), (day + spec_days.DAY * 399).isoformat()
    start, end = spec_days.period(start_at, last, calendar.zone, 0)

    assert spans.span(start_at, last, zone, 0) == spans.Span(start, end)
    with pytest.raises(spans.BadSpan):
        spans.span(start_at, spec_days.shown(end + 1000), zone, 0)


@given(histories.calendars(), st.integers(-400, 400))
def test_a_day_begins_and_lasts_as_the_specification_says(calendar: histories.Calendar, number: int):
    zone = zoneinfo.ZoneInfo(calendar.zone)
    day = calendar.day + spec_days.DAY * number
    start, end = spec_days.midnight(day, calendar.zone), spec_days.midnight(day + spec_days.DAY, calendar.zone)

    assert (spans.midnight(day, zone), spans.midnight(day + spec_days.DAY, zone)) == (start, end)
    for at in (start, end - 1, (start + end) // 2):
        assert spans.day_of(at, zone) == spec_days.day_of(at, calendar.zone) == day


# -- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(histories.drawn())
def test_buckets_tile_the_range_and_add_up(drawn: Drawn):
    asked = drawn.asked
    times = Figures(drawn.history, asked).times()
    edges = spec_days.buckets(asked.start, asked.end, asked.zone)

    assert [edges[0][1], *(end for _, _, end in edges)] == [*(start for _, start, _ in edges), asked.end]
    assert sum(bucket["total_duration"] for bucket in times["histories"]) == times["total_learning_duration"]
    for position, detail in enumerate(times["details"]):
        engaged = [bucket["segments"][position]["engaged_duration"] for bucket in times["histories"]]
        assert sum(engaged) == detail["engaged_duration"]


@pytest.mark.slow
@given(histories.drawn())
def test_types_together_are_never_less_than_their_union_nor_one_more_than_it(drawn: Drawn):
    times = Figures(drawn.history, drawn.asked).times()

    for bucket in times["histories"]:
        engaged = [segment["engaged_duration"] for segment in bucket["segments"]]
        assert max(engaged) <= bucket["total_duration"] <= sum(engaged)
    for shorter, longer in pairwise(
        [0, times["total_learning_duration"], (drawn.asked.end - drawn.asked.start) // 1000]
    ):
        assert shorter <= longer


@pytest.mark.slow
@given(histories.drawn())
def test_no_row_counts_more_than_it_offers_and_rows_add_up(drawn: Drawn):
    figures = Figures(drawn.history, drawn.asked)
    offered, attended, late, absent = (entry["value"] for entry in figures.attendance()["summary"]["data"])
    rows = figures.overview()["overview"]

    assert late <= attended <= offered >= attended + absent
    assert sum(row["total_offered"] for row in rows) == offered
    assert sum(row["total_attended"] for row in rows) == attended
    assert sum(row["total_absent"] for row in rows) == absent
    event(
        f"attended {min(attended, 2)} of {min(offered, 3)}, late {late > 0}, streak {any(r['is_sticky'] for r in rows)}"
    )


@pytest.mark.slow
@given(histories.drawn(), st.randoms(use_true_random=False))
def test_the_order_and_the_repetition_of_facts_change_nothing(drawn: Drawn, random: Any):
    history = drawn.history
    presences, segments = [*history.presences, *history.presences[:2]], [*history.segments, *history.segments[:2]]
    classes, enrolments = list(history.classes), list(history.enrolments)
    for facts in (presences, segments, classes, enrolments):
        random.shuffle(facts)
    other = replace(
        history,
        presences=tuple(presences),
        segments=tuple(segments),
        classes=tuple(classes),
        enrolments=tuple(enrolments),
    )
    told, again = Figures(history, drawn.asked), Figures(other, drawn.asked)

    assert again.times() == told.times()
    assert again.activities() == told.activities()
    assert again.overview() == told.overview()
