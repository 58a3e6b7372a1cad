"""Where a simulated player's playhead is. Pure; milliseconds are integers."""

from __future__ import annotations

from protocol.types import PlayState

JUMP_MIN_MS = 4000
"""A seek is at least this far, either way: clearly beyond what the pair rule allows for (1 s, at any rate up to 2)."""


class Playhead:
    """Moves while playing, at its rate, up to the content's end."""

    def __init__(self, now: int, duration_ms: int | None) -> None:
        self.state: PlayState = "paused"
        self.rate = 1.0
        self.visible = True
        self._duration_ms = duration_ms
        self._at = now
        self._position = 0

    def position_ms(self, now: int) -> int:
        """The playhead at `now`; a content that has played out is `ended` from then on."""
        if self.state == "playing":
            position = self._position + round((now - self._at) * self.rate)
            if self._duration_ms is None or position < self._duration_ms:
                return position
            self._position, self._at, self.state = self._duration_ms, now, "ended"
        return self._position

    def turn(self, now: int, *, state: PlayState | None = None, rate: float | None = None) -> None:
        """Go on with another state or rate from `now` on; a content that has ended stays so."""
        self._position, self._at = self.position_ms(now), now
        if state is not None and self.state != "ended":
            self.state = state
        if rate is not None:
            self.rate = rate

    def jump(self, now: int, by_ms: int) -> None:
        """Seek; where the media ends in that direction, the other way; where it is too short for either, not at all."""
        here = self.position_ms(now)
        for there in (here + by_ms, here - by_ms, here + JUMP_MIN_MS, here - JUMP_MIN_MS):
            if there >= 0 and (self._duration_ms is None or there <= self._duration_ms - 1000):
                self._position, self._at = there, now
                if self.state == "ended":
                    self.state = "playing"
                return

    def stop_clock(self, now: int) -> None:
        """The device is dark: the playhead stands, whatever its state says."""
        self._position, self._at = self.position_ms(now), now

    def start_clock(self, now: int) -> None:
        """The device is back: go on from where it stood."""
        self._at = now
