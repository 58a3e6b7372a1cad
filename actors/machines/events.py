"""What happens to an actor. Every input that changes durable facts is one of these, and is what the journal keeps.

Arrays with integer tags: a heartbeat is some 40 bytes in the journal before compression. Tags are for ever: an old
journal must be readable by a newer server, so a tag is never reused and fields are only ever appended, with defaults.
"""

from __future__ import annotations

import msgspec

from actors.machines.track import Sample


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Anything that happens."""


class Tick(Event, frozen=True, tag=0):
    """Time passed: a deadline is due."""


# -- a watch session --------------------------------------------------------------------------------------------------


class Opened(Event, frozen=True, tag=1):
    """A learner begins to watch a content; the first event of a watch session."""

    user_id: str
    kind: str
    content_id: str
    device_id: str
    door: str
    interval: int
    duration: int | None = None


class Resumed(Event, frozen=True, tag=2):
    """The learner is back at this session; `duration` where the player knows it now."""

    interval: int
    duration: int | None = None


class Sampled(Event, frozen=True, tag=3):
    """Samples of a watch session. `interval` is the heartbeat interval told with the answer, 0 for none."""

    sent_at: int
    samples: list[Sample]
    interval: int = 0


class Left(Event, frozen=True, tag=4):
    """The learner closed the session on purpose."""


# -- a room -----------------------------------------------------------------------------------------------------------


class Incarnated(Event, frozen=True, tag=20):
    """An actor for this room came to life: connections of the one before are gone, its diffs count anew."""


class Scheduled(Event, frozen=True, tag=21):
    """The time-table speaks: `PUT /api/v1/rooms/{id}`."""

    name: str | None
    scheduled_start: int | None
    scheduled_end: int | None
    product_id: str | None


class Started(Event, frozen=True, tag=22):
    """The class begins at `at`."""

    at: int
    source: str


class Finished(Event, frozen=True, tag=23):
    """The class is over at `at`."""

    at: int
    source: str


class Cancelled(Event, frozen=True, tag=24):
    """The class will not be."""

    at: int


class Joined(Event, frozen=True, tag=25):
    """A learner's player opened a stream. `session_id` is the one to begin, unless `resume` names one that still is."""

    user_id: str
    role: str
    name: str | None
    session_id: str
    resume: str | None
    device_id: str
    metadata: bytes | None
    """JSON, or None where the player told nothing."""
    interval: int


class Described(Event, frozen=True, tag=26):
    """A member changed their metadata (a second `join` on the same connection, reading 11)."""

    session_id: str
    metadata: bytes | None


class Dropped(Event, frozen=True, tag=27):
    """A stream's connection is gone without a word; `evidence` is when it was last heard."""

    session_id: str
    evidence: int


class Departed(Event, frozen=True, tag=28):
    """A stream was left on purpose."""

    session_id: str


class RoomSampled(Event, frozen=True, tag=29):
    """Samples of a stream of the room."""

    session_id: str
    sent_at: int
    samples: list[Sample]
    interval: int = 0


class Posted(Event, frozen=True, tag=30):
    """Samples over HTTP. `fresh_id` is the session to begin where `session_id` is none, over, or does not match."""

    user_id: str
    role: str
    name: str | None
    device_id: str
    session_id: str | None
    fresh_id: str
    sent_at: int
    samples: list[Sample]
    leave: bool
    interval: int


class Interacted(Event, frozen=True, tag=31):
    """A learner took part: poll, quiz, doubt, comment, reaction, raised hand."""

    session_id: str
    kind: str
    id: str | None
    value: bytes | None
    """JSON."""


WatchEvent = Tick | Opened | Resumed | Sampled | Left
RoomEvent = (
    Tick
    | Incarnated
    | Scheduled
    | Started
    | Finished
    | Cancelled
    | Joined
    | Described
    | Dropped
    | Departed
    | RoomSampled
    | Posted
    | Interacted
)
AnyEvent = WatchEvent | RoomEvent
