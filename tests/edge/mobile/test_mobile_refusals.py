"""Every refusal of the mobile door, read from its answer: `{"error": text}`."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from protocol.mobile import Click, decode_project, encode_project, read_batch, write_batch
from protocol.mobile_rest import BATCH_BYTES, START_BYTES, UNPACKED_BYTES
from server.mobile.meaning import parts_of
from server.mobile.token import LATE_MS, Token, Tokens, derived
from storage.mobile import Brought
from tests.edge.http.conftest import SECRET, Answer
from tests.edge.mobile.conftest import LESSON, PHONE, Maker, Mobile, Phone, beat, error, said

PATHS = [f"{prefix}/v1/{name}" for prefix in ("", "/ingest") for name in ("ios", "mobile")]
LIFE_MS = 7_200_000


async def post(mobile: Mobile, phone: Phone, data: bytes, path: str = "/v1/ios/i", **headers: str) -> Answer:
    fields = {"Authorization": f"Bearer {phone.token}"} | {
        name.replace("_", "-"): each for name, each in headers.items()
    }
    return await mobile.world.call("POST", path, data=data, headers=fields)


# -- start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_a_start_is_answered_under_every_name(mobile: Mobile, path: str):
    answer = await mobile.ask(f"{path}/start", projectKey="app", userUUID=PHONE.upper())
    assert answer.status == 200
    assert set(answer.json) == {
        "token",
        "userUUID",
        "sessionID",
        "projectID",
        "beaconSizeLimit",
        "imagesHashList",
        "quality",
        "fps",
        "framesSupport",
    }
    assert (answer.json["userUUID"], answer.json["projectID"]) == (PHONE, "1")
    assert (answer.json["beaconSizeLimit"], answer.json["imagesHashList"]) == (1_000_000, [])
    phone = Phone(mobile.world, answer.json)
    for end in ("append", "i", "late"):
        await phone.sent([said(phone.now(), Click("Go", 1, 2))], path=f"{path}/{end}")


@pytest.mark.parametrize(
    "made", [encode_project, lambda number: str(encode_project(number)), lambda n: float(encode_project(n))]
)
async def test_a_project_is_known_by_its_encoded_number(mobile: Mobile, made: Any):
    assert (await mobile.ask(projectID=made(1), projectKey=None)).json["projectID"] == "1"


def test_the_encoded_number_is_the_contracts():
    assert decode_project(7286977268806823) == 1


@pytest.mark.parametrize("given", [1, "1", 2**53, encode_project(99), str(encode_project(2)), 0.5, -1, 1e300])
async def test_a_number_of_no_project_is_404(mobile: Mobile, given: Any):
    assert error(await mobile.ask(projectID=given), 404) == "there is no such project, or it is not active"


async def test_no_project_is_403(mobile: Mobile):
    for data in (b"{}", b'{"projectKey": null, "projectID": null}'):
        assert error(await mobile.ask(data=data), 403).startswith("no project")


async def test_an_unknown_project_and_one_of_another_right_are_404(mobile: Mobile):
    await mobile.project("shop", rights=("collect",))
    for name in ("nobody", "shop", "", "\0"):
        assert error(await mobile.ask(projectKey=name), 404)


async def test_a_project_that_is_not_active_any_more_starts_and_appends_no_more(mobile: Mobile):
    await mobile.project("brief", expires_at=mobile.world.now() + 10_000)
    phone = await mobile.start(projectKey="brief")
    mobile.world.skip(11)
    assert error(await mobile.ask(projectKey="brief"), 404)
    assert error(await phone.send([]), 401) == "the session's project is not active any more"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b"[]", "Expected `object`"),
        (b'{"projectKey": 7}', "`$.projectKey`"),
        (b'{"projectID": "seven"}', "`$.projectID`"),
        (b'{"projectKey": "app", "timestamp": "now"}', "`$.timestamp`"),
        (b'{"projectKey": "app", "timestamp": -1}', "`$.timestamp`"),
        (b'{"projectKey": "app", "width": "x"}', "`$.width`"),
        (b'{"projectKey": "app", "content": {"kind": "video"}}', "`$.content.id`"),
        (b'{"projectKey": "app", "room": "r", "content": {"kind": "video", "id": 1}}', "`$.room`"),
        (b'{"projectKey": "app", "performances": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}", "nested"),
        (b"\xff", ""),
    ],
)
async def test_what_is_no_start_is_400_and_names_the_field(mobile: Mobile, data: bytes, says: str):
    answer = await mobile.ask(data=data)
    assert answer.status == 400, answer.text
    if says != "nested":
        assert says in error(answer, 400)
    assert mobile.world.mobile.apps == {}


async def test_a_start_over_16_kib_is_413(mobile: Mobile):
    body = b'{"projectKey": "app", "revID": "%s"}'
    fits = body % (b"x" * (START_BYTES - len(body) + 2))
    assert len(fits) == START_BYTES
    assert (await mobile.ask(data=fits)).status == 200
    assert str(START_BYTES) in error(await mobile.ask(data=fits + b" "), 413)


@pytest.mark.parametrize("auth", ["", "x", "a.b.c"])
async def test_a_bad_auth_token_is_401(mobile: Mobile, auth: str):
    assert error(await mobile.ask(projectKey="app", authToken=auth), 401)
    assert mobile.world.mobile.apps == {}


async def test_an_expired_auth_token_is_401(mobile: Mobile):
    auth = mobile.world.token("ann", ttl_s=1)
    mobile.world.skip(2)
    assert error(await mobile.ask(projectKey="app", authToken=auth), 401)


async def test_fractions_and_nulls_are_what_they_mean(mobile: Mobile):
    everything: dict[str, Any] = {
        "projectKey": "app",
        "timestamp": mobile.world.now() + 0.75,
        "width": 390.5,
        "height": None,
        "deviceMemory": 5.5e9,
        "userDeviceType": 1.0,
        "trackerVersion": None,
        "performances": {"cores": 6, "a\0": ["\0b", "\\u0000"]},
        "platform": "android\0",
        "unknown": [1],
    }
    phone = await mobile.start(None, **everything)
    device = json.loads(mobile.world.mobile.apps[phone.session_id].device)
    assert device == {
        "width": 390.5,
        "device_memory": 5.5e9,
        "user_device_type": 1.0,
        "performances": {"cores": 6, "a": ["b", "\\u0000"]},
        "platform": "android",
    }


@pytest.mark.parametrize("given", [None, "", "no uuid", "1", "0" * 33])
async def test_a_bad_user_uuid_becomes_a_new_one(mobile: Mobile, given: str | None):
    found = {(await mobile.start(None, userUUID=given)).user_uuid for _ in range(2)}
    assert len(found) == 2
    assert all(each[14] == "4" for each in found)


async def test_a_start_outside_the_sample_is_cancelled_every_time_it_asks(mobile: Mobile):
    await mobile.project("some", share=0.5)
    await mobile.project("none", share=0.0)
    said_ = {}
    for number in range(40):
        uuid = f"0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a{number:02}"
        answers = [await mobile.ask(projectKey="some", userUUID=uuid) for _ in range(3)]
        statuses = {answer.status for answer in answers}
        assert len(statuses) == 1
        said_[uuid] = statuses.pop()
        if said_[uuid] == 403:
            assert error(answers[0], 403) == "cancel"
    assert 5 < sum(status == 200 for status in said_.values()) < 35
    assert error(await mobile.ask(projectKey="none", userUUID=PHONE), 403) == "cancel"


async def test_a_sample_without_a_device_id_is_by_address_and_device(mobile: Mobile):
    await mobile.project("some", share=0.5)
    statuses = [
        {(await mobile.ask(projectKey="some", userDevice=f"phone {number}")).status for _ in range(3)}
        for number in range(30)
    ]
    assert all(len(each) == 1 for each in statuses)
    assert {200, 403} == {each for some in statuses for each in some}


async def test_nothing_is_kept_of_a_session_that_must_not_be_recorded(mobile: Mobile):
    phone = await mobile.start("ann", doNotRecord=True, content=LESSON)
    await phone.sent([beat(mobile.world.now(), 0)])
    await phone.sent([beat(mobile.world.now(), 0)], path="/v1/ios/late")
    assert (mobile.world.mobile.apps, mobile.world.mobile.messages, mobile.sessions_of("ann")) == ({}, {}, [])
    again = await mobile.start("ann", doNotRecord=True, token=phone.token)
    assert again.session_id == phone.session_id
    assert (await mobile.start("ann", token=phone.token)).session_id != phone.session_id


async def test_a_token_resumes_its_session_and_lives_no_longer_by_it(mobile: Mobile):
    phone = await mobile.start("ann")
    mobile.world.skip(7000)
    again = await mobile.start("ann", token=phone.token)
    assert (again.session_id, again.token) == (phone.session_id, phone.token)
    mobile.world.skip(201)
    assert (await mobile.start("ann", token=phone.token)).session_id != phone.session_id


async def test_a_bad_token_and_that_of_another_learner_or_project_start_anew(mobile: Mobile):
    await mobile.project("other")
    phone = await mobile.start("ann")
    gone = Tokens(derived(SECRET)).write(Token(4711, 0, mobile.world.now() + LIFE_MS))
    for token, user, project in (
        ("", "ann", "app"),
        ("a.b.c.d", "ann", "app"),
        (phone.token[:-1], "ann", "app"),
        (gone, "ann", "app"),
        (phone.token, "bob", "app"),
        (phone.token, "ann", "other"),
    ):
        assert (await mobile.start(user, token=token, projectKey=project)).session_id != phone.session_id


async def test_a_resumed_anonymous_session_is_nobodys_also_when_its_learner_is_known_now(mobile: Mobile):
    phone = await mobile.start()
    assert (await mobile.start(None, token=phone.token)).session_id == phone.session_id
    assert (await mobile.start("ann", token=phone.token)).session_id != phone.session_id


# -- append, late -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["append", "i", "late"])
async def test_no_malformed_and_forged_tokens_are_401(mobile: Mobile, path: str):
    phone = await mobile.start()
    forged = Tokens(b"another secret").write(Token(phone.session_id, 0, mobile.world.now() + LIFE_MS))
    said_, dot, signature = phone.token.rpartition(".")
    for given in ("Bearer", "Bearer x", f"Basic {phone.token}", f"Bearer {forged}", f"Bearer {said_}0{dot}{signature}"):
        answer = await mobile.world.call("POST", f"/v1/ios/{path}", data=b"", headers={"Authorization": given})
        assert "token" in error(answer, 401)
    assert "token" in error(await mobile.world.call("POST", f"/v1/ios/{path}", data=b""), 401)


async def test_append_refuses_an_expired_token_and_late_takes_it_for_seven_days(mobile: Mobile):
    phone = await mobile.start()
    mobile.world.skip(LIFE_MS / 1000 + 1)
    assert error(await phone.send([]), 401) == "the token has run out: start a new session"
    await phone.sent([], path="/v1/ios/late")
    mobile.world.skip(LATE_MS / 1000)
    assert error(await phone.send([], path="/v1/ios/late"), 401) == "the token has run out: start a new session"


async def test_a_token_lives_as_long_as_is_set(make_mobile: Maker):
    mobile = await make_mobile(ROLLCALL_MOBILE_TOKEN_SECONDS="60")
    phone = await mobile.start()
    mobile.world.skip(59)
    await phone.sent([])
    mobile.world.skip(2)
    assert error(await phone.send([]), 401)


async def test_a_token_of_a_session_that_is_gone_is_401(mobile: Mobile):
    token = Tokens(derived(SECRET)).write(Token(4711, 0, mobile.world.now() + LIFE_MS))
    phone = await mobile.start()
    assert error(await phone.send([], token=token), 401) == "there is no such session any more: start a new one"


async def test_a_secret_of_its_own_signs_tokens(make_mobile: Maker):
    secret = "a secret of mobile sessions, also of thirty-two bytes"
    mobile = await make_mobile(ROLLCALL_MOBILE_SECRET=secret)
    phone = await mobile.start()
    assert Tokens(secret.encode()).read(phone.token).session_id == phone.session_id


async def test_a_megabyte_is_taken_and_more_is_413(mobile: Mobile):
    phone = await mobile.start()
    click = write_batch([said(phone.now(), Click("x" * 100_000, 1, 2))], None)
    batch = click * 10
    batch = batch[: BATCH_BYTES - 3] + b"\0\0\0"
    assert (await post(mobile, phone, batch[:BATCH_BYTES])).status == 200
    assert error(await post(mobile, phone, batch[:BATCH_BYTES] + b"\0"), 413) == f"the body is over {BATCH_BYTES} bytes"


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


@pytest.mark.parametrize(("path", "limit"), [("i", BATCH_BYTES), ("late", BATCH_BYTES), ("start", START_BYTES)])
@pytest.mark.parametrize("told", [True, False])
async def test_what_is_too_large_is_told_the_limit_of_where_it_came(
    mobile: Mobile, path: str, limit: int, *, told: bool
):
    phone = await mobile.start()
    fields = {"Authorization": f"Bearer {phone.token}"}
    for size in (1_010_000, 1_100_000):
        data = bytes(size) if told else in_pieces(bytes(size))
        answer = await mobile.world.call("POST", f"/v1/ios/{path}", data=data, headers=fields)
        assert error(answer, 413) == f"the body is over {limit} bytes"


async def test_what_unpacks_to_over_16_mb_is_413(mobile: Mobile):
    phone = await mobile.start()
    bomb = gzip.compress(b"\0" * (UNPACKED_BYTES + 1))
    assert len(bomb) < 100_000
    assert str(UNPACKED_BYTES) in error(await post(mobile, phone, bomb, Content_Encoding="gzip"), 413)


async def test_a_broken_gzip_is_400_and_another_encoding_415(mobile: Mobile):
    phone = await mobile.start()
    packed = gzip.compress(b"\0" * 100)
    for broken in (packed[:-4], packed + b"x", zlib.compress(b""), b"plain"):
        assert "gzip" in error(await post(mobile, phone, broken, Content_Encoding="gzip"), 400)
    assert error(await post(mobile, phone, b"", Content_Encoding="br"), 415)


async def test_a_batch_that_begins_with_no_message_is_400_with_its_offset_and_keeps_nothing(mobile: Mobile):
    phone = await mobile.start()
    answer = await post(mobile, phone, b"\xff" * 30)
    assert error(answer, 400)
    assert answer.json["offset"] == 0
    assert mobile.world.mobile.messages == {}


async def test_an_empty_batch_is_200(mobile: Mobile):
    phone = await mobile.start()
    answer = await post(mobile, phone, b"")
    assert (answer.status, answer.text) == (200, b"")


async def test_too_many_of_an_address_are_429_and_told_when_to_come_again(make_mobile: Maker):
    mobile = await make_mobile(ROLLCALL_MOBILE_ADDRESS_REQUESTS_PER_SECOND="2")
    answers = [await mobile.ask(projectKey="app") for _ in range(8)]
    assert answers[0].status == 200
    assert error(answers[-1], 429)
    assert int(answers[-1].headers["Retry-After"]) >= 1


async def test_too_many_of_a_project_are_429_and_told_when_to_come_again(make_mobile: Maker):
    mobile = await make_mobile(ROLLCALL_MOBILE_REQUESTS_PER_SECOND="2")
    phone = await mobile.start()
    answers = [await phone.send([]) for _ in range(8)]
    assert error(answers[-1], 429)
    assert int(answers[-1].headers["Retry-After"]) >= 1


async def test_storage_that_is_away_is_503_and_told_when_to_come_again(mobile: Mobile):
    mobile.world.faults.away = True
    answer = await mobile.ask(projectKey="app")
    assert error(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    mobile.world.faults.away = False
    assert (await mobile.ask(projectKey="app")).status == 200


@pytest.mark.slow
async def test_a_batch_that_storage_did_not_take_in_time_is_503_and_counted_once_when_it_comes_again(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(10)
    begin = phone.now() - 10_000
    batch = [beat(begin, 0), beat(begin + 10_000, 10)]
    mobile.world.faults.lose_answers = True
    answer = await phone.send(batch)
    assert error(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    mobile.world.faults.lose_answers = False
    await phone.sent(batch)
    assert mobile.watched("ann") == (10_000, 10_000)
    assert len(mobile.sessions_of("ann")) == 1
    assert len(mobile.world.mobile.messages) == 2


async def test_whichever_half_of_a_batch_was_lost_sending_it_again_makes_it_whole(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(20)
    begin = phone.now() - 20_000
    first, second = ([beat(begin + at * 1000, at) for at in times] for times in ((0, 5, 10), (10, 15, 20)))
    await phone.sent(first)
    mobile.world.mobile.messages.clear()
    await phone.sent(first)
    assert len(mobile.world.mobile.messages) == 3
    session = mobile.world.mobile.apps[phone.session_id].session
    batch = read_batch(write_batch(second, 0))
    (part,) = parts_of(batch, lambda _: session, session, mobile.world.now())
    await mobile.world.mobile.write([Brought(mobile.world.now(), [], part.messages, [part.change()], [])])
    assert mobile.watched("ann") == (10_000, 10_000)
    await phone.sent(second)
    assert mobile.watched("ann") == (20_000, 20_000)
    assert len(mobile.world.mobile.messages) == 5


async def test_a_wrong_method_is_told_so(mobile: Mobile):
    assert (await mobile.world.call("GET", "/v1/ios/start")).status == 405
