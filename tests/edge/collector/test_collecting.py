"""`POST /analytics/track/...`: what is taken in, and every refusal as its sender reads it."""

import asyncio
import gzip
from typing import Any

import msgspec
import pytest

from server.http.collector import door
from storage.keys import WriteKey, digest_of
from tests.edge.http.conftest import Answer, Maker, World

SECRET = "rk_a-key-of-these-tests"
ORIGIN = "https://shop.example"
VIEW: dict[str, Any] = {"app": "shop", "contentId": "p-1", "contentType": "post"}
LIKE: dict[str, Any] = {"userId": 15, "metricType": "like", "targetId": "p-1", "targetType": "content"}
TRACK = "/analytics/track"
PATHS = ["view", "engagement", "batch"]
BODIES: dict[str, dict[str, Any]] = {
    "view": VIEW,
    "engagement": LIKE,
    "batch": {"events": [VIEW | {"type": "view"}, LIKE | {"type": "engagement"}]},
}


async def make_key(world: World, secret: str = SECRET, **changes: Any) -> None:
    fields: dict[str, Any] = {"rights": ["collect"], "created_at": 0, "expires_at": None, "revoked_at": None}
    key = WriteKey(name=secret, digest=digest_of(secret), sample_rate=1.0, **(fields | changes))
    await world.write_keys.create(key)
    if key.revoked_at is not None:
        await world.write_keys.revoke(key.name, key.revoked_at)


async def track(world: World, path: str, body: Any = None, key: str | None = SECRET, **how: Any) -> Answer:
    headers = how.pop("headers", {}) | ({} if key is None else {"X-Write-Key": key})
    return await world.call("POST", f"{TRACK}/{path}", body, headers=headers, **how)


def events(world: World) -> list[dict[str, Any]]:
    return world.memory.collected.events


@pytest.mark.parametrize("path", PATHS)
async def test_what_comes_with_a_key_is_kept_and_answered_with_202(world, path):
    await make_key(world)
    answer = await track(world, path, BODIES[path])

    assert answer.status == 202
    assert answer.json == ({"accepted": 2, "duplicates": 0, "rejected": []} if path == "batch" else {"accepted": 1})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"]
    assert len(events(world)) == (2 if path == "batch" else 1)
    assert {event["n"] for event in events(world)} == {1}


async def test_a_known_id_is_a_duplicate_at_every_door(world):
    await make_key(world)
    await track(world, "view", VIEW | {"eventId": "e1"})

    assert (await track(world, "view", VIEW | {"eventId": "e1"})).json == {"accepted": 0, "duplicate": True}
    assert (await track(world, "engagement", LIKE | {"eventId": "e1"})).json == {"accepted": 0, "duplicate": True}
    batch = {"events": [VIEW | {"type": "view", "eventId": "e1"}, VIEW | {"type": "view", "eventId": "e2"}]}
    assert (await track(world, "batch", batch)).json == {"accepted": 1, "duplicates": 1, "rejected": []}


async def test_sixteen_resends_at_once_are_one_event(world):
    await make_key(world)
    answers = await asyncio.gather(*(track(world, "view", VIEW | {"eventId": "e1"}) for _ in range(16)))

    assert sorted(answer.json["accepted"] for answer in answers) == [0] * 15 + [1]
    assert len(events(world)) == 1


# -- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_may_stand_in_the_body_and_is_not_kept(world, path):
    await make_key(world)
    body = BODIES[path] | {"writeKey": SECRET}
    answer = await track(world, path, body, None, headers={"Content-Type": "text/plain;charset=UTF-8"})

    assert answer.status == 202
    assert SECRET not in str(events(world))
    assert "writeKey" not in str(events(world))


@pytest.mark.parametrize("path", PATHS)
async def test_the_header_wins(world, path):
    await make_key(world)
    refused = await track(world, path, BODIES[path] | {"writeKey": SECRET}, "rk_another")
    taken = await track(world, path, BODIES[path] | {"writeKey": "rk_another"})

    refused.refusal(401, "UNAUTHENTICATED")
    assert taken.status == 202


