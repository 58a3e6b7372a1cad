"""What a client hands to its doors and streams."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from protocol.client.backoff import Backoff
from protocol.client.facts import Counters, Fact
from protocol.client.tokens import Tokens
from protocol.codec import Codec
from protocol.types import Content

if TYPE_CHECKING:
    from protocol.client.requests import Requests
    from protocol.client.stream import Stream


class RoomTarget(msgspec.Struct):
    """A live class. `observe`: see it without being in it (staff)."""

    room: str
    metadata: dict[str, Any] | None = None
    observe: bool = False


class ContentTarget(msgspec.Struct, frozen=True):
    """A recorded content; `duration` in seconds where it is known."""

    content: Content
    duration: float | None = None


class Context(msgspec.Struct):
    """One client's. `base_url` is http(s) without a trailing slash; `clock` gives Unix ms."""

    base_url: str
    tokens: Tokens
    codec: Codec
    device_id: str
    clock: Callable[[], int]
    random: Random
    backoff: Backoff
    counters: Counters
    listener: Callable[[Fact], None]
    requests: Requests
    streams: dict[int, Stream] = msgspec.field(default_factory=dict)
    nudge: Callable[[], None] = lambda: None
    """There may be something to send: wakes both doors."""
    all_by_http: bool = False
    """No WebSocket gets through, or none is wanted: everything goes by HTTP that can."""
    http_works: bool = False
    """The last post was answered by the server."""
