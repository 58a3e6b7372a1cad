"""What a player within an app tells while somebody watches: drawn by a seed, no clock, no I/O.

A moment is one custom event. Its samples are what it says: one, or the two of a seek. Times are ms from the begin,
playheads ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec

from load_tests.simulate.record import Told
from protocol.types import PlayState

RATES: Final = (1.0, 1.0, 1.25, 1.5, 2.0)


class Moment(msgspec.Struct, frozen=True):
    """One event: when, its name, its payload, and what it says of the playhead."""

    at: int
    name: str
    payload: dict[str, Any]
    samples: tuple[tuple[int, PlayState], ...]
    rate: float

    def told(self, begin: int) -> list[Told]:
        """Its samples as facts; `begin` is true Unix ms."""
        return [
            Told(0, begin + self.at, position / 1000, state, self.rate, visible=True, by_http=True)
            for position, state in self.samples
        ]


class Playhead:
    """Where the media is; every method is a moment of which the server is told."""

    def __init__(self, random: Random, *, duration_ms: int) -> None:
        self._random = random
        self._duration = duration_ms
        self.now = 0
        self.position = random.randrange(0, duration_ms // 4)
        self.state: PlayState = "paused"
        self.rate = 1.0

    def wait(self, ms: int) -> None:
        """Time passes."""
        self.now += ms
        if self.state == "playing":
            self.position += round(ms * self.rate)

    def play(self) -> Moment:
        """The learner presses play."""
        self.state = "playing"
        return self._moment("video_play", {})

    def pause(self) -> Moment:
        """The learner presses pause."""
        self.state = "paused"
        return self._moment("video_pause", {})

    def beat(self) -> Moment:
        """A heartbeat of the interval."""
        return self._moment("heartbeat", {"state": self.state})

    def faster(self) -> Moment:
        """Another rate from now on, told by a heartbeat at once."""
        self.rate = self._random.choice(RATES)
        return self.beat()

    def seek(self) -> Moment:
        """To another place, at least 20 s away: both playheads in one event."""
        before = self.position
        far = [place for place in range(0, self._duration // 2, 1777) if abs(place - before) >= 20_000]
        self.position = self._random.choice(far)
        payload = {"from": before / 1000, "to": self.position / 1000, "state": self.state, "rate": self.rate}
        samples: tuple[tuple[int, PlayState], ...] = ((before, self.state), (self.position, self.state))
        return Moment(self.now, "video_seek", payload, samples, self.rate)

    def end(self) -> Moment:
        """The player says that it has ended."""
        self.state = "ended"
        return self._moment("video_end", {})

    def _moment(self, name: str, told: dict[str, Any]) -> Moment:
        payload = {"position": self.position / 1000, "rate": self.rate, **told, **self._noise()}
        return Moment(self.now, name, payload, ((self.position, self.state),), self.rate)

    def _noise(self) -> dict[str, Any]:
        # `seq` and `at` of a payload mean nothing here (readings 2 and 3), so some players send nonsense.
        noise: list[dict[str, Any]] = [{}, {"seq": 1, "at": 1}, {"visible": True, "seq": None}, {"extra": {"a": [1]}}]
        return {**self._random.choice(noise), "duration": self._duration / 1000}


def watching(random: Random, *, seconds: float, step_s: float, duration_s: int) -> list[Moment]:
    """Somebody watches for so long: five steps in a row first, then whatever comes to them."""
    playhead = Playhead(random, duration_ms=duration_s * 1000)
    found = [playhead.play()]
    for _ in range(5):
        playhead.wait(_around(random, step_s))
        found.append(playhead.beat())
    while playhead.now < seconds * 1000:
        playhead.wait(_around(random, step_s))
        found.extend(_whim(random, playhead))
    playhead.wait(_around(random, step_s))
    found.append(random.choice([playhead.pause, playhead.end])())
    return found


def _around(random: Random, step_s: float) -> int:
    return round(step_s * 1000 * random.uniform(0.6, 1.0))


def _whim(random: Random, playhead: Playhead) -> Iterator[Moment]:
    if playhead.state != "playing":
        yield playhead.play()
        return
    choice = random.random()
    if choice < 0.08:
        yield playhead.pause()
    elif choice < 0.16:
        yield playhead.seek()
    elif choice < 0.24:
        yield playhead.faster()
    else:
        yield playhead.beat()
