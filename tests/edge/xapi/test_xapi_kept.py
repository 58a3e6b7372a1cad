"""What is kept, given out, forgotten; beside checkpoints; and whatever is sent, no fault of the server's."""

import asyncio
import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.machines.rows import Rows
from protocol.rest import rfc3339
from protocol.xapi import profile
from server.cli import main
from server.commands import exporting
from server.retention import Sweeper
from server.rules import engagement_rules
from storage import projections
from storage.learners import Learners
from storage.retention import Retention
from tests.edge.xapi.conftest import HOME, MINUTE, VIDEO, World, statement
from tests.machines import profiles
from tests.support.examples import segment, session

pytestmark = pytest.mark.slow

DAY = 24 * 60 * MINUTE


async def watched(
    world: World, user: str = "u1", at: int = 0, content: tuple[str, str] = ("video", "7"), **row: Any
) -> str:
    """A session of ours: 30 s of the content, ended."""
    name = str(uuid4())
    at = at or world.now() - DAY
    place = {"user_id": user, "kind": content[0], "content_id": content[1]}
    one = segment(name, 1, start_at=at, end_at=at + 30_000, start_position=0, end_position=30_000, **place)
    times = {"started_at": at, "last_sample_at": at + 30_000, "ended_at": at + 30_000, "watch_ms": 30_000}
    facts = place | times | {"position": 30_000, "duration": None} | row
    rows = Rows(sessions=[session(name, **facts)], segments=[one])
    async with world.server.database.transaction() as connection:
        await projections.write(connection, [rows], engagement_rules(world.server.settings))
    return name


# -- a learner's rights ------------------------------------------------------------------------------------------------


async def test_a_learner_is_given_all_of_it_and_then_forgotten(world: World):
    told = statement(played="0[.]10", length=10)
    await world.stored(told, statement("https://lms.example/verbs/liked"), statement(user="u2", played="0[.]5"))
    learners = Learners(world.server.database)

    given_out = {held.table: msgspec.json.decode(held.content) async for held in learners.rows("u1")}
    assert {"xapi_statements", "xapi_sessions", "watch_sessions", "study_logs", "engagement_learners"} <= set(given_out)
    gone = await learners.erase("u1")
    assert (gone["xapi_statements"], gone["xapi_sessions"]) == (2, 1)
    assert [held async for held in learners.rows("u1")] == []
    assert (await world.summary())["viewers"] == 1

    await world.stored(told)  # whoever sends it again tells it anew
    assert (await world.mine())["ranges"] == [[0, 10]]


async def test_old_statements_go_and_what_they_proved_stays(world: World):
    at = world.now() - 100 * DAY
    await world.content("7", xapi_id=VIDEO)
    first = statement(at=at, played="0[.]30")
    await world.stored(
        first, statement("https://lms.example/verbs/liked", at=at), statement(at=at, user="u2", played="0[.]9")
    )
    for table in ("xapi_statements", "xapi_sessions"):
        await world.database.execute(
            f"UPDATE {table} SET stored_at = stored_at - INTERVAL '99 days' WHERE user_id = 'u1'"
        )
    sweeper = Sweeper(Retention(world.server.database), 30, world.now, pause_s=0)
    rules = msgspec.structs.replace(engagement_rules(world.server.settings), thins=True)
    world.server.services.xapi._rules = rules

    await sweeper.sweep()
    counts = [
        await world.count(table) for table in ("xapi_statements", "xapi_sessions", "study_logs", "watch_sessions")
    ]
    assert counts == [1, 1, 0, 2]

    # Long after that the same player speaks of the same session: another one begins.
    await world.stored(statement(at=world.now(), played="0[.]30[,]50[.]60"))
    assert await world.count("watch_sessions") == 3
    assert (await world.mine(content_id="7", kind="video"))["coverage"] == 0.4
    summary = await world.summary("7", "video")
    assert (summary["views"], summary["viewers"]) == (3, 2)


async def test_a_session_that_is_still_spoken_of_keeps_all_its_statements(world: World):
    await world.stored(statement(at=world.now() - 60 * DAY, played="0[.]30", length=100))
    await world.database.execute("UPDATE xapi_statements SET stored_at = stored_at - INTERVAL '99 days'")
    await world.stored(statement(played="50[.]60"))

    await Sweeper(Retention(world.server.database), 30, world.now, pause_s=0).sweep()
    assert await world.count("xapi_statements") == 2
    await world.stored(statement(played="70[.]80"))
    assert (await world.mine())["ranges"] == [[0, 30], [50, 60], [70, 80]]


