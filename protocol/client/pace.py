"""How fast a client may speak, so that the server need not close it for speaking too fast (4429). Pure."""

from __future__ import annotations

from typing import Final

from protocol import limits

_SHARE: Final = 0.8
"""Of the server's default rate: clocks differ, and pings and closes take a little of it too."""


class Pace:
    """A bucket of messages: `MESSAGES_BURST` at once, then `MESSAGES_PER_SECOND`, a fifth less of both."""

    def __init__(self, now: float) -> None:
        self._rate = limits.MESSAGES_PER_SECOND * _SHARE
        self._most = self._left = limits.MESSAGES_BURST * _SHARE
        self._at = now

    def slow_down(self) -> None:
        """The server found it too fast: half the rate from now on."""
        self._rate = max(1.0, self._rate / 2)
        self._most = max(1.0, self._most / 2)

    def begin(self, now: float) -> None:
        """A new connection has a full bucket."""
        self._left, self._at = self._most, now

    def wait_s(self, now: float) -> float:
        """Seconds until the next message may go, 0 if at once."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1.0 - self._left) / self._rate)

    def take(self) -> None:
        """A message goes out."""
        self._left -= 1.0
