"""Tokens of app sessions: `base36(id).base36(delay).base36(expiry ms).base58(HMAC-SHA256(secret, the first three))`.

A token stands for its session and nothing else. The project is bound to it by the session, which knows its own.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

LATE_MS: Final = 7 * 24 * 3600 * 1000
"""So long after a token's end late data is taken (mobile-ingest.md)."""
TOKEN_CHARS: Final = 256
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PARTS: Final = 4
_INT64: Final = 2**63


class BadToken(Exception):
    """It is none of ours; the message never repeats it."""


class Token(msgspec.Struct, frozen=True):
    """What a token says. `delay`: server time less the client's at the session's start, ms."""

    session_id: int
    delay: int
    expires_at: int

    def alive(self, now: int) -> bool:
        """Whether it may start and append."""
        return now < self.expires_at

    def late(self, now: int) -> bool:
        """Whether it may bring late data."""
        return now < self.expires_at + LATE_MS


class Tokens:
    """Signs and reads them. One a process."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, token: Token) -> str:
        """Its text."""
        said = ".".join(map(base36, (token.session_id, token.delay, token.expires_at)))
        return f"{said}.{base58(self._signature(said))}"

    def read(self, text: str) -> Token:
        """What it says, however old it is. Raises `BadToken`."""
        said, dot, signature = text.rpartition(".")
        if len(text) > TOKEN_CHARS or not dot or not text.isascii():
            raise BadToken("the token is malformed")
        if not hmac.compare_digest(signature, base58(self._signature(said))):
            raise BadToken("the token was not signed here")
        numbers = [_number(part) for part in said.split(".")]
        if len(numbers) != _PARTS - 1:
            raise BadToken("the token is malformed")
        return Token(*numbers)

    def _signature(self, said: str) -> bytes:
        return hmac.digest(self._secret, said.encode(), "sha256")


def derived(secret: str) -> bytes:
    """A secret for these tokens out of the one that signs learners' tokens: neither can stand for the other."""
    return hmac.new(secret.encode(), b"rollcall mobile tokens", hashlib.sha256).digest()


def base36(number: int) -> str:
    """Digits and small letters; a minus in front of what is below 0."""
    digits: list[str] = []
    rest = abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, 36)
        digits.append(_DIGITS[digit])
    return ("-" if number < 0 else "") + "".join(reversed(digits))


def base58(data: bytes) -> str:
    """As Bitcoin writes it: leading zero bytes are leading ones."""
    digits: list[str] = []
    rest = int.from_bytes(data)
    while rest:
        rest, digit = divmod(rest, 58)
        digits.append(_BASE58[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def _number(text: str) -> int:
    try:
        number = int(text, 36)
    except ValueError:
        raise BadToken("the token is malformed") from None
    if not -_INT64 <= number < _INT64:
        raise BadToken("the token is malformed")
    return number
