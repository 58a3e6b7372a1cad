"""`append`, `i` and `late`: a batch of messages, taken in whole and answered when it is durable (mobile-ingest.md).

    token -> app session -> bytes -> messages -> sessions by their time
                                        |-> samples -> watch sessions and rooms, durable in the journal
                                        '-> rows, durable in the tables -> 200

Both halves know what they have seen, so whatever happens between them, sending the batch again makes it whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import msgspec
import structlog
from aiohttp import web

from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.mobile import Batch, Unframed, read_batch
from protocol.mobile_rest import BATCH_BYTES, UNPACKED_BYTES
from server.auth import Claims, Role
from server.http import bodies
from server.http.answers import unavailable
from server.http.asking import check_storage
from server.http.small import Empty
from server.metrics import Samples
from server.mobile.answers import UnframedProblem
from server.mobile.meaning import Part, lag_of, parts_of, times_of
from server.mobile.sessions import AppSessions, Timetable
from server.mobile.watching import Watching
from storage.gathering import Full, Gathering
from storage.mobile import Allowed, AppSession, Brought

THREAD_BYTES: Final = 64 * 1024
"""A batch over this is read beside the event loop."""
THREAD_MESSAGES: Final = 2_000
"""One of more than so many messages is made sense of there, too."""
LARGE_AT_ONCE: Final = 2
"""Large batches that are being read; others wait in line."""
MESSAGE_COST: Final = 256
"""Bytes that a message weighs while it waits, beside its body."""
BATCH_WEIGHT: Final = 4 * 1024 * 1024
WAITING_WEIGHT: Final = 64 * 1024 * 1024
PATIENCE_S: Final = 2.0


log = structlog.get_logger(__name__)

T = TypeVar("T")


class Batches:
    """The handlers. One a process; to be made inside the running event loop."""

    def __init__(
        self,
        system: ActorSystem,
        sessions: AppSessions,
        watching: Watching,
        gathering: Gathering[Brought, int],
        counted: tuple[Counter[str], Samples],
    ) -> None:
        self._system = system
        self._sessions = sessions
        self._watching = watching
        self._gathering = gathering
        self._counts, self._samples = counted
        self._held = bodies.Held()
        self._reading = asyncio.Semaphore(LARGE_AT_ONCE)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def append(self, request: web.Request) -> web.Response:
        """`append` and `i`."""
        return await self._post(request, late=False)

    async def late(self, request: web.Request) -> web.Response:
        """`late`: under the token of a session that is over, or of the one after it."""
        return await self._post(request, late=True)

    async def _post(self, request: web.Request, *, late: bool) -> web.Response:
        check_storage(self._system)
        bearer = await self._sessions.of_bearer(request, late=late)
        with self._held.hold(request, BATCH_BYTES) as holding:
            data = await bodies.read(request, BATCH_BYTES, UNPACKED_BYTES)
            holding.resize(len(data))
            self._counts["late" if late else "append"] += 1
            if bearer.session is not None:
                batch = await self._read(data)
                # What is made of a body may weigh much more than the body.
                holding.resize(len(data) + MESSAGE_COST * (len(batch.messages) + len(batch.undecodable)))
                await self._take(bearer.session, batch)
        return Empty()

    async def _read(self, data: bytes) -> Batch:
        try:
            if len(data) <= THREAD_BYTES:
                return read_batch(data)
            async with self._reading:
                return await asyncio.to_thread(read_batch, data)
        except Unframed as error:
            raise UnframedProblem(error.reason, error.offset) from None

    async def _take(self, session: AppSession, batch: Batch) -> None:
        self._counts["message"] += len(batch.messages)
        self._counts["undecodable"] += len(batch.undecodable)
        device = session.user_uuid
        lock = self._locks.get(device)
        if lock is None:
            lock = self._locks[device] = asyncio.Lock()
        # One batch of a device after the other: each may make sessions that the next one must find.
        async with lock:
            await self._take_in_turn(session, batch)

    async def _take_in_turn(self, session: AppSession, batch: Batch) -> None:
        now = self._system.clock.now()
        large = len(batch.messages) + len(batch.undecodable) > THREAD_MESSAGES
        lag, times = await _perhaps_beside(large, lambda: (lag_of(batch, session, now), times_of(batch)))
        session = self._sessions.slowed(session, lag)
        table = await self._sessions.sorted_by_time(session, times, now, large=large)
        parts = await _perhaps_beside(large, lambda: _credited_parts(batch, table, session, now))
        brought = Brought(now, [_owned(one, session, parts) for one in table.begun], [], [], [])
        for part in parts:
            brought.messages.extend(part.messages)
            brought.changes.append(part.change())
            self._samples.refused += part.refused
            learner = credited(part, session)
            watched = await self._watch(part, session, learner)
            brought.watching.extend((part.session.session_id, each, learner or "") for each in watched)
        await self._store(brought, sum(part.weight for part in parts))

    async def _watch(self, part: Part, session: AppSession, learner: str | None) -> set[str]:
        """Samples to their actors; where they went. Raises `Problem` (503)."""
        found: set[str] = set()
        for target, made in part.samples.items():
            self._samples.taken += len(made)
            went = None
            if learner is not None:
                claims = _claims(learner, session.allowed or Allowed())
                went = await self._watching.take(claims, part.session, target, made)
            if went is None:
                self._counts["uncredited"] += len(made)
            else:
                self._samples.acked += len(made)
                found |= went
        return found

    async def _store(self, brought: Brought, weight: int) -> None:
        try:
            await self._gathering.put(brought, weight + MESSAGE_COST)
        except Full:
            raise unavailable("too much waits for storage: keep the batch and try again") from None
        except StoreAway as error:
            raise unavailable("storage is away: keep the batch and try again") from error
        except StoreRefused as error:
            # Ours: what comes in was made to fit.
            log.error("mobile.batch_refused", reason=str(error))  # noqa: TRY400 - the reason says it all
            raise unavailable("the batch cannot be kept now: try again") from error


def credited(part: Part, bearer: AppSession) -> str | None:
    """The learner that a part's samples belong to (readings 1 and 6); None for nobody.

    Late data of another session is the bearer's, unless that session is known to be somebody else's.
    """
    learner = bearer.user_id
    if learner is None or part.session.session_id == bearer.session_id:
        return learner
    others = (part.session.user_id, part.named)
    return None if any(other is not None and other != learner for other in others) else learner


def _credited_parts(batch: Batch, table: Timetable, session: AppSession, now: int) -> list[Part]:
    """What the batch brings, by session, with who is credited and what it weighs while it waits."""
    parts = parts_of(batch, table.of, session, now)
    for part in parts:
        learner = credited(part, session)
        for row in part.messages:
            row.user_id = learner
            part.weight += len(row.body) + MESSAGE_COST
    return parts


async def _perhaps_beside(large: bool, work: Callable[[], T]) -> T:  # noqa: FBT001 - said in its name
    """Its result; what is made of a large batch is made beside the event loop."""
    return await asyncio.to_thread(work) if large else work()


def _owned(begun: AppSession, bearer: AppSession, parts: Sequence[Part]) -> AppSession:
    """A session that late data makes is the learner's to whom the data is credited."""
    learner = next((credited(part, bearer) for part in parts if part.session is begun), None)
    return begun if learner == begun.user_id else msgspec.structs.replace(begun, user_id=learner, allowed=None)


def _claims(learner: str, allowed: Allowed) -> Claims:
    """The learner as their token said at the start of the session."""
    rooms = None if allowed.rooms is None else frozenset(allowed.rooms)
    contents = None if allowed.contents is None else frozenset(allowed.contents)
    role: Role = "staff" if allowed.role == "staff" else "admin" if allowed.role == "admin" else "learner"
    return Claims(learner, role, 0, allowed.name, rooms, contents)
