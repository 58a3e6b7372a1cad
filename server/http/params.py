"""What stands in a path or a query, checked; a `Problem` (400) names the parameter."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from protocol import limits
from server.http.answers import invalid

_CURSOR_CHARS: Final = 4096
"""One may hold a content's id."""


def path_id(request: web.Request, name: str = "id") -> str:
    """An id in the path."""
    return _checked(request.match_info[name], name)


def query_id(request: web.Request, name: str, chars: int = limits.ID_CHARS) -> str | None:
    """An id in the query; None where it is absent."""
    value = single(request, name)
    return None if value is None else _checked(value, name, chars)


def cursor(request: web.Request) -> str:
    """Behind what the page begins; empty for the first."""
    value = single(request, "cursor") or ""
    if len(value) > _CURSOR_CHARS or not _storable(value):
        raise invalid("Expected the `next` of an earlier answer - at `$.cursor`")
    return value


def choice(request: web.Request, name: str, options: tuple[str, ...]) -> str | None:
    """One of a few words; None where it is absent."""
    value = single(request, name)
    if value is not None and value not in options:
        raise invalid(f"Expected one of {', '.join(options)} - at `$.{name}`")
    return value


def whole(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    value = single(request, name)
    if value is None:
        return default
    if value.isascii() and value.isdigit() and len(value) <= len(str(high)) and low <= int(value) <= high:
        return int(value)
    raise invalid(f"Expected a whole number from {low} to {high} - at `$.{name}`")


def single(request: web.Request, name: str) -> str | None:
    """What a query says once; None where it is absent."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise invalid(f"Expected it once - at `$.{name}`")
    return values[0] if values else None


def _checked(value: str, name: str, chars: int = limits.ID_CHARS) -> str:
    if not 1 <= len(value) <= chars or not _storable(value):
        raise invalid(f"Expected an id of 1 to {chars} characters without NUL - at `$.{name}`")
    return value


def _storable(value: str) -> bool:
    """Neither NUL nor half a surrogate pair: PostgreSQL holds neither."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
