"""Which language an answer speaks: `Accept-Language` against what the theme has. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

RANGES_MAX: Final = 20


def chosen(header: str, offered: Collection[str], default: str) -> str:
    """The best of `offered` for an `Accept-Language` header; the first named wins among equals."""
    best, language = 0.0, default
    for part in header.split(",")[:RANGES_MAX]:
        name, _, parameters = part.strip().lower().partition(";")
        quality = _quality(parameters)
        wanted = name.strip().split("-")[0]
        match = default if wanted == "*" else wanted
        if match in offered and quality > best:
            best, language = quality, match
    return language


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
