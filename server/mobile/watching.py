"""Which watch session a mobile sample belongs to (mobile-ingest.md, reading 2), and its way to the actor.

One learner, one content or room and one device have sessions here, found by the samples' own time (`sorting.py`).
The caller sends the batches of one device one after the other, so that two of them cannot each begin a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from actors.actor import Actor
from actors.machines.effects import Acked, Effect
from actors.machines.events import Opened, Placed, RoomPlaced
from actors.machines.track import Sample, silence_ms
from actors.machines.watch import MOBILE, WatchState
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol import ids
from protocol.codes import ErrorCode
from server.auth import Claims
from server.desk import Denied, Desk, busy
from server.http.answers import Problem, of_denied, refusal_in, unavailable
from server.http.asking import WRITE_S, in_time
from server.mobile.samples import first_number
from server.mobile.sorting import Share, follows, running_of, sort, span_of
from storage.mobile import AppSession, MobileStore, Span, Target

TRIES: Final = 3
AT_ONCE: Final = 500
"""Samples that an actor is given at once: a day of them would hold up all others."""
_CONFLICT: Final = 409
_TRANSIENT: Final = 500
_FULL: Final = "too much waits for this room or session: keep the batch and try again"


class Post:
    """Waits for samples to be durable (an `actors.actor.Reply`); `future` is the session that they went to."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Nothing: the effects say it all."""

    def release(self, effects: list[Effect]) -> None:
        """It is durable."""
        if self.future.done():
            return  # given up meanwhile
        problem = refusal_in(effects)
        took = next((effect.session_id for effect in effects if type(effect) is Acked), None)
        if took is not None and problem is None:
            self.future.set_result(took)
        else:
            self.future.set_exception(problem or unavailable("the samples could not be processed: try again"))


