"""The door: who may, what is refused and how, what the standard wants of answers."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web

from protocol.xapi import profile
from protocol.xapi.statements import read
from server.http.answers import Problem
from server.xapi.reading import Reader, refused
from storage.engaging import Rules
from storage.xapi import SESSION_STATEMENTS, Post, PostgresXapi
from tests.edge.xapi.conftest import HOME, MINUTE, World, basic, statement

pytestmark = pytest.mark.slow

UUID = "6690e6c9-3ef0-4ed3-8b37-7f3964730bee"


def changed(**changes: Any) -> dict[str, Any]:
    return statement() | changes


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_one_and_many_are_answered_with_their_ids(world: World):
    one, other = statement(), statement(user="u2")
    nameless = statement(user="u3")
    del nameless["id"]

    assert (await world.send(one)).json == [one["id"]]
    assert (await world.send([other])).json == [other["id"]]
    (made,) = (await world.send(nameless)).json
    assert made not in (one["id"], other["id"])
    assert (await world.send([])).json == []
    assert await world.count("xapi_statements") == 3


async def test_put_takes_one_by_its_name(world: World):
    named, nameless = statement(), statement(user="u2")
    del nameless["id"]

    for body, name in ((named, named["id"]), (nameless, UUID.upper()), (named, named["id"])):
        answer = await world.send(body, method="PUT", statementId=name)
        assert (answer.status, answer.text) == (204, b"")
    assert {str(row[0]) for row in await world.rows("xapi_statements")} == {named["id"], UUID}


@pytest.mark.parametrize(
    ("sent", "spoken"), [("1.0", "1.0.3"), ("1.0.0", "1.0.3"), ("1.0.3", "1.0.3"), ("2.0.0", "2.0.0")]
)
async def test_the_version_is_answered_with_its_newest_patch(world: World, sent, spoken):
    answer = await world.send(statement(), headers={profile.VERSION_HEADER: sent})

    assert (answer.status, answer.headers[profile.VERSION_HEADER]) == (200, spoken)
    assert answer.headers[profile.THROUGH_HEADER].endswith("Z")


@pytest.mark.parametrize("version", ["", "0.95", "1.1.0", "1", "2.1.0", "3.0.0", "1.0.3.4", "one"])
async def test_a_version_that_is_not_spoken_or_missing_is_refused(world: World, version):
    answer = await world.send(statement(), headers={profile.VERSION_HEADER: version})

    assert answer.names(400, "VALIDATION_FAILED") == (None, profile.VERSION_HEADER)
    assert await world.count("xapi_statements") == 0


async def test_about_tells_the_versions_to_anybody(world: World):
    async with world.http.get(f"{world.url}/xapi/about") as response:
        assert response.status == 200
        assert (await response.json())["version"] == ["1.0.3", "2.0.0"]
        assert response.headers[profile.VERSION_HEADER] == "1.0.3"


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_the_key_may_stand_in_its_header_or_be_a_password(world: World):
    for headers in ({"X-Write-Key": "rk_a-key-of-the-lms"}, {"Authorization": basic("rk_a-key-of-the-lms", "")}):
        assert (await world.send(statement(), key=None, headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": basic("rk_another")},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Basic cmtfYS1rZXktb2YtdGhlLWxtcw=="},  # the key without a name
        {"Authorization": "Bearer rk_a-key-of-the-lms"},
        {"X-Write-Key": ""},
    ],
)
async def test_without_a_key_nothing_is_taken(world: World, headers):
    answer = await world.send(statement(), key=None, headers=headers)
    answer.refusal(401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert await world.count("xapi_statements") == 0


async def test_a_key_without_the_right_or_past_its_time_is_refused(world: World):
    for secret, facts in (
        ("rk_shop", {"rights": ["catalog", "collect", "mobile"]}),
        ("rk_old", {"expires_at": 1}),
        ("rk_gone", {"revoked_at": 1}),
    ):
        await world.key(secret, **facts)
    for secret in ("rk_shop", "rk_old", "rk_gone"):
        (await world.send(statement(), key=secret)).refusal(403, "FORBIDDEN")


async def test_a_key_speaks_of_learners_of_its_home_pages_alone(world: World):
    await world.key("rk_bound", home_pages=[HOME, "https://other.example"])
    await world.key("rk_mail", home_pages=["mailto:"])
    by_mail = changed(actor={"mbox": "mailto:a@b.example"})
    elsewhere = changed(actor={"account": {"homePage": "https://evil.example", "name": "u1"}})
    homeless = changed(actor={"account": {"name": "u1"}})

    assert (await world.send(statement(), key="rk_bound")).status == 200
    assert (await world.send(by_mail, key="rk_mail")).status == 200
    for body, field in (
        (elsewhere, "actor.account.homePage"),
        (homeless, "actor.account.homePage"),
        (by_mail, "actor.mbox"),
    ):
        answer = await world.send([statement(), body], key="rk_bound")
        assert answer.names(403, "FORBIDDEN") == (1, field)
    assert (await world.send(statement(), key="rk_mail")).status == 403
    assert await world.count("xapi_statements") == 2


# -- what is refused ---------------------------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    made = statement()
    del made[name]
    return made


def told(**extensions: Any) -> dict[str, Any]:
    return changed(
        result={
            "extensions": {f"{profile.EXTENSIONS}{key.replace('_', '-')}": value for key, value in extensions.items()}
        }
    )


def ext(name: str, place: str = "result") -> str:
    return f"{place}.extensions['{profile.EXTENSIONS}{name}']"


BAD = [
    ([1], ""),
    (7, ""),
    ("text", ""),
    (None, ""),
    (changed(id="seven"), "id"),
    (changed(id=7), "id"),
    (without("actor"), "actor"),
    (changed(actor="u1"), "actor"),
    (changed(actor={}), "actor"),
    (changed(actor={"mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9"}), "actor"),
    (changed(actor={"objectType": "Group", "member": []}), "actor.objectType"),
    (changed(actor={"account": []}), "actor.account"),
    (changed(actor={"account": {"homePage": HOME}}), "actor.account.name"),
    (changed(actor={"account": {"homePage": HOME, "name": ""}}), "actor.account.name"),
    (changed(actor={"account": {"homePage": HOME, "name": "x" * 129}}), "actor.account.name"),
    (changed(actor={"account": {"homePage": HOME, "name": "a\0b"}}), "actor.account.name"),
    (changed(actor={"account": {"homePage": "nowhere", "name": "u1"}}), "actor.account.homePage"),
    (changed(actor={"mbox": "a@b.example"}), "actor.mbox"),
    (changed(actor={"mbox": "mailto:"}), "actor.mbox"),
    (without("verb"), "verb"),
    (changed(verb={}), "verb.id"),
    (changed(verb={"id": "played"}), "verb.id"),
    (without("object"), "object"),
    (changed(object={}), "object.id"),
    (changed(object={"id": "video-7"}), "object.id"),
    (changed(object={"id": f"https://x.example/{'x' * 500}"}), "object.id"),
    (changed(object={"id": 7}), "object.id"),
    (changed(timestamp="yesterday"), "timestamp"),
    (changed(timestamp=1700000000), "timestamp"),
    (changed(timestamp="2024-02-30T00:00:00Z"), "timestamp"),
    (changed(timestamp="2024-02-07T00:00:00-00:00"), "timestamp"),
    (changed(timestamp="2024-02-07"), "timestamp"),
    (changed(version="0.9"), "version"),
    (changed(result=[]), "result"),
    (changed(result={"extensions": 7}), "result.extensions"),
    (changed(context=7), "context"),
    (changed(context={"registration": {}}), "context.registration"),
    (changed(context={"extensions": {profile.SESSION: "x" * 129}}), ext("session-id", "context")),
    (changed(context={"extensions": {profile.LENGTH: -1}}), ext("length", "context")),
    (told(length="ten"), ext("length")),
    (told(time=-0.5), ext("time")),
    (told(time="NaN"), ext("time")),
    (told(time=True), ext("time")),
    (told(time_from=[]), ext("time-from")),
    (told(time_to="later"), ext("time-to")),
    (told(played_segments="-1[.]5"), ext("played-segments")),
    (told(played_segments="0[.]NaN"), ext("played-segments")),
    (told(played_segments="first[.]last"), ext("played-segments")),
    (told(played_segments=[[0, 5]]), ext("played-segments")),
    (told(played_segments="[,]".join(["0[.]1"] * 2001)), ext("played-segments")),
]


async def test_the_first_bad_statement_is_named_and_none_is_stored(world: World):
    for bad, field in BAD:
        answer = await world.send([statement(), statement(user="u2"), bad, {}])
        assert answer.names(400, "VALIDATION_FAILED") == (2, field), (bad, answer.json)
        assert "statement 2" in answer.json["message"]
        if not isinstance(bad, list):
            assert (await world.send(bad)).names(400, "VALIDATION_FAILED") == (0, field)
    assert await world.count("xapi_statements") == 0


async def test_a_time_of_any_age_is_taken_and_one_ahead_is_not(world: World):
    now = world.now()
    old = statement(at="1999-12-31T23:59:59.123+06:00")
    near = statement(at=now + 4 * MINUTE)
    far = statement(at=now + 6 * MINUTE)

    await world.stored(
        old, near, statement(at="2020-01-01T10:00:00.123456789"), statement(at="2020-01-01T10:00:00+0600")
    )
    assert (await world.send(far)).names(400, "VALIDATION_FAILED") == (0, "timestamp")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[", b"[{},", b"\xff", b'{"a":' * 3000, b"[" * 3000, b"NaN", b'[{"id":"\xff"}]']
)
async def test_what_is_no_json_is_refused(world: World, body):
    answer = await world.send(body)
    assert answer.names(400, "VALIDATION_FAILED") == (0, "")


async def test_text_that_cannot_be_kept_is_refused_or_kept_whole(world: World):
    """NUL in a place that means nothing; half a character anywhere."""
    odd = msgspec.json.encode(statement()).replace(b'"context":{', b'"context":{"platform":"a\\u0000b",')
    assert (await world.send(odd)).status == 200
    half = odd.replace(b"\\u0000", b"\\ud800")
    assert (await world.send(half)).names(400, "VALIDATION_FAILED") == (0, "")
    assert await world.count("xapi_statements") == 1


async def test_bounds_of_a_post(world: World):
    small = statement()
    too_many = b"[" + b",".join([b"{}"] * 5001) + b"]"
    (await world.send(too_many)).refusal(413, "TOO_LARGE")
    (await world.send(b" " * (8 * 1024 * 1024 + 1))).refusal(413, "TOO_LARGE")
    bomb = gzip.compress(b" " * (8 * 1024 * 1024 + 1))
    (await world.send(bomb, headers={"Content-Encoding": "gzip"})).refusal(413, "TOO_LARGE")
    assert (await world.send(changed(context={"platform": "x" * 262_144}))).names(400, "VALIDATION_FAILED") == (0, "")
    (await world.send(small, headers={"Content-Encoding": "br"})).refusal(415, "UNSUPPORTED_MEDIA_TYPE")
    (await world.send(small, headers={"Content-Type": "multipart/mixed; boundary=x"})).refusal(
        415, "UNSUPPORTED_MEDIA_TYPE"
    )
    (await world.send(b"no gzip", headers={"Content-Encoding": "gzip"})).refusal(400, "VALIDATION_FAILED")
    packed = gzip.compress(msgspec.json.encode([small]))
    assert (await world.send(packed, headers={"Content-Encoding": "gzip"})).json == [small["id"]]
    assert await world.count("xapi_statements") == 1


async def test_a_put_without_its_name_or_with_another_is_refused(world: World):
    assert "statementId" in (await world.send(statement(), method="PUT")).refusal(400, "VALIDATION_FAILED")
    assert "statementId" in (await world.send(statement(), method="PUT", statementId="7")).refusal(
        400, "VALIDATION_FAILED"
    )
    assert (await world.send(statement(), method="PUT", statementId=UUID)).names(400, "VALIDATION_FAILED") == (0, "id")
    assert (await world.send([statement()], method="PUT", statementId=UUID)).names(400, "VALIDATION_FAILED") == (0, "")


@asynccontextmanager
async def reader(**bounds: int) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A server of nothing but bodies of statements: its URL, and whether a post has come."""
    come = asyncio.Event()
    read_all = Reader(lambda: 1_800_000_000_000, **bounds)

    async def handle(request: web.Request) -> web.Response:
        come.set()
        try:
            found, _ = await read_all.read(request, [])
        except Problem as problem:
            return refused(problem)
        return web.json_response(len(found))

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", come
    await runner.cleanup()


