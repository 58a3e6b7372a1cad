"""What a conference server told of a room's sessions, devices and recordings (plugnmeet.md, readings 4, 5, 11 and 12).

A class may have several conference sessions, one after another. What is told of them comes in any order; what follows
from it is worked out from all of it, so that the order does not matter. Pure state and questions to it; what it means
for the room is decided in `conference_rules.py`. All times are Unix milliseconds.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec

from actors.machines import ranges
from actors.machines.stays import Stay

SESSIONS_MAX: Final = 1_000
TRACKS_MAX: Final = 50_000
RECORDINGS_MAX: Final = 1_000
ARTIFACTS_MAX: Final = 1_000
HIDDEN_MAX: Final = 5_000
ALIASES_MAX: Final = 50_000
"""Of one room each; what is new beyond it changes nothing (`places.py`)."""

OPENS_BEFORE_MS: Final = 15 * 60 * 1000
CLOSES_AFTER_MS: Final = 10 * 60 * 1000
YOUNG_MS: Final = 10_000
"""A join so short before a poll may still be on its way (reading 13)."""
DEVICES: Final = ("camera", "microphone", "screen")


class ConferenceSession(msgspec.Struct, array_like=True):
    """One run of the room at the conference server."""

    first_at: int
    last_at: int
    """The earliest and the latest moment that anything tells of it."""
    breakout: bool = False
    started_at: int | None = None
    """The earliest of its start and the first join."""
    ended_at: int | None = None
    """The earliest end that was told."""
    absent_at: int | None = None
    """Since when polls do not know it, where no end was told."""

    def touch(self, at: int) -> None:
        """Something happened in it at `at`."""
        self.first_at = min(self.first_at, at)
        self.last_at = max(self.last_at, at)

    def start(self, at: int) -> None:
        """It was running at `at`."""
        self.started_at = at if self.started_at is None else min(self.started_at, at)

    def within(self, start: int | None, end: int | None) -> bool:
        """Whether it touches the time of a class with this schedule."""
        if end is not None and self.first_at > end + CLOSES_AFTER_MS:
            return False
        return start is None or self.last_at >= start - OPENS_BEFORE_MS


class DeviceTrack(msgspec.Struct, array_like=True):
    """A camera, microphone or screen that was switched on."""

    sid: str
    participant_sid: str
    identity: str
    device: str
    published_at: int | None = None
    unpublished_at: int | None = None
    seen_at: int = 0


class RecordingState(msgspec.Struct, array_like=True):
    """A recording, or a stream to elsewhere."""

    kind: str
    started_at: int | None = None
    ended_at: int | None = None
    failure: str | None = None


class Conference(msgspec.Struct, array_like=True):
    """All that was told; part of the room's snapshot."""

    sessions: dict[str, ConferenceSession] = {}
    owners: dict[str, str] = {}
    """Participant sid -> the member who has that stay."""
    tracks: dict[str, DeviceTrack] = {}
    hidden: dict[str, bool] = {}
    """Participant sids that are nobody's presence."""
    aliases: dict[str, str] = {}
    """Identity -> user, where the conference server gives out identities of its own."""
    recordings: dict[str, RecordingState] = {}
    artifacts: dict[str, bool] = {}
    inactive_since: int | None = None
    """The first of the polls in a row that found no session."""

    def session(self, sid: str, at: int, *, breakout: bool = False) -> ConferenceSession:
        """The session, new where it is not known."""
        session = self.sessions.get(sid)
        if session is None:
            session = self.sessions[sid] = ConferenceSession(at, at)
        session.touch(at)
        session.breakout = session.breakout or breakout
        return session

    def counted(self, start: int | None, end: int | None) -> list[tuple[str, ConferenceSession]]:
        """The class's own sessions that ran within its time, by their beginning; breakouts are not among them."""
        found = [
            (sid, session)
            for sid, session in self.sessions.items()
            if not session.breakout and session.started_at is not None and session.within(start, end)
        ]
        return sorted(found, key=lambda item: (item[1].started_at or 0, item[0]))

    def ends(self, start: int | None, end: int | None) -> dict[str, int | None]:
        """When each session was over: its own end, else the beginning of the next one of the class (its end was lost).

        A session that was never told to start, or that lies outside, has only its own.
        """
        ends = {sid: _own_end(session) for sid, session in self.sessions.items()}
        counted = self.counted(start, end)
        for (sid, _), (_, following) in pairwise(counted):
            if ends[sid] is None:
                ends[sid] = following.started_at
        return ends

    def active(self, kind: str) -> bool:
        """Whether a recording (or stream) is running."""
        return any(
            state.kind == kind and state.started_at is not None and state.ended_at is None and state.failure is None
            for state in self.recordings.values()
        )

    def failure(self) -> str | None:
        """What went wrong with the latest recording that did."""
        failed = [state for state in self.recordings.values() if state.failure is not None]
        latest = max(failed, key=lambda state: max(state.started_at or 0, state.ended_at or 0), default=None)
        return None if latest is None else latest.failure

    def user_of(self, base: str) -> str:
        """Whose presence an identity is."""
        return self.aliases.get(base, base)


def _own_end(session: ConferenceSession) -> int | None:
    return session.absent_at if session.ended_at is None else session.ended_at


def device_ms(
    tracks: list[DeviceTrack],
    stays: dict[str, Stay],
    sessions: dict[str, tuple[bool, int | None]],
    hidden: dict[str, bool],
    over: int | None,
    now: int,
) -> dict[str, list[int]]:
    """How each device was on, as ranges, united: published to unpublished, left or the room's end (reading 11).

    `sessions`: whether each lies in the class's time, and its end; `over`: the class's end. Up to `now` what is still
    on; 0 asks for what is proven.
    """
    used: dict[str, list[int]] = {device: [] for device in DEVICES}
    for track in tracks:
        counts, session_end = sessions.get(track.sid, (True, None))
        if track.device not in used or track.published_at is None or not counts or track.participant_sid in hidden:
            continue
        stay = stays.get(track.participant_sid)
        ends = [track.unpublished_at, session_end, over, stay.end if stay is not None else None]
        known = [end for end in ends if end is not None]
        proven = max(track.seen_at, stay.seen_at if stay is not None else 0)
        end = min(known) if known else max(now, proven)
        ranges.add(used[track.device], track.published_at, end, TRACKS_MAX)
    return used
