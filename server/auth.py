"""Who is speaking: JSON Web Tokens, checked by rules that follow the key and never the token.

| key | the only algorithm it is used with |
| --- | --- |
| `ROLLCALL_JWT_SECRET`, or the development secret | HS256 |
| RSA public key (2048 bits or more) of a JWKS | RS256 |
| EC public key on P-256 of a JWKS | ES256 |
| Ed25519 public key of a JWKS | EdDSA |

So a token cannot have its RSA key taken for an HMAC secret, and `none` has no key at all (RFC 8725, 3.1). Symmetric
keys in a JWKS are passed over: what is published is no secret. Signatures are PyJWT's; claims are read here, with the
time as an argument.

`Verifier.verify` is synchronous and cheap on repeats. Only a key id never seen before needs the network, which
`Verifier.authenticate` does without holding up the event loop.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, Self

import jwt
import msgspec
from msgspec import Meta

from protocol import limits
from protocol.types import Content, LooseId, canonical_id
from server import devsecret
from server.config import Settings
from server.jwks import FileKeys, KeySet, KeySource, UrlKeys

Role = Literal["learner", "staff", "admin"]

TOKEN_CHARS_MAX: Final = 16_384  # as in `protocol.types.Token`
CACHED_TOKENS: Final = 20_000
NOT_BEFORE_LEEWAY_S: Final = 5.0
"""An issuer's clock may be this much ahead. Expiry has no leeway."""

_SIGNER: Final = jwt.PyJWS(algorithms=["HS256", "RS256", "ES256", "EdDSA"])
_ROLES: Final[dict[str, Role]] = {"learner": "learner", "staff": "staff", "admin": "admin"}
_YEAR_9999: Final = 253_402_300_799

_Moment = Annotated[float, Meta(ge=0, le=_YEAR_9999)]


class AuthError(Exception):
    """The token does not open the door; `reason` says why, and never repeats the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKeyError(AuthError):
    """The token names a key that is not known: fetching the keys again may help."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says about its bearer.

    `rooms` and `contents` (kind, id) restrict where they may go; None is no restriction, an empty set shuts all out.
    """

    user_id: str
    role: Role
    expires_at_ms: int
    name: str | None = None
    rooms: frozenset[str] | None = None
    contents: frozenset[tuple[str, str]] | None = None


class _Payload(msgspec.Struct):
    sub: LooseId
    exp: _Moment
    nbf: _Moment | None = None
    role: str | None = None
    name: str | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    rooms: list[LooseId] | None = None
    contents: list[str | Content] | None = None


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: Any = None


_payload_decoder: Final = msgspec.json.Decoder(_Payload)
_header_decoder: Final = msgspec.json.Decoder(_Header)


class Verifier:
    """Turns tokens into claims. One per process, used from one event loop.

    `secret` serves HS256, `source` the rest; either may be None. `issuer` and `audience` are demanded where given.
    """

    def __init__(
        self,
        secret: str | None = None,
        source: KeySource | None = None,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        cache_size: int = CACHED_TOKENS,
    ) -> None:
        self._secret = None if secret is None else _key_bytes(secret)
        self._source = source
        self._keys = KeySet()
        self._issuer = issuer
        self._audience = audience
        self._cache: OrderedDict[bytes, Claims] = OrderedDict()
        self._cache_size = cache_size

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build what the settings ask for. Development mode without a secret uses that of the data directory.

        Raises `KeySourceError` or `DevSecretError`. Call `refresh` once before the first token.
        """
        secret = settings.jwt_secret
        if secret is None and settings.dev:
            secret = devsecret.read_or_create(settings.data_dir)
        source: KeySource | None = None
        if settings.jwks_file is not None:
            source = FileKeys(settings.jwks_file)
        elif settings.jwks_url is not None:
            source = UrlKeys(settings.jwks_url)
        return cls(secret, source, issuer=settings.jwt_issuer, audience=settings.jwt_audience)

    @property
    def cached(self) -> int:
        """How many verified tokens are remembered, at most `cache_size`."""
        return len(self._cache)

    def verify(self, token: str, now_s: float) -> Claims:
        """Check signature, times and shape at Unix time `now_s`.

        Raises `AuthError`; `UnknownKeyError` where `authenticate` could do more.
        """
        if len(token) > TOKEN_CHARS_MAX:
            raise AuthError("token is too long")
        self._take_keys(now_s)
        # The hash, not the token: a memory dump must not hold thousands of usable tokens.
        digest = blake2b(token.encode("utf-8", "surrogatepass"), digest_size=20).digest()
        claims = self._cache.get(digest)
        if claims is None:
            claims = self._check(token, now_s)
            self._remember(digest, claims)
        else:
            self._cache.move_to_end(digest)
        if now_s * 1000 >= claims.expires_at_ms:
            self._cache.pop(digest, None)
            raise AuthError("token has expired")
        return claims

    async def authenticate(self, token: str, now_s: float) -> Claims:
        """`verify`, and where the token names an unknown key, look for newer keys first, within bounds."""
        try:
            return self.verify(token, now_s)
        except UnknownKeyError:
            await self.refresh(now_s)
        return self.verify(token, now_s)

    async def refresh(self, now_s: float) -> None:
        """Look for newer public keys, as at start. Never raises: old keys stay when it fails."""
        if self._source is not None:
            await self._source.refresh(now_s)

    async def aclose(self) -> None:
        if self._source is not None:
            await self._source.aclose()

    def _take_keys(self, now_s: float) -> None:
        if self._source is None:
            return
        keys = self._source.current(now_s)
        if keys is not self._keys:
            self._keys = keys
            self._cache.clear()  # what a withdrawn key signed must not live on

    def _remember(self, digest: bytes, claims: Claims) -> None:
        self._cache[digest] = claims
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    def _check(self, token: str, now_s: float) -> Claims:
        payload = _decode_payload(self._signed_payload(token))
        if payload.nbf is not None and now_s + NOT_BEFORE_LEEWAY_S < payload.nbf:
            raise AuthError("token is not valid yet")
        if self._issuer is not None and payload.iss != self._issuer:
            raise AuthError("token is from another issuer")
        audience = [payload.aud] if isinstance(payload.aud, str) else payload.aud or ()
        if self._audience is not None and self._audience not in audience:
            raise AuthError("token is for another audience")
        return _claims(payload)

    def _signed_payload(self, token: str) -> bytes:
        header = _decode_header(token)
        for key in self._candidates(header):
            try:
                verified = _SIGNER.decode_complete(token, key, algorithms=[header.alg])
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise AuthError("token is malformed") from error
            payload: bytes = verified["payload"]
            return payload
        raise AuthError("token has a wrong signature")

    def _candidates(self, header: _Header) -> Collection[Any]:
        """Keys that may have signed this, chosen by the key's own algorithm. Never empty."""
        if header.alg == "HS256":
            if self._secret is None:
                raise AuthError("token is signed by an algorithm that is not accepted")
            return (self._secret,)
        if header.alg not in {"RS256", "ES256", "EdDSA"} or self._source is None:
            raise AuthError("token is signed by an algorithm that is not accepted")
        if found := self._keys.candidates(header.alg, header.kid):
            return found
        raise UnknownKeyError("token is signed by an unknown key")


