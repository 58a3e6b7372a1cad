"""What the machines know of a room, as frames tell it."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.machines.diffs import Announced, Diff, Line
from actors.machines.room import Room
from protocol.client_frames import After
from protocol.server_frames import Change, JoinedPresence, Member, MembersPage, PresenceDiff, RoomInfo

_decode = msgspec.json.decode


def room_info(room: Room) -> RoomInfo:
    """The room as `joined` tells it."""
    state = room.state
    return RoomInfo(
        room.room_id, state.status, state.started_at, state.ended_at, state.scheduled_start, state.scheduled_end
    )


def metadata_of(packed: bytes | None) -> dict[str, Any] | None:
    """Metadata as it came."""
    return None if packed is None else _decode(packed)


def member(room: Room, announced: Announced, now: int) -> Member:
    """A member of a page."""
    known = room.state.members.get(announced.user_id)
    sources = sorted({source.kind for source in known.sources.values()}) if known else []
    devices = sorted({source.device_id for source in known.sources.values() if source.device_id}) if known else []
    return Member(
        user_id=announced.user_id,
        name=announced.name,
        role=announced.role,
        sources=sources,
        devices=devices,
        joined_at=announced.at,
        late=room.late(known, now) if known else False,
        telephone=False,
        metadata=metadata_of(announced.metadata),
    )


def _change(line: Line) -> Change:
    return Change(line.user_id, line.at, line.name, metadata_of(line.metadata))


def diff_frame(room_id: str, epoch: int, diff: Diff, *, truncated: bool) -> PresenceDiff:
    """A diff; `truncated` leaves the names out."""
    return PresenceDiff(
        room_id,
        epoch,
        diff.seq,
        diff.count,
        [] if truncated else [_change(line) for line in diff.joins],
        [] if truncated else [_change(line) for line in diff.leaves],
        [] if truncated else [_change(line) for line in diff.updates],
        truncated,
    )


def page(room: Room, ref: str | int, cursor: str | None, now: int) -> MembersPage:
    """A page of members at the room's (epoch, seq)."""
    members, following = room.diffs.page(cursor)
    return MembersPage(
        ref,
        room.room_id,
        room.state.epoch,
        room.diffs.seq,
        len(room.diffs.announced),
        [member(room, one, now) for one in members],
        following,
    )


def first_presence(room: Room, after: After | None, now: int, *, listed: bool) -> tuple[JoinedPresence, bool]:
    """`joined.presence` and `joined.recovered`; an unlisted room (too large for learners) gives no names."""
    if after is not None and after.epoch == room.state.epoch:
        missed = room.diffs.since(after.seq)
        if missed is not None:
            frames = [diff_frame(room.room_id, room.state.epoch, diff, truncated=not listed) for diff in missed]
            return JoinedPresence(diffs=frames), True
    if not listed:
        return JoinedPresence(members=[], next=None), False
    members, following = room.diffs.page(None)
    return JoinedPresence(members=[member(room, one, now) for one in members], next=following), False
