"""What holds a member present (realtime.md, "Presence" and reading 7).

    a stream that is connected                    holds without limit
    a stream that was dropped                     holds until drop + grace; then the member left at the last evidence
    samples over HTTP                             hold until the last sample + 3.5 intervals; then left at that sample
    a stay at the conference server               holds while it is open (`stays.py`)

While any source holds, the presence is one: a second device, a return within the grace and a change of doors neither
end nor double it. What follows for presences and rows is in `presence.py`.

All times are Unix milliseconds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.machines import ranges
from actors.machines.rows import PresenceRow
from actors.machines.stays import FREE, HOLDS, Stay, lapse
from protocol.limits import DEVICES_SHOWN

INTERVALS_MAX: Final = 2_000
"""Separate presences of one learner in one class: over 24 hours of samples 36 s apart, in pairs, make 1,234."""
SOURCES_MAX: Final = 64
"""Sources that hold one learner at once; the oldest that is not connected makes room."""
LAPSES_MAX: Final = 64
"""Dropped streams of one learner that did not come back; the oldest is forgotten."""

STREAM: Final = "websocket"
HTTP: Final = "http"


class Source(msgspec.Struct, array_like=True):
    """What holds a member: the stream of a session, or (apart from it, doors may change) its samples over HTTP."""

    kind: str
    device_id: str
    connected: bool
    evidence: int
    until: int
    """When it stops to hold, where it is not connected."""


class Held(msgspec.Struct, array_like=True):
    """A learner (or teacher) who is or was in the room, and what holds them there."""

    user_id: str
    role: str
    name: str | None = None
    metadata: bytes | None = None
    sources: dict[str, Source] = {}
    since: int | None = None
    """Start of the open presence; None while away."""
    evidence: int = 0
    """Latest proof of the open presence."""
    kinds: list[str] = []
    """What has held the open presence so far."""
    devices: list[str] = []
    numbers: int = 0
    """Presence rows so far: the last key given out."""
    open_number: int = 0
    """Key of the open presence's row."""
    past: list[int] = []
    """Closed presences, united (`ranges`)."""
    unwritten: list[PresenceRow] = []
    proof: PresenceRow | None = None
    """The latest presence row that samples of the past have proven."""
    stays: dict[str, Stay] = {}
    """By participant sid."""
    lapses: list[Stay] = []
    """Dropped streams that did not come back in time, as far as was known then."""
    talk_ms: int = 0
    hand_raises: int = 0
    polls_answered: int = 0

    @property
    def present(self) -> bool:
        """Whether a source holds the member now."""
        return self.since is not None or any(stay.until != FREE for stay in self.stays.values())

    @property
    def arrived_at(self) -> int:
        """Start of the presence that is open; its latest evidence while away."""
        starts = [stay.joined_at for stay in self.stays.values() if stay.until != FREE]
        if self.since is not None:
            starts.append(self.since)
        return min(starts) if starts else self.last_seen()

    @property
    def was_here(self) -> bool:
        """Whether there is any presence."""
        return self.present or bool(self.past) or any(stay.counts for stay in self.stays.values())

    @property
    def matters(self) -> bool:
        """Whether anything is to be said of them: not of who was only in a session outside the class's time."""
        return self.was_here or bool(self.kinds or self.talk_ms or self.hand_raises or self.polls_answered)

    @property
    def telephone(self) -> bool:
        """Whether they called in."""
        return any(stay.telephone for stay in self.stays.values())

    def last_seen(self) -> int:
        """The latest moment at which anything proves them here."""
        return max([self.evidence, *(stay.until_when(0) for stay in self.stays.values() if stay.counts)])

    # -- what holds -----------------------------------------------------------------------------------------------

    def connect(self, session_id: str, device_id: str, now: int) -> bool:
        """A stream opened or came back. Returns whether the member arrived by it."""
        self._make_room(session_id)
        self.sources[session_id] = Source(STREAM, device_id, connected=True, evidence=now, until=0)
        return self._hold(now, STREAM, device_id)

    def drop(self, session_id: str, evidence: int, until: int) -> None:
        """A stream's connection is gone; the member stays until `until` unless something else holds."""
        source = self.sources.get(session_id)
        if source is None or not source.connected:
            return
        source.connected = False
        source.evidence = max(source.evidence, evidence)
        source.until = until
        self.evidence = max(self.evidence, source.evidence)

    def hold_by_sample(self, session_id: str, device_id: str, at: int, until: int) -> bool:
        """A sample came over HTTP. Returns whether the member arrived by it."""
        key = _http_key(session_id)
        source = self.sources.get(key)
        if source is None:
            self._make_room(key)
            source = self.sources[key] = Source(HTTP, device_id, connected=False, evidence=at, until=until)
        source.evidence = max(source.evidence, at)
        source.until = max(source.until, until)
        return self._hold(at, HTTP, device_id)

    def release(self, session_id: str, now: int) -> bool:
        """A session was left on purpose. Returns whether the member left by it."""
        released = [self.sources.pop(key) for key in (session_id, _http_key(session_id)) if key in self.sources]
        if not released:
            return False
        for source in released:
            self.evidence = max(self.evidence, now if source.connected else source.evidence)
        return self._leave_if_free() and not self.present

    def lapse(self, now: int) -> bool:
        """Let go of all sources whose time is over. Returns whether the member left."""
        before = self.present
        for stay in self.stays.values():
            if stay.until != HOLDS and stay.until <= now:
                stay.until = FREE
        over = [key for key, source in self.sources.items() if not source.connected and source.until <= now]
        # Before when a return of the last one would have made presence of the gap.
        until = max((source.until for source in self.sources.values() if source.kind == STREAM), default=0)
        for key in over:
            del self.sources[key]
        if over and self._leave_if_free():
            self._lapsed(until)
        return before and not self.present

    def _lapsed(self, until: int) -> None:
        """A dropped stream did not come back, as far as is known; before `until` a return would have kept them here."""
        if until > self.evidence + 1:
            self.numbers += 1
            self.lapses.append(lapse(self.evidence, until - 1, self.numbers))
            del self.lapses[:-LAPSES_MAX]

    def deadline(self) -> int | None:
        """When the first source lapses."""
        waits = [source.until for source in self.sources.values() if not source.connected]
        waits += [stay.until for stay in self.stays.values() if stay.until > HOLDS]
        return min(waits) if waits else None

    def finish(self, now: int) -> bool:
        """The room ends: whoever is held by a connection or fresh samples was there to the end."""
        before = self.present
        for stay in self.stays.values():
            stay.until = FREE
        if self.since is None:
            return before
        there = self._held()
        until = 0 if there else max((source.until for source in self.sources.values()), default=0)
        if there:
            self.evidence = max(self.evidence, now)
        self.evidence = max(self.since, min(self.evidence, now))
        self.sources.clear()
        self._leave_if_free()
        self._lapsed(until)
        return True

    def restart(self, until: int) -> None:
        """The server came back: no connection survived, each has until `until` to return."""
        for source in self.sources.values():
            if source.kind == STREAM:
                source.connected = False
                source.until = until

    # -- inside -----------------------------------------------------------------------------------------------------

    def _connected(self) -> bool:
        return any(source.connected for source in self.sources.values())

    def _held(self) -> bool:
        """By more than the grace of a dropped stream."""
        return any(source.connected or source.kind == HTTP for source in self.sources.values())

    def _hold(self, at: int, kind: str, device_id: str) -> bool:
        arrived = not self.present
        if self.since is None:
            self.since = self.evidence = at
            self.kinds = []
            self.devices = []
            self.numbers += 1
            self.open_number = self.numbers
        else:
            self.since = min(self.since, at)
            self.evidence = max(self.evidence, at)
        if kind not in self.kinds:
            self.kinds.append(kind)
        if device_id and device_id not in self.devices and len(self.devices) < DEVICES_SHOWN:
            self.devices.append(device_id)
        return arrived

    def _leave_if_free(self) -> bool:
        if self.sources or self.since is None:
            return False
        start, end = self.since, self.evidence
        self.since = None
        if not ranges.add(self.past, start, end, INTERVALS_MAX):
            end = start
        # Empty ones too: a checkpoint may have written the row as open, and longer than it turned out.
        kinds, devices = ",".join(self.kinds), ",".join(self.devices)
        self.unwritten.append(closed_row(self.user_id, self.open_number, start, end, kinds, devices))
        return True

    def _make_room(self, session_id: str) -> None:
        if session_id in self.sources or len(self.sources) < SOURCES_MAX:
            return
        idle = min(
            (key for key, source in self.sources.items() if not source.connected),
            key=lambda key: self.sources[key].until,
            default=next(iter(self.sources)),
        )
        del self.sources[idle]


def _http_key(session_id: str) -> str:
    """Beside the key of the same session's stream, which is the session's id."""
    return f"{session_id} {HTTP}"


def closed_row(user_id: str, number: int, start: int, end: int, source: str, device_id: str) -> PresenceRow:
    """A closed presence; the room's name is filled in when it is written."""
    return PresenceRow("", user_id, number, start, end, source, device_id, open=False)
