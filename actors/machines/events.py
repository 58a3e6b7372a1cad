"""What happens to an actor. Every input that changes durable facts is one of these, and is what the journal keeps.

Arrays with integer tags: a heartbeat is some 40 bytes in the journal before compression. Tags are for ever: an old
journal must be readable by a newer server, so a tag is never reused and fields are only ever appended, with defaults.
"""

from __future__ import annotations

from typing import Literal

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
    prior: list[int] = []
    """What earlier sessions of the learner have covered, as `ranges`, where the door answers with it."""
    completed: bool = False
    """The learner has completed the content before."""


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


class Reported(Event, frozen=True, tag=5):
    """A simple heartbeat: where the playhead is, now. Its time is its reception, its number the machine's own."""

    position: int
    state: int
    rate: float = 1.0
    duration: int | None = None
    told_at: int = -1
    """The client's own time stamp, Unix ms, -1 for none: it only tells repeats and what was overtaken on its way."""
    ended: bool = False
    interval: int = 0


class Placed(Event, frozen=True, tag=6):
    """Samples whose times are server time already and which are numbered by them: they may come in any order.

    `lag`, `since`: it turned out that all from this number on were so much earlier than their number says.
    """

    samples: list[Sample]
    interval: int
    lag: int = 0
    since: int = 0


# -- a room -----------------------------------------------------------------------------------------------------------


class Incarnated(Event, frozen=True, tag=20):
    """An actor for this room came to life: connections of the one before are gone, its diffs count anew."""


class Scheduled(Event, frozen=True, tag=21):
    """The time-table speaks: `PUT /api/v1/rooms/{id}`, or the catalog."""

    name: str | None
    scheduled_start: int | None
    scheduled_end: int | None
    product_id: str | None
    revived: bool = False
    """Whoever had cancelled the class has it be again."""
    keeps_product: bool = False
    """Nothing is said of the product: it stays as it is."""


class Started(Event, frozen=True, tag=22):
    """The class begins at `at`."""

    at: int
    source: str


class Finished(Event, frozen=True, tag=23):
    """The class is over at `at`."""

    at: int
    source: str
    start_at: int | None = None
    """When the class had begun, where the one who ends it knows better."""


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


class RoomPlaced(Event, frozen=True, tag=32):
    """As `Placed`, for a room. `fresh_id` is the session to begin where `session_id` is none, or over."""

    user_id: str
    role: str
    name: str | None
    device_id: str
    session_id: str | None
    fresh_id: str
    samples: list[Sample]
    interval: int
    lag: int = 0
    since: int = 0


# -- a room, told by the conference server (plugnmeet.md) -------------------------------------------------------------
#
# A conference session (`sid`) is one run of a room there; a class may have several. `at` is the event's own time, Unix
# ms, at most a minute ahead of reception. Any of these may come in any order, late, twice, or never.


class SessionTold(Event, frozen=True, tag=40):
    """A conference session was created, started or ended."""

    sid: str
    phase: Literal["created", "started", "ended"]
    at: int
    began_at: int | None = None
    """When the session was created, where the message says so; it only helps to place the session in time."""
    breakout: bool = False
    """A breakout room of this class: its end is not the class's."""
    title: str | None = None


class ParticipantJoined(Event, frozen=True, tag=41):
    """A participant came. `at` is when they joined, `told_at` when the message was made."""

    sid: str
    participant_sid: str
    identity: str
    at: int
    told_at: int
    name: str | None = None
    moderator: bool = False
    telephone: bool = False
    hidden: bool = False
    """No learner: a hidden participant; remembered, since later messages may not say so."""
    breakout: bool = False


class ParticipantLeft(Event, frozen=True, tag=42):
    """A participant went at `at`; `joined_at` where the message says so."""

    sid: str
    participant_sid: str
    identity: str
    at: int
    joined_at: int | None = None
    reason: str | None = None
    """`CLIENT_INITIATED`, `DUPLICATE_IDENTITY`, ... (plugnmeet.md, reading 10)."""
    name: str | None = None
    moderator: bool = False
    telephone: bool = False
    hidden: bool = False
    breakout: bool = False


class TrackTold(Event, frozen=True, tag=43):
    """A camera, microphone or screen was switched on (`published`) or off."""

    sid: str
    participant_sid: str
    identity: str
    track_sid: str
    device: Literal["camera", "microphone", "screen", ""]
    """Empty where the message does not say: an unpublished track is known by its `track_sid`."""
    published: bool
    at: int
    breakout: bool = False


class RecordingTold(Event, frozen=True, tag=44):
    """A recording or a stream to elsewhere began or ended. `failure` says why it did not."""

    sid: str
    record_id: str
    kind: Literal["recording", "rtmp"]
    started: bool
    at: int
    failure: str | None = None


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A participant as the conference server's own list has them. `user_id` where it knows another than `identity`."""

    participant_sid: str
    identity: str
    joined_at: int
    name: str | None = None
    moderator: bool = False
    telephone: bool = False
    user_id: str | None = None


class Polled(Event, frozen=True, tag=45):
    """The conference server was asked who is there, at `at`. Not `active`: it knows no such session (`sid` empty)."""

    sid: str
    at: int
    active: bool
    seen: list[Seen] = []


class UserFigures(msgspec.Struct, frozen=True, array_like=True):
    """What the analytics of a conference session say of one user; `user_id` where known beside `identity`."""

    identity: str
    user_id: str | None
    talk_ms: int
    hand_raises: int
    polls_answered: int


class Analysed(Event, frozen=True, tag=46):
    """The analytics of a conference session came, once per artifact."""

    artifact_id: str
    users: list[UserFigures]


# -- a room, told by other systems ------------------------------------------------------------------------------------


class Witnessed(Event, frozen=True, tag=50):
    """Another system saw the learner in class from `start` to `end`."""

    user_id: str
    start: int
    end: int


# -- a learner's right ------------------------------------------------------------------------------------------------


class Forgotten(Event, frozen=True, tag=60):
    """Nothing is to be known of this learner any more; of a watch session, that it is theirs."""

    user_id: str


WatchEvent = Tick | Opened | Resumed | Sampled | Left | Reported | Placed | Forgotten
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
    | RoomPlaced
    | Interacted
    | SessionTold
    | ParticipantJoined
    | ParticipantLeft
    | TrackTold
    | RecordingTold
    | Polled
    | Analysed
    | Witnessed
    | Forgotten
)
AnyEvent = WatchEvent | RoomEvent
