"""Ranges, days and buckets: where a day begins, what a bare date means, what each bucket is called (readings 5, 6)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from actors.figures import buckets, spans
from actors.figures.spans import BadSpan, Span

UTC_ZONE = ZoneInfo("UTC")
DHAKA = ZoneInfo("Asia/Dhaka")
BERLIN = ZoneInfo("Europe/Berlin")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_707_300_000_000  # 2024-02-07T10:00:00Z


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def said(span: Span) -> tuple[str, str]:
    return said_at(span.start), said_at(span.end)


def said_at(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_a_bare_date_as_the_end_includes_that_day():
    assert said(spans.span("2024-02-01", "2024-02-07", UTC_ZONE, NOW)) == ("2024-02-01 00:00:00", "2024-02-08 00:00:00")


def test_a_bare_date_is_a_day_of_the_zone():
    assert said(spans.span("2024-02-07", "2024-02-07", DHAKA, NOW)) == ("2024-02-06 18:00:00", "2024-02-07 18:00:00")


def test_a_time_as_the_end_is_not_in_the_range():
    found = spans.span("2024-02-07T00:00:00Z", "2024-02-07T12:00:00+06:00", UTC_ZONE, NOW)
    assert said(found) == ("2024-02-07 00:00:00", "2024-02-07 06:00:00")


def test_ends_are_floored_to_the_second():
    found = spans.span("2024-02-07T00:00:00.999Z", "2024-02-07T00:00:01.001Z", UTC_ZONE, NOW)
    assert (found.start % 1000, found.end - found.start) == (0, 1000)


def test_a_plus_that_became_a_space_is_a_plus():
    assert spans.span("2024-02-07T00:00:00 06:00", None, UTC_ZONE, NOW).start == at("2024-02-06 18:00")


def test_nothing_given_is_thirty_days_that_end_with_today():
    assert said(spans.span(None, None, DHAKA, at("2024-02-07 17:59"))) == ("2024-01-08 18:00:00", "2024-02-07 18:00:00")
    assert said(spans.span(None, None, DHAKA, at("2024-02-07 18:00"))) == ("2024-01-09 18:00:00", "2024-02-08 18:00:00")


def test_one_end_given_is_thirty_days_from_or_to_it():
    assert said(spans.span("2024-02-01", None, UTC_ZONE, NOW)) == ("2024-02-01 00:00:00", "2024-03-02 00:00:00")
    assert said(spans.span(None, "2024-03-01", UTC_ZONE, NOW)) == ("2024-02-01 00:00:00", "2024-03-02 00:00:00")
    assert said(spans.span("2024-02-01T10:00:00Z", None, UTC_ZONE, NOW)) == (
        "2024-02-01 10:00:00",
        "2024-03-02 10:00:00",
    )


def test_thirty_local_days_are_not_always_720_hours():
    spring = spans.span("2024-03-15", None, BERLIN, NOW)
    assert spring.end - spring.start == 30 * DAY - HOUR


def test_today_counts_by_dates_where_midnight_is_skipped():
    assert said(spans.span(None, None, SAO_PAULO, at("2018-11-04 02:59"))) == (
        "2018-10-05 03:00:00",
        "2018-11-04 03:00:00",
    )


def test_four_hundred_days_are_allowed_and_no_second_more():
    assert spans.span("2023-01-01", "2024-02-04", UTC_ZONE, NOW).end == at("2024-02-05 00:00")
    for end in ("2024-02-05", "2024-02-05T00:00:01Z"):
        with pytest.raises(BadSpan) as refused:
            spans.span("2023-01-01", end, UTC_ZONE, NOW)
        assert refused.value.name == "end_at"


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        ("2024-02-07T10:00:00Z", "2024-02-07T10:00:00Z", "end_at"),
        ("2024-02-08", "2024-02-07", "end_at"),
        ("2024-02-07T10:00:00", None, "start_at"),
        ("2024-2-7", None, "start_at"),
        ("1707300000", None, "start_at"),
        ("1969-12-31", None, "start_at"),
        (None, "9999-12-31", "end_at"),
        (None, "2024-02-30", "end_at"),
        (None, "2024-02-07T24:00:01Z", "end_at"),
        (None, "", "end_at"),
    ],
)
def test_what_is_no_range_is_named(start: str | None, end: str | None, name: str):
    with pytest.raises(BadSpan) as refused:
        spans.span(start, end, UTC_ZONE, NOW)
    assert refused.value.name == name


# -- days -------------------------------------------------------------------------------------------------------------


def test_a_day_begins_where_its_date_begins():
    assert spans.day_of(at("2024-02-07 17:59"), DHAKA) == date(2024, 2, 7)
    assert spans.day_of(at("2024-02-07 18:00"), DHAKA) == date(2024, 2, 8)


def test_a_day_of_the_change_to_summer_time_has_23_hours_and_back_25():
    spring = spans.days(spans.span("2024-03-31", "2024-03-31", BERLIN, NOW), BERLIN)
    autumn = spans.days(spans.span("2024-10-27", "2024-10-27", BERLIN, NOW), BERLIN)
    assert [one.end - one.start for one in spring + autumn] == [23 * HOUR, 25 * HOUR]


def test_a_day_without_a_midnight_begins_at_one():
    assert said_at(spans.midnight(date(2018, 11, 4), SAO_PAULO)) == "2018-11-04 03:00:00"
    assert spans.day_of(at("2018-11-04 02:59"), SAO_PAULO) == date(2018, 11, 3)
    assert spans.day_of(at("2018-11-04 03:00"), SAO_PAULO) == date(2018, 11, 4)


def test_a_day_that_a_zone_never_had_is_no_day():
    apia = ZoneInfo("Pacific/Apia")
    found = spans.days(spans.span("2011-12-29", "2011-12-31", apia, NOW), apia)
    assert [one.day.day for one in found] == [29, 31]


def test_where_the_clock_falls_back_over_midnight_days_still_tile():
    zone = ZoneInfo("America/St_Johns")
    within = spans.span("2010-11-05", "2010-11-09", zone, NOW)
    found = spans.days(within, zone)
    assert (found[0].start, found[-1].end) == (within.start, within.end)
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(spans.day_of(one.start, zone) == spans.day_of(one.end - 1, zone) == one.day for one in found)


def test_a_day_is_meant_by_its_date_or_by_any_instant_in_it():
    by_date = spans.day("2024-02-07", DHAKA)
    assert by_date == spans.day("2024-02-06T18:00:00.000Z", DHAKA) == spans.day("2024-02-07T17:59:59Z", DHAKA)
    for text in ("2024-02-30", "x", "9999-12-31", "0001-01-01"):
        with pytest.raises(BadSpan) as refused:
            spans.day(text, DHAKA)
        assert refused.value.name == "date"


# -- buckets ----------------------------------------------------------------------------------------------------------


def labels(start: str, end: str) -> list[str]:
    found = buckets.buckets(spans.span(start, end, UTC_ZONE, NOW), UTC_ZONE)
    return [buckets.label(one, MONTHS) for one in found]


def test_up_to_14_days_each_is_a_bucket():
    assert labels("2024-01-03", "2024-01-05") == ["Jan 3", "Jan 4", "Jan 5"]
    assert len(labels("2024-01-01", "2024-01-14")) == 14


def test_from_15_days_on_runs_of_seven():
    assert labels("2024-01-01", "2024-01-15") == ["Jan 1-7", "Jan 8-14", "Jan 15"]
    assert labels("2024-01-22", "2024-02-07") == ["Jan 22-28", "Jan 29-Feb 4", "Feb 5-7"]
    assert labels("2023-12-25", "2024-01-10")[0] == "Dec 25-31"


def test_up_to_92_days_runs_and_then_months():
    assert len(labels("2024-01-01", "2024-04-01")) == 14
    assert labels("2024-01-01", "2024-04-02") == ["Jan 2024", "Feb 2024", "Mar 2024", "Apr 2024"]
    assert labels("2023-12-31", "2024-04-30")[:2] == ["Dec 2023", "Jan 2024"]


def test_a_second_of_a_fifteenth_day_makes_runs():
    assert len(labels("2024-01-01T23:59:59Z", "2024-01-14T00:00:01Z")) == 14
    assert labels("2024-01-01T23:59:59Z", "2024-01-15T00:00:01Z")[-1] == "Jan 15"


@pytest.mark.parametrize("zone", [UTC_ZONE, DHAKA, BERLIN, SAO_PAULO])
@pytest.mark.parametrize("end", ["2018-11-06T05:06:07Z", "2018-12-05T05:06:07Z", "2019-11-05T05:06:07Z"])
def test_buckets_tile_the_range(zone: ZoneInfo, end: str):
    within = spans.span("2018-10-30T01:02:03Z", end, zone, NOW)
    found = buckets.buckets(within, zone)

    assert (found[0].start, found[-1].end) == (within.start, within.end)
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(one.start == spans.midnight(one.first, zone) for one in found[1:])
