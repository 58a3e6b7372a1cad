"""Values as loose producers write them, to one typed form each (events.md, "Envelope", more readings 3).

A reader takes what JSON gives, never None or `""` (those are absent), and returns the typed value or raises `Unfit`
with the reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final

from protocol import limits

TEXT_CHARS: Final = 256
COUNT_MAX: Final = 2**31 - 1
SECONDS_MAX: Final = limits.POSITION_SECONDS_MAX
EPOCH_MS_FROM: Final = 100_000_000_000
"""An epoch from here on is milliseconds: as seconds it would be the year 5138."""
TIME_MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: beyond it there is no RFC 3339."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_MOMENT: Final = re.compile(
    r"(?P<whole>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,30}))?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_BOOLEANS: Final = {True: True, False: False, "1": True, "0": False, "true": True, "false": False}

Reader = Callable[[Any], Any]


class Unfit(Exception):
    """The value cannot be read; the message is the reason."""


def identifier(value: Any) -> str:  # noqa: ANN401 - JSON
    """An id: `15` and `"15"` are one (learning-api.md, reading 15)."""
    if type(value) is str:
        if len(value) > limits.ID_CHARS:
            raise Unfit(f"an id of more than {limits.ID_CHARS} characters")
        return _storable(value)
    if type(value) is int:
        if not 0 <= value <= limits.INT_MAX:
            raise Unfit("a number that is no id")
        return str(value)
    raise Unfit("not an id: neither text nor a whole number")


def text(value: Any) -> str:  # noqa: ANN401
    """A short text: a platform, a type, a modality."""
    if type(value) is not str:
        raise Unfit("not text")
    if len(value) > TEXT_CHARS:
        raise Unfit(f"more than {TEXT_CHARS} characters")
    return _storable(value)


def label(value: Any) -> str:  # noqa: ANN401
    """A short text that may be written as a whole number."""
    return str(value) if type(value) is int and abs(value) <= limits.INT_MAX else text(value)


def _storable(value: str) -> str:
    if "\0" in value:
        raise Unfit("holds NUL")
    return value


def boolean(value: Any) -> bool:  # noqa: ANN401
    """`true` `1` `"1"` `"true"`, and `false` `0` `"0"` `"false"`; nothing else."""
    found = _BOOLEANS.get(value) if type(value) in (bool, int, str) else None
    if found is None:
        raise Unfit("neither true nor false")
    return found


def number(value: Any) -> float:  # noqa: ANN401
    """A finite number, also as text."""
    if type(value) is str and _NUMBER.fullmatch(value):
        value = float(value)
    elif type(value) is int and abs(value) > limits.INT_MAX:
        raise Unfit("out of range")
    elif type(value) not in (int, float):
        raise Unfit("not a number")
    found = float(value)
    if not isfinite(found) or abs(found) > limits.INT_MAX:
        raise Unfit("out of range")
    return found


def amount(value: Any) -> float:  # noqa: ANN401
    """A number that is not negative."""
    found = number(value)
    if found < 0:
        raise Unfit("negative")
    return found


def seconds(value: Any) -> float:  # noqa: ANN401
    """A duration in seconds."""
    found = amount(value)
    if found > SECONDS_MAX:
        raise Unfit("out of range")
    return found


def seconds_as_ms(value: Any) -> int:  # noqa: ANN401
    """Seconds, a playhead say, as whole milliseconds."""
    return round(seconds(value) * 1000)


def count(value: Any) -> int:  # noqa: ANN401
    """How many: a whole number from 0."""
    found = value if type(value) is int else amount(value)
    if found != int(found):
        raise Unfit("not a whole number")
    if not 0 <= found <= COUNT_MAX:
        raise Unfit("out of range")
    return int(found)


def moment(value: Any) -> int:  # noqa: ANN401
    """A time as Unix ms: RFC 3339 (no zone: UTC), or an epoch in seconds or milliseconds."""
    if type(value) is str:
        written = _MOMENT.fullmatch(value)
        found = _number_or(value, "not a time") if written is None else _written(written)
    elif type(value) is int or type(value) is float:
        found = _epoch(value)
    else:
        raise Unfit("not a time")
    if not 0 <= found <= TIME_MAX_MS:
        raise Unfit("a time out of range")
    return found


def _number_or(value: str, reason: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise Unfit(reason)
    return _epoch(int(value) if value.isdigit() else float(value))


def _epoch(value: float) -> int:
    if not abs(value) <= TIME_MAX_MS:  # NaN and infinity too
        raise Unfit("a time out of range")
    return int(value if value >= EPOCH_MS_FROM else value * 1000)


def _written(found: re.Match[str]) -> int:
    whole, fraction, zone = found.group("whole", "fraction", "zone")
    leap = whole.endswith(":60")
    if leap:  # RFC 3339 has leap seconds, Python has not: the second after :59
        whole = whole[:-2] + "59"
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        at = datetime.fromisoformat(f"{whole[:10]}T{whole[11:]}{offset}")
    except ValueError as error:
        raise Unfit(f"not a time: {error}") from None
    ms = (at - _EPOCH) // _MS
    if fraction is not None:
        ms += int(fraction[:3].ljust(3, "0"))
    return ms + 1000 if leap else ms