@pytest.mark.parametrize("path", PATHS)
async def test_a_missing_and_an_unknown_key_get_one_answer(world, path):
    await make_key(world)
    wrong = [
        await track(world, path, BODIES[path], None),
        await track(world, path, BODIES[path], "rk_unknown"),
        await track(world, path, BODIES[path], ""),
        await track(world, path, BODIES[path] | {"writeKey": "rk_unknown"}, None),
        await track(world, path, BODIES[path] | {"writeKey": 5}, None),
        await track(world, path, None, None, data=b"{"),
        await track(world, path, None, None),
        await world.call("POST", f"{TRACK}/{path}", BODIES[path], writeKey=SECRET, **{"X-Write-Key": SECRET}),
    ]

    said = {answer.refusal(401, "UNAUTHENTICATED") for answer in wrong}
    assert len(said) == 1
    assert all(answer.headers["WWW-Authenticate"] for answer in wrong)
    assert events(world) == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("changes", "word"),
    [({"revoked_at": 5}, "revoked"), ({"expires_at": 5}, "expired"), ({"rights": ["catalog"]}, "right")],
)
async def test_a_key_that_may_not_is_told_so(world, path, changes, word):
    await make_key(world, **changes)

    assert word in (await track(world, path, BODIES[path])).refusal(403, "FORBIDDEN")
    assert word in (await track(world, path, BODIES[path] | {"writeKey": SECRET}, None)).refusal(403, "FORBIDDEN")
    assert events(world) == []


async def becomes(world: World, status: int, body: dict[str, Any], key: str | None) -> Answer:
    """The first answer of that status; reading 5 of the contract gives it 5 s."""
    async with asyncio.timeout(5):
        while (answer := await track(world, "view", body, key)).status != status:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.05)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("in_body", [False, True])
async def test_a_key_is_in_effect_within_seconds_of_being_made_and_of_being_revoked(world, in_body):
    body, key = (VIEW | {"writeKey": SECRET}, None) if in_body else (VIEW, SECRET)
    (await track(world, "view", body, key)).refusal(401, "UNAUTHENTICATED")
    await make_key(world)
    await becomes(world, 202, body, key)
    await world.write_keys.revoke(SECRET, 5)

    assert "revoked" in (await becomes(world, 403, body, key)).refusal(403, "FORBIDDEN")


async def test_a_key_ends_with_its_time(world):
    await make_key(world, expires_at=world.now() + 60_000)
    asked: list[tuple[str, Any, str | None]] = [(path, body, SECRET) for path, body in BODIES.items()]
    asked += [(path, body | {"writeKey": SECRET}, None) for path, body in BODIES.items()]
    assert {(await track(world, *each)).status for each in asked} == {202}
    world.skip(60)

    for each in asked:
        assert "expired" in (await track(world, *each)).refusal(403, "FORBIDDEN")


async def test_while_no_key_can_be_looked_up_all_are_asked_to_wait(world):
    await make_key(world)
    world.faults.away = True
    for key in (SECRET, "rk_unknown", None):
        refused = await track(world, "view", VIEW, key)
        refused.refusal(503, "STORAGE_UNAVAILABLE")
        assert int(refused.headers["Retry-After"]) >= 1


# -- order and size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_a_stranger_is_told_nothing_of_size_or_fields(world, path):
    await make_key(world, rights=["xapi"])

    (await track(world, path, None, "rk_unknown", data=b"x" * 2_000_000)).refusal(401, "UNAUTHENTICATED")
    (await track(world, path, None, data=b"x" * 2_000_000)).refusal(403, "FORBIDDEN")
    (await track(world, path, None, "rk_unknown", data=b"{}")).refusal(401, "UNAUTHENTICATED")


async def test_size_is_looked_at_before_fields(world):
    await make_key(world)
    for path in PATHS:
        (await track(world, path, data=b"x" * 1_100_000)).refusal(413, "TOO_LARGE")
        (await track(world, path, data=b"x" * 1_000)).refusal(400, "VALIDATION_FAILED")


@pytest.mark.parametrize(("path", "limit"), [("view", 64 * 1024), ("engagement", 64 * 1024), ("batch", 1024 * 1024)])
async def test_a_body_is_taken_up_to_its_limit(world, path, limit):
    await make_key(world)
    body = msgspec.json.encode(BODIES[path])
    full = body + b" " * (limit - len(body))

    assert (await track(world, path, data=full)).status == 202
    assert str(limit) in (await track(world, path, data=full + b" ")).refusal(413, "TOO_LARGE")
    (await track(world, path, None, None, data=full + b" ")).refusal(413, "TOO_LARGE")
    packed = gzip.compress(full + b" ")
    (await track(world, path, data=packed, headers={"Content-Encoding": "gzip"})).refusal(413, "TOO_LARGE")


async def test_a_body_without_a_length_is_bounded_all_the_same(world):
    await make_key(world)

    async def pieces() -> Any:
        for _ in range(70):
            yield b" " * 1024

    (await track(world, "view", data=pieces())).refusal(413, "TOO_LARGE")


