"""Which watch session a mobile sample belongs to (mobile-ingest.md, reading 2), and its way to the actor.

One learner, one content or room and one device have sessions here, found by the samples' own time:

    a session that runs and began before it          it goes there: between others, too
    a session that runs and begins less than half    it goes there, as the new beginning
    an hour later, and still knows all its samples
    a stored session's time                          nobody's: a repeat, or too late to be told from one
    none of these                                    a session of its own

The caller sends the batches of one device one after the other, so that two of them cannot each begin a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

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
from storage.mobile import MobileStore, Span, Target

TRIES: Final = 3
_CONFLICT: Final = 409
_TRANSIENT: Final = 500
_FULL: Final = "too much waits for this room or session: keep the batch and try again"


class Share(msgspec.Struct):
    """Samples for one session: `session_id` of one that runs, or None for a new one. By number."""

    session_id: str | None
    samples: list[Sample]


class Running(msgspec.Struct):
    """A session as far as samples are sorted by it. -1 for one without samples yet."""

    share: Share
    started_at: int
    last_at: int
    whole: bool
    """It still has every sample it took: one before them all is no harm."""
    first: Sample | None = None
    """The first of them, where it still has it."""


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
        self._opening: set[str] = set()
        """Sessions that were begun here and have not heard of it yet."""

    async def take(self, claims: Claims, device_id: str, target: Target, samples: list[Sample]) -> set[str] | None:
        """Have samples taken in; the sessions that they went to, when it is durable. None: the learner may not.

        Raises `Problem` (503).
        """
        for _ in range(TRIES):
            try:
                if target.room is not None:
                    return await self._take_for_room(claims, device_id, target, samples)
                return await self._take_for_content(claims, device_id, target, samples)
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
        self, claims: Claims, device_id: str, target: Target, samples: list[Sample]
    ) -> set[str]:
        assert target.content is not None
        kind, content_id = target.content
        await self._desk.check_content(claims, kind, content_id)
        watcher = (claims.user_id, kind, content_id)
        found = [(actor.key, actor.watch.state) for actor in self._system.directory.sessions_of(watcher)]
        self._opening.difference_update(key for key, state in found if state is not None)
        known = [
            (key, state)
            for key, state in found
            if (key in self._opening if state is None else _is_ours(state, device_id))
        ]
        shares = await self._shares(claims.user_id, device_id, target, known, samples)
        sent = [self._send(watcher, device_id, share) for share in shares]
        return await _all(sent)

    def _send(self, watcher: tuple[str, str, str], device_id: str, share: Share) -> Post:
        system = self._system
        actor = system.directory.watches.get(share.session_id) if share.session_id is not None else None
        if actor is None:
            partition = ids.partition_of("\0".join((*watcher, device_id)), system.rules.partitions)
            actor = self._desk.new_watch(watcher, partition)
            if not system.post(actor, Opened(*watcher, device_id, MOBILE, system.interval_ms)):
                raise unavailable(_FULL)
            self._opening.add(actor.key)
        return self._post(actor, Placed(share.samples, system.interval_ms))

    def _post(self, actor: Actor, event: Placed | RoomPlaced) -> Post:
        post = Post()
        if not self._system.post(actor, event, post):
            raise unavailable(_FULL)
        return post

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def _take_for_room(self, claims: Claims, device_id: str, target: Target, samples: list[Sample]) -> set[str]:
        assert target.room is not None
        actor = await self._desk.room(claims, target.room)
        if actor.room.state.status == "cancelled":
            raise Denied(ErrorCode.ROOM_CANCELLED, "the class was cancelled")
        sessions = actor.room.state.sessions
        known = [
            (session_id, sessions.get(session_id))
            for session_id in actor.room.mobile_sessions(claims.user_id, device_id)
        ]
        shares = await self._shares(claims.user_id, device_id, target, known, samples)
        sent = [self._send_to_room(claims, device_id, actor, share) for share in shares]
        return await _all(sent)

    def _send_to_room(self, claims: Claims, device_id: str, actor: Actor, share: Share) -> Post:
        system = self._system
        event = RoomPlaced(
            claims.user_id,
            claims.role,
            claims.name,
            device_id,
            share.session_id,
            system.new_session_id(actor.partition),
            share.samples,
            system.interval_ms,
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
        samples.sort(key=lambda sample: sample.seq)
        running = [running_of(key, state) for key, state in known if state is None or state.ended_at is None]
        over = [_span(key, state) for key, state in known if state is not None and state.ended_at is not None]
        if not all(_follows(running, sample) for sample in samples):
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


def sort(
    samples: Sequence[Sample], running: list[Running], over: Sequence[Span], idle_ms: int, silence: int
) -> list[Share]:
    """What goes where; samples by number. Pure, but for `running`, which goes on with its samples."""
    for sample in samples:
        found = _taker(sample.at, running, idle_ms)
        if found is None:
            if any(span.started_at <= sample.at <= span.last_at for span in over):
                continue
            found = Running(Share(None, []), -1, -1, whole=True)
            running.append(found)
        found.share.samples.append(sample)
        if found.started_at < 0 or sample.at < found.started_at:
            found.started_at, found.first = sample.at, sample
        found.last_at = max(found.last_at, sample.at)
    _join(running, silence)
    return [one.share for one in running if one.share.samples]


def _join(running: list[Running], silence: int) -> None:
    """Between two sessions that turn out to be neighbours nothing is lost: the first one ends where the next begins."""
    ordered = sorted((one for one in running if one.started_at >= 0), key=lambda one: one.started_at)
    for one, following in pairwise(ordered):
        first = following.first
        if one.share.samples and first is not None and 0 <= first.at - one.last_at <= silence:
            one.share.samples.append(first)


def _taker(at: int, running: Sequence[Running], idle_ms: int) -> Running | None:
    """The session whose time it is: the latest that began before it, else the next one to begin."""
    empty = next((one for one in running if one.started_at < 0), None)
    before = max((one for one in running if 0 <= one.started_at <= at), key=lambda one: one.started_at, default=None)
    if before is not None and at - before.last_at < idle_ms:
        return before
    behind = min((one for one in running if one.started_at > at), key=lambda one: one.started_at, default=None)
    if behind is not None and behind.whole and behind.started_at - at < idle_ms:
        return behind
    return empty


def _follows(running: Sequence[Running], sample: Sample) -> bool:
    """Whether no stored session can be meant."""
    return any(0 <= one.started_at <= sample.at for one in running)


async def _all(sent: Sequence[Post]) -> set[str]:
    """Where they went, when all of them are durable. Raises `Problem`."""
    return set(await asyncio.gather(*(in_time(post.future, WRITE_S) for post in sent)))


def _is_ours(state: WatchState, device_id: str) -> bool:
    return state.door == MOBILE and state.device_id == device_id


def running_of(key: str, state: WatchState | None) -> Running:
    """A session in memory, for `sort`; None for one that is just being opened."""
    share = Share(key, [])
    if state is None or state.window is None or state.track.started_at < 0:
        return Running(share, -1, -1, whole=True)
    window, track = state.window, state.track
    first = window.first() if window.whole else None
    return Running(share, track.started_at, track.at, whole=window.whole, first=first)


def _span(key: str, state: WatchState) -> Span:
    return Span(key, state.track.started_at, state.track.at)