# -- ours, for others --------------------------------------------------------------------------------------------------


async def exported(world: World, **query: Any) -> list[dict[str, Any]]:
    answer = await world.read("/api/v1/export/xapi", **query)
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "application/x-ndjson")
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]


async def test_sessions_of_ours_are_exported_as_statements_of_the_profile(world: World):
    await world.content("7", 100_000)
    at = (world.now() - DAY) // 1000 * 1000
    session_id = await watched(world, at=at)
    await watched(world, "u2", is_over := at + 1000, last_sample_at=at + 9000, ended_at=None)
    await world.stored(statement(user="u3", played="0[.]10", at=is_over))

    first, last = await exported(world)
    assert [one["verb"]["id"] for one in (first, last)] == [profile.VERB_IDS[0], profile.VERB_IDS[5]]
    assert first["actor"]["account"] == {"homePage": "urn:rollcall", "name": "u1"}
    assert first["object"]["id"] == "urn:rollcall:content:video:7"
    assert last["context"]["extensions"] == {profile.SESSION: session_id, profile.LENGTH: 100}
    assert last["result"]["extensions"] == {profile.TIME: 30, profile.PLAYED_SEGMENTS: "0[.]30", profile.PROGRESS: 0.3}
    assert (last["result"]["duration"], last["result"]["completion"]) == ("PT30S", False)
    assert await exported(world) == [first, last]


async def test_an_export_is_of_its_range_and_in_the_order_of_starts(world: World):
    at = (world.now() - 9 * DAY) // DAY * DAY
    for number in (5, 2, 4, 1, 3):
        await watched(world, f"u{number}", at + number * 1000)
    start, end = rfc3339(at + 2000) or "", rfc3339(at + 5000) or ""
    found = await exported(world, start_at=start, end_at=end)
    assert [one["actor"]["account"]["name"] for one in found[::2]] == ["u2", "u3", "u4"]


async def test_what_is_exported_is_passed_over_where_it_comes_back(world: World):
    await world.content("7", 30_000)
    await watched(world)
    statements = await exported(world)

    assert len(statements) == 3  # it was completed
    assert (await world.send(statements)).json == [one["id"] for one in statements]
    assert [await world.count(table) for table in ("xapi_statements", "watch_sessions")] == [0, 1]


@pytest.mark.parametrize("role", ["learner", None])
async def test_an_export_is_for_staff(world: World, role):
    if role is None:
        async with world.http.get(f"{world.url}/api/v1/export/xapi") as response:
            assert response.status == 401
    else:
        assert (await world.read("/api/v1/export/xapi", "u1", role)).status == 403


@pytest.mark.parametrize("query", [{"start_at": "soon"}, {"start_at": "2020-01-01", "end_at": "2024-01-01"}])
async def test_an_export_of_no_range_is_refused(world: World, query):
    answer = await world.read("/api/v1/export/xapi", **query)
    assert (answer.status, answer.json["error"]) == (400, "VALIDATION_FAILED")


# -- beside others -----------------------------------------------------------------------------------------------------


async def test_statements_and_checkpoints_of_the_same_learners_do_not_hold_each_other_up(world: World):
    """No deadlock ends either: both lock learners in one order."""
    contents = [f"https://lms.example/videos/{n}" for n in range(3)]
    chance = random.Random(1)
    before = await world.database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")

    async def told(number: int) -> None:
        pairs = [(f"u{n}", content) for n in range(6) for content in contents]
        chance.shuffle(pairs)
        body = [statement(user=user, content=content, session=f"{number}", played="0[.]5") for user, content in pairs]
        assert (await world.send(body)).status == 200

    async def ours(number: int) -> None:
        user = f"u{number % 6}"
        await watched(world, user, content=("xapi", contents[number % 3]))

    await asyncio.gather(*(work(number) for number in range(12) for work in (told, ours)))
    assert (await world.summary(contents[0]))["viewers"] == 6
    after = await world.database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after == before


