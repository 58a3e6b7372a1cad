"""Where a playhead is between two words about it: asked of the player, or worked out from rate and time. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from protocol import limits
from protocol.types import PlayState

Position = float | Callable[[], float]
"""Seconds into the media, or a function that tells them."""


class Playhead:
    """Nobody has said anything of it while `state` is None. Times are seconds of any even clock."""

    def __init__(self) -> None:
        self.state: PlayState | None = None
        self.rate = 1.0
        self.visible = True
        self._ask: Callable[[], float] | None = None
        self._base = 0.0
        self._since = 0.0

    @property
    def asks(self) -> bool:
        """Whether the position is asked of the player."""
        return self._ask is not None

    def turn(self, state: PlayState, position: Position | None, rate: float | None, now: float) -> float:
        """From now on `state`, at `position` and `rate` where they are told, else where and as fast as it was.

        Returns where that is. Raises `ValueError`, and whatever the player's own function raises; then nothing changed.
        """
        if rate is not None and not (isfinite(rate) and 0 < rate <= limits.RATE_MAX):
            message = f"rate is over 0 and up to {limits.RATE_MAX}, not {rate}"
            raise ValueError(message)
        ask = position if callable(position) else None if position is not None else self._ask
        base = checked(position if isinstance(position, float | int) else ask() if ask else self.position(now))
        self._ask, self._base, self._since, self.state = ask, base, now, state
        if rate is not None:
            self.rate = rate
        return base

    def position(self, now: float) -> float:
        """Seconds into the media. Raises as `turn`."""
        if self._ask is not None:
            return checked(self._ask())
        moving = self.state == "playing"
        return self._base + ((now - self._since) * self.rate if moving else 0.0)


def checked(position: float) -> float:
    """A position that the server would take. Raises `ValueError`."""
    if not (isfinite(position) and 0 <= position <= limits.POSITION_SECONDS_MAX):
        message = f"a position is 0 s or more, not {position}"
        raise ValueError(message)
    return float(position)
