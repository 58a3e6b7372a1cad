"""`/api/v1/rooms/{id}/participants/{user_id}`: one person in one class, from all sources (plugnmeet.md, reading 15)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from aiohttp import web

from actors.machines import attendance, ranges
from actors.machines.presence import stay_row
from actors.machines.room import Room
from actors.machines.rows import PresenceRow
from actors.machines.stays import PLUGNMEET
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.rest import IntervalAnswer, ParticipantAnswer, rfc3339
from server.http import asking, params
from server.http.access import Access, is_staff
from server.http.answers import forbidden, json_answer, not_found
from server.http.ports import ClassStore


class Seen(msgspec.Struct, frozen=True):
    """The person as the room knows them: the answer without what only the store has, and rows that win over its own."""

    answer: ParticipantAnswer
    rows: list[PresenceRow]
    newest: int
    """The highest number of a row given out so far."""
    ended_at: int | None


class Participants:
    """The handler. One a process."""

    def __init__(self, system: ActorSystem, access: Access, store: ClassStore) -> None:
        self._system = system
        self._access = access
        self._store = store

    async def read(self, request: web.Request) -> web.Response:
        """One's own, or anybody's for staff. 404 for who was never there."""
        claims = await self._access.anybody(request)
        room_id = params.path_id(request)
        user_id = params.path_id(request, "user_id")
        if user_id != claims.user_id and not is_staff(claims):
            raise forbidden("participants other than oneself are for staff")
        found = await asking.look_at_room(self._system, room_id, lambda room, now: (seen_of(room, user_id, now),))
        if found is None:
            raise not_found("no such room")
        seen = found[0]
        if seen is None:
            raise not_found("this user was never in the room")
        try:
            stored = await self._store.presences_of(room_id, user_id)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        return json_answer(msgspec.structs.replace(seen.answer, intervals=intervals(seen, stored)))


def seen_of(room: Room, user_id: str, now: int) -> Seen | None:
    """What the room knows of somebody; None for who never came."""
    member = room.state.members.get(user_id)
    if member is None or not member.matters:
        return None
    stays = [stay for stay in member.stays.values() if stay.counts]
    rows = [row for row in member.rows(room.room_id) if row.source != PLUGNMEET]
    rows += [stay_row(room.room_id, user_id, stay) for stay in stays]
    reasons = Counter(stay.reason for stay in stays if stay.reason is not None)
    on = {device: _seconds(used) for device, used in room.devices(member, now).items()}
    answer = ParticipantAnswer(
        user_id=user_id,
        name=member.name,
        role=member.role,
        intervals=[],
        presence_seconds=attendance.presence_seconds(member.presences(now), room.state.times(), now),
        late=room.late(member, now),
        camera_seconds=on["camera"],
        microphone_seconds=on["microphone"],
        screen_seconds=on["screen"],
        talk_seconds=member.talk_ms // 1000,
        hand_raises=member.hand_raises,
        polls_answered=member.polls_answered,
        disconnect_reasons=dict(sorted(reasons.items())),
        telephone=member.telephone,
    )
    return Seen(answer, rows, member.numbers, room.state.ended_at)


def intervals(seen: Seen, stored: Sequence[PresenceRow]) -> list[IntervalAnswer]:
    """Memory and store as one, in the order of time. The store's rows of the conference are older than the room's."""
    numbered = {row.number: row for row in stored if row.source != PLUGNMEET and row.number <= seen.newest}
    numbered |= {row.number: row for row in seen.rows}
    rows = sorted(numbered.values(), key=lambda row: (row.joined_at, row.left_at, row.number))
    shown: list[PresenceRow] = []
    for row in rows:
        before = shown[-1] if shown else None
        if before is not None and _goes_on(before, row):
            # Samples of the past and the presence that they led to are two rows and one stay.
            left_at = max(before.left_at, row.left_at)
            shown[-1] = msgspec.structs.replace(before, left_at=left_at, open=before.open or row.open)
        elif row.open or row.left_at > row.joined_at:
            shown.append(row)
    return [_interval(row, over=seen.ended_at is not None) for row in shown]


def _goes_on(before: PresenceRow, row: PresenceRow) -> bool:
    same = (before.source, before.device_id) == (row.source, row.device_id)
    return same and row.source != PLUGNMEET and row.joined_at <= before.left_at


def _interval(row: PresenceRow, *, over: bool) -> IntervalAnswer:
    return IntervalAnswer(
        joined_at=rfc3339(row.joined_at) or "",
        left_at=None if row.open and not over else rfc3339(row.left_at),
        source=row.source,
        device_id=row.device_id,
        disconnect_reason=row.disconnect_reason,
    )


def _seconds(used: list[int]) -> int:
    return sum(attendance.seconds(start, end) for start, end in ranges.pairs(used))
