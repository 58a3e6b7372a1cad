"""Who is here, and when anything of it lapses: the part of a room that all its inputs share."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from actors.machines.diffs import Announced, DiffLog
from actors.machines.holding import HTTP
from actors.machines.presence import Member
from actors.machines.rows import GoneRow
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import MOBILE, NEVER, WatchState
from actors.machines.writing import RoomWriter


class RoomHere(RoomWriter, ABC):
    """A room with its members and their deadlines. `wake_at` (Unix ms): when it wants a `Tick`, or earlier."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        super().__init__(room_id, state, rules)
        self.diffs = DiffLog()
        self.present = 0
        self.wake_at = NEVER
        self._wakes: list[tuple[int, str, str]] = []
        self._armed: dict[tuple[str, str], int] = {}
        self._http: dict[tuple[str, str], str] = {}
        self._mobile: dict[tuple[str, str], list[str]] = {}

    def _derive(self) -> None:
        """Everything that follows from the state and is kept beside it for speed."""
        for user_id, member in self.state.members.items():
            self.present += member.present
            if member.present:
                self.diffs.seed(self._announced(member))
            deadline = member.deadline()
            if deadline is not None:
                self._arm("member", user_id, deadline)
        for session_id, session in self.state.sessions.items():
            self._index(session_id, session)
        self._plan()

    @abstractmethod
    def _cycle_deadline(self) -> int:
        """When the clock alone will turn the room."""

    # -- deadlines ----------------------------------------------------------------------------------------------------

    def _arm(self, kind: str, key: str, at: int) -> None:
        armed = self._armed.get((kind, key))
        if armed is not None and armed <= at:
            return
        self._armed[kind, key] = at
        heapq.heappush(self._wakes, (at, kind, key))
        if at < self.wake_at:
            self.wake_at = at

    def _plan(self) -> None:
        wakes = [self._cycle_deadline(), self.diffs.deadline()]
        wakes.append(self._wakes[0][0] if self._wakes else None)
        self.wake_at = min(wake for wake in wakes if wake is not None)

    # -- who is here --------------------------------------------------------------------------------------------------

    def _came(self, member: Member, now: int) -> None:
        self.present += 1
        self.state.empty_since = None
        if self.state.status == "live":
            self.state.peak = max(self.state.peak, self.present)
        self.diffs.join(self._announced(member))
        self._wake_for_diff(now)

    def _gone(self, member: Member) -> None:
        self.present -= 1
        # Who lapses last need not be who was there last.
        seen = member.last_seen()
        self.state.last_leave = max(self.state.last_leave, seen)
        if not self.present:
            self.state.empty_since = self.state.last_leave
        self.diffs.leave(member.user_id, seen)
        self._wake_for_diff(seen)

    def _tell(self, member: Member, now: int) -> None:
        before = self.diffs.announced.get(member.user_id)
        if before is None or (before.name, before.metadata) != (member.name, member.metadata):
            self.diffs.update(self._announced(member))
            self._wake_for_diff(now)

    def _wake_for_diff(self, now: int) -> None:
        due = self.diffs.deadline()
        if due is not None:
            self.wake_at = min(self.wake_at, max(due, now))

    def _announced(self, member: Member) -> Announced:
        return Announced(member.user_id, member.name, member.role, member.metadata, member.arrived_at)

    @property
    def grace_ms(self) -> int:
        """How long a learner may be away without having left."""
        return self.rules.grace_ms

    def changed(self, user_ids: Iterable[str]) -> None:
        """The figures of these members are to be written."""
        self._dirty_members.update(user_ids)

    def around(self, member: Member, change: Callable[[], None], now: int) -> None:
        """Change what is known of a member, and tell of their coming or going where it brings that about."""
        before = member.present
        change()
        self._dirty_members.add(member.user_id)
        deadline = member.deadline()
        if deadline is not None:
            self._arm("member", member.user_id, deadline)
        if member.present and not before:
            self._came(member, now)
        elif before and not member.present:
            self._gone(member)
        elif member.present:
            self._tell(member, now)
        else:
            self._was_here(member)
        self._plan()

    def _was_here(self, member: Member) -> None:
        """What is told afterwards may show that the room was not empty yet."""
        state = self.state
        seen = member.last_seen()
        if seen > state.last_leave:
            state.last_leave = seen
            if not self.present and state.empty_since is not None:
                state.empty_since = max(state.empty_since, seen)

    def forget(self, member: Member, now: int) -> None:
        """The member was nobody: an identity of somebody else, or a hidden participant."""
        del self.state.members[member.user_id]
        self._dirty_members.discard(member.user_id)
        self.state.gone.append(GoneRow(self.room_id, member.user_id))
        self._wake_for_diff(now)

    # -- members and sessions -----------------------------------------------------------------------------------------

    def member(self, user_id: str, role: str, name: str | None) -> Member:
        """The member, new with this role where they are not known."""
        member = self.state.members.get(user_id)
        if member is None:
            member = self.state.members[user_id] = Member(user_id, role)
        if name is not None:
            member.name = name
        return member

    def _index(self, session_id: str, session: WatchState) -> None:
        if session.door == MOBILE:
            self._mobile.setdefault((session.user_id, session.device_id), []).append(session_id)
        if session.ended_at is not None:
            return
        self._arm("session", session_id, session.heard_at + self.rules.idle_ms)
        if session.door == HTTP and not session.superseded:
            self._http[session.user_id, session.device_id] = session_id

    def mobile_sessions(self, user_id: str, device_id: str) -> list[str]:
        """Sessions of a learner's device at the mobile door, as far as the room still has them."""
        found = [key for key in self._mobile.get((user_id, device_id), ()) if key in self.state.sessions]
        if found:
            self._mobile[user_id, device_id] = found
        else:
            self._mobile.pop((user_id, device_id), None)
        return found

    def _end_session(self, session_id: str, session: WatchState, at: int) -> None:
        session.track.close()
        session.ended_at = at
        self._dirty_sessions.add(session_id)
        key = (session.user_id, session.device_id)
        if self._http.get(key) == session_id:
            del self._http[key]

    def _disconnect(self, member: Member) -> None:
        """The member's connections go: from here on their sessions wait for samples like all others."""
        for session_id, source in member.sources.items():
            if source.connected:
                self._silence(session_id, self.state.sessions[session_id], source.evidence)

    def _silence(self, session_id: str, session: WatchState, evidence: int) -> None:
        session.heard_at = max(session.heard_at, evidence)
        self._arm("session", session_id, session.heard_at + self.rules.idle_ms)
