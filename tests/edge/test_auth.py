"""Tokens: every algorithm by the key's own choice, and every way of cheating that is known."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from server import config
from server.auth import AuthError, Claims, UnknownKeyError, Verifier, sign
from server.devsecret import read_or_create
from server.jwks import DOCUMENT_BYTES_MAX, KEYS_MAX, FileKeys, KeySourceError, UrlKeys, parse

NOW = 1_800_000_000.0
SECRET = "a secret of more than thirty-two bytes"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def jwk(algorithm: str, key: Any = None, **fields: Any) -> dict[str, Any]:
    makers: dict[str, Any] = {"RS256": RSAAlgorithm.to_jwk, "ES256": ECAlgorithm.to_jwk, "EdDSA": OKPAlgorithm.to_jwk}
    public = (key or PRIVATE[algorithm]).public_key()
    return {**json.loads(makers[algorithm](public)), "kid": algorithm, **fields}


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


ALL_KEYS = document(*(jwk(name) for name in PRIVATE))


def token(algorithm: str = "HS256", key: Any = None, kid: str | None = None, **claims: Any) -> str:
    payload = {"sub": "27", "exp": NOW + 60, **claims}
    headers = {"kid": kid} if kid else None
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not ...},
        key or PRIVATE.get(algorithm) or SECRET,
        algorithm,
        headers,
    )


def forged(header: dict[str, Any], payload: dict[str, Any] | None = None, key: bytes | None = None) -> str:
    """A token put together by hand, as an attacker would."""
    body = payload or {"sub": "27", "exp": NOW + 60, "role": "admin"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body)]
    signed = b".".join(parts)
    signature = b"" if key is None else hmac.digest(key, signed, hashlib.sha256)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def refusal(verifier: Verifier, text: str, now_s: float = NOW) -> str:
    with pytest.raises(AuthError) as caught:
        verifier.verify(text, now_s)
    return caught.value.reason


def opens(verifier: Verifier, text: str, now_s: float = NOW) -> bool:
    return verifier.verify(text, now_s).user_id != ""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(ALL_KEYS)
    return path


@pytest.fixture
def verifier(keys: Path) -> Verifier:
    return Verifier(SECRET, FileKeys(keys))


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("named", [True, False])
def test_each_algorithm_is_taken_with_its_key(verifier: Verifier, algorithm: str, *, named: bool):
    text = token(algorithm, kid=algorithm if named and algorithm != "HS256" else None, role="staff")
    assert verifier.verify(text, NOW) == Claims("27", "staff", int(NOW + 60) * 1000)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_a_signature_by_another_key_of_the_same_kind_is_refused(verifier: Verifier, algorithm: str):
    others = {
        "HS256": "another secret of more than thirty-two bytes",
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    assert refusal(verifier, token(algorithm, others[algorithm])) == "token has a wrong signature"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_a_public_key_is_never_taken_for_a_secret(keys: Path, algorithm: str, form: str):
    public = PRIVATE[algorithm].public_key()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(jwk(algorithm)).encode(),
    }
    for kid in (None, algorithm):
        text = forged({"alg": "HS256", **({"kid": kid} if kid else {})}, key=secrets[form])
        assert refusal(Verifier(None, FileKeys(keys)), text)
        assert refusal(Verifier(SECRET, FileKeys(keys)), text) == "token has a wrong signature"


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS512", "PS256", "ES384", "ES256K"]
)
def test_no_other_algorithm_opens_the_door(verifier: Verifier, name: str):
    for key in (None, SECRET.encode()):
        assert "algorithm" in refusal(verifier, forged({"alg": name}, key=key))


def test_a_key_is_used_with_its_own_algorithm_only(verifier: Verifier):
    text = token("RS256", kid="ES256")  # names the EC key
    assert refusal(verifier, text) == "token is signed by an unknown key"
    assert refusal(Verifier(SECRET), token("RS256")).endswith("not accepted")
    assert refusal(Verifier(None), token("HS256")).endswith("not accepted")


def test_keys_inside_a_token_are_not_looked_at(verifier: Verifier):
    own = rsa.generate_private_key(65537, 2048)
    text = jwt.encode(
        {"sub": "1", "exp": NOW + 9}, own, "RS256", {"jwk": jwk("RS256", own), "jku": "http://evil/", "kid": "RS256"}
    )
    assert refusal(verifier, text) == "token has a wrong signature"


@pytest.mark.parametrize("extra", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": True}])
def test_extensions_of_the_header_are_refused(verifier: Verifier, extra: dict[str, Any]):
    assert refusal(verifier, forged({"alg": "HS256", **extra}, key=SECRET.encode()))


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"exp": ...}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "1900000000"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": -1}, "exp"),
        ({"sub": ...}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 129}, "sub"),
        ({"sub": "a\0b"}, "sub"),
        ({"sub": -1}, "sub"),
        ({"sub": 1.5}, "sub"),
        ({"sub": True}, "sub"),
        ({"sub": ["27"]}, "sub"),
        ({"role": "king"}, "role"),
        ({"role": ""}, "role"),
        ({"role": ["admin"]}, "role"),
        ({"nbf": NOW + 6}, "not valid yet"),
        ({"rooms": "r1"}, "rooms"),
        ({"rooms": [""]}, "rooms"),
        ({"contents": ["lesson"]}, "contents"),
        ({"contents": [":1"]}, "contents"),
        ({"contents": [{"kind": "lesson"}]}, "contents"),
        ({"contents": ["lesson:" + "x" * 129]}, "contents"),
    ],
)
def test_wrong_claims_are_refused_by_name(verifier: Verifier, claims: dict[str, Any], word: str):
    payload = {name: value for name, value in {"sub": "27", "exp": NOW + 60, **claims}.items() if value is not ...}
    assert word in refusal(verifier, forged({"alg": "HS256"}, payload, SECRET.encode()))


def test_claims_are_read_in_every_spelling(verifier: Verifier):
    claims = verifier.verify(
        token(
            sub=27,
            name=" Ayesha\0 ",
            rooms=["r", 7],
            contents=["lesson:1:2", {"kind": "lesson", "id": 15}],
            nbf=NOW + 4,
        ),
        NOW,
    )
    assert claims == Claims(
        "27",
        "learner",
        int(NOW + 60) * 1000,
        "Ayesha",
        frozenset({"r", "7"}),
        frozenset({("lesson", "1:2"), ("lesson", "15")}),
    )
    assert verifier.verify(token(sub="x" * 128, name="n" * 999, rooms=[]), NOW).rooms == frozenset()


def test_expiry_is_to_the_millisecond_also_for_a_token_known_before(verifier: Verifier):
    text = token(exp=NOW + 1.5)
    assert opens(verifier, text, NOW + 1.499)
    assert opens(verifier, text, NOW + 1.499)
    assert refusal(verifier, text, NOW + 1.5) == "token has expired"
    assert refusal(verifier, text, NOW + 99) == "token has expired"


def test_issuer_and_audience_are_demanded_where_configured():
    verifier = Verifier(SECRET, issuer="school", audience="rollcall")
    assert opens(verifier, token(iss="school", aud="rollcall"), NOW)
    assert opens(verifier, token(iss="school", aud=["x", "rollcall"]), NOW)
    for wrong in ({}, {"iss": "school"}, {"aud": "rollcall"}, {"iss": "other", "aud": "rollcall"}):
        assert "another" in refusal(verifier, token(**wrong))
    assert "another audience" in refusal(verifier, token(iss="school", aud=["x"]))


def test_the_memory_of_verified_tokens_is_bounded_and_forgets_the_least_used():
    verifier = Verifier(SECRET, cache_size=10)
    texts = [token(sub=str(number)) for number in range(25)]
    for text in texts:
        verifier.verify(texts[0], NOW)
        verifier.verify(text, NOW)
        assert verifier.cached <= 10
    for text in texts:
        assert verifier.verify(text, NOW).user_id == str(texts.index(text))
    for _ in range(50):
        refusal(verifier, token(key="x" * 40))
    assert verifier.cached == 10


def test_what_was_verified_is_remembered_by_the_whole_token(verifier: Verifier):
    text = token()
    verifier.verify(text, NOW)
    for end in ("A", ".", " ", "\ud800"):
        assert refusal(verifier, text + end)


@given(st.one_of(st.text(max_size=200), st.text("ey.J-_A0=", max_size=60), st.just("a" * 20_000)))
@settings(max_examples=300)
def test_garbage_is_refused_and_nothing_else_happens(text: str):
    refusal(Verifier(SECRET), text)


@given(st.binary(max_size=80), st.binary(max_size=80))
@settings(max_examples=300)
def test_garbage_that_is_signed_is_refused_too(header: bytes, payload: bytes):
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), b".".join(parts), hashlib.sha256)).rstrip(b"=")
    refusal(Verifier(SECRET), b".".join([*parts, signature]).decode())
    signed = jwt.PyJWS().encode(payload, SECRET.encode(), "HS256")
    refusal(Verifier(SECRET), signed)


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b'{"sub":' * 2000, b'{"sub":"27","exp":9e999}', b'{"sub":"\\ud800","exp":1}']
)
def test_payloads_made_to_hurt_are_refused(payload: bytes):
    refusal(Verifier(SECRET), jwt.PyJWS().encode(payload, SECRET.encode(), "HS256"))


def test_what_is_signed_here_is_verified_here():
    text = sign(
        SECRET,
        user_id="ক",
        role="admin",
        now_s=NOW,
        ttl_s=90,
        name="n",
        rooms=["r"],
        contents=[("k", "a:b")],
        issuer="i",
        audience="a",
    )
    assert Verifier(SECRET, issuer="i", audience="a").verify(text, NOW) == Claims(
        "ক", "admin", int(NOW + 90) * 1000, "n", frozenset({"r"}), frozenset({("k", "a:b")})
    )


def test_no_token_is_signed_that_no_verifier_takes():
    for wrong in ({"user_id": ""}, {"user_id": "x" * 129}, {"role": "king"}, {"contents": [("", "1")]}):
        with pytest.raises(ValueError, match=r"sub|role|contents"):
            sign(SECRET, **{"user_id": "1", "now_s": NOW, "ttl_s": 1, **wrong})  # type: ignore[arg-type]


def test_a_changed_file_of_keys_is_read_again_and_what_old_keys_signed_is_forgotten(keys: Path, verifier: Verifier):
    old, new_key = token("ES256", kid="ES256"), ec.generate_private_key(ec.SECP256R1())
    assert opens(verifier, old, NOW)
    keys.write_bytes(document(jwk("ES256", new_key, kid="new")))
    assert opens(verifier, token("ES256", new_key, kid="new", exp=NOW + 90), NOW + 1)
    assert refusal(verifier, old, NOW + 1) == "token is signed by an unknown key"


def test_a_broken_file_takes_no_keys_away(keys: Path, verifier: Verifier):
    assert opens(verifier, token("RS256"), NOW)
    for number, broken in enumerate((b"", b"{", b'{"keys":[]}', b"x" * (DOCUMENT_BYTES_MAX + 1)), start=1):
        keys.write_bytes(broken)
        assert opens(verifier, token("RS256", sub=str(number)), NOW + 2 * number)
    keys.unlink()
    assert opens(verifier, token("RS256", sub="last"), NOW + 20)


def test_a_file_that_is_wrong_from_the_start_is_named(tmp_path: Path):
    with pytest.raises(KeySourceError, match=r"jwks\.json"):
        FileKeys(tmp_path / "jwks.json")
    (tmp_path / "jwks.json").write_bytes(document({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}))
    with pytest.raises(KeySourceError, match="no usable public key"):
        FileKeys(tmp_path / "jwks.json")


def test_keys_that_are_weak_or_meant_for_other_things_are_passed_over():
    good = jwk("ES256")
    others = [
        jwk("RS256", rsa.generate_private_key(65537, 1024)),
        jwk("ES256", ec.generate_private_key(ec.SECP384R1())),
        jwk("EdDSA", ed448.Ed448PrivateKey.generate()),
        jwk("RS256", use="enc"),
        jwk("RS256", alg="RS512"),
        jwk("RS256", kid=7),
        jwk("ES256", x="AAAA"),
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {},
    ]
    assert [key.kid for key in parse(document(*others, good), "here").keys] == ["ES256"]


def test_a_private_key_that_was_published_serves_as_its_public_half():
    private = {**json.loads(ECAlgorithm.to_jwk(EC_KEY)), "kid": "oops"}
    assert isinstance(parse(document(private), "here").keys[0].public, ec.EllipticCurvePublicKey)


class Issuer:
    """An issuer's key server, and how often it was asked."""

    def __init__(self) -> None:
        self.document = ALL_KEYS
        self.asked = 0
        self.answer: Callable[[], Awaitable[web.StreamResponse]] | None = None

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.answer() if self.answer else web.Response(body=self.document)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def url(issuer: Issuer):
    app = web.Application()
    app.router.add_get("/jwks", issuer.handle)
    async with TestServer(app) as server:
        yield str(server.make_url("/jwks"))


