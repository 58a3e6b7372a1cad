"""The client against a server in a process of its own: what the server answers is what was played, once."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from random import Random
from typing import Any

import aiohttp
import pytest

from protocol.client import (
    Backoff,
    Client,
    Closed,
    Conflict,
    Fact,
    Forbidden,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Refused,
    RoomTarget,
    Stream,
    Unacknowledged,
    Unauthenticated,
)
from protocol.client.events import EventSender
from protocol.client.facts import DoorChanged, Dropped
from server import devsecret
from server.auth import Role, sign
from tests.client.between import Between
from tests.faults import crashes

pytestmark = pytest.mark.slow

PATIENCE_S = 30.0
QUICK = Backoff(first_s=0.02, most_s=0.2)
RETRY = Backoff(first_s=0.2, most_s=0.5)


@pytest.fixture(scope="module")
def node() -> Iterator[crashes.Node]:
    with crashes.node(ROLLCALL_HEARTBEAT_SECONDS="1", ROLLCALL_UNKNOWN="accept") as server:
        yield server


@pytest.fixture
async def between(node: crashes.Node) -> AsyncIterator[Between]:
    async with Between(node.port) as proxy:
        yield proxy


class Tokens:
    """Signs as the server's own tool does."""

    def __init__(self, node: crashes.Node) -> None:
        self._secret = devsecret.read_or_create(node.directory / "data")
        self.asked = 0

    def of(self, user: str, role: Role = "learner", ttl_s: float = 600, **claims: Any) -> str:
        return sign(self._secret, user_id=user, now_s=time.time(), ttl_s=ttl_s, role=role, **claims)

    def provider(self, user: str, ttl_s: float) -> Callable[[], str]:
        def provide() -> str:
            self.asked += 1
            return self.of(user, ttl_s=ttl_s)

        return provide


@pytest.fixture
def tokens(node: crashes.Node) -> Tokens:
    return Tokens(node)


def client(where: Any, token: Any, **options: Any) -> Client:
    given: dict[str, Any] = {"backoff": QUICK, "socket_retry": RETRY} | options
    return Client(where.url, token, **given)


async def session(node: crashes.Node, tokens: Tokens, stream: Stream) -> Any:
    """The server's answer about it."""
    headers = {"Authorization": f"Bearer {tokens.of('1', 'staff')}"}
    url = f"{node.url}/api/v1/sessions/{stream.session_id}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def durable(stream: Stream) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await stream.acknowledged()


async def sampled(opening: Awaitable[Stream]) -> None:
    """Open a stream and have a sample taken: over HTTP the first one is what is refused."""
    stream = await opening
    stream.sample(0.0, "playing")
    await durable(stream)


async def eventually(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0.01)


async def played_once(node: crashes.Node, tokens: Tokens, stream: Stream, position: float) -> None:
    """The answer has every number, and exactly the stretch up to `position`."""
    answer = await session(node, tokens, stream)
    assert answer["last_seq"] == stream.kept.last_seq
    assert answer["content_seconds"] == pytest.approx(position, abs=0.002)
    assert answer["covered_seconds"] == pytest.approx(position, abs=0.002)