@pytest.mark.parametrize("path", PATHS)
async def test_a_packed_body_is_unpacked(world, path):
    await make_key(world)
    packed = gzip.compress(msgspec.json.encode(BODIES[path]))

    assert (await track(world, path, data=packed, headers={"Content-Encoding": "gzip"})).status == 202
    (await track(world, path, data=b"none", headers={"Content-Encoding": "gzip"})).refusal(400, "VALIDATION_FAILED")
    wrong = await track(world, path, data=packed, headers={"Content-Encoding": "br"})
    wrong.refusal(415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("view", {"duration": 86_401}, "$.duration"),
        ("view", {"deviceType": "toaster"}, "$.deviceType"),
        ("view", {"metadata": {"a": "x" * 16_384}}, "$.metadata"),
        ("view", {"app": None}, "$.app"),
        ("view", {"timestamp": "soon"}, "$.timestamp"),
        ("view", {"type": "engagement"}, "$.type"),
        ("engagement", {"metricType": "x" * 65}, "$.metricType"),
        ("engagement", {"userId": None}, "$.userId"),
        ("batch", {"events": None}, "$.events"),
        ("batch", {"events": [VIEW] * 1_001}, "$.events"),
    ],
)
async def test_a_wrong_field_is_named(world, path, change, field):
    await make_key(world)
    message = (await track(world, path, BODIES[path] | change)).refusal(400, "VALIDATION_FAILED")

    assert message.endswith(f"at `{field}`")
    assert events(world) == []


async def test_a_batch_names_its_bad_events_in_few_words(world):
    await make_key(world)
    body = {"events": [{"type": "view", "deviceType": "x" * 30_000} | VIEW, VIEW | {"type": "view"}]}
    answer = await track(world, "batch", body)
    [rejected] = answer.json["rejected"]

    assert (answer.status, answer.json["accepted"]) == (202, 1)
    assert (rejected["index"], rejected["field"]) == (0, "deviceType")
    assert len(answer.text) < 1_000
    assert answer.json | {"rejected": []} == {"accepted": 1, "duplicates": 0, "rejected": []}


async def test_a_batch_of_bad_events_only_keeps_nothing_and_says_so(world):
    await make_key(world)
    answer = await track(world, "batch", {"events": [{}, {}]})

    assert (answer.status, answer.json["accepted"], len(answer.json["rejected"])) == (202, 0, 2)


# -- rates and storage ------------------------------------------------------------------------------------------------


