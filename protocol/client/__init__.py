"""The Python client: how services and bots speak to Rollcall.

    async with Client("https://rollcall.example", token) as client:
        lesson = await client.watch("video", "7")
        lesson.playing(0.0)                  # heartbeats go by themselves from here on

What is sampled is numbered and kept until the server has promised to keep it, in a bounded buffer. Losing the
connection loses nothing and doubles nothing: the client connects again, resumes its sessions and sends what is owed,
over the WebSocket or, where none gets through, by posts. Only what a retry cannot cure is raised (`errors`).

    client.py        Client: connect, join, watch, close; which door is used
    stream.py        Stream: playing, paused, seek...; room.py adds interact, metadata, presence
    delivery.py      the doors' half of a stream: what is owed, resumed, refused; kept.py is its buffer
    socket_door.py   one connection after the other; speaking.py, hearing.py: one connection's mouth and ears
    http_door.py     posts
    requests.py      questions that need an answer; roster.py, presence.py: who is in a room
    tokens.py, clock.py, backoff.py, pace.py, playhead.py: small and pure but for what they are given
    events.py        EventSender: the event collector, for back-end services; event_queue.py is its queue

It is the only part of `protocol/` that does I/O, and nothing of the server rests on it
(docs/decisions/0012-python-client-beside-the-protocol.md).
"""

from protocol.client.backoff import Backoff
from protocol.client.client import Client
from protocol.client.context import ContentTarget, RoomTarget
from protocol.client.errors import (
    BufferFull,
    Closed,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    RollcallError,
    RoomCancelled,
    Unacknowledged,
    Unauthenticated,
)
from protocol.client.facts import Counters, Fact
from protocol.client.presence import Presence
from protocol.client.room import RoomStream
from protocol.client.roster import Attendee, CountChanged, MemberJoined, MemberLeft, MemberUpdated, PresenceEvent
from protocol.client.stream import Stream

__all__ = [
    "Attendee",
    "Backoff",
    "BufferFull",
    "Client",
    "Closed",
    "Conflict",
    "ContentTarget",
    "CountChanged",
    "Counters",
    "Fact",
    "Forbidden",
    "MemberJoined",
    "MemberLeft",
    "MemberUpdated",
    "NotFound",
    "Presence",
    "PresenceEvent",
    "Refused",
    "RollcallError",
    "RoomCancelled",
    "RoomStream",
    "RoomTarget",
    "Stream",
    "Unacknowledged",
    "Unauthenticated",
]
