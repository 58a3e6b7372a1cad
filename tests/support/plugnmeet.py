"""A plugNmeet server's hand: bodies of events, and every way to sign them, right or wrong."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from copy import deepcopy
from pathlib import Path
from typing import Any

KEY = "plugnmeet"
SECRET = "zumyyYWqv7KR2kUqvYdq4z4sXg7XTBD2ljT6"
SAMPLES = Path(__file__).parents[1] / "samples" / "plugnmeet"
SID = "7f867cd7-7956-4a17-af46-6ddd4015a497"


def samples() -> list[Path]:
    """Bodies as the sender writes them, in the order of a class."""
    found = sorted(SAMPLES.glob("*.json"))
    assert len(found) == 16
    return found


def sample(number: str, **changes: Any) -> dict[str, Any]:
    """A sample by the beginning of its file's name; `room__sid="x"` replaces, None removes."""
    (path,) = SAMPLES.glob(f"{number}_*.json")
    return changed(json.loads(path.read_bytes()), **changes)


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with fields replaced; `a__b=1` is `body["a"]["b"] = 1`, None removes."""
    made = deepcopy(body)
    for path, value in changes.items():
        *way, name = path.split("__")
        place = made
        for step in way:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    return made


def packed(body: Any) -> bytes:
    """As Go writes it: no spaces."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def part(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def digest(body: bytes) -> str:
    """The claim `sha256`."""
    return b64encode(hashlib.sha256(body).digest()).decode()


def token(
    body: bytes,
    now_s: float,
    *,
    key: str = KEY,
    secret: str = SECRET,
    ttl_s: float = 300,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A token for `body`; `header` and `claims` replace, None removes a claim."""
    content = {"iss": key, "nbf": int(now_s), "exp": int(now_s + ttl_s), "sha256": digest(body)} | claims
    head = part(packed({"alg": "HS256", "typ": "JWT"} if header is None else header))
    signed = f"{head}.{part(packed({name: value for name, value in content.items() if value is not None}))}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def hex_digest(body: bytes, secret: str = SECRET) -> str:
    """What older integrations send as `Hash-Token`."""
    return hmac.digest(secret.encode(), body, "sha256").hex()
