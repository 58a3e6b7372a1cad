"""What a room's checkpoint writes: everything that changed since the last one, and what is to be told to others."""

from __future__ import annotations

from actors.machines.figures import RoomFigures
from actors.machines.rows import EndRow, GoneRow, RedoneRow, Rows
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import redone_rows, segment_rows


class RoomWriter(RoomFigures):
    """A room as far as it is written."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        super().__init__(room_id, state, rules)
        self._dirty_members: set[str] = set()
        self._dirty_sessions: set[str] = set()

    # -- coming back --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """The state comes out of the store, whose rows were written with it: nothing of it waits to be written.

        Sessions that are over stay until the next checkpoint: a journaled input may name one, and must find it over,
        not unknown.
        """
        state = self.state
        state.unwritten.clear()
        state.gone.clear()
        state.end = None
        for member in state.members.values():
            member.settled()
        for session_id, session in state.sessions.items():
            session.settle()
            if session.ended_at is not None:
                self._dirty_sessions.add(session_id)

    def mark_all(self) -> None:
        """It is not known what the store has of this state: write all of it with the next checkpoint."""
        self._dirty_members.update(self.state.members)
        self._dirty_sessions.update(self.state.sessions)

    def take_over(self, other: RoomWriter) -> None:
        """Go on from another machine of the same state: what it had to write is written from here."""
        self._dirty_members |= other._dirty_members
        self._dirty_sessions |= other._dirty_sessions

    # -- writing ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> RoomState:
        """All that a rebuilt actor needs."""
        return self.state

    def rows(self) -> Rows:
        """What a checkpoint writes; `written` or `unwritten` must follow before the next call.

        Open presences run to their latest evidence, not to the clock: the same inputs give the same rows.
        """
        state = self.state
        dirty = [state.members[user_id] for user_id in sorted(self._dirty_members)]
        members = [member for member in dirty if member.matters]
        strangers = [GoneRow(self.room_id, member.user_id) for member in dirty if not member.matters]
        sessions = [(key, state.sessions[key]) for key in sorted(self._dirty_sessions) if key in state.sessions]
        self._dirty_members, self._dirty_sessions = set(), set()
        return Rows(
            sessions=[self.session_row(key, session) for key, session in sessions],
            segments=[row for key, session in sessions for row in segment_rows(key, session, self.room_id)],
            presences=[row for member in members for row in member.rows(self.room_id)],
            attendances=[self.attendance(member) for member in members],
            interactions=list(state.unwritten),
            room=self.row(),
            gone=[*state.gone, *strangers],
            end=self._end_row(),
            redone=[row for key, session in sessions for row in redone_rows(key, session)],
        )

    def _end_row(self) -> EndRow | None:
        """The end that is to be told, with the figures as they are by now."""
        state = self.state
        due, at = state.end, state.ended_at
        if due is None or at is None:
            return None
        begin = state.times().begin()
        return EndRow(self.room_id, due.number, due.full, begin, at, self.mean_presence_s(), state.product_id)

    def written(self, rows: Rows) -> None:
        """Those rows are durable: forget what the store keeps from now on."""
        state = self.state
        numbers: dict[str, set[int]] = {}
        for row in rows.segments:
            if not row.open:
                numbers.setdefault(row.session_id, set()).add(row.segment.number)
        redone: dict[str, list[RedoneRow]] = {}
        for each in rows.redone:
            redone.setdefault(each.session_id, []).append(each)
        for session_id in numbers.keys() | redone.keys():
            if session_id in state.sessions:
                state.sessions[session_id].written(numbers.get(session_id, set()), redone.get(session_id, []))
        self._presences_written(rows)
        for session_row_ in rows.sessions:
            session = state.sessions.get(session_row_.session_id)
            over = session is not None and session.ended_at is not None
            if over and session_row_.session_id not in self._dirty_sessions:
                del state.sessions[session_row_.session_id]
        del state.unwritten[: len(rows.interactions)]
        gone = set(rows.gone)
        state.gone = [row for row in state.gone if row not in gone]
        if state.end is not None and rows.end is not None and rows.end.number >= state.end.number:
            state.end = None

    def _presences_written(self, rows: Rows) -> None:
        keys: dict[str, set[tuple[int, int, bool]]] = {}
        for presence in rows.presences:
            keys.setdefault(presence.user_id, set()).add((presence.number, presence.left_at, presence.open))
        for user_id, of_user in keys.items():
            member = self.state.members.get(user_id)
            if member is not None:
                member.written(of_user)

    def unwritten(self, rows: Rows) -> None:
        """Those rows did not become durable: write them with the next checkpoint."""
        self._dirty_sessions.update(row.session_id for row in rows.sessions)
        members = self.state.members
        touched = [row.user_id for row in rows.attendances] + [row.user_id for row in rows.gone]
        self._dirty_members.update(user_id for user_id in touched if user_id in members)
