"""What was really acted, kept beside the acting: samples, connections, acknowledgements. Times are true unix ms."""

from __future__ import annotations

from typing import Literal

import msgspec

from protocol.types import PlayState

Ending = Literal["open", "left", "cut", "lost"]


class Told(msgspec.Struct, frozen=True):
    """A sample as it was acted, whatever the client's clock said."""

    seq: int
    at: int
    position: float
    state: PlayState
    rate: float
    visible: bool
    by_http: bool


class Hold(msgspec.Struct):
    """The server held the stream over a WebSocket: from between two moments until its ending."""

    asked: int
    held: int
    until: int = 0
    ending: Ending = "open"


class Track(msgspec.Struct):
    """One stream of one device, which may have gone through several sessions."""

    kind: Literal["room", "content"]
    duration: float | None = None
    told: list[Told] = []
    holds: list[Hold] = []
    sessions: list[tuple[str, int]] = []
    """Session id and the first `seq` that it was given."""
    acked: dict[str, int] = {}
    sent: int = 0
    """The highest `seq` that ever went out."""
    interval_s: float = 0.0
    """The largest interval told."""
    late: bool | None = None
    left_at: int | None = None

    def of_session(self, index: int) -> list[Told]:
        """The samples that were meant for the session at `index`."""
        first = self.sessions[index][1]
        beyond = self.sessions[index + 1][1] if index + 1 < len(self.sessions) else None
        return [one for one in self.told if one.seq >= first and (beyond is None or one.seq < beyond)]


class Device(msgspec.Struct):
    """One player."""

    device_id: str
    tracks: dict[str, Track] = {}


class Outage(msgspec.Struct):
    """The server was away: from the first connection lost until one held again."""

    begin: int
    end: int


class Learner(msgspec.Struct):
    """Everything of one learner."""

    user_id: str
    main: str
    devices: list[Device] = []
    problems: list[str] = []

    def sessions(self) -> list[str]:
        """Ids of all their sessions."""
        tracks = [track for device in self.devices for track in device.tracks.values()]
        return [session_id for track in tracks for session_id, _ in track.sessions]


class Class(msgspec.Struct):
    """Everything of the class."""

    room: str
    scheduled_start: int
    """By the server's clock."""
    learners: dict[str, Learner] = {}
    outages: list[Outage] = []
    end_asked: int = 0
    end_told: int = 0
    clock_offset_ms: float = 0.0
    """Server clock minus ours."""
    clock_round_trip_s: float = 1e9

    def compare_clock(self, server_ms: int, round_trip_s: float, now_ms: int) -> None:
        """The closest look at the server's clock counts."""
        if round_trip_s < self.clock_round_trip_s:
            self.clock_round_trip_s = round_trip_s
            self.clock_offset_ms = server_ms - (now_ms - round_trip_s * 500)

    def lost_server(self, now: int) -> None:
        """A connection ended that nobody cut."""
        if not self.outages or self.outages[-1].end:
            self.outages.append(Outage(now, 0))

    def found_server(self, now: int) -> None:
        """A stream is held."""
        if self.outages and not self.outages[-1].end:
            self.outages[-1].end = now