class Watching:
    """One a process."""

    def __init__(self, system: ActorSystem, desk: Desk, store: MobileStore) -> None:
        self._system = system
        self._desk = desk
        self._store = store
        self._opening: dict[str, str] = {}
        """Sessions that were begun here and have not heard of it yet, with their devices."""

    async def take(self, claims: Claims, app: AppSession, target: Target, samples: list[Sample]) -> set[str] | None:
        """Have an app session's samples taken in; the sessions that they went to, when it is durable.

        None: the learner may not. Raises `Problem` (503).
        """
        samples.sort(key=lambda sample: sample.seq)
        found: set[str] = set()
        for start in range(0, len(samples), AT_ONCE):
            went = await self._take(claims, app, target, samples[start : start + AT_ONCE])
            if went is None:
                return None
            found |= went
        return found

    async def _take(self, claims: Claims, app: AppSession, target: Target, samples: list[Sample]) -> set[str] | None:
        for _ in range(TRIES):
            try:
                if target.room is not None:
                    return await self._take_for_room(claims, app, target, samples)
                return await self._take_for_content(claims, app, target, samples)
            except Denied as denied:
                if denied.code == ErrorCode.BUSY:
                    raise of_denied(denied) from None
                return None
            except Problem as problem:
                # A session may end between being found and being sent to.
                if problem.status != _CONFLICT:
                    if problem.status < _TRANSIENT:
                        return None
                    raise
        raise unavailable("the session is coming and going: keep the batch and try again")

    # -- contents -----------------------------------------------------------------------------------------------------

    async def _take_for_content(
        self, claims: Claims, app: AppSession, target: Target, samples: list[Sample]
    ) -> set[str]:
        assert target.content is not None
        kind, content_id = target.content
        await self._desk.check_content(claims, kind, content_id)
        watcher = (claims.user_id, kind, content_id)
        partition = ids.partition_of("\0".join((*watcher, app.user_uuid)), self._system.rules.partitions)
        epoch = self._epoch(partition)
        found = [(actor.key, actor.watch.state) for actor in self._system.directory.sessions_of(watcher)]
        known = [(key, state) for key, state in found if self._is_of(app.user_uuid, key, state)]
        shares = await self._shares(claims.user_id, app.user_uuid, target, known, samples)
        if self._epoch(partition) != epoch:
            raise busy()
        sent = [self._send(watcher, partition, app, share) for share in shares]
        return await _all(sent)

    def _is_of(self, device_id: str, key: str, state: WatchState | None) -> bool:
        """Whether a session is this device's, by this door."""
        if state is None:
            return self._opening.get(key) == device_id
        return state.door == MOBILE and state.device_id == device_id

    def _epoch(self, partition: int) -> int:
        """Under which the sessions of this partition are all in memory. Raises `Denied` (busy)."""
        epoch = self._system.directory.owned.get(partition)
        if epoch is None:
            raise busy()
        return epoch

    def _send(self, watcher: tuple[str, str, str], partition: int, app: AppSession, share: Share) -> Post:
        system = self._system
        actor = system.directory.watches.get(share.session_id) if share.session_id is not None else None
        if actor is None:
            actor = self._desk.new_watch(watcher, partition)
            if not system.post(actor, Opened(*watcher, app.user_uuid, MOBILE, system.interval_ms)):
                raise unavailable(_FULL)
            watches = system.directory.watches
            self._opening = {key: device for key, device in self._opening.items() if _is_opening(watches.get(key))}
            self._opening[actor.key] = app.user_uuid
        return self._post(actor, Placed(share.samples, system.interval_ms, app.lag, first_number(app.started_at)))

    def _post(self, actor: Actor, event: Placed | RoomPlaced) -> Post:
        post = Post()
        if not self._system.post(actor, event, post):
            raise unavailable(_FULL)
        return post

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def _take_for_room(self, claims: Claims, app: AppSession, target: Target, samples: list[Sample]) -> set[str]:
        assert target.room is not None
        actor = await self._desk.room(claims, target.room)
        if actor.room.state.status == "cancelled":
            raise Denied(ErrorCode.ROOM_CANCELLED, "the class was cancelled")
        sessions = actor.room.state.sessions
        known = [
            (session_id, sessions.get(session_id))
            for session_id in actor.room.mobile_sessions(claims.user_id, app.user_uuid)
        ]
        shares = await self._shares(claims.user_id, app.user_uuid, target, known, samples)
        sent = [self._send_to_room(claims, app, actor, share) for share in shares]
        return await _all(sent)

    def _send_to_room(self, claims: Claims, app: AppSession, actor: Actor, share: Share) -> Post:
        system = self._system
        event = RoomPlaced(
            claims.user_id,
            claims.role,
            claims.name,
            app.user_uuid,
            share.session_id,
            system.new_session_id(actor.partition),
            share.samples,
            system.interval_ms,
            app.lag,
            first_number(app.started_at),
        )
        return self._post(actor, event)

    # -- sorting ------------------------------------------------------------------------------------------------------

    async def _shares(
        self,
        user_id: str,
        device_id: str,
        target: Target,
        known: Sequence[tuple[str, WatchState | None]],
        samples: list[Sample],
    ) -> list[Share]:
        """Whose the samples are. Raises `Denied` (busy)."""
        running = [running_of(key, state) for key, state in known if state is None or state.ended_at is None]
        over = [span_of(key, state) for key, state in known if state is not None and state.ended_at is not None]
        if not all(follows(running, sample) for sample in samples):
            over += await self._stored(user_id, device_id, target, samples, {key for key, _ in known})
        rules = self._system.rules
        return sort(samples, running, over, rules.watch.idle_ms, silence_ms(rules.heartbeat_ms))

    async def _stored(
        self, user_id: str, device_id: str, target: Target, samples: list[Sample], known: set[str]
    ) -> list[Span]:
        start, end = samples[0].at, samples[-1].at
        try:
            found = await self._store.watched(user_id, device_id, target, start, end)
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
        return [span for span in found if span.session_id not in known]


def _is_opening(actor: Actor | None) -> bool:
    return actor is not None and actor.watch.state is None


async def _all(sent: Sequence[Post]) -> set[str]:
    """Where they went, when all of them are durable. Raises `Problem`."""
    return set(await asyncio.gather(*(in_time(post.future, WRITE_S) for post in sent)))
