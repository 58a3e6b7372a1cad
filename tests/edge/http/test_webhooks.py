"""`POST /webhooks/plugnmeet` on a whole server: who is believed, what is answered, what is durable when it is."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from actors.machines.events import Scheduled
from actors.ports import StoreAway
from server.plugnmeet.intake import Intake
from server.plugnmeet.webhooks import AWAY_MS, PATH
from storage.memory import Memory
from tests.edge.http.conftest import Maker, World
from tests.edge.http.webhook_door import KEYS, OK, counted, nothing_changed, send, signed, taken
from tests.support.plugnmeet import KEY, SECRET, digest, hex_digest, packed, sample, samples, token


@pytest.fixture
async def hooked(make_world: Maker) -> World:
    return await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for does not come."""
    monkeypatch.setattr("server.plugnmeet.webhooks.PATIENCE_S", 0.05)


# -- who is believed ----------------------------------------------------------------------------------------------


async def test_every_sample_goes_through_with_a_signature(hooked: World):
    for path in samples():
        await taken(hooked, path.read_bytes())

    room = (await hooked.call("GET", "/api/v1/rooms/room01", staff=True)).json
    assert (room["state"], room["name"]) == ("ended", "Algebra 1")
    assert (room["started_at"], room["ended_at"]) == ("2025-10-09T09:00:29.000Z", "2025-10-09T09:55:00.000Z")
    assert {result for _, result in counted(hooked)} == {"taken", "ignored"}
    assert counted(hooked)["participant_joined", "ignored"] == 1


async def test_the_same_again_changes_nothing(hooked: World):
    for path in samples():
        await taken(hooked, path.read_bytes())
    await hooked.checkpoint()
    rows, kept = hooked.memory.rows, hooked.memory.webhooks.kept
    before = rows.presences.copy(), rows.attendances.copy(), len(kept)

    for path in reversed(samples()):
        await taken(hooked, path.read_bytes())
    await hooked.checkpoint()

    assert (rows.presences, rows.attendances, len(kept)) == before
    assert len(hooked.jobs.recordings) == len(hooked.jobs.artifacts) == 1


