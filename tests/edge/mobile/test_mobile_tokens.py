"""Ids and tokens of app sessions, sampling, and samples out of payloads: without a server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors.machines.track import ENDED, PAUSED, PLAYING, SEEKING
from server import config
from server.mobile import samples
from server.mobile.ids import EPOCH_MS, PER_MS, SessionIds, unrecorded
from server.mobile.routes import SECRET_FILE, secret_of
from server.mobile.sampling import recorded
from server.mobile.token import BadToken, Token, Tokens, base36, base58
from storage.mobile import Target

NOW = 1_764_000_000_000
HASH = bytes(range(16))
ROOM = Target(room="r")


# -- ids --------------------------------------------------------------------------------------------------------------


async def test_an_id_is_the_time_the_shard_and_a_number():
    ids = SessionIds(lambda: NOW, shard=5)
    assert [await ids.take() for _ in range(3)] == [(NOW - EPOCH_MS) << 24 | 5 << 8 | seq for seq in range(3)]


async def test_the_257th_id_of_a_millisecond_waits_for_the_next():
    now = NOW
    ids = SessionIds(lambda: now, shard=0)
    found = [await ids.take() for _ in range(PER_MS)]
    waiting = asyncio.create_task(ids.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    now += 1
    assert await waiting == (now - EPOCH_MS) << 24
    assert len(set(found)) == PER_MS


async def test_an_id_says_that_its_session_must_not_be_recorded():
    ids = SessionIds(lambda: NOW)
    assert unrecorded(await ids.take(recorded=False))
    assert not any([unrecorded(await ids.take()) for _ in range(20)])


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_is_made_as_the_contract_says():
    token = Token(4115214518746303232, -13, NOW)
    said = f"{base36(4115214518746303232)}.-d.{base36(NOW)}"
    signature = base58(hmac.new(b"secret", said.encode(), hashlib.sha256).digest())
    assert Tokens(b"secret").write(token) == f"{said}.{signature}"


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (-36, "-10"), (NOW, "miqezpc0")])
def test_base36(number: int, text: str):
    assert int(base36(number), 36) == number
    assert base36(number) == text or number == NOW


@pytest.mark.parametrize(
    ("data", "text"), [(b"", ""), (b"\0\0", "11"), (b"\0a", "12g"), (b"Hello World!", "2NEpo7TZRRrLZSi2U")]
)
def test_base58(data: bytes, text: str):
    assert base58(data) == text


numbers = st.integers(-(2**63), 2**63 - 1)


@given(numbers, numbers, numbers)
def test_what_was_written_is_read(session_id: int, delay: int, expires_at: int):
    token = Token(session_id, delay, expires_at)
    assert Tokens(b"secret").read(Tokens(b"secret").write(token)) == token


@given(
    st.one_of(st.text(max_size=80), st.from_regex(r"[0-9a-z]{1,9}\.[0-9a-z]{1,9}\.[0-9a-z]{1,9}\.[1-9A-Za-z]{1,44}"))
)
def test_what_was_not_signed_here_is_no_token(text: str):
    with pytest.raises(BadToken):
        Tokens(b"secret").read(text)


@pytest.mark.parametrize("said", ["", "1", "1.2", "1.2.3.4", "1.2.!", "1.2.", f"1.2.{base36(2**63)}"])
def test_what_was_signed_and_is_no_token_is_refused_too(said: str):
    tokens = Tokens(b"secret")
    signature = base58(hmac.new(b"secret", said.encode(), hashlib.sha256).digest())
    with pytest.raises(BadToken):
        tokens.read(f"{said}.{signature}")


def settings(tmp_path: Path, **given: str) -> config.Settings:
    return config.load({"ROLLCALL_DATA_DIR": str(tmp_path)} | given, {})


def test_without_a_secret_one_is_made_of_the_learners_or_kept_in_a_file(tmp_path: Path):
    learners = "a secret that signs the tokens of learners"
    made = secret_of(settings(tmp_path, ROLLCALL_JWT_SECRET=learners))
    assert made not in (learners.encode(), secret_of(settings(tmp_path, ROLLCALL_JWT_SECRET=learners * 2)))
    assert not (tmp_path / SECRET_FILE).exists()
    kept = secret_of(settings(tmp_path))
    assert (tmp_path / SECRET_FILE).exists()
    assert secret_of(settings(tmp_path)) == kept


# -- sampling ---------------------------------------------------------------------------------------------------------


def test_the_sample_is_as_large_as_it_should_be_and_another_in_each_project():
    people = [str(number) for number in range(2000)]
    for share in (0.0, 0.1, 0.5, 1.0):
        found = sum(recorded("app", who, share) for who in people) / len(people)
        assert abs(found - share) < 0.04
    assert [recorded("app", who, 0.5) for who in people] != [recorded("other", who, 0.5) for who in people]


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_holds_the_smaller_one(project: str, who: str, one: float, other: float):
    small, large = sorted((one, other))
    assert recorded(project, who, large) or not recorded(project, who, small)


# -- samples ----------------------------------------------------------------------------------------------------------


def made(name: str, default: Target = ROOM, **payload: Any) -> tuple[Target, list[tuple[int, int]]]:
    target, found = samples.read(name, json.dumps(payload), NOW, HASH, default, 0)
    return target, [(one.position, one.state) for one in found]


def test_a_payload_says_what_it_belongs_to_or_its_session_did():
    content = {"kind": "video", "id": 7}
    assert made("heartbeat", position=1)[0] == ROOM
    assert made("heartbeat", position=1, room=15)[0] == Target(room="15")
    assert made("heartbeat", position=1, content=content)[0] == Target(content=("video", "7"))
    for refused in (
        lambda: made("heartbeat", Target(), position=1),
        lambda: made("heartbeat", content=content, room="r"),
    ):
        with pytest.raises(samples.NoSample):
            refused()


@pytest.mark.parametrize(
    ("name", "state"), [("heartbeat", PLAYING), ("video_play", PLAYING), ("video_pause", PAUSED), ("video_end", ENDED)]
)
def test_names_are_states(name: str, state: int):
    assert made(name, position=1.2345) == (ROOM, [(1235, state)])
    assert made(name, position=1, state="buffering")[1] != [(1000, state)]


def test_a_seek_is_two_samples():
    assert made(samples.SEEK, ROOM, **{"from": 1, "to": 2}) == (ROOM, [(1000, SEEKING), (2000, SEEKING)])
    assert made(samples.SEEK, ROOM, **{"from": 1, "position": 2, "state": "playing"})[1][1] == (2000, PLAYING)
    for wrong in ({"from": 1}, {"to": 1}, {"position": 1}):
        with pytest.raises(samples.NoSample):
            made(samples.SEEK, ROOM, **wrong)


@given(st.integers(NOW, NOW + 10**9), st.integers(NOW, NOW + 10**9), st.binary(min_size=16, max_size=16))
def test_numbers_rise_with_time_and_fit_into_json(one: int, other: int, digest: bytes):
    first, second = samples.number(one, 5, digest), samples.number(other, 0, digest)
    assert (first < second) == (one < other)
    assert max(first, second) < 2**53
