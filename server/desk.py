"""The front desk: what a request from any door means to the actors, and who may.

Both the WebSocket and the HTTP edge come here, so a rule holds at both. Nothing here knows a socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from actors.actor import Actor
from actors.directory import NotOwned, Watcher
from actors.machines.events import Joined, Opened, Posted, Resumed
from actors.machines.room import begins_anew
from actors.machines.rows import SessionRow
from actors.machines.track import OLDEST_MS, STATES, Sample, TooOld
from actors.ports import SessionReader, StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol import ids
from protocol.client_frames import Heartbeat
from protocol.codes import ErrorCode
from protocol.sample import Sample as WireSample
from server.auth import Claims

RETRY_AFTER_S: Final = 2.0
DOOR_SOCKET: Final = "websocket"
DOOR_HTTP: Final = "http"


class Denied(Exception):
    """A refusal with its code on the wire; nothing has changed."""

    def __init__(self, code: ErrorCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class OtherLearners(Denied):
    """The session named is somebody else's: `forbidden` in frames, 409 over HTTP (realtime.md, reading 4)."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.FORBIDDEN, "session_id belongs to another learner")


def busy(message: str = "storage is away: keep the samples and try again") -> Denied:
    """The world's fault, with a hint when to retry."""
    return Denied(ErrorCode.BUSY, message, RETRY_AFTER_S)


class Contents(Protocol):
    """What is known of contents and enrolments; from memory where it can be. Raises StoreAway, StoreRefused."""

    async def known(self, kind: str, content_id: str, *, create: bool) -> bool:
        """Whether the content is known; with `create` it is from now on."""
        ...

    async def product_of(self, kind: str, content_id: str) -> str | None:
        """The product that a content belongs to, where one is known."""
        ...

    async def enrolled(self, user_id: str, product_id: str, now_ms: int) -> bool:
        """Whether a learner may use what belongs to a product; True where nobody was ever enrolled in it."""
        ...

    async def takes_part(self, user_id: str, product_id: str, now_ms: int) -> bool:
        """Whether the learner has an enrolment in a product."""
        ...


def sample_of(wire: WireSample | Heartbeat) -> Sample:
    """A sample from the wire, in the machines' units."""
    return Sample(
        wire.seq,
        wire.at,
        int(wire.position * 1000 + 0.5),
        STATES[wire.state],
        1.0 if wire.rate is None else wire.rate,
        wire.visible is not False,
        None if wire.duration is None else int(wire.duration * 1000 + 0.5),
    )


def samples_of(wire: Sequence[WireSample]) -> list[Sample]:
    """A batch from the wire. Raises `Denied`, naming the first sample whose `seq` does not rise."""
    for index in range(1, len(wire)):
        if wire[index].seq <= wire[index - 1].seq:
            message = f"Expected `seq` above {wire[index - 1].seq} - at `$.samples[{index}].seq`"
            raise Denied(ErrorCode.BAD_MESSAGE, message)
    return [sample_of(one) for one in wire]


def _refuse_old(sent_at: int, samples: list[Sample]) -> None:
    """What a new session's track would refuse: its clock is known by this message alone."""
    for index, sample in enumerate(samples):
        if sample.at < sent_at - OLDEST_MS:
            raise Denied(ErrorCode.TOO_OLD, str(TooOld(index)))