async def test_ours_and_theirs_cover_together(world: World):
    await world.content("7", 100_000, xapi_id=VIDEO)
    await watched(world)
    await world.stored(statement(played="20[.]50"))

    assert (await world.mine(content_id="7", kind="video"))["ranges"] == [[0, 50]]
    summary = await world.summary("7", "video")
    assert (summary["views"], summary["watch_seconds"], summary["content_seconds"]) == (2, 30, 60)


# -- garbage -----------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6) | st.just("urn:x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A good statement, with something else somewhere in it."""
    made: Any = statement("played", at="2024-01-01T00:00:00Z", played="0[.]5", length=9, time=3, time_from=1, time_to=2)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = made
        while True:
            name = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or not place[name] or draw(st.booleans()):
                break
            place = place[name]
        place[name] = draw(JSON)
    return made


async def test_whatever_is_sent_is_taken_or_refused(world: World):
    loop = asyncio.get_running_loop()

    def rounds() -> None:
        @settings(
            max_examples=300,
            deadline=None,
            suppress_health_check=profiles.QUIET,
        )
        @given(st.one_of(spoilt(), JSON, st.lists(spoilt() | JSON, max_size=3)), st.sampled_from(["POST", "PUT"]))
        def one(body: Any, method: str) -> None:
            data = msgspec.json.encode(body)
            query: Any = {"statementId": str(uuid4())} if method == "PUT" else {}
            answer = asyncio.run_coroutine_threadsafe(world.send(data, method=method, **query), loop).result(30)
            assert answer.status in (200, 204, 400, 409), (answer.status, answer.text, data)

        one()

    await asyncio.to_thread(rounds)


@pytest.mark.parametrize("size", [1, 100, 3000])
async def test_bytes_of_chance_are_refused(world: World, size):
    chance = random.Random(size)
    for _ in range(20):
        answer = await world.send(chance.randbytes(size))
        assert answer.names(400, "VALIDATION_FAILED") == (0, "")


# -- as operators and owners do it -------------------------------------------------------------------------------------


def command(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("DATABASE_URL", world.server.database_url)
    return asyncio.to_thread(main, arguments)


async def test_a_key_is_made_for_its_home_pages(world: World, monkeypatch, capfd):
    pages = ("--xapi-home-page", HOME, "--xapi-home-page", "mailto:")
    assert await command(world, monkeypatch, "keys", "create", "--name", "lms", "--right", "xapi", *pages) == 0
    secret = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("rk_"))

    elsewhere = statement() | {"actor": {"account": {"homePage": "https://evil.example", "name": "u1"}}}
    assert (await world.send(statement(), key=secret)).status == 200
    assert (await world.send(elsewhere, key=secret)).names(403, "FORBIDDEN") == (0, "actor.account.homePage")
    wrong = ("keys", "create", "--name", "b", "--right", "xapi", "--xapi-home-page", "nowhere")
    assert await command(world, monkeypatch, *wrong) == 2


async def test_the_command_writes_what_the_door_does(world: World, monkeypatch, tmp_path: Path):
    await world.content("7", 100_000)
    await watched(world)
    monkeypatch.setattr(exporting, "SAVE_S", 0.1)  # all is written, and nobody here is asked to
    file = tmp_path / "statements.ndjson"
    assert await command(world, monkeypatch, "export", "xapi", "-o", str(file)) == 0

    assert [msgspec.json.decode(line) for line in file.read_bytes().splitlines()] == await exported(world)
    assert await command(world, monkeypatch, "export", "xapi", "--from", "soon") == 2


async def test_an_owner_names_a_content_as_statements_do(world: World):
    await world.key("rk_owner", rights=["catalog"])
    body = {
        "title": "Light", "has_video": True, "published": True, "duration_seconds": 40, "xapi_id": VIDEO,
        "updated_at": "2024-01-01T00:00:00Z",
    }  # fmt: skip
    url = f"{world.url}/api/v1/catalog/contents/video/7"
    statuses = []
    for xapi_id in (VIDEO, "no iri", "x:" * 300, 7):
        async with world.http.put(url, json=body | {"xapi_id": xapi_id}, headers={"X-Write-Key": "rk_owner"}) as answer:
            statuses.append((answer.status, "xapi_id" in await answer.text()))
    assert statuses == [(201, False), (400, True), (400, True), (400, True)]

    await world.stored(statement(played="0[.]40"))
    assert (await world.mine(content_id="7", kind="video"))["completed"]
