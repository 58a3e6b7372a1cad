"""`/api/v1/rooms`: classes as staff sees and steers them (realtime.md, "Reading rooms")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from actors.actor import Actor
from actors.machines.events import Finished, RoomEvent, Scheduled, Started, Tick
from actors.machines.room import Room
from actors.machines.rows import RoomRow
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.rest import RoomAnswer, RoomBody, RoomsAnswer, TimelineAnswer
from protocol.types import canonical_id
from server.auth import Claims
from server.desk import Denied, Desk
from server.http import asking, bodies, params, room_views
from server.http.access import Access, is_staff
from server.http.answers import forbidden, invalid, json_answer, not_found, of_denied, unavailable
from server.http.ports import ClassStore
from server.http.timeline import POINTS_MAX, points_of, timeline

ROOMS_PER_PAGE: Final = 100
STATES: Final = ("scheduled", "live", "ended", "cancelled")
STEP_S: Final = 60
STEP_MAX_S: Final = 3600
IN_A_THREAD: Final = 2_000
"""Points and people that are worth a thread of their own: some 10 ms."""
BODY_BYTES: Final = 64 * 1024
SOURCE: Final = "rest"

_DECODER: Final = msgspec.json.Decoder(RoomBody)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS: Final = 253_370_764_800_000  # the year 9999: what every zone can still write

T = TypeVar("T")


class Rooms:
    """The handlers. One a process."""

    def __init__(
        self,
        system: ActorSystem,
        desk: Desk,
        access: Access,
        store: ClassStore,
        *,
        listed_to: int,
        accept_unknown: bool,
    ) -> None:
        self._system = system
        self._desk = desk
        self._access = access
        self._store = store
        self._listed_to = listed_to
        self._accept_unknown = accept_unknown

    # -- reading ------------------------------------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.Response:
        """`GET /rooms?state&cursor`."""
        await self._access.staff(request)
        state = params.choice(request, "state", STATES)
        after = params.cursor(request)
        try:
            stored = await self._store.rooms_page(state, after, ROOMS_PER_PAGE + 1)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        return json_answer(await self._merge(stored, state, after))

    async def _merge(self, stored: Sequence[RoomRow], state: str | None, after: str) -> RoomsAnswer:
        """The store's page, with what memory knows better."""
        memory = self._system.directory.rooms
        # Behind the last of a full page the store may have more; nothing beyond it is on this page.
        bound = stored[-1].room_id if len(stored) > ROOMS_PER_PAGE else None
        rows = {row.room_id: row for row in stored if row.room_id not in memory}
        inside = {
            key: actor
            for key, actor in memory.items()
            if key > after and (bound is None or key <= bound) and state in (None, actor.room.state.status)
        }
        ids = sorted(rows.keys() | inside.keys())
        page = ids[:ROOMS_PER_PAGE]
        asked = {key: asking.put(self._system, inside[key], Tick(), _answer) for key in page if key in inside}
        answers = await asyncio.gather(*(ask.answer(asking.READ_S) for ask in asked.values()))
        known = dict(zip(asked, answers, strict=True))
        rooms = [known[key] if key in known else room_views.of_row(rows[key]) for key in page]
        after_all = page[-1] if len(ids) > ROOMS_PER_PAGE else bound
        return RoomsAnswer([room for room in rooms if state in (None, room.state)], after_all)

    async def read(self, request: web.Request) -> web.Response:
        """`GET /rooms/{id}`: staff, and learners who may join."""
        claims = await self._access.anybody(request)
        room_id = params.path_id(request)
        self._check(claims, room_id)
        return json_answer(await self._look(claims, room_id, room_views.of_room))

    async def presence(self, request: web.Request) -> web.Response:
        """`GET /rooms/{id}/presence?cursor`: who is here now."""
        claims = await self._access.anybody(request)
        room_id = params.path_id(request)
        after = params.cursor(request)
        self._check(claims, room_id)
        listed_to = None if is_staff(claims) else self._listed_to
        page = await self._look(claims, room_id, lambda room, now: room_views.presence(room, now, after, listed_to))
        if page is None:
            raise forbidden(f"more than {self._listed_to} are here: their list is for staff")
        return json_answer(page)

    async def timeline(self, request: web.Request) -> web.Response:
        """`GET /rooms/{id}/timeline?step=60`."""
        claims = await self._access.staff(request)
        step = params.whole(request, "step", STEP_S, 1, STEP_MAX_S)
        known = await self._look(claims, params.path_id(request), room_views.presences)
        if known.begin is None:
            return json_answer(TimelineAnswer(step, []))
        points = points_of(known.begin, known.end, step)
        if points > POINTS_MAX:
            raise invalid(f"Expected a longer step: this one makes {points} points - at `$.step`")
        if points + len(known.presences) > IN_A_THREAD:
            made = await asyncio.to_thread(timeline, known.presences, known.begin, known.end, step)
        else:
            made = timeline(known.presences, known.begin, known.end, step)
        return json_answer(TimelineAnswer(step, made))

    def _check(self, claims: Claims, room_id: str) -> None:
        try:
            if not is_staff(claims):
                self._desk.check_room(claims, room_id)
        except Denied as denied:
            raise of_denied(denied) from None

    async def _look(self, claims: Claims, room_id: str, view: Callable[[Room, int], T]) -> T:
        found = await asking.look_at_room(
            self._system, room_id, lambda room, now: (view(room, now), room.state.product_id)
        )
        if found is None:
            raise not_found("no such room")
        answer, product_id = found
        try:
            await self._desk.check_enrolment(claims, product_id)
        except Denied as denied:
            raise of_denied(denied) from None
        return answer

    # -- steering -----------------------------------------------------------------------------------------------------

    async def put(self, request: web.Request) -> web.Response:
        """`PUT /rooms/{id}`: the time-table; makes the room where there is none."""
        await self._access.staff(request)
        room_id = params.path_id(request)
        body = bodies.decode(_DECODER, await bodies.read(request, BODY_BYTES))
        start = _moment(body.scheduled_start, "scheduled_start")
        end = _moment(body.scheduled_end, "scheduled_end")
        if start is not None and end is not None and end <= start:
            raise invalid("Expected a time after `scheduled_start` - at `$.scheduled_end`")
        said = body.product_id
        product_id = None if said is None or said is msgspec.UNSET else canonical_id(said)
        event = Scheduled(body.name, start, end, product_id, keeps_product=said is msgspec.UNSET)
        return await self._steer(room_id, event, create=True)

    async def start(self, request: web.Request) -> web.Response:
        """`POST /rooms/{id}/start`."""
        await self._access.staff(request)
        event = Started(self._system.clock.now(), SOURCE)
        return await self._steer(params.path_id(request), event, create=self._accept_unknown)

    async def end(self, request: web.Request) -> web.Response:
        """`POST /rooms/{id}/end`: ending twice is ending once."""
        await self._access.staff(request)
        event = Finished(self._system.clock.now(), SOURCE)
        return await self._steer(params.path_id(request), event, create=self._accept_unknown)

    async def _steer(self, room_id: str, event: RoomEvent, *, create: bool) -> web.Response:
        if self._system.busy:
            raise unavailable()
        try:
            actor = await self._desk.find_room(room_id, create=create)
        except Denied as denied:
            raise of_denied(denied) from None
        if actor is None:
            raise not_found("no such room")
        return json_answer(await asking.put(self._system, actor, event, _answer).answer(asking.WRITE_S))


def _answer(actor: Actor, now: int) -> RoomAnswer:
    return room_views.of_room(actor.room, now)


def _moment(value: datetime | None, name: str) -> int | None:
    """Unix ms of a time that says its zone."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise invalid(f"Expected a time with its zone, such as 2024-02-07T10:00:00Z - at `$.{name}`")
    moment = (value - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= moment < _LATEST_MS:
        raise invalid(f"Expected a time from 1970 to 9998 - at `$.{name}`")
    return moment
