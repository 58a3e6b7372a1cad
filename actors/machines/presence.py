"""Who was in a room, and since when (realtime.md, "Presence" and reading 7).

Out of what holds a member (`holding.py`), what the conference server tells of them (`stays.py`) and the samples that
they kept offline, which prove presence in the past, follows one union of intervals; and the rows that say so.

All times are Unix milliseconds; an interval is half-open.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.machines import holding, ranges
from actors.machines.holding import INTERVALS_MAX, STREAM, Held, closed_row
from actors.machines.rows import PresenceRow
from actors.machines.stays import PLUGNMEET, STAYS_MAX, Stay, back_at

BOTH_MAX: Final = INTERVALS_MAX + STAYS_MAX + 1


class Member(Held, array_like=True):
    """A learner (or teacher) who is or was in the room."""

    # -- stays ------------------------------------------------------------------------------------------------------

    def stay(self, participant_sid: str, sid: str, identity: str, joined_at: int) -> Stay:
        """The stay of a participant, new where it is not known."""
        stay = self.stays.get(participant_sid)
        if stay is not None:
            return stay
        self.numbers += 1
        stay = Stay(sid, identity, joined_at, joined_at, join_told=False, number=self.numbers)
        self.stays[participant_sid] = stay
        return stay

    def begin(self, stay: Stay, told_at: int | None) -> None:
        """What is told of a stay's beginning. Where it is another than was known its row goes, and it gets another."""
        joined_at = stay.begun(told_at)
        stay.join_told = stay.join_told or told_at is not None
        if joined_at == stay.joined_at:
            return
        self.empty_row(stay)
        self.numbers += 1
        stay.joined_at, stay.number, stay.dirty = joined_at, self.numbers, True
        stay.seen_at = max(stay.seen_at, joined_at)

    def empty_row(self, stay: Stay) -> None:
        """What was written of the stay is nobody's presence any more."""
        self.unwritten.append(closed_row(self.user_id, stay.number, stay.joined_at, stay.joined_at, PLUGNMEET, ""))

    def take_stay(self, participant_sid: str, stay: Stay) -> None:
        """The stay of another identity turns out to be this member's."""
        self.numbers += 1
        stay.number, stay.dirty = self.numbers, True
        self.stays[participant_sid] = stay

    # -- evidence ---------------------------------------------------------------------------------------------------

    def prove(self, start: int, end: int, source: str, device_id: str) -> None:
        """Two samples without silence between them: present from one to the other."""
        if self.since is not None and end > self.since and self._held():
            if end > self.evidence:
                self.evidence = end
            end = self.since
        # Also what was proven for the time of a grace, behind a gap: only a return makes the gap presence.
        if (
            end <= start
            or ranges.covers(self.past, start, end)
            or not ranges.add(self.past, start, end, holding.INTERVALS_MAX)
        ):
            return
        last = self.proof
        if last is not None and (last.left_at, last.source, last.device_id) == (start, source, device_id):
            # The same stretch goes on, under the same key, whether or not its beginning is written already.
            self.proof = msgspec.structs.replace(last, left_at=end)
            self.unwritten = [row for row in self.unwritten if row.number != last.number]
        else:
            self.numbers += 1
            self.proof = closed_row(self.user_id, self.numbers, start, end, source, device_id)
        self.unwritten.append(self.proof)

    def presences(self, now: int) -> list[int]:
        """All presence so far, united; the open one runs to `now` while a connection holds, else to its evidence."""
        if self.since is None and not self.stays:
            return self.past
        united = self.past.copy()
        if self.since is not None:
            ranges.add(united, self.since, max(self.since, self.proven(now)), holding.INTERVALS_MAX + 1)
        if self.stays:
            self._unite_stays(united, now)
        return united

    def _unite_stays(self, united: list[int], now: int) -> None:
        """Add the stays, and the gaps that a return in time made presence."""
        starts = self._starts()
        for stay in self.stays.values():
            if stay.counts:
                ranges.add(united, stay.joined_at, stay.until_when(now), BOTH_MAX)
        for stay in (*self.stays.values(), *self.lapses):
            if stay.counts and stay.end is not None:
                ranges.add(united, stay.end, back_at(stay.end, stay.reach, starts), BOTH_MAX)
        if self.since is not None:
            ranges.add(united, self.evidence, self._open_end(starts), BOTH_MAX)

    def _starts(self) -> list[int]:
        """Every moment at which presence begins."""
        starts = self.past[::2] + [stay.joined_at for stay in self.stays.values() if stay.counts]
        return starts if self.since is None else [*starts, self.since]

    def _open_end(self, starts: list[int]) -> int:
        """Up to when the open presence is proven: also over its grace, where another source saw a return in it."""
        if self._held():
            return self.evidence
        until = [source.until for source in self.sources.values() if source.kind == STREAM]
        return back_at(self.evidence, max(until, default=1) - 1, starts)

    def proven(self, now: int) -> int:
        """Up to when the open presence is certain."""
        return max(now, self.evidence) if self._connected() else self.evidence

    # -- rows -------------------------------------------------------------------------------------------------------

    def rows(self, room_id: str) -> list[PresenceRow]:
        """Rows to write: those closed since the last checkpoint, and the open presence as far as it is proven."""
        rows = [msgspec.structs.replace(row, room_id=room_id) for row in self.unwritten]
        if self.since is not None:
            rows.append(
                PresenceRow(
                    room_id,
                    self.user_id,
                    self.open_number,
                    self.since,
                    max(self.since, self._open_end(self._starts()) if self.stays else self.evidence),
                    ",".join(self.kinds),
                    ",".join(self.devices),
                    open=True,
                )
            )
        return rows + self._stay_rows(room_id) if self.stays else rows

    def _stay_rows(self, room_id: str) -> list[PresenceRow]:
        """Rows of stays that the store does not have as they are; with the gaps behind them that are presence."""
        starts = self._starts()
        rows: list[PresenceRow] = []
        for stay in (*self.stays.values(), *self.lapses):
            row = stay_row(room_id, self.user_id, stay)
            if stay.counts and stay.end is not None:
                row = msgspec.structs.replace(row, left_at=back_at(stay.end, stay.reach, starts))
            # A lapse without a return is nothing, and was written as what it ended.
            if stay.dirty or row.left_at != (stay.joined_at if stay.row_end < 0 else stay.row_end):
                rows.append(row)
        return rows

    def written(self, rows: set[tuple[int, int, bool]]) -> None:
        """The rows with those (number, left_at, open) are durable; one that has changed since is written again."""
        self.unwritten = [row for row in self.unwritten if (row.number, row.left_at, row.open) not in rows]
        if not self.stays:
            return
        ends = {number: left_at for number, left_at, _ in rows}
        now_rows = {row.number: row for row in self._stay_rows("")}
        for stay in (*self.stays.values(), *self.lapses):
            if stay.number not in ends:
                continue
            row = now_rows.get(stay.number)
            if row is not None and (row.number, row.left_at, row.open) in rows:
                stay.dirty = False
            # Also where it is shorter again by now, as it was before: the store has the longer one.
            stay.row_end = ends[stay.number]

    def settled(self) -> None:
        """The store has all of it as it is."""
        self.unwritten.clear()
        for row in self._stay_rows("") if self.stays else ():
            for stay in (*self.stays.values(), *self.lapses):
                if stay.number == row.number:
                    stay.dirty, stay.row_end = False, row.left_at


def stay_row(room_id: str, user_id: str, stay: Stay) -> PresenceRow:
    """A stay (or lapse) as it is proven; one outside the class's time is nobody's presence."""
    end = stay.until_when(0) if stay.counts else stay.joined_at
    return PresenceRow(
        room_id,
        user_id,
        stay.number,
        stay.joined_at,
        end,
        PLUGNMEET if stay.sid else STREAM,
        "",
        open=stay.end is None and stay.counts,
        disconnect_reason=stay.reason,
    )
