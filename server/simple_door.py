"""The simple door: which session a heartbeat without a number belongs to, and what is said of it.

One learner and content have one open session here (video-engagement.md, "The simple heartbeat"). What earlier sessions
covered is asked once, when a session begins, and lives with it from then on: later heartbeats ask the store nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from actors.actor import Actor
from actors.directory import SIMPLE, Watcher
from actors.figures.progress import Progress, coverage, progress
from actors.figures.watched import needed_ms, worked_ms
from actors.machines import ranges
from actors.machines.events import Opened, Reported
from actors.machines.watch import WatchSession
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol import ids
from server.auth import Claims
from server.catalog import ContentFacts
from server.desk import Desk, busy
from storage.watched import Before, WatchedBefore

OVER_MAX: Final = 5_000
"""Sessions that ended here and are written, remembered for their clients' repeats; the oldest goes."""


class SimpleDoor:
    """One a process."""

    def __init__(
        self, system: ActorSystem, desk: Desk, watched: WatchedBefore, threshold: float, over_max: int = OVER_MAX
    ) -> None:
        self._system = system
        self._desk = desk
        self._watched = watched
        self._threshold = threshold
        self._over: OrderedDict[Watcher, WatchSession] = OrderedDict()
        self._over_max = over_max
        self._named_over: OrderedDict[str, Watcher] = OrderedDict()
        """Sessions that clients go on naming: that they are over is asked once."""
        self._elsewhere: OrderedDict[str, list[int]] = OrderedDict()

    async def session(
        self, claims: Claims, facts: ContentFacts, session_id: str | None, report: Reported
    ) -> tuple[Actor, Opened | None]:
        """The session to report to, and the event that begins it where it is new. Raises `Denied`."""
        watcher = (claims.user_id, facts.kind, facts.content_id)
        if session_id is not None and self._named_over.get(session_id) != watcher:
            actor = await self._desk.running(session_id, *watcher)
            if actor is not None:
                return actor, None
            self._note_over(session_id, watcher)
        actor = self._taker(watcher, report)
        if actor is not None:
            return actor, None
        known = self._in_memory(watcher)
        try:
            before = await self._watched.before(*watcher)
        except (StoreAway, StoreRefused) as error:
            raise busy() from error
        # Another heartbeat of the same learner may have begun one meanwhile.
        actor = self._taker(watcher, report)
        if actor is not None:
            return actor, None
        # Read before the store was: what was written and forgotten since is in one of the two.
        prior = before.covered
        for other in known:
            _unite(prior, other)
        return self._begin(watcher, facts, Before(prior, before.completed), report.duration)

    def _begin(
        self, watcher: Watcher, facts: ContentFacts, before: Before, duration: int | None
    ) -> tuple[Actor, Opened]:
        partition = ids.partition_of("\0".join(watcher), self._system.rules.partitions)
        actor = self._desk.new_watch(watcher, partition)
        self._system.directory.simple[watcher] = actor.key
        length = worked_ms(duration, ignore_tail=facts.ignore_tail)
        covered = ranges.length_within(before.covered, 0, length) if length else 0
        completed = before.completed or self._completes(covered, length, facts)
        interval = self._system.interval_ms
        opened = Opened(*watcher, "", SIMPLE, interval, duration, prior=before.covered, completed=completed)
        return actor, opened

    def _taker(self, watcher: Watcher, report: Reported) -> Actor | None:
        """The session that runs; or the one that has just ended, where it knows this report already."""
        directory = self._system.directory
        session_id = directory.simple.get(watcher)
        actor = None if session_id is None else directory.watches.get(session_id)
        if actor is None or not actor.watch.ended or actor.watch.knows(report, self._system.clock.now()):
            return actor
        return None

    def _in_memory(self, watcher: Watcher) -> list[list[int]]:
        states = [actor.watch.state for actor in self._system.directory.sessions_of(watcher)]
        return [coverage(state.track).copy() for state in states if state is not None]

    def _note_over(self, session_id: str, watcher: Watcher) -> None:
        self._named_over[session_id] = watcher
        if len(self._named_over) > self._over_max:
            self._named_over.popitem(last=False)

    # -- sessions that are over ---------------------------------------------------------------------------------------

    def remember(self, session: WatchSession) -> None:
        """It has ended, durably."""
        state = session.state
        assert state is not None
        watcher = (state.user_id, state.kind, state.content_id)
        self._over[watcher] = session
        self._over.move_to_end(watcher)
        if len(self._over) > self._over_max:
            self._over.popitem(last=False)

    def told_before(self, watcher: Watcher, report: Reported, now: int) -> WatchSession | None:
        """The session that is over and has heard this already."""
        session = self._over.get(watcher)
        if session is None or watcher in self._system.directory.simple:
            return None
        return session if session.knows(report, now) else None

    def forget(self, user_id: str) -> None:
        """The learner is erased."""
        for watcher in [watcher for watcher in self._over if watcher[0] == user_id]:
            del self._over[watcher]
        for session_id in [key for key, watcher in self._named_over.items() if watcher[0] == user_id]:
            del self._named_over[session_id]

    # -- figures ------------------------------------------------------------------------------------------------------

    def _completes(self, covered: int, length: int, facts: ContentFacts) -> bool:
        threshold = self._threshold if facts.completion_threshold is None else facts.completion_threshold
        return bool(length) and covered >= needed_ms(length, threshold)

    def completed(self, session: WatchSession, facts: ContentFacts, figures: Progress) -> bool:
        """Whether the learner has completed the content, in this session or before."""
        if session.state is not None and session.state.completed:
            return True
        return self._completes(figures.covered, worked_of(session, facts), facts)

    def progress(self, session: WatchSession, facts: ContentFacts) -> Progress:
        """The session's figures, and how far its learner is."""
        state = session.state
        assert state is not None
        elsewhere = self._elsewhere.get(session.session_id)
        for actor in self._system.directory.sessions_of((state.user_id, state.kind, state.content_id)):
            other = actor.watch
            if other is not session and other.state is not None:
                if elsewhere is None:
                    elsewhere = self._elsewhere_of(session)
                _unite(elsewhere, coverage(other.state.track))
        return progress(state.track, state.prior, elsewhere, worked_of(session, facts))

    def _elsewhere_of(self, session: WatchSession) -> list[int]:
        """What other doors have covered while this session ran: it counts on when those have left memory."""
        found: list[int] = []
        self._elsewhere[session.session_id] = found
        if len(self._elsewhere) > self._over_max:
            self._elsewhere.popitem(last=False)
        return found

    def completed_in_memory(self, user_id: str, facts: ContentFacts) -> bool:
        """Whether a session in memory shows that the learner has completed this content."""
        for actor in self._system.directory.sessions_of((user_id, facts.kind, facts.content_id)):
            session = actor.watch
            if session.state is not None and self.completed(session, facts, self.progress(session, facts)):
                return True
        return False


def length_of(session: WatchSession, facts: ContentFacts) -> int | None:
    """The content's length, ms: the catalog's, else what the player told."""
    if facts.duration_ms is not None:
        return facts.duration_ms
    return None if session.state is None else session.state.track.duration


def worked_of(session: WatchSession, facts: ContentFacts) -> int:
    """The part of it that must be watched, ms; 0 while its length is not known."""
    return worked_ms(length_of(session, facts), ignore_tail=facts.ignore_tail)


def _unite(ranges_of: list[int], other: list[int]) -> None:
    for index in range(0, len(other), 2):
        ranges.add(ranges_of, other[index], other[index + 1])