async def test_keys_of_a_url_are_fetched_when_first_needed(issuer: Issuer, url: str):
    verifier = Verifier(None, UrlKeys(url))
    assert issuer.asked == 0
    assert (await verifier.authenticate(token("RS256"), NOW)).user_id == "27"
    assert (await verifier.authenticate(token("EdDSA"), NOW)).user_id == "27"
    assert issuer.asked == 1
    await verifier.aclose()


async def test_a_rotated_key_is_fetched_by_its_unknown_id(issuer: Issuer, url: str):
    verifier = Verifier(None, UrlKeys(url))
    old, new_key = token("RS256", kid="RS256"), rsa.generate_private_key(65537, 2048)
    await verifier.authenticate(old, NOW)
    issuer.document = document(jwk("RS256", new_key, kid="2"))
    new = token("RS256", new_key, kid="2", exp=NOW + 90)
    assert (await verifier.authenticate(new, NOW + 10)).user_id == "27"
    with pytest.raises(UnknownKeyError):
        await verifier.authenticate(old, NOW + 11)


async def test_made_up_key_ids_do_not_become_requests(issuer: Issuer, url: str):
    verifier = Verifier(None, UrlKeys(url))
    await verifier.refresh(NOW)
    for number in range(50):
        with pytest.raises(UnknownKeyError):
            await verifier.authenticate(token("RS256", kid=f"made-up-{number}"), NOW + 9)
    assert issuer.asked == 1


