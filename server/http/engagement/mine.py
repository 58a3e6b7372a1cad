"""`GET /api/v1/videos/engagement/me`: a learner on a content, up to the last heartbeat."""

from __future__ import annotations

from aiohttp import web

from actors.actor import Actor
from actors.figures.watched import Credited, Sitting, Watched, watched, worked_ms
from actors.system import ActorSystem
from protocol.engagement import Data, MineAnswer
from server.http import asking, merging
from server.http.access import Access
from server.http.answers import not_found
from server.http.engagement import views
from server.http.engagement.asked import required_id
from server.http.learning import asked
from server.http.merging import Known
from storage.engagement import PostgresEngagement, Stored
from storage.engaging import split


class OwnEngagement:
    """The handler. One a process."""

    def __init__(self, system: ActorSystem, access: Access, engagement: PostgresEngagement) -> None:
        self._system = system
        self._access = access
        self._engagement = engagement

    async def read(self, request: web.Request) -> web.Response:
        """Memory and store merged; staff may name another learner."""
        claims = await self._access.anybody(request)
        kind, content_id = required_id(request, "content_kind"), required_id(request, "content_id")
        user_id = asked.whose(request, claims)
        # Memory first: read the other way round, what a checkpoint moved in between would be in neither.
        with asked.stored():
            known = await self._in_memory(user_id, kind, content_id)
            stored = await self._engagement.stored(user_id, kind, content_id)
        if not stored.known and not known:
            raise not_found("no such content")
        return asked.answer(request, Data(_mine(kind, content_id, known, stored)))

    async def _in_memory(self, user_id: str, kind: str, content_id: str) -> list[Known]:
        threshold = self._system.rules.watch.completion_threshold
        found: list[Known] = []
        for actor in self._system.directory.sessions_of((user_id, kind, content_id)):
            known = await asking.look(self._system, actor, lambda actor, _: _known(actor, threshold))
            if known is not None:
                found.append(known)
        return found


def _known(actor: Actor, threshold: float) -> Known | None:
    return merging.of_watch(actor.watch, threshold)


def _mine(kind: str, content_id: str, known: list[Known], stored: Stored) -> MineAnswer:
    latest = stored.versions[-1]
    sittings, credited = _merged(known, stored)
    made = Watched()
    for version, mine, segments in split(stored.versions, sittings, credited):
        if version is latest:
            made = watched(mine, segments, latest.facts)
    duration = latest.facts.duration or made.told_ms or 0
    worked = worked_ms(duration, ignore_tail=latest.facts.ignore_tail)
    completed_at = stored.completed_at if made.completed_at is None else made.completed_at
    return views.mine(kind, content_id, duration, worked, made, completed_at)


def _merged(known: list[Known], stored: Stored) -> tuple[list[Sitting], list[Credited]]:
    """What memory holds of a session wins over what a checkpoint wrote of it."""
    held = {one.row.session_id: one for one in known}
    sittings = {one.session_id: one for one in stored.sittings}
    credited = {
        (one.session_id, one.number): one
        for one in stored.credited
        if merging.stands(held.get(one.session_id), one.number)
    }
    for one in known:
        row = one.row
        sittings[row.session_id] = Sitting(
            row.session_id, row.started_at, row.ended_at, row.last_sample_at, row.position, row.duration
        )
        for part in one.segments:
            key = (row.session_id, part.number)
            credited.pop(key, None)
            if part.verified:
                credited[key] = Credited(*key, part.start_at, part.end_at, part.start_position, part.end_position)
    return list(sittings.values()), list(credited.values())