async def test_a_forged_webhook_is_refused_and_nothing_changed(hooked: World):
    now_s = hooked.now() / 1000
    body = samples()[0].read_bytes()
    claims = {"iss": KEY, "nbf": int(now_s), "exp": int(now_s) + 300, "sha256": digest(body)}
    good = token(body, now_s)
    forged = [
        {},
        {"Authorization": token(body, now_s, secret="another secret, as long as the real one")},
        {"Authorization": token(body, now_s, key="another key")},
        {"Authorization": jwt.encode(claims, None, algorithm="none")},  # type: ignore[arg-type]
        {"Authorization": token(body, now_s, header={"alg": "none", "typ": "JWT"})},
        {"Authorization": token(body, now_s, header={"alg": "RS256", "typ": "JWT"})},
        {"Authorization": token(body, now_s - 1000)},
        {"Authorization": token(body, now_s + 1000)},
        {"Authorization": token(body + b" ", now_s)},
        {"Authorization": good[:-1]},
        {"Authorization": good[: len(good) // 2]},
        {"Hash-Token": hex_digest(body, "another secret")},
        {"Hash-Token": hex_digest(body)[:-2]},
        {"Authorization": hex_digest(body)},
        {"Authorization": f"Bearer {hooked.token('teacher', 'staff')}"},
        {"Authorization": "Basic dXNlcjpwYXNz", "Hash-Token": ""},
    ]

    for headers in forged:
        answer = await send(hooked, body, headers or {"X-Nothing": "1"})
        answer.refusal(401, "UNAUTHENTICATED")
        assert SECRET.encode() not in answer.text

    assert nothing_changed(hooked)
    assert counted(hooked) == {("", "refused_signature"): len(forged)}


async def test_a_body_that_was_cut_or_changed_is_refused(hooked: World):
    body = samples()[2].read_bytes()
    headers = signed(hooked, body)

    for other in (body[:-1], body[: len(body) // 2], b"", body.replace(b"1001", b"1002"), body + b"\n"):
        (await send(hooked, other, headers)).refusal(401, "UNAUTHENTICATED")

    assert nothing_changed(hooked)


async def test_a_replay_is_accepted_until_the_token_is_over_and_changes_nothing(hooked: World):
    body = packed(sample("02", created_at=str(hooked.now() // 1000)))
    headers = signed(hooked, body)
    await send(hooked, body, headers)
    version = hooked.system.directory.rooms["room01"].room.state

    hooked.skip(300 + 58)
    assert (await send(hooked, body, headers)).status == 200
    hooked.skip(4)
    before = hooked.system.counters.inputs
    (await send(hooked, body, headers)).refusal(401, "UNAUTHENTICATED")

    assert hooked.system.counters.inputs == before
    assert hooked.system.directory.rooms["room01"].room.state is version


@pytest.mark.parametrize("authorization", ["Basic dXNlcjpwYXNz", "Bearer eyJhbGciOiJub25lIn0.e30.", "Negotiate x"])
async def test_a_proxys_authorization_hides_no_good_hash_token(hooked: World, authorization: str):
    body = samples()[0].read_bytes()
    made = token(body, hooked.now() / 1000)

    for good in (made, f"Bearer {made}", hex_digest(body), hex_digest(body).upper()):
        answer = await send(hooked, body, {"Authorization": authorization, "Hash-Token": good})
        assert answer.status == 200


async def test_bearer_is_tolerated(hooked: World):
    body = samples()[0].read_bytes()

    assert (await send(hooked, body, {"Authorization": f"Bearer {token(body, hooked.now() / 1000)}"})).status == 200


async def test_several_servers_and_a_secret_that_is_being_changed(make_world: Maker):
    world = await make_world(ROLLCALL_PLUGNMEET_KEYS=f"{KEY}:the new secret,{KEY}:{SECRET},other:its secret")
    body = samples()[0].read_bytes()

    for key, secret in ((KEY, "the new secret"), (KEY, SECRET), ("other", "its secret")):
        assert (await send(world, body, key=key, secret=secret)).status == 200
    (await send(world, body, key="other", secret=SECRET)).refusal(401, "UNAUTHENTICATED")


async def test_bare_digests_can_be_turned_off(make_world: Maker):
    world = await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS, ROLLCALL_PLUGNMEET_ACCEPT_HEX="false")
    body = samples()[0].read_bytes()

    (await send(world, body, {"Hash-Token": hex_digest(body)})).refusal(401, "UNAUTHENTICATED")
    assert nothing_changed(world)
    assert (await send(world, body)).status == 200


async def test_without_a_key_the_route_is_unavailable_and_names_the_setting(make_world: Maker):
    world = await make_world()

    answer = await send(world, samples()[0].read_bytes())

    assert "ROLLCALL_PLUGNMEET_KEYS" in answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert nothing_changed(world)


# -- what is answered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_any_content_type(hooked: World, content_type: str | None):
    body = samples()[0].read_bytes()
    headers = signed(hooked, body)
    del headers["Content-Type"]
    if content_type is not None:
        headers["Content-Type"] = content_type

    assert (await send(hooked, body, headers)).status == 200


async def test_a_body_over_a_mebibyte_is_refused_whoever_sends_it(hooked: World, make_world: Maker):
    body = packed({"event": "room_created", "padding": "x" * (1 << 20)})

    async def in_pieces() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        yield body[len(body) // 2 :]

    (await send(hooked, body)).refusal(413, "TOO_LARGE")
    (await send(hooked, body, {"X-Nothing": "1"})).refusal(413, "TOO_LARGE")
    (await hooked.call("POST", PATH, data=in_pieces(), headers=signed(hooked, body))).refusal(413, "TOO_LARGE")
    (await send(await make_world(), body)).refusal(413, "TOO_LARGE")
    assert nothing_changed(hooked)


async def test_a_body_of_a_mebibyte_is_taken(hooked: World):
    body = sample("02")
    body["padding"] = "x" * ((1 << 20) - len(packed(body)) - len(',"padding":""'))

    assert len(packed(body)) == 1 << 20
    await taken(hooked, body)


async def test_a_body_in_pieces_or_packed_is_read(hooked: World):
    body = samples()[1].read_bytes()

    async def in_pieces() -> AsyncIterator[bytes]:
        yield body[:100]
        yield body[100:]

    assert (await hooked.call("POST", PATH, data=in_pieces(), headers=signed(hooked, body))).status == 200
    headers = signed(hooked, body) | {"Content-Encoding": "gzip"}
    assert (await send(hooked, gzip.compress(body), headers)).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"nothing", b"[]", b"{}", b'{"event":5}', b'{"event":null,"room":{}}', b"{" * 999]
)
async def test_what_is_no_event_is_the_senders_bug(hooked: World, body: bytes):
    message = (await send(hooked, body)).refusal(400, "VALIDATION_FAILED")

    assert " - at `$" in message
    assert nothing_changed(hooked)
    assert counted(hooked) == {("", "bad"): 1}


async def test_an_unreadable_field_is_no_reason_to_lose_the_message(hooked: World):
    body = packed(sample("03", participant__sid=None, id="i1"))

    await taken(hooked, body)
    await taken(hooked, body)

    (kept,) = hooked.memory.webhooks.kept.values()
    assert (kept.id, kept.event, kept.body) == ("i1", "participant_joined", body)
    assert "`$.participant.sid`" in kept.why
    assert counted(hooked) == {("participant_joined", "undecodable"): 2}
    assert not hooked.system.directory.rooms


async def test_an_unknown_event_is_kept_once_and_counted(hooked: World):
    for event in ("speech_to_text_usage", "something_new", "recording_transcoding_finished"):
        for _ in range(2):
            await taken(hooked, {"event": event, "room": {"room_id": "r1"}, "id": "i1"})

    assert [(row.id, row.event) for row in hooked.memory.webhooks.kept.values()] == [
        ("i1", "speech_to_text_usage"),
        ("i1", "something_new"),
        ("i1", "recording_transcoding_finished"),
    ]
    assert counted(hooked) == {
        ("speech_to_text", "stored"): 2,
        ("other", "stored"): 2,
        ("recording_transcoding_finished", "stored"): 2,
    }
    assert not hooked.system.directory.rooms


async def test_messages_without_an_id_are_told_apart_by_their_bodies(hooked: World):
    for number in (1, 2, 2):
        await taken(hooked, {"event": "something_new", "number": number})

    assert len(hooked.memory.webhooks.kept) == 2


async def test_the_sender_is_exempt_from_limits_and_nobody_else(make_world: Maker):
    world = await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS, ROLLCALL_ADDRESS_REQUESTS_PER_SECOND="1")
    body = samples()[0].read_bytes()

    for _ in range(20):
        await taken(world, body)
    forged = [(await send(world, body, {"X-Nothing": "1"})).status for _ in range(5)]
    assert forged == [401, 401, 429, 429, 429]
    await taken(world, body)


async def test_a_webhook_makes_its_room_whatever_players_may(make_world: Maker):
    world = await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS, ROLLCALL_UNKNOWN="refuse")

    await taken(world, sample("02", room__room_id="brand-new"))

    assert (await world.call("GET", "/api/v1/rooms/brand-new", staff=True)).json["state"] == "live"


async def test_a_connection_is_kept(hooked: World):
    body = samples()[0].read_bytes()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(hooked.url.rsplit(":", 1)[1]))

    for _ in range(3):
        lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in signed(hooked, body).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200")
        assert await reader.readexactly(len(OK)) == OK
    writer.close()


async def test_webhooks_are_counted_in_metrics(hooked: World):
    await taken(hooked, samples()[0].read_bytes())
    await send(hooked, b"x", {"X-Nothing": "1"})

    text = (await hooked.call("GET", "/metrics")).text.decode()
    assert 'rollcall_webhooks_total{event="room_created",result="taken"} 1.0' in text
    assert 'rollcall_webhooks_total{event="",result="refused_signature"} 1.0' in text


async def test_the_counts_of_names_are_bounded(hooked: World):
    for number in range(50):
        await taken(hooked, {"event": f"made_up_{number}"})
        await taken(hooked, {"event": f"speech_to_text_{number}"})

    assert set(counted(hooked)) == {("other", "stored"), ("speech_to_text", "stored")}


# -- what is durable ----------------------------------------------------------------------------------------------


async def test_an_answer_means_it_is_in_the_journal(hooked: World):
    hooked.faults.stalled = True
    body = packed(sample("02"))
    # The room's snapshot is asked for first; then the journal.
    sending = asyncio.create_task(send(hooked, body))
    await hooked.until(lambda: hooked.faults.waiting)

    assert not sending.done()
    assert not hooked.memory.batches
    hooked.faults.stalled = False
    assert (await sending).status == 200
    assert hooked.memory.batches


async def test_what_was_answered_outlives_the_server(make_world: Maker):
    memory = Memory()
    world = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)
    for number in ("02", "03"):
        await taken(world, sample(number))
    # The next life takes the leases: of this one nothing more is written, as if it had been killed.
    again = await make_world(memory=memory, ROLLCALL_PLUGNMEET_KEYS=KEYS)
    await taken(again, sample("14"))
    await again.checkpoint()

    (presence,) = memory.rows.presences.values()
    assert (presence.joined_at, presence.left_at) == (1_760_000_430_412, 1_760_003_600_000)


@pytest.mark.usefixtures("impatient")
async def test_storage_away_is_told_with_a_time_to_come_back(hooked: World):
    hooked.faults.away = True

    answer = await send(hooked, sample("02"))

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "2"
    assert counted(hooked) == {("room_started", "unavailable"): 1}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", ["10", "17", "18"])
async def test_a_job_that_cannot_be_kept_is_sent_again(hooked: World, number: str):
    hooked.faults.away = True
    (await send(hooked, sample(number))).refusal(503, "STORAGE_UNAVAILABLE")
    (await send(hooked, {"event": "something_new"})).refusal(503, "STORAGE_UNAVAILABLE")
    (await send(hooked, sample("03", participant__sid=None))).refusal(503, "STORAGE_UNAVAILABLE")
    assert not hooked.memory.webhooks.kept

    hooked.faults.away = False
    await taken(hooked, sample(number))
    assert len(hooked.jobs.recordings) + len(hooked.jobs.artifacts) == 1


@pytest.mark.parametrize("number", ["02", "10"])
async def test_a_short_absence_of_storage_is_waited_for(hooked: World, monkeypatch: pytest.MonkeyPatch, number: str):
    refused = 0

    async def refusing(self: Intake, *arguments: Any) -> str:
        nonlocal refused
        try:
            return await take(self, *arguments)
        except StoreAway:
            refused += 1
            raise

    take = Intake.take
    monkeypatch.setattr(Intake, "take", refusing)
    monkeypatch.setattr("server.plugnmeet.webhooks.PAUSE_S", 0.001)
    hooked.faults.away = True
    sending = asyncio.create_task(send(hooked, sample(number)))
    await hooked.until(lambda: refused > 2)
    assert not sending.done()

    hooked.faults.away = False

    assert (await sending).status == 200


async def test_while_storage_is_away_a_room_in_memory_is_told_all_the_same(hooked: World):
    await taken(hooked, sample("02"))
    hooked.faults.away = True
    await hooked.until(lambda: hooked.system.committer.backlog == 0)
    assert hooked.system.post(hooked.system.directory.rooms["room01"], Scheduled("x", None, None, None))
    await hooked.until(lambda: hooked.system.committer.away_since is not None)
    hooked.skip(AWAY_MS / 1000)

    began = time.monotonic()
    (await send(hooked, sample("03"))).refusal(503, "STORAGE_UNAVAILABLE")
    assert time.monotonic() - began < 5, "it waited for what was known not to come"

    hooked.faults.away = False
    await hooked.settled()
    await hooked.checkpoint()
    assert [row.user_id for row in hooked.memory.rows.presences.values()] == ["1001"]


async def test_what_cannot_be_kept_in_memory_is_refused(make_world: Maker):
    world = await make_world(ROLLCALL_PLUGNMEET_KEYS=KEYS, rules={"journal_pending": 1})
    await taken(world, sample("02"))
    world.faults.stalled = True
    held = [asyncio.create_task(send(world, sample("03", participant__sid=f"PA_{at}"))) for at in range(3)]
    await world.until(lambda: world.system.committer.full)

    answer = await send(world, sample("05"))

    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "2"
    world.faults.stalled = False
    await asyncio.gather(*held)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_has_not_begun_says_so(make_world: Maker):
    world = await make_world(start=False, ROLLCALL_PLUGNMEET_KEYS=KEYS)

    (await send(world, sample("02"))).refusal(503, "STORAGE_UNAVAILABLE")