async def test_many_who_wait_share_one_fetch_also_when_the_first_goes_away(issuer: Issuer, url: str):
    arrived, released = asyncio.Event(), asyncio.Event()

    async def slow() -> web.StreamResponse:
        arrived.set()
        await released.wait()
        return web.Response(body=ALL_KEYS)

    issuer.answer = slow
    verifier = Verifier(None, UrlKeys(url))
    waiting = [asyncio.create_task(verifier.authenticate(token("RS256", sub=str(n)), NOW)) for n in range(20)]
    await arrived.wait()
    waiting[0].cancel()
    released.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [claims.user_id for claims in answers[1:] if isinstance(claims, Claims)] == [str(n) for n in range(1, 20)]
    assert issuer.asked == 1


async def test_a_key_server_in_trouble_takes_no_keys_away_and_holds_nobody_up_for_long(issuer: Issuer, url: str):
    verifier = Verifier(None, UrlKeys(url, timeout_s=0.2))
    await verifier.refresh(NOW)

    async def error() -> web.StreamResponse:
        return web.Response(status=500, body=document(jwk("ES256", kid="wrong")))

    async def moved() -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": url})

    async def huge() -> web.StreamResponse:
        return web.Response(body=b" " * (DOCUMENT_BYTES_MAX * 4))

    async def garbage() -> web.StreamResponse:
        return web.Response(body=b"<html>")

    async def silent() -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    for number, answer in enumerate((error, moved, huge, garbage, silent), start=1):
        issuer.answer = answer
        with pytest.raises(UnknownKeyError):
            await verifier.authenticate(token("RS256", kid="x"), NOW + 20 * number)
        assert issuer.asked == number + 1
        assert opens(verifier, token("RS256", exp=NOW + 999, sub=str(number)), NOW + 20 * number)
    await verifier.aclose()