class Playing:
    """A lesson that plays by itself, and knows where it is."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._begin = time.monotonic()
        self.told = 0.0
        stream.playing(self.position)

    def position(self) -> float:
        self.told = time.monotonic() - self._begin
        return self.told

    async def stop(self) -> float:
        self.stream.paused()
        self.stream.over()
        await durable(self.stream)
        return self.told


async def test_a_bot_of_three_lines_plays_and_is_believed(node, tokens):
    async with client(node, tokens.of("bot")) as one:
        lesson = await one.watch("video", "three-lines", duration=60)
        playing = Playing(lesson)
        await asyncio.sleep(2.5)
        position = await playing.stop()
        assert lesson.kept.last_seq >= 4
        await played_once(node, tokens, lesson, position)


async def test_a_server_that_is_killed_and_started_again_misses_and_doubles_nothing(node, tokens):
    async with client(node, tokens.of("killed")) as one:
        lesson = await one.watch("video", "killed")
        playing = Playing(lesson)
        for _ in range(2):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(node.kill)
            lesson.playing()
            await asyncio.to_thread(node.start)
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)


async def test_a_server_that_drains_is_left_alone_and_come_back_to(node, tokens):
    facts: list[Fact] = []
    async with client(node, tokens.of("drained"), listener=facts.append) as one:
        lesson = await one.watch("video", "drained")
        playing = Playing(lesson)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)
    assert Dropped(ours=False) in facts


@pytest.mark.parametrize("manner", ["refuse", "reset"])
async def test_where_no_socket_gets_through_posts_do_and_back_again_in_one_session(node, tokens, between, manner):
    between.socket = manner
    facts: list[Fact] = []
    async with client(between, tokens.of(f"no-socket-{manner}"), listener=facts.append) as one:
        lesson = await one.watch("video", "no-socket")
        playing = Playing(lesson)
        await eventually(lambda: lesson.session_id is not None)
        assert one.transport == "http"
        await asyncio.sleep(0.5)
        between.socket = "pass"
        await eventually(lambda: one.transport == "websocket")
        lesson.playing()
        await durable(lesson)
        between.socket = manner
        between.cut()
        lesson.playing()
        await durable(lesson)
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)
    assert [fact.by_http for fact in facts if isinstance(fact, DoorChanged)][:2] == [True, False]


async def test_where_posts_are_refused_the_socket_carries_on_and_with_neither_all_is_kept(node, tokens, between):
    between.http = "refuse"
    async with client(between, tokens.of("no-http")) as one:
        lesson = await one.watch("video", "no-http")
        playing = Playing(lesson)
        await durable(lesson)
        between.socket = "refuse"
        between.cut()
        await eventually(lambda: "/api/v1/heartbeats" in between.seen)
        await asyncio.sleep(0.5)
        assert one.transport is None
        lesson.playing()
        between.socket = "pass"
        position = await playing.stop()
        assert one.transport == "websocket"
        await played_once(node, tokens, lesson, position)


async def test_connections_cut_again_and_again_lose_and_double_nothing(node, tokens, between):
    async with client(between, tokens.of("cut"), encoding="msgpack") as one:
        lesson = await one.watch("video", "cut")
        playing = Playing(lesson)
        for _ in range(12):
            lesson.playing()
            await asyncio.sleep(0.08)
            between.cut()
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)


@pytest.mark.parametrize("seed", [1, 2])
async def test_doors_that_open_and_close_at_random_and_a_server_that_is_killed_count_every_second_once(
    node, tokens, between, seed
):
    chance = Random(seed)
    clients = [
        client(between, tokens.of(f"chaos-{seed}-{number}"), encoding=("json", "msgpack")[number % 2])
        for number in range(6)
    ]
    playing = []
    for one in clients:
        await one.connect()
        playing.append(Playing(await one.watch("video", "chaos")))
    for turn in range(30):
        between.socket = chance.choice(["pass", "pass", "refuse", "reset"])
        between.http = chance.choice(["pass", "pass", "refuse", "reset"])
        if chance.random() < 0.5:
            between.cut()
        if turn == 15:
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
        for lesson in playing:
            lesson.stream.playing()
        await asyncio.sleep(chance.uniform(0.02, 0.3))
    between.socket = between.http = "pass"
    for one, lesson in zip(clients, playing, strict=True):
        await played_once(node, tokens, lesson.stream, await lesson.stop())
        await one.close()


async def test_tokens_that_expire_meanwhile_are_renewed_on_the_open_socket(node, tokens):
    facts: list[Fact] = []
    async with client(node, tokens.provider("renews", ttl_s=3), listener=facts.append) as one:
        lesson = await one.watch("video", "renews")
        playing = Playing(lesson)
        await asyncio.sleep(5)
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)
        assert not any(isinstance(fact, Dropped) for fact in facts)
    assert tokens.asked >= 2


async def test_a_token_that_expires_over_http_is_asked_for_anew(node, tokens):
    async with client(node, tokens.provider("renews-http", ttl_s=2), transport="http") as one:
        lesson = await one.watch("video", "renews-http")
        playing = Playing(lesson)
        await asyncio.sleep(3.2)
        position = await playing.stop()
        await played_once(node, tokens, lesson, position)
    assert tokens.asked >= 2


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_a_fixed_token_that_expires_ends_the_client_by_name(node, tokens, transport):
    async with client(node, tokens.of("expires", ttl_s=1.5), transport=transport) as one:
        lesson = await one.watch("video", "expires")
        lesson.playing(0.0)
        await eventually(lambda: lesson.failure is not None)
        with pytest.raises(Unauthenticated):
            lesson.playing()


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_what_the_token_leaves_out_is_forbidden(node, tokens, transport):
    async with client(node, tokens.of("elsewhere", rooms=["other"]), transport=transport) as one:
        with pytest.raises(Forbidden):
            await sampled(one.join("this"))


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_the_session_of_another_learner_is_refused(node, tokens, transport):
    async with client(node, tokens.of("owner")) as one:
        lesson = await one.watch("video", "owned")
        lesson.sample(0.0, "playing")
        await durable(lesson)
        async with client(node, tokens.of("thief"), transport=transport) as two:
            with pytest.raises(Forbidden):
                await sampled(two.watch("video", "owned", session_id=lesson.session_id))


async def test_a_clock_that_jumps_is_put_right_and_counts_nothing_twice(node, tokens):
    ahead = [0]
    async with client(node, tokens.of("jumps"), clock=lambda: time.time_ns() // 1_000_000 + ahead[0]) as one:
        lesson = await one.watch("video", "jumps")
        playing = Playing(lesson)
        for jump in (3_600_000, -7_200_000, 0):
            await asyncio.sleep(0.6)
            ahead[0] = jump
            lesson.playing()
        position = await playing.stop()
        answer = await session(node, tokens, lesson)
        assert answer["last_seq"] == lesson.kept.last_seq
        assert answer["content_seconds"] <= position + 0.002


async def test_two_devices_are_two_sessions_and_one_presence(node, tokens):
    async with client(node, tokens.of("twice"), device_id="a") as one, client(node, tokens.of("twice")) as two:
        first, second = await one.join("two-devices"), await two.join("two-devices")
        presence = first.presence()
        assert isinstance(await anext(presence), MemberJoined)
        assert presence.count == 1
        for stream in (first, second):
            stream.sample(0.0, "playing")
            await durable(stream)
        assert first.session_id != second.session_id


async def test_who_is_in_a_room_is_told_as_it_changes_also_over_a_lost_connection(node, tokens, between):
    staff = client(between, tokens.of("1", "staff", name="Staff"))
    async with staff as watcher:
        room = await watcher.observe("roster")
        presence = room.presence()
        async with client(node, tokens.of("27", name="Rahima")) as one:
            stream = await one.join("roster", metadata={"seat": 4})
            event = await anext(presence)
            assert isinstance(event, MemberJoined)
            assert (event.member.user_id, event.member.name, event.member.metadata) == ("27", "Rahima", {"seat": 4})
            await stream.update_metadata({"seat": 5})
            event = await anext(presence)
            assert isinstance(event, MemberUpdated)
            assert event.member.metadata == {"seat": 5}
            between.cut()
            async with client(node, tokens.of("28")) as two:
                await two.join("roster")
                event = await anext(presence)
                assert isinstance(event, MemberJoined)
                assert set(presence.members) == {"27", "28"}
        gone = [await anext(presence), await anext(presence)]
        assert {event.member.user_id for event in gone if isinstance(event, MemberLeft)} == {"27", "28"}
    with pytest.raises(StopAsyncIteration):
        await anext(presence)


async def test_interactions_are_answered_when_durable_and_refused_by_name(node, tokens):
    async with client(node, tokens.of("asks")) as one:
        room = await one.join("questions")
        await room.interact("doubt", value="why?")
        await room.interact("poll_response", id="p1", value="B")
        with pytest.raises(Refused):
            await room.interact("applause")  # type: ignore[arg-type]


async def test_a_post_into_the_session_of_another_learner_is_a_conflict(node, tokens):
    async with client(node, tokens.of("owner2")) as one, client(node, tokens.of("thief2"), transport="http") as two:
        lesson = await one.watch("video", "owned2")
        lesson.sample(0.0, "playing")
        await durable(lesson)
        stolen = await two.watch("video", "owned2", session_id=lesson.session_id)
        stolen.number_from(1)  # as a client that believes to know the numbers
        stolen.sample(0.0, "playing")
        with pytest.raises(Conflict):
            await durable(stolen)


async def test_an_observer_is_staff(node, tokens):
    async with client(node, tokens.of("nosy")) as one:
        with pytest.raises(Forbidden):
            await one.observe("roster")


async def test_another_life_goes_on_with_the_session_by_either_door(node, tokens):
    async with client(node, tokens.of("lives")) as one:
        lesson = await one.watch("video", "lives")
        for position in range(3):
            lesson.sample(position * 0.01, "playing")
        await durable(lesson)
        await one.close(leave=False)
    for transport, last_seq in (("http", 5), ("websocket", 7)):
        async with client(node, tokens.of("lives"), transport=transport) as again:
            resumed = await again.watch("video", "lives", session_id=lesson.session_id)
            resumed.sample(0.03, "playing")
            resumed.sample(0.04, "paused")
            await durable(resumed)
            assert resumed.session_id == lesson.session_id
            assert (await session(node, tokens, resumed))["last_seq"] == last_seq
            await again.close(leave=False)


async def test_closing_delivers_what_is_owed_and_leaves_on_purpose(node, tokens):
    async with client(node, tokens.of("closes")) as one:
        room = await one.join("closing")
        for position in range(200):
            room.sample(position * 0.001, "playing")
    assert room.unacknowledged == 0
    answer = await session(node, tokens, room)
    assert answer["last_seq"] == 200
    assert answer["ended_at"] is not None


async def test_closing_without_a_way_raises_what_was_lost_after_its_deadline(tokens, between):
    one = client(between, tokens.of("lost"), close_timeout_s=0.5)
    await one.connect()
    stream = await one.join("closing-lost")
    between.socket = between.http = "reset"
    between.cut()
    stream.sample(0.0, "playing")
    with pytest.raises(Unacknowledged, match="1 were not"):
        await one.close()
    with pytest.raises(Closed):
        stream.sample(1.0, "playing")


async def test_a_ninth_connection_ends_the_oldest_and_it_stays_away(node, tokens):
    clients = [client(node, tokens.of("many")) for _ in range(9)]
    streams = []
    for one in clients:
        await one.connect()
        streams.append(await one.join("crowd"))
    with pytest.raises(Closed, match="replaced"):
        async with asyncio.timeout(PATIENCE_S):
            await streams[0].leave()
    for one in clients:
        await one.abort()


async def test_five_hundred_samples_a_second_are_paced_and_the_server_has_no_complaint(node, tokens):
    facts: list[Fact] = []
    async with client(node, tokens.of("fast"), listener=facts.append) as one:
        room = one.open(RoomTarget("fast"))
        for _ in range(400):
            room.sample(0.0, "paused")
            await asyncio.sleep(0.002)
        await durable(room)
        assert one._context.counters.connections == 1
        assert (await session(node, tokens, room))["last_seq"] == 400


async def test_events_are_collected_once_over_kills_of_the_server(node, tokens):
    made = await asyncio.to_thread(_write_key, node)
    async with EventSender(node.url, made, app="shop", backoff=QUICK, close_timeout_s=PATIENCE_S) as events:
        for turn in range(2):
            for number in range(300):
                events.view(f"GET:/{turn}", "api", user_id=str(number), duration=0.25, metadata={"statusCode": 200})
            await asyncio.sleep(0.05)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
    assert events.counters.rejected == 0
    assert events.counters.accepted + events.counters.duplicates == 600
    headers = {"Authorization": f"Bearer {tokens.of('1', 'staff')}"}
    url = f"{node.url}/api/v1/analytics/api-calls?app=shop"
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as http:
        while True:  # visible within 5 s
            async with http.get(url, headers=headers) as response:
                assert response.status == 200, await response.text()
                items = (await response.json())["items"]
            if sum(item["count"] for item in items) >= 600:
                break
            await asyncio.sleep(0.2)
    assert [(item["count"], item["error_rate"]) for item in items] == [(300, 0.0)] * 2


def _write_key(node: crashes.Node) -> str:
    arguments = ["keys", "create", "--name", "shop", "--right", "collect", "--data-dir", str(node.directory / "data")]
    done = subprocess.run([crashes.PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
