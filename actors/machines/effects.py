"""What a machine asks of its shell. Effects are data: the shell performs them and decides nothing.

Every answer is held back until the journal has committed the input that it answers, and all before it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Code = Literal["forbidden", "not_found", "unknown_stream", "room_ended", "room_cancelled", "too_old"]


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Anything asked."""


class Journal(Effect, frozen=True):
    """The input changed durable facts: append it. Always the first effect of its list."""


JOURNAL: Final = Journal()


class Acked(Effect, frozen=True):
    """Samples up to `seq` are taken in. `interval` (ms) is a heartbeat interval to tell, 0 for none."""

    session_id: str
    seq: int
    interval: int = 0


class Refused(Effect, frozen=True):
    """The client's fault; nothing changed. `message` names the field."""

    code: Code
    message: str


class SessionOpened(Effect, frozen=True):
    """The answer to a join, watch or post: which session it is and what is known of it."""

    session_id: str
    resumed: bool
    last_seq: int
    position: int
    coverage: float
    late: bool = False


class SessionEnded(Effect, frozen=True):
    """The session is over; a stream that still carries it is closed."""

    session_id: str


class RoomTurned(Effect, frozen=True):
    """The room changed its state."""

    state: Literal["live", "ended", "cancelled"]
    at: int


class DiffDue(Effect, frozen=True):
    """A presence diff is to be sent to all who see the room; it is in `room.diffs`."""


class Taken(Effect, frozen=True):
    """An interaction or a report is taken in."""


class Failed(Effect, frozen=True):
    """Ours: the input crashed the machine twice and was set aside."""

    message: str


class Unplaced(Effect, frozen=True):
    """Told of a conference session outside the class's time: remembered, and the class is as it was.

    Or, where `full` names what the room has too many of (`places.py`), not taken in: nothing changed, and whoever
    brought it keeps it.
    """

    full: str = ""


class Corrected(Effect, frozen=True):
    """A look at the conference server's own list found `count` things that its messages had not told."""

    count: int