def sign(
    secret: str,
    *,
    user_id: str,
    now_s: float,
    ttl_s: float,
    role: Role = "learner",
    name: str | None = None,
    rooms: Collection[str] | None = None,
    contents: Collection[tuple[str, str]] | None = None,
    issuer: str | None = None,
    audience: str | None = None,
) -> str:
    """Make an HS256 token that `Verifier(secret)` accepts for `ttl_s` seconds from `now_s`.

    Raises `ValueError` naming the claim that no verifier would take.
    """
    claims = {
        "sub": user_id,
        "role": role,
        "iat": math.floor(now_s),
        "exp": math.ceil(now_s + ttl_s),
        "name": name,
        "rooms": None if rooms is None else sorted(rooms),
        "contents": None if contents is None else [{"kind": kind, "id": ident} for kind, ident in sorted(contents)],
        "iss": issuer,
        "aud": audience,
    }
    payload = msgspec.json.encode({key: value for key, value in claims.items() if value is not None})
    try:
        _claims(_decode_payload(payload))
    except AuthError as error:
        raise ValueError(error.reason.removeprefix("token: ")) from error
    return _SIGNER.encode(payload, _key_bytes(secret), algorithm="HS256")


def _key_bytes(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogateescape")  # an environment variable may hold any bytes


def _decode_header(token: str) -> _Header:
    try:
        raw = _SIGNER.get_unverified_header(token)
        header = msgspec.convert(raw, _Header)
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError, RecursionError) as error:
        raise AuthError("token is malformed") from error
    if header.crit is not None or "b64" in raw:
        raise AuthError("token uses an extension that is not accepted")
    return header


def _decode_payload(payload: bytes) -> _Payload:
    try:
        return _payload_decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # A validation error names the claim and the rule, never the value.
        detail = str(error) if isinstance(error, msgspec.ValidationError) else "its claims are not JSON"
        raise AuthError(f"token: {detail}") from error


def _claims(payload: _Payload) -> Claims:
    user_id = canonical_id(payload.sub)
    role = _ROLES.get("learner" if payload.role is None else payload.role)
    if role is None:
        raise AuthError("token: `role` must be learner, staff or admin")
    return Claims(
        user_id=user_id,
        role=role,
        expires_at_ms=math.floor(payload.exp * 1000),
        name=_shown_name(payload.name),
        rooms=None if payload.rooms is None else frozenset(map(canonical_id, payload.rooms)),
        contents=None if payload.contents is None else frozenset(map(_content, payload.contents)),
    )


def _shown_name(name: str | None) -> str | None:
    """A name is for people to read: what cannot be stored is cut off rather than shutting the learner out."""
    if name is None:
        return None
    return name.replace("\0", "").strip()[: limits.NAME_CHARS] or None


def _content(entry: str | Content) -> tuple[str, str]:
    if isinstance(entry, Content):
        return entry.kind, canonical_id(entry.id)
    kind, colon, ident = entry.partition(":")
    if not (kind and colon and ident) or max(len(kind), len(ident)) > limits.ID_CHARS:
        raise AuthError('token: `contents` must list "kind:id" or {kind, id}')
    return kind, ident
