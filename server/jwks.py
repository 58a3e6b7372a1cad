"""Public signing keys (JWKS, RFC 7517) from a file or a URL, and what happens when they are rotated.

A broken or unreachable source never takes away keys that worked: the old set stays, with a warning in the log.
`KeySet` objects are never changed, so whoever remembers something about a set notices another one by identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

DOCUMENT_BYTES_MAX: Final = 256 * 1024
KEYS_MAX: Final = 32  # a token without `kid` is tried against each of its algorithm
RSA_BITS_MIN: Final = 2048
FILE_CHECK_S: Final = 1.0
FETCH_TIMEOUT_S: Final = 5.0
FETCH_AGAIN_S: Final = 10.0
"""Made-up key ids must not turn into requests to the issuer more often than this."""
MAX_AGE_S: Final = 600.0
"""A key that its issuer withdrew is trusted at most this long (plus one fetch)."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
_NEVER: Final = float("-inf")
_log: Final = structlog.get_logger("rollcall.jwks")


class KeySourceError(Exception):
    """The keys cannot be read; the message says of what and why."""


class Key(msgspec.Struct, frozen=True):
    """A public key, the one algorithm that it is used with, and its id where it has one."""

    algorithm: str
    kid: str | None
    public: PublicKey


class KeySet(msgspec.Struct, frozen=True):
    """The usable keys of one JWKS document."""

    keys: tuple[Key, ...] = ()

    def candidates(self, algorithm: str, kid: str | None) -> Collection[PublicKey]:
        """Keys that may have signed a token with this header. A key without id can be any."""
        return [
            key.public
            for key in self.keys
            if key.algorithm == algorithm and (kid is None or key.kid is None or key.kid == kid)
        ]


class KeySource(Protocol):
    """Where a `Verifier` takes its public keys from."""

    def current(self, now_s: float) -> KeySet:
        """Return the keys known at Unix time `now_s`, without waiting."""
        ...

    async def refresh(self, now_s: float) -> None:
        """Look for newer keys, within the source's own bounds. Never raises."""
        ...

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        ...


class FileKeys:
    """Keys in a file, read again when it changes (looked at once a second at most).

    Raises `KeySourceError` when the file cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._keys = self._read()
        self._checked_s = _NEVER

    def current(self, now_s: float) -> KeySet:
        if abs(now_s - self._checked_s) >= FILE_CHECK_S:
            self._checked_s = now_s
            self._reload()
        return self._keys

    async def refresh(self, now_s: float) -> None:
        self._checked_s = now_s
        self._reload()

    async def aclose(self) -> None:
        """Nothing runs in the background."""

    def _reload(self) -> None:
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp  # also when it is broken: say so once, not every second
            self._keys = self._read()
        except KeySourceError as error:
            _log.warning("signing_keys_kept", reason=str(error))

    def _stamp(self) -> tuple[int, int, int]:
        try:
            stat = self._path.stat()
        except OSError as error:
            raise KeySourceError(f"{self._path}: {error.strerror}") from error
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> KeySet:
        try:
            with self._path.open("rb") as file:
                document = file.read(DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise KeySourceError(f"{self._path}: {error.strerror}") from error
        return parse(document, str(self._path))


class UrlKeys:
    """Keys behind a URL. The first fetch is `refresh`, at start; none is made by constructing this.

    One fetch at a time, bounded in time and size, no redirects. Waiting callers share it.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = FETCH_TIMEOUT_S,
        again_s: float = FETCH_AGAIN_S,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._again_s = again_s
        self._max_age_s = max_age_s
        self._keys = KeySet()
        self._asked_s = _NEVER
        self._fetching: asyncio.Task[None] | None = None

    def current(self, now_s: float) -> KeySet:
        if abs(now_s - self._asked_s) >= self._max_age_s:
            self._begin(now_s)
        return self._keys

    async def refresh(self, now_s: float) -> None:
        if self._fetching is None and abs(now_s - self._asked_s) >= self._again_s:
            self._begin(now_s)
        if self._fetching is not None:
            # Others wait for the same fetch: one that goes away must not take it along.
            await asyncio.shield(self._fetching)

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _begin(self, now_s: float) -> None:
        if self._fetching is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a caller without a loop makes do with what is known
            return
        self._asked_s = now_s
        self._fetching = loop.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            document = await self._download()
            keys = await asyncio.to_thread(parse, document, "the JWKS URL")
        except (KeySourceError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("signing_keys_kept", reason=str(error) or type(error).__name__)
        else:
            # The same document again must not empty the cache of verified tokens.
            if keys != self._keys:
                self._keys = keys
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        async with (
            aiohttp.ClientSession(timeout=self._timeout) as session,
            session.get(self._url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 - the one status that carries keys
                raise KeySourceError(f"the JWKS URL answered with status {answer.status}")
            document = bytearray()
            async for chunk in answer.content.iter_any():
                document += chunk
                if len(document) > DOCUMENT_BYTES_MAX:
                    break
            return bytes(document)


def parse(document: bytes, origin: str) -> KeySet:
    """Take the usable keys out of a JWKS document; others in it are passed over.

    Raises `KeySourceError` when it is no JWKS, is too large, or holds no usable key.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise KeySourceError(f"{origin}: over {DOCUMENT_BYTES_MAX} bytes")
    try:
        entries = msgspec.json.decode(document, type=_Document).keys
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise KeySourceError(f"{origin}: no JWKS document ({error})") from error
    keys = [key for key in map(_key, entries) if key is not None]
    if not keys:
        raise KeySourceError(f"{origin}: no usable public key (RSA of {RSA_BITS_MIN} bits, EC on P-256 or Ed25519)")
    if len(keys) > KEYS_MAX:
        raise KeySourceError(f"{origin}: over {KEYS_MAX} keys")
    return KeySet(tuple(keys))


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def _key(entry: dict[str, Any]) -> Key | None:
    kid = entry.get("kid")
    if entry.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    public = _public_key(entry)
    algorithm = _algorithm(public)
    if public is None or algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    return Key(algorithm, kid, public)


def _public_key(entry: dict[str, Any]) -> PublicKey | None:
    loaders: dict[object, Any] = {
        "RSA": RSAAlgorithm.from_jwk,
        "EC": ECAlgorithm.from_jwk,
        "OKP": OKPAlgorithm.from_jwk,
    }
    load = loaders.get(str(entry.get("kty")))
    if load is None:
        return None
    try:
        key = load(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if hasattr(key, "public_key"):  # a private key was published; its public half is all we need
        key = key.public_key()
    return key if isinstance(key, PublicKey) else None


def _algorithm(key: PublicKey | None) -> str | None:
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= RSA_BITS_MIN else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None
