"""Facts of any age, as `rollcall import` reads them (learning-api.md, "History"): one JSON object a line.

    {"entity": "presence" | "segment" | "attendance", ...}          the forms of this file
    {"entity": "product" | "program" | "live_class" | ...}          the catalog's bulk (`protocol/catalog.py`)
    {"event_name": "liveclass.end" | "quiz_response" | ...}         events as other systems publish them

Times are RFC 3339 with their zone, playheads and durations seconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import catalog, events, limits
from protocol.events_in import ClassBegan, ClassCancelled, Inbound, NotOurs
from protocol.types import Id, LooseId, Name, Rate, Seconds

LINE_BYTES: Final = events.BODY_BYTES
LONGEST_MS: Final = 24 * 3600 * 1000
"""A stretch that is longer was not told by a person's player."""

_NO_NUL: Final = r"\A[^\x00]*\Z"
Moment = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_NUL)]
Device = Annotated[str, Meta(max_length=limits.ID_CHARS, pattern=_NO_NUL)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Presence(msgspec.Struct, frozen=True, tag_field="entity", tag="presence"):
    """A learner was in a class from `joined_at` to `left_at`. Key: class, learner, `joined_at`, source, device."""

    live_class_id: LooseId
    user_id: LooseId
    joined_at: Moment
    left_at: Moment
    source: Word = "import"
    device_id: Device = ""
    name: Name | None = None
    role: Word = "learner"
    disconnect_reason: Word | None = None


class Attended(msgspec.Struct, frozen=True, tag_field="entity", tag="attendance"):
    """The figures of a learner in a class where an older system kept nothing else. Key: class, learner.

    Presence is taken as one stretch from `first_join` on.
    """

    live_class_id: LooseId
    user_id: LooseId
    first_join: Moment
    presence_seconds: Seconds
    name: Name | None = None
    role: Word = "learner"
    talk_seconds: Seconds = 0
    hand_raises: Count = 0
    polls_answered: Count = 0


class Played(msgspec.Struct, frozen=True, tag_field="entity", tag="segment"):
    """A stretch of a lesson or a class, played without a jump. Key: session, `start_timestamp`, `playhead_start_at`.

    Without `session_id`: what the learner played of it on that device and UTC day is one session.
    """

    user_id: LooseId
    start_timestamp: Moment
    end_timestamp: Moment
    playhead_start_at: Seconds
    playhead_end_at: Seconds
    live_class_id: LooseId | None = None
    content_kind: Id | None = None
    content_id: LooseId | None = None
    session_id: Id | None = None
    device_id: Device = ""
    rate: Rate | None = None
    """The mean; by default what the playhead's way says."""
    visible_share: Share = 1.0
    offline: bool = False


Own = Presence | Attended | Played
Line = Own | catalog.Entity | Inbound


class BadLine(Exception):
    """A line that cannot be taken in; `field` names what is wrong with it, empty for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class _Kind(msgspec.Struct):
    entity: str | None = None
    event_name: str | None = None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_peek: Final = msgspec.json.Decoder(_Kind).decode
_own: Final = msgspec.json.Decoder(Own).decode
_OWN: Final = frozenset({"presence", "attendance", "segment"})
_PATH: Final = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


def unix_ms(moment: datetime) -> int:
    """A time with its zone as Unix ms, floored."""
    return (moment - _EPOCH) // _MS


def read_line(data: bytes) -> Line:
    """One line. Raises `BadLine`, and nothing else whatever the bytes."""
    if len(data) > LINE_BYTES:
        raise BadLine("", f"over {LINE_BYTES} bytes")
    try:
        kind = _peek(data)
        if kind.entity in _OWN:
            return _checked(_own(data))
    except msgspec.ValidationError as error:
        raise _placed(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise BadLine("", f"not JSON: {error}") from None
    return _event(data) if kind.event_name is not None else _entity(data)


def _placed(message: str) -> BadLine:
    found = _PATH.fullmatch(message)
    said, path = (found["said"], found["path"]) if found is not None else (message, "")
    missing = _MISSING.search(said)
    return BadLine(missing[1] if missing else path or "", said)


def _entity(data: bytes) -> catalog.Entity:
    try:
        return catalog.read_line(data)
    except catalog.BadField as error:
        if error.field == "entity":
            raise BadLine("entity", f"none of {', '.join(sorted(_OWN | catalog.SHAPES.keys()))}") from None
        raise BadLine(error.field, error.message) from None


def _event(data: bytes) -> Inbound:
    try:
        found = events.decode(data)
    except events.BadEvent as error:
        raise BadLine(error.field, error.reason) from None
    if isinstance(found, NotOurs):
        raise BadLine("event_name", found.why)
    if isinstance(found, ClassBegan | ClassCancelled):
        raise BadLine("event_name", "no fact of the past: `liveclass.end` and the catalog's `status` say it")
    return found


def _checked(line: Own) -> Own:
    if type(line) is Presence:
        _in_order(line.joined_at, line.left_at, "left_at", "joined_at")
    elif type(line) is Played:
        _in_order(line.start_timestamp, line.end_timestamp, "end_timestamp", "start_timestamp")
        _check_played(line)
    elif type(line) is Attended and line.presence_seconds * 1000 > LONGEST_MS:
        raise BadLine("presence_seconds", "over 24 hours")
    return line


def _in_order(start: datetime, end: datetime, name: str, other: str) -> None:
    if end < start:
        raise BadLine(name, f"before {other}")
    if unix_ms(start) < 0:
        raise BadLine(other, "before 1970")
    if end - start > timedelta(milliseconds=LONGEST_MS):
        raise BadLine(name, f"over 24 hours after {other}")


def _check_played(line: Played) -> None:
    if line.playhead_end_at < line.playhead_start_at:
        raise BadLine("playhead_end_at", "before playhead_start_at")
    lesson = line.content_kind is not None or line.content_id is not None
    if lesson == (line.live_class_id is not None):
        raise BadLine("live_class_id", "either a class, or content_kind and content_id")
    if lesson and line.content_kind is None:
        raise BadLine("content_kind", "missing")
    if lesson and line.content_id is None:
        raise BadLine("content_id", "missing")
    wall = (line.end_timestamp - line.start_timestamp).total_seconds()
    if line.playhead_end_at - line.playhead_start_at > limits.RATE_MAX * wall + 1:
        raise BadLine("playhead_end_at", f"further than {limits.RATE_MAX:g} times the time it took")
