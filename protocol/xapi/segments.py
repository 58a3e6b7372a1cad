"""`played-segments`: what a player says it has played, in seconds of the content.

    played-segments = part *( "[,]" part )
    part            = from "[.]" to          played from there to there, where `to` is behind `from`
                    | "" | from | from "[.]" | "[.]" to | more than two numbers
                                             proves nothing: empty, still open, not to be told apart

Real players write all of these: an open start while they play, nothing before the first pause, a second end where pause
and seek come together. Numbers are exact decimals, rounded half-up to the millisecond.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from protocol import limits
from protocol.loose import Unfit
from protocol.xapi.profile import PARTS_MAX

BETWEEN_PARTS: Final = "[,]"
WITHIN_PART: Final = "[.]"
MOST_MS: Final = round(limits.POSITION_SECONDS_MAX * 1000)
"""Behind any content: what lies there is clipped to nothing."""

_PLAIN: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{0,40}))?", re.ASCII)
_NUMBER: Final = re.compile(
    r"([+-]?)((?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?)", re.ASCII
)
_MS_DIGITS: Final = 3
_PAIR: Final = 2


def parse(text: str) -> list[int]:
    """What it proves, as told: `[from, to, from, to, ...]` in ms, in the order of the text. Raises `Unfit`."""
    if len(text) > PARTS_MAX * 100:
        raise Unfit("too long")
    parts = text.split(BETWEEN_PARTS)
    if len(parts) > PARTS_MAX:
        raise Unfit(f"more than {PARTS_MAX} parts")
    proven: list[int] = []
    for part in parts:
        ends = [_ms(number) for number in part.split(WITHIN_PART)]
        if len(ends) == _PAIR:
            start, end = ends
            if start is not None and end is not None and start < end:
                proven += ends  # type: ignore[arg-type]
    return proven


def _ms(text: str) -> int | None:
    """Seconds as ms; None where nothing stands. Raises `Unfit` for what is negative or no number."""
    text = text.strip()
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        whole, fraction = plain.groups()
        if not fraction:
            return min(int(whole) * 1000, MOST_MS)
        ms = int(whole) * 1000 + int(fraction[:_MS_DIGITS].ljust(_MS_DIGITS, "0"))
        return min(ms + (fraction[_MS_DIGITS : _MS_DIGITS + 1] >= "5"), MOST_MS)
    return milliseconds(text) if text else None


def milliseconds(text: str) -> int:
    """A number of seconds, in any spelling of a decimal, as ms. Raises `Unfit`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Unfit(f"not a number of seconds: {text[:40]!r}")
    value = Decimal(found[2])
    if found[1] == "-" and value:
        raise Unfit(f"negative: {text[:40]!r}")
    if value.adjusted() > len(str(MOST_MS)):
        return MOST_MS
    return min(int((value * 1000).to_integral_value(ROUND_HALF_UP)), MOST_MS)


def write(ranges: list[int]) -> str:
    """Flat pairs of ms as the profile writes them."""
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return BETWEEN_PARTS.join(f"{seconds(start)}{WITHIN_PART}{seconds(end)}" for start, end in pairs)


def seconds(ms: int) -> str:
    """Milliseconds as seconds, with no more digits than it needs: 12500 is `12.5`."""
    whole, rest = divmod(ms, 1000)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)
