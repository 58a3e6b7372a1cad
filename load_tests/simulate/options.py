"""What a simulated class is asked to be."""

from __future__ import annotations

import msgspec


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `run`. Times with a unit in their name are real time, never divided by `speed`."""

    url: str = "http://127.0.0.1:8080"
    """Where the server is: http or https, without a path."""
    learners: int = 50
    minutes: float = 2.0
    """Length of the class as scripted."""
    speed: float = 10.0
    """The class is acted in `minutes / speed` minutes; never shorter than a drop beyond the grace needs."""
    seed: int = 1
    room: str | None = None
    """Id of the room; None makes a new one for each run."""
    content_kind: str = "simulated"
    watch_share: float = 0.3
    """Share of learners who watch a recorded content beside the class."""
    tolerate_restarts: bool = False
    """The server may be killed while the class goes on: presence without a return may end one interval early."""
    report: str | None = None
    """Path of a JSON file for truth, answers, differences and counters."""
    rows: int = 15
    """Learners shown beside all that differ."""
    read_back_seconds: float = 60.0
    """How long to wait for acknowledgements and right answers after the class."""
    connect_seconds: float = 15.0
    """How long the server may be unreachable at the start."""
    reconnect_grace_seconds: float = 20.0
    """The server's `ROLLCALL_RECONNECT_GRACE_SECONDS`."""
    late_grace_seconds: float = 300.0
    """The server's `ROLLCALL_LATE_GRACE_SECONDS`."""
    attended_min_seconds: float = 60.0
    """The server's `ROLLCALL_ATTENDED_MIN_SECONDS`."""
    heartbeat_seconds: float = 10.0
    """The server's `ROLLCALL_HEARTBEAT_SECONDS`; players beat faster where the class is acted faster."""
