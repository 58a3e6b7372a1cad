r"""The life of a class (realtime.md, "Room").

    scheduled --first join in the window | Started--> live --Finished | empty 10 min after the scheduled end--> ended
        \------------ Cancelled --> cancelled              ^------------- Started within the scheduled time ---/
        ^-- Scheduled, revived -------/

What the conference server tells of its sessions has rules of its own (`conference_rules.py`). What time alone brings
about (a grace that runs out, a class that nobody is left in) is taken in before each input and dated by its own moment,
so a late wake-up changes nothing and a replay gives the same rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from actors.machines.conference import OPENS_BEFORE_MS
from actors.machines.conference_rules import ConferenceRules
from actors.machines.effects import JOURNAL, DiffDue, Effect, Refused, RoomTurned, SessionEnded
from actors.machines.events import Cancelled, Event, Finished, Forgotten, Incarnated, Scheduled, Started, Tick
from actors.machines.forgetting import RoomForgets
from actors.machines.state import BY_EVENT, BY_IDLENESS, EndDue, RoomRules, RoomState
from actors.machines.watch import NEVER

IDLE_END_MS: Final = 10 * 60 * 1000


class RoomLife(RoomForgets):
    """A room that begins, ends, and takes in what others tell of it."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        super().__init__(room_id, state, rules)
        self._conference_rules = ConferenceRules(self)
        self.conference_sessions, self.tracks = self._conference_rules.sessions, self._conference_rules.tracks
        self._handlers: dict[type[Event], Callable[[Any, int], list[Effect]]] = {
            Tick: self._tick,
            Incarnated: self._incarnated,
            Scheduled: self._scheduled,
            Started: self._started,
            Finished: self._finished,
            Cancelled: self._cancelled,
            Forgotten: self._forgotten,
            **self._conference_rules.handlers,
        }

    def part(self) -> None:
        """It is put away and takes nothing more: what points back at it goes, so that it needs no collector."""
        self._handlers.clear()
        self._conference_rules.part()

    # -- time ---------------------------------------------------------------------------------------------------------

    def _tick(self, event: Tick, now: int) -> list[Effect]:
        return []

    def _advance(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        while True:
            wake = self._wakes[0][0] if self._wakes else NEVER
            turn = self._cycle_deadline()
            if wake > now and turn > now:
                break
            # Each at its own moment and in their order: who had left before the room turned did not turn it.
            if turn < wake:
                effects += self._cycle_due(turn)
                continue
            _, kind, key = heapq.heappop(self._wakes)
            self._armed.pop((kind, key), None)
            effects += self._member_due(key, wake) if kind == "member" else self._session_due(key, wake)
        due = self.diffs.deadline()
        if due is not None and due <= now:
            self.diffs.cut(now)
            effects.append(DiffDue())
        return effects

    def _member_due(self, user_id: str, now: int) -> list[Effect]:
        member = self.state.members.get(user_id)
        deadline = None if member is None else member.deadline()
        if member is None or deadline is None:
            return []
        if deadline > now:
            self._arm("member", user_id, deadline)
            return []
        if member.lapse(now):
            self._gone(member)
        self._dirty_members.add(user_id)
        deadline = member.deadline()
        if deadline is not None:
            self._arm("member", user_id, deadline)
        return [JOURNAL]

    def _session_due(self, session_id: str, now: int) -> list[Effect]:
        session = self.state.sessions.get(session_id)
        if session is None or session.ended_at is not None:
            return []
        source = self.state.members[session.user_id].sources.get(session_id)
        if source is not None and source.connected:
            # Armed again when the connection goes.
            return []
        deadline = session.heard_at + self.rules.idle_ms
        if deadline > now:
            self._arm("session", session_id, deadline)
            return []
        self._end_session(session_id, session, session.track.at if session.track.at >= 0 else session.opened_at)
        return [JOURNAL, SessionEnded(session_id)]

    def _cycle_deadline(self) -> int:
        """When the clock alone will turn the room."""
        state = self.state
        if state.status == "scheduled" and state.scheduled_start is not None and self._somebody_waits():
            return state.scheduled_start - OPENS_BEFORE_MS
        if state.status == "live" and not self.present and state.scheduled_end is not None:
            return max(state.scheduled_end, state.empty_since or 0) + IDLE_END_MS
        return NEVER

    def _somebody_waits(self) -> bool:
        """By a player: what the conference server tells opens the class by itself."""
        return bool(self.present) and any(member.since is not None for member in self.state.members.values())

    def _cycle_due(self, at: int) -> list[Effect]:
        if self.state.status == "scheduled":
            return [JOURNAL, *self.go_live(at)]
        # The class was over when the last one had gone, not ten minutes later.
        return [JOURNAL, *self.finish(at - IDLE_END_MS, BY_IDLENESS)]

    # -- life cycle ---------------------------------------------------------------------------------------------------

    def _incarnated(self, event: Incarnated, now: int) -> list[Effect]:
        self.state.epoch += 1
        for user_id, member in self.state.members.items():
            if member.sources:
                self._disconnect(member)
                member.restart(now + self.rules.grace_ms)
                self._dirty_members.add(user_id)
                deadline = member.deadline()
                if deadline is not None:
                    self._arm("member", user_id, deadline)
        self._plan()
        return [JOURNAL]

    def _scheduled(self, event: Scheduled, now: int) -> list[Effect]:
        state = self.state
        state.name = event.name
        if not event.keeps_product:
            state.product_id = event.product_id
        state.scheduled_start, state.scheduled_end = event.scheduled_start, event.scheduled_end
        if event.revived and state.status == "cancelled":
            state.status = "scheduled"
        # Lateness follows the schedule: every learner's figures are written anew.
        self._dirty_members.update(state.members)
        effects = self._conference_rules.resettle(now)
        if self._somebody_waits():
            effects += self._open_if_due(now)
        self._plan()
        return effects

    def _open_if_due(self, now: int) -> list[Effect]:
        """Somebody came: the first one at or after 15 minutes before the scheduled start opens the class."""
        state = self.state
        if state.status != "scheduled":
            return []
        if state.scheduled_start is not None and now < state.scheduled_start - OPENS_BEFORE_MS:
            return []
        return self.go_live(now)

    def go_live(self, at: int) -> list[Effect]:
        """The class begins, or goes on, at `at`."""
        state = self.state
        state.status = "live"
        state.ended_at = None
        state.ended_by = ""
        if state.started_at is None:
            state.started_at = at
        if not self.present:
            state.empty_since = at
        self._conference_rules.settle_all(at)
        state.peak = max(state.peak, self.present)
        self._dirty_members.update(state.members)
        # A class that is reopened is no longer the end of its sessions.
        self._dirty_sessions.update(state.sessions)
        self._plan()
        return [RoomTurned("live", at)]

    def _started(self, event: Started, now: int) -> list[Effect]:
        state = self.state
        at = min(event.at, now)
        if state.status == "cancelled":
            return self._started_though_cancelled(at, event.source)
        over = state.ended_at is not None and at <= state.ended_at
        if event.source == BY_EVENT and (state.status == "live" or over):
            before = state.started_at
            self.correct(at, None)
            return [JOURNAL] if state.started_at != before else []
        if state.status == "live":
            return []
        if state.status == "ended" and not self._may_reopen(at):
            return [Refused("room_ended", "the class is over and its scheduled time has passed")]
        state.reopened_at = at
        return [JOURNAL, *self.go_live(at)]

    def _started_though_cancelled(self, at: int, source: str) -> list[Effect]:
        """Cancelled it is, unless somebody turns out to have been there; then it is known when it began."""
        refused = Refused("room_cancelled", "the class was cancelled")
        state = self.state
        if source != BY_EVENT or (state.started_at is not None and state.started_at <= at):
            return [refused]
        state.started_at = at
        return [JOURNAL, refused]

    def _may_reopen(self, at: int) -> bool:
        """Only what begins behind the end; a delayed start of what is over does not."""
        state = self.state
        start, end = state.scheduled_start, state.scheduled_end
        if state.ended_at is not None and at < state.ended_at:
            return False
        return (start is None or at >= start - OPENS_BEFORE_MS) and (end is None or at <= end + IDLE_END_MS)

    def _finished(self, event: Finished, now: int) -> list[Effect]:
        state = self.state
        at = min(event.at, now)
        told = event.source == BY_EVENT
        if state.status == "cancelled" and not told:
            return [Refused("room_cancelled", "the class was cancelled")]
        if state.status == "ended":
            if not told:
                return []
            effects: list[Effect] = [JOURNAL]
        else:
            if state.started_at is None and told:
                state.started_at = at if event.start_at is None else min(event.start_at, at)
            effects = [JOURNAL, *self.finish(at, event.source)]
        if told:
            # Whoever owns the class knows its times best, and tells others of them (events.md, more readings 4).
            state.times_told = False
            self.correct(event.start_at, at)
            state.times_told, state.ended_by = True, BY_EVENT
            if event.start_at is not None:
                state.started_at = min(event.start_at, at)
        return effects

    def finish(self, at: int, source: str) -> list[Effect]:
        """The class is over at `at`; others are told."""
        state = self.state
        state.status = "ended"
        state.ended_by = source
        state.ended_at = at if state.started_at is None else max(at, state.started_at)
        state.ends += 1
        state.end = EndDue(state.ends, full=source != BY_EVENT)
        for session in state.sessions.values():
            session.track.cut()
        self._dirty_sessions.update(state.sessions)
        for member in state.members.values():
            self._disconnect(member)
            if member.finish(state.ended_at):
                self._gone(member)
        self._conference_rules.settle_all(at)
        self._dirty_members.update(state.members)
        self._plan()
        return [RoomTurned("ended", state.ended_at)]

    def correct(self, started_at: int | None, ended_at: int | None) -> None:
        """The class began earlier than was known, or ended at another moment; nobody is told again."""
        state = self.state
        before = (state.started_at, state.ended_at)
        if state.times_told:
            return
        if started_at is not None and state.started_at is not None:
            state.started_at = min(state.started_at, started_at)
        if ended_at is not None and state.status == "ended":
            state.ended_at = ended_at
        if state.ended_at is not None and state.started_at is not None:
            state.ended_at = max(state.ended_at, state.started_at)
        if (state.started_at, state.ended_at) != before:
            # Every figure hangs on the class's times.
            self._dirty_members.update(state.members)
            self._dirty_sessions.update(state.sessions)
            self._conference_rules.settle_all(state.ended_at or state.started_at or 0)

    def _cancelled(self, event: Cancelled, now: int) -> list[Effect]:
        state = self.state
        # A class with presence or an end is never cancelled (events.md, more readings 4).
        if state.status in ("ended", "cancelled") or any(member.was_here for member in state.members.values()):
            return []
        state.status = "cancelled"
        self._plan()
        return [JOURNAL, RoomTurned("cancelled", event.at)]
