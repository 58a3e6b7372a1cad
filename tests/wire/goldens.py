"""One of every message, and how it stands on both wires. A changed literal is a changed contract."""

from __future__ import annotations

from typing import Final

from actors.machines import events
from actors.machines.events import Event
from actors.machines.track import Sample as TrackSample
from protocol.client_frames import (
    After,
    ClientFrame,
    ClientInfo,
    Heartbeat,
    Heartbeats,
    Hello,
    Interact,
    Join,
    Leave,
    PresencePage,
    Watch,
)
from protocol.codes import ByeReason, ErrorCode
from protocol.sample import Sample
from protocol.server_frames import (
    Ack,
    Bye,
    Change,
    Done,
    Error,
    Joined,
    JoinedPresence,
    Member,
    MembersPage,
    PresenceDiff,
    RoomChanged,
    RoomInfo,
    ServerFrame,
    Watching,
    Welcome,
)
from protocol.types import Content

AT: Final = 1_767_225_600_000
ROOM: Final = RoomInfo("r1", "live", AT, None, AT, AT + 3_600_000)
MEMBER: Final = Member("27", "Rina", "learner", ["websocket"], ["d1"], AT, late=False, telephone=False)
DIFF: Final = PresenceDiff(
    "r1",
    3,
    8,
    2,
    [Change("27", AT, "Rina")],
    [Change("28", AT)],
    [Change("29", AT, None, {"hand": True})],
    truncated=False,
)

CLIENT: Final[dict[str, ClientFrame]] = {
    "hello": Hello("t", "d1", ClientInfo("player", "1.0")),
    "join": Join(1, "r1", {"hand": True}, "s1", After(3, 7), observe=False),
    "watch": Watch("a", Content("video", "c1"), "s1", 300.5),
    "heartbeat": Heartbeat(0, 1, AT, 12.5, "playing", 1.5, 300.0, visible=False),
    "heartbeats": Heartbeats(
        0, AT, [Sample(1, AT, 0.0, "playing"), Sample(2, AT + 1, 1.0, "paused", 1.0, 9.0, visible=True)]
    ),
    "interact": Interact(2, 0, "poll_response", "p7", {"choice": 2}),
    "presence": PresencePage(3, "r1", After(3, 7), "c"),
    "leave": Leave(0),
}

SERVER: Final[dict[str, ServerFrame]] = {
    "welcome": Welcome("c1", AT, 10.0, 500),
    "joined": Joined(
        1, 0, "s1", ROOM, 1, late=False, resumed=False, last_seq=0, epoch=3, seq=7,
        presence=JoinedPresence([MEMBER], None), recovered=False,
    ),
    "joined again": Joined(
        1, 0, "s1", ROOM, 1, late=True, resumed=True, last_seq=4, epoch=3, seq=8,
        presence=JoinedPresence(diffs=[DIFF]), recovered=True,
    ),
    "watching": Watching("a", 0, "s1", resumed=True, last_seq=4, position=12.5, coverage=0.25),
    "ack": Ack(0, 4),
    "ack with an interval": Ack(0, 4, 20.0),
    "presence": DIFF,
    "members": MembersPage(3, "r1", 3, 7, 1, [MEMBER], None),
    "room": RoomChanged("r1", "ended", AT),
    "done": Done(2),
    "error": Error(ErrorCode.BAD_MESSAGE, "Expected `int`", "a", 0, 1.5),
    "error alone": Error(ErrorCode.BUSY, "later"),
    "bye": Bye(ByeReason.DRAINING, 1500),
}  # fmt: skip

EVENTS: Final[dict[str, Event]] = {
    "Tick": events.Tick(),
    "Opened": events.Opened("27", "video", "c1", "d1", "websocket", 10_000, 300_000),
    "Resumed": events.Resumed(10_000, 300_000),
    "Sampled": events.Sampled(AT, [TrackSample(1, AT, 12_500, 0, 1.5, visible=False, duration=300_000)], 20_000),
    "Left": events.Left(),
    "Incarnated": events.Incarnated(),
    "Scheduled": events.Scheduled("Algebra", AT, AT + 3_600_000, "p1"),
    "Started": events.Started(AT, "rest"),
    "Finished": events.Finished(AT, "rest"),
    "Cancelled": events.Cancelled(AT),
    "Joined": events.Joined("27", "learner", "Rina", "s1", "s0", "d1", b'{"hand":true}', 10_000),
    "Described": events.Described("s1", b'{"hand":true}'),
    "Dropped": events.Dropped("s1", AT),
    "Departed": events.Departed("s1"),
    "RoomSampled": events.RoomSampled("s1", AT, [TrackSample(1, AT, 12_500, 1)], 0),
    "Posted": events.Posted(
        "27", "learner", "Rina", "d1", None, "s1", AT, [TrackSample(1, AT, 0, 0)], leave=True, interval=10_000
    ),
    "Interacted": events.Interacted("s1", "poll_response", "p7", b"2"),
}
