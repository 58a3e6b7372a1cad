"""What players say in custom events, as samples (mobile-ingest.md, reading 8). Pure.

A sample's number is made of its message's time, so that the order of batches, and how often they come, changes nothing:

    server ms since 2019-02-12 x 4096 + what the event is (3 bits) + a hash of the message (9 bits)

That time is by the offset of the session's start, and so the same for ever; the sample's own is earlier where the start
is known to have been long under way. Of two events in one millisecond the one that says less goes first; the same one
twice has the same number.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.machines.placing import EPOCH_MS, PER_MS
from actors.machines.track import SEEKING, STATES, Sample
from protocol.mobile_rest import PlayerEvent
from protocol.types import canonical_id
from storage.mobile import Target

_PER_KIND: Final = 512
_HEARTBEAT: Final = 0
_SEEK_FROM: Final = 1
_SEEK_TO: Final = 2
_STATES: Final = {"video_play": "playing", "video_pause": "paused", "video_end": "ended", "heartbeat": "playing"}
_KINDS: Final = {"heartbeat": _HEARTBEAT, "video_play": 3, "video_pause": 4, "video_end": 5}
SEEK: Final = "video_seek"
NAMES: Final = frozenset({*_STATES, SEEK})
"""Custom events that are samples."""

_DECODER: Final = msgspec.json.Decoder(PlayerEvent)


class NoSample(Exception):
    """The payload is none that a sample can be made of; the message says why."""


def read(name: str, payload: str, at: int, digest: bytes, default: Target, lag: int) -> tuple[Target, list[Sample]]:
    """The samples of an event `name` of `NAMES` at server time `at`, and what they belong to. Raises `NoSample`.

    `digest` is the message's hash; `default` what its session said at the start; `lag` how much earlier it was.
    """
    try:
        event = _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise NoSample(str(error)) from None
    target = _target(event, default)
    return target, _seek(event, at, digest, lag) if name == SEEK else [_plain(name, event, at, digest, lag)]


def _target(event: PlayerEvent, default: Target) -> Target:
    if event.room is not None and event.content is not None:
        raise NoSample("both a room and a content")
    if event.room is not None:
        return Target(room=canonical_id(event.room))
    if event.content is not None:
        return Target(content=(event.content.kind, canonical_id(event.content.id)))
    if default.room is None and default.content is None:
        raise NoSample("neither a room nor a content")
    return default


def _plain(name: str, event: PlayerEvent, at: int, digest: bytes, lag: int) -> Sample:
    if event.position is None:
        raise NoSample("no position")
    state = STATES[event.state or _STATES[name]]
    return _sample(event, at - lag, number(at, _KINDS[name], digest), event.position, state)


def _seek(event: PlayerEvent, at: int, digest: bytes, lag: int) -> list[Sample]:
    """Two: where the playhead was, and where it is; nothing is played between them."""
    to = event.position if event.to is None else event.to
    if event.start is None or to is None:
        raise NoSample("a seek needs `from` and `to`")
    state = STATES[event.state or "seeking"]
    return [
        _sample(event, at - lag, number(at, _SEEK_FROM, digest), event.start, SEEKING),
        _sample(event, at - lag, number(at, _SEEK_TO, digest), to, state),
    ]


def _sample(event: PlayerEvent, at: int, seq: int, position: float, state: int) -> Sample:
    duration = None if event.duration is None else int(event.duration * 1000 + 0.5)
    rate = 1.0 if event.rate is None else event.rate
    return Sample(seq, at, int(position * 1000 + 0.5), state, rate, event.visible is not False, duration)


def number(at: int, kind: int, digest: bytes) -> int:
    """The number of a sample: rises with time, and is the same whenever the message comes again."""
    return first_number(at) + kind * _PER_KIND + int.from_bytes(digest[:2]) % _PER_KIND


def first_number(at: int) -> int:
    """The lowest of that millisecond."""
    return (at - EPOCH_MS) * PER_MS
