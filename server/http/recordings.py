"""Recordings of classes: their list, their files, their pictures (plugnmeet.md, flow 5 and reading 15)."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.machines.room import Room
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.rest import RecordingAnswer, RecordingsAnswer
from server.auth import Claims
from server.desk import Denied, Desk
from server.http import asking, params, ranges
from server.http.access import Access, is_staff
from server.http.answers import HEADERS, conflict, forbidden, json_answer, not_found, of_denied, unavailable
from server.http.sending import Sender
from server.recordings.fetching import JPEG, file_name, media_type, thumbnail_name
from storage.files import Files, FilesAway
from storage.jobs import Figures, JobStore, RecordingJob

LISTED: Final = 1_000
"""Recordings of one room that are shown."""
NOT_MODIFIED: Final = 304
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Recordings:
    """The handlers. One a process."""

    def __init__(
        self, system: ActorSystem, desk: Desk, access: Access, jobs: JobStore, files: Files, sender: Sender
    ) -> None:
        self._system = system
        self._desk = desk
        self._access = access
        self._jobs = jobs
        self._files = files
        self._sender = sender

    async def of_room(self, request: web.Request) -> web.Response:
        """`GET /rooms/{id}/recordings`."""
        claims = await self._access.anybody(request)
        room_id = params.path_id(request)
        if not await self._may_watch(claims, room_id):
            raise forbidden("recordings are for staff and for who attended")
        try:
            found = await self._jobs.of_room(room_id, LISTED)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        if not found and await asking.look_at_room(self._system, room_id, lambda _room, _now: True) is None:
            raise not_found("no such room")
        return json_answer(RecordingsAnswer([_answer(job) for job in found]))

    async def file(self, request: web.Request) -> web.StreamResponse:
        """`GET /recordings/{id}/file`: the file or a range of it."""
        claims, job, figures = await self._find(request)
        name = file_name(job.id)
        etag, size = f'"{figures.sha256}"', figures.size_bytes
        headers = _headers(media_type(figures.tracks), f'attachment; filename="{_title(job)}.mp4"')
        return await self._send(request, claims, name, headers, etag, size)

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        """`GET /recordings/{id}/thumbnail`: a JPEG; 404 with the reason where there is none."""
        claims, job, figures = await self._find(request)
        if not figures.thumbnail:
            raise not_found(f"no thumbnail: {figures.thumbnail_reason}")
        name = thumbnail_name(job.id)
        try:
            size = await self._files.size(name)
        except FilesAway as error:
            raise unavailable("the store of files is away: try again") from error
        if size is None:
            raise not_found("no thumbnail: it is gone from where it was kept")
        headers = _headers(JPEG, f'inline; filename="{_title(job)}.jpg"')
        return await self._send(request, claims, name, headers, f'"{figures.sha256}-jpg"', size)

    async def _send(
        self, request: web.Request, claims: Claims, name: str, headers: CIMultiDict[str], etag: str, size: int
    ) -> web.StreamResponse:
        if ranges.is_known(request, etag):
            headers[hdrs.ETAG] = etag
            del headers[hdrs.CONTENT_TYPE]
            return web.Response(status=NOT_MODIFIED, headers=headers)
        part = ranges.wanted(request, size, etag)
        status = ranges.say(headers, part, size, etag)
        return await self._sender.send(request, claims.user_id, name, part or (0, size), status, headers)

    async def _find(self, request: web.Request) -> tuple[Claims, RecordingJob, Figures]:
        """A recording that is here, and somebody who may see it."""
        claims = await self._access.anybody(request)
        try:
            job = await self._jobs.by_id(params.path_id(request))
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        # Whoever may not see it is not told whether there is one.
        if job is None or not await self._may_watch(claims, job.room_id):
            raise not_found("no such recording")
        if job.state != "ready" or job.figures is None:
            raise conflict(f"the recording is {job.state}{f': {job.reason}' if job.reason else ''}")
        return claims, job, job.figures

    async def _may_watch(self, claims: Claims, room_id: str) -> bool:
        """Staff, and learners who attended the class or are enrolled in it (plugnmeet.md, reading 15)."""
        if is_staff(claims):
            return True
        try:
            self._desk.check_room(claims, room_id)
        except Denied:
            return False
        found = await asking.look_at_room(
            self._system, room_id, lambda room, now: (has_attended(room, claims.user_id, now), room.state.product_id)
        )
        if found is None:
            return False
        attended, product_id = found
        try:
            return attended or await self._desk.takes_part(claims, product_id)
        except Denied as denied:
            raise of_denied(denied) from None


def has_attended(room: Room, user_id: str, now: int) -> bool:
    """Whether somebody was present in a class for the attended minimum."""
    member = room.state.members.get(user_id)
    return member is not None and room.attendance(member, now).attended


def _answer(job: RecordingJob) -> RecordingAnswer:
    figures = job.figures if job.state == "ready" else None
    return RecordingAnswer(
        id=job.id,
        record_id=job.record_id,
        state=job.state,
        reason=job.reason,
        size_bytes=None if figures is None else figures.size_bytes,
        sha256=None if figures is None else figures.sha256,
        duration_seconds=None if figures is None or figures.duration_ms is None else figures.duration_ms / 1000,
        thumbnail=figures is not None and figures.thumbnail,
    )


def _headers(content_type: str, disposition: str) -> CIMultiDict[str]:
    headers = CIMultiDict(HEADERS)
    headers[hdrs.CONTENT_TYPE] = content_type
    headers[hdrs.CONTENT_DISPOSITION] = disposition
    return headers


def _title(job: RecordingJob) -> str:
    """A file name for whoever saves it: letters and digits of the room's id, and the beginning of ours."""
    room = _UNSAFE.sub("-", job.room_id)[:60].strip("-")
    return f"{room or 'recording'}-{job.id[:8]}"