async def test_too_many_posts_at_once_are_refused_and_the_others_go_on():
    data = msgspec.json.encode(statement(at=0))
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield data[:10]
        await go_on.wait()
        yield data[10:]

    async with reader(in_hand=1) as (url, come), aiohttp.ClientSession() as http:
        first = asyncio.ensure_future(http.post(url, data=slow()))
        await come.wait()
        second = await http.post(url, data=data)
        go_on.set()
        assert (second.status, "Retry-After" in second.headers) == (503, True)
        assert (await first).status == 200
        assert (await http.post(url, data=data)).status == 200


async def test_too_many_bytes_at_once_are_refused():
    data = msgspec.json.encode([statement(at=0) for _ in range(100)])
    async with reader(held_bytes=len(data) - 1) as (url, _), aiohttp.ClientSession() as http:
        assert (await http.post(url, data=data)).status == 503
        assert (await http.post(url, data=data[: len(data) // 2])).status == 400


async def test_storage_that_is_away_is_told(world: World):
    await world.send(statement())  # the key is known now
    await world.database.execute("ALTER TABLE xapi_statements RENAME TO gone")
    answer = await world.send(statement())
    answer.refusal(503, "STORAGE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1


# -- the same id -------------------------------------------------------------------------------------------------------


async def test_a_known_id_with_the_same_content_changes_nothing(world: World):
    told = statement(played="0[.]10", length=10, at="2024-02-07T10:00:00.500Z")
    same = msgspec.json.decode(msgspec.json.encode(told))
    same["timestamp"] = "2024-02-07T16:00:00.5+06:00"
    same["context"]["extensions"][profile.LENGTH] = 10.0
    same["object"]["definition"]["name"] = {"en": "Light"}
    same |= {"stored": "2024-02-07T10:00:01Z", "authority": {"mbox": "mailto:lrs@lms.example"}, "version": "1.0.0"}

    await world.stored(told)
    before = await world.rows("xapi_statements"), await world.rows()
    for body in (told, same, dict(reversed(same.items())), [same, told]):
        assert (await world.send(body)).status == 200
    assert (await world.rows("xapi_statements"), await world.rows()) == before


async def test_a_known_id_with_another_content_is_a_conflict_and_nothing_is_stored(world: World):
    told = statement(played="0[.]10", length=10)
    await world.stored(told)
    other = statement(played="0[.]9", length=10) | {"id": told["id"]}

    assert (await world.send([statement(user="u2"), other])).names(409, "CONFLICT") == (1, "id")
    assert (await world.send(other, method="PUT", statementId=told["id"])).names(409, "CONFLICT") == (0, "id")
    twins = [statement(user="u3"), statement(user="u4")]
    twins[1]["id"] = twins[0]["id"]
    assert (await world.send(twins)).names(409, "CONFLICT") == (1, "id")
    assert await world.count("xapi_statements") == 1
    assert (await world.mine())["ranges"] == [[0, 10]]


async def test_one_posts_conflict_is_not_anothers(world: World):
    """They are stored in one transaction where they come at once."""
    told = statement(played="0[.]10")
    await world.stored(told)
    bodies = [statement(user=f"v{n}", played="0[.]5") for n in range(20)]
    bodies[7] |= {"id": told["id"]}

    answers = await asyncio.gather(*(world.send(body) for body in bodies))
    assert [answer.status for answer in answers] == [409 if n == 7 else 200 for n in range(20)]
    assert await world.count("xapi_statements") == 20


async def test_the_same_statement_at_once_through_two_servers_is_kept_once(world: World):
    others = [PostgresXapi(world.server.database, Rules()) for _ in range(2)]
    server = world.server.services.xapi
    body = [statement(user=f"w{n}", played="0[.]5", session=f"s{n % 3}") for n in range(30)]
    found = [read(msgspec.json.encode(each), world.now()) for each in body]
    outcomes = await asyncio.gather(
        *(store.write([Post(found, world.now())]) for store in (server, *others)), return_exceptions=True
    )
    assert any(outcome == [None] for outcome in outcomes)
    assert await server.write([Post(found, world.now())]) == [None]
    assert await world.count("xapi_statements") == 30
    assert (await world.summary())["viewers"] == 30


# -- sessions ----------------------------------------------------------------------------------------------------------


async def test_a_full_session_is_followed_by_another(world: World):
    at = world.now() - 60 * MINUTE
    many = [statement("interacted", at=at + n, played="0[.]10", length=100) for n in range(SESSION_STATEMENTS)]
    await world.stored(*many)
    assert await world.count("watch_sessions") == 1

    await world.stored(statement("paused", at=at + 9_000, played="0[.]10[,]50[.]60"))
    await world.stored(many[0])
    found = await world.database.fetch("SELECT last_seq FROM watch_sessions ORDER BY last_seq")
    assert [row[0] for row in found] == [1, SESSION_STATEMENTS]
    assert (await world.mine())["ranges"] == [[0, 10], [50, 60]]


async def test_sessions_are_told_apart_by_session_registration_or_day(world: World):
    day = 24 * 60 * MINUTE
    at = (world.now() // day - 5) * day
    registered = statement(at=at, session=None, played="0[.]10")
    registered["context"]["registration"] = str(uuid4())
    in_result = statement(at=at, session=None, played="0[.]10", session_id="s1")
    await world.stored(
        statement(at=at, played="0[.]10"),
        in_result,
        registered,
        statement(at=at, session=None, played="0[.]10"),
        statement(at=at + day - 1, session=None, played="0[.]20"),
        statement(at=at + day, session=None, played="0[.]10"),
        statement(at=at, user="u2", played="0[.]10"),
        statement(at=at, content="https://lms.example/videos/8", played="0[.]10"),
    )

    assert await world.count("watch_sessions") == 6
    assert (await world.summary())["views"] == 5


async def test_our_own_statements_are_passed_over(world: World):
    own = statement(content="urn:rollcall:content:video:7", played="0[.]10", length=10)
    other = statement(user="u2")

    assert (await world.send([own, other])).json == [own["id"], other["id"]]
    assert (await world.send(own)).json == [own["id"]]
    assert [await world.count(table) for table in ("xapi_statements", "contents")] == [1, 1]
    clash = statement(user="u3") | {"id": other["id"]}
    assert (await world.send([own, clash])).names(409, "CONFLICT") == (1, "id")


async def test_what_the_client_claims_is_kept_and_not_believed(world: World):
    await world.stored(statement(played="0[.]10", length=100, progress=0.95))

    assert await world.database.fetchval("SELECT claimed_progress FROM xapi_sessions") == 0.95
    assert (await world.mine())["coverage"] == 0.1


async def test_a_long_name_is_a_content_that_can_be_asked_for(world: World):
    name = f"https://lms.example/{'শ' * 480}"
    await world.stored(statement(content=name, played="0[.]10", length=10))

    assert (await world.mine(content_id=name))["coverage"] == 1.0
    assert (await world.summary(content_id=name))["viewers"] == 1
