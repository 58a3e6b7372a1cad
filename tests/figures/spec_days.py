"""Days of a zone, ranges and buckets, the slow way (learning-api.md, common rules and readings 5, 6)."""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from itertools import pairwise
from typing import Final

MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
QUARTER_MS: Final = 15 * 60 * 1000
DAY: Final = dt.timedelta(days=1)
DEFAULT_DAYS: Final = 30
DAILY_UP_TO: Final = 14
WEEKLY_UP_TO: Final = 92
BARE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def shown(at_ms: int) -> str:
    at = dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def local(at_ms: int, zone: str) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms // 1000, zoneinfo.ZoneInfo(zone))


def day_of(at_ms: int, zone: str) -> dt.date:
    return local(at_ms, zone).date()


@functools.lru_cache(10_000)
def midnight(day: dt.date, zone: str) -> int:
    """The first moment of a day: every quarter of an hour around it is tried."""
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    at = int(noon.timestamp()) * 1000 - 28 * 4 * QUARTER_MS
    while day_of(at, zone) < day:
        at += QUARTER_MS
    return at


def days(start: int, end: int, zone: str) -> list[dt.date]:
    """The local days that `[start, end)` touches."""
    day, last = day_of(start, zone), day_of(end - 1, zone)
    return [day + DAY * number for number in range((last - day).days + 1)]


def bound(text: str, zone: str) -> dt.date | dt.datetime:
    if BARE.fullmatch(text):
        return dt.date.fromisoformat(text)
    return dt.datetime.fromisoformat(text).astimezone(zoneinfo.ZoneInfo(zone))


def instant(at: dt.datetime) -> int:
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


def first(at: dt.date | dt.datetime, zone: str) -> int:
    """As a beginning."""
    return instant(at) if isinstance(at, dt.datetime) else midnight(at, zone)


def behind(at: dt.date | dt.datetime, zone: str) -> int:
    """As an end: a bare date includes that whole day."""
    return instant(at) if isinstance(at, dt.datetime) else midnight(at + DAY, zone)


def period(start_at: str | None, end_at: str | None, zone: str, now: int) -> tuple[int, int]:
    """What `start_at` and `end_at` mean, as `[start, end)`."""
    if start_at is None and end_at is None:
        end_at = day_of(now, zone).isoformat()
    start = None if start_at is None else bound(start_at, zone)
    end = None if end_at is None else bound(end_at, zone)
    if start is None:
        assert end is not None
        bare = not isinstance(end, dt.datetime)
        start = end - DAY * (DEFAULT_DAYS - bare)
    elif end is None:
        bare = not isinstance(start, dt.datetime)
        end = start + DAY * (DEFAULT_DAYS - bare)
    return first(start, zone), behind(end, zone)


def day_label(day: dt.date) -> str:
    return f"{MONTHS[day.month - 1]} {day.day}"


def run_label(first_day: dt.date, last_day: dt.date) -> str:
    if first_day == last_day:
        return day_label(first_day)
    same_month = (first_day.year, first_day.month) == (last_day.year, last_day.month)
    return f"{day_label(first_day)}-{last_day.day if same_month else day_label(last_day)}"


def groups(start: int, end: int, zone: str) -> list[list[dt.date]]:
    """The days of each bucket."""
    every = days(start, end, zone)
    if len(every) <= DAILY_UP_TO:
        return [[day] for day in every]
    if len(every) <= WEEKLY_UP_TO:
        return [every[at : at + 7] for at in range(0, len(every), 7)]
    cuts = [0, *(at for at, day in enumerate(every) if at and day.day == 1), len(every)]
    return [every[low:high] for low, high in pairwise(cuts)]


def buckets(start: int, end: int, zone: str) -> list[tuple[str, int, int]]:
    """(label, from, to) of each bucket, in English."""
    monthly = len(days(start, end, zone)) > WEEKLY_UP_TO
    found = []
    for group in groups(start, end, zone):
        label = f"{MONTHS[group[0].month - 1]} {group[0].year}" if monthly else run_label(group[0], group[-1])
        found.append((label, max(start, midnight(group[0], zone)), min(end, midnight(group[-1] + DAY, zone))))
    return found
