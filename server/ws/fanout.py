"""One frame to many sockets: encoded once per encoding, written in slices so that the loop breathes.

A prepared frame costs some 8 microseconds a recipient, 10,000 recipients 82 ms (docs/decisions/0003): after each
thousand the loop has its turn. Frames of all rooms go through one line, so a room's frames keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from protocol.codec import Codec
from protocol.server_frames import ServerFrame

if TYPE_CHECKING:
    from server.ws.connection import Connection

SLICE: Final = 1_000


class Packet:
    """A frame for many: made once, encoded at the first recipient of each encoding."""

    def __init__(self, make: Callable[[], ServerFrame]) -> None:
        self._make = make
        self._encoded: dict[str, bytes] = {}

    def encoded(self, codec: Codec) -> bytes:
        """The bytes for one encoding."""
        data = self._encoded.get(codec.name)
        if data is None:
            data = self._encoded[codec.name] = codec.encode(self._make())
        return data


class Fanout:
    """The line of frames that are being written. Bound: a room has one diff a second, each recipient its outbox."""

    def __init__(self) -> None:
        self._line: deque[tuple[Packet, list[Connection], int]] = deque()
        self._running = False

    def send(self, packet: Packet, connections: list[Connection]) -> None:
        """Write a packet to all of these, behind everything that was given before."""
        self._line.append((packet, connections, 0))
        if not self._running:
            self._turn()

    def _turn(self) -> None:
        budget = SLICE
        while self._line and budget > 0:
            packet, connections, start = self._line.popleft()
            stop = min(len(connections), start + budget)
            for connection in connections[start:stop]:
                connection.send_encoded(packet.encoded(connection.codec))
            budget -= stop - start
            if stop < len(connections):
                self._line.appendleft((packet, connections, stop))
        self._running = bool(self._line)
        if self._running:
            asyncio.get_running_loop().call_soon(self._turn)
