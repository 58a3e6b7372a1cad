"""Bodies from strangers: whatever comes, it is the sender's fault, said by field, and nothing breaks.

`HYPOTHESIS_PROFILE=thorough` looks at 20,000 of each.
"""

import gzip
import json
import os
import time
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = {"quick": 80, "usual": 250, "thorough": 20_000}
HARD = settings(
    max_examples=EXAMPLES.get(os.environ.get("HYPOTHESIS_PROFILE", "quick"), 250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

NOW = time.time_ns() // 1_000_000
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "\0", "\ud800", "x" * 200, -1, 0, 2**53, 2**63, 2**64, 1e308, 0.1, NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
IDS = st.sampled_from(["r1", "r2", 7, "7", "a/b", "x" * 128])


def field(valid: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what it should be."""
    return st.one_of(valid, valid, valid, valid, JUNK)


def objects(fields: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]):
    return st.fixed_dictionaries(
        {name: field(valid) for name, valid in fields.items()},
        optional={name: field(valid) for name, valid in optional.items()} | {"unknown": JUNK},
    )


SECONDS = st.floats(min_value=0, max_value=1e9) | st.integers(min_value=0, max_value=100)
MOMENTS = st.integers(min_value=NOW - 90_000_000, max_value=NOW + 90_000_000) | st.sampled_from([0, 1, 2**53 - 1])
SAMPLES = objects(
    {
        "seq": st.integers(min_value=1, max_value=5),
        "at": MOMENTS,
        "position": SECONDS,
        "state": st.sampled_from(["playing", "paused", "buffering", "seeking", "ended"]),
    },
    {
        "rate": st.floats(min_value=0.01, max_value=16) | st.none(),
        "duration": SECONDS | st.none(),
        "visible": st.booleans() | st.none(),
    },
)
RISING = st.lists(SAMPLES, max_size=4).map(lambda batch: sorted(batch, key=lambda one: str(one.get("seq"))))
BODIES = objects(
    {"sent_at": MOMENTS, "samples": RISING},
    {
        "room": IDS | st.none(),
        "content": objects({"kind": st.just("lesson"), "id": IDS}, {}) | st.none(),
        "session_id": st.text(max_size=40) | st.none() | st.uuids().map(str),
        "device_id": st.sampled_from(["a", "b"]) | st.none(),
        "leave": st.booleans() | st.none(),
    },
)


def wire(value: Any) -> bytes:
    """As a careless client writes it: NaN, lone surrogates and all."""
    return json.dumps(value).encode()


def post(standing, data: bytes, method: str = "POST", path: str = "/api/v1/heartbeats", **more: Any):
    """Send it; whatever the answer, it is neither our fault nor unclear whose."""
    runner, world = standing
    answer = runner.run(world.call(method, path, data=data, **more))
    assert answer.status < 500, (answer.status, answer.text, data[:500])
    if answer.status >= 400:
        message = answer.refusal(answer.status, answer.json["error"])
        if answer.status == 400:
            assert "`$" in message or message.startswith("too_old: samples["), (message, data[:500])
    return answer


def unharmed(standing) -> None:
    runner, world = standing
    runner.run(world.settled())
    assert world.system.failed is None
    assert world.system.counters.crashes == 0
    assert world.system.counters.released_with_error == 0
    assert world.system.committer.away_since is None
    assert all(not actor.pending for actor in world.system.directory)
    body = {"room": "unharmed", "samples": [{"seq": 1, "at": world.now(), "position": 0, "state": "playing"}]}
    assert runner.run(world.beat("honest", body)).status == 200


def test_heartbeats_that_are_nearly_right(standing):
    @HARD
    @given(BODIES, st.sampled_from(["u1", "u2"]))
    def one(body: dict[str, Any], user: str) -> None:
        post(standing, wire(body), user=user)

    one()
    unharmed(standing)
    runner, world = standing
    runner.run(world.checkpoint())


def test_heartbeats_with_bytes_out_of_place(standing):
    valid = wire({"room": "r1", "sent_at": NOW, "samples": [{"seq": 1, "at": NOW, "position": 0, "state": "playing"}]})

    @HARD
    @given(st.data())
    def one(data: st.DataObject) -> None:
        body = bytearray(valid)
        for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
            place = data.draw(st.integers(min_value=0, max_value=len(body)))
            body[place : place + data.draw(st.integers(min_value=0, max_value=3))] = data.draw(st.binary(max_size=3))
        post(standing, bytes(body), user="u1")

    one()
    unharmed(standing)


def test_packed_heartbeats_with_bytes_out_of_place(standing):
    valid = gzip.compress(
        wire({"room": "r1", "sent_at": NOW, "samples": [{"seq": 1, "at": NOW, "position": 0, "state": "playing"}]})
    )

    @HARD
    @given(st.data())
    def one(data: st.DataObject) -> None:
        body = bytearray(valid)
        for _ in range(data.draw(st.integers(min_value=0, max_value=3))):
            place = data.draw(st.integers(min_value=0, max_value=len(body)))
            body[place : place + data.draw(st.integers(min_value=0, max_value=3))] = data.draw(st.binary(max_size=3))
        post(standing, bytes(body), user="u1", headers={"Content-Encoding": "gzip"})

    one()
    unharmed(standing)


def test_time_tables_that_are_nearly_right(standing):
    moments = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.datetimes().map(
        lambda one: one.isoformat()
    )
    tables = objects(
        {},
        {
            "name": st.text(max_size=300),
            "scheduled_start": moments,
            "scheduled_end": moments,
            "product_id": IDS,
        },
    )

    @HARD
    @given(tables)
    def one(body: dict[str, Any]) -> None:
        answer = post(standing, wire(body), "PUT", "/api/v1/rooms/r1", staff=True)
        if answer.status == 200:
            assert post(standing, b"", "GET", "/api/v1/rooms/r1", staff=True).json == answer.json

    one()
    unharmed(standing)


def test_queries_and_paths_that_are_nearly_right(standing):
    texts = st.text(max_size=8) | st.sampled_from(["", "\0", "x" * 129, "60", "-1", "1e3", "live", "٣"])
    paths = st.sampled_from(["/rooms", "/rooms/r1/presence", "/rooms/r1/timeline", "/sessions/x", "/rooms/r1"])
    names = st.sampled_from(["state", "cursor", "step", "user_id", "tz"])

    @HARD
    @given(paths, st.dictionaries(names, texts, max_size=3), st.sampled_from(["learner", "staff"]))
    def one(path: str, query: dict[str, str], role: str) -> None:
        post(standing, b"", "GET", f"/api/v1{path}", user="u1", staff=role == "staff", **query)

    runner, world = standing
    runner.run(world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True))
    runner.run(world.call("POST", "/api/v1/rooms/r1/start", staff=True))
    one()
    unharmed(standing)


def test_tokens_that_are_nearly_right(standing):
    _, world = standing
    valid = world.token("u1")

    @HARD
    @given(st.integers(min_value=0, max_value=len(valid)), st.text(max_size=3), JUNK)
    def one(place: int, text: str, junk: Any) -> None:
        forged = valid[:place] + text + valid[place + len(text) :]
        body = {"room": "r1", "sent_at": NOW, "samples": [], "leave": True}
        for token in (forged, junk):
            answer = post(standing, wire(body | {"token": token}))
            assert answer.status in {200, 400, 401}
            assert (answer.status == 200) == (token == valid)

    one()
    unharmed(standing)


def test_what_comes_back_is_always_readable(standing):
    @HARD
    @given(JUNK)
    def one(body: Any) -> None:
        answer = post(standing, wire(body), user="u1")
        msgspec.json.decode(answer.text)

    one()
    unharmed(standing)
