"""Ranges of time and the local days in them (learning-api.md, "range", "days and weeks", reading 5).

A day begins at the first instant whose date it is. Where the clock skips midnight that is the instant of the skip, and
a day that a zone never had is empty. Ranges are half-open and whole seconds (reading 1).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from protocol import loose

DEFAULT_DAYS: Final = 30
DAYS_MAX: Final = 400

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# In a query an unescaped `+` arrives as a space.
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,30})?)([Zz]|[+ -][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)


class Span(msgspec.Struct, frozen=True):
    """[start, end), Unix ms, whole seconds."""

    start: int
    end: int


class Day(msgspec.Struct, frozen=True):
    """A local day, or what a span holds of it: [start, end)."""

    day: date
    start: int
    end: int


class BadSpan(Exception):
    """What was asked for is no range; `name` is the parameter at fault."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name
        self.why = why


class _Edge(msgspec.Struct, frozen=True):
    """An end of a range: `at` Unix ms, `day` where it is the beginning of a local day by its date."""

    at: int
    day: date | None


def span(start_at: str | None, end_at: str | None, zone: tzinfo, now: int) -> Span:
    """The range that was asked for. Raises `BadSpan`."""
    start = None if start_at is None else _edge("start_at", start_at, zone, 0)
    end = None if end_at is None else _edge("end_at", end_at, zone, 1)
    if end is None and start is None:
        tomorrow = day_of(now, zone) + _DAY
        end = _Edge(midnight(tomorrow, zone), tomorrow)
    if start is None:
        assert end is not None, "one of them is known by now"
        return Span(_shifted(end, -DEFAULT_DAYS, zone), end.at)
    until = _shifted(start, DEFAULT_DAYS, zone) if end is None else end.at
    if until <= start.at:
        raise BadSpan("end_at", "a time after `start_at`")
    if until > _shifted(start, DAYS_MAX, zone):
        raise BadSpan("end_at", f"a range of at most {DAYS_MAX} days")
    return Span(start.at, until)


def day(text: str, zone: tzinfo) -> Day:
    """The local day that is meant: by its date, or by any instant in it. Raises `BadSpan` naming `date`."""
    found = _date("date", text) if _DATE.fullmatch(text) else day_of(_instant("date", text), zone)
    try:
        return Day(found, _in_time("date", midnight(found, zone)), midnight(found + _DAY, zone))
    except OverflowError:
        raise BadSpan("date", "a day from 1970 to 9998") from None


def day_of(at: int, zone: tzinfo) -> date:
    """The local day of an instant: the latest that has begun."""
    found = _local(at, zone).date()
    while midnight(found + _DAY, zone) <= at:
        found += _DAY
    return found


def midnight(when: date, zone: tzinfo) -> int:
    """The instant at which a local day begins. Raises OverflowError, ValueError at the ends of the calendar."""
    return _unix_ms(datetime(when.year, when.month, when.day, tzinfo=zone))


def days(within: Span, zone: tzinfo) -> list[Day]:
    """The local days that a span touches, cut at its ends."""
    found: list[Day] = []
    when = day_of(within.start, zone)
    start = within.start
    while start < within.end:
        when_next = when + _DAY
        end = min(midnight(when_next, zone), within.end)
        if end > start:
            found.append(Day(when, start, end))
        start, when = end, when_next
    return found


def _edge(name: str, text: str, zone: tzinfo, later_days: int) -> _Edge:
    """A bare date stands for the local day: its beginning, or as an end that of the day after."""
    if not _DATE.fullmatch(text):
        return _Edge(_instant(name, text), None)
    try:
        when = _date(name, text) + later_days * _DAY
        return _Edge(_in_time(name, midnight(when, zone)), when)
    except OverflowError:
        raise BadSpan(name, "a time from 1970 to 9998") from None


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadSpan(name, "a day of the calendar") from None


def _instant(name: str, text: str) -> int:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise BadSpan(name, "a date such as 2024-02-07, or a time with its zone such as 2024-02-07T10:00:00Z")
    zone = found[2].replace(" ", "+")
    try:
        return _in_time(name, loose.moment(found[1] + zone) // 1000 * 1000)
    except loose.Unfit:
        raise BadSpan(name, "a time of the calendar, from 1970 to 9998") from None


def _in_time(name: str, at: int) -> int:
    """What every zone can still write."""
    if not 0 <= at <= loose.TIME_MAX_MS - DAYS_MAX * 86_400_000:
        raise BadSpan(name, "a time from 1970 to 9998")
    return at


def _shifted(edge: _Edge, by_days: int, zone: tzinfo) -> int:
    """So many local days later: by the date where the edge is one, else at the same time of day."""
    step = timedelta(days=by_days)
    if edge.day is not None:
        return midnight(edge.day + step, zone)
    return _unix_ms(_local(edge.at, zone) + step)


def _local(at: int, zone: tzinfo) -> datetime:
    return (_EPOCH + at * _MS).astimezone(zone)


def _unix_ms(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MS
