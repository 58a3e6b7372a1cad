"""Offered, attended, late, absent: in sum, by day, by product, by subject (learning-api.md, endpoints 1, 3, 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, tzinfo
from typing import Literal, TypeVar

import msgspec

from actors.figures import rates, spans
from actors.figures.classes import Seen

Outcome = Literal["all", "some", "none", "upcoming"]

K = TypeVar("K")


class Counts(msgspec.Struct, frozen=True):
    """Of some classes. A class that runs may be neither attended nor absent."""

    offered: int = 0
    attended: int = 0
    late: int = 0
    absent: int = 0

    @property
    def rate(self) -> float:
        """Attended of offered, percent (reading 7)."""
        return rates.percent(self.attended, self.offered)


class Day(msgspec.Struct, frozen=True):
    """A local day with an offered class; `start` is the instant at which it begins."""

    start: int
    counts: Counts
    outcome: Outcome
    is_sticky: bool

    @property
    def full(self) -> bool:
        """Every offered class was attended."""
        return self.outcome == "all"


def summary(seen: Iterable[Seen]) -> Counts:
    """In all."""
    offered = attended = late = absent = 0
    for one in seen:
        offered += 1
        attended += one.attended
        late += one.late
        absent += one.absent
    return Counts(offered, attended, late, absent)


def days(seen: Iterable[Seen], zone: tzinfo, *, full_before: bool = False) -> list[Day]:
    """By local day, oldest first. `full_before`: the last earlier day with an offered class was attended in full."""
    found: list[Day] = []
    for when, classes in sorted(_grouped(seen, lambda one: _day(one, zone)).items()):
        outcome = _outcome(classes)
        full_before = found[-1].full if found else full_before
        sticky = full_before and outcome == "all"
        found.append(Day(spans.midnight(when, zone), summary(classes), outcome, sticky))
    return found


def _day(seen: Seen, zone: tzinfo) -> date:
    start = seen.cls.start_at
    assert start is not None, "an offered class has a start"
    return spans.day_of(start, zone)


def _outcome(seen: list[Seen]) -> Outcome:
    """Reading 8."""
    attended = sum(one.attended for one in seen)
    if attended:
        return "all" if attended == len(seen) else "some"
    return "none" if any(one.ended for one in seen) else "upcoming"


def by_product(seen: Iterable[Seen]) -> list[tuple[str, Counts]]:
    """By id: numbers first, in the order of numbers."""
    grouped = _grouped(seen, lambda one: one.cls.product_id or "")
    return [(key, summary(grouped[key])) for key in sorted(grouped, key=_rank)]


def by_subject(seen: Iterable[Seen]) -> list[tuple[str, Counts]]:
    """By name; `""` for classes without one."""
    grouped = _grouped(seen, lambda one: one.cls.subject or "")
    return [(key, summary(grouped[key])) for key in sorted(grouped)]


def _rank(key: str) -> tuple[int, int, str]:
    return (0, int(key), key) if key.isascii() and key.isdigit() else (1, 0, key)


def _grouped(seen: Iterable[Seen], key: Callable[[Seen], K]) -> dict[K, list[Seen]]:
    grouped: dict[K, list[Seen]] = {}
    for one in seen:
        grouped.setdefault(key(one), []).append(one)
    return grouped
