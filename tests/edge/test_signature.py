"""Who may say what happens to rooms: signatures over the raw body (plugnmeet.md, "Who sent it", vectors)."""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from server.plugnmeet.signature import LEEWAY_S, BadSignature, Signatures
from tests.support.plugnmeet import KEY, SECRET, digest, hex_digest, packed, part, token

NOW = 1_760_003_762.5
BODY = (
    b'{"event":"analytics_proceeded","room":{"sid":"7f867cd7-7956-4a17-af46-6ddd4015a497","room_id":"room01"},'
    b'"analytics":{"file_id":"a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111"},"id":"5f0c1b1e-0000-4000-8000-000000000018",'
    b'"created_at":"1760003762"}'
)
OURS = Signatures([(KEY, SECRET)], accept_hex=True)


def verifies(
    *authorizations: str,
    hash_token: Sequence[str] = (),
    body: bytes = BODY,
    now_s: float = NOW,
    by: Signatures = OURS,
) -> bool:
    try:
        by.verify(authorizations, hash_token, body, now_s)
    except BadSignature:
        return False
    return True


def refusal(*authorizations: str, **more: Any) -> str:
    with pytest.raises(BadSignature) as caught:
        OURS.verify(authorizations, more.get("hash_token", ()), more.get("body", BODY), more.get("now_s", NOW))
    assert SECRET not in str(caught.value)
    return str(caught.value)


# -- the contract's vectors ---------------------------------------------------------------------------------------


def test_the_vector_of_the_contract():
    assert len(BODY) == 237
    assert digest(BODY) == "4Fa4xzeJ0TLJBk3nnWnHhzaqgPjF26kYrqN/aK4E+wk="

    assert verifies(token(BODY, NOW, sha256="4Fa4xzeJ0TLJBk3nnWnHhzaqgPjF26kYrqN/aK4E+wk="))


def test_the_vector_of_a_bare_digest():
    body, made = b'{"room_id":"room01"}', "4b60a468df680c0739f6c7255626b31c8934efc1293b9e40667575b964bf24b5"

    assert hex_digest(body) == made
    assert verifies(hash_token=[made], body=body)


def test_a_token_of_an_ordinary_library_verifies():
    claims = {"iss": KEY, "nbf": int(NOW), "exp": int(NOW) + 300, "sha256": digest(BODY), "iat": int(NOW)}

    assert verifies(jwt.encode(claims, SECRET, algorithm="HS256"))
    assert verifies(jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "x", "typ": "JWT"}))


# -- where it stands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer ", "BEARER  "])
def test_a_token_stands_in_either_header_with_or_without_its_scheme(scheme: str):
    good = scheme + token(BODY, NOW)

    assert verifies(good)
    assert verifies(hash_token=[good])


@pytest.mark.parametrize("other", ["Basic dXNlcjpwYXNz", "", "Bearer", "Digest a.b.c", "a.b", "nothing", "é.é.é"])
def test_another_authorization_hides_no_good_hash_token(other: str):
    assert verifies(other, hash_token=[token(BODY, NOW)])
    assert verifies(other, hash_token=[hex_digest(BODY)])
    assert verifies(token(BODY, NOW), hash_token=[other])
    assert verifies(other, token(BODY, NOW))


def test_without_a_signature_nothing_is_known():
    assert "needed" in refusal()
    assert "needed" in refusal("Basic dXNlcjpwYXNz", hash_token=["x"])


# -- forged -------------------------------------------------------------------------------------------------------


def test_only_hs256_is_ever_accepted():
    claims = {"iss": KEY, "nbf": int(NOW), "exp": int(NOW) + 300, "sha256": digest(BODY)}
    unsigned = jwt.encode(claims, None, algorithm="none")  # type: ignore[arg-type]

    assert not verifies(unsigned)
    assert not verifies(unsigned + part(hmac.digest(SECRET.encode(), unsigned[:-1].encode(), "sha256")))
    for algorithm in ("none", "None", "RS256", "HS384", "HS512", "hs256", "ES256", "", None, ["HS256"], 256):
        assert not verifies(token(BODY, NOW, header={"alg": algorithm, "typ": "JWT"})), algorithm


@pytest.mark.parametrize(
    "header",
    [{"alg": "HS256", "crit": ["b64"], "b64": False}, {"alg": "HS256", "crit": None}, {"alg": "HS256", "b64": True}],
)
def test_an_extension_is_not_accepted(header: dict[str, Any]):
    assert "not accepted" in refusal(token(BODY, NOW, header=header))


@pytest.mark.parametrize("secret", ["", SECRET[:-1], SECRET + "x", SECRET.lower(), KEY])
def test_another_secret_signs_nothing(secret: str):
    assert not verifies(token(BODY, NOW, secret=secret))
    assert not verifies(hash_token=[hex_digest(BODY, secret)])


def test_another_body_is_not_signed():
    for other in (BODY + b" ", BODY[:-1], b"", BODY.replace(b"room01", b"room02")):
        assert not verifies(token(BODY, NOW), body=other)
        assert not verifies(hash_token=[hex_digest(BODY)], body=other)


