"""Histories that chance meets too rarely: each is the one that gives a certain mistake away (`mutants.toml`)."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from tests.machines.builders import INTERVAL, MIN, SEC
from tests.machines.spec import DAY, Happened, Message, Told


def _one(seq: int, at: int, position: int) -> Told:
    return Told(seq, at, position, playing=True, rate=Fraction(1))


def _heartbeats(moves: list[tuple[int, int, int]], intervals: dict[int, int] | None = None) -> list[Message]:
    """One message a sample, from (client clock, received, position)."""
    told = intervals or {}
    return [
        Message(received, at, (_one(seq, at, position),), told.get(seq, 0))
        for seq, (at, received, position) in enumerate(moves, start=1)
    ]


TEN_PERCENT_TOO_FAST: Final = _heartbeats([(n * INTERVAL, n * INTERVAL, n * 11 * SEC) for n in range(12)])
KEPT_FOR_A_DAY: Final = [Message(DAY, DAY, (_one(1, 0, 0), _one(2, INTERVAL, INTERVAL)))]
A_SMALLER_INTERVAL_IS_TOLD: Final = _heartbeats(
    [(0, 0, 0), (INTERVAL, INTERVAL, INTERVAL), (MIN, MIN, MIN)], {1: 2 * INTERVAL, 2: INTERVAL}
)
# A clock set back by 5 s; its witnesses differ by what the network took, and the fastest is believed.
CLOCK_SET_BACK: Final = _heartbeats(
    [
        (0, 0, 0),
        (5 * SEC, 10 * SEC, 10 * SEC),
        (10 * SEC, 15_400, 15 * SEC),
        (15 * SEC, 20_200, 20 * SEC),
        (25 * SEC, 31 * SEC, 30 * SEC),
        (35 * SEC, 40 * SEC, 40 * SEC),
    ]
)

IN_GRACE_AS_THE_WINDOW_OPENS: Final = [
    Happened(-16 * MIN, "connect", "a", "a1"),
    Happened(-15 * MIN - 5 * SEC, "drop", "a", "a1", evidence=-15 * MIN - 5 * SEC),
]
KEPT_ACROSS_THE_END: Final = [
    Happened(0, "connect", "a", "a1"),
    Happened(SEC, "leave", "a", "a1"),
    Happened(MIN, "end", evidence=MIN),
    Happened(80 * SEC, "post", "a", "ah0", samples=(50 * SEC, 70 * SEC)),
]
THE_LAST_TO_LAPSE_WAS_NOT_THE_LAST: Final = [
    Happened(0, "connect", "a", "a1"),
    Happened(0, "connect", "b", "b1"),
    Happened(6 * MIN + 10 * SEC, "drop", "a", "a1", evidence=5 * MIN + 30 * SEC),
    Happened(6 * MIN + 15 * SEC, "leave", "b", "b1"),
]
PROOFS_THAT_GROW: Final = [
    Happened(0, "start"),
    Happened(10 * MIN, "post", "a", "ah0", samples=(10 * SEC, 20 * SEC)),
    Happened(10 * MIN + 1, "post", "a", "ah0", samples=(30 * SEC, 40 * SEC)),
]
