"""What every question of a dashboard says: whose figures, in which zone, range and language (readings 5, 14)."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from aiohttp import hdrs, web

from actors.directory import NotOwned
from actors.figures import spans
from actors.figures.spans import Span
from actors.ports import StoreAway, StoreRefused
from server.auth import Claims
from server.http import asking, language, params
from server.http.access import is_staff
from server.http.answers import cached_answer, forbidden, invalid
from server.theme import DEFAULT_LANGUAGE, LANGUAGES

VARY: Final = f"{hdrs.ACCEPT_LANGUAGE}, {hdrs.AUTHORIZATION}"
ZONES_KEPT: Final = 1024
"""More than there are."""
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII)


class Asked(msgspec.Struct, frozen=True):
    """One question. `now` Unix ms."""

    user_id: str
    zone: ZoneInfo
    language: str
    now: int


def asked(request: web.Request, claims: Claims, timezone: str, now: int) -> Asked:
    """Who asks what; `timezone` is the server's. Raises `Problem`: 400, 403."""
    return Asked(whose(request, claims), _zone(request, timezone), spoken(request), now)


def whose(request: web.Request, claims: Claims) -> str:
    """The learner: the bearer, for staff also another by `user_id`. Raises `Problem` (403)."""
    user_id = params.query_id(request, "user_id")
    if user_id is None:
        return claims.user_id
    if not is_staff(claims):
        raise forbidden("`user_id` is for staff: learners read their own")
    return user_id


def spoken(request: web.Request) -> str:
    """The language of the answer."""
    return language.chosen(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), LANGUAGES, DEFAULT_LANGUAGE)


def span(request: web.Request, question: Asked) -> Span:
    """`start_at` and `end_at`. Raises `Problem` (400)."""
    with naming():
        return spans.span(
            params.single(request, "start_at"), params.single(request, "end_at"), question.zone, question.now
        )


@contextmanager
def naming() -> Generator[None]:
    """A `BadSpan` becomes a `Problem` (400) that names the parameter."""
    try:
        yield
    except spans.BadSpan as error:
        raise invalid(f"Expected {error.why} - at `$.{error.name}`") from None


@contextmanager
def stored() -> Generator[None]:
    """What the store or the directory could not do becomes a `Problem` (503)."""
    try:
        yield
    except (NotOwned, StoreAway, StoreRefused) as error:
        raise asking.away(error) from error


def answer(request: web.Request, value: object) -> web.Response:
    """As every dashboard is answered ("caching")."""
    return cached_answer(request, value, vary=VARY)


def _zone(request: web.Request, timezone: str) -> ZoneInfo:
    name = params.single(request, "tz")
    found = zone(timezone if name is None else name)
    if found is None:
        raise invalid("Expected a zone such as Asia/Dhaka - at `$.tz`")
    return found


@lru_cache(ZONES_KEPT)
def zone(name: str) -> ZoneInfo | None:
    """A zone by its IANA name; None where there is none."""
    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
