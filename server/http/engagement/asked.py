"""What is asked about a content, and in which period (video-engagement.md, readings 5 and 17)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from actors.figures.watched import ALWAYS, Period
from protocol import limits
from protocol.rest import rfc3339
from protocol.xapi.profile import IRI_CHARS
from server.auth import Claims
from server.http import params
from server.http.answers import invalid
from server.http.learning import asked


class Question(msgspec.Struct, frozen=True):
    """A content, and which of its sessions. `now` Unix ms; None of `start_at`, `end_at`: everything."""

    kind: str
    content_id: str
    period: Period
    now: int
    start_at: str | None
    end_at: str | None


def question(request: web.Request, claims: Claims, timezone: str, now: int) -> Question:
    """`content_kind`, `content_id`, `start_at`, `end_at`, `tz`. Raises `Problem` (400)."""
    kind, content_id = required_id(request, "content_kind"), required_id(request, "content_id")
    asking = asked.asked(request, claims, timezone, now)
    if params.single(request, "start_at") is None and params.single(request, "end_at") is None:
        return Question(kind, content_id, ALWAYS, now, None, None)
    span = asked.span(request, asking)
    period = Period(span.start, span.end)
    return Question(kind, content_id, period, now, rfc3339(span.start), rfc3339(span.end))


def required_id(request: web.Request, name: str) -> str:
    """An id that must be there. Raises `Problem` (400)."""
    # A content may be one that only xAPI statements name: its id is an IRI.
    value = params.query_id(request, name, IRI_CHARS if name == "content_id" else limits.ID_CHARS)
    if value is None:
        raise invalid(f"Object missing required field `{name}` - at `$`")
    return value
