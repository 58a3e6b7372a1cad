"""Around all handlers: the envelope, ids, headers, other origins; health, readiness, metrics."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.counters import Histogram
from actors.machines.effects import Effect
from actors.machines.events import RoomEvent, Started
from actors.machines.room import Room
from server import theme
from server.http.throttle import Throttle, address_key
from server.metrics import CATALOGUE, SystemCollector

SCHOOL = "https://school.example"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1", "/api/v1/rooms/", "/api/v1/rooms/r1/x", "/nothing"])
async def test_no_such_path(world, path):
    (await world.call("GET", path)).refusal(404, "NOT_FOUND")


async def test_no_such_method(world):
    answer = await world.call("GET", "/api/v1/heartbeats")

    answer.refusal(405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "POST"


async def test_a_crash_tells_the_client_an_id_and_nothing_more(world, monkeypatch):
    async def crash(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(world.reading, "rooms_page", crash)
    answer = await world.call("GET", "/api/v1/rooms", staff=True)

    message = answer.refusal(500, "INTERNAL")
    assert answer.headers["X-Request-Id"] in message
    assert b"secret" not in answer.text
    assert b"Traceback" not in answer.text


async def test_a_view_that_crashes_hurts_nobody_else(world, monkeypatch):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)

    def crash(*_: object) -> None:
        raise RuntimeError("a view is wrong")

    with monkeypatch.context() as patch:
        patch.setattr("actors.machines.room.Room.row", crash)
        (await world.call("GET", "/api/v1/rooms/r1", staff=True)).refusal(500, "INTERNAL")
    assert (await world.call("GET", "/api/v1/rooms/r1", staff=True)).status == 200
    assert world.system.failed is None
    assert world.system.counters.crashes == 0


async def test_an_input_that_crashes_its_actor_is_answered(world, monkeypatch):
    await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True)
    actor = world.system.directory.rooms["r1"]

    step = Room.step

    def crash(room: Room, event: RoomEvent, now: int) -> list[Effect]:
        assert not isinstance(event, Started), "the machine is wrong"
        return step(room, event, now)

    with monkeypatch.context() as patch:
        patch.setattr(Room, "step", crash)
        answer = await world.call("POST", "/api/v1/rooms/r1/start", staff=True)
        answer.refusal(500, "INTERNAL")
    assert len(world.memory.quarantine) == 1
    assert actor.key == "r1"


async def test_every_answer_has_an_id_of_its_own_and_the_security_headers(world):
    answers = [await world.call("GET", path) for path in ("/healthz", "/metrics", "/api/v1/rooms", "/nothing")]

    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 4
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Server"] == "rollcall"


async def test_an_expectation_is_answered_or_passed_over(world):
    for expectation in ("100-continue", "a miracle"):
        answer = await world.call("PUT", "/api/v1/rooms/r1", {"name": "x"}, staff=True, headers={"Expect": expectation})
        assert answer.status == 200


async def test_a_slow_body_is_given_up(make_world, monkeypatch):
    monkeypatch.setattr("server.http.bodies.READ_S", 0.05)
    monkeypatch.setattr("server.http.app.LINGER_S", 0.05)
    world = await make_world()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    token = world.token("u1")
    head = (
        f"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
    )
    writer.write(head.encode() + b"{")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"REQUEST_TIMEOUT"' in answer


async def test_a_broken_chunked_body_is_the_clients_fault(make_world, monkeypatch):
    monkeypatch.setattr("server.http.bodies.READ_S", 0.1)
    monkeypatch.setattr("server.http.app.LINGER_S", 0.05)
    world = await make_world()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    token = world.token("u1")
    head = f"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"zzz\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))


async def test_a_client_that_goes_away_hurts_nobody(world):
    _, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    token = world.token("u1")
    head = (
        f"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
    )
    writer.write(head.encode() + b"{")
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.transport.abort()

    assert (await world.call("GET", "/healthz")).status == 200


# -- other origins ----------------------------------------------------------------------------------------------------


async def test_a_preflight_of_an_allowed_origin_is_granted(make_world):
    world = await make_world(ROLLCALL_CORS_ORIGINS=SCHOOL)
    headers = {"Origin": SCHOOL, "Access-Control-Request-Method": "POST"}
    answer = await world.call("OPTIONS", "/api/v1/heartbeats", headers=headers)

    assert (answer.status, answer.text) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SCHOOL
    assert answer.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Vary"] == "Origin"


async def test_another_origin_is_answered_without_a_grant(make_world):
    world = await make_world(ROLLCALL_CORS_ORIGINS=SCHOOL)
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        await world.call("OPTIONS", "/api/v1/heartbeats", headers=headers),
        await world.call("GET", "/api/v1/rooms", staff=True, headers=headers),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert answer.headers["Vary"] == "Origin"


async def test_an_allowed_origin_may_read_refusals_too(make_world):
    world = await make_world(ROLLCALL_CORS_ORIGINS=SCHOOL)
    answer = await world.call("GET", "/api/v1/rooms", headers={"Origin": SCHOOL})

    answer.refusal(401, "UNAUTHENTICATED")
    assert answer.headers["Access-Control-Allow-Origin"] == SCHOOL
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_without_a_list_no_origin_is_granted(world):
    answer = await world.call("OPTIONS", "/api/v1/rooms/r1", headers={"Origin": SCHOOL})

    assert answer.status == 204
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, PUT"
    assert "Access-Control-Allow-Origin" not in answer.headers
    (await world.call("OPTIONS", "/nothing")).refusal(404, "NOT_FOUND")


# -- health -----------------------------------------------------------------------------------------------------------


async def test_readiness_follows_the_life_of_the_server(make_world):
    world = await make_world(start=False)
    assert (await world.call("GET", "/healthz")).status == 200
    starting = await world.call("GET", "/readyz")
    assert (starting.status, starting.json["reasons"]) == (503, ["starting"])

    await world.system.start()
    await world.system.until_ready()
    assert (await world.call("GET", "/readyz")).json == {"status": "ready"}

    world.faults.away = True
    posting = asyncio.create_task(world.call("POST", "/api/v1/rooms/r1/start", staff=True))
    world.faults.away = False
    assert (await posting).status == 200
    world.faults.away = True
    posting = asyncio.create_task(world.call("POST", "/api/v1/rooms/r1/end", staff=True))
    await world.until(lambda: world.system.committer.away_since is not None)
    away = await world.call("GET", "/readyz")
    world.faults.away = False
    assert (await posting).status == 200
    assert away.status == 503
    assert re.fullmatch(r"storage away since \S+Z", away.json["reasons"][0])

    await world.system.drain(1)
    gone = await world.call("GET", "/readyz")
    assert (gone.status, gone.json["reasons"]) == (503, ["draining"])


async def test_lapsed_leases_and_a_full_journal_are_reasons(world):
    world.system.lapsed = True
    assert (await world.call("GET", "/readyz")).json["reasons"] == ["leases lapsed"]


async def test_a_server_with_a_part_that_ended_wants_to_be_restarted(make_world, monkeypatch):
    world = await make_world()
    monkeypatch.setattr(type(world.system), "failed", RuntimeError("ended"))

    assert (await world.call("GET", "/healthz")).status == 503
    assert (await world.call("GET", "/readyz")).json["reasons"][0].startswith("failed")


async def test_the_front_page_is_for_development(world, make_world):
    (await world.call("GET", "/")).refusal(404, "NOT_FOUND")
    dev = await make_world(ROLLCALL_DEV="1")
    page = await dev.call("GET", "/")

    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"/readyz" in page.text


# -- metrics ----------------------------------------------------------------------------------------------------------


async def test_metrics_tell_the_whole_catalogue_with_help(world):
    now = world.now()
    samples = [{"seq": 1, "at": now, "position": 0, "state": "playing"}]
    await world.beat("u1", {"room": "r1", "samples": samples})
    await world.beat("u1", {"room": "r1", "samples": []})
    answer = await world.call("GET", "/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.text.decode())}
    for entry in CATALOGUE:
        family = families[f"rollcall_{entry.name}"]
        assert (family.type, family.documentation) == (entry.kind, entry.help)
    values = {
        (one.name, *sorted(one.labels.items())): one.value for family in families.values() for one in family.samples
    }
    assert values["rollcall_samples_taken_total", ("door", "http")] == 1
    assert values["rollcall_samples_acked_total", ("door", "http")] == 1
    assert values["rollcall_rooms", ("state", "live")] == 1
    assert values["rollcall_present",] == 1
    assert values["rollcall_ready",] == 1
    assert values["rollcall_commit_seconds_bucket", ("le", "+Inf")] == values["rollcall_commit_seconds_count",] > 0
    route = ("method", "POST"), ("route", "/api/v1/heartbeats")
    assert values["rollcall_http_requests_total", *route, ("status", "200")] == 1
    assert values["rollcall_http_requests_total", *route, ("status", "400")] == 1
    assert "process_resident_memory_bytes" in families


async def test_the_catalogue_and_what_is_read_are_one(world):
    collector = SystemCollector(world.system, world.edge, lambda: 0)
    values = collector.values()

    assert values.keys() == {entry.name for entry in CATALOGUE}
    for entry in CATALOGUE:
        for labels, value in values[entry.name].items():
            assert len(labels) == len(entry.labels)
            assert isinstance(value, Histogram) == (entry.kind == "histogram")


async def test_made_up_paths_and_methods_do_not_fill_the_memory(world):
    for number, method in enumerate(["PATCH", "PROPFIND", "MKCOL", "REPORT"]):
        await world.call("GET", f"/nothing/{number}")
        (await world.call(method, "/api/v1/rooms")).refusal(405, "METHOD_NOT_ALLOWED")

    assert {key[:2] for key in world.edge.requests} == {("GET", "unmatched"), ("other", "unmatched")}


# -- parts ------------------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate():
    throttle = Throttle(10, 3)

    assert [throttle.take("a", 100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert throttle.take("b", 100.0) == 0
    assert throttle.take("a", 100.1) == 0
    assert throttle.take("a", 100.1) > 0
    assert [throttle.take("a", 200.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]


def test_the_throttle_forgets_who_was_quiet_longest():
    throttle = Throttle(1, 2, keys_max=2)
    for key in ("a", "b", "a", "c"):
        assert throttle.take(key, 100.0) == 0

    assert len(throttle) == 2
    assert throttle.take("a", 100.0) > 0
    assert [throttle.take("b", 100.0) for _ in range(2)] == [0, 0]


def test_a_household_is_one_address():
    assert address_key("192.0.2.1") == address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("2001:db8::1") == address_key("2001:db8::2") != address_key("2001:db8:0:1::1")
    assert address_key(None) == ""
    assert address_key("fe80::1%eth0") == address_key("fe80::2%eth0")
    assert address_key("not:an:address") == "not:an:address"


def test_the_theme_has_every_text_in_every_language():
    ours = theme.load()

    assert set(ours.texts) == set(theme.LANGUAGES)
    assert len({frozenset(texts) for texts in ours.texts.values()}) == 1
    assert all(text.strip() for texts in ours.texts.values() for text in texts.values())


def test_an_operators_theme_replaces_what_it_names(tmp_path: Path):
    file = tmp_path / "theme.json"
    file.write_bytes(msgspec.json.encode({"texts": {"en": {"class_details_title": "Lesson"}}}))
    theirs = theme.load(file)

    assert theirs.text("en", "class_details_title") == "Lesson"
    assert theirs.text("bn", "class_details_title") == theme.load().text("bn", "class_details_title")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"texts": {"en": {"typo": "x"}}}', '{"texts": {"fr": {"a": "x"}}}', '{"x": 1}']
)
def test_a_theme_that_cannot_be_used_is_named(tmp_path: Path, text: str):
    file = tmp_path / "theme.json"
    file.write_text(text)
    with pytest.raises(theme.ThemeError, match=r"theme\.json"):
        theme.load(file)
    with pytest.raises(theme.ThemeError, match="absent"):
        theme.load(tmp_path / "absent.json")


async def test_a_socket_asked_for_on_a_reused_connection_is_sent_to_a_new_one(world):
    answer = await world.call("GET", "/ws")

    assert answer.status == 426
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Connection"] == "close"