async def test_old_keys_are_renewed_in_the_background_while_tokens_go_on(issuer: Issuer, url: str):
    source = UrlKeys(url, max_age_s=600)
    verifier = Verifier(None, source)
    await verifier.refresh(NOW)
    issuer.document = document(jwk("ES256"))
    assert opens(verifier, token("RS256", exp=NOW + 999), NOW + 600)  # starts the fetch, does not wait
    await source.refresh(NOW + 600)  # waits for the fetch under way
    assert issuer.asked == 2
    with pytest.raises(UnknownKeyError):
        verifier.verify(token("RS256", exp=NOW + 999), NOW + 601)


async def test_the_same_keys_again_leave_the_memory_of_tokens_alone(issuer: Issuer, url: str):
    verifier = Verifier(None, UrlKeys(url))
    await verifier.authenticate(token("RS256"), NOW)
    await verifier.refresh(NOW + 30)
    verifier.verify(token("ES256"), NOW + 30)
    assert (issuer.asked, verifier.cached) == (2, 2)


def test_settings_decide_which_keys_are_taken(tmp_path: Path, keys: Path):
    dev = Verifier.from_settings(config.load({"ROLLCALL_DEV": "1", "ROLLCALL_DATA_DIR": str(tmp_path)}, {}))
    assert opens(dev, token(key=read_or_create(tmp_path)), NOW)
    both = Verifier.from_settings(config.load({"ROLLCALL_JWT_SECRET": SECRET, "ROLLCALL_JWKS_FILE": str(keys)}, {}))
    assert opens(both, token(), NOW)
    assert opens(both, token("RS256"), NOW)
    assert refusal(both, token(key=read_or_create(tmp_path)))


def test_a_document_of_one_key_too_many_is_refused():
    keys = [jwk("ES256", kid=str(number)) for number in range(KEYS_MAX + 1)]

    parse(document(*keys[:KEYS_MAX]), "here")
    with pytest.raises(KeySourceError, match="over 32 keys"):
        parse(document(*keys), "here")
