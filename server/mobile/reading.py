"""`/api/v1/mobile/sessions`: what staff read of app sessions (mobile-ingest.md, reading 11).

The list goes on with `next_cursor`. A session may have a hundred thousand messages and thousands of images: each of the
two is a page of `limit`, behind `cursor` and `images_cursor`.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.system import ActorSystem
from protocol.mobile_reading import MobileSessionAnswer, MobileSessionsAnswer
from server.auth import Claims
from server.http import params
from server.http.access import Access
from server.http.answers import HEADERS, invalid, json_answer, not_found
from server.http.learning import asked
from server.http.sending import Sender
from server.mobile import reading_views as views
from storage.mobile_images import HASH_CHARS, MobileImages, file_name
from storage.mobile_reading import (
    FIRST_MESSAGE,
    FIRST_SESSION,
    SESSION_ID_MAX,
    MessagePlace,
    MobileReading,
    SessionPlace,
    Wanted,
)

LISTED: Final = 50
LISTED_MAX: Final = 200
LIMIT: Final = 200
LIMIT_MAX: Final = 1_000

_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_SESSION_PLACE: Final = re.compile(r"(-?[0-9]{1,15})\.([0-9]{1,19})", re.ASCII)
_MESSAGE_PLACE: Final = re.compile(r"(-?[0-9]{1,15})\.(-?[0-9]{1,19})\.((?:[0-9a-f]{2}){1,32})", re.ASCII)


class MobileSessions:
    """The handlers. One a process. `timezone`: in which dates without a time are days."""

    def __init__(
        self,
        system: ActorSystem,
        access: Access,
        reading: MobileReading,
        images: MobileImages,
        sender: Sender,
        timezone: str,
    ) -> None:
        self._system = system
        self._access = access
        self._reading = reading
        self._images = images
        self._sender = sender
        self._timezone = timezone

    async def page(self, request: web.Request) -> web.Response:
        """`GET /mobile/sessions`."""
        claims = await self._access.staff(request)
        wanted = self._wanted(request, claims)
        limit = params.whole(request, "limit", LISTED, 1, LISTED_MAX)
        behind = _session_place(params.cursor(request))
        with asked.stored():
            found = await self._reading.sessions(wanted, behind, limit + 1)
        items = [views.session(one) for one in found[:limit]]
        if len(found) <= limit:
            return json_answer(MobileSessionsAnswer(items, None))
        last = found[limit - 1]
        return json_answer(MobileSessionsAnswer(items, f"{last.started_at}.{last.session_id}"))

    async def read(self, request: web.Request) -> web.Response:
        """`GET /mobile/sessions/{id}`."""
        await self._access.staff(request)
        session_id = _session_id(request)
        limit = params.whole(request, "limit", LIMIT, 1, LIMIT_MAX)
        behind, after = _message_place(params.cursor(request)), _images_place(request)
        with asked.stored():
            session = await self._reading.session(session_id)
            if session is None:
                raise not_found("no such session")
            messages, more = await self._reading.messages(session_id, behind, limit)
            images = await self._images.page(session_id, after, limit + 1)
            watched = await self._reading.watch_sessions(session_id)
        listed = views.session(session.listed)
        return json_answer(
            MobileSessionAnswer(
                session_id=listed.session_id,
                project=listed.project,
                user_id=listed.user_id,
                user_uuid=listed.user_uuid,
                started_at=listed.started_at,
                ended_at=listed.ended_at,
                user_label=session.user_label,
                anonymous_label=session.anonymous_label,
                device=session.device,
                messages=[views.message(one) for one in messages],
                next_cursor=_cursor(messages[-1].place) if more else None,
                images=[views.image(session_id, one) for one in images[:limit]],
                next_images_cursor=images[limit - 1].image.hash if len(images) > limit else None,
                undecodable=session.undecodable,
                watch_sessions=watched,
            )
        )

    async def image(self, request: web.Request) -> web.StreamResponse:
        """`GET /mobile/sessions/{id}/images/{hash}`: its bytes."""
        claims = await self._access.staff(request)
        session_id, hash_ = _session_id(request), params.path_id(request, "hash")
        with asked.stored():
            stored = await self._images.image(session_id, hash_)
        if stored is None:
            raise not_found("no such image")
        headers = CIMultiDict(HEADERS)
        headers[hdrs.CONTENT_TYPE] = stored.image.media
        headers[hdrs.CONTENT_LENGTH] = str(stored.image.size)
        headers[hdrs.CONTENT_DISPOSITION] = views.disposition(stored)
        part = (stored.image.start, stored.image.start + stored.image.size)
        return await self._sender.send(request, claims.user_id, file_name(stored.file), part, 200, headers)

    def _wanted(self, request: web.Request, claims: Claims) -> Wanted:
        user_id, project = params.query_id(request, "user_id"), params.query_id(request, "project")
        question = asked.asked(request, claims, self._timezone, self._system.clock.now())
        if params.single(request, "start_at") is None and params.single(request, "end_at") is None:
            return Wanted(user_id, project)
        span = asked.span(request, question)
        return Wanted(user_id, project, span.start, span.end)


def _cursor(place: MessagePlace) -> str:
    return f"{place.at}.{place.type}.{place.hash.hex()}"


def _session_id(request: web.Request) -> int:
    text = params.path_id(request)
    if not _NUMBER.fullmatch(text) or int(text) > SESSION_ID_MAX:
        raise not_found("no such session")
    return int(text)


def _session_place(cursor: str) -> SessionPlace:
    if not cursor:
        return FIRST_SESSION
    found = _SESSION_PLACE.fullmatch(cursor)
    if found is None or int(found[2]) > SESSION_ID_MAX:
        raise invalid("Expected the `next_cursor` of an earlier answer - at `$.cursor`")
    return SessionPlace(int(found[1]), int(found[2]))


def _message_place(cursor: str) -> MessagePlace:
    if not cursor:
        return FIRST_MESSAGE
    found = _MESSAGE_PLACE.fullmatch(cursor)
    if found is None or abs(int(found[2])) > SESSION_ID_MAX:
        raise invalid("Expected the `next_cursor` of an earlier answer - at `$.cursor`")
    return MessagePlace(int(found[1]), int(found[2]), bytes.fromhex(found[3]))


def _images_place(request: web.Request) -> str:
    value = params.single(request, "images_cursor") or ""
    if len(value) > HASH_CHARS or not value.isascii() or "\0" in value:
        raise invalid("Expected the `next_images_cursor` of an earlier answer - at `$.images_cursor`")
    return value
