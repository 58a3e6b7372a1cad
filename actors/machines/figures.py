"""Questions to a room: the figures of its members and its own. Nothing here changes anything."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.machines import attendance, ranges
from actors.machines.attendance import ClassTimes
from actors.machines.conference import DeviceTrack, device_ms
from actors.machines.conference_rules import LEARNER, PARTICIPANT
from actors.machines.presence import Member
from actors.machines.rows import AttendanceRow, RoomRow, SessionRow
from actors.machines.state import RoomRules, RoomState
from actors.machines.watch import WatchState, session_row

FAR: Final = 2**53
LEARNERS: Final = frozenset({LEARNER, PARTICIPANT})
"""Whose attendance counts: learners by their token, and participants of the conference who are no moderators."""


class RoomFigures:
    """A room as far as it is read."""

    def __init__(self, room_id: str, state: RoomState, rules: RoomRules) -> None:
        self.room_id = room_id
        self.state = state
        self.rules = rules
        self.conference_sessions: dict[str, tuple[bool, int | None]] = {}
        """Whether each lies in the class's time, and when it was over, as far as is known now."""
        self.tracks: dict[str, list[DeviceTrack]] = {}
        """By user."""

    def late(self, member: Member, now: int) -> bool:
        """Whether the learner came late, by what is known `now`."""
        times = self.state.times()
        arrived = attendance.arrival(self._arrivals(member, now), times)
        return attendance.is_late(arrived, times, self.rules.late_grace_ms)

    def _arrivals(self, member: Member, now: int) -> list[int]:
        """Presence for questions of arrival: whoever is here now has arrived, also in this very millisecond."""
        if not member.present:
            return member.presences(now)
        united = member.presences(now).copy()
        since = member.arrived_at
        ranges.add(united, since, max(now, since) + 1, FAR)
        return united

    def devices(self, member: Member, now: int) -> dict[str, list[int]]:
        """When the camera, the microphone and the screen of a member were on, as ranges; `now` 0: as far as proven."""
        state = self.state
        tracks = self.tracks.get(member.user_id, [])
        hidden = state.conference.hidden
        return device_ms(tracks, member.stays, self.conference_sessions, hidden, state.ended_at, now)

    def attendance(self, member: Member, now: int | None = None) -> AttendanceRow:
        """A learner's figures in this class: up to `now`, or up to the latest evidence."""
        times = self.state.times()
        presences = member.presences(now or 0)
        arrived = attendance.arrival(self._arrivals(member, now or 0), times)
        until = FAR if now is None else now
        on = {device: ranges.length(used) for device, used in self.devices(member, now or 0).items()}
        return AttendanceRow(
            room_id=self.room_id,
            user_id=member.user_id,
            name=member.name,
            role=member.role,
            first_join=presences[0] if presences else member.since,
            last_leave=presences[-1] if presences else member.since,
            presence_ms=attendance.presence_ms(presences, times, until),
            late_ms=attendance.late_ms(arrived, times),
            late=attendance.is_late(arrived, times, self.rules.late_grace_ms),
            attended=self._attended(presences, times, until),
            camera_ms=on["camera"],
            microphone_ms=on["microphone"],
            screen_ms=on["screen"],
            talk_ms=member.talk_ms,
            hand_raises=member.hand_raises,
            polls_answered=member.polls_answered,
            telephone=member.telephone,
        )

    def _attended(self, presences: list[int], times: ClassTimes, until: int) -> bool:
        """By whole seconds (learning-api.md, reading 1), so that rooms and dashboards say the same."""
        return attendance.presence_seconds(presences, times, until) * 1000 >= self.rules.attended_min_ms

    def row(self, now: int | None = None) -> RoomRow:
        """The room's own row, with figures up to `now` or up to the latest evidence."""
        state = self.state
        live = state.status == "live"
        times, until = state.times(), FAR if now is None else now
        return RoomRow(
            room_id=self.room_id,
            name=state.name,
            product_id=state.product_id,
            state=state.status,
            scheduled_start=state.scheduled_start,
            scheduled_end=state.scheduled_end,
            started_at=state.started_at,
            ended_at=state.ended_at,
            peak=state.peak,
            attended=sum(
                member.role in LEARNERS and self._attended(member.presences(now or 0), times, until)
                for member in state.members.values()
            ),
            recording=live and state.conference.active("recording"),
            streaming=live and state.conference.active("rtmp"),
            recording_failure=state.conference.failure(),
        )

    def mean_presence_s(self) -> int:
        """Mean presence of the learners who were there, whole seconds (events.md, more readings 5)."""
        times = self.state.times()
        found = [
            attendance.presence_seconds(member.presences(0), times, FAR)
            for member in self.state.members.values()
            if member.role in LEARNERS
        ]
        there = [seconds for seconds in found if seconds]
        return sum(there) // len(there) if there else 0

    def session_row(self, session_id: str, session: WatchState) -> SessionRow:
        """A session's figures so far."""
        row = session_row(session_id, session, self.room_id, self.rules.completion_threshold)
        if row.ended_at is None and self.state.ended_at is not None:
            # Late samples may still come, but the class is over for whoever reads the row.
            return msgspec.structs.replace(row, ended_at=max(self.state.ended_at, row.started_at))
        return row
