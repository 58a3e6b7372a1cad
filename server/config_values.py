"""How the text of a setting becomes a value: small parsers that raise `ValueError` with words for the operator.

A message continues the sentence "<NAME>: ..."; none repeats the text it refuses, since that may be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol.limits import ID_CHARS
from protocol.loose import Unfit
from protocol.xapi import values

SECRET_BYTES_MIN: Final = 32
"""HS256 wants a key at least as long as its hash (RFC 7518, 3.2)."""

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_PASSWORD_IN_AUTHORITY: Final = re.compile(r"(://[^:@/?#]*):.*@")
_PASSWORD_IN_QUERY: Final = re.compile(r"([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&#]*", re.IGNORECASE)


def text(value: str) -> str:
    """Take any printable text."""
    if not value.isprintable():
        message = "must not contain control characters"
        raise ValueError(message)
    return value


def host(value: str) -> str:
    """Take an address or a host name to listen on."""
    if not value.isprintable() or " " in value or "/" in value:
        message = "must be an address or a host name, without port or scheme"
        raise ValueError(message)
    return value.removeprefix("[").removesuffix("]")


def path(value: str) -> Path:
    """Take a file or a directory, without looking at it."""
    return Path(text(value))


def flag(value: str) -> bool:
    """Read yes or no."""
    lowered = value.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    message = "must be 1 or 0 (or yes/no, true/false, on/off)"
    raise ValueError(message)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Accept a whole number from `low` to `high`, both included."""

    def parse(value: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,18}", value) and low <= int(value) <= high:
            return int(value)
        message = f"must be a whole number from {low} to {high}"
        raise ValueError(message)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Accept a finite number from `low` to `high`, both included."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            parsed = math.nan
        if low <= parsed <= high:  # false for NaN
            return parsed
        message = f"must be a number from {low:g} to {high:g}"
        raise ValueError(message)

    return parse


def choice(*options: str) -> Callable[[str], str]:
    """Accept one of a few words, in any case."""

    def parse(value: str) -> str:
        if value.lower() in options:
            return value.lower()
        message = f"must be one of {', '.join(options)}"
        raise ValueError(message)

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """Accept a URL of one of `schemes`."""

    def parse(value: str) -> str:
        try:
            scheme = urlsplit(text(value)).scheme
        except ValueError:
            scheme = ""
        if scheme.lower() in schemes and "://" in value:
            return value
        message = f"must be a URL that begins with {' or '.join(f'{name}://' for name in schemes)}"
        raise ValueError(message)

    return parse


def key_url(value: str) -> str:
    """Take where keys are fetched: over TLS or from this machine, since whoever changes the answer can log in."""
    parts = urlsplit(url("https", "http")(value))
    if not parts.hostname:
        message = "must be a URL with a host"
        raise ValueError(message)
    if parts.scheme.lower() == "http" and not is_loopback(parts.hostname):
        message = "must be https:// (http:// only for this machine)"
        raise ValueError(message)
    return value


def secret(value: str) -> str:
    """Take a signing secret of at least `SECRET_BYTES_MIN` bytes."""
    size = len(value.encode("utf-8", "surrogateescape"))
    if size < SECRET_BYTES_MIN:
        message = f"must be at least {SECRET_BYTES_MIN} bytes, it has {size}"
        raise ValueError(message)
    return value


def hidden(value: str) -> str:
    """Take somebody else's secret, of any length."""
    return text(value)


def key_pairs(value: str) -> tuple[tuple[str, str], ...]:
    """Read `key:secret` pairs, separated by commas; a key stands twice while its secret is being changed."""
    pairs: list[tuple[str, str]] = []
    for index, part in enumerate(part.strip() for part in value.split(",") if part.strip()):
        key, colon, its_secret = part.partition(":")
        if not (colon and key.strip() and its_secret.strip()):
            message = f"must be key:secret[,key:secret...], number {index + 1} is not"
            raise ValueError(message)
        pairs.append((key.strip(), its_secret.strip()))
    return tuple(pairs)


def timezone(value: str) -> str:
    """Take a zone of the IANA database."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = "must be a time zone such as Asia/Dhaka or UTC"
        raise ValueError(message) from error
    return value


def kind(value: str) -> str:
    """The kind of a content."""
    if not 1 <= len(value) <= ID_CHARS or "\0" in value:
        raise ValueError(f"must be 1 to {ID_CHARS} characters")
    return value


def iri(value: str) -> str:
    """An IRI with its scheme."""
    try:
        return values.iri(value)
    except Unfit as error:
        raise ValueError(f"must be an IRI such as https://lms.example: {error}") from None


def origins(value: str) -> tuple[str, ...]:
    """Read web origins, separated by commas."""
    return tuple(_origin(part.strip()) for part in value.split(",") if part.strip())


def _origin(value: str) -> str:
    if re.fullmatch(r"https?://[^\s/?#@*,]+/?", value):
        return value.rstrip("/").lower()
    message = "must be a comma list of origins such as https://school.example (no path, no *)"
    raise ValueError(message)


def is_loopback(name: str) -> bool:
    """Whether a host to listen on can be reached from this machine only."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def without_passwords(value: str) -> str:
    """Make a URL fit to be shown: the password of its authority, and what looks like one in its query, replaced.

    Masks up to the last `@`: a password with an unescaped `/` or `@` in it must not show its tail.
    """
    return _PASSWORD_IN_QUERY.sub(r"\1***", _PASSWORD_IN_AUTHORITY.sub(r"\1:***@", value))


def database_name(url: str) -> str:
    """Where a database is, for people: `host:port/name`, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'local socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"
