"""Who sent a webhook: its signature over the raw body (plugnmeet.md, "Who sent it", reading 2).

    Authorization, Hash-Token    an HS256 token: `iss` names the key, `nbf` and `exp` hold at `now` give or take 60 s,
                                 `sha256` is the body's digest in standard base64
    Hash-Token                   64 hex digits: HMAC-SHA256(secret, body), of older integrations

Any of them is enough. Tokens are checked here rather than by PyJWT, whose general way costs ten times as much: what is
signed is compared in its encoded form, so there is one spelling of a good signature, and only HS256 has a key at all
(RFC 8725, 3.1). Every comparison with what a secret made takes the same time wherever the first difference is.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode, urlsafe_b64encode
from binascii import Error, a2b_base64
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

LEEWAY_S: Final = 60.0
TOKEN_CHARS_MAX: Final = 8192

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_SCHEME: Final = "bearer "
_URL_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")


class BadSignature(Exception):
    """Nothing that came with the body proves who sent it; the message says why, and repeats nothing of it."""


class _Header(msgspec.Struct):
    alg: str
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET


class _Claims(msgspec.Struct):
    iss: str
    nbf: float
    exp: float
    sha256: str


_HEADER: Final = msgspec.json.Decoder(_Header)
_CLAIMS: Final = msgspec.json.Decoder(_Claims)


class Signatures:
    """Checks signatures by `keys`, pairs of API key and secret; a key may stand twice while its secret changes."""

    def __init__(self, keys: Sequence[tuple[str, str]], *, accept_hex: bool) -> None:
        self._by_key: dict[str, list[bytes]] = {}
        for key, secret in keys:
            self._by_key.setdefault(key, []).append(_bytes(secret))
        self._secrets = [secret for secrets in self._by_key.values() for secret in secrets]
        self._accept_hex = accept_hex

    def __bool__(self) -> bool:
        """Whether there is any key."""
        return bool(self._secrets)

    def verify(self, authorizations: Collection[str], hash_tokens: Collection[str], body: bytes, now_s: float) -> None:
        """Return if one of the headers signs `body` at Unix time `now_s`. Raises `BadSignature`."""
        reason = "a signature is needed: Authorization or Hash-Token"
        for given in (*authorizations, *hash_tokens):
            token = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else given.strip()
            if _HEX.fullmatch(token):
                if given in hash_tokens and self._accept_hex and self._is_digest(token, body):
                    return
                reason = "the digest is not of this body and key, or not accepted"
            elif token.count(".") == 2:  # noqa: PLR2004 - of three parts (RFC 7519)
                refused = self._refuse(token, body, now_s)
                if refused is None:
                    return
                reason = refused
        raise BadSignature(reason)

    def _is_digest(self, digits: str, body: bytes) -> bool:
        given = bytes.fromhex(digits)
        return _any_of([hmac.compare_digest(hmac.digest(secret, body, "sha256"), given) for secret in self._secrets])

    def _refuse(self, token: str, body: bytes, now_s: float) -> str | None:
        """Why a token does not sign the body; None where it does."""
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            return "the token is malformed"
        signed, _, signature = token.rpartition(".")
        head, _, middle = signed.partition(".")
        try:
            header, claims = _HEADER.decode(_unpacked(head)), _CLAIMS.decode(_unpacked(middle))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return "the token is malformed, or lacks one of iss, nbf, exp, sha256"
        if header.alg != "HS256" or header.crit is not msgspec.UNSET or header.b64 is not msgspec.UNSET:
            return "the token is signed in a way that is not accepted"
        secrets = self._by_key.get(claims.iss, [])
        if not _any_of([_signs(secret, signed.encode(), signature.encode()) for secret in secrets]):
            return "the token has a wrong signature, or names an unknown key"
        return _untimely(claims, now_s) or _of_another_body(claims, body)


def _signs(secret: bytes, signed: bytes, signature: bytes) -> bool:
    made = urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
    return hmac.compare_digest(made, signature)


def _untimely(claims: _Claims, now_s: float) -> str | None:
    if now_s >= claims.exp + LEEWAY_S:
        return "the token has expired"
    return "the token is not valid yet" if now_s < claims.nbf - LEEWAY_S else None


def _of_another_body(claims: _Claims, body: bytes) -> str | None:
    digest = b64encode(sha256(body).digest())
    same = hmac.compare_digest(digest, _bytes(claims.sha256))
    return None if same else "the token is for another body"


def _any_of(verdicts: list[bool]) -> bool:
    """Whether one holds; a list, so that all were made."""
    return any(verdicts)


def _unpacked(part: str) -> bytes:
    """A part of a token. Raises `ValueError` for what is not base64url without padding (RFC 7515, 2)."""
    if "=" in part or "+" in part or "/" in part:
        raise ValueError("not base64url")
    try:
        return a2b_base64(part.encode().translate(_URL_ALPHABET) + b"=" * (-len(part) % 4), strict_mode=True)
    except Error as error:
        raise ValueError("not base64url") from error


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")  # an environment variable may hold any bytes
