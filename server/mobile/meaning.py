"""What the messages of a batch mean for their sessions. Pure: rows to store, changes of sessions, samples.

Stored      every message, also one that does not decode; not the 107 in front, which another sending changes
Change      how far the session goes on, by its activity and its newest message
samples     what players say, by what it belongs to
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

import msgspec

from actors.machines.track import OLDEST_MS, Sample
from protocol.mobile import AnonymousId, Batch, BatchMeta, CustomEvent, Message, SessionEnd, Undecodable, UserId
from server.mobile import samples
from server.mobile.sessions import oldest
from storage.mobile import REST, AppSession, Change, Stored, Target

ACTIVITY: Final = frozenset({98, 100, 101, 106})
"""Types that keep an app session alive (mobile-ingest.md, "What it means here")."""
LABEL_CHARS: Final = 256
LAG_STEP_MS: Final = 400
"""A lag that is not larger by this than the known one is passed over: a pair of samples has a second of slack."""
_INT64_MAX: Final = 2**63 - 1
_UNTIMED: Final = 0
_FUTURE_MS: Final = 24 * 3600 * 1000
"""A message dated later than that ahead has no time."""


class Part(msgspec.Struct):
    """What a batch brings for one session."""

    session: AppSession
    messages: list[Stored]
    samples: dict[Target, list[Sample]]
    active_at: int = 0
    newest_at: int = 0
    user_label: str | None = None
    anonymous_label: str | None = None
    closing: bool = False
    refused: int = 0
    """Events of players that no sample can be made of, or that are too old."""
    weight: int = 0
    """Of its messages, while they wait."""

    def change(self) -> Change:
        """Of its session."""
        return Change(
            self.session.session_id,
            self.active_at,
            self.newest_at,
            self.user_label,
            self.anonymous_label,
            self.closing,
            self.session.lag,
        )

    @property
    def named(self) -> str | None:
        """Whom its latest 94 names."""
        return self.session.user_label if self.user_label is None else self.user_label


Router = Callable[[int], AppSession]
"""A message's time, by the client's clock, to its session; asked in the order of time."""


def lag_of(batch: Batch, session: AppSession, now: int) -> int:
    """How much too late the session's offset places what the device says, as far as is known by now (decision 0011).

    Nothing is sent before it is said, so a 107 or a player's event from the future shows an offset that is too large.
    """
    latest = now - session.offset + _FUTURE_MS
    said = (one.at for one in batch.messages if _is_of_the_player(one) and one.at <= latest)
    lag = max(said, default=0) + session.offset - now
    return lag if lag > session.lag + LAG_STEP_MS else session.lag


def _is_of_the_player(one: Message) -> bool:
    body = one.body
    return type(body) is BatchMeta or (type(body) is CustomEvent and body.name in samples.NAMES)


def times_of(batch: Batch) -> list[int]:
    """The times of a batch's messages, rising."""
    return sorted({one.at for one in _each(batch)})


def parts_of(batch: Batch, route: Router, current: AppSession, now: int) -> list[Part]:
    """What a batch brings, by session. `now` is when it was received; what has no time is the current session's."""
    parts: dict[int, Part] = {}
    for one in sorted(_each(batch), key=_by_time):
        session = route(one.at)
        part = parts.get(session.session_id)
        if part is None:
            part = parts[session.session_id] = Part(session, [], {})
        _take(part, one, now)
    if batch.broken is not None:
        part = parts.setdefault(current.session_id, Part(current, [], {}))
        digest = _digest(REST, 0, batch.broken.raw)
        part.messages.append(
            Stored(
                current.session_id,
                current.started_at,
                REST,
                digest,
                0,
                batch.broken.raw,
                undecodable=True,
                user_id=None,
            )
        )
    return list(parts.values())


def _each(batch: Batch) -> Iterator[Message | Undecodable]:
    yield from (one for one in batch.messages if type(one.body) is not BatchMeta)
    yield from batch.undecodable


def _by_time(one: Message | Undecodable) -> tuple[int, int]:
    return one.at, one.offset


def _take(part: Part, one: Message | Undecodable, now: int) -> None:
    session = part.session
    dated = one.at != _UNTIMED and oldest(session, now) <= one.at <= now - session.offset + _FUTURE_MS
    at = one.at + session.offset if dated else session.started_at
    # Where the row's time is not the message's own, that is part of what tells it apart.
    digest = _digest(one.type, 0 if dated else one.at, one.raw)
    told_at = min(one.at, _INT64_MAX)
    kind = min(one.type, _INT64_MAX)
    undecodable = type(one) is Undecodable
    part.messages.append(Stored(session.session_id, at, kind, digest, told_at, one.raw, undecodable, None))
    if dated:
        part.newest_at = max(part.newest_at, min(at, now))
        if one.type in ACTIVITY:
            part.active_at = max(part.active_at, min(at, now))
    if isinstance(one, Message):
        _hear(part, one, at if dated else -1, digest, now)


def _hear(part: Part, one: Message, at: int, digest: bytes, now: int) -> None:
    body = one.body
    if type(body) is CustomEvent:
        if body.name in samples.NAMES:
            _sample(part, body, at, digest, now)
    elif type(body) is UserId:
        part.user_label = _label(body.value)
    elif type(body) is AnonymousId:
        part.anonymous_label = _label(body.value)
    elif type(body) is SessionEnd:
        part.closing = True


def _sample(part: Part, body: CustomEvent, at: int, digest: bytes, now: int) -> None:
    if at < now - OLDEST_MS:
        part.refused += 1
        return
    try:
        target, made = samples.read(body.name, body.payload, at, digest, part.session.target, part.session.lag)
    except samples.NoSample:
        part.refused += 1
        return
    part.samples.setdefault(target, []).extend(made)


def _label(value: str) -> str:
    """As PostgreSQL can hold it."""
    return value.replace("\0", "")[:LABEL_CHARS]


def _digest(kind: int, told_at: int, raw: bytes) -> bytes:
    return blake2b(raw, digest_size=16, key=b"%d %d" % (kind, told_at)).digest()
