"""Days, weeks or months of a range, with their labels (learning-api.md, endpoint 2, reading 6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, tzinfo
from typing import Final, Literal

import msgspec

from actors.figures import spans
from actors.figures.spans import Day, Span

DAYS_UP_TO: Final = 14
RUNS_UP_TO: Final = 92
RUN_DAYS: Final = 7


class Bucket(msgspec.Struct, frozen=True):
    """[start, end), Unix ms, from the local day `first` to the local day `last`, both in it."""

    kind: Literal["days", "month"]
    first: date
    last: date
    start: int
    end: int


def buckets(within: Span, zone: tzinfo) -> list[Bucket]:
    """They tile the range: all cut at local midnights, the first and the last at its ends."""
    days = spans.days(within, zone)
    if len(days) > RUNS_UP_TO:
        return _months(days)
    run = 1 if len(days) <= DAYS_UP_TO else RUN_DAYS
    return [_bucket("days", days[at : at + run]) for at in range(0, len(days), run)]


def _months(days: list[Day]) -> list[Bucket]:
    months: dict[tuple[int, int], list[Day]] = {}
    for one in days:
        months.setdefault((one.day.year, one.day.month), []).append(one)
    return [_bucket("month", those) for those in months.values()]


def _bucket(kind: Literal["days", "month"], days: list[Day]) -> Bucket:
    return Bucket(kind, days[0].day, days[-1].day, days[0].start, days[-1].end)


def label(bucket: Bucket, months: Sequence[str]) -> str:
    """`Jan 3`, `Jan 1-7`, `Jan 29-Feb 4`, `Jan 2024`; `months` are the twelve names of a language."""
    first, last = bucket.first, bucket.last
    name = months[first.month - 1]
    if bucket.kind == "month":
        return f"{name} {first.year}"
    if first == last:
        return f"{name} {first.day}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{name} {first.day}-{last.day}"
    return f"{name} {first.day}-{months[last.month - 1]} {last.day}"