class Desk:
    """One a process."""

    def __init__(
        self, system: ActorSystem, sessions: SessionReader, contents: Contents, *, accept_unknown: bool
    ) -> None:
        self._system = system
        self._sessions = sessions
        self._contents = contents
        self._accept_unknown = accept_unknown

    # -- rooms --------------------------------------------------------------------------------------------------------

    def check_room(self, claims: Claims, room_id: str) -> None:
        """Raises `Denied` where the token leaves this room out."""
        if claims.rooms is not None and room_id not in claims.rooms:
            raise Denied(ErrorCode.FORBIDDEN, "the token does not name this room")

    async def room(self, claims: Claims, room_id: str) -> Actor:
        """The room's actor, for somebody who takes part. Raises `Denied`."""
        self.check_room(claims, room_id)
        actor = await self.find_room(room_id, create=self._accept_unknown)
        if actor is None:
            raise Denied(ErrorCode.NOT_FOUND, "no such room")
        await self.check_enrolment(claims, actor.room.state.product_id)
        return actor

    async def check_enrolment(self, claims: Claims, product_id: str | None) -> None:
        """Raises `Denied` where the product has enrolments and the learner has none now (realtime.md, "Who may")."""
        if product_id is None or claims.role != "learner":
            return
        try:
            enrolled = await self._contents.enrolled(claims.user_id, product_id, self._system.clock.now())
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
        if not enrolled:
            raise Denied(ErrorCode.FORBIDDEN, "no enrolment in the product that this belongs to")

    async def takes_part(self, claims: Claims, product_id: str | None) -> bool:
        """Whether the bearer is enrolled in a product now. Raises `Denied` (busy)."""
        if product_id is None:
            return False
        try:
            return await self._contents.takes_part(claims.user_id, product_id, self._system.clock.now())
        except (StoreAway, StoreRefused) as error:
            raise busy() from error

    async def find_room(self, room_id: str, *, create: bool) -> Actor | None:
        """The room's actor, or None. Raises `Denied` (busy)."""
        try:
            return await self._system.room(room_id, create=create)
        except (NotOwned, StoreAway, StoreRefused) as error:
            raise busy() from error

    async def resumable(self, actor: Actor, session_id: str | None, user_id: str) -> str | None:
        """The session to resume in this room: None where a new one begins. Raises `Denied`.

        Sessions that are over leave the room's memory; the store tells them from those that never were.
        """
        if session_id is None or session_id in actor.room.state.sessions:
            return session_id
        row = await self._row(session_id)
        if row is None or row.room_id != actor.key:
            raise Denied(ErrorCode.NOT_FOUND, "session_id is not known in this room")
        if row.user_id != user_id:
            raise OtherLearners
        return None

    def joined(
        self,
        actor: Actor,
        claims: Claims,
        resume: str | None,
        device_id: str,
        metadata: bytes | None,
        interval: int,
    ) -> Joined:
        """The event of a join; `interval` (ms) is the heartbeat interval that the client knows."""
        return Joined(
            claims.user_id,
            claims.role,
            claims.name,
            self._system.new_session_id(actor.partition),
            resume,
            device_id,
            metadata,
            interval,
        )

    def posted(
        self,
        actor: Actor,
        claims: Claims,
        session_id: str | None,
        device_id: str,
        sent_at: int,
        samples: list[Sample],
        *,
        leave: bool,
    ) -> Posted:
        """The event of samples over HTTP for a room."""
        return Posted(
            claims.user_id,
            claims.role,
            claims.name,
            device_id,
            session_id,
            self._system.new_session_id(actor.partition),
            sent_at,
            samples,
            leave,
            self._system.interval_ms,
        )

    # -- contents -----------------------------------------------------------------------------------------------------

    async def check_content(self, claims: Claims, kind: str, content_id: str) -> None:
        """Raises `Denied` where the learner may not watch this."""
        if claims.contents is not None and (kind, content_id) not in claims.contents:
            raise Denied(ErrorCode.FORBIDDEN, "the token does not name this content")
        try:
            known = await self._contents.known(kind, content_id, create=self._accept_unknown)
            product_id = await self._contents.product_of(kind, content_id) if known else None
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
        if not known:
            raise Denied(ErrorCode.NOT_FOUND, "no such content")
        await self.check_enrolment(claims, product_id)

    async def watch(
        self,
        claims: Claims,
        kind: str,
        content_id: str,
        session_id: str | None,
        device_id: str,
        duration_ms: int | None,
        interval: int,
    ) -> tuple[Actor, Opened | Resumed]:
        """The session of a `watch`, and the event that begins or resumes it. Raises `Denied`.

        `interval` (ms) is the heartbeat interval that the client knows.
        """
        await self.check_content(claims, kind, content_id)
        if session_id is not None:
            actor = await self.running(session_id, claims.user_id, kind, content_id)
            if actor is not None:
                return actor, Resumed(interval, duration_ms)
        actor = self.new_watch((claims.user_id, kind, content_id), None)
        return actor, Opened(claims.user_id, kind, content_id, device_id, DOOR_SOCKET, interval, duration_ms)

    async def watch_over_http(
        self,
        claims: Claims,
        kind: str,
        content_id: str,
        session_id: str | None,
        device_id: str,
        sent_at: int,
        samples: list[Sample],
    ) -> tuple[Actor, Opened | None]:
        """The session that a post belongs to, and the event that begins it where it is new. Raises `Denied`."""
        await self.check_content(claims, kind, content_id)
        key = (claims.user_id, kind, content_id, device_id)
        if session_id is not None:
            actor = await self.running(session_id, claims.user_id, kind, content_id)
        else:
            actor = await self._keyed(key)
        if actor is not None:
            state = actor.watch.state
            if session_id is not None or state is None or not begins_anew(state.track, samples):
                return actor, None
        # Refused before anything is made of it: a session that begins with what it refuses would stay behind, empty.
        _refuse_old(sent_at, samples)
        partition = ids.partition_of("\0".join(key), self._system.rules.partitions)
        actor = self.new_watch(key[:3], partition)
        self._system.directory.keyed[key] = actor.key
        opened = Opened(*key, DOOR_HTTP, self._system.interval_ms, None)
        return actor, opened

    def new_watch(self, watcher: Watcher, partition: int | None) -> Actor:
        """An actor for a new session of this learner and content. Raises `Denied` (busy)."""
        try:
            actor = self._system.new_watch(partition)
        except NotOwned as error:
            raise busy() from error
        self._system.directory.note(watcher, actor)
        return actor

    async def running(self, session_id: str, user_id: str, kind: str, content_id: str) -> Actor | None:
        """The session, if it has not ended; None where it has. Raises `Denied`."""
        try:
            actor = await self._system.watch(session_id)
        except NotOwned:
            partition = ids.session_partition(session_id)
            if partition is None or partition >= self._system.rules.partitions:
                raise Denied(ErrorCode.NOT_FOUND, "session_id is not known") from None
            raise busy() from None
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
        state = actor.watch.state if actor is not None else None
        if state is None:
            row = await self._row(session_id)
            owner, content = (row.user_id, (row.kind, row.content_id)) if row else (None, (None, None))
        else:
            owner, content = state.user_id, (state.kind, state.content_id)
        if owner is None:
            raise Denied(ErrorCode.NOT_FOUND, "session_id is not known")
        if owner != user_id:
            raise OtherLearners
        if content != (kind, content_id):
            raise Denied(ErrorCode.NOT_FOUND, "session_id belongs to another content")
        return actor if state is not None and state.takes_numbers else None

    async def _keyed(self, key: tuple[str, str, str, str]) -> Actor | None:
        """The running session of the HTTP door with this key; one that is just being opened counts."""
        keyed = self._system.directory.keyed
        try:
            session_id = keyed.get(key)
            if session_id is None:
                row = await self._sessions.open_session(*key)
                # Another post of the same player may have opened one meanwhile.
                session_id = keyed.get(key) or (row.session_id if row is not None else None)
            actor = await self._system.watch(session_id) if session_id is not None else None
        except (NotOwned, StoreAway, StoreRefused) as error:
            raise busy() from error
        return actor if actor is not None and not actor.watch.ended else None

    async def _row(self, session_id: str) -> SessionRow | None:
        try:
            return await self._sessions.session(session_id)
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
