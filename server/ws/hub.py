"""All connections of this node: who is who, who sees which room, and what the actors tell them."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Final

import msgspec
import structlog

from actors.actor import Actor, Reply, Status
from actors.clock import ServerClock
from actors.machines.diffs import Diff
from actors.machines.effects import DiffDue, Effect, RoomTurned, SessionEnded
from actors.machines.events import Departed, Left
from actors.machines.room import Room
from actors.ports import ROOM
from actors.system import ActorSystem
from protocol import limits as defaults
from protocol.codes import ByeReason, CloseCode, ErrorCode
from protocol.server_frames import RoomChanged
from server.auth import Claims, Verifier
from server.desk import Denied, Desk
from server.metrics import Samples
from server.ws import render
from server.ws.connection import Connection
from server.ws.fanout import Fanout, Packet
from server.ws.stream import Stream

log = structlog.get_logger(__name__)

PINGS_MISSED_MAX: Final = 2
SPREAD_MS: Final = 3_000


class Limits(msgspec.Struct, frozen=True):
    """What bounds a connection (realtime.md, reading 9)."""

    frame_bytes: int = defaults.FRAME_BYTES
    outbox_bytes: int = defaults.OUTBOX_BYTES
    streams_per_connection: int = defaults.STREAMS_PER_CONNECTION
    connections_per_user: int = defaults.CONNECTIONS_PER_USER
    messages_per_second: float = defaults.MESSAGES_PER_SECOND
    messages_burst: int = defaults.MESSAGES_BURST
    bad_messages_per_minute: int = defaults.BAD_MESSAGES_PER_MINUTE
    samples_per_frame: int = defaults.SAMPLES_PER_FRAME
    hello_s: float = 5.0
    ping_s: int = 25
    presence_list: int = 500
    connections_per_address: int = 0
    retry_after_s: float = 2.0


class Hub:
    """One a process."""

    def __init__(self, clock: ServerClock, limits: Limits, verifier: Verifier, counted: Samples | None = None) -> None:
        self.clock = clock
        self.limits = limits
        self.verifier = verifier
        self.message_rate = limits.messages_per_second / 1000
        """Messages a millisecond."""
        self.system: ActorSystem
        self.desk: Desk
        self.counted = counted or Samples()
        self.counts: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self._by_user: dict[str, dict[Connection, None]] = {}
        self._by_address: Counter[str] = Counter()
        """Open sockets an address; counted only where they are limited."""
        self._by_session: dict[str, Stream] = {}
        self._seers: dict[str, dict[Connection, int]] = {}
        """Room -> connection -> the diff `seq` that it knows already."""
        self._slots: list[set[Connection]] = [set() for _ in range(max(1, limits.ping_s))]
        self._slot = 0
        self._expiring: dict[int, set[Connection]] = {}
        """Unix second -> whose tokens expire by then."""
        self._expired_by = clock.now() // 1000
        self._fanout = Fanout()

    def use(self, system: ActorSystem, desk: Desk) -> None:
        """The other half of the composition: the actors need their audience first."""
        self.system = system
        self.desk = desk

    # -- connections --------------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A socket was upgraded."""
        connection.id = secrets.token_hex(8)
        self.connections.add(connection)
        connection.slot = (self._slot - 1) % len(self._slots)
        self._slots[connection.slot].add(connection)
        if self.limits.connections_per_address:
            self._by_address[connection.address] += 1

    def crowded(self, connection: Connection) -> bool:
        """Whether the connection is one too many from its address."""
        most = self.limits.connections_per_address
        return bool(most) and self._by_address[connection.address] > most

    def closed(self, connection: Connection) -> None:
        """A socket is gone."""
        self.connections.discard(connection)
        self._slots[connection.slot].discard(connection)
        if self.limits.connections_per_address:
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]
        self.not_expiring(connection)
        claims = connection.claims
        if claims is not None:
            mine = self._by_user.get(claims.user_id)
            if mine is not None:
                mine.pop(connection, None)
                if not mine:
                    del self._by_user[claims.user_id]

    def welcomed(self, connection: Connection, *, first: bool) -> None:
        """A token was accepted. The ninth connection of a learner replaces the oldest."""
        claims = connection.claims
        assert claims is not None
        self._expiring.setdefault(_second(claims), set()).add(connection)
        if not first:
            return
        mine = self._by_user.setdefault(claims.user_id, {})
        mine[connection] = None
        if len(mine) > self.limits.connections_per_user:
            oldest = next(iter(mine))
            del mine[oldest]
            self.counts["replaced"] += 1
            oldest.bye(ByeReason.REPLACED)

    def not_expiring(self, connection: Connection) -> None:
        """The connection is gone, or gets another token."""
        claims = connection.claims
        if claims is None:
            return
        second = _second(claims)
        expiring = self._expiring.get(second)
        if expiring is not None:
            expiring.discard(connection)
            if not expiring:
                del self._expiring[second]

    def every_second(self) -> None:
        """Pings, and tokens that expired while their socket was open."""
        self._ping(self._slots[self._slot])
        self._slot = (self._slot + 1) % len(self._slots)
        now_s = self.clock.now() // 1000
        while self._expired_by < now_s:
            self._expired_by += 1
            for connection in self._expiring.pop(self._expired_by, ()):
                connection.close(CloseCode.UNAUTHENTICATED, "the token has expired")

    def _ping(self, connections: set[Connection]) -> None:
        for connection in list(connections):
            if connection.pings_missed >= PINGS_MISSED_MAX:
                self.counts["ping_timeout"] += 1
                connection.abort()
                continue
            connection.pings_missed += 1
            if connection.transport is not None:
                connection.transport.send_ping()

    def drain(self, ready_in_ms: int) -> None:
        """Send everybody away, each to come back at another moment."""
        total = max(1, len(self.connections))
        for index, connection in enumerate(list(self.connections)):
            connection.bye(ByeReason.DRAINING, ready_in_ms + index * SPREAD_MS // total)

    def send_away(self, user_id: str) -> None:
        """End a learner's connections: nothing is kept of them any more, and they need another token."""
        for connection in list(self._by_user.get(user_id, ())):
            connection.close(CloseCode.UNAUTHENTICATED, "the learner was erased")

    # -- streams ------------------------------------------------------------------------------------------------------

    def attach(self, stream: Stream) -> Stream | None:
        """A stream begins. Returns the one that carried its session until now, already taken off."""
        old = self._by_session.get(stream.session_id) if stream.session_id is not None else None
        if old is not None:
            self.detach(old)
        stream.connection.streams[stream.no] = stream
        stream.actor.streams += 1
        if stream.session_id is not None:
            self._by_session[stream.session_id] = stream
        return old

    def detach(self, stream: Stream) -> None:
        """A stream is no more; its actor is not told."""
        connection = stream.connection
        if connection.streams.pop(stream.no, None) is None:
            return
        stream.actor.streams -= 1
        if stream.session_id is not None and self._by_session.get(stream.session_id) is stream:
            del self._by_session[stream.session_id]
        if stream.is_room and not any(
            other.is_room and other.actor is stream.actor for other in connection.streams.values()
        ):
            seers = self._seers.get(stream.actor.key)
            if seers is not None:
                seers.pop(connection, None)
                if not seers:
                    del self._seers[stream.actor.key]

    def replaced(self, old: Stream, by: Connection) -> None:
        """Tell a stream's former connection; one that carried nothing else is closed (reading 4, 13)."""
        connection = old.connection
        if connection is by or connection.gone:
            return
        if connection.streams:
            connection.refuse(Denied(ErrorCode.UNKNOWN_STREAM, "resumed on another connection"), stream=old.no)
        else:
            connection.bye(ByeReason.REPLACED)

    def leave(self, stream: Stream) -> None:
        """The client left a stream on purpose."""
        if stream.session_id is not None:
            event = Departed(stream.session_id) if stream.is_room else Left()
            self.system.post(stream.actor, event, always=True)
        self.detach(stream)

    def stream_in_room(self, connection: Connection, room_id: str) -> Stream | None:
        """This connection's stream in that room."""
        for stream in connection.streams.values():
            if stream.is_room and stream.actor.key == room_id:
                return stream
        return None

    def see(self, connection: Connection, room: Room) -> None:
        """The connection gets the room's diffs behind the present one."""
        self._seers.setdefault(room.room_id, {})[connection] = room.diffs.seq

    def listed(self, connection: Connection, room: Room) -> bool:
        """Whether this viewer may see names: staff always, learners in rooms of up to the list limit."""
        claims = connection.claims
        staff = claims is not None and claims.role != "learner"
        return staff or room.present <= self.limits.presence_list

    # -- what the actors tell (actors.scheduler.Audience) -------------------------------------------------------------

    def stage(self, actor: Actor, effect: Effect, now: int) -> Reply | None:  # noqa: ARG002 - part of the port
        """An effect for others than the one who asked."""
        if isinstance(effect, SessionEnded):
            stream = self._by_session.get(effect.session_id)
            return _Ended(self, stream) if stream is not None else None
        if actor.key not in self._seers and actor.kind == ROOM:
            return None
        if isinstance(effect, DiffDue):
            return _Told(self, actor.room)
        if isinstance(effect, RoomTurned):
            return _Turned(self, actor, effect)
        return None

    def lost(self, actor: Actor) -> None:
        """The actor is gone without a goodbye: its streams begin anew, here or elsewhere."""
        streams = [
            stream
            for connection in list(self.connections)
            for stream in list(connection.streams.values())
            if stream.actor is actor
        ]
        if actor.status is Status.RETIRED:
            for connection in self.connections:
                connection.lost(actor)
        for stream in streams:
            self.detach(stream)
            if actor.status is Status.RETIRED:
                stream.connection.bye(ByeReason.DRAINING, 1_000)
            else:
                stream.connection.refuse(
                    Denied(ErrorCode.UNKNOWN_STREAM, "the room was restarted: join again"), stream=stream.no
                )

    def tell_diff(self, room_id: str, epoch: int, diff: Diff, *, truncated: bool) -> None:
        """Send a durable diff to all who do not know it yet."""
        full = Packet(lambda: render.diff_frame(room_id, epoch, diff, truncated=False))
        short = Packet(lambda: render.diff_frame(room_id, epoch, diff, truncated=True)) if truncated else full
        everything: list[Connection] = []
        counts_only: list[Connection] = []
        for connection, known in self._seers.get(room_id, {}).items():
            if known < diff.seq:
                claims = connection.claims
                names = not truncated or (claims is not None and claims.role != "learner")
                (everything if names else counts_only).append(connection)
        if everything:
            self._fanout.send(full, everything)
        if counts_only:
            self._fanout.send(short, counts_only)

    def turn(self, actor: Actor, effect: RoomTurned) -> None:
        """Send a durable change of a room's state; an end closes its streams, the sockets stay."""
        seers = list(self._seers.get(actor.key, ()))
        frame = RoomChanged(actor.key, effect.state, effect.at)
        self._fanout.send(Packet(lambda: frame), seers)
        if effect.state == "live":
            return
        for connection in seers:
            for stream in list(connection.streams.values()):
                if stream.is_room and stream.actor is actor:
                    self.detach(stream)


def _second(claims: Claims) -> int:
    """The first whole second at which the token has expired."""
    return -(-claims.expires_at_ms // 1000)


class _Broadcast:
    """What broadcasts share: nothing is needed of the machine at the step but what the maker has taken down."""

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Nothing more."""


class _Told(_Broadcast):
    def __init__(self, hub: Hub, room: Room) -> None:
        self._hub = hub
        self._room_id = room.room_id
        self._epoch = room.state.epoch
        self._diff = room.diffs.kept[-1]
        self._truncated = room.present > hub.limits.presence_list

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002
        self._hub.tell_diff(self._room_id, self._epoch, self._diff, truncated=self._truncated)


class _Turned(_Broadcast):
    def __init__(self, hub: Hub, actor: Actor, effect: RoomTurned) -> None:
        self._hub = hub
        self._actor = actor
        self._effect = effect

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002
        self._hub.turn(self._actor, self._effect)


class _Ended(_Broadcast):
    def __init__(self, hub: Hub, stream: Stream) -> None:
        self._hub = hub
        self._stream = stream

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002
        stream = self._stream
        if stream.connection.streams.get(stream.no) is stream:
            self._hub.detach(stream)
            message = "the session has ended: join or watch again"
            stream.connection.refuse(Denied(ErrorCode.UNKNOWN_STREAM, message), stream=stream.no)
