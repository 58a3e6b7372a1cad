"""A room as REST shows it: answers made of the machine, or of the store's row where it is not in memory. Pure."""

from __future__ import annotations

import heapq
from typing import Final

import msgspec

from actors.machines.presence import Member
from actors.machines.room import Room
from actors.machines.rows import RoomRow
from actors.machines.stays import FREE, PLUGNMEET
from protocol import limits
from protocol.rest import MemberAnswer, PresenceAnswer, RoomAnswer, rfc3339

PAGE: Final = limits.MEMBERS_PER_PAGE


class Class(msgspec.Struct, frozen=True):
    """What a timeline is made of: Unix ms, and one set of ranges a person."""

    begin: int | None
    end: int
    presences: list[list[int]]


def of_row(row: RoomRow, count: int = 0) -> RoomAnswer:
    """A room by its row; whoever is present holds a room in memory."""
    return RoomAnswer(
        id=row.room_id,
        state=row.state,
        started_at=rfc3339(row.started_at),
        ended_at=rfc3339(row.ended_at),
        scheduled_start=rfc3339(row.scheduled_start),
        scheduled_end=rfc3339(row.scheduled_end),
        name=row.name,
        product_id=row.product_id,
        count=count,
        peak=row.peak,
        attended=row.attended,
        recording=row.recording,
        streaming=row.streaming,
        recording_failure=row.recording_failure,
    )


def of_room(room: Room, now: int) -> RoomAnswer:
    """A room as it stands."""
    return of_row(room.row(now), room.present)


def presence(room: Room, now: int, after: str, listed_to: int | None) -> PresenceAnswer | None:
    """A page of those who are here, by id, behind `after`. None where more than `listed_to` are."""
    if listed_to is not None and room.present > listed_to:
        return None
    here = (user_id for user_id, member in room.state.members.items() if member.present and user_id > after)
    page = heapq.nsmallest(PAGE + 1, here)
    members = [_member(room, room.state.members[user_id], now) for user_id in page[:PAGE]]
    return PresenceAnswer(room.present, members, page[PAGE - 1] if len(page) > PAGE else None)


def _member(room: Room, member: Member, now: int) -> MemberAnswer:
    holding = member.sources.values()
    devices = sorted({source.device_id for source in holding if source.device_id})
    kinds = {source.kind for source in holding}
    if any(stay.until != FREE for stay in member.stays.values()):
        kinds.add(PLUGNMEET)
    return MemberAnswer(
        user_id=member.user_id,
        name=member.name,
        role=member.role,
        sources=sorted(kinds),
        devices=devices[: limits.DEVICES_SHOWN],
        joined_at=rfc3339(member.arrived_at) or "",
        late=room.late(member, now),
        telephone=member.telephone,
    )


def presences(room: Room, now: int) -> Class:
    """Who was there when, apart from the machine."""
    state = room.state
    end = now if state.ended_at is None else state.ended_at
    return Class(state.started_at, end, [member.presences(now).copy() for member in state.members.values()])
