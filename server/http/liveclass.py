"""`/api/v1/liveclass`: one learner in one class (learning-api.md, endpoint 7, readings 1, 2, 13, 15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from actors.machines import attendance
from actors.machines.room import Room
from actors.machines.rows import SegmentRow
from actors.machines.track import Segment
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.rest import (
    AttendanceAnswer,
    ClassDetails,
    ClassDetailsAnswer,
    LiveClassAnswer,
    ProgramAnswer,
    RatingAnswer,
    RatingBody,
    StudyLogAnswer,
    public_id,
    rfc3339,
)
from server.auth import Claims
from server.http import asking, bodies, language, merging, params
from server.http.access import Access, is_staff
from server.http.answers import cached_answer, forbidden, invalid, json_answer, not_found
from server.http.merging import Known
from server.http.ports import ClassStore
from server.theme import DEFAULT_LANGUAGE, LANGUAGES, Theme
from storage.reading import Rating

BODY_BYTES: Final = 64 * 1024

_DECODER: Final = msgspec.json.Decoder(RatingBody)


class Seen(msgspec.Struct, frozen=True):
    """A learner in a class, as the room knows them."""

    name: str | None
    start_at: int | None
    end_at: int | None
    attendance: AttendanceAnswer
    sessions: list[Known]


class LiveClass:
    """The handlers. One a process."""

    def __init__(self, system: ActorSystem, access: Access, store: ClassStore, theme: Theme) -> None:
        self._system = system
        self._access = access
        self._store = store
        self._theme = theme

    async def details(self, request: web.Request) -> web.Response:
        """`GET /liveclass/details?live_class_id`, for staff also of another learner by `user_id`."""
        claims = await self._access.anybody(request)
        user_id = _whose(request, claims)
        room_id = params.query_id(request, "live_class_id")
        if room_id is None:
            raise invalid("Missing - at `$.live_class_id`")
        seen = await self._seen(room_id, user_id)
        try:
            stored = await self._store.segments_of(room_id, user_id)
            rating = await self._store.rating(room_id, user_id)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        spoken = language.chosen(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), LANGUAGES, DEFAULT_LANGUAGE)
        title = self._theme.text(spoken, "class_details_title")
        answer = ClassDetailsAnswer(
            ClassDetails(
                title=title,
                live_class=_live_class(room_id, seen, rated=rating is not None),
                attendance=seen.attendance,
                study_logs=_study_logs(seen, stored),
            )
        )
        return cached_answer(request, answer, vary=f"{hdrs.ACCEPT_LANGUAGE}, {hdrs.AUTHORIZATION}")

    async def rate(self, request: web.Request) -> web.Response:
        """`PUT /liveclass/{id}/rating`: of a class that one attended; rating twice replaces."""
        claims = await self._access.anybody(request)
        room_id = params.path_id(request)
        body = bodies.decode(_DECODER, await bodies.read(request, BODY_BYTES))
        attended = await asking.look_at_room(
            self._system, room_id, lambda room, now: _attended(room, claims.user_id, now)
        )
        if attended is None:
            raise not_found("no such class")
        if not attended:
            raise forbidden("only a class that one attended can be rated")
        rating = Rating(room_id, claims.user_id, body.stars, body.comment, self._system.clock.now())
        try:
            await self._store.rate(rating)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        return json_answer(RatingAnswer(public_id(room_id), body.stars, body.comment, "done"))

    async def _seen(self, room_id: str, user_id: str) -> Seen:
        found = await asking.look_at_room(self._system, room_id, lambda room, now: (seen_of(room, user_id, now),))
        if found is None or found[0] is None:
            raise not_found("no such class, or never this learner's")
        return found[0]


def _whose(request: web.Request, claims: Claims) -> str:
    user_id = params.query_id(request, "user_id")
    if user_id is None:
        return claims.user_id
    if not is_staff(claims):
        raise forbidden("`user_id` is for staff: learners read their own")
    return user_id


def seen_of(room: Room, user_id: str, now: int) -> Seen | None:
    """What the room knows of a learner; None for who never came."""
    member = room.state.members.get(user_id)
    if member is None:
        return None
    state = room.state
    times = state.times()
    begin = times.begin()
    length = 0 if begin is None else attendance.seconds(begin, times.end(now))
    present = attendance.presence_seconds(member.presences(now), times, now)
    was_present = _attended(room, user_id, now)
    return Seen(
        state.name,
        state.started_at if state.scheduled_start is None else state.scheduled_start,
        state.ended_at if state.scheduled_end is None else state.scheduled_end,
        AttendanceAnswer(
            was_present=was_present,
            was_late=was_present and room.late(member, now),
            total_live_class_duration=length,
            total_presence_duration=present,
            total_absence_duration=length - present,
        ),
        merging.of_learner(room, user_id),
    )


def _attended(room: Room, user_id: str, now: int) -> bool:
    member = room.state.members.get(user_id)
    if member is None:
        return False
    counted = attendance.presence_ms(member.presences(now), room.state.times(), now)
    return counted >= room.rules.attended_min_ms


def _live_class(room_id: str, seen: Seen, *, rated: bool) -> LiveClassAnswer:
    return LiveClassAnswer(
        live_class_id=public_id(room_id),
        name=room_id if seen.name is None else seen.name,
        start_at=rfc3339(seen.start_at),
        end_at=rfc3339(seen.end_at),
        program=ProgramAnswer(None, ""),
        rating_status="done" if rated else "pending",
    )


def _study_logs(seen: Seen, stored: Sequence[SegmentRow]) -> list[StudyLogAnswer]:
    return [_study_log(segment) for segment in merging.of_class(seen.sessions, stored) if segment.verified]


def _study_log(segment: Segment) -> StudyLogAnswer:
    start, end = segment.start_position // 1000, segment.end_position // 1000
    return StudyLogAnswer(rfc3339(segment.start_at) or "", rfc3339(segment.end_at) or "", start, end, end - start)