def test_an_empty_body_is_signed_as_such():
    assert verifies(token(b"", NOW), body=b"")


def test_a_cut_or_padded_token_is_refused():
    good = token(BODY, NOW)

    assert [cut for cut in range(len(good)) if verifies(good[:cut])] == []
    for bad in (good + "=", good + "A", good + ".", "." + good, good.replace(".", ".=", 1), good.replace(".", ". ", 1)):
        assert not verifies(bad), bad


def test_a_signature_has_one_spelling():
    head, _, signature = token(BODY, NOW).rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    # 256 bits are 42 characters and four bits: three more endings would decode to the same.
    assert [last for last in alphabet if verifies(f"{head}.{signature[:-1]}{last}")] == [signature[-1]]


@given(place=st.integers(0, 400), letter=st.characters(codec="latin-1"))
def test_no_letter_of_a_token_can_be_changed(place: int, letter: str):
    good = token(BODY, NOW)
    place %= len(good)
    other = good[:place] + letter + good[place + 1 :]

    assert verifies(other) == (other == good)


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=3))
def test_garbage_is_refused_and_nothing_worse(authorization: str, hash_token: list[str]):
    assert not verifies(authorization, hash_token=hash_token)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b'{"iss":1}', b"[" * 4000])
def test_claims_that_are_none_are_refused(payload: bytes):
    signed = f"{part(packed({'alg': 'HS256'}))}.{part(payload)}"

    assert not verifies(f"{signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}")


# -- claims -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["iss", "nbf", "exp", "sha256"])
def test_every_claim_is_required(claim: str):
    missing: dict[str, Any] = {claim: None}

    assert claim in refusal(token(BODY, NOW, **missing))


@pytest.mark.parametrize(
    "claims", [{"exp": "4000000000"}, {"nbf": "0"}, {"exp": True}, {"iss": [KEY]}, {"sha256": 1}, {"sha256": ""}]
)
def test_a_claim_of_another_kind_is_refused(claims: dict[str, Any]):
    assert not verifies(token(BODY, NOW, **claims))


def test_the_digest_is_standard_base64():
    other = b64encode(bytes.fromhex("e056b8c7")).decode()

    for wrong in (digest(BODY).rstrip("="), digest(BODY).replace("/", "_").replace("+", "-"), other):
        assert not verifies(token(BODY, NOW, sha256=wrong))


def test_times_have_a_minute_of_leeway():
    short = token(BODY, NOW, nbf=NOW, exp=NOW + 10)

    assert verifies(short, now_s=NOW - LEEWAY_S)
    assert verifies(short, now_s=NOW + 10 + LEEWAY_S - 0.001)
    assert "not valid yet" in refusal(short, now_s=NOW - LEEWAY_S - 0.001)
    assert "expired" in refusal(short, now_s=NOW + 10 + LEEWAY_S)


def test_an_expired_token_says_nothing_to_whoever_forged_it():
    assert "signature" in refusal(token(BODY, NOW, secret="x" * 36, exp=1))


# -- keys ---------------------------------------------------------------------------------------------------------


def test_the_issuer_picks_the_secret():
    two = Signatures([(KEY, SECRET), ("other", "its secret")], accept_hex=True)

    assert verifies(token(BODY, NOW, key="other", secret="its secret"), by=two)
    assert not verifies(token(BODY, NOW, key=KEY, secret="its secret"), by=two)
    assert not verifies(token(BODY, NOW, key="nobody", secret=SECRET), by=two)


def test_a_key_may_have_two_secrets_while_it_is_changed():
    changing = Signatures([(KEY, "the new one"), (KEY, SECRET)], accept_hex=True)

    for secret in ("the new one", SECRET):
        assert verifies(token(BODY, NOW, secret=secret), by=changing)
        assert verifies(hash_token=[hex_digest(BODY, secret)], by=changing)


def test_a_bare_digest_is_of_any_secret_in_either_case():
    two = Signatures([("other", "its secret"), (KEY, SECRET)], accept_hex=True)

    assert verifies(hash_token=[hex_digest(BODY).upper()], by=two)
    assert verifies(hash_token=[hex_digest(BODY, "its secret")], by=two)


def test_a_bare_digest_stands_in_hash_token_only_and_can_be_turned_off():
    assert not verifies(hex_digest(BODY))
    assert not verifies(hash_token=[hex_digest(BODY)], by=Signatures([(KEY, SECRET)], accept_hex=False))
    assert verifies(hash_token=[token(BODY, NOW)], by=Signatures([(KEY, SECRET)], accept_hex=False))


def test_without_keys_nothing_verifies():
    none = Signatures([], accept_hex=True)

    assert not none
    assert not verifies(token(BODY, NOW), hash_token=[hex_digest(BODY, "")], by=none)


def test_a_verdict_costs_some_microseconds():
    good = token(BODY, NOW)
    began = time.perf_counter()
    for _ in range(1000):
        assert verifies(good)

    assert time.perf_counter() - began < 0.5, "half a millisecond a token would be dear"
