"""`GET /api/v1/sessions/{id}`: what one session watched, for its learner and for staff."""

from __future__ import annotations

from aiohttp import web

from actors.directory import NotOwned
from actors.machines.rows import SessionRow
from actors.machines.track import Segment
from actors.ports import WATCH, SessionReader, StoreAway, StoredSession, StoreRefused
from actors.system import ActorSystem
from protocol import ids
from server.http import asking, merging, params
from server.http.access import Access, is_staff
from server.http.answers import forbidden, json_answer, not_found
from server.http.merging import Known


class Sessions:
    """The handler. One a process."""

    def __init__(self, system: ActorSystem, access: Access, reader: SessionReader) -> None:
        self._system = system
        self._access = access
        self._reader = reader

    async def read(self, request: web.Request) -> web.Response:
        """Memory and store merged."""
        claims = await self._access.anybody(request)
        session_id = params.path_id(request)
        partition = ids.session_partition(session_id)
        if partition is None or partition >= self._system.rules.partitions:
            raise not_found("no such session")
        row, segments = await self._merged(session_id)
        if row.user_id != claims.user_id and not is_staff(claims):
            raise forbidden("this session is another learner's")
        return json_answer(merging.answer(row, segments, self._system.rules.watch.completion_threshold))

    async def _merged(self, session_id: str) -> tuple[SessionRow, list[Segment]]:
        try:
            self._system.directory.check(self._system.directory.partition(WATCH, session_id))
            known = await self._in_memory(session_id)
            stored: StoredSession | None = await self._reader.session_with_segments(session_id)
        except (NotOwned, StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        row = known.row if known is not None else None if stored is None else stored.row
        if row is None:
            raise not_found("no such session")
        written = [] if stored is None else [one.segment for one in stored.segments]
        return row, merging.segments(known, written)

    async def _in_memory(self, session_id: str) -> Known | None:
        system = self._system
        watch = system.directory.find(WATCH, session_id)
        if watch is not None:
            threshold = system.rules.watch.completion_threshold
            return await asking.look(system, watch, lambda actor, _: merging.of_watch(actor.watch, threshold))
        room = system.directory.room_of_session(session_id)
        if room is None:
            return None
        return await asking.look(system, room, lambda actor, _: merging.of_room(actor.room, session_id))