async def test_more_events_than_the_rate_are_refused_each_of_a_batch_counted(make_world: Maker):
    world = await make_world(ROLLCALL_COLLECTOR_RATE="10")
    await make_key(world)
    await make_key(world, "rk_b", rights=["collect"])
    batch = {"events": [VIEW | {"type": "view"}] * 15}

    assert (await track(world, "batch", batch)).status == 202
    refused = await track(world, "batch", batch)
    refused.refusal(429, "RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(events(world)) == 15
    (await track(world, "batch", batch | {"writeKey": SECRET}, None)).refusal(429, "RATE_LIMITED")
    assert (await track(world, "batch", batch, "rk_b")).status == 202


async def test_a_batch_over_the_whole_burst_passes_where_nothing_came_before(make_world: Maker):
    world = await make_world(ROLLCALL_COLLECTOR_RATE="10")
    await make_key(world)

    assert (await track(world, "batch", {"events": [VIEW | {"type": "view"}] * 100})).status == 202
    (await track(world, "view", VIEW)).refusal(429, "RATE_LIMITED")


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_answered_before_it_is_durable(world, path):
    await make_key(world)
    await track(world, path, BODIES[path])
    world.faults.stalled = True
    waiting = asyncio.create_task(track(world, path, BODIES[path]))
    await world.until(lambda: world.faults.waiting)

    assert not waiting.done()

    world.faults.stalled = False
    assert (await waiting).status == 202


@pytest.mark.parametrize("path", PATHS)
async def test_storage_that_is_away_is_said_with_a_time_to_wait(make_world: Maker, path, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE_S", 0.0)
    world = await make_world()
    await make_key(world)
    assert (await track(world, "view", VIEW)).status == 202
    world.faults.away = True
    refused = await track(world, path, BODIES[path])

    refused.refusal(503, "STORAGE_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_short_outage_is_waited_for_and_doubles_nothing(world):
    await make_key(world)
    await track(world, "view", VIEW)
    world.faults.lose_answers = True
    calls = world.faults.calls
    waiting = asyncio.create_task(track(world, "view", VIEW))
    await world.until(lambda: world.faults.calls > calls)
    world.faults.lose_answers = False

    assert (await waiting).json == {"accepted": 1}
    assert len(events(world)) == 2


async def test_too_much_that_waits_is_refused_at_once(make_world: Maker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "PENDING_EVENTS", 3)
    world = await make_world()
    await make_key(world)
    assert (await track(world, "view", VIEW)).status == 202
    world.faults.stalled = True
    waiting = asyncio.create_task(track(world, "batch", {"events": [VIEW | {"type": "view"}] * 3}))
    await world.until(lambda: world.faults.waiting)

    (await track(world, "view", VIEW)).refusal(503, "STORAGE_UNAVAILABLE")

    world.faults.stalled = False
    assert (await waiting).json["accepted"] == 3


async def test_what_became_of_events_is_counted(world):
    await make_key(world)
    await track(world, "view", VIEW | {"eventId": "a"})
    await track(world, "view", VIEW | {"eventId": "a"})
    await track(world, "view", {})
    await track(world, "batch", {"events": [{}, VIEW | {"type": "view"}]})
    text = (await world.call("GET", "/metrics")).text.decode()

    for result, count in {"accepted": 2, "duplicates": 1, "rejected": 2, "unstored": 0}.items():
        assert f'rollcall_collector_events_total{{result="{result}"}} {count}.0' in text


# -- pages of other origins -------------------------------------------------------------------------------------------


async def test_a_page_of_an_allowed_origin_is_let_in_before_anybody_asks_for_a_key(make_world: Maker):
    world = await make_world(ROLLCALL_CORS_ORIGINS=ORIGIN)
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-write-key"}
    for path in PATHS:
        allowed = await world.call("OPTIONS", f"{TRACK}/{path}", headers=asks | {"Origin": ORIGIN})
        other = await world.call("OPTIONS", f"{TRACK}/{path}", headers=asks | {"Origin": "https://evil.example"})

        assert allowed.status == 204
        assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
        assert "x-write-key" in allowed.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in other.headers


async def test_a_beacon_of_an_allowed_origin_may_read_its_answer(make_world: Maker):
    world = await make_world(ROLLCALL_CORS_ORIGINS=ORIGIN)
    await make_key(world)
    headers = {"Origin": ORIGIN, "Content-Type": "text/plain;charset=UTF-8"}
    answer = await track(world, "view", VIEW | {"writeKey": SECRET}, None, headers=headers)

    assert answer.status == 202
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.headers["Vary"]
    refused = await track(world, "view", VIEW, None, headers=headers)
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_other_pages_and_none_are_heard_but_may_not_read_the_answer(make_world: Maker):
    world = await make_world(ROLLCALL_CORS_ORIGINS=ORIGIN)
    await make_key(world)
    for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example", None):
        headers = {"Content-Type": "text/plain"} | ({} if origin is None else {"Origin": origin})
        answer = await track(world, "view", VIEW | {"writeKey": SECRET}, None, headers=headers)

        assert answer.status == 202
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


async def test_every_refusal_can_be_read_by_an_allowed_page(make_world: Maker):
    world = await make_world(ROLLCALL_CORS_ORIGINS=ORIGIN, ROLLCALL_COLLECTOR_RATE="1")
    await make_key(world)
    await make_key(world, "rk_other", rights=["xapi"])
    asked = [(VIEW, None), (VIEW, "rk_other"), ({}, SECRET), ({"a": "x" * 70_000}, SECRET), (VIEW, SECRET)]
    answers = [await track(world, "view", body, key, headers={"Origin": ORIGIN}) for body, key in asked]

    assert [answer.status for answer in answers] == [401, 403, 400, 413, 429]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_without_a_list_no_page_is_let_in(world):
    await make_key(world)
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for answer in (
        await world.call("OPTIONS", f"{TRACK}/view", headers=asks),
        await track(world, "view", VIEW, headers={"Origin": ORIGIN}),
    ):
        assert answer.status in (202, 204)
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_whatever_a_body_is_called_it_is_read_as_json(world):
    await make_key(world)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "x"):
        assert (await track(world, "view", VIEW, headers={"Content-Type": kind})).status == 202


@pytest.mark.parametrize("head", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
async def test_a_connection_that_ends_with_its_answer_gets_all_of_it(world, head):
    await make_key(world)
    host, port = world.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = msgspec.json.encode(VIEW)
    writer.write(
        f"POST {TRACK}/view {head}\r\nHost: x\r\nX-Write-Key: {SECRET}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert b" 202 Accepted\r\n" in answer
    assert b"X-Content-Type-Options: nosniff\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"accepted":1}')


async def test_requests_behind_each_other_on_one_connection_are_all_answered(world):
    await make_key(world)
    host, port = world.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = msgspec.json.encode(VIEW)
    head = f"POST {TRACK}/view HTTP/1.1\r\nHost: x\r\nX-Write-Key: {SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head.encode() + body) * 20)
    for _ in range(20):
        answer = await asyncio.wait_for(reader.readuntil(b'{"accepted":1}'), 5)
        assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
        assert b"\r\nDate: " in answer
    writer.close()


async def test_other_methods_are_refused(world):
    for method in ("GET", "PUT", "DELETE"):
        (await world.call(method, f"{TRACK}/view")).refusal(405, "METHOD_NOT_ALLOWED")
