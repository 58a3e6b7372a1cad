"""Values of a statement, each to one typed form: a reader returns it, or raises `Unfit` with the reason in words."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from protocol import limits, loose
from protocol.loose import Unfit
from protocol.xapi import profile, segments

MAILTO: Final = "mailto:"

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f]+")
_SPEED: Final = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,9})?) *[xX]?", re.ASCII)
_UNSIGNED_ZONE: Final = re.compile(r"-00(?::?00)?")
_ZONE: Final = re.compile(r"([+-][0-9]{2})(?::?([0-9]{2}))?", re.ASCII)


def _storable(value: Any, most: int) -> str:  # noqa: ANN401
    if type(value) is not str:
        raise Unfit("not text")
    if not 1 <= len(value) <= most:
        raise Unfit(f"not from 1 to {most} characters")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Unfit("holds a character that cannot be kept")
    return value


def iri(value: Any) -> str:  # noqa: ANN401
    """An absolute IRI, no longer than one is kept. Raises `Unfit`."""
    found = _storable(value, profile.IRI_CHARS)
    if _SCHEME.fullmatch(found) is None:
        raise Unfit("not an IRI with its scheme")
    return found


def uuid(value: Any) -> str:  # noqa: ANN401
    """A UUID in its usual spelling, in small letters. Raises `Unfit`."""
    if type(value) is not str or _UUID.fullmatch(value.lower()) is None:
        raise Unfit("not a UUID")
    return value.lower()


def moment(value: Any) -> int:  # noqa: ANN401
    """ISO 8601 as Unix ms; without a zone it is UTC. Raises `Unfit`."""
    if type(value) is not str:
        raise Unfit("not text")
    day, time = value[:10], value[10:]
    zone = _ZONE.search(time)
    if zone is not None and zone.end() == len(time):
        if _UNSIGNED_ZONE.fullmatch(zone[0]):
            raise Unfit("the zone -00:00 is none (xAPI 1.0.3, Data 4.2.7)")
        time = f"{time[: zone.start()]}{zone[1]}:{zone[2] or '00'}"
    if not time[:1].upper() == "T":
        raise Unfit("not a time such as 2024-02-07T10:00:00Z")
    return loose.moment(day + time)


def version(value: Any) -> str:  # noqa: ANN401
    if type(value) is not str or profile.spoken(value) is None:
        raise Unfit("neither 1.0.x nor 2.0.x")
    return value


def seconds(value: Any) -> int | None:  # noqa: ANN401
    """A playhead or a length in ms; `""`, which some players send before they know, is absent."""
    if value == "":
        return None
    if type(value) is str:
        return segments.milliseconds(value.strip())
    if type(value) is int:
        found = Decimal(value)
    elif type(value) is float and isfinite(value):
        found = Decimal(repr(value))
    else:
        raise Unfit("not a number of seconds")
    if found < 0:
        raise Unfit("negative")
    return segments.milliseconds(str(found))


def played(value: Any) -> list[int]:  # noqa: ANN401
    if type(value) is not str:
        raise Unfit("not text")
    return segments.parse(value)


def mailbox(value: Any) -> str:  # noqa: ANN401
    found = _storable(value, limits.ID_CHARS + len(MAILTO))
    if not found.lower().startswith(MAILTO) or len(found) == len(MAILTO):
        raise Unfit("not mailto: and an address")
    return found[len(MAILTO) :]


def name(value: Any) -> str | None:  # noqa: ANN401
    if value == "":
        return None
    return _storable(str(value) if type(value) is int else value, limits.ID_CHARS)


def rate(value: Any) -> float | None:  # noqa: ANN401
    """`1.5x`, `"1.5"` or 1.5; what cannot be a rate is passed over."""
    if type(value) is str:
        found = _SPEED.fullmatch(value.strip())
        value = float(found[1]) if found is not None else None
    if type(value) not in (int, float):
        return None
    return float(value) if 0 < value <= limits.RATE_MAX else None


def progress(value: Any) -> float | None:  # noqa: ANN401
    """A claim, kept where it is a share at all."""
    return float(value) if type(value) in (int, float) and 0 <= value <= 1 else None
